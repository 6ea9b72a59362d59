"""Watch over a job that is waited for: changes of its status, and its own log, copied into the task's log."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from airflow_provider_pai.causes import reason_in_words
from airflow_provider_pai.clock import Clock, in_words
from airflow_provider_pai.exceptions import PaiError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.lines import readable
from airflow_provider_pai.remote import RemoteJob
from airflow_provider_pai.states import States, Verdict

MAX_LINES = 500
"""Lines that one look copies at most, for each pod."""

PATIENCE = 3600.0
"""Seconds for which a wait goes on while it is refused: time to mend the connection, or the policy."""

# The last lines of a log, by which the place is found again: no API has a cursor.
_REMEMBERED = 50

Cursor = dict[str, Any]


class Watched(Protocol):
    """A hook, as far as a watch needs it."""

    states: ClassVar[States]
    clock: Clock

    @property
    def log(self) -> Any:
        """Return the task's log."""

    def get(self, job_id: str, /) -> RemoteJob:
        """Describe one job."""

    def new_log_lines(self, job_id: str, cursor: Cursor) -> list[str]:
        """Return what the job has written since the last call with this cursor."""

    def console_url(self, job_id: str, /) -> str:
        """Return the job's page in the console."""


class Patience:
    """How long a wait bears that it gets no answer, or a refusal: who may not look may not stop anything either.

    :param paid: what is waited for was made by this task; else refusals are borne behind the first answer.
    :param denials: bear that the key lacks a right, too: of a wait that always asks the same.
    """

    __slots__ = ("_clock", "_denials", "_log", "_paid", "_until")

    def __init__(self, clock: Clock, log: Any, *, paid: bool, denials: bool = True) -> None:
        self._clock = clock
        self._log = log
        self._paid = paid
        self._denials = denials
        self._until: float | None = None

    def answered(self) -> None:
        """Begin anew with the next refusal."""
        self._paid, self._until = True, None

    def bear(self, error: PaiTransientError | PaiPermissionError) -> None:
        """Say that the wait goes on.

        :raises PaiPermissionError: the refusal, where it is not borne, or not any longer.
        """
        if isinstance(error, PaiTransientError):
            self._log.warning("No answer, waiting on: %s", error)
            return
        now = self._clock.monotonic()
        if self._until is None:
            self._until = now + PATIENCE
        if not self._paid or not (error.of_key or self._denials) or now >= self._until:
            raise error
        todo = "put a key that works into the connection" if error.of_key else "allow it in RAM"
        self._log.warning("REFUSED, waiting on for %s: %s: %s", in_words(self._until - now), todo, error)


class Watch:
    """Logs changes of one job's status, each with how long the last one took; shared by both waits."""

    __slots__ = ("_patience", "_since", "hook", "job_id", "status")

    def __init__(self, hook: Watched, job_id: str) -> None:
        self.hook = hook
        self.job_id = job_id
        self.status = ""
        self._patience = Patience(hook.clock, hook.log, paid=False)
        self._since = self.hook.clock.monotonic()

    def read(self) -> RemoteJob | None:
        """Describe the job; None while the service does not answer, or refuses what it has answered before."""
        try:
            job = self.hook.get(self.job_id)
        except (PaiTransientError, PaiPermissionError) as error:
            self._patience.bear(error)
            return None
        self._patience.answered()
        self.note(job)
        return job

    def note(self, job: RemoteJob) -> None:
        """Log a change."""
        if job.status == self.status:
            return
        log, kind, now = self.hook.log, self.hook.states.kind, self.hook.clock.monotonic()
        before = f", {self.status} until now for {in_words(now - self._since)}" if self.status else ""
        reason = f" ({job.reason_code}: {reason_in_words(job.reason or '')})" if job.reason_code else ""
        log.info("%s %s is %s%s%s", kind, job.job_id, job.status, reason, before)
        if self.hook.states.judge(job.status) is Verdict.UNKNOWN:
            log.warning("%s %s: status %r is not known; waiting on", kind, job.job_id, job.status)
        self.status, self._since = job.status, now


class LogCopy:
    """Copies what a job has written since the last look; what goes wrong is a warning and never fails a task.

    :param interval: seconds between two looks; 0: the log is not copied.
    :param taken_over: another process has copied the beginning; the first look only finds the place.
    """

    def __init__(self, hook: Watched, job_id: str, interval: float, *, taken_over: bool = False) -> None:
        self._hook = hook
        self._job_id = job_id
        self._interval = interval
        self._cursor: Cursor = {}
        self._next = 0.0
        self._taken_over = taken_over

    def due(self, *, final: bool = False) -> bool:
        """Tell whether it is time for a look; the last one is always due."""
        return self._interval > 0 and (final or self._hook.clock.monotonic() >= self._next)

    def look(self) -> None:
        """Copy what is new."""
        self._next = self._hook.clock.monotonic() + self._interval
        try:
            lines = self._hook.new_log_lines(self._job_id, self._cursor)
            if self._taken_over:
                lines, self._taken_over = [f"… lines are left out here: {self._hook.console_url(self._job_id)}"], False
            for line in lines:
                self._hook.log.info("%s", line)
        except PaiError as error:
            self._hook.log.warning("The log of %s could not be read, trying again: %s", self._job_id, error)


def unseen(lines: Sequence[str], seen: Sequence[str]) -> int:
    """Return where in `lines` those begin that follow the ones seen last.

    :param seen: `marks` of the lines seen last; may begin before `lines` does.
    """
    # The latest place that fits: a log that repeats itself must not be copied twice. Only as many of the seen lines can
    # be compared as `lines` has before that place.
    marked = marks(lines)
    for end in range(len(marked), 0, -1):
        length = min(end, len(seen))
        if length and marked[end - length : end] == list(seen[-length:]):
            return end
    return 0


def marks(lines: Sequence[str]) -> list[str]:
    """Return a short hash of each line."""
    return [hashlib.blake2b(line.encode(errors="replace"), digest_size=4).hexdigest() for line in lines]


def advance(cursor: Cursor, name: str, lines: Sequence[str], *, full: bool) -> list[str]:
    """Return the new lines of one source, prefixed with its name, and remember them in the cursor.

    :param lines: what the source holds since some time that the last look covered, too.
    :param full: there may be lines before these that the answer had no room for.
    """
    seen, bounded = cursor.get(name, []), [readable(line) for line in lines]
    start = unseen(bounded, seen)
    new = bounded[start:]
    cursor[name] = (seen + marks(new))[-_REMEMBERED:]
    missed = ["… lines are left out here"] if full and not start else []
    return [f"[{name}] {line}" for line in [*missed, *newest(new)]]


def newest(lines: Sequence[str]) -> list[str]:
    """Return the last `MAX_LINES` lines, below a note where there are more."""
    left_out = len(lines) - MAX_LINES
    return [f"… {left_out} lines are left out here", *lines[left_out:]] if left_out > 0 else list(lines)
