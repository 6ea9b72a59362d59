"""Watching runs: as long as something changes, however slow the machine is."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from airflow_provider_pai.canary import weights
from demo import watch
from demo.watch import StoryError, Watcher


@pytest.fixture
def seconds(monkeypatch):
    """The clock: a look a minute."""
    clock = SimpleNamespace(now=0.0)
    sleep = lambda _: setattr(clock, "now", clock.now + 60)  # noqa: E731
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(weights, "shares", lambda _: {})
    return clock


def watcher(states, said, patience):
    """Watch a run whose one task is in these states, look by look, and which succeeds after them."""
    looks = iter(states)
    task = {"task_id": "train", "try_number": 1, "state": None}

    def run(*_):
        task["state"] = next(looks, "success")
        return {"state": "success" if task["state"] == "success" else "running"}

    api = SimpleNamespace(run=run, task_instances=lambda *_: [task])
    eas = SimpleNamespace(group=lambda _: None)
    return Watcher(api, said.append, lambda: None, eas, "digits", patience=patience)


def test_a_backfill_that_goes_on_is_no_failure_however_long_it_takes(seconds):
    slow = ["running", "deferred"] * 20
    assert watcher(slow, [], 150).until_finished({"backfill 1": "b1"}) == {"backfill 1": "success"}
    assert seconds.now > 2000


def test_runs_in_which_nothing_changes_are_given_up_but_with_the_ui(seconds):
    still = ["running"] * 20
    with pytest.raises(StoryError, match=r"nothing has changed for 150 s: .*'backfill 1': 'running'"):
        watcher(still, [], 150).until_finished({"backfill 1": "b1"})
    assert watcher(still, [], math.inf).until_finished({"backfill 1": "b1"}) == {"backfill 1": "success"}
