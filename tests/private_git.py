"""A private Git repository: over HTTP, for one user and token, as the simplest servers give one."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        self.server.asked.append(given)
        if given == self.server.login:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    asked: list[str]
    login = ""

    def let_in(self, user: str, token: str) -> None:
        """Let this user in with this token, and nobody else."""
        self.login = "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@contextmanager
def private_git(source: str, folder: Path) -> Iterator[tuple[str, _Server]]:
    """Serve a copy of a repository; yield its URL and the server."""
    bare = folder / "train.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", source, str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    with _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/train.git", server
        server.shutdown()
