"""Listings that many share, and asset events that are reported once."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.triggers import hub, oss_events
from airflow_provider_pai.triggers.oss import OssKeyTrigger, OssPrefixUnchangedTrigger
from airflow_provider_pai.triggers.oss_events import Cursor, OssObjectTrigger
from airflow_provider_pai.triggers.oss_listings import Listing, find_now, listings

pytestmark = pytest.mark.usefixtures("connection")
HOOK = {"pai_conn_id": "pai_default", "region": None}


@pytest.fixture(autouse=True)
def short_window(monkeypatch):
    monkeypatch.setattr(hub, "WINDOW", 0.02)


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/in/"


def count(pai, match="oss"):
    return pai.account.faults.add(match=match, times=10_000)


def test_what_is_asked_is_planned_with_the_fewest_looks():
    uris = [
        "oss://bbb/in/*.csv",
        "oss://bbb/in/2026/*",
        "oss://bbb/in/x",
        "oss://bbb/other/1",
        "oss://bbb/other/2",
        "oss://bbb/z",
        "oss://ccc/in/x",
    ]
    assert listings(uris) == [
        Listing("bbb", "in/", ("oss://bbb/in/*.csv", "oss://bbb/in/2026/*", "oss://bbb/in/x")),
        Listing("bbb", "other/", ("oss://bbb/other/1", "oss://bbb/other/2")),
        Listing("bbb", "", ("oss://bbb/z",)),
        Listing("ccc", "in/", ("oss://ccc/in/x",)),
    ]


def test_every_question_has_its_answer(at, bucket, pai):
    hook = OssHook()
    for key in ("1.csv", "2.csv", "2026/3.csv", "x", "y"):
        hook.put(at + key, "")
    rule = count(pai)
    found = find_now(hook, [at + "*.csv", at + "2026/", at + "x", at + "none"])
    assert {uri.removeprefix(at): [str(i.uri).removeprefix(at) for i in infos] for uri, infos in found.items()} == {
        "*.csv": ["1.csv", "2.csv", "2026/3.csv"],
        "2026/": ["2026/3.csv"],
        "x": ["x"],
        "none": [],
    }
    assert 10_000 - rule.times == 1
    found = find_now(hook, [at + "x", at + "y", at + "none"])
    assert [len(found[at + key]) for key in ("x", "y", "none")] == [1, 1, 0]
    assert 10_000 - rule.times == 2


def test_keys_in_a_large_folder_are_asked_for_one_by_one(at, bucket, pai):
    for number in range(1100):
        bucket.put_object(f"in/m{number:04d}", b"")
    bucket.put_object("in/z", b"")
    found = find_now(OssHook(), [at + "a", at + "z"])
    assert [len(found[at + key]) for key in "az"] == [0, 1]


async def test_sensors_on_one_bucket_share_their_listings(at, pai):
    hook = OssHook()
    rule = count(pai)
    triggers = [
        OssKeyTrigger(uris=[at + f"{number}.csv"], hook_arguments=HOOK, poll_interval=0.3) for number in range(20)
    ]
    triggers += [OssKeyTrigger(uris=[at + "*"], hook_arguments=HOOK, poll_interval=0.3)]
    waiting = [asyncio.ensure_future(anext(trigger.run())) for trigger in triggers]
    await asyncio.sleep(0.7)
    looked = 10_000 - rule.times
    assert 1 <= looked <= 6
    for number in range(20):
        await asyncio.to_thread(hook.put, at + f"{number}.csv", "1")
    found = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert [event.payload["found"] for event in found[:20]] == [[at + f"{number}.csv"] for number in range(20)]


async def test_an_error_belongs_to_those_who_asked(at, bucket):
    fine = OssKeyTrigger(uris=[at + "x"], hook_arguments=HOOK, poll_interval=0.05)
    wrong = OssKeyTrigger(uris=["oss://no-such-bucket-anywhere/x"], hook_arguments=HOOK, poll_interval=0.05)
    await asyncio.to_thread(OssHook().put, at + "x", "1")
    events = [event async for event in wrong.run()]
    assert "NoSuchBucket" in events[0].payload["error"]
    assert (await anext(fine.run())).payload["found"] == [at + "x"]


def test_triggers_go_to_another_process():
    for trigger in (
        OssKeyTrigger(
            uris=["oss://bbb/x"], min_size=3, delay=1.0, hook_arguments=HOOK, poll_interval=2.0, deadline="d"
        ),
        OssPrefixUnchangedTrigger(uri="oss://bbb/x/", quiet_seconds=3, hook_arguments=HOOK, poll_interval=2.0),
        OssObjectTrigger(uri="oss://bbb/x/*", poll_interval=5.0, existing=True, asset="a"),
    ):
        path, arguments = trigger.serialize()
        assert type(trigger)(**arguments).serialize() == (path, arguments)
        assert path.endswith(type(trigger).__name__)


class Store:
    """What the triggerer gives a trigger to keep its state in."""

    def __init__(self):
        self.kept = {}

    async def aget(self, key, default=None):
        return self.kept.get(key, default)

    async def aset(self, key, value):
        self.kept[key] = value


async def events_of(trigger, number, timeout=10.0):
    """Return so many objects, as the triggerer takes their events, and end the trigger then."""
    found = []
    run = trigger.run()
    try:
        while len(found) < number:
            event = await asyncio.wait_for(anext(run), timeout)
            found += [each["uri"] for each in event.payload["objects"]]
        # The triggerer asks for the next one before it ends a trigger.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(run), 0.3)
    finally:
        await run.aclose()
    return found


def watcher(at, store, **changes):
    trigger = OssObjectTrigger(uri=at, **{"poll_interval": 0.05, **changes})
    trigger.asset_state_store = store
    trigger.begun, first = asyncio.Event(), trigger._first

    async def looked(infos):
        cursor = await first(infos)
        trigger.begun.set()
        return cursor

    trigger._first = looked
    return trigger


async def watching(trigger, number):
    """Begin to wait for so many objects, and return once the first look has been."""
    found = asyncio.ensure_future(events_of(trigger, number))
    await asyncio.wait_for(trigger.begun.wait(), 20)
    return found


async def put(*uris):
    for uri in uris:
        await asyncio.to_thread(OssHook().put, uri, str(time.time()))


async def test_each_object_is_reported_once_also_by_the_next_triggerer(at):
    store = Store()
    await put(at + "old")
    first = await watching(watcher(at, store), 2)
    await put(at + "a", at + "b")
    assert sorted(await first) == [at + "a", at + "b"]
    await put(at + "c")  # while no triggerer runs
    again = asyncio.ensure_future(events_of(watcher(at, store), 2))
    await asyncio.sleep(0.5)
    await put(at + "a")  # overwritten
    assert sorted(await again) == [at + "a", at + "c"]


async def test_what_is_there_already_can_be_reported(at):
    await put(at + "a.csv", at + "b.json")
    assert await events_of(watcher(at + "*.csv", Store(), existing=True), 1) == [at + "a.csv"]


async def test_what_one_look_finds_is_one_event(at, monkeypatch):
    monkeypatch.setattr(oss_events, "_AT_ONCE", 3)
    await put(*(f"{at}{number}" for number in range(5)))
    run = watcher(at, Store(), existing=True).run()
    sizes = [len((await anext(run)).payload["objects"]) for _ in range(2)]
    await run.aclose()
    assert sizes == [3, 2]


async def test_without_a_store_it_begins_with_what_comes(at):
    await put(at + "old")
    found = await watching(watcher(at, None), 1)
    await put(at + "new")
    assert await found == [at + "new"]


async def test_it_lives_through_errors(at, pai):
    store = Store()
    found = await watching(watcher(at, store), 1)
    pai.account.faults.add(match="oss GET", status=403, code="AccessDenied", times=2)
    await asyncio.sleep(0.3)
    await put(at + "new")
    assert await found == [at + "new"]


async def test_two_assets_that_share_it_need_a_name(at):
    class Shared(Store):
        async def aget(self, key, default=None):
            raise ValueError("Task has 2 concrete inlets")

    with pytest.raises(PaiConfigError, match="asset"):
        await events_of(watcher(at, Shared()), 1)


def test_the_cursor_stays_small_and_waits_for_what_shows_late(at):
    cursor = Cursor()
    base = OssHook()
    base.put(at + "x", "1")
    info = base.head(at + "x")
    from datetime import timedelta

    def aged(seconds, key):
        moved = info.last_modified - timedelta(seconds=seconds)
        return info._replace(uri=info.uri.parent.join(key), last_modified=moved)

    cursor.note(cursor.news([aged(0, "new"), aged(5000, "ancient")]))
    assert list(cursor.seen) == ["in/new"]
    assert [each.uri.key for each in cursor.news([aged(0, "new"), aged(60, "late"), aged(9000, "lost")])] == ["in/late"]
    assert Cursor(**cursor.to_dict()) == cursor


def test_an_address_that_is_none():
    with pytest.raises(PaiConfigError, match="uri"):
        OssObjectTrigger(uri="s3://b/x")
