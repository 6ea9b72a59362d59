"""Causes of failed jobs as data: what tells each, whether it is worth another try, and what to do about it.

Little is documented, and every text is free. What the rows below stand on:

- alibabacloud_pai_dlc20201203, GetJobResponseBody: a pod's SubStatus is Normal or Evicted; ReasonCode, e.g.
  JobStoppedByUser. Page *JobItem*: InvalidParameter, JobStoppedByUser, JobSucceeded.
- alibabacloud-pai-dlc-job-diagnostics, `references/diagnostic-patterns.md` (Alibaba's, for agents):
  ResourceAllocateFailed; JobFailed for a preemption, too, whose ReasonMessage then has `preempted` or `evicted`; the
  words of events and logs; the exit codes.
- PAI's *FAQ about QuickStart*: what a job says that ran out of memory.
- alibabacloud_pai_dsw20220101, page *CreateDiagnosis*: Resource.InsufficientResource.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Cause(StrEnum):
    """Why a job has failed."""

    CONFIG = "config"
    """The service can't do what was asked for."""
    CODE = "code"
    """What ran ended with an error of its own."""
    OUT_OF_MEMORY = "out_of_memory"
    IMAGE = "image"
    """The image can't be pulled."""
    QUOTA = "quota"
    """There are no instances for it."""
    PREEMPTED = "preempted"
    """Its instances were taken away: spot ones, or by a job of higher priority."""
    NODE = "node"
    """A machine or the network between machines broke."""
    TIMEOUT = "timeout"
    """It met its `max_running_time`."""
    STOPPED = "stopped"
    """A person, or another task, stopped it."""
    UNKNOWN = "unknown"
    """Nothing tells."""


class Again(StrEnum):
    """How often the same failure is worth another try."""

    NEVER = "never"
    ONCE = "once"
    """Until it comes a second time."""
    ALWAYS = "always"
    """As often as the task's `retries` say."""


class Meaning(NamedTuple):
    """What a cause means to a task."""

    again: Again
    todo: str = ""
    """What to do about it; empty: the error's own words."""


CAUSES: Mapping[Cause, Meaning] = MappingProxyType(
    {
        Cause.CONFIG: Meaning(Again.NEVER, "mend what the reason names in the DAG, then clear the task"),
        Cause.CODE: Meaning(Again.ONCE, "mend what its last lines tell of, then clear the task, which makes a new job"),
        Cause.OUT_OF_MEMORY: Meaning(
            Again.ONCE,
            "give its nodes more memory, or make its batches smaller, then clear the task",
        ),
        Cause.IMAGE: Meaning(Again.ALWAYS, "look whether the image exists, and whether PAI may pull it from there"),
        Cause.QUOTA: Meaning(Again.ALWAYS, "wait, or take another instance type, quota or spot limit"),
        Cause.PREEMPTED: Meaning(Again.ALWAYS, "let it go on from checkpoints, or take instances that are not spot"),
        Cause.NODE: Meaning(Again.ALWAYS, "try again, which may get other machines; if it lasts, ask PAI's support"),
        Cause.TIMEOUT: Meaning(Again.ONCE, "give it a longer max_running_time or more nodes, then clear the task"),
        Cause.STOPPED: Meaning(Again.NEVER, "clear the task if it is to run all the same"),
        Cause.UNKNOWN: Meaning(Again.ALWAYS),
    }
)


class RetryOn(StrEnum):
    """Which failures of a job a task's `retries` are for."""

    AUTO = "auto"
    """Each cause as its row says."""
    INFRASTRUCTURE = "infrastructure"
    """Only those whose rows say always: nothing in the DAG is to blame for them."""
    ALWAYS = "always"
    """All, as often as `retries` say."""


class Evidence(NamedTuple):
    """What is known of a job that has failed, in the service's own words.

    :param pods: sub-statuses of its pods.
    :param exit_code: where the reason does not tell it.
    :param logs: one text a pod, those of pods that failed first.
    :param events: of the job and its pods; they tell of what is over, too, and are believed last.
    """

    status: str = ""
    reason_code: str = ""
    reason: str = ""
    pods: str = ""
    exit_code: int | None = None
    logs: Sequence[str] = ()
    events: str = ""


