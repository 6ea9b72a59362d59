"""Networks as people have them: each client through a real proxy to a real TLS front with a private CA, all alike.

The cells of the table in docs/connection.md.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from airflow.providers.common.compat.module_loading import import_string
from urllib3.connection import HTTPConnection

from airflow_provider_pai.exceptions import PaiApiError, PaiError, PaiPermissionError, PaiTransientError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.credentials import client_of
from airflow_provider_pai.hooks.dlc import DlcHook
from airflow_provider_pai.hooks.eas.inference import Asker, GoldenRequest
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.hooks.network import EnvironmentSession, adopt
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.workload.git import GitError, full_commit
from airflow_provider_pai.services import SERVICES, path_of
from airflow_provider_pai.triggers.job import PaiJobTrigger
from tests.internet import GATEWAY, GIT, METADATA, REGION, ROLES, Internet

DOCS = Path(__file__).parents[2] / "docs" / "connection.md"
VARIABLES = """HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
    REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE GIT_SSL_CAINFO NETRC""".split()
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


class Place:
    """Where a client stands: its internet, the environment, and the connection.

    :param by_name: servers are asked by their names, else by address.
    """

    def __init__(self, internet: Internet, pai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.internet = internet
        self.by_name = True
        self._pai = pai
        self._monkeypatch = monkeypatch

    def at(self, name: str, port: int) -> str:
        """Return a server's host."""
        return name if self.by_name else f"127.0.0.1:{port}"

    def connect(self, **extra: Any) -> None:
        """Set the connection; of itself it has a region only, as people have it."""
        at = self._pai.endpoints
        made = {"conn_type": "pai", "login": at.access_key_id, "password": at.access_key_secret}
        made["extra"] = {"region": REGION, "workspace_id": at.workspace_id, **extra}
        self._monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(made))

    def environ(self, **variables: Any) -> None:
        """Set variables of the environment."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, str(value))


@pytest.fixture(scope="module")
def internet(pai: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    """Servers, fronts and a CA."""
    made = Internet(pai, tmp_path_factory.mktemp("internet"))
    yield made
    made.close()


@pytest.fixture
def place(internet: Internet, pai: Any, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place where all names are found, with an environment that knows neither proxy nor CA."""
    internet.reset()
    monkeypatch.setattr(socket, "getaddrinfo", internet.look_up)
    monkeypatch.setattr(PaiHook, "retry_seconds", 0)
    client_of.cache_clear()
    for name in {*VARIABLES, *map(str.lower, VARIABLES)} & set(os.environ):
        monkeypatch.delenv(name)
    return Place(internet, pai, monkeypatch)


def hook_of(service: str, place: Place) -> Any:
    """Ask a service for its smallest answer."""
    host = SERVICES[service].host.format(region=REGION)
    port = place.internet.oss if service == "oss" else place.internet.api
    at = place.at(host, port)
    place.connect(**({"oss_endpoint": at} if service == "oss" else {"endpoints": f"{service}={at}"}))
    import_string(path_of(SERVICES[service].hook))().ping()


def credential_of(auth: str, place: Place) -> None:
    """Have credentials handed out."""
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # it says good-bye when pytest listens no more
    token = place.internet.ca  # any file will do
    role = {"role_arn": "acs:ram::1:role/r", "oidc_provider_arn": "acs:ram::1:oidc-provider/p", "role_name": "r"}
    sts = place.at(ROLES, place.internet.stub)
    place.connect(auth=auth, oidc_token_file=str(token), endpoints=f"sts={sts}", **role)
    hook = DlcHook()
    got = hook.call("Credentials", lambda: hook.connection.credential_client().get_credential())
    assert got.security_token == "token"


def gateway(place: Place) -> None:
    """Ask a service of EAS."""
    endpoint = Endpoint(f"https://{place.at(GATEWAY, place.internet.stub)}/x", "the token")
    asker = Asker(endpoint=endpoint, attempts=1, timeout=5, tolerance=0, path="")
    with asker.session:
        answer = asker.ask(GoldenRequest())
    if answer.status is None:
        raise PaiTransientError("eas", "Predict", answer.wrong)
    assert answer.body["authorization"] == "the token"


def git(place: Place) -> None:
    """Look a branch up in a repository."""
    assert full_commit(f"https://{place.at(GIT, 0).partition(':')[0]}:{place.internet.stub}/repo.git", "main")


class Client(NamedTuple):
    """A client: its row in the table, its server's name, and a request."""

    row: str
    name: str
    ask: Callable[[Place], None]


CLIENTS = {
    name: Client("OSS" if name == "oss" else "APIs", row.host.format(region=REGION), partial(hook_of, name))
    for name, row in SERVICES.items()
} | {
    "role": Client("roles", ROLES, partial(credential_of, "ram_role_arn")),
    "oidc": Client("roles", ROLES, partial(credential_of, "oidc_role_arn")),
    "metadata": Client("metadata", METADATA, partial(credential_of, "ecs_ram_role")),
    "gateway": Client("gateway", GATEWAY, gateway),
    "git": Client("git", GIT, git),
}


