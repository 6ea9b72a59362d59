"""Outbox of a ledger: what waits on OSS is written in its turn and once, whoever comes, and nothing broken bars it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Event, EventKind, Ledger, Row
from airflow_provider_pai.ledger.outbox import Outbox, Placed, Waiting, flush
from airflow_provider_pai.uri import OssUri

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)


def event(key, **changes):
    return Event(**{"key": key, "kind": EventKind.PROMOTED, "subject": "digits", "payload": {"n": 1}, **changes})


def waiting(key, seconds=0, **changes):
    return Waiting.of(event(key, **changes), NOW + timedelta(seconds=seconds))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(min_size=1), st.text(), st.dictionaries(st.text(), json_values, max_size=3))
def test_an_event_that_waited_makes_the_row_that_it_would_have_made(key, subject, payload):
    one = waiting(key, subject=subject, payload=payload)
    assert "\n" not in one.text
    assert Row.of(Waiting.read(one.text).event, None, NOW) == Row.of(one.event, None, NOW)


def test_a_number_that_json_has_not_is_no_loss(tmp_path):
    ledger = Ledger.at(tmp_path / "ledger.sqlite")
    ledger.record(Waiting.read(waiting("a", payload={"loss": math.nan}).text).event)
    (row,) = ledger.rows()
    assert "NaN" in row.payload.replace("nan", "NaN")


FIELDS = json.loads(waiting("a").text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b"{}",
        json.dumps({**FIELDS, "kind": "of a later release"}),
        json.dumps({**FIELDS, "more": 1}),
        json.dumps({**FIELDS, "key": ""}),
        json.dumps({**FIELDS, "key": 1}),
        json.dumps({**FIELDS, "payload": None}),
        json.dumps({**FIELDS, "payload": {"waited_since": "yesterday"}}),
    ],
)
def test_what_is_no_event_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it is, it is named by whoever reads it
        Waiting.read(text)


def placed(*keys):
    return [Placed(waiting(key, seconds=number), key) for number, key in enumerate(keys)]


def test_one_that_the_database_refuses_stays_and_keeps_no_other_from_its_turn():
    written, done = [], []

    def write(one):
        if one.key in "bd":
            raise RuntimeError("value too long")
        written.append(one.key)

    flushed = flush(placed(*"abcde"), write, lambda each: done.append(each.where))
    assert written == done == ["a", "c", "e"]
    assert flushed == (3, ["b can't be written, and stays: value too long", flushed.left[1]], False)


def test_a_database_that_says_nothing_is_waited_for_once():
    asked = []

    def write(one):
        asked.append(one.key)
        raise TimeoutError("no answer within 5 s")

    with pytest.raises(TimeoutError):
        flush(placed(*"abc"), write, pytest.fail)
    assert asked == ["a"]


def test_a_database_that_is_down_is_not_asked_a_third_time():
    asked = []

    def write(one):
        asked.append(one.key)
        raise ConnectionError("refused")

    flushed = flush(placed(*"abcde"), write, pytest.fail)
    assert (asked, flushed.written, flushed.stopped) == (["a", "b"], 0, True)


@pytest.fixture(params=["", "Enabled", "Suspended"])
def outbox(request, bucket, connection):
    """An outbox in a bucket that never had versions, has some, or had."""
    hook = OssHook()
    if request.param:
        hook.bucket(bucket.bucket_name).put_bucket_versioning(_versioning(request.param))
    return Outbox(hook, OssUri(bucket.bucket_name, ".pai/ledger/outbox/"))


def _versioning(status):
    from oss2.models import BucketVersioningConfig

    config = BucketVersioningConfig()
    config.status = status
    return config


def ledger_of(tmp_path):
    return Ledger.at(tmp_path / "ledger.sqlite")


def keys(ledger):
    return [row.event_key for row in ledger.rows()]


def test_each_in_its_turn_and_once_whatever_the_bucket(outbox, tmp_path):
    for one in (waiting("b", 2), waiting("z", 1), waiting("a", 2)):
        outbox.put(one)
    where = outbox.put(waiting("a", 9, payload={"n": 2}))
    assert Waiting.read(OssHook().get(where)) == waiting("a", 2)
    ledger = ledger_of(tmp_path)
    ledger.record(event("b"))
    found, broken = outbox.waiting()
    assert [each.waiting.event.key for each in found] == ["z", "a", "b"]
    assert outbox.flush(found, ledger.record) == (3, [], False)
    assert keys(ledger) == ["b", "z", "a"]
    told = {"n": 1, "row_schema_version": 1, "waited_since": waiting("z", 1).since}
    assert json.loads(list(ledger.rows())[1].payload) == told
    assert outbox.waiting() == ([], broken) == ([], [])
    outbox.put(waiting("z", 1))
    assert outbox.flush(outbox.waiting()[0], ledger.record).written == 1
    assert keys(ledger) == ["b", "z", "a"]


def test_a_broken_object_is_named_and_stays(bucket, connection, tmp_path):
    outbox = Outbox(OssHook(), OssUri(bucket.bucket_name, "outbox/"))
    broken = outbox.folder.join("0.json")
    OssHook().put(broken, "{")
    outbox.put(waiting("a"))
    found, left = outbox.waiting(most=1)
    assert [each.waiting.event.key for each in found] == ["a"]
    assert left[0].startswith(f"{broken} is no event that can be read, and stays: ")
    outbox.flush(found, ledger_of(tmp_path).record)
    assert [info.uri for info in OssHook().list_objects(outbox.folder)] == [broken]


def test_many_who_empty_it_at_once_write_each_once(bucket, connection, tmp_path):
    outbox = Outbox(OssHook(), OssUri(bucket.bucket_name, "outbox/"))
    for number in range(6):
        outbox.put(waiting(f"e{number}", number))
    ledger = ledger_of(tmp_path)
    list(ledger.rows())

    def empty(_):
        mine = Outbox(OssHook(), outbox.folder)
        return mine.flush(mine.waiting()[0], ledger_of(tmp_path).record)

    with ThreadPoolExecutor(3) as pool:
        flushed = list(pool.map(empty, range(3)))
    assert [each.left for each in flushed] == [[], [], []]
    assert sorted(keys(ledger)) == [f"e{number}" for number in range(6)]
    assert ledger.verify() == []


def test_what_is_in_the_ledger_and_can_t_be_deleted_is_no_failure(bucket, connection, pai, tmp_path):
    outbox = Outbox(OssHook(), OssUri(bucket.bucket_name, "outbox/"))
    outbox.put(waiting("a"))
    pai.account.faults.add(match="^oss DELETE", status=403, code="AccessDenied")
    assert outbox.flush(outbox.waiting()[0], ledger_of(tmp_path).record) == (1, [], False)


def test_a_lost_answer_to_a_put_does_no_harm(bucket, connection, pai):
    outbox = Outbox(OssHook(), OssUri(bucket.bucket_name, "outbox/"))
    pai.account.faults.add(match="^oss POST", drop="answer", times=1)
    outbox.put(waiting("a"))
    assert [each.waiting for each in outbox.waiting()[0]] == [waiting("a")]
