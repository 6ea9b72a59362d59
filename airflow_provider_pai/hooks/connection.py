"""Connection of type `pai`, read once into a frozen dataclass.

Precedence of every field: the operator's or hook's argument, then the connection's extra, then the default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, conf

from airflow_provider_pai.conn_fields import AUTH_KINDS, CONN_FIELDS, ENDPOINT_SERVICES, NETWORKS, REGIONS
from airflow_provider_pai.costs import Prices
from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.hooks.credentials import CredentialClient, client_of
from airflow_provider_pai.inputs import one_of, parse_uri, seconds, text
from airflow_provider_pai.labels import MAX_CHARACTERS
from airflow_provider_pai.services import SERVICES
from airflow_provider_pai.values import did_you_mean

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_TEXTS = """region workspace_id auth role_arn role_session_name role_name oidc_provider_arn oidc_token_file network
    state_uri ledger_conn_id deployment eas_group_key""".split()
_KEYS = ("access_key_id", "access_key_secret", "security_token")
# Where a person finds them in the form.
_WRITTEN = {"access_key_id": "login (AccessKey ID)", "access_key_secret": "password (AccessKey Secret)"}


def stored(field: str, conn_id: str) -> Connection:
    """Return an Airflow connection.

    :raises PaiNotFoundError: Airflow has none of this name, or the backend that has it does not answer.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        todo = f"make it in the UI (Admin, Connections), or set AIRFLOW_CONN_{conn_id.upper()}"
        needed = f"an Airflow connection that exists → {todo}"
        raise PaiNotFoundError.of("airflow", "get_connection", field, conn_id, needed) from None


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
    """Addresses by service (`endpoints` and `oss_endpoint` of the extra)."""
    state_uri: str | None = None
    """Prefix on OSS that is home to leases, looks and whatever else must be remembered outside the services."""
    ledger_conn_id: str | None = None
    prices: Prices = field(default_factory=Prices)
    deployment: str = ""
    """Keeps two Airflows that share a workspace apart."""
    max_running_time: float | None = None
    """Seconds after which a service itself ends jobs and instances whose task names no limit."""
    pip_index: str = ""
    """Where the image of a notebook that lacks papermill gets it from; empty: from nowhere."""
    eas_group_key: str = "metadata.group"
    """Key of EAS's service JSON that puts a service into a group; no document names it."""
    console_url: str = "https://{service}.console.aliyun.com"
    """Where links lead; `{service}` stands for pai or oss."""

    @classmethod
    def read(cls, connection: Connection, extra: Mapping[str, Any], **overrides: str | None) -> PaiConnection:
        """Read an Airflow connection.

        :param extra: the connection's extra.
        :param overrides: the hook's arguments; None leaves the connection's value.
        :raises PaiConfigError: naming the first field that is missing or not allowed.
        """
        place = f"connection {connection.conn_id}, {{}}".format
        if not isinstance(extra, Mapping):
            raise PaiConfigError(place("extra"), "***", "a JSON object")
        for name in extra:
            if name not in CONN_FIELDS:
                raise PaiConfigError(place("extra"), name, f"it has no such field{did_you_mean(name, CONN_FIELDS)}")
        values = {**extra, "access_key_id": connection.login, "access_key_secret": connection.password}
        values |= {name: value for name, value in overrides.items() if value}
        # The connection form saves empty fields as blanks.
        given = {
            name: value
            for name, reader in _READERS.items()
            if (value := reader(place(_WRITTEN.get(name, name)), values.get(name)))
        }
        given.setdefault("auth", "access_key" if "access_key_id" in given else "default")
        given.setdefault("deployment", conf.get("api", "base_url", fallback="") or "airflow")
        own = given.pop("oss_endpoint", None)
        endpoints = {**given.pop("endpoints", {}), **({"oss": own} if own else {})}
        read = cls(conn_id=connection.conn_id, endpoints=endpoints, **given)
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

    def console(self, service: str, page: str) -> str:
        """Return the address of a page of a service's console.

        :param page: from its first slash on.
        """
        return self.console_url.replace("{service}", service).rstrip("/") + page

    @property
    def cache_key(self) -> tuple[object, ...]:
        """Return what two hooks must share to share a poller: all but the credentials, which rotate."""
        endpoints = (self.endpoint_url, *sorted(self.endpoints.items()))
        return (self.conn_id, self.region, self.workspace_id, self.network, *endpoints)

    @property
    def credential_fields(self) -> dict[str, str | None]:
        """Return what credentials are made of, by alibabacloud-credentials' names."""
        return {
            "type": self.auth,
            "access_key_id": self.access_key_id,
            "access_key_secret": self.access_key_secret,
            "security_token": self.security_token,
            "role_arn": self.role_arn,
            "role_session_name": self.role_session_name,
            "role_name": self.role_name,
            "oidc_provider_arn": self.oidc_provider_arn,
            "oidc_token_file_path": self.oidc_token_file,
            "sts_endpoint": self.endpoint("sts").removeprefix("https://"),
        }

    def credential_client(self) -> CredentialClient:
        """Return the client that hands out credentials, rotated where they expire; one an account in a process."""
        return client_of(**self.credential_fields)

    def _check(self) -> None:
        own_endpoints = self.endpoint_url or self.endpoints
        if not (own_endpoints and re.fullmatch("[a-z0-9-]+", self.region)):
            one_of(self._name("region"), self.region, sorted(REGIONS))
        for service, address in self.endpoints.items():
            if (other := _region_of(service, address)) not in (None, self.region):
                allowed = f"region is {self.region}: leave the endpoint out, or set region to {other}"
                name = "oss_endpoint" if service == "oss" else f"endpoints, {service}"
                raise PaiConfigError(self._name(name), address, allowed)
        if "[" in (address := self.endpoints.get("oss", "")):
            raise PaiConfigError(self._name("oss_endpoint"), address, "oss2 takes no IPv6 address: a name, or IPv4")
        one_of(self._name("network"), self.network, NETWORKS)
        one_of(self._name("auth"), self.auth, AUTH_KINDS)
        if self.state_uri and len(str(parse_uri(self._name("state_uri"), self.state_uri).folder)) > MAX_CHARACTERS:
            allowed = f"at most {MAX_CHARACTERS} characters: services keep it in a label"
            raise PaiConfigError(self._name("state_uri"), self.state_uri, allowed)
        if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", self.eas_group_key):
            raise PaiConfigError(self._name("eas_group_key"), self.eas_group_key, "a key with dots, as metadata.group")
        required = {
            "access_key": ("access_key_id", "access_key_secret"),
            "sts": ("access_key_id", "access_key_secret", "security_token"),
            "ram_role_arn": ("access_key_id", "access_key_secret", "role_arn"),
            "oidc_role_arn": ("role_arn", "oidc_provider_arn", "oidc_token_file"),
        }
        for name in required.get(self.auth, ()):
            if not getattr(self, name):
                place = self._name(_WRITTEN.get(name, name))
                raise PaiConfigError(place, getattr(self, name), f"auth {self.auth} needs it: fill in the field")

    def _name(self, name: str) -> str:
        return f"connection {self.conn_id}, {name}"


