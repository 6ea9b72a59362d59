from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.material import Sample
from demo.traffic import Traffic

ANSWERS = [
    (200, {"digit": 7, "version": "v1"}),
    (500, {"error": "no", "version": "v2"}),
    (200, {"digit": "seven", "version": "v1"}),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0

    def do_POST(self):
        assert self.headers["Authorization"] == "token"
        self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = ANSWERS[Handler.asked % len(ANSWERS)]
        Handler.asked += 1
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/predict/digits"
    server.shutdown()


def played(url):
    traffic = Traffic(url, "token", [Sample(7, [0] * 64)])
    traffic.start()
    end = time.monotonic() + 10
    while traffic.requests < 6 and time.monotonic() < end:
        time.sleep(0.02)
    traffic.stop()
    return traffic


def test_counts_by_version_and_takes_anything_but_a_digit_for_a_failure(url):
    traffic = played(url)
    assert traffic.by_version["v2"] == sum(failure.version == "v2" for failure in traffic.failures)
    malformed = [failure for failure in traffic.failures if failure.version == "v1"]
    assert malformed
    assert "seven" in malformed[0].what
    assert traffic.requests - len(traffic.failures) == pytest.approx(traffic.requests / 3, abs=1)


def test_no_answer_is_a_failure_of_no_version():
    traffic = played("http://127.0.0.1:9/api/predict/digits")
    assert {failure.version for failure in traffic.failures} == {""}
    assert len(traffic.failures) == traffic.requests
