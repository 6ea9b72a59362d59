"""The one line that says how a rollout ended, and what stands below it."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import RolloutRolledBackError
from airflow_provider_pai.rollouts.summary import LONGEST, below, summary
from tests.fake import FakeEas, goal

FIRST, SECOND = "20261126T1800Z-3f2a9c1b", "20261127T1800Z-bbbbbbbb"
SERVED = f"{FIRST} serves 100 %, never touched."
STAYS_OUT = f"→ {RolloutRolledBackError.todo}"


def ended(outcome, reason, *steps, serving=FIRST):
    return {
        "outcome": outcome,
        "reason": reason,
        "service": "digits_20261127t1800z_bbbbbbbb",
        "previous": "digits_20261126t1800z_3f2a9c1b",
        "version": SECOND,
        "serving_version": serving,
        "steps": [
            {"percent": percent, "requests": requests, "errors": errors, "verdict": verdict, "reason": ""}
            for percent, requests, errors, verdict in steps
        ],
    }


BAD, SLOW = (10, 5, 5, "fail"), (10, 40, 0, "fail")


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            ended("rolled_back", "error rate 100.00% is over max_error_rate 5.00%", BAD),
            "Rolled back at 10 % after 5 requests, 5 of them errors (limit 5 %). "
            "20261126T1800Z-… serves 100 %, never touched.",
        ),
        (
            ended("rolled_back", "error rate 100.00% is over production 0.50% + max_error_rate_delta 1.00%; x", BAD),
            "Rolled back at 10 % after 5 requests, 5 of them errors (limit 1.5 %). "
            "20261126T1800Z-… serves 100 %, never touched.",
        ),
        (
            ended("rolled_back", "p95 850 ms is over max_p95_ms 300", SLOW),
            "Rolled back at 10 % after 40 requests: p95 850 ms is over max_p95_ms 300. "
            "20261126T1800Z-… serves 100 %, never touched.",
        ),
        (
            ended("rolled_back", "smoke test: 1 of 1 answers are wrong"),
            f"Rolled back: smoke test: 1 of 1 answers are wrong. {SERVED}",
        ),
        (
            ended("rolled_back", "broke down: digits_20261127t1800z_bbbbbbbb is Failed", (10, 40, 0, "pass")),
            f"Rolled back: broke down: candidate is Failed. {SERVED}",
        ),
        (ended("rolled_back", "it is bad.", serving=None), "Rolled back: it is bad."),
        (ended("deployed", "nothing served before"), f"{SECOND} serves 100 %: nothing served before."),
        (ended("skipped", "a backfill run"), f"Skipped: a backfill run. {FIRST} serves."),
        (
            ended("stopped", "digits_20261126t1800z_3f2a9c1b is gone"),
            f"Stopped: production is gone. {FIRST} serves.",
        ),
        (
            ended("timed_out", "image x can't be pulled"),
            f"Not up in time: image x can't be pulled. {SERVED}",
        ),
    ],
)
def test_the_line(end, line):
    assert summary(end) == line
    assert len(line) <= LONGEST


def test_what_a_label_has_cut_stands_whole_on_record():
    whole = "cms DescribeMetricList: may lack a RAM action, see docs/permissions.md, NoPermission"
    end = ended("rolled_back", f"the metrics source failed 6 times: {whole[:60]}…", (50, 0, 0, "error"))
    end["steps"][0]["reason"] = whole
    assert f"the metrics source failed 6 times: {whole}." in below(end)


def test_what_did_not_fit_stands_below_with_what_to_do_and_the_log():
    why = "p95 850 ms is over max_p95_ms 300; p50 400 ms is over 2 times production's 90 ms"
    end = ended("rolled_back", why, SLOW)
    assert summary(end).endswith("max_p95_ms 30…. 20261126T1800Z-… serves 100 %, never touched.")
    assert below(end, "last words") == f"{why}.\nlast words\n{STAYS_OUT}"
    assert below(ended("rolled_back", "it is bad")) == STAYS_OUT
    assert below(ended("skipped", "a backfill run")) == ""


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"error_rate": lambda name: 0.5 if name == goal(SECOND).service else 0.0}, "(limit 5 %)."),
        ({"smoke": "1 of 1 answers are wrong"}, f"1 of 1 answers are wrong. {SERVED}"),
    ],
)
def test_a_rollout_in_virtual_time_ends_with_it(changes, ending):
    eas = FakeEas()
    eas.run(goal(FIRST))
    for name, value in changes.items():
        setattr(eas, name, value)
    eas.run(goal(SECOND))
    line = summary(eas.end)
    assert line.startswith("Rolled back")
    assert ending in line
    assert line.endswith("serves 100 %, never touched.")
