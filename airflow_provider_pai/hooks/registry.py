"""Registries of container images: the digest that an image's name stands for now, and the login of a private one.

OCI Distribution Specification 1.1, "Pulling manifests", and the token authentication of Docker's registry. PAI itself
tells no digest: GetImage and ListImages of AIWorkspace have an address, DLC's pods a name.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from requests import RequestException

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.connection import PaiConnection, stored
from airflow_provider_pai.hooks.network import EnvironmentSession, UnreachableError
from airflow_provider_pai.remote import Json
from airflow_provider_pai.sensitive import mask_secret

# An image without a registry in its name is one of wherever PAI looks for it.
_IMAGE = re.compile(
    r"(?:(?P<host>localhost|[^/@]*[.:][^/@]*)/)?(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?"
)
_MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_FIELD = "image_conn_id"
# A submit does not wait long for it: connect, read.
_SECONDS = (2, 5)


class ImageDigest(NamedTuple):
    """A digest, `sha256:…`, or why nobody tells it."""

    digest: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class RegistryLogin:
    """User and password of a private registry."""

    host: str
    user: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, conn_id: str, image: str) -> RegistryLogin:
        """Read an Airflow connection, e.g. one of type `docker`, as the login of an image's registry.

        :raises PaiNotFoundError: there is none.
        :raises PaiConfigError: it has no login and password, or is another registry's.
        """
        connection, named = stored(_FIELD, conn_id), _IMAGE.fullmatch(image)
        if not (connection.login and connection.password):
            raise PaiConfigError(_FIELD, conn_id, "a connection with a login and a password")
        whose = re.sub("^[a-z]+://|/.*", "", connection.host or "")
        host = (named and named["host"]) or whose
        if not host:
            raise PaiConfigError(_FIELD, conn_id, f"a connection with a host, since {image} names no registry")
        if whose and whose != host:
            raise PaiConfigError(_FIELD, conn_id, f"a connection to {host}, where the image lies, not to {whose}")
        return cls(host, connection.login, connection.password)

    @property
    def dlc_config(self) -> Json:
        """Return DLC's ImageConfig; page: struct-imageconfig."""
        return {"DockerRegistry": self.host, "Username": self.user, "Password": self.password}

    @property
    def dsw_auth(self) -> str:
        """Return DSW's ImageAuth, "the Base64-encoded account and password"; between them a colon, as Docker has it."""
        text = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        mask_secret(text)
        return text


def image_digest(image: str, connection: PaiConnection, login: RegistryLogin | None = None) -> ImageDigest:
    """Ask an image's registry; whatever it answers, nobody's job fails for it."""
    named = _IMAGE.fullmatch(image)
    if named is None:
        return ImageDigest(note="its name is none that a registry knows")
    if named["digest"]:
        return ImageDigest(named["digest"])
    if not named["host"]:
        return ImageDigest(note="its name has no registry that could be asked")
    base = connection.endpoint_url or f"https://{named['host']}"
    try:
        digest = _ask(f"{base}/v2/{named['name']}/manifests/{named['tag'] or 'latest'}", login)
    except (RequestException, UnreachableError, ValueError) as error:
        return ImageDigest(note=f"its registry does not tell: {error}")
    return ImageDigest(digest)


def without_tag(image: str) -> str:
    """Return an image's name as far as registry and repository go."""
    named = _IMAGE.fullmatch(image)
    return "/".join(filter(None, (named["host"], named["name"]))) if named else image


def _ask(url: str, login: RegistryLogin | None) -> str:
    """Return the digest that a registry has for a tag.

    :raises ValueError: it has none, or wants a login.
    """
    headers = {"Accept": _MANIFESTS}
    with EnvironmentSession(connections=1) as session:
        answer = session.head(url, headers=headers, timeout=_SECONDS)
        if answer.status_code == 401:
            headers["Authorization"] = f"Bearer {_token(session, answer.headers.get('WWW-Authenticate', ''), login)}"
            answer = session.head(url, headers=headers, timeout=_SECONDS)
    digest = str(answer.headers.get("Docker-Content-Digest") or "")
    if answer.status_code != 200 or not digest:
        raise ValueError(f"it answers {answer.status_code} {'with' if digest else 'without'} a digest")
    return digest


def _token(session: EnvironmentSession, challenge: str, login: RegistryLogin | None) -> str:
    """Return the token that a registry hands to whoever has a login, or none.

    :raises ValueError: it hands none.
    """
    asked = dict(_CHALLENGE.findall(challenge))
    realm = asked.pop("realm", "")
    if not challenge.lower().startswith("bearer") or not realm:
        raise ValueError("it wants a login")
    auth = (login.user, login.password) if login else None
    answer = session.get(realm, params=asked, auth=auth, timeout=_SECONDS)
    told: Any = answer.json() if answer.status_code == 200 else {}
    if not (token := told.get("token") or told.get("access_token")):
        raise ValueError("it wants a login")
    return str(token)
