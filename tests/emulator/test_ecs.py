from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.ecs import ECS_SPECS, check_ecs_spec, demand, filter_specs, is_lingjun, is_spot
from airflow_provider_pai.emulator.errors import InvalidParameterError

CPU = {"EcsSpec": "ecs.g6.large", "PodCount": 2}
QUOTA = {"ResourceConfig": {"CPU": "4", "GPU": "1", "Memory": "16Gi"}, "PodCount": 1}


@pytest.mark.parametrize("known", ["ecs.g6.large", "ecs.g9.new", "ml.gu7xf.8xlarge-gu108"])
def test_types_of_the_right_form_pass(known):
    check_ecs_spec("EcsSpec", known)


@pytest.mark.parametrize("wrong", ["", "g6.large", "ecs.g6", "ecs.G6.large", "ecs.g6.large "])
def test_other_texts_are_refused(wrong):
    with pytest.raises(InvalidParameterError, match="EcsSpec must be an instance type"):
        check_ecs_spec("EcsSpec", wrong)


def test_a_query_filters_and_sorts():
    assert filter_specs({}) == list(ECS_SPECS)
    gpus = filter_specs({"AcceleratorType": "GPU", "SortBy": "GPU"})
    assert all(spec.gpu for spec in gpus)
    assert [spec.gpu for spec in gpus] == sorted((spec.gpu for spec in gpus), reverse=True)
    types = "ecs.c6.large,ecs.g6.large"
    by_memory = filter_specs({"InstanceTypes": types, "SortBy": "Memory", "Order": "asc"})
    assert [spec.instance_type for spec in by_memory] == ["ecs.c6.large", "ecs.g6.large"]
    assert filter_specs({"ResourceType": "Lingjun"}) == []


def test_a_job_asks_for_the_sum_of_its_pods():
    assert demand([CPU, QUOTA]) == {"pods": 3, "cpu": 8, "gpu": 1, "memory": 32}


def test_spot_and_lingjun_are_told_by_any_of_the_specs():
    assert is_spot([CPU, {"UseSpotInstance": True}])
    assert is_spot([{"SpotSpec": {"SpotStrategy": "SpotWithPriceLimit"}}])
    assert is_lingjun([CPU, {"EcsSpec": "ml.gu7xf.8xlarge-gu108"}])
    assert not is_spot([CPU])
    assert not is_lingjun([CPU, QUOTA])
