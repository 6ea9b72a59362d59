"""Instances that serve commands: what runs on them, and what it has to know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from string import Template
from typing import TYPE_CHECKING

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import required
from airflow_provider_pai.remote import MOUNTS, QUEUE_URI, RUN_DIR, Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.dsw.commands import ServingInstance
    from airflow_provider_pai.operators.workload.base import Mount

PROGRAM = "serve_commands.py"
_QUEUE = "queue"

OF_THE_INSTANCE = ("image", "ecs_spec", "resource_config", "resource_id", "role_arn", "instance_config")
"""Fields that an instance has, and not the command that it serves."""

_JINDO = "-oattr_timeout=3 -oentry_timeout=0 -onegative_timeout=0 -oauto_cache -ono_symlink"
MOUNT_OPTIONS = json.dumps({"fs.jindo.args": _JINDO})
"""Of the mount with the queue, so that what is put there is seen soon: the example of the SDK's
CreateInstanceRequestDatasets.options."""

# The runner is started again should it end: what it had begun then is told to have been interrupted. Its own log lies
# on the instance.
_SERVE = Template("""(
$before
)
while :; do
  python3 "$$$folder/$program" "$$$folder/$queue" $every
  sleep 5
done >> ~/.pai-serve.log 2>&1
""")


def serving_script(before: str, every: float) -> str:
    """Return the on-start script, for bash.

    :param before: what the instance does first, at each start.
    :param every: seconds between two looks at the queue.
    """
    return _SERVE.substitute(before=before or ":", folder=RUN_DIR, program=PROGRAM, queue=_QUEUE, every=f"{every:g}")


def serving_body(body: Json, run: OssUri) -> Json:
    """Return the CreateInstance body of an instance that serves commands: it, and who gives it some, know what it has.

    :param run: the run's folder, which holds the queue.
    """
    datasets = [
        {"Options": MOUNT_OPTIONS, **each} if str(each.get("Uri") or "").startswith("oss://") else each
        for each in body["Datasets"]
    ]
    places = {str(OssUri.parse(each["Uri"]).folder): each["MountPath"] for each in datasets if "Options" in each}
    known = {QUEUE_URI: str(run.join(_QUEUE).folder), MOUNTS: json.dumps(places)}
    return {**body, "Datasets": datasets, "EnvironmentVariables": {**body["EnvironmentVariables"], **known}}


def served_id(instance: object) -> str:
    """Return the id of the instance that is meant.

    :raises PaiConfigError: none is.
    """
    value = instance.get("instance_id") if isinstance(instance, Mapping) else instance
    return required("instance", value, "the id of a DSW instance, or what DswCreateInstanceOperator returned")


def check_alone(given: Mapping[str, object]) -> None:
    """Refuse fields that are the instance's own.

    :raises PaiConfigError: naming the first that is given.
    """
    for name, value in given.items():
        if value:
            raise PaiConfigError(name, value, "nothing beside instance, which has its own")


def served_command(
    serving: ServingInstance, mounts: Sequence[Mount], variables: Mapping[str, str], limit: float
) -> Json:
    """Return the command for an instance: what would be mounted must be seen there, wherever that is.

    :raises PaiConfigError: it is not.
    """
    uris = {mount.path: mount.uri for mount in mounts}
    for mount in mounts:
        serving.need(PurePosixPath(mount.path).name, mount.uri, write=not mount.read_only)
    return {
        "InstanceId": serving.instance_id,
        "Queue": str(serving.queue),
        "environment": {name: value for name, value in variables.items() if value not in uris},
        "folders": {name: uris[value] for name, value in variables.items() if value in uris},
        "limit_seconds": limit,
    }
