"""Operator that takes a single service back to one of its own versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.goals import BEFORE, CONFIG, CONFIG_VERSION, Until
from airflow_provider_pai.inputs import seconds
from airflow_provider_pai.ledger import Event, EventKind
from airflow_provider_pai.operators.eas.base import WaitingOperator
from airflow_provider_pai.operators.eas.spec import artifact_labels, checked_name
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.states import Verdict

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook

# On the service stands who takes it back, to which version, from which, and how many there were.
_NOTE = "airflow_note"


class EasRollbackServiceOperator(WaitingOperator):
    """Take a service back to one of its own versions, and wait until every instance is ready.

    EAS keeps every version of a service and rolls to it from instance to instance. A retry goes on with the version
    that the first try chose. Killed or timed out, the service goes on rolling back. The next deployment of what was
    taken back makes a new version.

    Returns `{"service", "service_version", "previous", "version", "digest", "instances"}`: EAS's numbers, and the
    version and digest of the artifact that serves again. API: UpdateServiceVersion; UpdateService to a later one.

    :param service_name: the service; those of a group go back with `EasRollbackOperator`. (templated)
    :param to: `previous`, the version that served before; EAS's number of one; or an artifact's version. (templated)
    """

    template_fields: Sequence[str] = ("service_name", "to")

    def __init__(self, *, service_name: str, to: str | int = "previous", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.to = to

    def execute(self, context: Any) -> Json:
        """Choose the version, go there, wait."""
        name, hook = checked_name("service_name", self.service_name), self.hook
        seconds("wait_timeout", self.wait_timeout)
        hook.describe(name)
        service = self._marked(context, hook.get(name))
        target, _, versions = _read(service)
        self._go(hook, service, target, versions)
        if hook.states.judge(hook.get(name).status) is Verdict.FAILED:
            hook.start(name)
        return self.wait(context, name, Until(state="ready"))

    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Write down what serves again, and return it."""
        from airflow_provider_pai.manifests import served_artifact

        hook, identity, name = self.hook, self.identity(context), service.job_id
        artifact = served_artifact(self.oss, hook.describe(name))
        bad = service.tags.get("airflow_version", "")
        _, previous, _ = _read(service)
        labels = {**service.tags, **artifact_labels(artifact), CONFIG: "-"}
        hook.label(name, labels)
        end: Json = {
            "service": name,
            "service_version": service.facts["version"],
            "previous": previous,
            "version": artifact.version if artifact else None,
            "digest": artifact.digest if artifact else None,
            "instances": service.facts["running"],
        }
        made = {"dag_id": identity.dag_id, "run_id": identity.run_id, "task_id": identity.task_id}
        self.record(
            Event(
                key=f"rolled_back/{name}/{identity.task}/{identity.cycle}",
                kind=EventKind.ROLLED_BACK,
                subject=name,
                version=bad,
                digest=service.tags.get("airflow_digest", ""),
                payload={**made, **end, "serving_version": end["version"]},
            )
        )
        self.log.info("%s is back from version %d to %d", name, previous, end["service_version"])
        return end

    def _marked(self, context: Any, service: RemoteJob) -> RemoteJob:
        """Return the service with this task's choice on it."""
        identity = self.identity(context)
        mark = f"rollback {identity.task}.{identity.cycle} "
        if service.tags.get(_NOTE, "").startswith(mark):
            return service
        target = self._chosen(service)
        note = f"{mark}{target} {service.facts['version']} {service.facts['latest']}"
        self.log.info("%s goes from version %d to %d", service.job_id, service.facts["version"], target)
        self.hook.label(service.job_id, {**service.tags, _NOTE: note})
        return self.hook.get(service.job_id)

    def _chosen(self, service: RemoteJob) -> int:
        """Return EAS's number of the version to go to.

        :raises PaiConfigError: there is no such version, or it serves already.
        """
        current, latest = service.facts["version"], service.facts["latest"]
        if self.to == "previous":
            known = service.tags.get(CONFIG_VERSION) == str(current)
            target = int(service.tags.get(BEFORE) or 0) if known else current - 1
        elif str(self.to).isdigit():
            target = int(self.to)
        else:
            target = self._with_artifact(service.job_id, str(self.to))
        if not 1 <= target <= latest or target == current:
            allowed = (
                f"another of versions 1 to {latest} than {current}, which serves, or an artifact's version in them"
            )
            raise PaiConfigError("to", self.to, allowed)
        return target

    def _with_artifact(self, name: str, version: str) -> int:
        found = [
            number
            for number, one in enumerate(self.hook.versions(name), 1)
            if f"/{version}/" in (one.get("ServiceConfig") or "").replace('"', "/")
        ]
        return found[-1] if found else 0

    def _go(self, hook: EasHook, service: RemoteJob, target: int, versions: int) -> None:
        """Ask for the version unless an earlier try has."""
        current, latest = service.facts["version"], service.facts["latest"]
        if current == target or latest > versions:
            return
        if target < current:
            hook.use_version(service.job_id, target)
        else:
            config = json.loads(hook.versions(service.job_id)[target - 1]["ServiceConfig"])
            hook.update(service.job_id, config, replace=True)


def _read(service: RemoteJob) -> tuple[int, int, int]:
    """Return target, version before and number of versions from the note."""
    target, before, versions = service.tags[_NOTE].split()[-3:]
    return int(target), int(before), int(versions)