class Diagnosis(NamedTuple):
    """Why a job has failed.

    :param exception: the last line of its last traceback.
    :param cell: which cell of a notebook it was, as `cell 7`.
    """

    cause: Cause = Cause.UNKNOWN
    exit_code: int | None = None
    exception: str = ""
    cell: str = ""

    def __str__(self) -> str:
        """Return it for people: the cause, and of a notebook what failed where."""
        return ": ".join(filter(None, [self.cause, self.cell, self.exception if self.cell else ""]))

    @property
    def again(self) -> Again:
        """Return how often it is worth another try: a program that could not reach something may reach it later."""
        is_passing = self.cause is Cause.CODE and re.search(_PASSING, self.exception)
        return Again.ALWAYS if is_passing else CAUSES[self.cause].again

    @property
    def signature(self) -> tuple[Cause, int | None, str]:
        """Return what is equal where the same failure comes again: numbers and ids in its text do not count."""
        return self.cause, self.exit_code, re.sub(_VARIES, "#", self.exception)


UNKNOWN = Diagnosis()
"""Of a failure of which nothing tells why."""

# A name or a text of an exception that a later try may not meet.
_PASSING = (
    r"^[\w.]*(?i:connect|time_?d?_?out|unreachable|gaierror|IncompleteRead|MaxRetry|BrokenPipe|Transient)|"
    r"(?i:connection (refused|reset|aborted|timed out|broken)|timed out|name resolution)|\[Errno 1(04|10|11|13)\]"
)
_VARIES = r"\b(?=\w*\d)\w+\b"

_MEMORY = (
    r"OOMKilled|MemoryError|OutOfMemory|(?i:out of memory|can(no|')t allocate memory|insufficient shared memory)|"
    r"std::bad_alloc|killed by signal: Killed|\(exitcode: -9\)"
)
_IMAGE = r"ErrImage|ImagePullBackOff|ImageInspectError|InvalidImageName|(?i:manifest unknown|image not found)"
_QUOTA = r"ResourceAllocateFailed|InsufficientResource|ExceedResources|(?i:resource type is not enough)"
_NODE = (
    r"NCCL.*(?i:time|remote|unhandled|network)|ncclRemoteError|ncclSystemError|uncorrectable ECC|GPUUnhealthy|"
    r"NodeNotReady|NodeLost|context deadline exceeded"
)

_SIGNS: tuple[tuple[str, str, Cause], ...] = (
    ("reason_code", r"StoppedByUser", Cause.STOPPED),
    # A code of the emulator alone; of PAI none is known, and the hook puts into the reason that the time was over.
    ("reason_code", r"MaxRunningTime", Cause.TIMEOUT),
    ("reason", r"time limit of .+ has passed", Cause.TIMEOUT),
    ("pods", r"Evicted", Cause.PREEMPTED),
    ("reason", r"(?i)\b(preempt|evict)", Cause.PREEMPTED),
    ("reason_code", _QUOTA, Cause.QUOTA),
    ("reason", _QUOTA, Cause.QUOTA),
    ("reason_code", _IMAGE, Cause.IMAGE),
    ("reason", _IMAGE, Cause.IMAGE),
    ("reason_code", r"InvalidParameter", Cause.CONFIG),
    ("reason", _MEMORY, Cause.OUT_OF_MEMORY),
    ("exception", _MEMORY, Cause.OUT_OF_MEMORY),
    ("last_lines", _MEMORY, Cause.OUT_OF_MEMORY),
    ("exit_code", r"^(137|247)$", Cause.OUT_OF_MEMORY),
    ("exception", _NODE, Cause.NODE),
    ("last_lines", r"(?m)^ssh: connect to host", Cause.NODE),
    # A container that was not started; a process that was ended; NCCL's time-out.
    ("exit_code", r"^(128|143|245)$", Cause.NODE),
    ("exception", r".", Cause.CODE),
    ("exit_code", r"^[1-9]", Cause.CODE),
    ("events", _IMAGE, Cause.IMAGE),
    ("events", _QUOTA, Cause.QUOTA),
    ("events", r"(?i)\b(preempt|evict)", Cause.PREEMPTED),
    ("events", _MEMORY, Cause.OUT_OF_MEMORY),
    ("events", _NODE, Cause.NODE),
    ("status", r"^Stopped$", Cause.STOPPED),
)
"""Which evidence tells which cause; the first that is found counts."""

_LAST_LINES = 30

