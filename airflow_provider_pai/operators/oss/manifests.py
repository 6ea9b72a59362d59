"""Operator that makes an artifact of files on OSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.inputs import object_uri
from airflow_provider_pai.ledger import Event, EventKind
from airflow_provider_pai.operators.oss.base import OssOperator
from airflow_provider_pai.remote import Json
from airflow_provider_pai.versions import utc_text

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import ModelArtifact


class OssWriteManifestOperator(OssOperator):
    """Make an artifact of files that lie on OSS: write `_manifest.json` beside them, last of all, and return it.

    Its metrics and params are read from `metrics.json` and `params.json` beside the files, as those of a job's are. A
    manifest that is there and fits is returned as it is.

    :param uri: the artifact's prefix. (templated)
    :param name: of the model or data set. (templated)
    :param version: by default one that sorts by the run's data interval. (templated)
    :param framework: e.g. `sklearn`.
    :param metrics: names to numbers; `metrics.json` goes before. (templated)
    :param parameters: names to values; `params.json` is added. (templated)
    """

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

    def execute(self, context: Any) -> Json:
        """Write it.

        :raises PaiArtifactError: there are no files.
        """
        from airflow_provider_pai.manifests import write_artifact

        artifact = write_artifact(self.hook, self._described(context))
        found = artifact.to_dict()
        self.record(
            Event(
                key=f"artifact/{artifact.uri}"[-191:],
                kind=EventKind.ARTIFACT_PRODUCED,
                subject=artifact.name,
                version=artifact.version,
                digest=artifact.digest,
                payload=found,
            )
        )
        return found

    def _described(self, context: Any) -> ModelArtifact:
        from airflow_provider_pai.artifact import DataInterval, ModelArtifact, Producer

        identity, run = self.identity(context), context["dag_run"]
        known = run.data_interval_start and run.data_interval_end
        start, end = run.data_interval_start, run.data_interval_end
        return ModelArtifact(
            name=self.name,
            version=self.version or identity.version(1),
            uri=str(object_uri("uri", self.uri).folder),
            framework=self.framework,
            metrics=dict(self.metrics or {}),
            params=dict(self.parameters or {}),
            data_interval=DataInterval(start=utc_text(start), end=utc_text(end)) if known else None,
            produced_by=Producer(
                dag_id=identity.dag_id,
                run_id=identity.run_id,
                task_id=identity.task_id,
                try_number=identity.try_number,
                map_index=identity.map_index,
            ),
            created_at=utc_text(datetime.now(UTC)),
        )
