"""The service JSON of EAS: typed arguments, what the DAG says in EAS's own words, and what an operator decides.

Follows "Parameters of model services" (help.aliyun.com/zh/pai/parameters-of-model-services).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.service_config import runs_on, value_at, with_value
from airflow_provider_pai.inputs import flag, mapping, optional, required, text, whole_number
from airflow_provider_pai.operators.environment import check_environment
from airflow_provider_pai.remote import Json

RESERVED_PORTS = (8080, 9090)
DEFAULT_PORT = 8000

# EAS's own word where ours differs.
_METADATA = {"instances": "instance"}
# Two words of EAS's for one thing: what the DAG's JSON says in one takes the place of what stands in the other.
_OTHER_WORDS = {
    "command": "script",
    "script": "command",
    "instance_type": "instances",
    "instances": "instance_type",
}


class ServiceSpec(NamedTuple):
    """Typed arguments that describe a service; what is None is left to the service JSON, or to EAS."""

    image: str | None = None
    command: str | None = None
    port: int | str | None = None
    instances: int | str | None = None
    instance_type: str | None = None
    cpu: int | str | None = None
    memory: int | str | None = None
    gpu: int | str | None = None
    resource_group: str | None = None
    env: Mapping[str, Any] | None = None
    health_check: str | Mapping[str, Any] | None = None
    enable_ram_role: bool | str | None = None

    @classmethod
    def of(cls, operator: Any) -> ServiceSpec:
        """Take the arguments of an operator, which has them under the same names."""
        return cls(*(getattr(operator, name) for name in cls._fields))

    def to_json(self) -> Json:
        """Return the service JSON that the arguments stand for.

        :raises PaiConfigError: naming the argument, its value and what is allowed.
        """
        instance_type = optional("instance_type", self.instance_type, "an instance type")
        sizes = ("cpu", "memory", "gpu", "resource_group")
        if instance_type and (size := next((name for name in sizes if getattr(self, name) is not None), None)):
            raise PaiConfigError("instance_type", self.instance_type, f"either an instance type or {size}, not both")
        variables = check_environment(self.env, ())
        port = _port("port", self.port)
        container: Json = {
            "image": optional("image", self.image, "a container image"),
            # What EAS calls command is started without a shell.
            "script": optional("command", self.command, "a shell command"),
            "port": port,
            "env": [{"name": name, "value": value} for name, value in variables.items()],
            "health_check": _health_check(self.health_check, port),
        }
        container = _without_empty(container)
        return _without_empty(
            {
                "metadata": self._metadata(),
                "cloud": {"computing": {"instances": [{"type": instance_type}]}} if instance_type else None,
                "containers": [container] if container else None,
                "options": {"enable_ram_role": True} if self._has_role() else None,
            }
        )

    def _has_role(self) -> bool:
        return self.enable_ram_role is not None and flag("enable_ram_role", self.enable_ram_role)

    def _metadata(self) -> Json:
        least = {"instances": 1, "cpu": 1, "memory": 1, "gpu": 0}
        numbers = {name: getattr(self, name) for name in least}
        read = {
            _METADATA.get(name, name): whole_number(name, value, least=least[name])
            for name, value in numbers.items()
            if value is not None
        }
        resource_group = optional("resource_group", self.resource_group, "the id of a resource group")
        return {**read, **({"resource": resource_group} if resource_group else {})}


def laid_over(typed: Json, service: Mapping[str, Any] | str | None) -> Json:
    """Lay the service JSON of the DAG over that of the typed arguments.

    Objects are merged key by key, containers one by one, environment variables by name; all else is replaced.

    :raises PaiConfigError: it is no object.
    """
    laid: Json = _laid_over(typed, mapping("service", service, "a service JSON of EAS, as an object"))
    return laid


def service_json(
    given: Mapping[str, Any],
    *,
    name: str,
    group: str | None,
    artifact_uri: str | None,
    model_path: str = "/mnt/model",
    group_key: str = "metadata.group",
) -> Json:
    """Return the whole service JSON: with name and group, the artifact mounted read-only, `{model}` filled in.

    :param group_key: where the group stands.
    :raises PaiConfigError: naming the key, its value and what is allowed.
    """
    if not text("model_path", model_path).startswith("/"):
        raise PaiConfigError("model_path", model_path, "an absolute path")
    filled: Json = _replace(given, model_path)
    metadata = _object(filled, "metadata")
    _check_ours("metadata.name", metadata.get("name", filled.get("name")), name)
    _check_ours(group_key, value_at(filled, group_key), group)
    if not (filled.get("containers") or filled.get("processor") or filled.get("model_entry")):
        raise PaiConfigError("service", sorted(filled), "containers, or a processor")
    containers = [
        _container(f"service['containers'][{i}]", item) for i, item in enumerate(filled.get("containers") or [])
    ]
    mounts = [{"mount_path": model_path, "oss": {"path": artifact_uri, "readOnly": True}}] if artifact_uri else []
    whole: Json = {
        **{key: value for key, value in filled.items() if key != "name"},
        "metadata": {"instance": 1, **metadata, "name": name},
        "containers": containers,
        "storage": [*_storage(filled, model_path if artifact_uri else None), *mounts],
    }
    if metadata.get("gpu") and not runs_on(whole):
        # Page "Parameters of model services"; of GPUs alone PAI's own SDK says that the public resource group has none.
        raise PaiConfigError("gpu", metadata["gpu"], "an instance_type instead, unless with a resource_group")
    return _without_empty(with_value(whole, group_key, group) if group else whole)


def _check_ours(key: str, other: Any, ours: str | None) -> None:
    """Refuse a name or a group in the JSON that is not the operator's."""
    if other is not None and other != ours:
        place = "".join(f"[{part!r}]" for part in key.split("."))
        raise PaiConfigError(f"service{place}", other, f"leave it out: the operator's is {ours!r}")


