"""Canary rollouts on a real Airflow: approved, refused, ended by hand; and a few of the benchmark's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from airflow_provider_pai.testing.killing import replace_killed
from tests.group import METRICS, PLAN, People, ServiceGroup
from tests.task import Task

BUCKET = "canary"
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "canary.py"


@pytest.fixture(scope="module")
def group(stack):
    """A group that serves a model, and people who use it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(stack.connection))
        OssHook().create_bucket(BUCKET)
        group = ServiceGroup(BUCKET)
        Task(lambda: EasCanaryDeployOperator(**group.arguments(group.model(20))), run_id="first").run()
        with People(group):
            yield group
        group.clean_up()


@pytest.fixture
def rollout(run, group):
    """Start the example DAG over a new model; return the run and the candidate's name."""

    def start(day):
        model = group.model(day)
        one = run(
            "pai_canary_approval",
            artifact=model["uri"],
            group=group.name,
            metrics=METRICS,
            plan={**PLAN, "interval": 0.6, "min_duration": 1, "min_requests": 10, "power": 0.9},
            command="python {model}/serve.py {model} 8000",
        )
        name = f"{group.name}_{model['version'].lower().replace('-', '_')}"
        one.until("the candidate has traffic", lambda: group.traffic().get(name) == (10, True), timeout=60)
        return one, name

    return start


def answer(api, one, option):
    waits = ("deferred", "awaiting_input")
    one.until("somebody is asked", lambda: one.task("ask")["state"] in waits, timeout=60)
    body = {"chosen_options": [option], "params_input": {}}
    api.request("PATCH", f"{one.path('ask')}/-1/hitlDetails", json=body)


def test_a_person_approves(rollout, group, api):
    one, name = rollout(21)
    answer(api, one, "Approve")
    one.until("it is promoted", lambda: one.task("deploy")["state"] == "success", timeout=90)
    ended = api.xcom(one.dag_id, one.run_id, "deploy")
    assert (ended["outcome"], ended["service"]) == ("promoted", name)
    assert group.traffic()[name] == (100, True)
    links = api.request("GET", one.path("deploy", "links"), params={"map_index": -1})["extra_links"]
    assert links["PAI EAS service"].endswith(f"/{name}/detail")
    assert links["Rollout record"].endswith(f"/{BUCKET}/object?path=.pai%2Frollouts%2F{group.name}%2F")


def test_a_person_refuses(rollout, group, api):
    before = group.serving()
    one, name = rollout(22)
    answer(api, one, "Reject")
    one.until("it is rolled back", lambda: one.task("deploy")["state"] == "failed", timeout=60)
    assert api.xcom(one.dag_id, one.run_id, "deploy")["reason"] == "the promotion was not approved"
    assert (group.traffic()[name], group.serving()) == ((0, False), before)


def test_a_task_that_is_ended_by_hand_takes_its_candidate_along(rollout, group):
    before = group.serving()
    one, name = rollout(23)
    one.mark("deploy", "failed")
    one.until("the candidate has no traffic", lambda: group.traffic()[name] == (0, False))
    one.until("it is stopped", lambda: group.state()[name][0] == "Stopped")
    assert group.serving() == before


def looked(group, name):
    """Return how long the record of looks at a candidate is."""
    record = group.oss.head(f"oss://{BUCKET}/.pai/rollouts/{group.name}/{name}.jsonl")
    return record.size if record else 0


@pytest.mark.timeout(200)
def test_airflow_itself_is_killed_under_way(rollout, group, api, stack):
    one, name = rollout(24)
    for part in ("triggerer", "scheduler"):
        replace_killed(stack, part)
        seen = looked(group, name)
        one.until("it is judged on", lambda seen=seen: looked(group, name) > seen, timeout=60)
    answer(api, one, "Approve")
    one.until("it is promoted", lambda: one.task("deploy")["state"] == "success", timeout=90)
    ended = api.xcom(one.dag_id, one.run_id, "deploy")
    assert (ended["outcome"], ended["service"]) == ("promoted", name)
    assert [member for member, (weight, _) in group.traffic().items() if weight] == [name]
    assert one.task("deploy")["try_number"] == 1


@pytest.mark.timeout(200)
def test_a_few_of_each_kind_under_constant_load():
    few = ("bad crash_50", "bad hang", "good 1", "killed 2", "killed 3", "clean 1")
    command = [sys.executable, str(BENCHMARK), "--only", *few]
    played = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(played.stdout)
    told = played.stderr[-3000:]
    bad = found["bad"]
    assert (bad["runs"], bad["promoted"], bad["harmed_outside_share"]) == (2, 0, 0), told
    assert found["good"] == {"runs": 1, "rolled_back": 0}, told
    assert found["killed"] == {"runs": 2, "inconsistent": 0}, told
    assert found["clean"]["failed"] == 0, told
    assert found["clean"]["requests"] > 1000
