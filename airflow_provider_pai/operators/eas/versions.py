"""Operator that takes a single service back to one of its own versions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.service_config import deployed_version
from airflow_provider_pai.inputs import optional, required, seconds
from airflow_provider_pai.labels import Deployment, Mark, artifact_labels
from airflow_provider_pai.operators.eas.base import WaitingOperator, triggered_by
from airflow_provider_pai.operators.eas.spec import checked_name
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.schemas import DEPLOYMENT, SCHEMA_VERSION

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.eas import EasHook


class EasRollbackServiceOperator(WaitingOperator):
    """Take a service back to one of its own versions, and wait until every instance is ready.

    EAS keeps every version of a service and rolls to it from instance to instance. A retry goes on with the version
    that the first try chose. Killed or timed out, the service goes on rolling back. The next deployment of what was
    taken back makes a new version.

    API: UpdateServiceVersion; UpdateService to a later one.

    :param service_name: the service; those of a group go back with `EasRollbackOperator`. (templated)
    :param to: `previous`, the version that served before; EAS's number of one; or an artifact's version. (templated)
    :param reason: why, for the ledger. (templated)
    :returns: `{"service", "outcome", "reason", "service_version", "previous_service_version", "version", "digest",
        "previous_version", "previous_digest", "serving_version", "instances"}`: EAS's numbers, then version and digest
        of the artifact that serves again, and of the one before. The ledger's row is `restored`.
    """

    about = "Take service {service_name} back to version {to}: {reason}"
    came = "Service {service} is back from version {previous_service_version} to {service_version}"

    template_fields: Sequence[str] = ("service_name", "to", "reason")

    def __init__(
        self, *, service_name: str, to: str | int = "previous", reason: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.to = to
        self.reason = reason

    def change(self, context: Any) -> str:
        """Choose the version and go there."""
        name, hook = checked_name("service_name", self.service_name), self.hook
        seconds("wait_timeout", self.wait_timeout)
        self.reason = optional("reason", self.reason, "words that tell why")
        required("to", self.to, "previous, EAS's number of a version, or an artifact's version")
        hook.describe(name)
        service = hook.get(name)
        self._go(hook, service, self._marked(context, service))
        hook.start(name, poll_interval=self.poll_interval)
        return name

    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Write down what serves again, and return it."""
        from airflow_provider_pai.manifests import served_artifact

        hook, identity, name = self.hook, self.identity(context), service.job_id
        artifact, mark = served_artifact(self.oss, hook.describe(name)), Mark.of(service.tags)
        previous = mark.before if mark else 0
        # The labels tell it to the first try alone.
        left = served_artifact(self.oss, {"ServiceName": name, **hook.versions(name).get(previous, {})})
        deployment = Deployment.of(service.tags)
        # Without its hash, the next deployment of what was taken back makes a new version.
        taken_back = deployment._replace(config="").labels() if deployment else {}
        hook.label(name, {**service.tags, **artifact_labels(artifact), **taken_back})
        end: Json = {
            SCHEMA_VERSION: DEPLOYMENT.number,
            "service": name,
            "outcome": "restored",
            "reason": self.reason or None,
            "service_version": service.facts["version"],
            "previous_service_version": previous,
            "version": artifact.version if artifact else None,
            "digest": artifact.digest if artifact else None,
            "previous_version": left.version if left else None,
            "previous_digest": left.digest if left else None,
            "serving_version": artifact.version if artifact else None,
            "instances": service.facts["running"],
        }
        payload = {**triggered_by(context), **end}
        self.record("restored", name, identity, artifact, payload, beside=artifact.uri if artifact else None)
        return end

    def _marked(self, context: Any, service: RemoteJob) -> Mark:
        """Return this task's choice, which stands on the service."""
        owner, mark = self.identity(context).owner, Mark.of(service.tags)
        if mark is not None and mark.owner == owner:
            return mark
        version, latest = service.facts["version"], service.facts["latest"]
        mark = Mark(owner=owner, target=self._chosen(service), before=version, versions=latest)
        self.log.info("%s goes from version %d to %d", service.job_id, version, mark.target)
        self.hook.label(service.job_id, {**service.tags, **mark.labels()})
        return mark

    def _chosen(self, service: RemoteJob) -> int:
        """Return EAS's number of the version to go to.

        :raises PaiConfigError: there is no such version, or it serves already.
        """
        current, versions = service.facts["version"], self.hook.versions(service.job_id)
        if self.to == "previous":
            target = _before(service, versions)
        elif re.fullmatch("[0-9]{1,9}", str(self.to)):
            target = int(self.to)
        else:
            target = _with_artifact(versions, str(self.to))
        if target not in versions or target == current:
            known = f"{min(versions, default=1)} to {max(versions, default=1)}"
            allowed = f"another of versions {known} than {current}, which serves, or an artifact's version in them"
            raise PaiConfigError("to", self.to, allowed)
        return target

    def _go(self, hook: EasHook, service: RemoteJob, mark: Mark) -> None:
        """Ask for the version unless an earlier try has."""
        if mark.target < mark.before:
            if service.facts["version"] != mark.target:
                hook.use_version(service.job_id, mark.target)
        # Going forth makes a version: one more than there were tells that it was asked for.
        elif service.facts["latest"] <= mark.versions:
            config = json.loads(hook.versions(service.job_id)[mark.target]["ServiceConfig"])
            hook.update(service.job_id, config, replace=True)


def _before(service: RemoteJob, versions: Mapping[int, Json]) -> int:
    """Return the version that served before what was deployed; those that only scale are passed over."""
    current: int = service.facts["version"]
    deployed, deployment = deployed_version(versions, current), Deployment.of(service.tags)
    known = deployment is not None and deployed <= deployment.config_version <= current
    return deployment.before if deployment and known else deployed - 1


def _with_artifact(versions: Mapping[int, Json], artifact: str) -> int:
    """Return the latest of EAS's versions that mounts an artifact's version; 0: none does.

    A version is a folder on OSS: its name stands between slashes, or before the quote at the path's end.
    """
    numbers = [
        number
        for number, described in versions.items()
        if f"/{artifact}/" in (described.get("ServiceConfig") or "").replace('"', "/")
    ]
    return max(numbers, default=0)
