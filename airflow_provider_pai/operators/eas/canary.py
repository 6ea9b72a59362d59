"""Operator that rolls a model out by canary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_pai.operators.eas.rollout import RolloutOperator


class EasCanaryDeployOperator(RolloutOperator):
    """Bring an artifact into an EAS service group by canary; roll back by itself when it is bad.

    The artifact gets a service of its own in the group. It serves no request before every instance is ready and the
    golden requests are answered as expected; then it gets a growing share of the group's traffic, judged at each step
    against limits and against what production does in the same time. Production is not touched until the candidate
    serves 100 %. Where nothing serves yet, it is deployed at once.

    API: CreateService, ReleaseService, UpdateGroup.

    :param steps: percent of the group's traffic, strictly rising, the last one 100. (templated)
    :returns: `{"group", "service", "outcome", "reason", "version", "digest", "previous", "serving_version", "steps":
        [{"percent", "requests", "errors", "p95_ms", "verdict", "reason"}, …], "verdicts"}`; outcome is deployed,
        promoted, unchanged (this very model serves already), rolled_back, timed_out or skipped, `verdicts` the address
        of every look's numbers. The same dict, and
        in one line the XCom `summary`, which is the error's first line, too, are pushed before the task fails
        (rolled_back: `RolloutRolledBackError`, never retried automatically; timed_out, as the candidate was not ready
        or not reached in time: `PaiTimeoutError`, which `retries` try again) or skips (a backfill run, or data older
        than what serves).
    """

    about = "Rollout of {artifact} to group {group} in steps of {steps} %"

    template_fields: Sequence[str] = ("steps",)

    def __init__(self, *, steps: Sequence[int | str] | str = (10, 50, 100), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
