"""One case: a path, a call of it, a fault that the call meets, and for how long; played, and judged."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from requests.adapters import HTTPAdapter

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.emulator.faults import Fault
from airflow_provider_pai.testing.speed import hastened
from tests import faults
from tests.fire import jobs, ledger, objects, services  # noqa: F401 - they tell their paths when they are imported
from tests.fire.services import PEOPLE
from tests.fire.speed import SPEED, WINDOW, impatient
from tests.fire.stage import DEFERRABLE, PATHS
from tests.permissions.scene import Scene, scene
from tests.said import said

ROTATIONS = ("expired token", "rotated key")
REFUSED = "refused"
KINDS = (REFUSED, *(kind for kind in faults.KINDS if kind not in ("expired token", "unknown key")), *ROTATIONS)
TRANSIENT = {REFUSED, *faults.TRANSIENT}
EXTENTS: dict[str, int | None] = {"once": 1, "three times": 3, "longer": None}
"""How many calls a fault hits; None: all, until no hook asks any longer."""
LIFTED_AFTER = 1.3 * WINDOW
_AN_END = re.compile("api (Stop|Delete|Get|Describe|List)|oss PUT .*/rollouts/")
_TODO = {"clock skew": "synchronize", "403": "docs/permissions.md"}
_LOUD = "(?i)RUNS ON|GOES ON|may go on costing|ends by itself"
LEFT = ("running:", "instances:", "services:", "the lease is held:")
"""What runs on, in a promise's words: where nobody could end it, it is enough that the log says so."""


class Case(NamedTuple):
    """One case.

    :param call: as `call_name` has it, what differs from run to run left open: a regular expression.
    :param skip: how many such calls go well before.
    :param pick: which field of the answer, where the fault is about one.
    """

    path: str
    deferrable: bool
    call: str
    skip: int
    kind: str
    extent: str
    pick: int


class Found(NamedTuple):
    """What came of a case.

    :param hit: the fault met a call at all.
    :param wrong: what is not as it should be.
    :param told: the errors of its tries.
    """

    hit: bool
    wrong: list[str]
    told: list[str]


@dataclass(kw_only=True)
class _Watch(Fault):
    """Sees the calls, and lets them through."""

    def __post_init__(self) -> None:
        self.calls: list[str] = []

    def hits(self, call: str) -> bool:
        if PEOPLE not in call and "/_emulator" not in call:
            self.calls.append(call)
        return False


@dataclass(kw_only=True)
class _Lifted(Fault):
    """A fault that is over some time after its first hit."""

    lasts: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.was_hit = False

    def hits(self, call: str) -> bool:
        hit = PEOPLE not in call and super().hits(call)
        if hit and not self.was_hit:
            self.was_hit = True
            if self.lasts:
                timer = threading.Timer(LIFTED_AFTER, self.lift)
                timer.daemon = True
                timer.start()
        return hit

    def lift(self) -> None:
        """End it."""
        self.times = 0


@dataclass(kw_only=True)
class _Rotation(_Lifted):
    """The key that the connection holds ends at a call; the connection has the next one at once, or late."""

    pai: Any = None
    temporary: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._old = self._next()

    def hits(self, call: str) -> bool:
        if super().hits(call) and self._old is not None:
            ended, self._old = self._old, None
            if not self.lasts:
                self._old = self._next()
            self.pai.account.remove_credential(ended.access_key_id)
        return False

    def lift(self) -> None:
        super().lift()
        if self._old is None:
            self._old = self._next()

    def _next(self) -> Any:
        key = self.pai.account.add_user(temporary=self.temporary)
        connect(key)
        return key


def connect(key: Any) -> None:
    """Let the connection hold a key."""
    held = json.loads(os.environ["AIRFLOW_CONN_PAI_DEFAULT"])
    held |= {"login": key.access_key_id, "password": key.access_key_secret}
    if key.security_token:
        held["extra"] |= {"auth": "sts", "security_token": key.security_token}
    os.environ["AIRFLOW_CONN_PAI_DEFAULT"] = json.dumps(held)


def make_fault(case: Case, at: Scene) -> _Lifted | None:
    """Return the rule; None: no such answer comes from this service."""
    times = EXTENTS[case.extent]
    given: dict[str, Any] = {"match": case.call, "skip": case.skip, "times": times, "lasts": times is None}
    if case.kind in ROTATIONS:
        return _Rotation(**given, pai=at.pai, temporary=case.kind == "expired token")
    if case.kind == REFUSED:
        return _Lifted(**given)
    fields = faults.fault(case.kind, case.call.partition(" ")[0].strip("^"))
    return None if fields is None else _Lifted(**given, **fields, pick=case.pick)


@contextmanager
def burning(case: Case, at: Scene) -> Iterator[_Lifted | None]:
    """Let the fault be in force; it is lifted at the end."""
    rule = make_fault(case, at)
    if rule is None:
        yield None
        return
    try:
        if case.kind == REFUSED:
            with patch.object(HTTPAdapter, "send", _refusing(rule, at.pai)):
                yield rule
        else:
            at.pai.account.faults.rules.append(rule)
            yield rule
    finally:
        at.pai.account.faults.clear()
        rule.lift()


