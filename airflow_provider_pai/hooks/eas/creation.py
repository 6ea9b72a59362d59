"""Creation of a service: what may go wrong with its JSON, whose a taken name is, and whether EAS did what was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError, PaiConflictError, PaiPermissionError, PaiUnsupportedError
from airflow_provider_pai.hooks.eas.calls import labels_of
from airflow_provider_pai.hooks.eas.service_config import runs_on, value_at
from airflow_provider_pai.labels import Key
from airflow_provider_pai.remote import Json

RAM_ROLE = "options.enable_ram_role"
"""Key of the service JSON that gives a service PAI's default role. Page: "Configure the EAS RAM role"."""

# Of these, what a creation sends tells whose the service is.
_MAKERS = (Key.TASK, Key.MARK)
_RUN = {"DAG": Key.DAG_ID, "task": Key.TASK_ID, "run": Key.RUN_ID}
_LINKED_ROLE = "at the first use of EAS the account's owner has to grant it AliyunServiceRoleForPaiEas"
_OTHER_USER = "Forbidden.PrivilegeCheckFailed"
_NO_COMMAND = "a container without script and command, which EAS may want: give command"


def without_command(config: Mapping[str, Any]) -> bool:
    """Tell whether a container leaves it to its image what is started."""
    containers = config.get("containers") or ()
    return any(not container.get("script") and not container.get("command") for container in containers)


def doubts(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what EAS may refuse, though it has been seen to take it. Page: "Parameters of model services"."""
    if not runs_on(config):
        yield "no instance_type and no resource_group: of the public resource group EAS wants an instance_type"
    if without_command(config):
        yield f"{_NO_COMMAND}, unless the image starts the server by itself"


def makers(labels: Mapping[str, str]) -> dict[str, str]:
    """Return those of a creation's labels by which the service is found to be the one that was asked for."""
    return {key: labels[key] for key in _MAKERS if key in labels}


def is_made_by(service: Json | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a service bears the labels of the task that asks for its creation."""
    mine = makers(labels)
    return bool(mine) and service is not None and mine.items() <= labels_of(service).items()


def refusal(error: PaiApiError, name: str, config: Mapping[str, Any], holder: Json | None) -> PaiApiError:
    """Return why a service was not created, for the person on call.

    :param holder: the service that bears the name, as DescribeService shows it; None: there is none, or it may not be
        seen.
    """
    if holder is not None:
        message = f"the name {name} is taken by {_described(holder)}"
    elif error.code == _OTHER_USER:
        message = f"the name {name} belongs to another user of the account"
    elif isinstance(error, PaiPermissionError):
        return error.saying(f"{error.message}; {_LINKED_ROLE}")
    elif without_command(config):
        return error.saying(f"{error.message}; the JSON has {_NO_COMMAND}")
    else:
        return error
    return error.saying(f"{message}: {error.message}", PaiConflictError)


def not_done(config: Mapping[str, Any], service: Json, *, group_key: str, conn_id: str) -> PaiUnsupportedError | None:
    """Return what of a service JSON EAS has passed over, or None."""
    group, name = value_at(config, group_key), service.get("ServiceName")
    if group and service.get("ServiceGroup") != group:
        allowed = f"EAS put service {name} outside the group {group}: set the key with the connection's eas_group_key"
        return PaiUnsupportedError(f"connection {conn_id}, eas_group_key", group_key, allowed)
    role, shown = value_at(config, RAM_ROLE), service.get("ServiceConfig")
    if role and shown and not value_at(json.loads(shown), RAM_ROLE):
        return PaiUnsupportedError("enable_ram_role", role, f"EAS gave service {name} no role: leave it out")
    return None


def _described(service: Json) -> str:
    labels = labels_of(service)
    run = [f"{name} {labels[key]}" for name, key in _RUN.items() if key in labels]
    made = f"made by {', '.join(run)}" if run else f"made by user {service.get('CallerUid')}"
    return f"a service that is {service.get('Status')}, {made}"
