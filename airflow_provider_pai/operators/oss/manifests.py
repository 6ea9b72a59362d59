"""Operator that makes an artifact of files on OSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_pai.inputs import mapping, number, object_uri, optional, required
from airflow_provider_pai.operators.oss.base import OssOperator
from airflow_provider_pai.remote import Json


class OssWriteManifestOperator(OssOperator):
    """Make an artifact of files that lie on OSS: write `_manifest.json` beside them, last of all.

    Its metrics and params are read from `metrics.json` and `params.json` beside the files, as those of a job's are. A
    manifest that is there and fits stays as it is.

    :param uri: the artifact's prefix. (templated)
    :param name: of the model or data set. (templated)
    :param version: by default one that sorts by the run's data interval. (templated)
    :param framework: e.g. `sklearn`.
    :param metrics: names to numbers; `metrics.json` goes before. (templated)
    :param parameters: names to values; `params.json` is added. (templated)
    :returns: the artifact as a dict.
    """

    about = "Make an artifact of the files at {uri}"
    came = "Artifact {name} {version}: {files} files, {size} bytes, {digest}"

    template_fields: Sequence[str] = ("uri", "name", "version", "metrics", "parameters")

    def __init__(
        self,
        *,
        uri: str,
        name: str,
        version: str | None = None,
        framework: str | None = None,
        metrics: Mapping[str, float] | None = None,
        parameters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.name = name
        self.version = version
        self.framework = framework
        self.metrics = metrics
        self.parameters = parameters

    def carry_out(self, context: Any) -> Json:
        """Write it.

        :raises PaiArtifactError: there are no files.
        """
        from airflow_provider_pai.manifests import unfinished_artifact, write_artifact

        metrics = mapping("metrics", self.metrics)
        identity = self.identity(context)
        unfinished = unfinished_artifact(
            context,
            identity,
            name=required("name", self.name, "the name of a model or data set"),
            version=optional("version", self.version, "a version") or identity.version(1),
            uri=str(object_uri("uri", self.uri).folder),
            framework=optional("framework", self.framework, "the name of a framework"),
            metrics={name: number(f"metrics[{name!r}]", value) for name, value in metrics.items()},
            params=mapping("parameters", self.parameters),
        )
        artifact = write_artifact(self.hook, unfinished)
        self.record_artifact(artifact)
        return artifact.to_dict()
