"""Clients of alibabacloud-credentials: who hands out keys and tokens, one an account in a process."""

from __future__ import annotations

import logging
from functools import cache, lru_cache
from typing import Protocol


class Credential(Protocol):
    """What `get_credential()` of alibabacloud-credentials returns."""

    access_key_id: str
    access_key_secret: str
    security_token: str | None


class CredentialClient(Protocol):
    """A client of alibabacloud-credentials; asked anew for each request, so that credentials rotate."""

    def get_credential(self) -> Credential:
        """Return the credential of this moment."""
        ...


@lru_cache(maxsize=64)
def client_of(**fields: str | None) -> CredentialClient:
    """Return the client that hands out these credentials; it asks STS or the instance for itself, and keeps no thread.

    :param fields: `Config`'s of alibabacloud-credentials.
    """
    from alibabacloud_credentials.client import Client
    from alibabacloud_credentials.models import Config
    from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider

    from airflow_provider_pai.hooks.network import adopt

    adopt()
    logging.getLogger("credentials").addFilter(_is_told_once)
    if fields["type"] == "default":
        return _default_client()
    client: CredentialClient
    if fields["type"] == "ecs_ram_role":
        # Of its own it keeps a thread that nothing ends; without, whoever signs renews what is about to expire.
        client = Client(
            provider=EcsRamRoleCredentialsProvider(role_name=fields["role_name"], async_update_enabled=False)
        )
    else:
        client = Client(Config(**fields))
    return client


def _is_told_once(record: logging.LogRecord) -> bool:
    """Leave out the tracebacks that alibabacloud-credentials logs of what it raises, too."""
    return not record.exc_info


@cache
def _default_client() -> CredentialClient:
    """Return the client of the credential chain, which may keep a thread for an instance's role: one for all."""
    from alibabacloud_credentials.client import Client

    client: CredentialClient = Client()
    return client
