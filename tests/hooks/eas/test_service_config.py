"""Service JSON as EAS shows it: values by dotted keys, what is deployed, and the numbers that versions have."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_pai.hooks.eas.service_config import (
    deployed_version,
    fingerprint,
    numbered,
    service_usage,
    value_at,
    with_value,
    without,
)

CONFIG = {"metadata": {"name": "digits", "instance": 1, "rpc": {"keepalive": 5}}, "containers": [{"image": "i"}]}


def test_values_stand_under_dotted_keys():
    assert value_at(CONFIG, "metadata.rpc.keepalive") == 5
    assert [value_at(CONFIG, key) for key in ("options", "metadata.group", "containers.image")] == [None] * 3
    assert with_value(CONFIG, "options.a.b", 1) == {**CONFIG, "options": {"a": {"b": 1}}}
    assert with_value(CONFIG, "metadata.group", "g")["metadata"] == {**CONFIG["metadata"], "group": "g"}
    assert without(CONFIG, "metadata.rpc.keepalive", "containers", "options.a", "name") == {
        "metadata": {"name": "digits", "instance": 1}
    }


@pytest.mark.parametrize("key", ["metadata.instance", "networking.traffic_state", "labels", "token", "autoscaler"])
def test_what_eas_moves_by_itself_is_no_other_deployment(key):
    assert fingerprint(json.dumps(with_value(CONFIG, key, 7))) == fingerprint(json.dumps(CONFIG)) != 0
    assert fingerprint(None) == fingerprint("") == 0


@pytest.mark.parametrize("key", ["metadata.cpu", "metadata.rpc.keepalive", "containers", "storage", "options.a"])
def test_all_else_is_one(key):
    assert fingerprint(json.dumps(with_value(CONFIG, key, 7))) != fingerprint(json.dumps(CONFIG))


def version(number: int, built: int, instances: int = 1) -> dict[str, str]:
    """Return a version as ListServiceVersions has it; its cores tell its number."""
    config = {"metadata": {"cpu": number, "instance": instances}}
    return {"BuildTime": f"2026-11-28T00:00:{built:02d}Z", "ServiceConfig": json.dumps(config)}


@given(data=st.data(), pauses=st.lists(st.integers(0, 1), min_size=1, max_size=12), newest_first=st.booleans())
def test_the_order_of_the_list_does_not_matter(data, pauses, newest_first):
    """Nor does it whether the first are cleared away; only one in the middle of what is of one second tells nothing."""
    latest, times = len(pauses), [sum(pauses[: number + 1]) for number in range(len(pauses))]
    oldest = data.draw(st.integers(1, latest))
    versions = {number: version(number, times[number - 1]) for number in range(oldest, latest + 1)}
    current = data.draw(st.integers(oldest, latest))
    assume(len({each["BuildTime"] for each in versions.values()}) > 1 or 2 * current != oldest + latest)
    listed = [*versions.values()][:: -1 if newest_first else 1]
    scaled = version(current, 0, instances=5)["ServiceConfig"]
    described = {"CurrentVersion": current, "LatestVersion": latest, "ServiceConfig": scaled}
    assert numbered(listed, described) == versions


def test_a_list_in_no_order_at_all_goes_by_its_times():
    listed = [version(2, 20), version(1, 10), version(3, 30)]
    numbers = numbered(listed, {"CurrentVersion": 3, "LatestVersion": 3})
    assert numbers == {number: version(number, 10 * number) for number in (1, 2, 3)}
    assert numbered(listed, {}) == numbers
    assert numbered([], {"CurrentVersion": 1, "LatestVersion": 1}) == {}


def test_versions_that_only_scale_come_behind_the_one_that_was_deployed():
    cores = {3: 1, 4: 2, 5: 2, 6: 2, 7: 1}
    versions = {number: version(each, 0, instances=number) for number, each in cores.items()}
    assert {number: deployed_version(versions, number) for number in versions} == {3: 3, 4: 4, 5: 4, 6: 4, 7: 7}
    assert deployed_version({}, 2) == deployed_version({1: {}, 2: {}}, 2) == 2


def test_a_services_instances_are_billed_since_it_was_created():
    config = {"metadata": {"instance": 2}, "cloud": {"computing": {"instances": [{"type": "ecs.g6.large"}]}}}
    service = {"ServiceConfig": json.dumps(config), "CreateTime": "2026-11-21T18:00:00Z", "TotalInstance": 0}
    since = {"began": "2026-11-21T18:00:00Z"}
    assert service_usage(service) == {"nodes": [{"type": "ecs.g6.large", "count": 2}], **since}
    grouped = {**service, "ServiceConfig": '{"metadata": {"resource": "eas-r-1"}}', "TotalInstance": 3}
    assert service_usage(grouped) == {"nodes": [{"type": "quota/eas-r-1", "count": 3}], **since}
    assert service_usage({}) == {"nodes": [{"type": "unknown", "count": 1}], "began": ""}
