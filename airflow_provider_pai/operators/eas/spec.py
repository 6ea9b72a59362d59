"""Base of the operators that make an EAS service: typed arguments, the artifact, the service JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError, PaiPermissionError
from airflow_provider_pai.inputs import artifact, parse_uri, required_artifact
from airflow_provider_pai.operators.eas.artifacts import ArtifactOperator
from airflow_provider_pai.operators.eas.service_json import ServiceSpec, laid_over, service_json
from airflow_provider_pai.operators.meant import Meant
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_pai.artifact import ModelArtifact

_HOST_REGION = r"oss://[^./]+\.oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com(?:/|$)"


class ServiceOperator(ArtifactOperator):
    """Base of the operators that make an EAS service.

    A service is described by typed arguments, by EAS's own JSON in `service`, or by both: the JSON is laid over the
    arguments, objects key by key, the first container over theirs, environment variables by name.

    :param artifact: a ModelArtifact as another task returned it, or the `oss://` address of its version; must have
        a valid manifest and lie in the service's region. (templated)
    :param service: service JSON of EAS; name, group and the model's mount are added; `{model}` in any text stands
        for the mount path, in `command` too. (templated)
    :param model_path: where the artifact is mounted, read-only.
    :param image: container image. (templated)
    :param command: shell command that serves; it goes out as EAS's `script`. What EAS calls `command`, and starts
        without a shell, can be given in `service`. (templated)
    :param port: port that it listens on; EAS's default is 8000, and it keeps 8080 and 9090 for itself. (templated)
    :param instances: how many instances. (templated)
    :param instance_type: instance type of the public pool, e.g. `ecs.gn7i-c8g1.2xlarge`; excludes the next four, and
        is the only way to a GPU of that pool. (templated)
    :param cpu: cores of an instance. (templated)
    :param memory: MB of an instance. (templated)
    :param gpu: GPUs of an instance. (templated)
    :param resource_group: dedicated resource group (`eas-r-…`) that the service runs in. (templated)
    :param env: environment variables; no place for secrets, which belong behind a RAM role. (templated)
    :param health_check: path that answers 200 when an instance can take requests, or EAS's own object. (templated)
    :param enable_ram_role: give the service PAI's default role, which reads OSS and MaxCompute; a service that EAS
        made without is deleted again. A role of your own: `docs/serving.md`. (templated)
    """

    template_fields: Sequence[str] = ("service", *ServiceSpec._fields)
    template_fields_renderers = {"artifact": "json", "service": "json", "env": "json", "health_check": "json"}

    def __init__(
        self,
        *,
        artifact: Mapping[str, Any] | str | XComArg | None = None,
        service: Mapping[str, Any] | str | None = None,
        model_path: str = "/mnt/model",
        image: str | None = None,
        command: str | None = None,
        port: int | str | None = None,
        instances: int | str | None = None,
        instance_type: str | None = None,
        cpu: int | str | None = None,
        memory: int | str | None = None,
        gpu: int | str | None = None,
        resource_group: str | None = None,
        env: Mapping[str, Any] | None = None,
        health_check: str | Mapping[str, Any] | None = None,
        enable_ram_role: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(artifact=artifact, **kwargs)
        # A template, or another task's XCom, may become None: that is another thing than an argument that is not given.
        self._has_artifact = artifact is not None
        self.service = service
        self.model_path = model_path
        self.image = image
        self.command = command
        self.port = port
        self.instances = instances
        self.instance_type = instance_type
        self.cpu = cpu
        self.memory = memory
        self.gpu = gpu
        self.resource_group = resource_group
        self.env = env
        self.health_check = health_check
        self.enable_ram_role = enable_ram_role

    def described_service(self) -> Json:
        """Return the service JSON as far as the DAG gives it.

        :raises PaiConfigError: naming the argument, its value and what is allowed.
        """
        return laid_over(ServiceSpec.of(self).to_json(), self.service)

    def service_json(self, name: str, group: str | None, artifact_uri: str | None) -> Json:
        """Return the whole service JSON.

        :raises PaiConfigError: naming the argument or key, its value and what is allowed.
        """
        return service_json(
            self.described_service(),
            name=name,
            group=group,
            artifact_uri=artifact_uri,
            model_path=self.model_path,
            group_key=self.hook.connection.eas_group_key,
        )

    @property
    def artifact_uri(self) -> str | None:
        """Return where the artifact lies."""
        described = self.given_artifact()
        return described.get("uri") if isinstance(described, Mapping) else described

    def given_artifact(self) -> Mapping[str, Any] | str | None:
        """Return the artifact as the DAG gives it; None: it gives none.

        :raises PaiConfigError: it is none, or the task that makes it has left nothing.
        """
        read = required_artifact if self._has_artifact else artifact
        return read("artifact", self.artifact)

    def verified_artifact(self) -> ModelArtifact:
        """Return the artifact as its manifest has it.

        :raises PaiArtifactError: it has no valid manifest, or is not the one that was meant.
        :raises PaiConfigError: it is none, or lies in another region.
        :raises AirflowSkipException: its inputs were changed while its job ran, and that is to be refused.
        """
        meant = Meant.of(self.artifact)
        self._check_region(meant.field, meant.uri)
        stored = meant.stored(self.oss)
        if refusal := self.refusal(stored):
            self.skip(refusal)
        return stored

    def _check_region(self, field: str, uri: Any) -> None:
        """Refuse what a service can't mount: EAS reads OSS of its own region only."""
        bucket: OssUri = parse_uri(field, uri)
        host = re.match(_HOST_REGION, uri)
        try:
            region = host[1] if host else self.oss.bucket_region(bucket.bucket)
        except PaiPermissionError as error:
            self.log.warning("Whether %s lies in the service's region is not known: %s", uri, error)
            return
        if region != self.hook.connection.region:
            raise PaiConfigError(field, uri, f"a bucket in {self.hook.connection.region}; this one is in {region}")


def checked_name(field: str, name: object) -> str:
    """Return a name of a service or a group that EAS takes.

    :raises PaiConfigError: naming the field.
    """
    from airflow_provider_pai.canary.group import check_group_name

    return check_group_name(field, name)
