"""Overlap of a candidate with production, by the service's own times."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace

from airflow_provider_pai.costs import Nodes, Usage
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.rollouts.overlap import overlap

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
USED = Usage(
    service="eas",
    id="digits_b",
    status="Running",
    began="2026-11-21T18:00:00Z",
    seconds=1800.0,
    nodes=(Nodes(type="ecs.g6.large", count=2),),
)


def eas(usage):
    clock = SimpleNamespace(utc=lambda: NOW)
    return SimpleNamespace(get=lambda name: name, usage=usage, service_clock=clock, log=logging.getLogger())


def test_a_candidate_has_run_from_its_creation_to_now():
    told = Usage.read(overlap(eas(lambda job, cause: USED), "digits_b", "rollout"))
    assert (told.began, told.ended, told.seconds) == ("2026-11-21T18:00:00Z", "2026-11-21T18:30:00Z", 1800.0)
    assert (told.cause, told.nodes) == ("rollout", USED.nodes)
    assert told.key == "usage/eas/digits_b 2026-11-21T18:00:00Z"  # one that is made again has a row of its own


def test_what_eas_does_not_tell_is_nobodys_failure():
    def refuse(job, cause):
        raise PaiConfigError("began", "yesterday", "a time")

    assert overlap(eas(refuse), "digits_b", "rollout") is None
    assert overlap(eas(lambda job, cause: Usage(service="eas", id="b", status="")), "b", "shadow") is None
