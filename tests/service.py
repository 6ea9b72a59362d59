"""A service of its own in the emulator, made as something outside Airflow would."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from airflow_provider_pai.exceptions import PaiNotFoundError
from tests.group import ServiceGroup, service


def config(at: ServiceGroup, suffix: str = "one", *, instances: int = 1, script: str = "", **behavior: Any) -> Any:
    """Return a service JSON; `behavior` is the model's."""
    given = service(f"oss://{at.bucket}/code/")
    mount = {"mount_path": "/mnt/model", "oss": {"path": at.model(20, **behavior)["uri"], "readOnly": True}}
    container = {**given["containers"][0], "script": script or "python /mnt/code/server.py /mnt/model 8000"}
    return {
        **given,
        "metadata": {**given["metadata"], "name": f"{at.name}_{suffix}", "instance": instances},
        "containers": [container],
        "storage": [*given["storage"], mount],
    }


def create(at: ServiceGroup, suffix: str = "one", **changes: Any) -> str:
    """Create a service, wait until it runs and return its name."""
    name = at.eas.create(config(at, suffix, **changes))
    at.eas.wait(name, poll_interval=0.02, until=lambda one: one.status in ("Running", "Failed"))
    return name


def delete_all(at: ServiceGroup) -> None:
    """Delete what bears the group's name, locks or not."""
    for found in list(at.eas.list_services(filter=at.name)):
        with suppress(PaiNotFoundError):  # what the test had deleted may go only now
            at.eas.set_safety_lock(found["ServiceName"], "none")
            at.eas.delete(found["ServiceName"])
