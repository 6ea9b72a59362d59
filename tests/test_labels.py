from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airflow_provider_pai
from airflow_provider_pai.canary.group import Phase, Progress, StepResult, most_labels
from airflow_provider_pai.canary.plan import MAX_STEPS
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.identity import TaskName
from airflow_provider_pai.labels import (
    MAX_CHARACTERS,
    MAX_LABELS,
    Deployment,
    Key,
    Mark,
    Owner,
    ServedModel,
    Shadow,
    beginning,
    checked_labels,
    fitted,
    legal,
    legal_name,
    read_labels,
    write_labels,
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


OWNER = Owner(task="3f2a9c1b" * 4, cycle=12)
MODEL = ServedModel(version="20261121T1800Z-3f2a9c1b", digest="sha256:" + "a" * 64, interval_end="2026-11-21T18:00:00Z")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", "-"),
        ("x", "x"),
        ("x" * 128, "x" * 128),
        ("x" * 129, f"{'x' * 127}…"),
        ("模" * 200, f"{'模' * 127}…"),
        ("https://airflow:8080/a", "airflow:8080/a"),
        ("see HTTP://x", "see HTTP:/x"),
        ("aliyun_etl", "/aliyun_etl"),
        ("on aliyun", "on aliyun"),
    ],
)
def test_any_text_becomes_a_legal_value(text, value):
    assert legal(text) == value


PARTS = ["http:", "HTTPS:", "//", "/", "aliyun", "acs:", "x" * 60, "a", "-", "模"]
TEXTS = st.lists(st.sampled_from(PARTS)).map("".join)


@pytest.mark.parametrize("rule", [legal, legal_name])
@given(text=TEXTS)
def test_what_is_legal_keeps_the_rule_and_stays_as_it_is(rule, text):
    value = rule(text)
    assert 0 < len(value) <= MAX_CHARACTERS
    assert not re.search("https?://", value, re.IGNORECASE)
    assert not value.lower().startswith(("aliyun", "acs:"))
    assert rule(value) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x" * 129, f"{'x' * 119}-{sha('x' * 129)}"),
        ("https://airflow.test", f"airflow.test-{sha('https://airflow.test')}"),
        ("http://airflow.test", f"airflow.test-{sha('http://airflow.test')}"),
        ("airflow.test", "airflow.test"),
        ("aliyun_etl", f"/aliyun_etl-{sha('aliyun_etl')}"),
    ],
)
def test_a_name_that_is_changed_ends_in_a_hash(text, value):
    assert legal_name(text) == value


@given(TEXTS, TEXTS)
def test_two_names_never_become_one(one, other):
    # But for one that spells out what the other has become.
    assert one == other or legal_name(one) != legal_name(other) or legal_name(one) in (one, other)


@given(st.text("alyun_-.abc0123456789", min_size=1, max_size=300))
def test_an_id_begins_with_what_its_value_tells(text):
    assert text.startswith(beginning(legal_name(text)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"owner": "http://me"}, r"labels\['owner'\]: 'http://me' is not allowed; a key of 1 and a value of 0 to 128 "),
        ({"acs:owner": "me"}, r"labels\['acs:owner'\]: 'me' is not allowed"),
        ({"owner": "Aliyun"}, r"neither beginning with aliyun or acs: nor holding http://"),
        ({"owner": "x" * 129}, "characters"),
        ({"": "x"}, "a key of 1"),
        ({"airflow_phase": "x"}, "keys that begin with airflow_ are the provider's own"),
        ({f"k{number}": "x" for number in range(19)}, "18 labels: a resource bears 20, and 2 are the provider's"),
        ({"owner": None}, "labels"),
        ("owner", "labels"),
    ],
)
def test_labels_of_the_users_that_a_service_would_refuse(given, message):
    with pytest.raises(PaiConfigError, match=message):
        checked_labels("labels", given, OWNER.labels())


def test_labels_of_the_users_that_a_service_takes():
    given = {f"k{number}": "" for number in range(17)} | {"n": 1}
    assert checked_labels("labels", given, OWNER.labels()) == {**given, "n": "1"}
    assert checked_labels("labels", None, OWNER.labels()) == {}


def test_where_others_have_taken_the_room_what_only_people_read_goes_first():
    name = TaskName(dag_id="d", run_id="r", task_id="t", map_index=-1)
    ours = {**Progress(phase=Phase.STEP, note="n").labels(), **name.labels(), Key.STATE: "oss://states/"}
    theirs = {f"k{number}": "x" for number in range(9)}
    assert fitted(ours) == ours
    assert ours.keys() - fitted({**ours, **dict.fromkeys("abcde", "x")}).keys() == {Key.MAP_INDEX}
    left = fitted({**theirs, **ours})
    assert len(left) == MAX_LABELS
    assert left.keys() >= theirs.keys()
    assert replace(Progress.of(left), note="n") == Progress.of(ours)


def test_an_empty_value_is_written_so_that_it_clears():
    written = write_labels({Key.NOTE: "", Key.CYCLE: 0})
    assert written == {"airflow_note": "-", "airflow_cycle": "0"}
    assert all(type(key) is str for key in written)
    assert read_labels(written) == {"airflow_note": "", "airflow_cycle": "0"}


