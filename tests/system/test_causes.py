"""Failed jobs: what another try mends gets one, what would end alike does not; and what all of them have cost."""

import json

import pytest


@pytest.mark.timeout(150)
def test_the_same_mistake_is_paid_for_twice_a_broken_machine_as_often_as_there_are_tries(run, api):
    one = run("causes")
    one.until("both have failed", lambda: {one.task(each)["state"] for each in ("code", "node")} == {"failed"}, 120)
    jobs = {each: one.jobs(each) for each in ("code", "node")}
    assert {each: len(made) for each, made in jobs.items()} == {"code": 2, "node": 3}
    said = api.log(one.dag_id, one.run_id, "code", 2)
    assert any(f"not retried: {jobs['code'][0]['JobId']} has failed just so" in line for line in said), said

    cost = json.loads(one.cli("pai", "cost", "--dag", "causes", "--json"))
    seconds = {each: sum(job["Duration"] for job in made) for each, made in jobs.items()}
    wasted = {cause: spent["instance_hours"]["ecs.g6.large"] * 3600 for cause, spent in cost["wasted"].items()}
    assert wasted == pytest.approx(seconds)
    (night,) = cost["nights"]
    assert (night["night"], night["instance_hours"]) == (one.run_id, cost["total"]["instance_hours"])
