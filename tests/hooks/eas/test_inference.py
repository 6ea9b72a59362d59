"""Golden requests: sent again where nothing answers, compared where something does."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.clock import Clock
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.eas.inference import (
    Asker,
    GoldenRequest,
    contains,
    golden_request,
    golden_requests,
    read_body,
)
from airflow_provider_pai.hooks.eas.traffic import Endpoint
from tests.clock import VirtualClock


@pytest.fixture
def server():
    """A service that answers with the statuses of a list, one a request, then with 200."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body or json.dumps(self.headers["Authorization"]).encode())

        do_GET = do_HEAD = do_POST

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield Endpoint(f"http://127.0.0.1:{http.server_port}/", "token"), statuses
    http.shutdown()
    http.server_close()


@pytest.fixture
def asker(server):
    pauses = []
    made = Asker(
        endpoint=server[0],
        attempts=4,
        timeout=5,
        tolerance=0,
        path="/predict",
        clock=Clock(sleep=pauses.append),
    )
    with made.session:
        yield made, server[1], pauses


def test_an_answer_that_json_has_not_is_a_text(asker):
    """Airflow stores no XCom with a NaN: the task would fail behind its work."""
    for text in ('{"score": NaN}', "-Infinity"):
        assert asker[0].ask(GoldenRequest(body=text)).body == text
    assert asker[0].ask(GoldenRequest(body='{"score": 1e-3}')).body == {"score": 0.001}


@pytest.mark.parametrize("status", [408, 429, 450, 500, 502, 503, 504, 404])
def test_what_is_no_answer_is_asked_for_again(asker, status):
    asker, statuses, pauses = asker
    statuses += [status, status]
    answer = asker.ask(GoldenRequest(json={"x": 1}))
    assert (answer.status, answer.body, answer.wrong, answer.silent) == (200, {"x": 1}, "", False)
    assert answer.errors == (2 if status >= 500 else 0)
    assert all(low <= pause <= 1.5 * low for low, pause in zip((0.4, 0.8), pauses, strict=True))


@pytest.mark.parametrize("status", [302, 400, 401, 418])
def test_an_answer_is_an_answer(asker, status):
    asker, statuses, pauses = asker
    statuses += [status]
    answer = asker.ask(GoldenRequest())
    assert (answer.status, answer.silent, pauses) == (status, False, [])
    assert answer.wrong == f"status {status}, not 200: token"


def test_attempts_come_to_an_end(asker):
    asker, statuses, pauses = asker
    statuses += [503] * 9
    answer = asker.ask(GoldenRequest())
    assert (answer.status, answer.silent, len(pauses), len(statuses)) == (503, True, 3, 5)


@pytest.mark.parametrize("status", [408, 429, 450, 502, 503, 504, 404])
def test_a_gateway_s_answers_are_told_from_the_service_s(server, status):
    asker = Asker(endpoint=server[0], attempts=4, timeout=5, tolerance=0, path="", gateway_timeout=None)
    server[1].append(status)
    answer = asker.ask(GoldenRequest(method="HEAD"))
    assert (answer.status, answer.silent, answer.unreached) == (status, True, True), "whoever asks waits"
    server[1].append(status)
    asked = asker.ask(GoldenRequest(method="HEAD", status=status))
    assert (asked.wrong, asked.unreached) == ("", False)


def test_a_404_that_says_something_is_the_service_s(asker):
    asker, statuses, _ = asker
    statuses += [404] * 4
    assert asker.ask(GoldenRequest()).unreached is False


@pytest.mark.parametrize(("lag", "status"), [(100, 200), (10_000, 503)])
def test_until_it_is_reached_the_gateway_is_waited_for(server, lag, status):
    def learn(_seconds):
        if len(server[1]) > 2 and time.now > began + lag:
            server[1].clear()

    time = VirtualClock(on_sleep=learn)
    began = time.now
    server[1].extend([503] * 1000)
    asker = Asker(
        endpoint=server[0], attempts=2, timeout=5, tolerance=0, path="", gateway_timeout=180, clock=time.clock
    )
    assert asker.ask(GoldenRequest()).status == status
    assert time.now - began == pytest.approx(min(lag, 180), abs=13)
    before = time.now
    server[1][:] = [503, 503]
    assert (asker.ask(GoldenRequest()).status, time.now - before < 1) == (503, True), "it is known by now"


