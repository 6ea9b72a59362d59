"""Needs of a DAG's operators, read from their fields without running anything."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowException, conf

from airflow_provider_pai.canary.group import check_group_name
from airflow_provider_pai.cli.checks import bucket, metrics
from airflow_provider_pai.connected import Connected
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.checks import Check, Health, Remark, arn_row
from airflow_provider_pai.inputs import seconds
from airflow_provider_pai.operators.workload.base import WorkloadOperator
from airflow_provider_pai.operators.workload.limits import FALLBACK, TimeLimit
from airflow_provider_pai.uri import OssUri

# A registry with its port, a path, a tag and a digest; only the name must be there.
_IMAGE = re.compile(r"([\w.-]+(:\d+)?/)?([a-z0-9][\w.-]*/)*[a-z0-9][\w.-]*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")
_RESOURCE = re.compile(r"\S+")
# Since 3.2 DagBag has a place of its own.
_DAG_BAG = "airflow.dag_processing.dagbag" if find_spec("airflow.dag_processing.dagbag") else "airflow.models.dagbag"


class Need(NamedTuple):
    """A value of an operator's field.

    :param place: where it stands, `task.field`.
    """

    place: str
    field: str
    value: Any


def dag_of(dag_id: str, folder: Path | None = None) -> Any:
    """Parse the DAG files and return a DAG.

    :param folder: by default Airflow's folder of DAGs.
    :raises PaiConfigError: there is none of this id; it names those that are there, and what can't be imported.
    """
    folder = folder or Path(conf.get("core", "dags_folder")).expanduser()
    sys.path.append(str(folder))  # as Airflow has it, so that DAG files find their own modules
    found = import_string(f"{_DAG_BAG}.DagBag")(dag_folder=str(folder))
    if dag_id in found.dags:
        return found.dags[dag_id]
    broken = f"; these can't be imported: {_some(found.import_errors)}" if found.import_errors else ""
    near = get_close_matches(dag_id, found.dags, n=5) or found.dags
    raise PaiConfigError("--dag", dag_id, f"DAGs in {folder}: {_some(near)}{broken}")


def _some(names: Iterable[str]) -> str:
    """Return the first of many names."""
    listed = sorted(names)
    more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""
    return f"{', '.join(listed[:10]) or 'none'}{more}"


def checks_of_dag(dag: Any, hook: PaiHook) -> list[Check]:
    """Return the checks of what a DAG's operators need."""
    needs = [need for task in dag.tasks for need in _needs(dag, task)]
    if not needs:
        says = "has no operators of this provider"
        return [Check("DAG", lambda: [Remark("DAG", Health.WARNING, says)])]
    return [
        *_buckets(needs, hook),
        *_sources(dag, hook),
        Check("DAG's fields", partial(_fields, needs)),
        Check("DAG's connections", partial(_connections, needs, hook)),
        Check("time limits", partial(_limits, dag, hook)),
    ]


def _needs(dag: Any, task: Any) -> Iterator[Need]:
    """Yield the fields of a task of ours; of a mapped one those that are the same for all."""
    kind = _class_of(task)
    if not issubclass(kind, Connected):
        return
    for field in kind.template_fields:
        yield Need(f"{task.task_id}.{field}", field, _rendered(dag, _given(task).get(field)))


def _class_of(task: Any) -> type[Any]:
    """Return the class of a task, of a mapped one that of each of its instances."""
    kind = getattr(task, "operator_class", type(task))
    return kind if isinstance(kind, type) else type(task)


def _given(task: Any) -> Mapping[str, Any]:
    """Return the fields of a task, of a mapped one what is the same for all."""
    given: Mapping[str, Any] = getattr(task, "partial_kwargs", None) or vars(task)
    return given


class _Unknown(str):
    """A text with a template that can't be rendered before the DAG runs."""

    __slots__ = ()


