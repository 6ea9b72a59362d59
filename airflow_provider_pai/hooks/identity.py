"""Hooks of STS 2015-04-01 and RAM 2015-05-01: who a connection's credentials are, and which roles there are."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import NamedTuple

from airflow_provider_pai.hooks.answers import Needed, shaped
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.remote import Json

EAS_ROLE = "AliyunServiceRoleForPaiEas"
"""Service-linked role by which EAS mounts OSS; made when EAS is first used."""

# What is read of answers.
_CALLER = dict.fromkeys(("AccountId", "IdentityType", "Arn"), Needed(str))
_ROLE = {"Role": Needed({"Arn": str})}


class Caller(NamedTuple):
    """Who calls.

    :param kind: `Account`, `RAMUser` or `AssumedRoleUser`.
    :param at: Unix time at which the service answered, by its own clock; None where it does not tell.
    """

    account_id: str
    kind: str
    arn: str
    at: float | None


class StsHook(PaiHook):
    """The caller. API: STS 2015-04-01 GetCallerIdentity, which needs no permission."""

    service = "sts"

    def ping(self) -> None:
        """Ask who calls."""
        self.caller()

    def caller(self) -> Caller:
        """Return who calls."""

        def read() -> Caller:
            answer = self._exchange("GetCallerIdentity", "2015-04-01", "POST", "/")
            body, date = shaped(answer["body"], _CALLER), answer["headers"].get("date")
            at = parsedate_to_datetime(date).timestamp() if date else None
            return Caller(body["AccountId"], body["IdentityType"], body["Arn"], at)

        return self.call("GetCallerIdentity", read)


class RamHook(PaiHook):
    """Roles. API: RAM 2015-05-01 GetRole."""

    service = "ram"

    def ping(self) -> None:
        """Ask for the role by which EAS reads OSS."""
        self.role(EAS_ROLE)

    def role(self, name: str) -> Json:
        """Return a role.

        :raises PaiNotFoundError: there is none.
        """
        answer = self.request("GetRole", "2015-05-01", "POST", "/", query={"RoleName": name}, shape=_ROLE)
        role: Json = answer["Role"]
        return role
