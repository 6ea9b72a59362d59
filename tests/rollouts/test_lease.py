from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oss2.models import BucketVersioningConfig

from airflow_provider_pai.exceptions import PaiPermissionError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.rollouts.lease import Holder, Lease, LeaseLostError
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock
from tests.fake import FakeOss

pytestmark = pytest.mark.usefixtures("connection")

ONE = Holder(key="one", name=TaskName("train", "r1", "deploy", -1))
TWO = Holder(key="two", name=TaskName("train", "r2", "deploy", 3))


@pytest.fixture
def make(bucket):
    prefix = OssUri(bucket.bucket_name, ".pai/rollouts/digits/")
    return lambda holder, **kwargs: Lease(OssHook(), prefix, holder, **kwargs)


def test_one_at_a_time_and_the_holder_is_named(make):
    first, second = make(ONE), make(TWO)
    assert first.take() is None
    holder = second.take()
    assert (holder, str(holder)) == (ONE, "train.deploy of run r1")
    first.check()
    first.release()
    assert second.take() is None
    assert str(first.take()) == "train.deploy[3] of run r2"


def test_numbers_only_rise(make):
    numbers = []
    for holder in (ONE, TWO, ONE, TWO):
        lease = make(holder)
        assert lease.take() is None
        numbers.append(lease.number)
        lease.release()
    assert numbers == [1, 2, 3, 4]


def test_an_old_number_that_may_not_be_deleted_bars_nobody(make, pai):
    first, second = make(ONE), make(TWO)
    assert first.take() is None
    first.release()
    pai.account.faults.add(match="oss DELETE .*/rollouts/digits/", status=403, code="AccessDenied")
    assert second.take() is None
    second.check()
    pai.account.faults.clear()
    second.release()
    assert first.take() is None


def test_what_can_t_be_listed_any_more_is_given_back(make, pai):
    one = make(ONE)
    pai.account.faults.add(match="oss GET /[^/.]+/$", status=403, code="AccessDenied", skip=1)
    with pytest.raises(PaiPermissionError):
        one.take()
    one.release()
    pai.account.faults.clear()
    assert make(TWO).take() is None


def test_a_lease_given_back_too_late_takes_nothing_from_the_next_holder(make):
    frozen, next_one = make(ONE), make(Holder(key="one", name=ONE.name))
    assert [frozen.take(), next_one.take()] == [None, None]
    frozen.release()
    next_one.check()
    assert make(TWO).take() == ONE


def test_another_process_of_the_same_task_takes_over_at_once(make):
    worker, triggerer = make(ONE), make(ONE)
    assert worker.take() is None
    assert triggerer.take() is None
    with pytest.raises(LeaseLostError, match="taken over by train"):
        worker.check()
    worker.release()
    triggerer.check()


def test_a_dead_holder_s_lease_ends_by_the_clock_of_oss(make, monkeypatch):
    dead, heir = make(ONE, ttl=100), make(TWO)
    assert dead.take() is None
    real = OssHook.head

    def later(self, uri):
        info = real(self, uri)
        return info and info._replace(server_time=info.last_modified + timedelta(seconds=101))

    monkeypatch.setattr(OssHook, "head", later)
    assert heir.take() is None
    with pytest.raises(LeaseLostError):
        dead.check()


def test_a_held_lease_is_renewed(make, monkeypatch):
    time = VirtualClock()
    lease = make(ONE, ttl=30, clock=time.clock)
    lease.take()
    written = []
    monkeypatch.setattr(OssHook, "put", lambda self, uri, data: written.append(str(uri)))
    lease.check()
    assert written == []
    time.sleep(11)
    lease.check()
    lease.check()
    assert len(written) == 1


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_only_one_of_many_gets_it(make, bucket, versioning):
    if versioning:
        bucket.put_bucket_versioning(BucketVersioningConfig("Enabled"))
        bucket.put_bucket_versioning(BucketVersioningConfig(versioning))
    leases = [make(Holder(key=str(number), name=ONE.name)) for number in range(8)]
    results: list[Holder | None] = []
    threads = [threading.Thread(target=lambda lease=lease: results.append(lease.take())) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(None) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"null", b'{"holder": 1}', b'{"holder": {"key": "k"}, "ttl": 9, "released": false}'],
)
def test_what_is_no_lease_is_named_and_held_by_nobody(content, caplog):
    oss = FakeOss(VirtualClock())
    prefix = OssUri.parse("oss://models/.pai/rollouts/digits/")
    oss.put(prefix.join("00000007.json"), content)
    for foreign in ("x.json", "²²²²²²²².json", "9.json", "00000009.json/deeper", "digits_v1.jsonl"):
        oss.put(prefix.join(foreign), content)
    lease = Lease(oss, prefix, ONE)
    assert lease.take() is None
    assert lease.number == 8
    assert f"{prefix}00000007.json is no lease that can be read" in caplog.text


class SlowOss(FakeOss):
    """Lets others have their turn between a look and the write that follows it."""

    before_write = staticmethod(lambda: None)

    def put_once(self, uri, data):
        self.before_write()
        return super().put_once(uri, data)


@given(st.lists(st.tuples(st.sampled_from("take release lost".split()), st.integers(0, 2)), max_size=12), st.booleans())
def test_whoever_was_told_that_it_is_his_holds_it(turns, released):
    """One looks, others take the lease and give it back or are lost, then the one writes: numbers it saw are old."""
    time = VirtualClock()
    slow = SlowOss(time)
    prefix = OssUri.parse("oss://models/.pai/rollouts/digits/")
    make = lambda key, oss=slow: Lease(oss, prefix, Holder(key=key, name=ONE.name), clock=time.clock)  # noqa: E731
    first, one, others = make("first"), make("one"), [make(f"other {number}") for number in range(3)]
    assert first.take() is None
    if released:
        first.release()
    else:
        time.sleep(301)

    def meanwhile():
        slow.before_write = lambda: None
        for turn, number in turns:
            if turn == "take" and not others[number].number:
                others[number].take()
            elif turn == "release":
                others[number].release()
            else:
                time.sleep(301)

    slow.before_write = meanwhile
    if one.take() is None:
        one.check()
    holding = [lease for lease in [one, *others] if lease.number and holds(lease)]
    assert len(holding) <= 1


def holds(lease):
    try:
        lease.check()
    except LeaseLostError:
        return False
    return True


HERE, CLEARED = (Holder(key=key, name=ONE.name, deployment="https://airflow") for key in ("one/1", "one/2"))
NEXT = Holder(key="next/1", name=TWO.name, deployment="https://airflow")


@pytest.mark.parametrize(
    ("holder", "heir", "ended", "free"),
    [
        (HERE, NEXT, True, True),
        (HERE, NEXT, False, False),
        (HERE, CLEARED, False, True),
        (HERE, Holder(key="next/1", name=TWO.name, deployment="https://another"), True, False),
        (ONE, TWO, True, False),
    ],
    ids=["ended", "runs on", "cleared", "of another Airflow", "unknown"],
)
def test_a_holder_that_has_ended_frees_the_lease_at_once(make, holder, heir, ended, free):
    lost = make(holder)
    assert lost.take() is None
    assert make(heir, ended=lambda one: ended).take() == (None if free else holder)
    if free:
        with pytest.raises(LeaseLostError):
            lost.check()
