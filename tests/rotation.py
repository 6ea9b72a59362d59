"""Keys of a connection that are changed while they are in use, as an account's owner or a rotating job does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_pai.emulator import Emulator
from tests.conftest import airflow_connection


class Keys:
    """The key that the connection `pai_default` holds, and those it held before.

    :param temporary: STS tokens, which expire; else access keys, which are deleted.
    """

    def __init__(self, pai: Emulator, monkeypatch: pytest.MonkeyPatch, *, temporary: bool) -> None:
        self._pai = pai
        self._monkeypatch = monkeypatch
        self._temporary = temporary
        self._held: list[Any] = []
        self.renew()

    def renew(self) -> None:
        """Put a new key into the connection; the one before goes on working."""
        new = self._pai.call(lambda: self._pai.account.add_user(temporary=self._temporary))
        self._held.append(new)
        extra = {"auth": "sts", "security_token": new.security_token} if self._temporary else {}
        connection = {**airflow_connection(self._pai, **extra), "login": new.access_key_id}
        connection["password"] = new.access_key_secret
        self._monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(connection))

    def end(self, *, all_of_them: bool = False) -> None:
        """End every key but the one that the connection holds, or that one, too."""
        for old in self._held if all_of_them else self._held[:-1]:
            self._pai.call(lambda old=old: self._pai.account.remove_credential(old.access_key_id))

    def rotate(self) -> None:
        """Put a new key into the connection and end the old."""
        self.renew()
        self.end()
