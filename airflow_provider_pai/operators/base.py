"""Base of the operators: a connection and the audit ledger."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_pai.connected import Connected, HookT
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.lazy import cached_property

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import Artifact, ModelArtifact
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.labels import ServedModel
    from airflow_provider_pai.ledger.task import TaskLedger
    from airflow_provider_pai.uri import OssUri


def is_backfill(context: Any) -> bool:
    """Tell whether a person has started the run for an interval of the past."""
    run_type = getattr(context["dag_run"], "run_type", "")
    return str(getattr(run_type, "value", run_type)) == "backfill"


class PaiOperator(Connected[HookT]):
    """Base of the operators.

    :param ledger_conn_id: common-sql connection of the audit ledger; by default the `pai` connection's, else an
        SQLite file in AIRFLOW_HOME. (templated)
    """

    template_fields: Sequence[str] = ("ledger_conn_id",)

    def __init__(self, *, ledger_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ledger_conn_id = ledger_conn_id

    def execute(self, context: Any) -> Any:
        """Do the task's work; its log begins with the aim and ends with what came of it."""
        self.say_aim()
        return self.say_end(self.carry_out(context))

    @abstractmethod
    def carry_out(self, context: Any) -> Any:
        """Read the input, do the work, and return the XCom."""

    @cached_property
    def oss(self) -> OssHook:
        """Return the OSS hook of the same connection."""
        from airflow_provider_pai.hooks.oss import OssHook

        return self.hook.sibling(OssHook)

    def identity(self, context: Any) -> TaskIdentity:
        """Return the key of this task instance's external work."""
        return TaskIdentity.from_context(context, self.hook.connection.deployment)

    @cached_property
    def ledger(self) -> TaskLedger:
        """Return the audit ledger, imported here: a DAG file that is parsed has no use for it."""
        from airflow_provider_pai.ledger.task import TaskLedger

        return TaskLedger(self.hook, self.ledger_conn_id, self.log)

    def record(
        self,
        kind: str,
        subject: str,
        identity: TaskIdentity,
        model: ServedModel | ModelArtifact | None,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        number: int | None = None,
        beside: str | OssUri | None = None,
    ) -> None:
        """Write a ledger row; a retried task writes no second one, and a ledger that is down fails no task.

        :param kind: an `EventKind`.
        :param subject: the EAS group, or the model's name.
        :param key: makes the row unique; by default the task's cycle does, and `number` which of several it is.
        :param beside: address in whose bucket the row waits for a ledger that is down, without a `state_uri`.
        """
        from airflow_provider_pai.ledger import Event

        event = Event.of(kind, subject, identity, model, payload, key=key, number=number)
        self.ledger.record(event, beside)

    def record_artifact(self, artifact: Artifact) -> None:
        """Write the ledger rows of an artifact that is there; whoever finds it again adds none."""
        from airflow_provider_pai.ledger import Event

        self.ledger.record(Event.produced(artifact), artifact.uri)
        if artifact.changed_inputs:
            self.ledger.record(Event.inputs_changed(artifact), artifact.uri)

    def skip(self, reason: str) -> NoReturn:
        """Skip this task and what stands behind it; the log says why in a line of its own.

        :raises AirflowSkipException: always.
        """
        self.log.warning("Skipped: %s", reason)
        raise AirflowSkipException(reason)