@pytest.mark.parametrize(
    "record",
    [
        MODEL,
        ServedModel(),
        Deployment(config="0123456789abcdef", before=3, latest=4),
        Deployment(config="", before=0, latest=0, config_version=7),
        Mark(owner=OWNER, replaced="digits_20261122t1800z_bbbbbbbb"),
        Mark(owner=OWNER, target=1, before=2, versions=3),
        Shadow(source="digits_v1"),
        Shadow(source="digits_v1", since="2026-11-21T18:00:00.000+00:00"),
    ],
)
def test_what_a_record_writes_it_reads(record):
    labels = record.labels()
    assert type(record).of({**labels, "somebody's": "-"}) == record
    assert all(len(value) <= MAX_CHARACTERS for value in labels.values())


@pytest.mark.parametrize("kind", [Deployment, Mark, Shadow])
@pytest.mark.parametrize("text", [None, "", "-", "x", "x y z", "rollback 3f2a9c1b.1 digits_v2", "a/b c 1 2 3"])
def test_what_can_t_be_read_is_none_of_ours(kind, text):
    keys = {Deployment: (Key.CONFIG, Key.BEFORE, Key.LATEST), Mark: (Key.MARK,), Shadow: ()}[kind]
    assert kind.of({} if text is None else dict.fromkeys(keys, text)) is None


def test_the_longest_mark_is_not_cut():
    mark = Mark(owner=OWNER, replaced="g" * 63, target=9999, before=9999, versions=9999)
    assert Mark.of(mark.labels()) == mark


ASKED = Deployment(config="mine", before=3, latest=4)


@pytest.mark.parametrize(
    ("deployment", "version", "latest", "expected"),
    [
        (ASKED, 5, 5, True),
        (ASKED, 4, 4, False),  # asked for, and not carried out
        (ASKED, 4, 5, False),  # someone went back
        (ASKED._replace(config="other"), 5, 5, False),
        (ASKED._replace(config_version=5), 5, 7, True),
        (ASKED._replace(config_version=5), 6, 6, False),
        (ASKED._replace(config=""), 5, 5, False),
        (Deployment(), 0, 0, False),
    ],
)
def test_a_service_is_what_was_asked_for_unless_somebody_changed_it(deployment, version, latest, expected):
    assert deployment.is_for("mine", version=version, latest=latest) == expected


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [(ASKED, 3), (ASKED._replace(config_version=5), 9), (ASKED._replace(config=""), 9), (Deployment(), 9)],
)
def test_the_way_back_from_a_change_that_nobody_has_finished_is_to_what_served_before_it(deployment, expected):
    assert deployment.served_before(9) == expected


def test_a_service_has_room_for_every_label_of_a_rollout_and_a_mark():
    step = StepResult(percent=100, requests=99_999_999, errors=99_999_999, p95_ms=99_999.9, verdict="inconclusive")
    progress = Progress(
        phase=Phase.ROLLED_BACK,
        version=MODEL.version,
        digest=MODEL.digest,
        interval_end=MODEL.interval_end,
        task=OWNER.task,
        cycle=OWNER.cycle,
        stable="g" * 63,
        step=MAX_STEPS,
        since=1.8e9,
        own_version=1,
        outcome="rejected",
        note="n" * 500,
        rejected=("a" * 12 + "." + "b" * 12 + ".9999",) * 3,
        steps=(step,) * MAX_STEPS,
    )
    name = TaskName(dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250, map_index=999)
    mark = Mark(owner=OWNER, replaced="g" * 63)
    state = {Key.STATE: "oss://states/"}
    labels = {**progress.labels(), **name.labels(), **state, **mark.labels()}
    assert len(labels) <= MAX_LABELS
    assert all(len(text) <= MAX_CHARACTERS for item in labels.items() for text in item)
    assert Progress.of(labels) == replace(progress, note=legal(progress.note))
    assert labels.keys() - mark.labels().keys() == {*most_labels(MAX_STEPS), *name.labels(), *state}


def test_results_too_long_for_a_label_cost_a_result_and_no_rollout():
    step = StepResult(percent=100, requests=10**12, errors=0, p95_ms=None, verdict="pass")
    progress = Progress(phase=Phase.STEP, steps=(replace(step, requests=10**40),) * 3)
    assert Progress.of(progress.labels()).steps == progress.steps[:2]


def test_a_deployed_service_has_room_for_a_mark():
    name = TaskName(dag_id="d", run_id="r", task_id="t", map_index=-1)
    records = (OWNER, name, MODEL, ASKED, Mark(owner=OWNER))
    assert len({key for record in records for key in record.labels()} | {Key.DEPLOYMENT}) <= MAX_LABELS


def test_nobody_else_spells_a_key():
    package = Path(airflow_provider_pai.__file__).parent
    spelled = [
        f"{path.relative_to(package)}: {key}"
        for path in package.rglob("*.py")
        if path.name != "labels.py" and "emulator" not in path.parts
        for name, key in vars(Key).items()
        if name.isupper() and (f'"{key}' in path.read_text() or f"'{key}" in path.read_text())
    ]
    assert spelled == []
