"""A rollout survives the way through the database."""

from __future__ import annotations

import json
from dataclasses import replace

from airflow_provider_pai.rollouts.spec import RolloutSpec
from tests.fake import PLAN, goal, spec_of


def test_comes_back_from_json():
    aim = goal("20261122T1800Z-bbbbbbbb", labels={"airflow_dag_id": "train"}, approval="ask")
    spec = replace(
        spec_of(aim, replace(PLAN, checks={"score": {"min": 0.5}}), deadline=1_800_000_000.0),
        metrics=[{"kind": "cloudmonitor"}, {"kind": "sql", "conn_id": "db", "sql": "select 1"}],
        probe={"requests": [{"path": "/predict"}]},
    )
    assert RolloutSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert RolloutSpec.from_dict(spec_of(aim).to_dict()).deadline is None
