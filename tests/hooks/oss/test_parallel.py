import threading

import pytest

from airflow_provider_pai.hooks.oss.parallel import FAST, fitting, in_parallel


def test_every_item_is_worked_on_once():
    assert sorted(in_parallel(lambda n: n * n, range(100), threads=4)) == [n * n for n in range(100)]


def test_no_more_items_are_taken_than_threads_have_work_for():
    taken = []
    results = in_parallel(lambda n: n, (taken.append(n) or n for n in range(1000)), threads=3)
    next(results)
    assert len(taken) <= 2 * 3
    results.close()


def test_so_many_threads_work_at_a_time():
    together = threading.Barrier(4, timeout=10)
    assert list(in_parallel(lambda _: together.wait() >= 0, range(4), threads=4)) == [True] * 4


def test_the_first_error_ends_it():
    done = []

    def work(number):
        if number == 2:
            raise OSError("line cut")
        done.append(number)

    with pytest.raises(OSError, match="line cut"):
        list(in_parallel(work, range(10_000), threads=2))
    assert len(done) < 100


@pytest.mark.parametrize(("rate", "threads"), [(FAST / 2, 16), (FAST, 4), (2 * FAST, 4)])
def test_a_fast_line_gets_few_threads(rate, threads):
    assert fitting(16, size=int(rate * 3), seconds=3, few=4) == threads


def test_few_is_never_more_than_there_are():
    assert fitting(2, size=int(FAST), seconds=0.5, few=4) == 2
