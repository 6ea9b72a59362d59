"""First and last line of a task's log: every operator and sensor has words for both."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_pai.connected import Connected
from airflow_provider_pai.operators.dlc import DlcSubmitJobOperator
from airflow_provider_pai.operators.oss import OssCopyOperator, OssDeleteOperator
from tests.public import public_classes

PUBLIC = [one for kind in ("operators", "sensors") for one in public_classes(kind, BaseOperator)]


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_operator_and_sensor_says_what_it_does_and_what_came_of_it(kind):
    assert kind.about, "it has no first line"
    assert kind.came or kind.told is not Connected.told, "it has no last line"
    others = [each.about for each in PUBLIC if each is not kind]
    assert kind.about not in others, "another begins with the same words"


def test_a_line_shows_values_in_short_and_without_secrets():
    copy = OssCopyOperator(task_id="t", source="oss://a/b/", target=f"oss://a/{'c' * 500}/")
    assert copy.in_words(copy.about).startswith("Copy oss://a/b/ to oss://a/ccc")
    assert len(copy.in_words(copy.about)) < 200
    folder = {"uri": "oss://a/c/", "moved": 2, "size": 10, "unchanged": 0, "deleted": 1}
    assert copy.told(folder) == "oss://a/c/: 2 files moved (10 bytes), 0 unchanged, 1 deleted"
    assert copy.told({"uri": "oss://a/c"}) == "oss://a/c is there"
    delete = OssDeleteOperator(task_id="t", uri=[f"oss://a/{n}" for n in range(5)])
    assert delete.in_words(delete.about) == "Delete oss://a/0, oss://a/1, oss://a/2 and 2 more"
    odd = OssDeleteOperator(task_id="t", uri="oss://a/\ud800")
    assert odd.in_words(odd.about) == "Delete oss://a/?"
    command = "curl https://me:geheim@example.com/x"
    job = DlcSubmitJobOperator(task_id="t", framework="pytorch", workers=2, image="i", command=command)
    assert job.in_words(job.about) == "Run a DLC job, pytorch: curl https://me:***@example.com/x"


def test_a_model_is_shown_by_its_version_and_what_is_not_there_leaves_no_trace():
    asks = SimpleNamespace(artifact={"version": "20261121T1800Z-3f2a9c1b", "uri": "oss://a/b/"}, group=None, tags={})
    assert Connected.in_words(asks, "Serve {artifact} in {group}") == "Serve 20261121T1800Z-3f2a9c1b in"
    assert Connected.in_words(asks, "tags {tags}: {group}") == "tags none"
