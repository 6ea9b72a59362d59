"""Summary of how a rollout ended: one line with the decision and what serves now, and what there is to do, below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.exceptions import RolloutRolledBackError, RolloutStoppedError
from airflow_provider_pai.rollouts.changes import with_roles

LONGEST = 119
"""Characters of the line: what stands in it is read at one glance, in a list of tasks, too."""

_HEADS = {
    "deployed": "{version} serves 100 %: {reason}",
    "promoted": "{version} serves 100 %: {reason}",
    "unchanged": "{version} serves already, nothing was rolled out: {reason}",
    "rolled_back": "Rolled back{at}{reason}",
    "timed_out": "Not up in time: {reason}",
    "skipped": "Skipped: {reason}",
    "stopped": "Stopped{at}{reason}",
}
_TODO = {
    "rolled_back": f"→ {RolloutRolledBackError.todo}",
    "timed_out": "→ nothing is known of the model: a later try begins anew",
    "stopped": f"→ {RolloutStoppedError.todo}",
}
"""What the person on call does, or need not do."""

_ERRORS = re.compile(r"error rate \S+ is over ([^;,]+)")
_PERCENT = re.compile(r"(\d+\.\d+)%")


def summary(end: Mapping[str, Any]) -> str:
    """Return the line that an error, a skip, the log and the XCom `summary` have in common.

    Where it is too long, the hash of the version that serves goes first, then the end of the reason.

    :param end: of a rollout, as its XCom has it.
    """
    outcome, serving = end["outcome"], end.get("serving_version")
    at, reason = _at(end), _reason(end)
    if outcome in ("rolled_back", "stopped"):
        reason = _counted(end, reason) if at else f": {reason}"
    head = _HEADS[outcome].format(version=end["version"], at=at, reason=reason).rstrip(".")
    tails = [""]
    if outcome not in ("deployed", "promoted", "unchanged") and serving:
        tails = [_tail(outcome, serving), _tail(outcome, f"{serving.partition('-')[0]}-…")]
    tail = next((each for each in tails if len(head) + len(each) < LONGEST), tails[-1])
    return f"{one_line(head, LONGEST - len(tail) - 1)}.{tail}"


def one_line(text: str, most: int = LONGEST) -> str:
    """Return one line of at most so many characters, the end cut where need be."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def below(end: Mapping[str, Any], log_tail: str = "") -> str:
    """Return what stands below the line: the whole reason, the container's last lines, what to do."""
    reason = _whole_reason(end)
    told = "" if reason in summary(end) else f"{reason}."
    return "\n".join(filter(None, (told, log_tail, _TODO.get(end["outcome"], ""))))


def _tail(outcome: str, serving: str) -> str:
    untouched = " 100 %, never touched" if outcome in ("rolled_back", "timed_out") else ""
    return f" {serving} serves{untouched}."


def _at(end: Mapping[str, Any]) -> str:
    """Return the share at which a look has ended it; a candidate that was taken out between two has none."""
    last = end["steps"][-1] if end["steps"] else None
    return "" if last is None or last["verdict"] == "pass" else f" at {last['percent']} %"


def _counted(end: Mapping[str, Any], reason: str) -> str:
    """Return the reason of a look with its counts; an error rate is told by them and its limit."""
    last = end["steps"][-1]
    told = f" after {last['requests']} requests"
    if not (rate := _ERRORS.match(reason)):
        return f"{told}: {reason}"
    limit = sum(map(float, _PERCENT.findall(rate[1])))  # production's rate and the delta, where that is the limit
    return f"{told}, {last['errors']} of them errors (limit {limit:g} %)"


def _whole_reason(end: Mapping[str, Any]) -> str:
    """Return the reason, which a label may have cut, with the end that the record has of it."""
    reason = _reason(end)
    cut = reason.removesuffix("…")
    if cut == reason or not end["steps"]:
        return reason
    whole = _with_roles(end, end["steps"][-1]["reason"])
    known = next((each for each in (cut, cut.partition(": ")[2]) if each and whole.startswith(each)), None)
    return cut.removesuffix(known) + whole if known else reason


def _reason(end: Mapping[str, Any]) -> str:
    return _with_roles(end, end["reason"])


def _with_roles(end: Mapping[str, Any], text: str) -> str:
    roles = {name: role for role, key in (("candidate", "service"), ("production", "previous")) if (name := end[key])}
    return with_roles(" ".join(str(text).split()), roles)