def _region_of(service: str, address: str) -> str | None:
    """Return the region of a service's public or VPC host, None of any other address."""
    host = address.rpartition("://")[2].partition(":")[0]
    row = SERVICES[service]
    for form in (row.vpc_host, row.host):
        before, _, after = form.partition("{region}")
        region = host.removeprefix(before).removesuffix(after)
        if region in REGIONS and form.format(region=region) == host:
            return region
    return None


def _text(field: str, value: object) -> str:
    return "" if value is None else text(field, value).strip()


def _span(field: str, value: object) -> float | None:
    return seconds(field, value, least=60) if _text(field, value) else None


def _key(field: str, value: object) -> str:
    """Read a key, a secret or a token: it was pasted, often with a newline.

    :raises PaiConfigError: nobody can have been given such a one; it is not shown.
    """
    key = value.strip() if isinstance(value, str) else value or ""
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or " " in key:
        raise PaiConfigError(field, "***", "printable ASCII characters without blanks between them")
    return key


def _endpoint(field: str, value: object) -> str:
    """Read the address of a service, in small letters; slashes behind it are left out.

    :raises PaiConfigError: it is no address, or has more than a scheme, a host and a port.
    """
    written = _text(field, value)
    found = re.fullmatch(_ADDRESS, written.lower(), re.ASCII)
    if written and not (found and _is_host(found["host"]) and 0 < int(found["port"] or 443) < 65_536):
        shown = f"***@{written.rpartition('@')[2]}" if "@" in written else value
        raise PaiConfigError(field, shown, "host, host:port, https://host or http://host:port, and nothing behind")
    return found["address"] if found else ""


def _endpoints(field: str, value: object) -> dict[str, str]:
    """Read the addresses of services: `service=address`, one a line or between blanks.

    :raises PaiConfigError: there is no such service, or no such address.
    """
    allowed = f"service=address a line, of {', '.join(ENDPOINT_SERVICES)}; OSS has oss_endpoint"
    if "@" in (written := _text(field, value)):  # behind a blank in its password a login would be torn apart
        raise PaiConfigError(field, "***", f"{allowed}; no login in an address")
    pairs = [part.partition("=") for part in written.replace(",", " ").split()]
    for service, _, address in pairs:
        if service not in ENDPOINT_SERVICES or not address:
            raise PaiConfigError(field, service, allowed)
    return {service: _endpoint(f"{field}, {service}", address) for service, _, address in pairs}


def _prices(field: str, value: object) -> Prices | None:
    written = _text(field, value)
    return Prices.parse(field, written) if written else None


def _console(field: str, value: object) -> str:
    """Read the address of a console.

    :raises PaiConfigError: it is no web address.
    """
    written = _text(field, value)
    if written and not re.match(r"https?://\S+$", written):
        raise PaiConfigError(field, value, "https://… or http://…, in which {service} stands for pai or oss")
    return written


def _pip_index(field: str, value: object) -> str:
    """Read the address of a package index.

    :raises PaiConfigError: it is no web address, or has a login, which everybody who may read the job would read.
    """
    written = _text(field, value)
    if "@" in written:
        raise PaiConfigError(field, "***", "an index that asks for no login: who may read a job reads its address")
    if written and not re.match(r"https?://\S+$", written):
        raise PaiConfigError(field, value, "https://… or http://…")
    return written


def _is_host(host: str) -> bool:
    """Tell whether a host is an IP address, of IPv6 in brackets, or a name that DNS may know."""
    is_v6 = host.startswith("[")
    if is_v6 or re.fullmatch(r"[\d.]+", host):
        try:
            return ip_address(host.strip("[]")).version == (6 if is_v6 else 4)
        except ValueError:
            return False
    return len(host) < 254 and all(re.fullmatch(_DNS_LABEL, label, re.ASCII) for label in host.split("."))


_ADDRESS = r"(?P<address>(?:https?://)?(?P<host>\[[\da-f:.]+\]|[\w.-]+)(?::(?P<port>\d{1,5}))?)/*"
_DNS_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
_READERS: Mapping[str, Callable[[str, object], Any]] = {
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_KEYS, _key),
    **dict.fromkeys(("endpoint_url", "oss_endpoint"), _endpoint),
    "endpoints": _endpoints,
    "max_running_time": _span,
    "prices": _prices,
    "console_url": _console,
    "pip_index": _pip_index,
}
