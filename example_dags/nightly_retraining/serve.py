"""Serves the model beside this file: POST {"pixels": [64 numbers]}, or a list of such rows; GET /health.

Standard library and xgboost only. FAIL_SHARE (0 to 1) answers that share of the predictions with 500: a model that
passed every test and then fails under real traffic, for trying a rollback.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

FOLDER = Path(__file__).parent
HOST, PORT = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8000"))
VERSION = json.loads((FOLDER / "_manifest.json").read_text())["artifact"]["version"]
FAIL_SHARE = float(os.environ.get("FAIL_SHARE", "0"))

_MODEL = xgboost.Booster({"nthread": 1}, model_file=str(FOLDER / "model.ubj"))
_NUMBERS = itertools.count(1)


def fails(number: int) -> bool:
    """Tell whether the n-th prediction is one of the failing share, evenly spread."""
    return int(number * FAIL_SHARE) > int((number - 1) * FAIL_SHARE)


def predict(pixels: list[Any]) -> dict[str, Any]:
    """Return the digit of one image, or the digits of a list of images."""
    rows = np.asarray(pixels, dtype=np.float32)
    if rows.ndim not in (1, 2) or rows.shape[-1] != 64:
        raise ValueError("pixels: 64 numbers, or a list of rows of 64 numbers")
    digits = _MODEL.inplace_predict(np.atleast_2d(rows)).argmax(axis=1).tolist()
    return {"digit": digits[0]} if rows.ndim == 1 else {"digits": digits}


class Handler(BaseHTTPRequestHandler):
    """One connection; kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # An idle connection must not keep a stopped server waiting.
    timeout = 60

    def do_GET(self) -> None:
        """Tell that the model is loaded."""
        self.answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        """Predict."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if fails(next(_NUMBERS)):
            self.answer(500, {"error": "the model failed on this request"})
            return
        try:
            self.answer(200, predict(json.loads(body)["pixels"]))
        except (ValueError, TypeError, KeyError) as error:
            self.answer(400, {"error": str(error)})

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """Send JSON; every answer names the model's version."""
        body = json.dumps({**content, "version": VERSION}).encode()
        head = (
            f"HTTP/1.1 {status} {self.responses[status][0]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        # In one packet.
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        """Leave requests out of the log."""


class Server(ThreadingHTTPServer):
    """A thread per connection; closing waits for requests that are being answered."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self.open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        """Take no more requests; those that have arrived are answered."""
        self.shutdown()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue


def main() -> None:
    """Serve until SIGTERM."""
    server = Server((HOST, PORT))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop).start())
    print(f"serving {VERSION} on port {PORT}" + (f", failing {FAIL_SHARE:.0%}" if FAIL_SHARE else ""), flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