def each_but(*names: str) -> Any:
    """Ask all clients but some."""
    asked = {name: client for name, client in CLIENTS.items() if name not in names}
    return pytest.mark.parametrize("client", asked.values(), ids=asked)


each, each_with_tls, each_of_ours = each_but(), each_but("metadata"), each_but("metadata", "git")


@each
def test_proxy(client, place):
    place.environ(HTTPS_PROXY=place.internet.proxy, HTTP_PROXY=place.internet.proxy, SSL_CERT_FILE=place.internet.ca)
    client.ask(place)
    assert client.name in {host.partition(":")[0] for host in place.internet.proxied}


@each
@pytest.mark.parametrize("kind", ["host", "suffix", "network"])
def test_no_proxy(client, kind, place):
    domain = client.name.partition(".")[2]
    network = "100.100.100.0/24" if client.name == METADATA else "127.0.0.0/8"
    if client.name == METADATA and kind == "suffix":
        return  # an address has none
    place.by_name = kind != "network"
    place.environ(HTTPS_PROXY=place.internet.proxy, HTTP_PROXY=place.internet.proxy, SSL_CERT_FILE=place.internet.ca)
    place.environ(NO_PROXY=f"example.com,{ {'host': client.name, 'suffix': f'.{domain}', 'network': network}[kind] }")
    client.ask(place)
    assert place.internet.proxied == []


@each_with_tls
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_ca(client, variable, place):
    place.environ(**{variable: place.internet.ca})
    client.ask(place)


@each
def test_a_netrc_takes_the_place_of_no_token_and_no_signature(client, place, tmp_path):
    (tmp_path / "netrc").write_text("default login x password y\n")
    place.environ(NETRC=tmp_path / "netrc", SSL_CERT_FILE=place.internet.ca)
    client.ask(place)


@each_with_tls
def test_a_certificate_that_does_not_verify_is_an_error_at_once(client, place):
    with pytest.raises((PaiError, GitError), match="certificate") as caught:
        client.ask(place)
    assert not isinstance(caught.value, PaiTransientError)
    if client.row != "git":
        assert re.search(f"{client.name}: .*REQUESTS_CA_BUNDLE or SSL_CERT_FILE", str(caught.value))


@each_of_ours
def test_a_name_that_is_none_is_an_error_at_once(client, place):
    place.internet.names[client.name] = NO_NAME
    with pytest.raises(
        PaiApiError, match=f"{client.name}: there is no such name .* → check the conn.* region"
    ) as caught:
        client.ask(place)
    assert not isinstance(caught.value, PaiTransientError)


@each_of_ours
def test_a_resolver_that_does_not_answer_is_transient(client, place):
    place.internet.names[client.name] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    with pytest.raises(PaiTransientError):
        client.ask(place)


def test_each_client_is_a_row_of_the_table():
    rows = re.findall(r"^\| \*\*(\w+)\*\*", DOCS.read_text(), re.MULTILINE)
    assert rows == list(dict.fromkeys(client.row for client in CLIENTS.values()))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"HTTPS_PROXY": "http://proxy.none:1"}, "through the proxy proxy.none: there is no such name .*HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://"}, "it is no address that could be asked"),
        ({"SSL_CERT_FILE": "/none.pem"}, "SSL_CERT_FILE is '/none.pem', which is not there"),
        ({"REQUESTS_CA_BUNDLE": __file__}, "test_network.py holds no CA in PEM"),
        ({"HTTPS_PROXY": "http://refusing.test:1"}, "Tunnel connection failed: 407 .*http://user:password@host:port"),
    ],
)
@pytest.mark.parametrize("client", ["dlc", "oss", "gateway"])
def test_an_environment_that_leads_nowhere_is_told_at_once(client, environment, message, place):
    place.internet.names |= {"proxy.none": NO_NAME, "refusing.test": place.internet.plain}
    place.environ(**environment)
    with pytest.raises(PaiApiError, match=message) as caught:
        CLIENTS[client].ask(place)
    assert not isinstance(caught.value, PaiTransientError)


@pytest.mark.parametrize("client", ["dlc", "oss"])
def test_an_endpoint_without_tls_says_how_it_is_written(client, place):
    place.internet.names[CLIENTS[client].name] = place.internet.plain
    with pytest.raises(PaiApiError, match=r"answers without TLS → write an endpoint .* with http:"):
        CLIENTS[client].ask(place)


@pytest.mark.parametrize("hook_class", [DlcHook, OssHook])
@pytest.mark.parametrize(
    ("status", "kind"), [(403, PaiPermissionError), (404, PaiPermissionError), (503, PaiTransientError)]
)
def test_a_role_that_is_refused_is_a_missing_permission_for_every_client(hook_class, status, kind, place):
    place.environ(SSL_CERT_FILE=place.internet.ca)
    place.internet.sts_status = status
    place.connect(auth="ram_role_arn", role_arn="acs:ram::1:role/r", endpoints=f"sts={ROLES}")
    with pytest.raises(kind, match=f"→ check the connection's auth .*status {status}"):
        hook_class().ping()


