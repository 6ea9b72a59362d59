"""Connection of type `pai`, read once into a frozen dataclass.

Precedence of every field: the operator's or hook's argument, then the connection's extra, then the default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import conf

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import one_of
from airflow_provider_pai.services import SERVICES

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

AUTH_KINDS = ("access_key", "sts", "ram_role_arn", "ecs_ram_role", "oidc_role_arn", "default")
NETWORKS = ("public", "vpc")

# Public regions and the finance and government clouds, from the endpoint pages of DLC, DSW, EAS and OSS.
REGIONS = frozenset(
    """cn-hangzhou cn-shanghai cn-beijing cn-shenzhen cn-zhangjiakou cn-wulanchabu cn-huhehaote cn-chengdu
    cn-guangzhou cn-heyuan cn-qingdao cn-nanjing cn-fuzhou cn-wuhan-lr cn-hongkong cn-shanghai-finance-1
    cn-shenzhen-finance-1 cn-beijing-finance-1 cn-hangzhou-finance cn-north-2-gov-1 ap-southeast-1 ap-southeast-2
    ap-southeast-3 ap-southeast-5 ap-southeast-6 ap-southeast-7 ap-northeast-1 ap-northeast-2 ap-south-1 eu-central-1
    eu-west-1 us-west-1 us-east-1 me-east-1 me-central-1 na-south-1""".split()
)

# Fields of the extra that are taken as they are.
_TEXTS = (
    "region",
    "workspace_id",
    "auth",
    "security_token",
    "role_arn",
    "role_session_name",
    "role_name",
    "oidc_provider_arn",
    "oidc_token_file",
    "network",
    "endpoint_url",
    "ledger_conn_id",
    "deployment",
)


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


@dataclass(frozen=True, kw_only=True)
class PaiConnection:
    """Everything that a hook needs to know about the account."""

    conn_id: str
    region: str = ""
    workspace_id: str | None = None
    auth: str = "default"
    access_key_id: str | None = None
    access_key_secret: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    role_session_name: str = "airflow"
    role_name: str | None = None
    oidc_provider_arn: str | None = None
    oidc_token_file: str | None = None
    network: str = "public"
    endpoint_url: str | None = None
    """One address for every service but OSS; the emulator's."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Addresses by service (`dlc_endpoint`, `oss_endpoint`, ... in the extra)."""
    ledger_conn_id: str | None = None
    deployment: str = ""
    """Keeps two Airflows that share a workspace apart."""

    @classmethod
    def read(cls, connection: Connection, extra: Mapping[str, Any], **overrides: str | None) -> PaiConnection:
        """Read an Airflow connection.

        :param extra: the connection's extra.
        :param overrides: the hook's arguments; None leaves the connection's value.
        :raises PaiConfigError: naming the first field that is missing or not allowed.
        """
        # The connection form saves empty fields as blanks.
        values = {name: value for name, value in extra.items() if value not in (None, "")}
        values |= {name: value for name, value in overrides.items() if value}
        texts = {name: str(values[name]) for name in _TEXTS if name in values}
        texts.setdefault("auth", "access_key" if connection.login else "default")
        texts.setdefault("deployment", conf.get("api", "base_url", fallback="") or "airflow")
        read = cls(
            conn_id=connection.conn_id,
            access_key_id=connection.login or None,
            access_key_secret=connection.password or None,
            endpoints={name: values[f"{name}_endpoint"] for name in SERVICES if f"{name}_endpoint" in values},
            **texts,
        )
        read._check()
        return read

    def endpoint(self, service: str) -> str:
        """Return the address of a service: `host[:port]` or a URL with its scheme."""
        if service in self.endpoints:
            return self.endpoints[service]
        if self.endpoint_url and service != "oss":
            return self.endpoint_url
        row = SERVICES[service]
        return (row.vpc_host if self.network == "vpc" else row.host).format(region=self.region)

    def console_url(self, page: str) -> str:
        """Return the address of a page of PAI's console.

        :param page: path, e.g. `/dlc/jobs`.
        """
        return f"https://pai.console.aliyun.com/?regionId={self.region}&workspaceId={self.workspace_id or ''}#{page}"

    @cached_property
    def cache_key(self) -> str:
        """Return what two hooks must share to share a poller: endpoint, credentials and workspace."""
        parts = (
            self.endpoint_url,
            sorted(self.endpoints.items()),
            self.region,
            self.workspace_id,
            self.auth,
            self.access_key_id,
            self.access_key_secret,
            self.security_token,
            self.role_arn,
            self.network,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def credential_client(self) -> CredentialClient:
        """Build the client that hands out credentials, rotated where they expire."""
        from alibabacloud_credentials.client import Client
        from alibabacloud_credentials.models import Config

        if self.auth == "default":
            client: CredentialClient = Client()
            return client
        return Client(  # type: ignore[no-any-return]
            Config(
                type=self.auth,
                access_key_id=self.access_key_id,
                access_key_secret=self.access_key_secret,
                security_token=self.security_token,
                role_arn=self.role_arn,
                role_session_name=self.role_session_name,
                role_name=self.role_name,
                oidc_provider_arn=self.oidc_provider_arn,
                oidc_token_file_path=self.oidc_token_file,
                sts_endpoint=self.endpoints.get("sts"),
            )
        )

    def _check(self) -> None:
        own_endpoints = self.endpoint_url or self.endpoints
        if not (self.region and own_endpoints):
            one_of(self._name("region"), self.region, sorted(REGIONS))
        one_of(self._name("network"), self.network, NETWORKS)
        one_of(self._name("auth"), self.auth, AUTH_KINDS)
        required = {
            "access_key": ("access_key_id", "access_key_secret"),
            "sts": ("access_key_id", "access_key_secret", "security_token"),
            "ram_role_arn": ("access_key_id", "access_key_secret", "role_arn"),
            "oidc_role_arn": ("role_arn", "oidc_provider_arn", "oidc_token_file"),
        }
        written = {
            "access_key_id": "login (AccessKey ID)",
            "access_key_secret": "password (AccessKey Secret)",
        }
        for name in required.get(self.auth, ()):
            if not getattr(self, name):
                place = self._name(written.get(name, name))
                raise PaiConfigError(place, getattr(self, name), f"auth {self.auth} needs a value")

    def _name(self, name: str) -> str:
        return f"connection {self.conn_id}, {name}"
