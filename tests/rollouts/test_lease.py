from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.rollouts.lease import Holder, Lease, LeaseLostError
from airflow_provider_pai.uri import OssUri
from tests.clock import VirtualClock

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
    monkeypatch.setattr(OssHook, "put", lambda self, uri, data, **_: written.append(str(uri)))
    lease.check()
    assert written == []
    time.sleep(11)
    lease.check()
    lease.check()
    assert len(written) == 1


def test_only_one_of_many_gets_it(make):
    leases = [make(Holder(key=str(number), name=ONE.name)) for number in range(8)]
    results: list[Holder | None] = []
    threads = [threading.Thread(target=lambda lease=lease: results.append(lease.take())) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(None) == 1
