"""Retry policy that reads the cause of a failure, for tasks that are not our operators'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Of the SDK itself: common.compat hands these on from a later version than Airflow 3.3 pins.
from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_pai.causes import UNKNOWN, Cause, Diagnosis, Evidence, RetryOn, diagnose, why_last
from airflow_provider_pai.exceptions import PaiError, PaiJobFailedError, PaiTimeoutError
from airflow_provider_pai.inputs import one_of

if TYPE_CHECKING:
    from airflow.sdk import Context

# Of the task's state store: what its tries of one cycle have failed with.
_KEY = "pai_failures"


class PaiRetryPolicy(RetryPolicy):
    """Retries a task's failures by their cause, as our job operators do their jobs'.

    It is for what calls a hook, or trains in the worker itself. Our operators need none: what they end with when no
    retry is to follow is an AirflowFailException, which no policy is asked about.

    :param retry_on: which failures the task's `retries` are for: `auto`, `infrastructure` or `always`.
    """

    def __init__(self, retry_on: str = "auto") -> None:
        self.retry_on = one_of("retry_on", retry_on, list(RetryOn))

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Fail the task where another try would end alike; else leave it to Airflow.

        :param max_tries: raised when a person clears the task, which makes it try anew.
        """
        now, store = _diagnosis_of(exception), context.get("task_state_store") if context else None
        kept: Any = (store.get(_KEY) if store is not None else None) or {}
        met = kept.get("met", []) if kept.get("max_tries") == max_tries else []
        if store is not None:
            store.set(_KEY, {"max_tries": max_tries, "met": [*met, [try_number, *now]]})
        earlier = ((f"try {number}", Diagnosis(Cause(cause), *rest)) for number, cause, *rest in met)
        if why := why_last(now, self.retry_on, earlier):
            return RetryDecision.fail(f"{now.cause}: {why}")
        return RetryDecision.default()


def _diagnosis_of(error: BaseException) -> Diagnosis:
    """Return why a task has failed: a service's answer may be another one later, other errors are those of its code."""
    if isinstance(error, PaiJobFailedError):
        return error.diagnosis
    if isinstance(error, PaiTimeoutError):
        return Diagnosis(Cause.TIMEOUT, None, str(error))
    if isinstance(error, PaiError):
        return UNKNOWN
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return diagnose(Evidence(logs=[f"Traceback (most recent call last):\n{name}: {error}"]))
