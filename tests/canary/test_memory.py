"""Memory of a group's services: any labels whatever are read, and what nobody can read is what it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.canary.group import Group, Phase, Progress
from airflow_provider_pai.canary.memory import read_memory, recall, remember, with_deleted
from airflow_provider_pai.identity import TaggedJob
from airflow_provider_pai.labels import Deployment, Key, Mark, ServedModel, Shadow
from tests.situation import CANDIDATE, FIRST, NOW, SECOND, STABLE, member, progress_of

WHOLE = progress_of(SECOND, Phase.STEP, step=1, stable=STABLE, rejected=("a.b.1",))
OURS = sorted({*WHOLE.labels(), *(value for name, value in vars(Key).items() if not name.startswith("_"))})
TEXTS = st.one_of(
    st.text(max_size=128),
    st.sampled_from(["-", "NaN", "inf", "1e400", "٣", "²", "9" * 128, "-1", "0x1", "1.2.3", "2026-11-21", "24:00"]),
    st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "2026-11-21T18:00:00", "settling ", "a.b.²"]),
    st.builds("{} {}".format, st.text(max_size=30), st.text(max_size=30)),
)
ANY = st.dictionaries(st.sampled_from(OURS), st.one_of(st.none(), TEXTS), max_size=8)


def changed(labels, changes):
    """Lay what somebody has done over labels; None: lost."""
    return {key: value for key, value in {**labels, **changes}.items() if value is not None}


def group(**labels):
    given = {STABLE: progress_of(FIRST, Phase.PROMOTED).labels(), CANDIDATE: WHOLE.labels(), **labels}
    return Group(name="digits", members=tuple(replace(member(n), created="then", labels=o) for n, o in given.items()))


@given(ANY)
def test_any_labels_can_be_read(changes):
    labels = changed(WHOLE.labels(), changes)
    for record in (Progress, ServedModel, Deployment, Mark, Shadow):
        record.of(labels)
    TaggedJob.read("job", "Running", labels, "")


@given(ANY)
def test_what_is_lost_or_can_t_be_read_is_what_it_was(changes):
    memory = remember(group(), {}, NOW)
    found = recall(group(**{CANDIDATE: changed(WHOLE.labels(), changes)}), memory, NOW).member(CANDIDATE)
    assert found.progress is not None
    # What can be read is believed: nobody can tell it from ours.
    lost = {key for key, value in changes.items() if value is None}
    if lost == set(changes):
        assert found.progress == WHOLE


@pytest.mark.parametrize(
    "changes", [dict.fromkeys(OURS), {Key.COUNTS: "x"}, {Key.PHASE: "NaN"}, {Key.COUNTS: "1 9998-01-01T00:00:00Z"}]
)
def test_what_could_be_read_is_remembered_until_something_else_can(changes):
    memory, lost = remember(group(), {}, NOW), group(**{CANDIDATE: changed(WHOLE.labels(), changes)})
    assert recall(lost, memory, NOW) == group()
    assert remember(lost, memory, NOW) == memory
    promoted = progress_of(SECOND, Phase.PROMOTED).labels()
    assert remember(group(**{CANDIDATE: promoted}), memory, NOW)[CANDIDATE].labels == promoted


def test_nothing_is_known_of_another_service_of_the_same_name():
    other = replace(group(), members=(replace(member(CANDIDATE), created="later"),))
    assert recall(other, remember(group(), {}, NOW), NOW) == other


def test_other_people_s_labels_are_theirs():
    memory = remember(group(**{CANDIDATE: {**WHOLE.labels(), "team": "vision"}}), {}, NOW)
    assert "team" not in memory[CANDIDATE].labels


def test_a_service_that_was_deleted_under_way_is_remembered_and_one_that_was_over_is_not():
    memory = remember(group(), {}, NOW)
    left = with_deleted(Group(name="digits"), memory)
    assert [(one.name, one.deleted, one.progress) for one in left.members] == [(CANDIDATE, True, WHOLE)]
    assert remember(left, memory, NOW) == {CANDIDATE: memory[CANDIDATE]}


def test_few_that_were_deleted_are_remembered():
    names = {f"digits_{number}": WHOLE.labels() for number in range(9)}
    left = with_deleted(Group(name="digits"), remember(group(**names), {}, NOW))
    assert sorted(remember(left, {}, NOW)) == ["digits_6", "digits_7", "digits_8"]


def test_a_memory_comes_back_from_json():
    memory = remember(group(), {}, NOW)
    assert read_memory(json.loads(json.dumps(memory))) == memory


@pytest.mark.parametrize("value", [None, [], ["digits_v1"], {"a": 1}, {"a": ["then"]}, {"a": ["then", [1]]}, "x", 7])
def test_what_is_no_memory_is_none(value):
    assert read_memory(value) == {}
