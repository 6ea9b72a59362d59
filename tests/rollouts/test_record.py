"""Every look stands on record, and a rollout does not depend on it."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.group import Phase, Progress, StepResult
from airflow_provider_pai.canary.samples import Result, Sample, Window
from airflow_provider_pai.exceptions import PaiPermissionError
from airflow_provider_pai.rollouts.record import Record
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock
from tests.fake import FakeOss

URI = OssUri.parse("oss://models/.pai/rollouts/digits/digits_v2.jsonl")


@pytest.fixture
def oss():
    return FakeOss(VirtualClock())


def look(record, percent, result, reason, now, production=None):
    candidate = Sample(requests=20, errors=1, p95_ms=6, quantiles={50: 4}, values={"score": 0.9})
    judgement = Judgement(result=result, reason=reason, window=Window(candidate=candidate, production=production))
    record.add(Look(candidate="v2", stable="v1", percent=percent, since=0, began=0), judgement, now)
    return StepResult.of(percent, judgement)


def test_a_line_for_every_look(oss):
    record = Record(oss, URI)
    look(record, 10, Result.INCONCLUSIVE, "3 of 20 requests", 100.12345)
    look(record, 10, Result.PASS, "within all limits", 105, production=Sample(requests=180, errors=0))
    first, second = map(json.loads, oss.get(URI).splitlines())
    numbers = {"requests": 20, "errors": 1, "p95_ms": 6, "p50_ms": 4, "score": 0.9}
    assert first == {
        "at": 100.123,
        "percent": 10,
        "candidate": numbers,
        "production": None,
        "verdict": "inconclusive",
        "reason": "3 of 20 requests",
    }
    assert second["production"] == {"requests": 180, "errors": 0, "p95_ms": None}


def test_steps_bear_the_reason_that_stands_here(oss):
    record = Record(oss, URI)
    steps = (look(record, 10, Result.PASS, "fine", 1), look(record, 50, Result.FAIL, "error rate", 2))
    ended = record.steps(Progress(phase=Phase.ROLLED_BACK, steps=steps))
    assert [(step["percent"], step["verdict"], step["reason"]) for step in ended] == [
        (10, "pass", "fine"),
        (50, "fail", "error rate"),
    ]
    assert Record(FakeOss(VirtualClock()), URI).steps(Progress(phase=Phase.PROMOTED, steps=steps))[0]["reason"] == ""


def test_what_cannot_be_written_or_read_is_a_warning(oss, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)

    def refuse(*_args):
        raise PaiPermissionError("oss", "PutObject", "no right", "AccessDenied")

    monkeypatch.setattr(oss, "get", refuse)
    record = Record(oss, URI)
    step = look(record, 10, Result.PASS, "fine", 1)
    assert record.steps(Progress(phase=Phase.PROMOTED, steps=(step,)))[0]["reason"] == ""
    assert [line.split(":")[0] for line in caplog.messages] == [
        "A verdict is not on record",
        "The record of verdicts can't be read",
    ]


@pytest.mark.parametrize("foreign", [b"\xff\xfe", b"[1]\n", b'{"percent": "x"}', b"null\n{}", b'{"percent": 10, "verd'])
def test_what_is_no_look_is_named_and_stays(oss, caplog, foreign):
    oss.put(URI, foreign)
    record = Record(oss, URI)
    steps = (look(record, 10, Result.PASS, "fine", 1),)
    assert record.steps(Progress(phase=Phase.PROMOTED, steps=steps))[0]["reason"] == "fine"
    assert foreign.splitlines()[0] in oss.get(URI)
    assert f"{URI} has a line that is no look" in caplog.text
