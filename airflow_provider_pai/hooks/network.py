"""Network between the worker and the cloud: proxies, CAs and the session that all clients send through.

The environment's variables mean what requests' documentation says of them (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
`NO_PROXY`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`); where neither of the last two is set, OpenSSL's
`SSL_CERT_FILE` counts. This module imports requests: import it late.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_pai.hooks.answers import AnswerError
from airflow_provider_pai.hooks.service_time import hear
from airflow_provider_pai.remote import Json

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
# A resolver that is down says EAI_AGAIN; these say that there is no such name.
_NO_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
_POOL = 32
_ACTION = "x-acs-action"
"""Header of the calls of services; whoever hands out credentials and EAS's gateway are not asked with it."""
_log = logging.getLogger(__name__)


class Heard(NamedTuple):
    """What has come over the line at last, whoever sent it; SDKs tell less of it, or nothing at all.

    :param body: of a service's JSON.
    """

    status: int
    request_id: str | None = None
    body: Any = None


heard: ContextVar[Heard | None] = ContextVar("heard", default=None)
"""What the call that is under way has heard last."""


def accept(answer: Any, request_id: object, body: Any = None) -> None:
    """Take note of an answer that a service has to give itself.

    Each call has a request id, whether or not it is carried out (pages "Common parameters" of the services, "Common
    HTTP headers" of OSS): what has none is of a portal or a proxy, and says nothing of the service.

    :raises AnswerError: it is somebody else's.
    """
    heard.set(Heard(answer.status_code, str(request_id) if request_id else None, body))
    if not request_id:
        kind = answer.headers.get("Content-Type") or "of no type"
        raise AnswerError(f"status {answer.status_code} without a request id ({kind}): not the service's own answer")


class UnreachableError(Exception):
    """The address can't be reached as things are, however often it is tried: the text says what to do."""


def settings(url: str) -> dict[str, Any]:
    """Return `proxies` and `verify` for an address, as requests takes them.

    :raises UnreachableError: the variable that names the CAs names nothing.
    """
    return {"proxies": get_environ_proxies(url), "verify": ca_bundle() or True}


def ca_bundle() -> str | None:
    """Return the file or folder of the CAs that the environment names; None: those that requests brings count.

    :raises UnreachableError: there is none such.
    """
    name = next((name for name in _CA_VARIABLES if os.environ.get(name)), None)
    if name is None:
        return None
    if not Path(os.environ[name]).exists():
        raise UnreachableError(f"{name} is {os.environ[name]!r}, which is not there: it must name a file of CAs in PEM")
    return os.environ[name]


def for_git() -> dict[str, str]:
    """Return what git, which asks libcurl, has to be told of the environment in its own words."""
    bundle = ca_bundle() or ""
    told = {
        "GIT_SSL_CAPATH" if Path(bundle).is_dir() and bundle else "GIT_SSL_CAINFO": bundle,
        "http_proxy": os.environ.get("HTTP_PROXY", ""),
    }
    return {name: value for name, value in told.items() if value and name not in os.environ}


class ProcessAdapter(HTTPAdapter):
    """Connections of one process: on those that a fork has inherited, each would read the other's answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._process = os.getpid()

    def send(self, *request: Any, **options: Any) -> Any:
        """Send a request."""
        if self._process != os.getpid():
            self.close()
            self._process = os.getpid()
        return super().send(*request, **options)


class EnvironmentSession(requests.Session):
    """A session that asks the environment for proxy and CA at each request, and `.netrc` never.

    requests would put a password of `.netrc` in the place of a token.

    :param connections: that are kept alive for one host.
    """

    def __init__(self, connections: int = _POOL) -> None:
        super().__init__()
        self.trust_env = False
        for scheme in ("https://", "http://"):
            self.mount(scheme, ProcessAdapter(pool_maxsize=connections))

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request; proxies and certificates that the caller chose himself win over the environment's.

        :raises UnreachableError: to send it again would not help.
        """
        ours = settings(request.url)
        of_environment = [os.environ.get(name) for name in _PROXY_VARIABLES]
        chosen = {name: to for name, to in (options.get("proxies") or {}).items() if to not in of_environment}
        options["proxies"] = {**ours["proxies"], **chosen}
        if options.get("verify") in (None, True):
            options["verify"] = ours["verify"]
        try:
            answer = super().send(request, **options)
        except requests.RequestException as error:
            raise no_answer(error, request.url, options["proxies"]) from None
        if _ACTION in request.headers:
            body = _json_of(answer)
            accept(answer, answer.headers.get("x-acs-request-id") or body.get("RequestId"), body)
        else:
            heard.set(Heard(answer.status_code))
        hear(answer.headers)
        return answer


