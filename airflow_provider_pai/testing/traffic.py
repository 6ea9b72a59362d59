"""Service group as a test sees it, and people who ask its endpoint all the while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from requests import RequestException, Response, Session

from airflow_provider_pai.canary.group import Group
from airflow_provider_pai.canary.weights import shares
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.rollouts.history import version_of
from airflow_provider_pai.testing.pace import Pace

GATEWAY = "gateway"
"""The version under which answers are counted that no service gave."""

_SERVICE = "x-emulator-service"
_TIMEOUT, _LOOK_AGAIN = 10.0, 0.05


class Failure(NamedTuple):
    """One request that was not answered well; status 0: not at all."""

    version: str
    status: int
    text: str


class ServiceGroup:
    """One service group."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def eas(self) -> EasHook:
        """Return the hook."""
        return EasHook()

    def look(self) -> Group:
        """Return the group with its services as EAS shows them now."""
        return self.eas.group(self.name)

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of the group's traffic, 0 to 1, that each version has."""
        group = self.look()
        found = shares(group)
        return {version_of(member) or member.name: found[member.name] for member in group.members if found[member.name]}

    def traffic(
        self,
        path: str = "",
        *,
        method: str = "POST",
        json: Any = None,
        rate: float = 100.0,
        threads: int = 4,
        good: Callable[[Response], bool] = lambda answer: answer.ok,
    ) -> Traffic:
        """Return people who ask the group's endpoint inside a `with`; they wait for a group that is not there yet.

        :param path: behind the endpoint, `/predict` say.
        :param json: the body; a function makes each anew.
        :param rate: requests a second, of the test's own time.
        :param good: tells a good answer; by default by its status, below 400.
        """
        return Traffic(self, path, method, json, rate, threads, good)


class Traffic(Pace):
    """Counts of what people asked a group's endpoint, and the threads that ask."""

    def __init__(
        self,
        group: ServiceGroup,
        path: str,
        method: str,
        json: Any,
        rate: float,
        threads: int,
        good: Callable[[Response], bool],
    ) -> None:
        super().__init__(self._ask_on, rate, threads)
        self.by_version: Counter[str] = Counter()
        """Answers, good or not, by the version of the model that gave them."""
        self.failures: list[Failure] = []
        self._group, self._path, self._method, self._json, self._good = group, path, method, json, good
        self._versions: dict[str, str] = {}

    @property
    def requests(self) -> int:
        """Return how many requests were answered, or lost."""
        return self.by_version.total()

    def failed(self, version: str) -> int:
        """Return how many requests a version answered badly."""
        return sum(failure.version == version for failure in self.failures)

    def __enter__(self) -> Self:
        """Begin to ask."""
        _ = self._group.eas.credentials  # read here: in a thread Airflow might ask for it in the name of a task
        return super().__enter__()

    def _ask_on(self) -> None:
        eas = self._group.eas.sibling(EasHook)
        endpoint = self._endpoint(eas)
        if endpoint is None:
            return
        with Session() as session:
            session.headers["Authorization"] = endpoint.token
            for _ in self.turns():
                self._ask(eas, session, endpoint.url + self._path)

    def _endpoint(self, eas: EasHook) -> Endpoint | None:
        """Return where the group answers, once it is there; None: the test has ended."""
        while not self.is_over_after(_LOOK_AGAIN):
            if eas.group(self._group.name).members:
                return eas.group_endpoint(self._group.name)
        return None

    def _ask(self, eas: EasHook, session: Session, url: str) -> None:
        body = self._json() if callable(self._json) else self._json
        try:
            answer = session.request(self._method, url, json=body, timeout=_TIMEOUT)
        except RequestException as error:
            self._count(Failure(GATEWAY, 0, repr(error)))
            return
        version = self._version(eas, answer.headers.get(_SERVICE))
        if self._good(answer):
            self.by_version[version] += 1
        else:
            self._count(Failure(version, answer.status_code, answer.text[:200]))

    def _count(self, failure: Failure) -> None:
        self.by_version[failure.version] += 1
        self.failures.append(failure)

    def _version(self, eas: EasHook, service: str | None) -> str:
        """Return the version that a service serves; a service without one has its own name."""
        if service is None:
            return GATEWAY
        if service not in self._versions:
            try:
                member = eas.group(self._group.name, service).member(service)
            except PaiError:  # an answer that a test's fault has spoiled; the next one asks again
                return service
            self._versions[service] = version_of(member) or service
        return self._versions[service]