def _refusing(rule: Fault, pai: Emulator) -> Any:
    """Return a `send` of requests' that sends where nobody listens."""
    own, listeners = HTTPAdapter.send, {address: name for name, address in pai.account.endpoints.items()}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"

    def send(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        parts = urlsplit(request.url)
        verb = request.headers.get("x-acs-action") or request.method
        if rule.hits(f"{listeners.get(parts.netloc)} {verb} {parts.path}"):
            request.url = nobody + request.url.removeprefix(f"{parts.scheme}://{parts.netloc}")
        return own(self, request, *args, **options)

    return send


@contextmanager
def stage(pai: Emulator) -> Iterator[Scene]:
    """Give a case a bucket, a folder and a ledger of its own."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        try:
            os.environ["AIRFLOW_HOME"] = home
            with scene(pai) as at:
                yield at
        finally:
            os.environ.clear()
            os.environ.update(before)


def calls_of(pai: Emulator, path: str, deferrable: bool) -> Counter[str]:
    """Run a path without a fault; return its calls, and how often each is made.

    :raises AssertionError: it does not keep its promise.
    """
    watch = _Watch()
    with hastened(SPEED), stage(pai) as at:
        play = PATHS[path](at, deferrable)
        pai.account.faults.rules.append(watch)
        with play.meanwhile():
            end = play.task.run()
        pai.account.faults.clear()
        at.connect()
        assert not (wrong := list(play.promise(end))), wrong
        return Counter(_pattern(call) for call in watch.calls)


def _pattern(call: str) -> str:
    """Return what matches a call in every run: names and ids differ."""
    service, verb, where = call.split(" ", 2)
    if service == "api" and not where.startswith("/_"):
        # EAS's services are told apart: production's, the candidate's.
        return f"^api {verb} "
    # What is long and has digits is an id, a time or a name of this run's.
    parts = re.split(r"(?=[0-9A-Za-z-]{8})[A-Za-z-]*[0-9][0-9A-Za-z-]*", where)
    return f"^{service} {verb} {'[^/.]+'.join(map(re.escape, parts))}$"


def play(pai: Emulator, case: Case) -> Found:
    """Play a case, with as many tries as Airflow would make, and judge it."""
    with hastened(SPEED), stage(pai) as at:
        ready = PATHS[case.path](at, case.deferrable)
        with ready.meanwhile(), said(ready.said):
            with impatient(), burning(case, at) as rule:
                error, end = _try(ready.task)
            if rule is None or not rule.was_hit:
                return Found(False, [], [])
            wrong, told = list(_judge(case, error)) if error else [], [error]
            if error is not None and not isinstance(error, AirflowFailException):
                error, end = _try(ready.task)
                told.append(error)
                if error is not None:
                    wrong.append(f"the next try failed, too: {_told(error)}")
        at.connect()
        broken = list(_kept(ready.promise, end))
        if _may_leave(case) and re.search(_LOUD, ready.said.getvalue()):
            broken = [text for text in broken if not text.startswith(LEFT)]
        return Found(True, wrong + broken, [_told(each) for each in told if each])


def _may_leave(case: Case) -> bool:
    """Tell whether nobody could have ended what runs on: it was refused all the while, or for good."""
    return (case.extent == "longer" or case.kind in ("403", "clock skew")) and bool(_AN_END.search(case.call))


def _kept(promise: Any, end: Any) -> Iterator[str]:
    try:
        yield from promise(end)
    except Exception as error:  # noqa: BLE001 - whatever it is, the state is not as promised
        yield f"the promise can't be looked at: {_told(error)}"


def _try(task: Any) -> tuple[Exception | None, Any]:
    try:
        return None, task.run()
    except Exception as error:  # noqa: BLE001 - judged
        return error, None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:400]}"


def _judge(case: Case, error: Exception) -> Iterator[str]:
    """Yield what is wrong with an error that ended the first try."""
    if not isinstance(error, AirflowException):
        yield f"no error of ours: {_told(error)}"
    if case.extent == "once" and _harmless(case):
        yield f"one fault failed the try: {_told(error)}"
    service = case.call.partition(" ")[0].strip("^")
    given = faults.fault(case.kind, service) if case.kind not in (REFUSED, *ROTATIONS) else None
    if given and given.get("status", 200) >= 400 and service != "eas" and "spoil" not in given and "drop" not in given:
        code = given.get("code", "ServiceUnavailable")
        if code not in str(error) and "HEAD" not in case.call:
            yield f"its code {code} is lost: {_told(error)}"
        if "HEAD" not in case.call and not re.search(_TODO.get(case.kind, ""), str(error)):
            yield f"what to do is not told: {_told(error)}"
        if not re.search("[0-9A-F]{8}-[0-9A-F]{4}", str(error)):
            yield f"its request id is lost: {_told(error)}"


def _harmless(case: Case) -> bool:
    """Tell whether a fault that comes once must fail no try."""
    if case.kind in ROTATIONS:
        return True
    # A service's own words are not to be told from a proxy's.
    spoils = case.kind.startswith("200") and case.call.startswith("^eas")
    return case.kind in TRANSIENT and not spoils


def waits(path: str) -> tuple[bool, ...]:
    """Return the ways in which a path's task can wait."""
    return (False, True) if path in DEFERRABLE else (False,)
