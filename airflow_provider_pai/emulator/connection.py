"""Airflow connection to an emulated account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = ("region", "workspace_id", "endpoint_url", "oss_endpoint")


def connection_to(account: Mapping[str, str], **extra: Any) -> dict[str, Any]:
    """Return a connection of type `pai` as JSON.

    :param account: what the emulator prints when it is ready, `Endpoints.to_dict()`.
    """
    return {
        "conn_type": "pai",
        "login": account["access_key_id"],
        "password": account["access_key_secret"],
        "extra": {**{name: account[name] for name in _NAMES}, **extra},
    }
