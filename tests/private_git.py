"""A private Git repository over HTTP, for one user and token: as the simplest servers give one, or one to push to."""

from __future__ import annotations

import base64
import os
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
            self._by_git() if self.server.takes_pushes else super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def _by_git(self) -> None:
        """Answer by git's own server, which speaks CGI."""
        path, _, query = self.path.partition("?")
        asked = {
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_USER": "somebody",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        command, environment = ["git", "http-backend"], {**os.environ, **asked}
        answer = subprocess.run(command, env=environment, input=body, capture_output=True, check=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    asked: list[str]
    login = ""
    takes_pushes = False

    def let_in(self, user: str, token: str) -> None:
        """Let this user in with this token, and nobody else."""
        self.login = "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@contextmanager
def private_git(source: str, folder: Path, *, takes_pushes: bool = False) -> Iterator[tuple[str, _Server]]:
    """Serve a copy of a repository, `train.git` in a folder; yield its URL and the server."""
    bare = folder / "train.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", source, str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    with _Server(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as server:
        server.asked, server.takes_pushes = [], takes_pushes
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/train.git", server
        server.shutdown()