def _storage(given: Json, taken: str | None) -> list[Json]:
    """Return the mounts that the JSON names itself."""
    for item in given.get("storage") or []:
        if not isinstance(item, Mapping) or not item.get("mount_path"):
            raise PaiConfigError("service['storage']", item, "objects with mount_path and oss, nfs or dataset")
        if item["mount_path"] == taken:
            raise PaiConfigError(
                "service['storage']", taken, "another path: the artifact is mounted there (model_path)"
            )
    return list(given.get("storage") or [])


def _container(place: str, container: Any) -> Json:
    """Return a checked container; a port that a template gave as text becomes a number."""
    if not isinstance(container, Mapping):
        raise PaiConfigError(place, container, "an object with image and command")
    required(f"{place}['image']", container.get("image"), "a container image")
    for key in ("script", "command"):
        words = container.get(key, key)
        for word in words if isinstance(words, list) and words else [words]:
            required(f"{place}[{key!r}]", word, "a command that is not empty")
    port = _port(f"{place}['port']", container.get("port"))
    return dict(container) if port is None else {**container, "port": port}


def _port(field: str, port: Any) -> int | None:
    if port is None:
        return None
    read = whole_number(field, port, least=1, most=65535)
    if read in RESERVED_PORTS:
        raise PaiConfigError(field, port, f"a port number; EAS keeps {RESERVED_PORTS} for itself")
    return read


def _health_check(given: str | Mapping[str, Any] | None, port: int | None) -> Any:
    """Return the check that decides whether an instance takes requests; a path is asked for with GET."""
    if given is None:
        return None
    allowed = "a path that begins with /, or EAS's own object"
    if not isinstance(given, str) or given.lstrip().startswith("{"):
        return mapping("health_check", given, allowed)
    if not text("health_check", given, allowed).startswith("/"):
        raise PaiConfigError("health_check", given, allowed)
    return {"http_get": {"path": given, "port": port or DEFAULT_PORT}}


def _object(given: Json, key: str) -> Json:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise PaiConfigError(f"service[{key!r}]", value, "an object")
    return dict(value)


def _laid_over(under: Any, over: Any, key: str = "") -> Any:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        under = {name: item for name, item in under.items() if _OTHER_WORDS.get(name) not in over}
        keys = [*under, *(name for name in over if name not in under)]
        return {name: _laid_over(under.get(name), over[name], name) if name in over else under[name] for name in keys}
    if key == "containers" and isinstance(under, list) and isinstance(over, list) and over:
        return [_laid_over(under[0], over[0]), *over[1:]]
    if key == "env" and isinstance(under, list) and isinstance(over, list):
        named = {str(item.get("name")): item for item in [*under, *over] if isinstance(item, Mapping)}
        return list(named.values())
    return over


def _replace(value: Any, model_path: str) -> Any:
    """Put the mount path in place of `{model}` in every text."""
    if isinstance(value, str):
        return value.replace("{model}", model_path)
    if isinstance(value, Mapping):
        return {key: _replace(item, model_path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, model_path) for item in value]
    return value


def _without_empty(value: Json) -> Json:
    return {key: item for key, item in value.items() if item not in (None, {}, [])}
