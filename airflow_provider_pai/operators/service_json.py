"""The service JSON of a candidate: what the DAG says, and what a rollout must decide itself.

Follows "Parameters of model services" (help.aliyun.com/zh/pai/parameters-of-model-services).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.base import Json
from airflow_provider_pai.operators.workload import required

RESERVED_PORTS = (8080, 9090)
_OURS = {"name": "the rollout names the service", "group": "give the operator's group"}


def candidate_json(
    service: Mapping[str, Any] | str, name: str, group: str, artifact_uri: str, model_path: str, role_arn: str | None
) -> Json:
    """Return the service JSON of a candidate with its name, group and the artifact mounted read-only.

    :raises PaiConfigError: naming the key, its value and what is allowed.
    """
    given = _filled(service, model_path)
    metadata = _object(given, "metadata")
    for key, instead in _OURS.items():
        if key in metadata or (key == "name" and key in given):
            raise PaiConfigError(f"service['metadata'][{key!r}]", metadata.get(key, given.get(key)), instead)
    if not model_path.startswith("/"):
        raise PaiConfigError("model_path", model_path, "an absolute path")
    if not (given.get("containers") or given.get("processor") or given.get("model_entry")):
        raise PaiConfigError("service", sorted(given), "containers, or a processor")
    containers = [
        _container(f"service['containers'][{i}]", item) for i, item in enumerate(given.get("containers") or [])
    ]
    mount = {"mount_path": model_path, "oss": {"path": artifact_uri, "readOnly": True}}
    return {
        **given,
        "metadata": {"instance": 1, **metadata, "name": name, "group": group},
        **({"containers": containers} if containers else {}),
        "storage": [*(given.get("storage") or []), mount],
        **({"role_arn": role_arn} if role_arn else {}),
    }


def _filled(service: Mapping[str, Any] | str, model_path: str) -> Json:
    """Put the mount path in place of `{model}` in every text."""
    try:
        given = json.loads(service) if isinstance(service, str) else service
    except ValueError:
        given = None
    if not isinstance(given, Mapping):
        raise PaiConfigError("service", service, "a service JSON of EAS, as an object")
    filled: Json = _replace(given, model_path)
    return filled


def _replace(value: Any, model_path: str) -> Any:
    if isinstance(value, str):
        return value.replace("{model}", model_path)
    if isinstance(value, Mapping):
        return {key: _replace(item, model_path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, model_path) for item in value]
    return value


def _container(place: str, container: Any) -> Json:
    """Return a checked container; a port that a template gave as text becomes a number."""
    if not isinstance(container, Mapping):
        raise PaiConfigError(place, container, "an object with image and command")
    required(f"{place}['image']", container.get("image"), "a container image")
    for key in ("script", "command"):
        words = container.get(key, key)
        for word in words if isinstance(words, list) and words else [words]:
            required(f"{place}[{key!r}]", word, "a command that is not empty")
    port = container.get("port")
    if port is None:
        return dict(container)
    if not str(port).isdigit() or int(port) in RESERVED_PORTS:
        raise PaiConfigError(f"{place}['port']", port, f"a port number; EAS keeps {RESERVED_PORTS} for itself")
    return {**container, "port": int(port)}


def _object(given: Json, key: str) -> Json:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise PaiConfigError(f"service[{key!r}]", value, "an object")
    return dict(value)
