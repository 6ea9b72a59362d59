"""Service JSON of EAS: its keys and their values, checked, and read as what an instance needs.

Follows "Parameters of model services" (help.aliyun.com/zh/pai/parameters-of-model-services). What that page leaves out,
as `options` and `metadata.group`, stands in public code that lists EAS's keys.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from functools import partial

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.runtime.mounts import Mount, check_mount_path, check_mounts, parse_oss_uri
from airflow_provider_pai.emulator.types import Json

NAME = re.compile(r"[a-z0-9_]{3,63}")
RESERVED_PORTS = frozenset({8080, 9090})
DEFAULT_PORT = 8000
MAX_INSTANCES = 10_000
"""More than any machine bears; the cloud's own limit is not published."""
_MOST = 1 << 31

KEYS = frozenset(
    {
        "aimaster",
        "autoscaler",
        "cloud",
        "confidential",
        "containers",
        "credential",
        "data_image",
        "dockerAuth",
        "features",
        "generate_token",
        "labels",
        "metadata",
        "metrics",
        "model_config",
        "model_entry",
        "model_path",
        "name",
        "networking",
        "options",
        "oss_endpoint",
        "processor",
        "processor_entry",
        "processor_envs",
        "processor_mainclass",
        "processor_path",
        "processor_type",
        "role_arn",
        "rpc",
        "runtime",
        "scheduling",
        "sinker",
        "source",
        "storage",
        "token",
        "unit",
        "warm_up_data_path",
    }
)
METADATA_KEYS = frozenset(
    {
        "cpu",
        "cuda",
        "disk",
        "eas",
        "eas.termination_grace_period",
        "enable_grpc",
        "enable_webservice",
        "gpu",
        "gpu_core_percentage",
        "gpu_memory",
        "group",
        "instance",
        "memory",
        "name",
        "qos",
        "quota_id",
        "rdma",
        "resource",
        "resource_burstable",
        "resource_rebalancing",
        "rolling_strategy",
        "rpc",
        "scheduling",
        "service_group",
        "service_name",
        "shm_size",
        "type",
        "version",
        "workload_type",
        "workspace_id",
    }
)
COMPUTING_KEYS = frozenset({"disable_spot_protection_period", "instance_type", "instances"})


@dataclass(frozen=True)
class HealthCheck:
    """One probe of a container; `path` None: the port must take a connection."""

    port: int
    path: str | None = None
    initial_delay: float = 0.0
    period: float = 0.1
    timeout: float = 1.0
    successes: int = 1
    failures: int = 0
    """Failures in a row that count; 0: it may fail as often as it likes."""


# The cloud's defaults (first check after 15 s, then every 10 s) are for machines that first pull an image.
_AT_START = HealthCheck(0)
_WHILE_SERVING = HealthCheck(0, period=1.0, failures=3)


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """The needs of an instance, read from a service JSON."""

    name: str
    instances: int
    script: str
    """Empty: what the image starts by itself."""
    port: int
    environment: dict[str, str]
    mounts: tuple[Mount, ...]
    startup: HealthCheck
    liveness: HealthCheck | None
    health: HealthCheck | None
    token: str | None
    image: str
    instance_type: str
    """Or the resource group that it runs in."""
    memory: int
    """Bytes that an instance may hold before it is killed; 0: any."""
    grace: float | None
    """Seconds that requests in flight get at a stop; None: the emulator's own."""


