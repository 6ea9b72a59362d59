"""A shadow is taken down: first the copying ends, then the service, and only what is its own."""

from __future__ import annotations

import pytest

from airflow_provider_pai.canary.group import Member
from airflow_provider_pai.rollouts.shadows import take_down
from tests.fake import FakeEas


@pytest.fixture
def eas():
    eas = FakeEas()
    for name in ("old", "old_shadow_1"):
        eas.members[name] = Member(name=name, status="Running", running=1, total=1)
    eas.set_mirror("old", ["old_shadow_1"], 50)
    eas.calls.clear()
    return eas


def test_the_copying_ends_first(eas):
    take_down(eas, "old", "old_shadow_1")
    assert eas.calls == ["mirror old 0", "delete old_shadow_1"]
    take_down(eas, "old", "old_shadow_1")
    assert eas.calls == ["mirror old 0", "delete old_shadow_1"]


def test_another_mirror_is_left_alone(eas):
    eas.set_mirror("old", ["another"], 5)
    take_down(eas, "old", "old_shadow_1")
    assert (eas.mirrors["old"].targets, "old_shadow_1" in eas.members) == (("another",), False)


def test_one_whose_source_nobody_knows_is_deleted(eas):
    take_down(eas, "", "old_shadow_1")
    assert (eas.mirrors["old"].ratio, "old_shadow_1" in eas.members) == (50, False)
