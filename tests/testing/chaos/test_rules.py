"""Rules of an evening: each finds what it is about, and nothing in an evening that went well."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from airflow_provider_pai.operators.workload.limits import FALLBACK
from airflow_provider_pai.testing.chaos.account import Made, Serving
from airflow_provider_pai.testing.chaos.nights import Lived
from airflow_provider_pai.testing.chaos.rules import Evening, judged

JOB = {
    "JobSpecs": [{"Image": "registry.example.com/ml/pytorch:2"}],
    "Envs": {"DB_USER": "reader"},
    "DataSources": [{"Uri": "oss://night.oss-cn-hangzhou-internal.aliyuncs.com/models/latest/"}],
}
LABELS = {"airflow_task_id": "train", "airflow_map_index": "-1"}


def made(number: int = 1, limit: float = 3600, **changes: object) -> Made:
    asked = {**JOB, **changes}
    return Made("DLC job", f"dlc{number}", "Succeeded", False, LABELS, 0.0, asked, limit)


def lived(name: str = "calm", *jobs: Made, **changes: object) -> Lived:
    jobs = jobs or (made(),)
    good = Lived(
        name=name,
        run_id=name,
        state="success",
        seconds=1.0,
        tasks=[],
        made=list(jobs),
        paid=Counter(job.place for job in jobs),
        left=[],
        killed=[],
        evicted=[],
        bad=set(),
        before=set(),
        after=set(),
        rewritten=[],
    )
    return replace(good, **changes)


def evening(*nights: Lived, **changes: object) -> Evening:
    good = Evening(
        source="",
        tasks={"train": {"execution_timeout": None, "retries": 2}},
        rendered=[("deploy", {"plan": {"interval": 1}, "group": "digits"})],
        author=lambda made: made.task,
        nights=list(nights) or [lived()],
        failed=[],
        torn=[],
        seen=[],
        refused=[],
    )
    return replace(good, **changes)


OLD, NEW = Serving("digits", "digits_1", 1, True), Serving("digits", "digits_2", 1, True)

FOUND = {
    "paid_twice": evening(lived(), lived("lost", made(1), made(2))),
    "runs_on": evening(lived(left=[("train", made())])),
    "bad_model": evening(lived("bad model", before={OLD}, after={NEW}, bad={"digits_2"})),
    "backfill": evening(lived("backfill", before={OLD}, after={NEW})),
    "failed_requests": evening(failed=["digits: 502"]),
    "overwritten": evening(lived(), lived("lost", rewritten=["oss://night/models/latest/model.bin"])),
    "torn": evening(torn=["oss://night/models/1/_manifest.json"]),
    "secret_seen": evening(seen=[("DB_PASSWORD", "a log", "train")]),
    "secret_in_file": evening(
        lived("calm", made(Envs={"DB_PASSWORD": "correct-horse"})), source='{"DB_PASSWORD": "correct-horse"}'
    ),
    "no_time_limit": evening(lived("calm", made(limit=FALLBACK.seconds))),
    "unpinned_image": evening(lived("calm", made(JobSpecs=[{"Image": "registry.example.com:5000/ml/pytorch"}]))),
    "min_requests": evening(rendered=[("deploy", {"plan": {"min_requests": "1"}, "group": "digits"})]),
    "no_retries": evening(tasks={"train": {"execution_timeout": None, "retries": 0}}),
    "left_loopback": evening(refused=["example.com"]),
    "fails": evening(lived(state="failed", tasks=[{"task_id": "train", "state": "failed"}])),
}


@pytest.mark.parametrize("rule", FOUND)
def test_each_rule_finds_what_it_is_about_and_no_other_does(rule):
    findings = judged(FOUND[rule])
    assert [finding.rule for finding in findings] == [rule]
    assert str(findings[0]).endswith(f"[{rule}]")


def test_an_evening_without_a_fault_is_clean():
    nights = (
        lived(),
        lived("dying", made(1), made(2), evicted=["dlc1"]),
        lived("bad model", state="failed", before={OLD}, after={OLD}, bad={"digits_2"}),
        lived("backfill", before={OLD}, after={OLD}),
    )
    assert judged(evening(*nights)) == []
    limited = {"train": {"execution_timeout": {"days": 1}, "retries": 2}}
    assert judged(evening(lived("calm", made(limit=FALLBACK.seconds)), tasks=limited)) == []
    pinned = [{"Image": "registry.example.com/ml/pytorch@sha256:00"}]
    assert judged(evening(lived("calm", made(JobSpecs=pinned)))) == []


def test_a_finding_names_the_task_of_which_a_request_names_the_folder():
    (finding,) = judged(FOUND["overwritten"])
    assert finding.task == "train"
