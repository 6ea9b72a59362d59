"""Errors of the provider.

::

    PaiError                      base of all
    ├── PaiConfigError            bad input, also a ValueError; refused before anything is created, never retried
    │   └── PaiUnsupportedError   a service passed over what was asked; undone
    ├── PaiApiError               a service said no: service, action, code, status, request_id; or can't be reached
    │   ├── PaiNotFoundError      the thing does not exist (404 and its kin), or not yet
    │   ├── PaiPermissionError    credentials or RAM permissions
    │   ├── PaiConflictError      name taken, wrong state, object exists
    │   └── PaiTransientError     throttled, 5xx, connection lost: the answer may be lost, the work may be done
    │       └── PaiAnswerError    an answer came that can't be read: half of one, or a portal's or proxy's
    ├── PaiJobFailedError         a job, instance or service ended in failure
    │   ├── PaiFunctionError      a function that ran as a job raised: its error's type, message and traceback
    │   └── PaiLastFailureError   the same, where another try would end alike: never retried automatically
    │       └── PaiLastFunctionError    of a function
    ├── PaiBudgetError            a DAG has spent what its budget allows; never retried automatically
    ├── PaiVersionError           a later version of this provider wrote it: also a ValueError and a TypeError
    ├── PaiTimeoutError           a deadline passed while waiting
    ├── PaiTransferError          bytes that arrived are not those that were sent, or changed on the way
    ├── PaiArtifactError          no valid manifest: not an artifact
    ├── PaiMetricsError           a rollout's metrics source did not answer, or not with numbers
    └── PaiRolloutError           a canary release did not reach production; never retried automatically
        ├── RolloutRolledBackError    the candidate was bad and is out of the traffic
        ├── RolloutStoppedError       someone else intervened, or the rollout cannot go on
        └── RolloutStuckError         the candidate could not be taken out of the traffic

Every error ends with what to do next: what is allowed, or behind an arrow what its raiser knows, else its class.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_pai.causes import CAUSES, UNKNOWN, Cause, Diagnosis
from airflow_provider_pai.sensitive import hidden

# Colours of notebooks, of git and of training scripts: a log page shows them as `[0;31m`.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z^-~])")


def without_colours(text: str) -> str:
    """Return a text without a terminal's control codes."""
    return _ANSI.sub("", text)


class PaiError(AirflowException):
    """Base of the provider's errors."""

    todo: ClassVar[str] = ""
    """What to do about an error whose text does not say it."""

    def __str__(self) -> str:
        """Return the text without a terminal's control codes, and what to do."""
        return self._with_todo(without_colours(super().__str__()))

    def _with_todo(self, text: str) -> str:
        if not self.todo or "→ " in text:
            return text
        return f"{text}{chr(10) if chr(10) in text else ' '}→ {self.todo}"


class PaiConfigError(PaiError, AirflowFailException, ValueError):
    """Bad input, named by field, value and what is allowed: a retry would read the same."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {_shown(field, value)} is not allowed; {_cut(allowed, _SHOWN_ALLOWED)}")
        self.field = field
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments."""
        return type(self), (self.field, self.value, self.allowed)


class PaiUnsupportedError(PaiConfigError):
    """A service took what it does not do, and what came of it is undone: no retry of the task changes that."""


# Characters of a value, and of a text that is meant as JSON: what is not read as such may hold secrets anywhere.
_SHOWN, _SHOWN_JSON = 300, 40
# Of what is allowed: it may end with a library's words, which repeat the value.
_SHOWN_ALLOWED = 2000


