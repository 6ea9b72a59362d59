"""Operator that brings a service up, or to a new version, in place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.goals import Undo, Until
from airflow_provider_pai.hooks.eas.service_config import deployed_version
from airflow_provider_pai.identity import TaskIdentity
from airflow_provider_pai.inputs import one_of, optional, seconds
from airflow_provider_pai.labels import Deployment, ServedModel, artifact_labels, checked_labels
from airflow_provider_pai.operators.deferring import first_line
from airflow_provider_pai.operators.eas.base import WaitingOperator
from airflow_provider_pai.operators.eas.spec import ServiceOperator, checked_name
from airflow_provider_pai.remote import Json, RemoteJob
from airflow_provider_pai.schemas import DEPLOYMENT, SCHEMA_VERSION
from airflow_provider_pai.states import EAS_GONE

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import ModelArtifact

ON_FAILURE = ("rollback", "keep")


class EasDeployServiceOperator(WaitingOperator, ServiceOperator):
    """Create a service, or update the one of this name, and wait until every instance is ready.

    A service is declared: its JSON takes the place of the one before, which makes a new version, and rolls from
    instance to instance. Where it is what is declared already nothing is changed. There is one service over all tries:
    EAS takes a name once a region, and the service bears what was asked for, so that a retry, or a clear, goes on with
    what an earlier try began.

    What does not become ready in `wait_timeout`, fails, or whose task is killed or timed out, is undone: an updated
    service goes back to the version that served before, one that was made is deleted (`on_failure`).

    Traffic of a group is none of this operator's: a new member gets none until it is released, which
    `EasCanaryDeployOperator` does step by step.

    API: CreateService, UpdateService, UpdateServiceVersion.

    :param service_name: 3 to 63 lowercase letters, digits and underscores. (templated)
    :param group: service group that a new service joins. (templated)
    :param on_failure: `rollback` undoes what did not become ready, `keep` leaves it for a person to look at.
    :returns: `{"service", "outcome", "version", "digest", "service_version", "previous_service_version",
        "serving_version", "instances", "endpoint"}`; outcome is created, updated or unchanged; version and digest are
        the artifact's, `service_version` and `previous_service_version` EAS's numbers.
    """

    about = "Bring up service {service_name}: {artifact}"
    came = "Service {service} is {outcome}, {instances} instances ready: {version}"

    template_fields: Sequence[str] = (
        "service_name",
        "group",
    )

    def __init__(
        self, *, service_name: str, group: str | None = None, on_failure: str = "rollback", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.service_name = service_name
        self.group = group
        self.on_failure = on_failure

    def change(self, context: Any) -> str:
        """Check everything, create or update."""
        artifact = self.checked()
        config = self.service_json(self.service_name, self.group or None, artifact.uri if artifact else None)
        own = {**self.identity(context).labels(), **Deployment().labels(), **artifact_labels(artifact)}
        checked_labels("service['labels']", config.get("labels"), own)
        self._bring_up(self.identity(context), config, artifact)
        return self.service_name

    def checked(self) -> ModelArtifact | None:
        """Refuse bad input; return the verified artifact.

        :raises PaiConfigError: naming field, value and what is allowed.
        :raises PaiArtifactError: the artifact has no valid manifest.
        """
        checked_name("service_name", self.service_name)
        self.artifact = self.given_artifact()
        self.group = optional("group", self.group, "a service group")
        if self.group:
            checked_name("group", self.group)
        one_of("on_failure", self.on_failure, ON_FAILURE)
        seconds("wait_timeout", self.wait_timeout)
        self.service_json(self.service_name, self.group or None, "oss://unknown/" if self.artifact else None)
        return self.verified_artifact() if self.artifact else None

    def begun(self, context: Any) -> tuple[str, Undo] | None:
        """Return the service and the way back, as its labels tell; None where it is another task's, or is to stay."""
        if self.on_failure != "rollback":
            return None
        tags = self.hook.get(self.service_name).tags
        undo, deployment = Undo.of(tags, self.identity(context).owner), Deployment.of(tags)
        # What has become ready, and was written down, stays.
        return (self.service_name, undo) if undo and deployment and not deployment.config_version else None

    def leave(self, context: Any, error: BaseException) -> None:
        """Record what is undone, then undo it."""
        if (self._begun or self._resumed) and (begun := self.begun(context)):
            name, undo = begun
            payload = {"service": name, "reason": first_line(error), "service_version": undo.version}
            self._record(self.identity(context), "rolled_back", self.hook.get(name).tags, payload)
        super().leave(context, error)

    def finish(self, context: Any, service: RemoteJob) -> Json:
        """Write down what serves now, and return it; what could not be written down is undone, too."""
        with self.leaving(context):
            return self._written_down(context, service)

    def _written_down(self, context: Any, service: RemoteJob) -> Json:
        hook, identity, name = self.hook, self.identity(context), service.job_id
        deployment = Deployment.of(service.tags) or Deployment()
        before, mine = deployment.before, Undo.of(service.tags, identity.owner) is not None
        outcome = ("updated" if before else "created") if mine else "unchanged"
        if outcome == "created" and self.group and not deployment.config_version:
            hook.isolate(name)  # once more: it may not have been possible while it came up
        deployment = deployment._replace(config_version=service.facts["version"])
        labels = {**service.tags, **deployment.labels()}
        if self.artifact:
            labels |= artifact_labels(self.verified_artifact())
        if labels != service.tags:
            hook.label(name, labels)
        model = ServedModel.of(labels)
        end: Json = {
            SCHEMA_VERSION: DEPLOYMENT.number,
            "service": name,
            "outcome": outcome,
            "version": model.version or None,
            "digest": model.digest or None,
            "service_version": service.facts["version"],
            "previous_service_version": before if mine and before else None,
            "serving_version": model.version or None,
            "instances": service.facts["running"],
            "endpoint": hook.endpoint(name).url,
        }
        if mine:
            self._record(identity, "deployed", labels, end)
        return end

    def _bring_up(self, identity: TaskIdentity, config: Json, artifact: ModelArtifact | None) -> None:
        """Create or update the service unless it is what is declared; nothing is waited for."""
        hook, name = self.hook, self.service_name
        service = hook.get(name)
        if service.status in hook.states.stopping:
            self.log.info("Service %s is %s: waiting until it rests", name, service.status)
            service = hook.wait(name, poll_interval=self.poll_interval, until=Until(state="stopped").is_over)
        version, latest = service.facts.get("version", 0), service.facts.get("latest", 0)
        earlier = Deployment.of(service.tags) or Deployment()
        asked = Deployment(config=_hash(config), before=earlier.served_before(version), latest=latest)
        labels = {**identity.labels(), **asked.labels()}
        if self.on_failure == "rollback":
            self._begun = (name, Undo(version=asked.before, owner=identity.owner.labels()))
        if service.status == EAS_GONE:
            self.log.info("Creating service %s", name)
            hook.create(config, {**labels, **artifact_labels(artifact)})
        elif earlier.is_for(asked.config, version=self._deployed(service, earlier), latest=latest):
            self.log.info("Service %s is what is declared, or becomes it", name)
        else:
            self._refuse_foreign(service)
            self.log.info("Updating service %s, whose version %d serves", name, version)
            hook.label(name, {**service.tags, **labels})
            hook.update(name, config, replace=True)
        self.heed_kill()
        hook.start(name, poll_interval=self.poll_interval)

    def _deployed(self, service: RemoteJob, earlier: Deployment) -> int:
        """Return the version that serves; one that only scales what was deployed is not told from it."""
        version: int = service.facts["version"]
        if earlier.config_version in (0, version):
            return version
        deployed = deployed_version(self.hook.versions(service.job_id), version)
        return earlier.config_version if deployed <= earlier.config_version <= version else version

    def _refuse_foreign(self, service: RemoteJob) -> None:
        """Refuse to change what is not a service of this operator's kind."""
        from airflow_provider_pai.canary.group import Progress

        if Progress.of(service.tags) is not None:
            raise PaiConfigError(
                "service_name", service.job_id, "a service that no rollout has made: it has its group's"
            )
        group = self.hook.describe(service.job_id).get("ServiceGroup") or None
        if group != (self.group or None):
            raise PaiConfigError("group", self.group, f"{group!r}: {service.job_id} is there, and can't move")

    def _record(self, identity: TaskIdentity, kind: str, labels: Mapping[str, str], payload: Json) -> None:
        model, deployment = ServedModel.of(labels), Deployment.of(labels) or Deployment()
        # A group has other services, and this task may have begun anew: what served before tells the beginnings apart.
        key = f"{kind}/{self.service_name}/{identity.owner}/{deployment.before}"
        self.record(kind, self.group or self.service_name, identity, model, payload, key=key, beside=self.artifact_uri)


def _hash(config: Json) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
