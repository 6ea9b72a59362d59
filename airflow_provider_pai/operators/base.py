"""The bases of all operators: a connection and a ledger; for jobs, exactly one submit, one wait, one finish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.ledger import Event, Ledger
from airflow_provider_pai.remote import DEFAULT_CONN_ID, Json

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss import OssHook

# Key of the task's state store (Airflow 3.3+): the time of a submit before it is made, then the job's id.
STATE_KEY = "pai_job"

# A submit whose answer was lost is looked for this long before it is made again: lists may lag.
SETTLE_SECONDS = 15.0
_SUBMIT_ATTEMPTS = 5

# A killed task has five seconds; for so long it looks for the job of a submit that has not been answered.
_KILL_LOOK_SECONDS = 3.0

# The stop is asked for this much before the framework's own time-out, which runs none of our code.
_MAX_MARGIN = timedelta(seconds=10)


class PaiOperator(BaseOperator):
    """Base of the operators.

    :param pai_conn_id: connection of type `pai`. (templated)
    :param region: overrides the connection's region. (templated)
    :param workspace_id: overrides the connection's workspace. (templated)
    :param ledger_conn_id: common-sql connection of the audit ledger; by default the `pai` connection's, else an
        SQLite file in AIRFLOW_HOME. (templated)
    """

    hook_path: ClassVar[str] = "airflow_provider_pai.hooks.base.PaiHook"
    """The hook's class: a path, so that parsing a DAG file imports no hook."""
    template_fields: Sequence[str] = ("pai_conn_id", "region", "workspace_id", "ledger_conn_id")

    def __init__(
        self,
        *,
        pai_conn_id: str = DEFAULT_CONN_ID,
        region: str | None = None,
        workspace_id: str | None = None,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pai_conn_id = pai_conn_id
        self.region = region
        self.workspace_id = workspace_id
        self.ledger_conn_id = ledger_conn_id

    @property
    def hook_arguments(self) -> Json:
        """Return what builds a hook on this operator's connection."""
        return {"pai_conn_id": self.pai_conn_id, "region": self.region, "workspace_id": self.workspace_id}

    @cached_property
    def hook(self) -> Any:
        """Return the operator's hook."""
        return import_string(self.hook_path)(**self.hook_arguments)

    @cached_property
    def oss(self) -> OssHook:
        """Return the OSS hook of the same connection."""
        from airflow_provider_pai.hooks.oss import OssHook

        return self.hook.sibling(OssHook)  # type: ignore[no-any-return]

    def identity(self, context: Any) -> TaskIdentity:
        """Return the key of this task instance's external work."""
        return TaskIdentity.from_context(context, self.hook.connection.deployment)

    def record(self, event: Event) -> None:
        """Write a ledger row; a retried task writes no second one."""
        Ledger.open(self.ledger_conn_id or self.hook.connection.ledger_conn_id).record(event)

    def skip(self, reason: str) -> NoReturn:
        """Skip this task and what stands behind it; the log says why in a line of its own.

        :raises AirflowSkipException: always.
        """
        self.log.warning("Skipped: %s", reason)
        raise AirflowSkipException(reason)


def deadline_of(started: datetime, timeout: timedelta | None) -> str | None:
    """Return the absolute time at which a trigger must act for an `execution_timeout`, a little before it."""
    if timeout is None:
        return None
    return (started + timeout - min(_MAX_MARGIN, timeout / 10)).isoformat()


def task_key(identity: TaskIdentity) -> Json:
    """Return what a trigger needs to ask for the task's state."""
    return {
        "dag_id": identity.dag_id,
        "run_id": identity.run_id,
        "task_id": identity.task_id,
        "map_index": identity.map_index,
    }
