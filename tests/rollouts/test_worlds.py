"""Rollouts in each cloud that is still possible: a good model is promoted, a bad one taken out, nobody harmed."""

from __future__ import annotations

import pytest

from airflow_provider_pai.exceptions import RolloutRolledBackError, RolloutStoppedError
from airflow_provider_pai.hooks.eas import hook
from airflow_provider_pai.operators.eas import EasCanaryDeployOperator
from tests.group import PLAN, People
from tests.task import Task

WORLDS = {
    "grouping": {"eas_member_traffic": "grouping"},
    "little": {"eas_weight_zero": "little"},
    "lost": {"eas_weight_standalone": "lost"},
    "new_version": {"eas_scaling": "new_version"},
}
WORLDS["together"] = {name: position for world in list(WORLDS.values()) for name, position in world.items()}
# EAS acts on a weight before a candidate is up, which takes half a second here: else it would get a moment of traffic.
LATE = {"weight_lag": 0.1, "gateway_lag": 1.0, "list_lag": 1.0}
ON_TIME = {"weight_lag": 0.0, "gateway_lag": 0.02, "list_lag": 0.0}
SHORT = {**PLAN, "interval": 0.2, "min_duration": 0.3, "min_requests": 10, "drain": 0.4}


@pytest.fixture(params=WORLDS)
def possible(request, pai, world):
    world(**WORLDS[request.param])
    pai.account.change_settings(LATE if request.param == "together" else ON_TIME)
    yield request.param
    pai.account.change_settings(ON_TIME)


def deploy(group, model, run_id, steps=(40, 100)):
    arguments = group.arguments(model, plan=SHORT, steps=list(steps), deferrable=False)
    return Task(lambda: EasCanaryDeployOperator(**arguments), run_id=run_id)


def test_a_good_model_is_promoted_and_a_bad_one_is_out_again(group, possible):
    first, good, wrong = group.model(20), group.model(21), group.model(22, answer=41)
    bad = group.model(23, fail=0.7) if possible == "together" else {"version": None}
    steps = [100] if possible in ("grouping", "new_version") else [40, 100]
    assert deploy(group, first, "first").run()["outcome"] == "deployed"
    assert group.serving() == first["version"]
    with People(group, threads=2) as people:
        ended = deploy(group, good, "good", steps).run()
        assert (ended["outcome"], [step["percent"] for step in ended["steps"]]) == ("promoted", steps)
        group.eas.update(ended["service"], {"metadata": {"instance": 2}})
        with pytest.raises(RolloutRolledBackError, match="smoke test"):
            deploy(group, wrong, "wrong").run()
        if bad["version"]:
            with pytest.raises(RolloutRolledBackError, match="error rate"):
                deploy(group, bad, "bad").run()
    assert group.serving() == good["version"]
    asked = {version for version, _ in people.counts}
    failed = {version for version, status in people.counts if status != 200}
    assert (people.lost, asked - {bad["version"]}) == ([], {first["version"], good["version"]})
    assert failed <= {bad["version"]}


def test_where_no_service_gets_into_a_group_a_rollout_ends_at_once_each_time(group, world, monkeypatch):
    monkeypatch.setattr(hook, "_PAUSES", (0.0,))
    world(eas_group_key="ignored")
    model = group.model(20)
    task = deploy(group, model, "ignored")
    task.max_tries = 5
    for one in (task, deploy(group, model, "another, which waits for nobody"), task):
        with pytest.raises(RolloutStoppedError, match="eas_group_key"):
            one.run()
        assert [s for s in group.eas.list_services(filter=group.name) if s["Status"] != "Deleting"] == []