def test_a_status_that_is_expected_is_right_at_once(asker):
    asker, statuses, pauses = asker
    statuses += [503]
    assert asker.ask(GoldenRequest(status=503)).wrong == ""
    assert pauses == []


@pytest.mark.parametrize("first", [[200], [404] * 4])
def test_only_at_the_beginning_is_404_not_the_services_own_answer(asker, first):
    asker, statuses, pauses = asker
    statuses += first
    asker.ask(GoldenRequest())
    pauses.clear()
    statuses += [404]
    answer = asker.ask(GoldenRequest())
    assert (answer.status, answer.silent, pauses) == (404, True, [])


def test_nobody_there():
    nobody = Endpoint("http://127.0.0.1:9", "t")
    asker = Asker(endpoint=nobody, attempts=1, timeout=0.2, tolerance=0, path="")
    answer = asker.ask(GoldenRequest())
    assert (answer.status, answer.wrong, answer.silent) == (
        None,
        "no answer from 127.0.0.1:9: Connection refused",
        True,
    )


def test_what_is_wrong_is_shown():
    golden = GoldenRequest(expect={"double": 9})
    assert golden.fault(200, {"double": 8}, 0) == '{"double": 8} instead of {"double": 9}'
    assert golden.fault(200, "x" * 1000, 0) == f"{'x' * 200}… instead of {json.dumps(golden.expect)}"
    assert golden.fault(500, "", 0) == "status 500, not 200: "
    assert GoldenRequest().fault(200, "whatever", 0) == ""


def test_a_line_is_named():
    lines = ['{"json": 1}', "", "nonsense"]
    assert list(golden_requests("file", lines[:2])) == [golden_request("x", {"json": 1})]
    with pytest.raises(PaiConfigError, match="file line 3: 'nonsense' is not allowed; one JSON object of path, method"):
        list(golden_requests("file", lines))


@pytest.mark.parametrize(
    ("answer", "expected", "holds"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1, 2], True),
        ([1, 2, 3], [1, 2], False),
        ({"p": [0.1, 0.9000001]}, {"p": [0.1, 0.9]}, True),
        (0.91, 0.9, False),
        (True, 1, True),
        (1, True, True),
        ("7", 7, False),
        (None, None, True),
        (None, {"a": 1}, False),
        (float("nan"), 1.0, False),
        (float("inf"), 1.0, False),
        (10**400, 1.0, False),
    ],
)
def test_contains(answer, expected, holds):
    assert contains(answer, expected, 1e-6) is holds


@pytest.mark.parametrize(
    ("content", "content_type", "body"),
    [
        ('{"a": "文件"}'.encode(), "application/json", {"a": "文件"}),
        ('{"a": "文件"}'.encode(), "text/plain", {"a": "文件"}),  # HTTP's old default is ISO-8859-1
        ('\ufeff{"a": 1}'.encode(), "", {"a": 1}),
        ('{"a": "文件"}'.encode("gbk"), "application/json; charset=GBK", {"a": "文件"}),
        ("文件".encode(), "text/plain", "文件"),
        ("文件".encode("utf-16"), "text/plain; charset=utf-16", "文件"),
        (b"plain", "text/plain; charset=no-such", "plain"),
        (b"", "", ""),
        (b"\x89PNG\xff", "image/png", {"base64": "iVBOR/8="}),
        ("文件".encode("gbk"), "text/plain", {"base64": "zsS8/g=="}),
    ],
)
def test_of_an_answer_no_byte_is_guessed_at(content, content_type, body):
    assert read_body(content, content_type) == body


@pytest.mark.fuzz
@given(st.binary())
def test_of_any_answer_every_byte_can_be_had_again(content):
    body = read_body(content, "application/octet-stream")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        assert base64.b64decode(body["base64"]) == content
    else:
        assert body == text or repr(body) == repr(json.loads(text))


def test_a_request_goes_out_as_the_text_that_was_written(asker):
    assert asker[0].ask(GoldenRequest(body="文件")).body == "文件"