def _json_of(answer: Any) -> Json:
    """Return the object that an answer's JSON is; one without fields where it is none."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


@cache
def adopt() -> None:
    """Let the HTTP cores of Alibaba's SDKs send through `EnvironmentSession`.

    Of their own they heed neither NO_PROXY nor REQUESTS_CA_BUNDLE, no option of theirs sends past a proxy that the
    environment names, and they take no session. Read in darabonba.core 1.0.0 to 1.0.9 and Tea.core 0.4.3, `do_action`.
    """
    from darabonba.core import DaraCore
    from Tea.core import TeaCore

    for core in (DaraCore, TeaCore):
        if own := getattr(core, "_get_session", None):
            core._get_session = staticmethod(_sessions(own))
        else:
            _log.warning("%s has no sessions: it heeds proxies and CAs in its own way", core.__module__)


def _sessions(own: Any) -> Any:
    session = EnvironmentSession()

    def get_session(**asked: Any) -> Any:
        return own(**asked) if asked.get("tls_min_version") else session

    return get_session


def no_answer(error: requests.RequestException, url: str, proxies: dict[str, str]) -> Exception:
    """Return the error of a request that got no answer, in few words: its address may hold tokens.

    :param error: what requests raised.
    :return: an UnreachableError where the next time can't be better, else one of the same class.
    """
    at = urlsplit(url).netloc.rpartition("@")[2]
    proxy = urlsplit(select_proxy(url, proxies) or "").hostname
    place = f"{at} through the proxy {proxy}" if proxy else at
    causes = list(_causes(error))
    if why := next(filter(None, (_hopeless(cause, proxy) for cause in causes)), ""):
        return UnreachableError(f"{place}: {why}")
    return type(error)(f"no answer from {place}: {_words(causes[-1])}")


def _words(cause: BaseException) -> str:
    """Return what the deepest cause says of itself."""
    return getattr(cause, "strerror", None) or " ".join(str(cause).split()) or type(cause).__name__


def _hopeless(cause: BaseException, proxy: str | None) -> str:
    """Return why an error will come again, and what to do; nothing where it may not."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate does not verify ({cause.verify_message}) → let REQUESTS_CA_BUNDLE or SSL_CERT_FILE "
            "name a file with your network's own CA"
        )
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        return "it answers without TLS → write an endpoint or a proxy without it with http://"
    if isinstance(cause, ssl.SSLError) and cause.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return f"{ca_bundle()} holds no CA in PEM"
    if isinstance(cause, socket.gaierror) and cause.errno in _NO_NAME:
        to_check = "HTTPS_PROXY and HTTP_PROXY" if proxy else "the connection's region, network and endpoints, and DNS"
        return f"there is no such name ({cause.strerror}) → check {to_check}"
    if isinstance(cause, OSError) and re.search("Tunnel connection failed: 40[37]", str(cause)):
        return f"{cause} → set its user and password in HTTPS_PROXY as http://user:password@host:port"
    # What is no address, or a proxy's that is none, requests marks as a bad value.
    if isinstance(cause, requests.RequestException) and isinstance(cause, ValueError):
        return f"it is no address that could be asked: {cause}"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it; requests and urllib3 keep that in several places.

    `__context__` is none of them: it may be an error that the caller was handling.
    """
    seen: list[BaseException] = []
    rest: list[Any] = [error]
    while rest:
        each = rest.pop()
        if isinstance(each, BaseException) and each not in seen:
            seen.append(each)
            yield each
            rest += [each.__cause__, getattr(each, "reason", None), *each.args]
