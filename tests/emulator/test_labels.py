"""Tag rule: what it refuses of DSW, EAS and DLC, and what is made to fit where a world does that."""

from __future__ import annotations

import pytest
from alibabacloud_eas20210701 import models as eas_models
from alibabacloud_pai_dsw20220101 import models as dsw_models
from alibabacloud_tea_openapi.exceptions import ClientException
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.emulator.errors import InvalidParameterError
from airflow_provider_pai.emulator.labels import MAX_LABELS, check, kept
from airflow_provider_pai.emulator.world import World
from tests.emulator.pai_sdk import client, job_request
from tests.emulator.serving import Eas

TEXTS = st.lists(st.sampled_from(["http://", "HTTPS://", "aliyun", "ACS:", "x" * 50, "a", "/", ":", "模"])).map("".join)

ILLEGAL = [
    {"url": "http://airflow:8080"},
    {"url": "see HTTPS://airflow"},
    {"long": "x" * 129},
    {"k" * 129: "x"},
    {"owner": "acs:me"},
    {"owner": "Aliyun"},
    {"aliyun_owner": "me"},
    {"http://": "x"},
    {"": "x"},
    {f"k{number}": "x" for number in range(MAX_LABELS + 1)},
]


def cases(parameter, values):
    return pytest.mark.parametrize(parameter, values, ids=[str(value)[:20] for value in values])


@cases("labels", ILLEGAL)
def test_what_breaks_the_rule_is_refused(labels):
    with pytest.raises(InvalidParameterError):
        kept(labels, World())


@cases("labels", [{"k" * 128: "模" * 128}, {"k": ""}, {"k": "on aliyun"}, {"k": "http:/x"}])
def test_what_keeps_it_stays_as_it_is(labels):
    assert kept(labels, World()) == labels


@given(st.dictionaries(TEXTS, TEXTS, max_size=25))
def test_what_is_made_to_fit_keeps_the_rule(labels):
    check(kept(labels, World(label_values="cut")))


def listed(labels):
    return [{"Key": key, "Value": value} for key, value in labels.items()]


def test_dsw_refuses_at_the_creation_and_at_each_change(pai):
    dsw = client(pai, "dsw")
    request = {"InstanceName": "labels", "EcsSpec": "ecs.g6.large", "ImageUrl": "registry/image:1"}
    for labels in ILLEGAL[:5]:
        with pytest.raises(ClientException, match="must have"):
            dsw.create_instance(dsw_models.CreateInstanceRequest().from_map({**request, "Labels": listed(labels)}))
    full = {f"k{number}": "x" for number in range(MAX_LABELS)}
    instance = dsw.create_instance(dsw_models.CreateInstanceRequest().from_map({**request, "Labels": listed(full)}))
    for labels in (*ILLEGAL[:5], {"one": "more"}):
        change = dsw_models.UpdateInstanceLabelsRequest().from_map({"Labels": listed(labels)})
        with pytest.raises(ClientException, match=r"must have|may have 20"):
            dsw.update_instance_labels(instance.body.instance_id, change)


def test_eas_refuses_at_the_creation_and_at_each_change(pai):
    eas = Eas(pai)
    try:
        for labels in ILLEGAL[:5]:
            with pytest.raises(ClientException, match="must have"):
                eas.create(eas.config("labels"), wait=False, labels=labels)
        own = {f"k{number}": "x" for number in range(MAX_LABELS - 1)}
        with pytest.raises(ClientException, match="may have 20"):
            eas.create({**eas.config("labels"), "labels": {"a": "1", "b": "2"}}, wait=False, labels=own)
        name = eas.create({**eas.config("labels"), "labels": {"a": "1"}}, wait=False, labels=own)
        for labels in (*ILLEGAL[:5], {"one": "more"}):
            change = eas_models.UpdateServiceLabelRequest(labels=labels)
            with pytest.raises(ClientException, match=r"must have|may have 20"):
                eas.client.update_service_label(eas.region, name, change)
    finally:
        eas.clean_up()


def test_dlc_takes_any_tag_unless_the_world_has_the_rule(pai):
    jobs, request = client(pai, "dlc"), job_request("true", Settings={"Tags": {"url": "http://airflow"}})
    jobs.create_job(request)
    pai.account.change_world({"dlc_tags": "ruled"})
    with pytest.raises(ClientException, match=r"Settings\.Tags"):
        jobs.create_job(request)


def test_a_world_without_the_rule_keeps_what_it_gets():
    labels = {"airflow_url": "http://airflow.example", "acs:x": "y" * 200}
    assert kept(labels, World(label_values="free")) == labels
