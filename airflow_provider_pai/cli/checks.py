"""Checks of what lies around an account: buckets, EAS's role and metrics, the ledger, Airflow itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiMetricsError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.checks import Check, Health, Remark, is_not_activated
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.dsw import DswHook
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.identity import EAS_ROLE, RamHook
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.home import configured_home
from airflow_provider_pai.ledger import database, place
from airflow_provider_pai.ledger.executors import one_of_many
from airflow_provider_pai.ledger.outbox import outbox_folder
from airflow_provider_pai.ledger.schema import LATEST, schema_version
from airflow_provider_pai.ledger.sessions import session
from airflow_provider_pai.metrics.base import Declaration, make_source
from airflow_provider_pai.metrics.cloudmonitor import CloudMonitorMetrics


class _ReadOfNothing(NamedTuple):
    """A read of something that does not exist: that there is none is an answer, and the permission is there."""

    name: str
    hook: type[PaiHook]
    method: str
    nobody: str
    action: str


_READS = (
    _ReadOfNothing("DLC jobs", DlcHook, "describe", "dlc0airflowcheck", "paidlc:GetJob"),
    _ReadOfNothing("DSW instances", DswHook, "describe", "dsw-airflow-check", "paidsw:GetInstance"),
    _ReadOfNothing("EAS services", EasHook, "describe", "airflow_check", "eas:DescribeService"),
    _ReadOfNothing("EAS groups", EasHook, "describe_group", "airflow_check", "eas:DescribeGroup"),
)
_OTHER_ENDPOINT = re.compile(r"endpoint is oss-([a-z0-9-]+?)(?:-internal)?\.")


def around(hook: PaiHook) -> list[Check]:
    """Return the checks that every connection has, beside the quick ones."""
    return [
        *(Check(each.name, partial(_read, hook, each), each.action, needed=False) for each in _READS),
        Check("state_uri", partial(_home, hook), "oss:GetBucketInfo"),
        Check("EAS's own role", partial(_eas_role, hook), "ram:GetRole", needed=False),
        Check("metrics of EAS", partial(metrics, hook, {"kind": "cloudmonitor"}), "cms:QueryMetricList", needed=False),
        Check("ledger", partial(_ledger, hook)),
        Check("Airflow", _airflow),
    ]


def bucket(hook: PaiHook, name: str, places: Sequence[str] = ()) -> Check:
    """Return the check of a bucket.

    :param places: where it is named.
    """
    named = f", named by {', '.join(places)}" if places else ""
    return Check(f"bucket {name}", partial(_bucket, hook, name, named), "oss:GetBucketInfo")


def metrics(
    hook: PaiHook, declaration: Declaration, missing: Health = Health.WARNING, name: str = "metrics of EAS"
) -> Iterator[Remark]:
    """Tell whether a metrics source answers.

    :param missing: what it is where it does not.
    :param name: the check's.
    """
    source = make_source(declaration, hook.sibling(EasHook))
    try:
        source.check()
    except PaiMetricsError as error:
        yield Remark(name, missing, str(error), "or give rollouts another source")
        return
    says = "the source answers"
    if isinstance(source, CloudMonitorMetrics):
        found = source.found
        percentiles = ", ".join(f"p{percent}" for percent in sorted(found.latencies)) or "no latencies"
        says = f"CloudMonitor's {found.namespace}: {found.requests}, {found.errors}, {percentiles}"
    yield Remark(name, Health.OK, says)


def _read(hook: PaiHook, read: _ReadOfNothing) -> Iterator[Remark]:
    try:
        getattr(hook.sibling(read.hook), read.method)(read.nobody)
    except (PaiPermissionError, PaiTransientError):
        raise
    except PaiApiError as error:
        if error.status is None or is_not_activated(error):
            raise
    yield Remark(read.name, Health.OK, "may be read")


def _eas_role(hook: PaiHook) -> Iterator[Remark]:
    try:
        hook.sibling(RamHook).role(EAS_ROLE)
    except PaiNotFoundError:
        todo = "open EAS once in the PAI console as somebody who may do ram:CreateServiceLinkedRole"
        yield Remark("EAS's own role", Health.WARNING, f"{EAS_ROLE} is not there: EAS can't mount OSS", todo)
    else:
        yield Remark("EAS's own role", Health.OK, EAS_ROLE)


def _bucket(hook: PaiHook, name: str, named: str) -> Iterator[Remark]:
    found, status = _place(hook, f"bucket {name}", name, named)
    if status and not hook.connection.state_uri:
        says = f"{found.says}, versioning {status}: each look of a rollout stays there for ever"
        yield found._replace(
            result=Health.WARNING, says=says, todo="set state_uri to a bucket that never had versioning"
        )
    else:
        yield found


def _home(hook: PaiHook) -> Iterator[Remark]:
    home = configured_home(hook.connection)
    if home is None:
        yield Remark("state_uri", Health.OK, "none: a group's state lies in the bucket of its first artifact")
        return
    found, status = _place(hook, "state_uri", home.bucket, "")
    if status:
        says = f"bucket {home.bucket} has versioning ({status}): each renewal of a lease would stay there for ever"
        found = found._replace(result=Health.FAULT, says=says, todo="name a bucket that never had versioning")
    if found.result is Health.OK:
        next(hook.sibling(OssHook).list_objects(home), None)
        found = found._replace(says=f"{home} can be read")
    yield found


def _place(hook: PaiHook, check: str, name: str, named: str) -> tuple[Remark, str]:
    """Return whether a bucket is where it must be, and its versioning: `Enabled`, `Suspended` or nothing."""
    oss, region = hook.sibling(OssHook), hook.connection.region
    try:
        lies_in = oss.bucket_region(name)
    except PaiNotFoundError:
        return Remark(check, Health.FAULT, f"there is no bucket {name}{named}", f"create it in {region}"), ""
    except PaiPermissionError as error:
        # Of a bucket in another region OSS tells the endpoint alone.
        if not (found := _OTHER_ENDPOINT.search(error.message)):
            raise
        lies_in = found[1]
    if lies_in != region:
        todo = f"use one in {region}: jobs and services mount only their own region's"
        return Remark(check, Health.FAULT, f"lies in {lies_in}, not {region}{named}", todo), ""
    return Remark(check, Health.OK, f"in {lies_in}"), oss.bucket_versioning(name)


def _ledger(hook: PaiHook) -> Iterator[Remark]:
    """Tell whether the ledger answers, and whether all workers have the same one; nothing is written."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    conn_id = hook.connection.ledger_conn_id
    found = database(conn_id)
    if why := one_of_many(found):
        says = f"an SQLite file ({place(conn_id)}): {why}, and `previous` goes by the services that stand alone"
        yield Remark("ledger", Health.FAULT, says, "let ledger_conn_id name a Postgres or MySQL connection")
    elif isinstance(found, SqliteHook):
        says = f"an SQLite file ({place(conn_id)}), good while all tasks run on this machine"
        yield Remark("ledger", Health.OK, says)
    else:
        with session(found) as opened:
            version = schema_version(opened)
        says, todo = f"{place(conn_id)} answers", "run `airflow pai ledger migrate`; tasks try it, if its user may"
        if version < LATEST:
            yield Remark("ledger", Health.WARNING, f"{says}, and lacks tables", todo)
        else:
            yield Remark("ledger", Health.OK, says)
    folder = outbox_folder(hook.connection, conn_id, None)
    if folder and (waiting := sum(1 for _ in hook.sibling(OssHook).list_objects(folder))):
        yield Remark(
            "ledger", Health.WARNING, f"{waiting} rows wait for it in {folder}", "run `airflow pai ledger flush`"
        )


def _airflow() -> Iterator[Remark]:
    from airflow import __version__
    from airflow.triggers.base import BaseTrigger

    version = tuple(int(part) for part in __version__.split(".")[:2])
    can = {
        "approval of a canary by a person (3.1)": version >= (3, 1),
        "`airflow pai …` (3.2; `python -m airflow_provider_pai.cli …` is the same)": version >= (3, 2),
        "a job's id kept with its task (3.3)": version >= (3, 3),
        "telling a trigger of a kill (3.3)": hasattr(BaseTrigger, "on_kill"),
    }
    missing = [what for what, there in can.items() if not there]
    says = f"{__version__}, which has not: {'; '.join(missing)}" if missing else f"{__version__} has all that is used"
    yield Remark("Airflow", Health.OK, says)
