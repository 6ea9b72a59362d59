"""Pace of people who ask: as many turns a second as were asked for, none made up for, and an end that waits for all."""

from __future__ import annotations

import time

from airflow_provider_pai.testing.pace import Pace


def test_threads_take_turns_at_the_rate_and_end_with_the_with():
    taken: list[float] = []

    def ask_on() -> None:
        for _ in pace.turns():
            taken.append(time.monotonic())

    pace = Pace(ask_on, rate=100, threads=2)
    begun = time.monotonic()
    with pace:
        time.sleep(0.3)
    assert 2 <= len(taken) <= 100 * (time.monotonic() - begun) + 2
    assert pace.is_over_after(0)
    ended = len(taken)
    time.sleep(0.05)
    assert len(taken) == ended


def test_after_a_pause_no_turn_is_made_up_for():
    def ask_on() -> None:
        """Others than the test's own take no turn."""

    pace = Pace(ask_on, rate=20, threads=1)
    turns, begun = pace.turns(), time.monotonic()
    next(turns)
    time.sleep(0.5)
    for _ in range(3):
        next(turns)
    assert time.monotonic() - begun > 0.55
