"""Rotation of credentials: what a connection holds, read anew where a service refuses what it held before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from airflow_provider_pai.exceptions import PaiPermissionError
from airflow_provider_pai.sensitive import mask_secret

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.connection import PaiConnection
    from airflow_provider_pai.hooks.credentials import Credential, CredentialClient

_log = logging.getLogger(__name__)


class Credentials:
    """What every client of a hook and its siblings signs with: the connection's credentials as they were last read.

    :param connection: as it was read.
    :param read: reads it anew.
    """

    def __init__(self, connection: PaiConnection, read: Callable[[], PaiConnection]) -> None:
        self.connection = connection
        self.accepted = False
        """A service has taken them, or those before."""
        self._read = read
        self._client: CredentialClient | None = None
        self._lock = Lock()
        # A lock of its own: a secrets backend may stall, and event loops take the other one.
        self._renewing = Lock()

    def get_credential(self) -> Credential:
        """Return the credential of this moment."""
        with self._lock:
            client = self._client = self._client or self.connection.credential_client()
        return client.get_credential()

    def renewed(self, refused: PaiConnection, error: PaiPermissionError) -> bool:
        """Read the connection anew, and tell whether it holds other credentials than those that were refused.

        :param refused: the connection as it was when the request was signed; somebody may have read it anew since.
        """
        with self._renewing:
            if self.connection is not refused:
                return True
            try:
                now = self._read()
            except Exception:  # noqa: BLE001 - of whatever secrets backend; what is told is the refusal
                _log.warning("Connection %s could not be read anew", refused.conn_id, exc_info=True)
                return False
            if now.credential_fields == refused.credential_fields:
                return False
            self.adopt(now)
        _log.warning(
            "Connection %s holds new credentials, going on with them; the old were refused: %s", now.conn_id, error
        )
        return True

    def adopt(self, connection: PaiConnection) -> None:
        """Go on with a connection that was just read."""
        with self._lock:
            if connection.credential_fields != self.connection.credential_fields:
                self.connection, self._client = connection, None


def read_connection(conn_id: str, region: str | None, workspace_id: str | None) -> PaiConnection:
    """Read an Airflow connection, its secrets masked in every log; in a triggerer, in a thread.

    :raises PaiNotFoundError: there is none.
    :raises PaiConfigError: a field of it is missing or not allowed.
    """
    from airflow_provider_pai.hooks.connection import PaiConnection, stored

    connection = stored("pai_conn_id", conn_id)
    read = PaiConnection.read(connection, connection.extra_dejson, region=region, workspace_id=workspace_id)
    for secret in (read.access_key_secret, read.security_token):
        if secret:
            mask_secret(secret)
    return read