def parse(config: Json) -> ServiceSpec:
    """Check a service JSON and read it.

    :raises InvalidParameterError: naming the key, its value and what is allowed.
    """
    _refuse_unknown(config, KEYS, "")
    metadata = _object(config, "metadata")
    _refuse_unknown(metadata, METADATA_KEYS, "metadata.")
    container = _container(config)
    instance_type = _instance_type(config, metadata)
    port = _port(container)
    health = _check(container, "health_check", port, _WHILE_SERVING)
    return ServiceSpec(
        name=_name(config, metadata),
        instances=_instances(metadata),
        script=_script(container),
        port=port,
        environment={str(item["name"]): str(item.get("value", "")) for item in _items(container, "env", ("name",))},
        mounts=_mounts(config),
        startup=_check(container, "startup_check", port, _AT_START)
        or (replace(health, failures=0) if health else HealthCheck(port)),
        liveness=_check(container, "liveness_check", port, _WHILE_SERVING),
        health=health,
        token=_text(config, "token") or None,
        image=_text(container, "image", "containers[0]."),
        instance_type=instance_type,
        memory=_memory(metadata) << 20,
        grace=_grace(config),
    )


def group_of(config: Json, key: str) -> str | None:
    """Return the group that a service JSON names under a dotted key; None where nothing stands there.

    :raises InvalidParameterError: it is no name.
    """
    value: object = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None and not NAME.fullmatch(str(value)):
        raise InvalidParameterError(f"{key} {value!r} does not match {NAME.pattern}.")
    return None if value is None else str(value)


