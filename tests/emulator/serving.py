"""Helpers of the EAS tests: a tiny HTTP server to deploy, and the real SDK client with the few steps they repeat."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from alibabacloud_eas20210701 import models
from alibabacloud_eas20210701.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import OpenApiRequest, Params
from alibabacloud_tea_util.models import RuntimeOptions

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket, sdk_config

BUCKET = "eas-tests"

SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

STATE = {"healthy": True}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"one", b"two", b"three"):
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(part), part))
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\\r\\n\\r\\n")

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def handle_any(self):
        url = urlsplit(self.path)
        body = self.body()
        if url.path == "/crash":
            os._exit(3)
        if url.path == "/sick":
            STATE["healthy"] = False
        if url.path == "/health":
            return self.answer(200 if STATE["healthy"] else 500, {})
        if url.path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x" * 10)
            self.wfile.flush()
            time.sleep(0.1)
            os._exit(4)
        if url.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 1000)
                time.sleep(0.01)
        if url.path == "/slow":
            time.sleep(float(url.query))
        if url.path == "/stream":
            return self.chunks()
        if url.path == "/echo":
            return self.answer(200, body, [("X-Body", str(len(body))), ("X-Multi", "a"), ("X-Multi", "b")])
        status = int(url.path.removeprefix("/status/")) if url.path.startswith("/status/") else 200
        model = os.environ.get("MODEL_DIR")
        self.answer(status, {
            "version": os.environ.get("VERSION"), "pid": os.getpid(), "path": self.path, "method": self.command,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "model": open(os.path.join(model, "model.txt")).read() if model else None,
        })

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any

    def log_message(self, *args):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

print("serving on", sys.argv[1], flush=True)
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Eas:
    """The real SDK client of one emulator, with names of its own."""

    def __init__(self, pai: Emulator) -> None:
        self.pai = pai
        self.region = pai.endpoints.region
        self.client = Client(sdk_config(pai))
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.names: list[str] = []
        self.bucket = oss_bucket(pai, BUCKET)
        self.bucket.create_bucket()
        self.bucket.put_object("code/server.py", SERVER.encode())

    def name(self, suffix: str) -> str:
        """Return a name that no other test uses."""
        return f"{self.prefix}_{suffix}"

    def config(self, suffix: str, *, version: str = "1", **metadata: Any) -> dict[str, Any]:
        """Return a service JSON that runs the server."""
        return {
            "metadata": {"name": self.name(suffix), "instance": 1, "cpu": 1, "memory": 1000, **metadata},
            "containers": [
                {
                    "image": "registry.example.com/python:3.11",
                    "script": "python /mnt/code/server.py 8000",
                    "port": 8000,
                    "env": [{"name": "VERSION", "value": version}],
                }
            ],
            "storage": [{"mount_path": "/mnt/code", "oss": {"path": f"oss://{BUCKET}/code/", "readOnly": True}}],
        }

    def create(self, config: dict[str, Any], *, wait: bool = True, **query: Any) -> str:
        """Create a service and, unless told otherwise, wait until it runs."""
        body = self.client.create_service(models.CreateServiceRequest(body=json.dumps(config), **query)).body
        self.names.append(body.service_name)
        if wait:
            self.wait(body.service_name)
        return body.service_name

    def describe(self, name: str) -> models.Service:
        """Return a service."""
        return self.client.describe_service(self.region, name).body

    def wait(self, name: str, *statuses: str, seconds: float = 20) -> models.Service:
        """Wait for one of the statuses, by default until it runs and the gateway knows it."""
        deadline = time.monotonic() + seconds
        while (service := self.describe(name)).status not in (statuses or ("Running",)) or (
            not statuses and self.pai.call(lambda: self.pai.services.eas.get(name).refusal)
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service.status}: {service.message}")
            time.sleep(0.02)
        return service

    def update(self, name: str, change: dict[str, Any], update_type: str | None = None) -> None:
        """Update a service."""
        request = models.UpdateServiceRequest(body=json.dumps(change), update_type=update_type)
        self.client.update_service(self.region, name, request)

    def release(self, name: str, **fields: Any) -> str:
        """Set weight and traffic state."""
        return self.client.release_service(self.region, name, models.ReleaseServiceRequest(**fields)).body.message

    def traffic_mode(self, group: str, mode: str) -> dict[str, Any]:
        """Set a group's traffic mode, which the SDK has no method for."""
        params = Params(
            action="UpdateGroup",
            version="2021-07-01",
            protocol="HTTP",
            method="PUT",
            auth_type="AK",
            style="ROA",
            pathname=f"/api/v2/groups/{self.region}/{group}",
            req_body_type="json",
            body_type="json",
        )
        return self.client.call_api(params, OpenApiRequest(body={"TrafficMode": mode}), RuntimeOptions())

    def group_pair(self, group: str = "g") -> tuple[str, str, models.Group]:
        """Deploy two services, versions `a` and `b`, in one group."""
        names = [
            self.create(self.config(suffix, version=suffix, group=self.name(group)), wait=False)
            for suffix in ("a", "b")
        ]
        for name in names:
            self.wait(name)
        return names[0], names[1], self.client.describe_group(self.region, self.name(group)).body

    def clean_up(self) -> None:
        """Delete what the test made."""
        for name in self.names:
            try:
                self.client.delete_service(self.region, name)
            except Exception:  # noqa: BLE001 - deleted by the test already
                continue


@contextmanager
def calling(url: str, token: str) -> Iterator[Any]:
    """Yield a function that sends requests below an endpoint over one kept connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)

    def call(path: str = "", method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> Any:
        sent = {"Authorization": token, **(headers or {})}
        connection.request(method, parts.path + path, body, sent, encode_chunked="Transfer-Encoding" in sent)
        response = connection.getresponse()
        data = response.read()
        response.data = data  # type: ignore[attr-defined]
        return response

    try:
        yield call
    finally:
        connection.close()


def refusal(function: Callable[..., Any], *arguments: Any) -> tuple[int, str]:
    """Return the status and the code with which a call is refused."""
    with pytest.raises(ClientException) as caught:
        function(*arguments)
    return caught.value.status_code, caught.value.code
