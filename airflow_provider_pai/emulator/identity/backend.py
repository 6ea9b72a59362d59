"""Callers and roles of the emulated account."""

from __future__ import annotations

from airflow_provider_pai.emulator.account import Account, Credential
from airflow_provider_pai.emulator.errors import NotFoundError
from airflow_provider_pai.emulator.types import Json

EAS_ROLE = "AliyunServiceRoleForPaiEas"
"""Role by which EAS mounts OSS; the cloud makes it when EAS is first used."""
SESSION = "emulated/session"


class IdentityBackend:
    """Who calls, and the roles that there are."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.roles = {EAS_ROLE}

    def caller(self, credential: Credential) -> Json:
        """Return the answer of GetCallerIdentity: a role has a token, a user a policy, the account neither."""
        account_id = self.account.settings.account_id
        common = {"AccountId": account_id, "PrincipalId": account_id}
        if credential.security_token:
            arn = f"acs:ram::{account_id}:assumed-role/{SESSION}"
            return {**common, "IdentityType": "AssumedRoleUser", "Arn": arn, "RoleId": "300000000000000001"}
        if self.account.policies.get(user := credential.access_key_id):
            return {**common, "IdentityType": "RAMUser", "Arn": f"acs:ram::{account_id}:user/{user}", "UserId": user}
        return {**common, "IdentityType": "Account", "Arn": f"acs:ram::{account_id}:root", "UserId": account_id}

    def role(self, name: str | None) -> Json:
        """Return the answer of GetRole.

        :raises NotFoundError: there is none.
        """
        if name not in self.roles:
            raise NotFoundError(f"The role not exists: {name}.", "EntityNotExist.Role")
        arn = f"acs:ram::{self.account.settings.account_id}:role/{name.lower()}"
        return {"Role": {"RoleName": name, "Arn": arn, "IsServiceLinkedRole": name.startswith("AliyunServiceRoleFor")}}