def _rendered(dag: Any, value: Any) -> Any:
    """Render what needs no run: texts, and templates of nothing but `params`."""
    if isinstance(value, Mapping):
        return {name: _rendered(dag, one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rendered(dag, one) for one in value]
    if not isinstance(value, str):
        return _Unknown(value) if hasattr(value, "resolve") else value  # of another task's XCom nothing is known
    if "{{" not in value and "{%" not in value:
        return value
    from jinja2 import StrictUndefined, TemplateError

    try:
        environment = dag.get_template_env().overlay(undefined=StrictUndefined)
        return str(environment.from_string(value).render(params=_defaults(dag)))
    except (TemplateError, TypeError, ValueError):
        return _Unknown(value)


def _defaults(dag: Any) -> dict[str, Any]:
    """Return the values of a DAG's params, without those that are given with a run."""
    values = {}
    for name in dag.params:
        with contextlib.suppress(AirflowException, ValueError):
            values[name] = dag.params[name]
    return values


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _known(value: Any) -> bool:
    return not any(isinstance(text, _Unknown) for text in _texts(value))


def _buckets(needs: Iterable[Need], hook: PaiHook) -> Iterator[Check]:
    """Yield one check a bucket that addresses name."""
    places: dict[str, list[str]] = {}
    for need in needs:
        for uri in _addresses(need.value):
            with contextlib.suppress(ValueError):  # told by its field
                places.setdefault(OssUri.parse(uri).bucket, []).append(need.place)
    for name, named_by in sorted(places.items()):
        yield bucket(hook, name, list(dict.fromkeys(named_by)))


def _addresses(value: Any) -> Iterator[str]:
    yield from (text for text in _texts(value) if text.startswith("oss://") and not isinstance(text, _Unknown))


def _sources(dag: Any, hook: PaiHook) -> Iterator[Check]:
    """Yield one check for each metrics source that rollouts ask for."""
    told: list[Any] = []
    for task in dag.tasks:
        if "plan" not in getattr(task, "template_fields", ()) or not hasattr(task, "metrics"):
            continue
        declared = _rendered(dag, task.metrics) or {"kind": "cloudmonitor"}  # a rollout's default
        if declared not in told and _known(declared):
            told.append(declared)
            name = f"metrics of {task.task_id}"
            yield Check(name, partial(metrics, hook, declared, Health.FAULT, name), "cms:QueryMetricList")


def _fields(needs: Iterable[Need]) -> Iterator[Remark]:
    """Tell which values are not well formed, and which are not known before the DAG runs."""
    looked_at, unknown = 0, []
    for need in needs:
        if need.value in (None, "", [], {}):
            continue
        if not _known(need.value):
            unknown.append(need.place)
            continue
        reader = _READERS.get(need.field)
        looked_at += 1
        try:
            for uri in _addresses(need.value):
                OssUri.parse(uri, need.place)
            if reader is not None and isinstance(need.value, str):
                reader(need.place, need.value)
        except ValueError as error:
            yield Remark(need.place, Health.FAULT, str(error))
    yield Remark("DAG's fields", Health.OK, f"{looked_at} values read")
    if unknown:
        says = f"templates that need a run: {', '.join(unknown)}"
        yield Remark("DAG's templates", Health.UNCHECKED, says)


def _connections(needs: Iterable[Need], hook: PaiHook) -> Iterator[Remark]:
    """Tell which tasks use another connection or another region."""
    same = {"pai_conn_id": hook.pai_conn_id, "region": hook.connection.region}
    for need in needs:
        if need.field in same and need.value not in (None, "", same[need.field]):
            says = f"{need.place} is {need.value}, which is not what is checked here"
            todo = f"airflow pai check --conn-id {need.value}" if need.field == "pai_conn_id" else ""
            yield Remark("DAG's connections", Health.UNCHECKED, says, todo)


def _limits(dag: Any, hook: PaiHook) -> Iterator[Remark]:
    """Tell when a service itself ends the job or the instance of a task."""
    for task in dag.tasks:
        if not issubclass(_class_of(task), WorkloadOperator):
            continue
        given, of_connection = _given(task).get("max_running_time"), hook.connection.max_running_time
        own = None if given is None else seconds("max_running_time", given)
        limit = TimeLimit.of(own, task.execution_timeout, of_connection)
        result, todo = (Health.WARNING, "set execution_timeout") if limit is FALLBACK else (Health.OK, "")
        yield Remark(f"time limit of {task.task_id}", result, f"the service itself ends it after {limit}", todo)


def _role(field: str, value: str) -> None:
    if arn_row(field, value).result is not Health.OK:
        raise PaiConfigError(field, value, "acs:ram::<account id>:role/<name>, from the RAM console")


def _matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str, str], None]:
    def read(field: str, value: str) -> None:
        if not pattern.fullmatch(value):
            raise PaiConfigError(field, value, allowed)

    return read


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "role_arn": _role,
    "group": check_group_name,
    "service_name": check_group_name,
    "image": _matching(_IMAGE, "registry/namespace/name:tag, in lowercase"),
    "resource_id": _matching(_RESOURCE, "the id of a quota or a resource group"),
    "resource_group": _matching(_RESOURCE, "the id of a resource group, as eas-r-…"),
}
"""Reader of a field's text; raises PaiConfigError."""
