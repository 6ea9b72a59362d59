"""Result of a job: described at its submit in a file on OSS, finished after its end as a model or a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiArtifactError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.sensitive import hidden, secrets_in

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import Artifact, ModelArtifact
    from airflow_provider_pai.hooks.oss import OssHook
    from airflow_provider_pai.uri import OssUri

ARTIFACT = "artifact.json"
"""The file, in the folder of a job or a run."""


def unfinished(artifact: ModelArtifact, body: Json) -> Json:
    """Return the manifest as far as it is known at the submit, without files, as JSON.

    Of the request's body it keeps all but secrets: who may read a model need not know them.
    """
    from airflow_provider_pai.artifact import Manifest

    request = _without_secrets(body, body) if any(secrets_in(body)) else body
    return asdict(Manifest(artifact=artifact, request=request))


def finished(oss: OssHook, folder: OssUri, **facts: Any) -> Artifact | None:
    """Return what a run has left: a model where there is a `metrics.json`, else a dataset; None: it left no file.

    :param folder: of the run, which has the file and the lists of its inputs.
    :param facts: fields that are known by now.
    :raises PaiArtifactError: nobody knows what it was to leave, or a model's files are not what they should be.
    """
    from airflow_provider_pai.artifact import DATASET_NAME
    from airflow_provider_pai.manifests import METRICS_NAME, made_dataset, read_unfinished, write_artifact
    from airflow_provider_pai.operators.workload.inputs import inputs_after
    from airflow_provider_pai.uri import OssUri

    begun = read_unfinished(oss, str(folder.join(ARTIFACT)))
    is_model = oss.head(OssUri.parse(begun.artifact.uri).join(METRICS_NAME)) is not None
    inputs = inputs_after(oss, begun.artifact, folder, beside=is_model)
    made = replace(begun.artifact, inputs=inputs, **facts)
    if is_model:
        return write_artifact(oss, made, begun.request)
    try:
        dataset = made_dataset(oss, made)
    except PaiArtifactError as error:
        oss.log.warning("%s", error)
        return None
    oss.put(folder.join(DATASET_NAME), json.dumps(asdict(dataset), indent=1))
    return dataset


def _without_secrets(value: Any, body: Json) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(item, body) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(item, body) for item in value]
    return hidden(value, body) if isinstance(value, str) else value
