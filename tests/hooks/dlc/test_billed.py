"""Bill of a DLC job, as its answer tells it."""

from airflow_provider_pai.hooks.answers import fits
from airflow_provider_pai.hooks.dlc.billed import BILLED, job_usage


def test_nodes_and_times_are_read():
    worker = {"EcsSpec": "ecs.g6.large", "PodCount": 2, "SpotSpec": {"SpotStrategy": "SpotWithPriceLimit"}}
    job = {
        "JobSpecs": [{"EcsSpec": "ecs.g6.large", "PodCount": "1"}, worker],
        "GmtRunningTime": "2026-11-21T18:00:00Z",
        "GmtFinishTime": "2026-11-21T18:01:15Z",
    }
    assert fits(job, BILLED)
    assert job_usage(job) == {
        "nodes": [
            {"type": "ecs.g6.large", "count": 1, "spot": False},
            {"type": "ecs.g6.large", "count": 2, "spot": True},
        ],
        "began": "2026-11-21T18:00:00Z",
        "ended": "2026-11-21T18:01:15Z",
    }


def test_nodes_of_a_quota_are_the_quotas_and_what_never_ran_never_began():
    job = {"ResourceId": "quota1", "JobSpecs": [{"PodCount": 1, "ResourceConfig": {"CPU": "4"}}]}
    assert job_usage(job) == {"nodes": [{"type": "quota/quota1", "count": 1, "spot": False}], "began": "", "ended": ""}
    assert job_usage({})["nodes"] == []
