"""Round over an account's services: plan for the person who pays, probes one after the other, and what they leave."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, TypeVar

from airflow_provider_pai.exceptions import PaiApiError, PaiError, PaiNotFoundError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.jobs import JobHook
from airflow_provider_pai.labels import Key
from airflow_provider_pai.smoke.facts import Facts
from airflow_provider_pai.states import Verdict
from airflow_provider_pai.uri import OssUri

Leftover = tuple[str, Callable[[], None]]
"""What is there, and what takes it away."""

H = TypeVar("H", bound=PaiHook)
T = TypeVar("T")

FOLDER = "airflow-smoke"
"""Below the bucket that is given, or its prefix."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the person chose.

    :param home: `oss://bucket/prefix` for the round's objects.
    :param image: address of an image with Python 3 and a shell, for jobs, instances and services.
    :param instance_type: of jobs and instances.
    :param service_type: of services.
    :param pause: seconds between two looks; what is told to take its time takes ten of them.
    :param patience: how long each wait may take.
    """

    home: OssUri
    image: str
    instance_type: str = "ecs.g6.large"
    service_type: str = "ecs.c6.large"
    pause: float = 2.0
    patience: timedelta = timedelta(minutes=20)


@dataclass
class Round:
    """One round on one account.

    :param hook: any hook on the connection.
    :param say: takes progress lines.
    """

    hook: PaiHook
    choice: Choice
    say: Callable[[str], None]
    facts: Facts = field(default_factory=Facts)
    key: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    left: list[str] = field(default_factory=list)
    """What could not be taken away."""
    failed: list[str] = field(default_factory=list)
    """Services whose probe broke off, and why."""

    @property
    def mark(self) -> str:
        """Return the value of the label on all that rounds of this deployment make, by which the next finds it."""
        return hashlib.sha256(self.hook.connection.deployment.encode()).hexdigest()[:12]

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of all that this round makes."""
        return {Key.SMOKE: self.mark}

    @property
    def folder(self) -> OssUri:
        """Return where all rounds keep their objects."""
        return self.choice.home.join(FOLDER).folder

    def sibling(self, hook_class: type[H]) -> H:
        """Return a hook on the round's connection."""
        return self.hook.sibling(hook_class)

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something.

        :raises PaiError: nothing in the time that the person granted.
        """
        clock = self.hook.clock
        deadline = clock.monotonic() + self.choice.patience.total_seconds()
        while (found := look()) is None:
            if clock.monotonic() > deadline:
                raise PaiError(f"{what}: not within {self.choice.patience}")
            clock.sleep(self.choice.pause)
        return found

    def bring_to_rest(
        self, hook: JobHook, job_id: str, stop: Callable[[], object], at_rest: Collection[Verdict]
    ) -> None:
        """Ask for a stop, again where it is refused, until something is at rest.

        :raises PaiError: it is not in the time that the person granted.
        """

        def rests() -> bool | None:
            status = hook.get(job_id).status
            if hook.states.judge(status) in at_rest:
                return True
            if status not in hook.states.stopping:
                self.answer(stop)
            return None

        self.wait(f"the end of {hook.states.kind} {job_id}", rests)

    @contextmanager
    def made(self, what: str, take_away: Callable[[], None]) -> Iterator[None]:
        """Keep something for the block, and take it away whatever ends that; what stays is told."""
        try:
            yield
        finally:
            self.clear(what, take_away)

    def clear(self, what: str, take_away: Callable[[], None]) -> None:
        """Take something away, or note that it is left."""
        try:
            take_away()
        except PaiNotFoundError:
            return  # it went meanwhile
        except BaseException as error:
            self.left.append(what)
            self.say(f"{what} is left: {error or type(error).__name__}")
            if not isinstance(error, PaiError):
                raise

    @contextmanager
    def told(self, title: str) -> Iterator[None]:
        """Tell of an error of one service, and go on: an account may not have it."""
        try:
            yield
        except PaiError as error:
            self.failed.append(f"{title}: {error}")
            self.say(f"{title} broke off: {error}")

    def answer(self, ask: Callable[[], object]) -> str:
        """Return the status and code of a refusal; empty where the call was taken."""
        try:
            ask()
        except PaiApiError as error:
            return f"{error.status} {error.code}"
        return ""


class ServiceProbe(NamedTuple):
    """What a round does with one service.

    :param needs: what it makes, for the person who pays; `{choice}` stands for the choice.
    :param run: does it.
    :param leftovers: finds what is left of it, whoever made it.
    """

    title: str
    needs: str
    run: Callable[[Round], None]
    leftovers: Callable[[Round], Iterable[Leftover]]


def clear(one: Round, probes: Sequence[ServiceProbe]) -> None:
    """Take away whatever rounds have left: a killed one, or a call whose answer was lost."""
    for probe in probes:
        with one.told(probe.title):
            for what, take_away in probe.leftovers(one):
                one.say(f"taking away {what}")
                one.clear(what, take_away)


def run(one: Round, probes: Sequence[ServiceProbe]) -> None:
    """Run the probes; one that breaks off is told, and those after it still run.

    Whatever ends it, each takes its own away, and what they leave is looked for once more.
    """
    try:
        for probe in probes:
            one.say(f"{probe.title} …")
            with one.told(probe.title):
                probe.run(one)
    finally:
        clear(one, probes[::-1])
