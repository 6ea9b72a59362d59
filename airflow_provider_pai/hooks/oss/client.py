"""Client of oss2, tuned: credentials that rotate, few log lines, large blocks, its slow CRC left to ours."""

from __future__ import annotations

import http.client
import logging
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_provider_pai.exceptions import PaiTransientError
from airflow_provider_pai.hooks.answers import AnswerError, present
from airflow_provider_pai.hooks.service_time import hear

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.credentials import CredentialClient

BLOCK = 1 << 20
"""Bytes that go to or come from a socket at a time: oss2's 8 KiB cost six times the CPU."""
CONNECT_SECONDS = 10
_POOL = 32


def sdk() -> Any:
    """Import oss2, and let it tell warnings only: it logs each object that is looked for in vain as an exception."""
    import oss2

    logger = logging.getLogger("oss2")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    return oss2


class Provider:
    """oss2's CredentialsProvider over alibabacloud-credentials."""

    def __init__(self, client: CredentialClient) -> None:
        self._client = client

    def get_credentials(self) -> Any:
        """Return the credentials of this moment; oss2 asks for each request."""
        from oss2.credentials import Credentials

        now = self._client.get_credential()
        return Credentials(now.access_key_id, now.access_key_secret, now.security_token or "")


class Session:
    """Where oss2 sends its requests: straight to requests' adapter.

    What requests does around that for each of them costs half of a small one's CPU: cookies, hooks, redirects, and
    proxies and certificates looked up in the environment, which is done here once for each host.
    """

    def __init__(self) -> None:
        self._adapter = _adapter_class()(pool_connections=_POOL, pool_maxsize=_POOL)
        self._settings: dict[str, Any] = {}

    def do_request(self, request: Any, timeout: float) -> Any:
        """Send an `oss2.http.Request` and return its `oss2.http.Response`.

        :raises oss2.exceptions.RequestError: no answer came.
        :raises UnreachableError: none will come.
        :raises AnswerError: something on the way has answered in OSS's place.
        """
        import requests

        from airflow_provider_pai.hooks.network import UnreachableError, accept, no_answer

        settings = self._settings_of(request.url)
        try:
            answer = self._adapter.send(_prepared(request), stream=True, timeout=timeout, **settings)
        except requests.RequestException as error:
            told = no_answer(error, request.url, settings["proxies"])
            raise (told if isinstance(told, UnreachableError) else sdk().exceptions.RequestError(told)) from None
        try:
            accept(answer, answer.headers.get("x-oss-request-id"))
        except AnswerError:
            answer.close()
            raise
        hear(answer.headers)
        return sdk().http.Response(answer)

    def _settings_of(self, url: str) -> Any:
        from airflow_provider_pai.hooks.network import settings

        host = url.split("/", 3)[2]
        if host not in self._settings:
            self._settings[host] = settings(url)
        return self._settings[host]


def _prepared(request: Any) -> Any:
    """Return a request as the adapter wants it: with the length of its body, where it has one."""
    import requests

    prepared = requests.PreparedRequest()
    prepared.method, prepared.body = request.method, request.data
    prepared.url = f"{request.url}?{urlencode(request.params)}" if request.params else request.url
    prepared.headers = request.headers
    for name in [name for name, value in request.headers.items() if value is None]:
        del request.headers[name]
    body = b"" if request.data is None and request.method not in ("GET", "HEAD") else request.data
    if hasattr(body, "__len__"):
        request.headers["Content-Length"] = str(len(body))
    return prepared


def whole_size(answer: Any, start: int) -> int:
    """Return the size of the object of which a GetObjectResult brings the bytes from `start` on.

    :raises AnswerError: it brings others, or does not tell.
    """
    if answer.status != 206:
        if start:
            raise AnswerError(f"the object came from its first byte on, not from byte {start}")
        return int(present(answer.content_length, "Content-Length"))
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    if not found or int(found[1]) != start:
        raise AnswerError(f"Content-Range does not begin at byte {start}")
    return int(found[2])


def blocks(answer: Any, action: str) -> Iterator[bytes]:
    """Yield the bytes of a GetObjectResult as they are stored, however the object is encoded.

    :raises PaiTransientError: the connection was lost.
    """
    import urllib3

    response = answer.resp.response
    try:
        while block := response.raw.read(BLOCK, decode_content=False):
            yield block
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise PaiTransientError("oss", action, str(error), request_id=answer.request_id) from None
    finally:
        response.close()


@cache
def _adapter_class() -> Any:
    from airflow_provider_pai.hooks.network import ProcessAdapter

    class LargeBlocks(ProcessAdapter):
        """urllib3 reads bodies that it sends in blocks of 16 KiB unless told otherwise."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, blocksize=BLOCK, **kwargs)

    return LargeBlocks
