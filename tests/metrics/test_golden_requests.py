from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_pai.canary.samples import Sample
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas import inference
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from airflow_provider_pai.metrics.golden_requests import make_probe


@pytest.fixture
def server(monkeypatch):
    """A service that answers its path's number doubled, and 503 to the first requests for `/late`."""
    monkeypatch.setattr(inference, "_FIRST_PAUSE", 0)
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.command, self.path, dict(self.headers), body))
            late = self.path.endswith("/late") and sum(path == self.path for _, path, *_ in seen) < 3
            answer = json.dumps({"double": 2 * json.loads(body or b"0")}).encode()
            self.send_response(503 if late else 200)
            self.end_headers()
            self.wfile.write(b"plain" if self.path.endswith("/text") else answer)

        do_GET = do_POST

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield Endpoint(f"http://127.0.0.1:{http.server_port}/api/predict/s/", "secret-token"), seen
    http.shutdown()


def ask(endpoint, *requests, **options):
    return make_probe({"requests": list(requests), "path": "/predict", **options}, None).ask(endpoint).wrong


def test_right_answers_leave_nothing_to_say(server):
    endpoint, seen = server
    assert ask(endpoint, {"json": 4, "expect": {"double": 8}}, {"json": 1, "path": "/other", "method": "POST"}) == ""
    assert [path for _, path, *_ in seen] == ["/api/predict/s/predict", "/api/predict/s/other"]
    assert seen[0][2]["Authorization"] == "secret-token"


def test_wrong_answers_are_counted_and_the_first_is_shown(server):
    said = ask(
        server[0],
        {"json": 4, "expect": {"double": 8}},
        {"json": 4, "expect": {"double": 9}},
        {"json": 1, "status": 201},
    )
    assert said.startswith('1 of 2 answers are wrong; the first: POST /: {"double": 8} instead of {"double": 9}')
    assert "secret-token" not in said


def test_some_may_be_wrong_if_that_is_allowed(server):
    requests = [{"json": 4, "expect": {"double": 8}}] * 9 + [{"json": 4, "expect": {"double": 9}}]
    assert ask(server[0], *requests, min_correct="0.9") == ""
    assert ask(server[0], *requests, min_correct=0.95).startswith("1 of 10")


def test_a_gateway_that_is_late_is_asked_again(server):
    endpoint, seen = server
    answers = make_probe({"requests": [{"path": "/late", "json": 1}]}, None).ask(endpoint)
    assert (answers.wrong, len(seen)) == ("", 3)
    assert answers.counted() == Sample(requests=3, errors=2)


def test_text_can_be_expected(server):
    assert ask(server[0], {"path": "/text", "method": "GET", "expect": "plain"}) == ""


def test_nobody_there():
    said = ask(Endpoint("http://127.0.0.1:9", "t"), {"json": 1}, timeout=0.2)
    assert said == "1 of 1 answers are wrong; the first: POST /: no answer from 127.0.0.1:9: Connection refused"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "requests"),
        ({"requests": [], "min_correct": 1}, "at least one request"),
        ({"requests": [{}], "color": 1}, "probe: 'color'"),
        ({"requests": [{"pth": "/x"}]}, "number 1: .* one JSON object of path, method"),
        ({"requests": ["/x"]}, "number 1"),
        ({"requests": [{}], "timeout": "soon"}, r"probe\['timeout'\]: 'soon'"),
        ({"requests": [{}], "min_correct": "nan"}, r"probe\['min_correct'\]: 'nan' .* a number from 0 to 1"),
        ({"requests": [{}], "tolerance": "inf"}, r"probe\['tolerance'\]: 'inf'"),
        ({"requests": [{"expect": {"score": float("nan")}}]}, "nan is not allowed"),
    ],
)
def test_bad_declarations_are_refused(config, message):
    with pytest.raises(PaiConfigError, match=message):
        make_probe(config, None)