def _shown(field: str, value: object) -> str:
    """Return a value for people, without secrets and shortened: a template may have made a file of it."""
    try:
        text = hidden(repr(value), value, field)
    except ValueError:  # an integer of thousands of digits
        text = f"<{type(value).__name__}>"
    most = _SHOWN_JSON if isinstance(value, str) and value.lstrip().startswith(("{", "[")) else _SHOWN
    return _cut(text, most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


class PaiApiError(PaiError):
    """A service refused a call; without code and status it can't be reached as things are, so waiting won't help.

    :param service: `dlc`, `dsw`, `eas`, `oss`, `aiworkspace` or `cms`.
    :param action: the API action, e.g. `CreateJob`.
    :param message: what is wrong, then ` → ` and what to do, where that is known.
    :param code: the service's error code.
    :param status: HTTP status; None where no answer came.
    """

    todo = "look the code up in the service's documentation, or ask its support by the request id"
    conn_id: str | None = None
    """The connection that was asked with."""

    def __init__(
        self,
        service: str,
        action: str,
        message: str,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.service = service
        self.action = action
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments."""
        arguments = (self.service, self.action, self.message, self.code, self.status, self.request_id)
        return type(self), arguments, vars(self)

    def saying(self, message: str, kind: type[PaiApiError] | None = None) -> PaiApiError:
        """Return the same refusal in other words, and of another class where one is given."""
        arguments = (self.service, self.action, message, self.code, self.status, self.request_id)
        other = (kind or type(self))(*arguments)
        other.conn_id = self.conn_id
        return other

    def __str__(self) -> str:
        """Return what failed, why, and by what the service's support finds it: what is not known is left out."""
        facts = {"connection": self.conn_id, "code": self.code, "status": self.status, "request id": self.request_id}
        known = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact is not None)
        return f"{self.service} {self.action}: {super().__str__()}{f' ({known})' if known else ''}"


class PaiNotFoundError(PaiApiError):
    """The job, object, bucket or service does not exist; a retry may find it."""

    todo = "check its name, and the region and workspace of the connection"

    @classmethod
    def of(cls, service: str, action: str, field: str, value: object, needed: str) -> PaiNotFoundError:
        """Return the error of an input that is not there yet.

        :param needed: what there must be.
        """
        return cls(service, action, f"{field}: {_shown(field, value)} is not there; {needed}")


KEY_CODES = (
    "InvalidAccessKey",
    "InvalidSecurityToken",
    "MissingSecurityToken",
    "SecurityToken",
    "Signature",
    "IncompleteSignature",
    "MissingAuthorization",
    "InvalidTimeStamp",
    "RequestTimeTooSkewed",
)
"""How codes begin that refuse a key or a token, of the PAI APIs and of OSS."""


class PaiPermissionError(PaiApiError):
    """The credentials are wrong or lack a permission."""

    todo = "check the connection's key, and allow it the action in RAM (docs/permissions.md)"

    @property
    def of_key(self) -> bool:
        """Tell whether the key itself, its token or the time of its signature is refused; else it lacks a right."""
        return str(self.code).startswith(KEY_CODES)


class PaiConflictError(PaiApiError):
    """The name is taken, the object exists, or the resource is in a state that forbids the call."""

    todo = "see in the console what it is and does, then clear the task"


class PaiTransientError(PaiApiError):
    """Throttled, 5xx or no answer; the call may or may not have been carried out.

    :param retry_after: seconds the service asked to wait, or None.
    """

    todo = "a later try asks again and goes on with what was made; if it lasts, ask the service's support"
    retry_after: float | None = None


class PaiAnswerError(PaiTransientError):
    """An answer came that says nothing of the service: half of one, of wrong types, or of something on the way."""

    todo = "look whether a proxy or a portal answers in the service's place, then clear the task"


class PaiJobFailedError(PaiError):
    """A job, instance or service ended in failure.

    :param kind: the resource in words, e.g. `DLC job`.
    :param diagnosis: why, as far as anything tells.
    :param last: why no retry follows; empty: the task's `retries` decide.
    """

    todo = "mend what its last lines and its page tell of, then clear the task, which makes a new one"

    def __init__(
        self,
        kind: str,
        job_id: str,
        status: str,
        reason_code: str | None,
        reason: str | None,
        log_tail: str = "",
        diagnosis: Diagnosis = UNKNOWN,
        last: str = "",
    ) -> None:
        text = f"{kind} {job_id} ended as {status}: {reason_code or 'no reason code'}: {reason or 'no reason given'}"
        known = "" if diagnosis.cause is Cause.UNKNOWN else f"{diagnosis}: "
        text = f"{known}{text}{f'; {last}' if last else ''}"
        todo = CAUSES[diagnosis.cause].todo or self.todo
        # Here, since the log may hold an arrow.
        super().__init__(f"{text}\n{log_tail}\n→ {todo}" if log_tail else f"{text} → {todo}")
        self.kind = kind
        self.job_id = job_id
        self.status = status
        self.reason_code = reason_code
        self.reason = reason
        self.log_tail = log_tail
        self.diagnosis = diagnosis
        self.last = last

    @property
    def cause(self) -> Cause:
        """Return why it has failed."""
        return self.diagnosis.cause

    def for_good(self, why: str) -> PaiJobFailedError:
        """Return this failure as one that no retry follows."""
        return PaiLastFailureError(*[*self.__reduce__()[1][:-1], why])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments."""
        facts = (self.kind, self.job_id, self.status, self.reason_code, self.reason)
        return type(self), (*facts, self.log_tail, self.diagnosis, self.last)


class PaiLastFailureError(PaiJobFailedError, AirflowFailException):
    """A job failed, and another try would end alike; fails the task without an automatic retry."""

    todo = "mend what it names, then clear the task: no retry is made"


class PaiFunctionError(PaiJobFailedError):
    """A function that ran as a job has raised.

    :param remote_type: name of the error's type, with its module unless that is `builtins`.
    :param remote_message: the error's own text.
    :param remote_traceback: as Python prints it.
    """

    todo = "mend the function, then clear the task"

    def __init__(
        self,
        kind: str,
        job_id: str,
        status: str,
        reason_code: str | None,
        reason: str | None,
        remote_type: str,
        remote_message: str,
        remote_traceback: str,
        diagnosis: Diagnosis = UNKNOWN,
        last: str = "",
    ) -> None:
        tail = f"The function raised {remote_type}: {remote_message}\n{remote_traceback}"
        super().__init__(kind, job_id, status, reason_code, reason, tail, diagnosis, last)
        self.remote_type = remote_type
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback

    def for_good(self, why: str) -> PaiJobFailedError:
        """Return this failure as one that no retry follows."""
        return PaiLastFunctionError(*[*self.__reduce__()[1][:-1], why])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments."""
        facts = (self.kind, self.job_id, self.status, self.reason_code, self.reason)
        raised = (self.remote_type, self.remote_message, self.remote_traceback)
        return type(self), (*facts, *raised, self.diagnosis, self.last)


class PaiLastFunctionError(PaiFunctionError, PaiLastFailureError):
    """A function that ran as a job has raised, and another try would end alike."""

    todo = "mend the function, then clear the task: no retry is made"


class PaiBudgetError(PaiError, AirflowFailException):
    """A DAG has spent what its budget allows: nothing was made, and a retry would not be cheaper."""

    todo = "raise the budget, or clear the task when the next day has begun; `airflow pai cost` tells what has spent it"


class PaiVersionError(PaiError, ValueError, TypeError):
    """A record has a schema of a later version of this provider.

    A TypeError is what Airflow's triggerer survives where it makes a trigger; any other ends it, for everybody.
    """

    todo = "upgrade airflow-provider-pai here: triggerers first, then workers (docs/reliability.md, Upgrades)"

    def __init__(self, kind: str, number: int, known: int) -> None:
        super().__init__(
            f"{kind} of schema {number}, written by a newer airflow-provider-pai: this one reads up to {known}"
        )
        self.kind = kind
        self.number = number
        self.known = known

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the constructor's arguments."""
        return type(self), (self.kind, self.number, self.known)


class PaiTimeoutError(PaiError):
    """A deadline passed while waiting; the message names what was awaited and its last state."""

    todo = "see on its page what it waits for, give it more time or more resources, then clear the task"


class PaiTransferError(PaiError):
    """What arrived has another CRC64 than what was sent, or the file or object changed meanwhile."""

    todo = "clear the task; if it comes again, something writes there meanwhile, or changes bytes on the way"


class PaiArtifactError(PaiError):
    """The prefix holds no valid artifact: no manifest, a torn one, or files that differ from it."""

    todo = "clear the task that makes it, which writes it anew, or name another version"


class PaiMetricsError(PaiError):
    """A rollout's metrics source did not answer, or not with what it should tell."""


class PaiRolloutError(PaiError, AirflowFailException):
    """A canary release did not reach production; fails the task without an automatic retry."""

    todo = "see the steps in its XCom, then clear the task, or leave production as it is"


class RolloutRolledBackError(PaiRolloutError):
    """The candidate was bad; production serves what it served before."""

    todo = "mend the model: its digest stays out until the task is cleared"


class RolloutStoppedError(PaiRolloutError):
    """The rollout can't go on: someone else intervened, or the group is not as expected."""

    todo = "a person decides: traffic stays as it is, and a cleared task begins anew"


class RolloutStuckError(PaiRolloutError):
    """The rollout failed and its candidate could not be taken out of the traffic: a person is needed now."""

    todo = "take the candidate out of the group's traffic in EAS's console, now"
