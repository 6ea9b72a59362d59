"""A small internet on loopback: names, TLS fronts with a private CA before each server, and a proxy that counts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from airflow_provider_pai.emulator import Emulator
from airflow_provider_pai.services import SERVICES

REGION = "cn-hangzhou"
GATEWAY = f"1.{REGION}.pai-eas.aliyuncs.com"
ROLES = f"roles.{REGION}.aliyuncs.com"
GIT = "git.localhost"
METADATA = "100.100.100.200"
CERTIFIED = ("*.aliyuncs.com", f"*.{REGION}.aliyuncs.com", f"*.{REGION}.pai-eas.aliyuncs.com", GIT)
_REAL = socket.getaddrinfo


class Internet:
    """Servers of one event loop in one thread.

    `names` says at which port of loopback a name answers, or which error its look-up ends with; `proxied` holds what
    has passed the proxy, as host:port.
    """

    def __init__(self, pai: Emulator, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.proxy = ""
        self.proxied: list[str] = []
        self.names: dict[str, int | OSError] = {}
        self.sts_status = 200
        self.assumed = 0
        self._certificate = _certify(self.ca, folder / "server.pem")
        self._stub = ThreadingHTTPServer(("127.0.0.1", 0), type("Stub", (_Stub,), {"internet": self}))
        self._loop = asyncio.new_event_loop()
        for target in (self._loop.run_forever, self._stub.serve_forever):
            threading.Thread(target=target, daemon=True).start()
        self.api, self.oss, self.stub = (
            self.front(port)
            for port in (_port(pai.endpoints.endpoint_url), _port(pai.endpoints.oss_endpoint), self.plain)
        )

    @property
    def plain(self) -> int:
        """Return the port of the stub without TLS."""
        return self._stub.server_port

    def front(self, port: int) -> int:
        """Put TLS before a port of loopback; return the front's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _join(reader, writer, *await asyncio.open_connection("127.0.0.1", port))

        return self._serve(serve, ssl=context)

    def reset(self) -> None:
        """Forget what has passed, and let all names be found."""
        # A new proxy: what clients keep open to the last one would not be counted.
        self.proxied = []
        self.proxy = f"http://127.0.0.1:{self._serve(self._proxy)}"
        self.sts_status = 200
        self.assumed = 0
        self.names = {row.host.format(region=REGION): self.api for row in SERVICES.values()}
        self.names |= {f"oss-{REGION}.aliyuncs.com": self.oss, METADATA: self.plain}
        self.names |= dict.fromkeys((GATEWAY, ROLES, GIT), self.stub)

    def close(self) -> None:
        """End the servers."""
        self._stub.shutdown()
        self._stub.server_close()

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def look_up(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Do as `socket.getaddrinfo`, with these names."""
        found = self.names.get(host.decode() if isinstance(host, bytes) else host)
        if isinstance(found, OSError):
            raise found
        return _REAL("127.0.0.1", found, *args, **kwargs) if found else _REAL(host, port, *args, **kwargs)

    async def _proxy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = url.hostname, url.port or 80
        if host is None:  # for whoever had this port before: an emulator's check of an instance, say
            return
        self.proxied.append(f"{host}:{port}")
        known = self.names.get(host)
        to = ("127.0.0.1", known) if isinstance(known, int) else (host, port)
        upstream = await asyncio.open_connection(*to)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            upstream[1].write(head)
        await _join(reader, writer, *upstream)

    def _serve(self, handle: Any, **options: Any) -> int:
        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await handle(reader, writer)
            writer.close()

        starting = asyncio.start_server(quiet, "127.0.0.1", 0, **options)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        port: int = server.sockets[0].getsockname()[1]
        return port


class _Stub(BaseHTTPRequestHandler):
    """STS, an instance's metadata, a service's gateway and a Git repository, each in one answer."""

    protocol_version = "HTTP/1.1"
    internet: Internet

    def do_GET(self) -> None:
        later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        credentials = {"AccessKeyId": "STS.id", "AccessKeySecret": "secret", "SecurityToken": "token"}
        credentials["Expiration"] = later
        said = {"Code": "Success", **credentials, "Credentials": credentials}
        self._say(json.dumps({**said, "authorization": self.headers["Authorization"]}))

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self._say("a token for the metadata")

    def do_CONNECT(self) -> None:
        self.send_error(407)

    def _say(self, text: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assumes = "AssumeRole" in self.path
        self.internet.assumed += assumes
        status = self.internet.sts_status if assumes else 200
        files = {"info/refs": f"{'0' * 39}1\trefs/heads/main\n", "HEAD": "ref: refs/heads/main\n"}
        path = self.path.partition("?")[0].partition("repo.git/")[2]
        body = files.get(path, text).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


async def _join(*ends: Any) -> None:
    """Carry what comes from either of two connections to the other, until one ends."""
    reader, writer, other_reader, other_writer = ends
    pumps = [asyncio.ensure_future(pump) for pump in (_pump(reader, other_writer), _pump(other_reader, writer))]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for pump in pumps:
        pump.cancel()
    for each in (writer, other_writer):
        each.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _certify(ca: Path, server: Path) -> Path:
    """Write a new CA, and a key with a certificate that it has signed."""
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("a private CA", root, "a private CA", root)
    names = map(x509.DNSName, CERTIFIED)
    addresses = x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = _certificate("a front", key, "a private CA", root, addresses)
    ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return server


def _certificate(name: str, key: Any, issuer: str, signer: Any, names: x509.ExtensionType | None = None) -> Any:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    if names is not None:
        made = made.add_extension(names, critical=False)
    return made.sign(signer, hashes.SHA256())
