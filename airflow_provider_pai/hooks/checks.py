"""Checks of an account, each told as rows: what the connection's Test button and `airflow pai check` ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from threading import Thread
from time import monotonic
from typing import NamedTuple

from airflow.providers.common.compat.module_loading import import_string

from airflow_provider_pai.exceptions import PaiApiError, PaiConfigError, PaiError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.aiworkspace import AIWorkspaceHook
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.errors import NETWORK_TODO, SKEW_REFUSED
from airflow_provider_pai.hooks.identity import StsHook
from airflow_provider_pai.hooks.lines import shortened
from airflow_provider_pai.services import SERVICES, path_of

_ROLE_ARN = re.compile(r"acs:ram::\d+:role/[A-Za-z0-9._-]{1,64}")
_PROVIDER_ARN = re.compile(r"acs:ram::\d+:oidc-provider/\S+")
_ACTION = re.compile(r"\b(?:pai[a-z]*|eas|oss|cms|ram):[A-Z]\w+")
# No page lists the codes of a product that nobody has activated: their names and texts have this in common.
_NOT_ACTIVATED = re.compile(r"not[ ._]?(been )?(open|activat|enabled|subscrib)|未开通", re.IGNORECASE)
_SKEW_TOLD = 60


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNCHECKED = "not checked"


class Remark(NamedTuple):
    """What a check found.

    :param says: one line.
    :param todo: what to do about it; empty where there is nothing to do.
    """

    check: str
    result: Health
    says: str
    todo: str = ""


class Check(NamedTuple):
    """One look at something; it changes nothing.

    :param rows: what is found; whatever it raises becomes a row, too.
    :param action: RAM action that it needs.
    :param needed: False: without an answer nothing is known, and nothing wrong.
    """

    name: str
    rows: Callable[[], Iterable[Remark]]
    action: str = ""
    needed: bool = True

    def unanswered(self, says: str, todo: str) -> Remark:
        """Return the row of a question that got no answer."""
        return Remark(self.name, Health.FAULT if self.needed else Health.UNCHECKED, says, todo)


def run_checks(checks: Sequence[Check], seconds: float) -> list[Remark]:
    """Run checks side by side and return their rows in the checks' order.

    :param seconds: how long each may take; one that takes longer is told as such, and left to itself.
    """
    found: dict[int, list[Remark]] = {}

    def one(number: int, check: Check) -> None:
        try:
            found[number] = list(check.rows())
        except Exception as error:  # noqa: BLE001 - one check that fails is a row, and keeps no other from its answer
            found[number] = [told(check, error)]

    # Not a pool: its threads would be waited for when the process ends.
    threads = [Thread(target=one, args=each, daemon=True) for each in enumerate(checks)]
    end = monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    late = f"no answer within {seconds:g} s"
    for number, check in enumerate(checks):
        found.setdefault(number, [check.unanswered(late, NETWORK_TODO)])
    return [row for number in range(len(checks)) for row in found[number]]


def told(check: Check, error: Exception) -> Remark:
    """Return the row of an error, in short: the row tells the service."""
    if not isinstance(error, PaiApiError):
        kind = "" if isinstance(error, PaiError) else f"{type(error).__name__}: "
        return Remark(check.name, Health.FAULT, f"{kind}{shortened(str(error))}")
    if is_not_activated(error):
        says = f"{SERVICES[error.service].title} is not activated in this account"
        return Remark(check.name, Health.WARNING, says, "activate it in the console if your DAGs use it")
    says, _, todo = error.message.partition(" → ")
    if isinstance(error, PaiPermissionError):
        return _refused(check, error, shortened(says), todo)
    if isinstance(error, PaiTransientError):
        if error.status is not None:
            says, todo = f"answered {error.status} {error.code}: {says}", todo or "try again later"
        return check.unanswered(shortened(says), todo or NETWORK_TODO)
    return Remark(check.name, Health.FAULT, f"{shortened(says)}{f' ({error.code})' if error.code else ''}", todo)


def is_not_activated(error: PaiApiError) -> bool:
    """Tell whether a service refuses because nobody has activated the product."""
    return _NOT_ACTIVATED.search(f"{error.code} {error.message}") is not None


def grouped(rows: Iterable[Remark]) -> list[tuple[str, Remark]]:
    """Put checks that found the same together, in the order of the first; return their names with a row of them."""
    names: dict[Remark, list[str]] = {}
    for row in rows:
        names.setdefault(row._replace(check=""), []).append(row.check)
    return [(", ".join(checks), row) for row, checks in names.items()]


def _refused(check: Check, error: PaiPermissionError, says: str, todo: str) -> Remark:
    """Return the row of a refusal: without its key nothing works, without a permission maybe nothing that is needed."""
    if error.of_key:
        return Remark(check.name, Health.FAULT, says, todo)
    named = _ACTION.search(says)
    action = named[0] if named else check.action
    return check.unanswered(says, todo or (f"allow {action}" if action else ""))


def quick(hook: PaiHook) -> list[Check]:
    """Return the checks of the Test button: one small question each."""
    asked = [service for service in SERVICES.values() if service.name not in ("sts", "ram")]
    return [
        Check("identity", partial(_identity, hook)),
        *(Check(each.title, partial(_answers, hook, each.hook, each.title), each.permission) for each in asked),
        Check("workspace", partial(_workspace, hook), "paiworkspace:GetWorkspace", needed=False),
        Check("roles", partial(_roles, hook)),
    ]


def _identity(hook: PaiHook) -> Iterator[Remark]:
    """Tell who calls, and by the answer's Date how far this machine's clock is off."""
    caller = hook.sibling(StsHook).caller()
    off = None if caller.at is None else hook.clock.now() - caller.at
    if caller.kind == "Account":
        todo = "make a RAM user for Airflow: this key may do everything"
        yield Remark("identity", Health.WARNING, f"the account itself, {caller.arn}", todo)
    else:
        yield Remark("identity", Health.OK, f"{caller.kind} {caller.arn}")
    if off is None:
        yield Remark("clock", Health.UNCHECKED, "the answer bears no Date")
    elif abs(off) < _SKEW_TOLD:
        yield Remark("clock", Health.OK, "this machine's is right")
    else:
        result = Health.WARNING if abs(off) < SKEW_REFUSED else Health.FAULT
        says = f"this machine's is {abs(off):.0f} s {'fast' if off > 0 else 'slow'}; {SKEW_REFUSED} s are refused"
        yield Remark("clock", result, says, "synchronize it (NTP) here and on every worker")


def _answers(hook: PaiHook, path: str, title: str) -> Iterator[Remark]:
    try:
        hook.sibling(import_string(path_of(path))).ping()
    except PaiConfigError as error:  # it needs a field that the connection has not
        yield Remark(title, Health.UNCHECKED, str(error))
    else:
        yield Remark(title, Health.OK, "answered")


def _workspace(hook: PaiHook) -> Iterator[Remark]:
    workspace_id = hook.connection.workspace_id
    if not workspace_id:
        says = "none in the connection: the account's default workspace is used, and code sources are refused"
        yield Remark("workspace", Health.WARNING, says, "set workspace_id")
        return
    found = hook.sibling(AIWorkspaceHook).workspace(workspace_id)
    if found is None:
        says = f"there is no workspace {workspace_id} in {hook.connection.region}"
        yield Remark("workspace", Health.FAULT, says, "set workspace_id (PAI console, Workspaces) or region")
    elif found["Status"] != "ENABLED":
        says = f"workspace {workspace_id} is {found['Status']}"
        yield Remark("workspace", Health.FAULT, says, "enable it in the PAI console, or set another workspace_id")
    else:
        yield Remark("workspace", Health.OK, f"{workspace_id} ({found['WorkspaceName']})")


def _roles(hook: PaiHook) -> Iterator[Remark]:
    given = {"role_arn": _ROLE_ARN, "oidc_provider_arn": _PROVIDER_ARN}
    for name, pattern in given.items():
        if value := getattr(hook.connection, name):
            yield arn_row(f"connection, {name}", value, pattern)


def arn_row(check: str, arn: str, pattern: re.Pattern[str] = _ROLE_ARN) -> Remark:
    """Tell whether an ARN is well formed."""
    if pattern.fullmatch(arn):
        return Remark(check, Health.OK, arn)
    todo = "copy it from the RAM console: acs:ram::<account id>:role/<name>"
    return Remark(check, Health.FAULT, f"{arn!r} is no ARN of a {'role' if pattern is _ROLE_ARN else 'provider'}", todo)