def merge(old: Json, new: Json, *, deep: bool = True) -> Json:
    """Lay a service JSON over another: objects key by key at every depth, or only the top-level ones' places.

    The cloud documents the first level only.
    """
    if not deep:
        return {**old, **new}
    merged = dict(old)
    for key, value in new.items():
        before = old.get(key)
        merged[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def only_scales(old: Json, new: Json) -> bool:
    """Tell whether two service JSONs differ in the number of instances alone."""
    return merge(old, {"metadata": {"instance": None}}) == merge(new, {"metadata": {"instance": None}})


def _refuse_unknown(parameters: Json, known: frozenset[str], prefix: str) -> None:
    unknown = sorted(parameters.keys() - known)
    if unknown:
        raise InvalidParameterError(f"{prefix}{unknown[0]} is not a parameter of model services.")


def _object(config: Json, key: str) -> Json:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise InvalidParameterError(f"{key} must be a JSON object, not {value!r}.")
    return value


def _items(config: Json, key: str, required: tuple[str, ...] = ()) -> list[Json]:
    items = config.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidParameterError(f"{key} must be a list of JSON objects.")
    for item in items:
        for name in required:
            if not item.get(name):
                raise InvalidParameterError(f"{key}[].{name} is missing.")
    return items


def _name(config: Json, metadata: Json) -> str:
    names = {str(value) for value in (config.get("name"), metadata.get("name")) if value is not None}
    if len(names) != 1:
        raise InvalidParameterError(f"metadata.name must be given once, not as {sorted(names)}.")
    name = names.pop()
    if not NAME.fullmatch(name):
        raise InvalidParameterError(f"metadata.name {name!r} does not match {NAME.pattern}.")
    return name


def _instances(metadata: Json) -> int:
    return int(_number(metadata, "instance", 1, MAX_INSTANCES, "metadata."))


def _memory(metadata: Json) -> int:
    return int(_number(metadata, "memory", 0, _MOST, "metadata."))


def _number(parameters: Json, key: str, default: float, most: float, prefix: str) -> float:
    """Read a number from 0, a whole one where the default is whole."""
    value = parameters.get(key, default)
    kinds = (int,) if isinstance(default, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= most:
        kind = "a whole number" if kinds == (int,) else "a number"
        raise InvalidParameterError(f"{prefix}{key} must be {kind} from 0 to {most}, not {value!r}.")
    return value


def _container(config: Json) -> Json:
    containers = _items(config, "containers")
    if len(containers) != 1:
        raise InvalidParameterError(
            f"containers must be one, not {len(containers)}: the emulator runs no processors and no sidecars."
        )
    return containers[0]


def _port(container: Json) -> int:
    port = container.get("port", DEFAULT_PORT)
    if not isinstance(port, int) or not 0 < port < 65536:
        raise InvalidParameterError(f"containers[0].port must be a port number, not {port!r}.")
    if port in RESERVED_PORTS:
        raise InvalidParameterError(f"containers[0].port {port} is reserved by EAS, as {sorted(RESERVED_PORTS)} are.")
    return port


def _script(container: Json) -> str:
    """Return what a shell runs: a script as it is; of a command, which EAS starts without a shell, its words alone."""
    script, command = _text(container, "script", "containers[0]."), container.get("command") or ""
    words = _words(container, "args")
    if script or not command:
        return " ".join([script, *map(shlex.quote, words)]).strip()
    try:
        command = shlex.split(command) if isinstance(command, str) else _words(container, "command")
    except ValueError as error:
        raise InvalidParameterError(f"containers[0].command {command!r}: {error}.") from error
    return f"exec {shlex.join([*command, *words])}"


def _words(container: Json, key: str) -> list[str]:
    """Read a text, or a list of them, as a list."""
    value = container.get(key) or []
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InvalidParameterError(f"containers[0].{key} must be a list of texts, not {value!r}.")
    return words


def _text(parameters: Json, key: str, prefix: str = "") -> str:
    value = parameters.get(key) or ""
    if not isinstance(value, str):
        raise InvalidParameterError(f"{prefix}{key} must be text, not {value!r}.")
    return value


def _instance_type(config: Json, metadata: Json) -> str:
    """Read what the service runs on: of the public resource group, machines by their type only."""
    computing = _object(_object(config, "cloud"), "computing")
    _refuse_unknown(computing, COMPUTING_KEYS, "cloud.computing.")
    types = [str(each["type"]) for each in _items(computing, "instances", ("type",))]
    kind = next(iter(types), str(computing.get("instance_type") or ""))
    group = metadata.get("resource") or metadata.get("quota_id")
    if metadata.get("gpu") and not group and not kind:
        raise InvalidParameterError("metadata.gpu: the public resource group takes cloud.computing.instances instead.")
    return f"quota/{group}" if group else kind or "unknown"


def _check(container: Json, kind: str, port: int, default: HealthCheck) -> HealthCheck | None:
    settings = _object(container, kind)
    if not settings:
        return None
    target = _object(settings, "http_get") or _object(settings, "tcp_socket")
    if not target:
        raise InvalidParameterError(f"containers[0].{kind} needs http_get or tcp_socket.")
    read = partial(_number, settings, most=_MOST, prefix=f"containers[0].{kind}.")
    return HealthCheck(
        port=int(_number(target, "port", port, 65535, f"containers[0].{kind}.")),
        path=str(target.get("path", "/")) if "http_get" in settings else None,
        initial_delay=read("initial_delay_seconds", default.initial_delay),
        period=read("period_seconds", default.period),
        timeout=read("timeout_seconds", default.timeout),
        successes=int(read("success_threshold", default.successes)),
        failures=int(read("failure_threshold", default.failures)),
    )


def _mounts(config: Json) -> tuple[Mount, ...]:
    mounts = tuple(_mount(item) for item in _items(config, "storage", ("mount_path",)))
    check_mounts((mount.path for mount in mounts), "storage[].mount_path")
    return mounts


def _mount(item: Json) -> Mount:
    oss = item.get("oss")
    if not isinstance(oss, dict) or not oss.get("path"):
        raise InvalidParameterError("storage[].oss.path is missing: the emulator mounts OSS only.")
    parse_oss_uri(str(oss["path"]), "storage[].oss.path")
    check_mount_path(str(item["mount_path"]), "storage[].mount_path")
    return Mount(str(oss["path"]), str(item["mount_path"]), bool(oss.get("readOnly", False)))


def _grace(config: Json) -> float | None:
    parameters = {**_object(config, "metadata"), **_object(config, "runtime")}
    for key in ("termination_grace_period", "eas.termination_grace_period"):
        if parameters.get(key) is not None:
            return _number(parameters, key, 0.0, _MOST, "")
    return None
