import logging

import pytest

from airflow_provider_pai.clock import Clock
from airflow_provider_pai.hooks.oss import progress


@pytest.fixture
def seconds():
    """The time that the transfer reads, in a list of one."""
    return [100.0]


@pytest.fixture
def transfer(seconds, caplog):
    caplog.set_level(logging.INFO, "transfer")
    clock = Clock(monotonic=lambda: seconds[0])
    return lambda total: progress.TransferProgress(
        logging.getLogger("transfer"), "model.bin", total, interval=10, clock=clock
    )


def test_tells_percent_rate_and_the_time_that_is_left(transfer, seconds, caplog):
    one = transfer(100_000_000)
    seconds[0] += 10
    one.add(25_000_000)
    assert caplog.messages == ["model.bin: 25 % of 100.0 MB, 2.5 MB/s, 30 s left"]


def test_one_line_an_interval_and_none_for_what_is_done_sooner(transfer, seconds, caplog):
    one = transfer(100_000_000)
    for _ in range(19):
        seconds[0] += 1
        one.add(1_000_000)
    assert len(caplog.messages) == 1


def test_a_total_that_grows_while_files_are_found(transfer, seconds, caplog):
    one = transfer(0)
    seconds[0] += 10
    one.add(5_000_000)
    one.expect(40_000_000)
    seconds[0] += 10
    one.add(5_000_000)
    assert caplog.messages == ["model.bin: 5.0 MB, 0.5 MB/s", "model.bin: 25 % of 40.0 MB, 0.5 MB/s, 60 s left"]
