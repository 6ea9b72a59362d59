"""Predictions: one, a few, a file full; asked again, checked, kept, never asked twice."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.clock import SYSTEM_CLOCK
from airflow_provider_pai.exceptions import PaiConfigError, PaiError, PaiNotFoundError, PaiTransientError
from airflow_provider_pai.hooks.eas import EasHook
from airflow_provider_pai.hooks.oss import client as oss_client
from airflow_provider_pai.operators.eas import EasPredictOperator
from airflow_provider_pai.operators.eas import predict as eas_predict
from tests.emulator.pai_sdk import until
from tests.service import create
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def name(group, pai):
    """A service that its gateway knows."""
    name = create(group)
    until(lambda: pai.services.eas.services[name].refusal, lambda status: not status)
    return name


def predict(name, requests, *, run_id="run-1", **changes):
    given = {
        "task_id": "task",
        "service_name": name,
        "path": "/predict",
        "requests": requests,
        "attempts": 2,
        "gateway_timeout": 5,
        **changes,
    }
    return Task(lambda: EasPredictOperator(**given), run_id=run_id)


def test_one_request_or_a_few_are_answered_in_the_xcom(group, name, capsys):
    task = predict(name, {"json": {"x": 1}, "expect": {"answer": 42}})
    assert task.run()["answer"] == 42
    assert task.xcoms["pai_eas_service_url"].endswith(f"{name}/detail")
    answers = predict(name, [{"json": {"x": 1}}, {"method": "GET"}]).run()
    assert [answer["answer"] for answer in answers] == [42, 42]
    assert predict(name, '{"json": {"x": 1}}').run()["answer"] == 42
    token = group.eas.endpoint(name).token
    assert token not in capsys.readouterr().out + json.dumps(task.xcoms)


def test_a_group_is_asked(group):
    created = group.eas.create({**config_in(group), "metadata": {"name": f"{group.name}_in", "group": group.name}})
    group.eas.wait(created, poll_interval=0.02, until=lambda one: one.status == "Running")
    group.eas.release(created, weight=100, grouping=True)
    assert predict(None, {"json": {}}, group=group.name).run()["answer"] == 42
    with pytest.raises(PaiNotFoundError):
        predict(None, {"json": {}}, group="no_such_group").run()


def config_in(group):
    from tests.service import config

    return config(group)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"expect": {"answer": 41}}, r'the first: .*"answer": 42.* instead of \{"answer": 41\}'),
        ({"status": 204}, "the first: status 200, not 204"),
    ],
)
def test_a_wrong_answer_fails_the_task(name, request_, message):
    with pytest.raises(PaiError, match=f"1 of 1 answers are wrong; {message}"):
        predict(name, request_).run()
    assert len(predict(name, [request_, {}], min_correct="0.5").run()) == 2


def test_what_fails_is_asked_again(group, name, pai, monkeypatch):
    pauses = []
    monkeypatch.setattr(EasHook, "clock", SYSTEM_CLOCK._replace(sleep=pauses.append))
    pai.account.faults.add(match="eas POST", status=503, code="ServiceUnavailable", times=2)
    pai.account.faults.add(match="eas POST", drop="answer", times=1)
    assert predict(name, {"json": {}}, attempts=5).run()["answer"] == 42
    pai.account.faults.add(match="eas POST", status=503, code="ServiceUnavailable")
    with pytest.raises(PaiError, match="status 503, not 200"):
        predict(name, {"json": {}}, gateway_timeout=0).run()
    assert pauses


def test_a_service_that_has_just_come_up_is_waited_for(group, pai, gateway_lag):
    gateway_lag(1.2)
    name = create(group)
    assert predict(name, [{"json": {}}] * 3, attempts=1).run()[0]["answer"] == 42
    gateway_lag(60)
    other = create(group, "other")
    with pytest.raises(PaiError, match=r"status 404, not 200:  → mend the service"):
        predict(other, {"json": {}}, gateway_timeout=0.2).run()


def file(group, count, **fields):
    uri = f"oss://{group.bucket}/requests/r.jsonl"
    group.oss.put(uri, "\n".join(json.dumps({"json": {"n": n}, **fields}) for n in range(count)) + "\n\n")
    return uri


def kept(group, end):
    parts = sorted(group.oss.list_objects(f"{end['output']}part-"), key=lambda info: info.uri.key)
    return [json.loads(line) for part in parts for line in group.oss.get(part.uri).splitlines()]


def test_a_file_is_answered_in_order_on_oss(group, name, monkeypatch, capsys):
    monkeypatch.setattr(eas_predict, "PART", 30)
    monkeypatch.setattr(oss_client, "BLOCK", 100)
    end = predict(name, file(group, 100, expect={"answer": 42}), output=f"oss://{group.bucket}/answers").run()
    assert (end["requests"], end["wrong"], end["first_wrong"]) == (100, 0, None)
    assert end["output"].startswith(f"oss://{group.bucket}/answers/20261121T1800Z-")
    answers = kept(group, end)
    assert [answer["number"] for answer in answers] == list(range(1, 101))
    assert {answer["status"] for answer in answers} == {200}
    assert len(list(group.oss.list_objects(f"{end['output']}part-"))) == 4
    assert json.loads(group.oss.get(f"{end['output']}_summary.json")) == end
    assert "100 of 100 requests answered (100 %), 0 wrong" in capsys.readouterr().out


def test_a_later_try_asks_only_what_has_no_answer(group, name, pai, monkeypatch):
    monkeypatch.setattr(eas_predict, "PART", 10)
    task = predict(name, file(group, 40), output=f"oss://{group.bucket}/answers", attempts=1, concurrency=1)
    pai.account.faults.add(match="oss PUT .*/part-00002", status=403, code="AccessDenied")
    with pytest.raises(PaiError, match="AccessDenied"):
        task.run()
    pai.account.faults.clear()
    before = requests_to(pai, name)
    end = task.run()
    assert requests_to(pai, name) - before == 20
    assert [answer["number"] for answer in kept(group, end)] == list(range(1, 41))
    task.max_tries += 1  # a person clears the task
    assert task.run()["output"] != end["output"]


def requests_to(pai, name):
    series = pai.services.eas.services[name].series
    return series.window(series.since, 3600).requests


def test_a_dead_endpoint_ends_the_batch_for_a_later_try(group, name, pai):
    task = predict(name, file(group, 4), output=f"oss://{group.bucket}/answers", attempts=1, gateway_timeout="0s")
    pai.account.faults.add(match="eas POST", drop="request")
    with pytest.raises(PaiTransientError, match="4 requests: no answer"):
        task.run()
    pai.account.faults.clear()
    assert task.run()["wrong"] == 0


def test_wrong_answers_are_kept_before_the_task_fails(group, name):
    task = predict(name, [{"expect": {"answer": 1}}, {}], output=f"oss://{group.bucket}/answers")
    with pytest.raises(PaiError, match="1 of 2 answers are wrong; the first: request 1"):
        task.run()
    end = task.xcoms["return_value"]
    assert end["wrong"] == 1
    assert [bool(answer.get("wrong")) for answer in kept(group, end)] == [True, False]


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_later_try_asks_wrong_answers_again(group, name, pai, status):
    output = f"oss://{group.bucket}/answers"
    task = predict(name, file(group, 4), output=output, attempts=1, gateway_timeout=0, concurrency=1)
    pai.account.faults.add(match="eas POST", skip=1, times=2, status=status)
    with pytest.raises(PaiError, match=f"2 of 4 answers are wrong; the first: request 2: status {status}"):
        task.run()
    before = requests_to(pai, name)
    end = task.run()
    assert (end["wrong"], requests_to(pai, name) - before) == (0, 2)
    assert [(answer["number"], answer["status"]) for answer in kept(group, end)] == [(n, 200) for n in range(1, 5)]


def test_a_file_that_changed_between_tries_is_refused(group, name, pai):
    task = predict(name, file(group, 4), output=f"oss://{group.bucket}/answers", attempts=1, gateway_timeout="0s")
    pai.account.faults.add(match="eas POST", drop="request", times=4)
    with pytest.raises(PaiTransientError):
        task.run()
    file(group, 5)
    with pytest.raises(PaiConfigError, match="what it was when oss://"):
        task.run()


def test_an_answer_too_long_for_an_xcom(name, monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.artifact.MAX_XCOM_BYTES", 10)
    with pytest.raises(PaiError, match=r"bytes, too many for an XCom \(10\) → give output"):
        predict(name, {}).run()


@pytest.mark.parametrize(
    ("requests", "changes", "message"),
    [
        ({}, {"service_name": None}, "service_name: None is not allowed; either a service or a group"),
        ({}, {"group": "g"}, "either a service or a group"),
        ({"url": "x"}, {}, r"requests\[0\]: .* is not allowed; one JSON object of path, method"),
        ([], {}, r"requests: \[\] is not allowed; at least one"),
        ("nonsense", {}, "requests: 'nonsense'"),
        ("oss://b-1/x", {}, "output: None is not allowed"),
        ("oss:///x", {"output": "oss://b-1/x"}, "requests: 'oss:///x'"),
        ({}, {"output": "/tmp"}, "output: '/tmp'"),
        ({}, {"min_correct": "most"}, "min_correct: 'most' is not allowed; a number from 0 to 1"),
        ({}, {"attempts": 0}, "attempts: 0 is not allowed; a whole number of at least 1"),
    ],
)
def test_bad_input_is_refused(requests, changes, message):
    with pytest.raises(PaiConfigError, match=message):
        predict(changes.pop("service_name", "one"), requests, **changes).run()


def test_a_bad_line_is_refused_before_anything_is_sent(group, name, pai):
    uri = f"oss://{group.bucket}/bad.jsonl"
    group.oss.put(uri, '{"json": 1}\n{"json": 2\n')
    before = requests_to(pai, name)
    with pytest.raises(PaiConfigError, match=r"bad\.jsonl line 2: "):
        predict(name, uri, output=f"oss://{group.bucket}/answers").run()
    group.oss.put(uri, "\n")
    with pytest.raises(PaiConfigError, match="an object with at least one request"):
        predict(name, uri, output=f"oss://{group.bucket}/answers").run()
    assert requests_to(pai, name) == before