def test_hooks_of_one_account_ask_for_one_credential(place):
    place.environ(SSL_CERT_FILE=place.internet.ca)
    place.connect(auth="ram_role_arn", role_arn="acs:ram::1:role/one", endpoints=f"sts={ROLES}")
    for hook_class in (DlcHook, OssHook, DlcHook):
        hook_class().connection.credential_client().get_credential()
    assert place.internet.assumed == 1
    place.connect(auth="ram_role_arn", role_arn="acs:ram::1:role/two", endpoints=f"sts={ROLES}")
    DlcHook().connection.credential_client().get_credential()
    assert place.internet.assumed == 2


@pytest.mark.parametrize("client", ["dlc", "oss", "gateway", "role"])
def test_an_error_that_is_handled_meanwhile_is_not_taken_for_this_ones_cause(client, place):
    place.internet.names[CLIENTS[client].name] = 9  # nobody listens there
    try:
        raise NO_NAME
    except OSError:
        with pytest.raises(PaiTransientError):
            CLIENTS[client].ask(place)


@pytest.mark.parametrize("client", ["role", "oidc"])
def test_an_address_with_tokens_in_it_is_not_shown(client, place, caplog):
    place.internet.names[ROLES] = 9  # nobody listens there
    with pytest.raises(PaiTransientError) as caught:
        CLIENTS[client].ask(place)
    assert ROLES in str(caught.value)
    assert not re.search("Signature|Token=", str(caught.value) + caplog.text)


@pytest.mark.parametrize("hook_class", [DlcHook, OssHook])
def test_an_sts_that_cannot_be_trusted_is_an_error_at_once_for_every_client(hook_class, place):
    place.connect(auth="ram_role_arn", role_arn="acs:ram::1:role/r", endpoints=f"sts={ROLES}")
    with pytest.raises(PaiApiError, match=f"{ROLES}: its certificate does not verify") as caught:
        hook_class().ping()
    assert not isinstance(caught.value, PaiTransientError)


def test_a_trigger_ends_at_once_where_waiting_would_not_help(place):
    place.connect()
    place.internet.names[CLIENTS["dlc"].name] = NO_NAME
    trigger = PaiJobTrigger(
        hook_path=path_of("hooks.dlc.DlcHook"), hook_arguments={}, job_id="dlc-1", poll_interval=60, task={}
    )
    event = asyncio.run(asyncio.wait_for(anext(trigger.run()), 10))
    assert "there is no such name" in event.payload["error"]


@pytest.mark.parametrize("service", ["eas", "oss"])
def test_a_fork_asks_over_connections_of_its_own(service, place, monkeypatch):
    """On one that it shares, each process would read the other's answers."""
    asked, connect = [], HTTPConnection._new_conn
    monkeypatch.setattr(HTTPConnection, "_new_conn", lambda self: asked.append(self) or connect(self))
    place.environ(SSL_CERT_FILE=place.internet.ca)
    hook_of(service, place)
    hook = import_string(path_of(SERVICES[service].hook))()
    hook.ping()
    before = len(asked)
    hook.ping()
    assert len(asked) == before, "it is kept alive"
    monkeypatch.setattr(os, "getpid", lambda: 1)
    hook.ping()
    assert len(asked) == before + 1


def test_what_another_client_has_chosen_wins_over_the_environment(place, monkeypatch):
    sent = []
    answer = lambda self, request, **options: sent.append(options) or requests.Response()  # noqa: E731
    monkeypatch.setattr(requests.Session, "send", answer)
    place.environ(HTTPS_PROXY="http://environment:1", HTTP_PROXY="http://environment:1")
    request = requests.Request("GET", "https://host").prepare()
    EnvironmentSession().send(
        request, proxies={"https": "http://chosen:1", "http": "http://environment:1"}, verify="/chosen.pem"
    )
    assert sent[0]["proxies"]["https"] == "http://chosen:1"
    assert sent[0]["verify"] == "/chosen.pem"


def test_a_client_that_asks_for_a_version_of_tls_keeps_its_own_session():
    from darabonba.core import DaraCore

    adopt()
    asked = {"session_key": "https://host:80", "protocol": "https", "verify": True}
    assert isinstance(DaraCore._get_session(**asked, tls_min_version=None), EnvironmentSession)
    assert not isinstance(DaraCore._get_session(**asked, tls_min_version="TLSv1.3"), EnvironmentSession)


def test_a_core_that_has_no_sessions_is_told_of_and_goes_on(monkeypatch, caplog):
    from darabonba.core import DaraCore
    from Tea.core import TeaCore

    monkeypatch.setattr(DaraCore, "_get_session", staticmethod(DaraCore._get_session))
    monkeypatch.delattr(TeaCore, "_get_session")
    adopt.__wrapped__()
    assert "Tea.core has no sessions" in caplog.text
    assert not hasattr(TeaCore, "_get_session")


def test_git_hears_of_a_proxy_in_capitals_and_of_a_folder_of_cas(place, tmp_path):
    from airflow_provider_pai.hooks.network import for_git

    place.environ(HTTP_PROXY="http://proxy:1", REQUESTS_CA_BUNDLE=tmp_path)
    assert for_git() == {"http_proxy": "http://proxy:1", "GIT_SSL_CAPATH": str(tmp_path)}
