"""A group's services, and what stands on their labels."""

from __future__ import annotations

import pytest

from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.group import (
    Group,
    Member,
    Phase,
    Progress,
    StepResult,
    check_group_name,
    rejection,
    service_name,
)
from airflow_provider_pai.canary.samples import Result, Sample, Window
from tests.situation import NOW, SECOND, member, progress_of

STEPS = tuple(
    StepResult(percent=10 * number, requests=99_999_999, errors=99_999_999, p95_ms=99999.9, verdict="inconclusive")
    for number in range(1, 11)
)


@pytest.mark.parametrize(
    "progress",
    [
        Progress(phase=Phase.PREPARE),
        progress_of(SECOND, Phase.STEP, step=2, failures=1, inconclusive=2, own_version=3, stable_version=9),
        progress_of(SECOND, Phase.STEP, step=1, golden=30, golden_errors=4),
        progress_of(SECOND, Phase.STEP, since=None, settling=NOW),
        progress_of(SECOND, Phase.ROLLED_BACK, outcome="rejected", note="error rate", rejected=("a.b.0", "c.d.1")),
        progress_of(SECOND, Phase.PROMOTED, steps=STEPS),
    ],
)
def test_progress_comes_back_from_labels(progress):
    labels = progress.labels()
    assert Progress.of(labels) == progress
    assert all(0 < len(value) <= 128 for value in labels.values())


def test_the_longest_progress_leaves_room_for_what_people_read():
    longest = progress_of(SECOND, Phase.PROMOTED, steps=STEPS, note="x" * 500, stable="s" * 63)
    names, state, mark = 4, 1, 1
    assert len(longest.labels()) + names + state + mark <= 20
    assert Progress.of(longest.labels()).note == f"{'x' * 127}…"


def test_a_note_that_quotes_an_address_becomes_one_that_a_label_can_have():
    answered = Progress(phase=Phase.WITHDRAWN, note='GET http://a/b: {"see": "HTTPS://c"}')
    assert Progress.of(answered.labels()).note == 'GET http:/a/b: {"see": "HTTPS:/c"}'


def test_a_service_without_a_phase_is_not_ours():
    assert Progress.of({}) is None
    assert Progress.of({"airflow_phase": "resting"}) is None
    assert member("byhand").progress is None


def test_the_newest_rejections_are_remembered_once():
    progress = Progress(phase=Phase.PROMOTED)
    for entry in ("a.x.0", "b.x.0", "a.x.0", "c.x.0", "d.x.0"):
        progress = progress.reject(entry)
    assert progress.rejected == ("b.x.0", "a.x.0", "c.x.0", "d.x.0")
    assert Progress.of(progress.labels()).rejected == ("a.x.0", "c.x.0", "d.x.0")


def test_a_rejection_names_the_digest_and_whose_it_was():
    assert rejection("sha256:0123456789abcdef", "fedcba9876543210", 3) == "0123456789ab.fedcba987654.3"


def test_a_step_s_result_is_that_of_its_last_judgement():
    window = Window(candidate=Sample(requests=57, errors=1, p95_ms=6.24))
    result = StepResult.of(20, Judgement(result=Result.PASS, reason="fine", window=window))
    assert result == StepResult(percent=20, requests=57, errors=1, p95_ms=6.24, verdict="pass")
    assert StepResult.read(result.write()).p95_ms == 6.2
    assert result.sample == window.candidate


@pytest.mark.parametrize(
    ("status", "running", "total", "words"),
    [
        ("Running", 2, 2, "ready"),
        ("Running", 1, 2, ""),
        ("Running", 0, 0, ""),
        ("Waiting", 0, 1, ""),
        ("Failed", 0, 1, "failed"),
        ("Stopped", 0, 1, "failed stopped"),
        ("Stopping", 1, 1, "leaving"),
        ("Deleting", 0, 1, "leaving"),
    ],
)
def test_what_a_status_means(status, running, total, words):
    one = Member(name="v1", status=status, running=running, total=total)
    assert [word for word in ("ready", "failed", "stopped", "leaving") if getattr(one, word)] == words.split()
    assert str(one) == f"v1 is {status}, {running} of {total} instances"


def test_a_member_is_found_by_its_name():
    group = Group(name="digits", members=(member("a"), member("b")))
    assert (group.member("b").name, group.member("c")) == ("b", None)


@pytest.mark.parametrize("name", ["Digits", "ab", "a-b-c", "x" * 64, "", None, 7])
def test_a_group_s_name_is_checked(name):
    with pytest.raises(ValueError, match="3 to 63 lowercase"):
        check_group_name("group", name)
    assert check_group_name("group", "digits_2") == "digits_2"


@pytest.mark.parametrize("group", ["digits", "g" * 40, "g" * 63])
def test_service_names_are_short_enough_and_tell_versions_apart(group):
    names = [service_name(group, f"20261121T1800Z-{suffix}") for suffix in ("aaaaaaaa", "bbbbbbbb")]
    assert len(set(names)) == 2
    assert all(len(name) <= 63 and check_group_name("name", name) for name in names)
    assert all(name.endswith(("aaaaaaaa", "bbbbbbbb")) for name in names)
