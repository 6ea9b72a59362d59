"""Actions of a rollout; each is one call, or a few that may be cut."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_pai.canary.group import Progress
from airflow_provider_pai.canary.samples import NOTHING, Sample


@dataclass(frozen=True, kw_only=True)
class Create:
    """Create the candidate with its labels; it has no group traffic."""

    service: str
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete a service that carries no traffic."""

    service: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop a service that carries no traffic, then write down how far it is.

    A refused stop (a safety lock) is a warning: it must not keep later rollouts from ending this one.
    """

    service: str
    progress: Progress
    why: str


@dataclass(frozen=True, kw_only=True)
class Label:
    """Write down how far a service is.

    :param pause: seconds to wait before the next look.
    """

    service: str
    progress: Progress
    why: str
    pause: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Release:
    """Set a service's weight and whether it takes group traffic."""

    service: str
    weight: int
    grouping: bool

    def __str__(self) -> str:
        """Return what it comes to, in words."""
        return f"weight {self.weight}" if self.grouping else "no group traffic"


@dataclass(frozen=True, kw_only=True)
class Isolate:
    """Take a service that comes up out of the group's traffic, where EAS has put it by itself.

    A refusal is heard again: nobody knows whether a service can be released before it runs.
    """

    service: str


@dataclass(frozen=True, kw_only=True)
class Customize:
    """Let the group's traffic follow the weights."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Send the golden requests to the candidate's own endpoint, or knock at it; then `after_probe`."""

    service: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """Take a sample from `since` on; then `after_look`.

    :param since: Unix time from which on requests count.
    :param began: Unix time at which the share was reached.
    :param percent_before: the share before, which counts show until the gateway follows the weights.
    :param patient: it has not been seen to follow them, and may yet.
    :param recent: Unix time from which on requests tell whether the candidate still answers.
    :param past: spans of Unix times before the candidate had any traffic.
    :param golden: requests of ours to the candidate since then.
    """

    candidate: str
    stable: str
    percent: int
    since: float
    began: float
    percent_before: int = 0
    patient: bool = False
    settled: bool = False
    recent: float = 0.0
    past: tuple[tuple[float, float], ...] = ()
    golden: Sample = NOTHING


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do for some seconds."""

    why: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Withdraw:
    """Take the candidate's traffic away by these releases, in this order, then write down why.

    A crash between them leaves a candidate without traffic, which the next look takes for withdrawn.
    """

    service: str
    releases: tuple[Release, ...]
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The rollout is over: `deployed`, `promoted`, `rolled_back`, `timed_out`, `unchanged`, `skipped` or `stopped`.

    `unchanged`: the model serves already. `stopped` leaves everything as it is, for a person.
    """

    outcome: str
    why: str
    progress: Progress | None = None


Change = Delete | Stop | Label | Release | Isolate | Customize | Wait | Withdraw
"""What needs nothing but the group: no lease, no numbers, no service JSON."""

Action = Change | Create | Probe | Look | Finish


def touched(action: Change) -> tuple[str, ...]:
    """Return the names of the services that an action changes."""
    if isinstance(action, Customize | Wait):
        return ()
    more = action.releases if isinstance(action, Withdraw) else ()
    return tuple(dict.fromkeys([action.service, *(release.service for release in more)]))