# Of which exceptions another one, before or behind them in the log, is the reason.
_WRAPPERS = r"ChildFailedError|CellExecutionError"
_HEADER = "Traceback (most recent call last):"
# As torchrun marks the lines of its processes.
_MARK = re.compile(r"^\[[^\]]{1,60}\]:? ?")
_NAMED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception)(?::|$)")
# The runner of notebooks tells where one has failed.
_CELL = re.compile(r"^The notebook failed in (cell \d+): (.+)")
_HEADLESS = re.compile(r"^(?:SyntaxError|IndentationError|TabError): ")
_LONGEST = 300

_EXIT_CODE = re.compile(r"(?i)\bexit(?:ed)?[ _]?(?:with)?[ _]?(?:code)?\W{0,3}(\d{1,3})\b")


def diagnose(seen: Evidence) -> Diagnosis:
    """Return why a job has failed."""
    exception, code = _exception_of(seen.logs), seen.exit_code or _exit_code(seen.reason) or _exit_code(seen.events)
    told = {
        **seen._asdict(),
        "exception": exception,
        "exit_code": str(code or ""),
        "last_lines": "\n".join(line for log in seen.logs for line in log.splitlines()[-_LAST_LINES:]),
    }
    cause = next((cause for field, pattern, cause in _SIGNS if re.search(pattern, told[field])), Cause.UNKNOWN)
    cells = (found[1] for log in seen.logs for found in map(_CELL.match, _unmarked(log)) if found)
    return Diagnosis(cause, code, exception, next(cells, ""))


def why_last(now: Diagnosis, retry_on: str, earlier: Iterable[tuple[str, Diagnosis]]) -> str:
    """Return why no retry follows a failure, whatever a task's `retries`; empty: they decide.

    :param earlier: what the task has met in this cycle, by the names of the jobs; read only where it matters.
    """
    if retry_on == RetryOn.ALWAYS or now.again is Again.ALWAYS:
        return ""
    if now.again is Again.NEVER or retry_on == RetryOn.INFRASTRUCTURE:
        return "not retried: another try would end alike"
    alike = next((name for name, other in earlier if other.signature == now.signature), None)
    return f"not retried: {alike} has failed just so" if alike else ""


def exit_codes(reason: str) -> dict[str, int]:
    """Return the exit codes that DLC's ReasonMessage tells, by pod; seen of failed jobs, documented nowhere.

    `{"overview": "PyTorchJob dlc… failed because 1 Master replica(s) failed.", "content": [{"time": "1772684043",
    "pods": {"Master": [0]}, "reason": "128"}]}`
    """
    try:
        parts = json.loads(reason)["content"]
        return {
            f"{role} {index}": int(part["reason"])
            for part in parts
            if str(part["reason"]).isdecimal()
            for role, indexes in part["pods"].items()
            for index in indexes
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def reason_in_words(reason: str) -> str:
    """Return a reason for people: of DLC's JSON what it says, and how which pods ended."""
    codes = exit_codes(reason)
    if not codes:
        return reason
    ends = ", ".join(f"{pod}: exit code {code}" for pod, code in codes.items())
    return f"{json.loads(reason).get('overview') or 'pods failed'} ({ends})"


def _exit_code(text: str) -> int | None:
    codes = [*exit_codes(text).values(), *map(int, _EXIT_CODE.findall(text))]
    return next((code for code in codes if code), None)


def _exception_of(logs: Sequence[str]) -> str:
    """Return the exception that says most: of several pods that failed, not one that only lost another."""
    found = [exception for log in logs if (exception := last_exception(log))]
    own = (exception for exception in found if not re.search(f"{_PASSING}|{_NODE}", exception))
    return next(own, found[0] if found else "")


def last_exception(log: str) -> str:
    """Return the last line of the last traceback; of one that wraps another, that other's."""
    found = [line for line in _exceptions(log) if not re.search(_WRAPPERS, line.partition(":")[0])]
    return found[-1][:_LONGEST] if found else ""


def _unmarked(log: str) -> Iterator[str]:
    return (_MARK.sub("", line) for line in log.splitlines())


def _exceptions(log: str) -> Iterator[str]:
    """Yield the lines that may end a traceback."""
    is_traceback = has_begun = False
    for line in _unmarked(log):
        if cell := _CELL.match(line):
            yield cell[2]
        elif line.startswith(_HEADER):
            is_traceback = has_begun = True
        elif is_traceback and line and not line[0].isspace():
            is_traceback = False
            yield line
        elif (has_begun and _NAMED.match(line)) or _HEADLESS.match(line):
            yield line
