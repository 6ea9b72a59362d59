"""Diagnosis of a service that does not come up: what EAS shows of its instances, in a few words.

The signs are those of *FAQ about EAS* (deployment and instance status): of instances that crashed the last exit reason,
of a service that stays Waiting instances that run and are not ready, since nothing answers on their port.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from airflow_provider_pai.remote import Json

_IMAGE = "image {image} can't be pulled"
_SIGNS = (
    (r"ImagePull|ErrImage|InvalidImageName", _IMAGE),
    (r"OOMKilled|out of memory", "killed for memory{memory}"),
    (r"(?i:exit[ _]?code)\W{1,4}(\d+)", "its program ended with exit code {0}"),
    (r"Completed", "its program ended, as no server does"),
    (r"\bError\b|CrashLoopBackOff", "its program ended with an error"),
)
"""What is found in what EAS tells, and what it means; the first that is found counts."""

_DEFAULT_PORT = 8000


class Down(NamedTuple):
    """Why a service does not come up, and the last lines of its containers; empty texts: nothing tells."""

    cause: str = ""
    log_tail: str = ""

    def __str__(self) -> str:
        return "\n".join(filter(None, self))

    def below(self, text: str) -> str:
        """Return a text with the cause behind it, and the log below."""
        return "\n".join(filter(None, (f"{text}: {self.cause}" if self.cause else text, self.log_tail)))


def diagnosis(config: Json, instances: Sequence[Json], containers: Sequence[Json], events: Sequence[Json]) -> str:
    """Return in a few words why a service does not come up; empty: nothing tells.

    :param config: its service JSON.
    :param instances: items of ListServiceInstances that are not ready.
    :param containers: theirs, of ListServiceContainers.
    :param events: its latest warnings, of DescribeServiceEvent; asked where nothing else tells.
    """
    ends = [*((each.get("Reason"), each.get("LastState")) for each in instances)]
    ends += [(each.get("CurrentReaon"), each.get("LastReason")) for each in containers]
    return (
        _sign(config, ends)
        or _silence(config, instances)
        or _sign(config, [(each.get("Reason"), each.get("Message")) for each in events])
    )


def _sign(config: Json, told: Sequence[object]) -> str:
    text = json.dumps(told)
    container, metadata = _container(config), config.get("metadata") or {}
    memory = f": an instance has {metadata['memory']} MB" if metadata.get("memory") else ""
    for pattern, words in _SIGNS:
        if found := re.search(pattern, text):
            return words.format(*found.groups(), image=container.get("image") or "", memory=memory)
    return ""


def _silence(config: Json, instances: Sequence[Json]) -> str:
    """Tell of instances that run and do not answer, and of those that have no machine yet."""
    statuses = {each.get("Status") for each in instances}
    if "Running" in statuses:
        container = _container(config)
        check = container.get("startup_check") or container.get("health_check") or {}
        probe = check.get("http_get") or check.get("tcp_socket") or {}
        port = probe.get("port") or container.get("port") or _DEFAULT_PORT
        if "http_get" in check:
            return f"no good answer to GET {probe.get('path', '/')} on port {port}"
        return f"nothing listens on port {port}"
    return "no machine has taken its instances yet" if statuses == {"Pending"} else ""


def _container(config: Json) -> Json:
    found: Json = next(iter(config.get("containers") or []), {})
    return found
