"""Faults of a ledger that was changed, alone and against what was kept elsewhere."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.ledger.chain import Anchor, faults
from airflow_provider_pai.ledger.events import Event, EventKind, Row


def chain(count, payload=None):
    rows, last = [], None
    for number in range(1, count + 1):
        event = Event(key=f"k{number}", kind=EventKind.PROMOTED, subject="digits", payload=payload or {"n": number})
        last = Row.of(event, last, datetime.now(UTC))
        rows.append(last)
    return rows


ROWS = chain(9)
ANEW = chain(9, {"n": "another"})


def anchors(*numbers):
    return [Anchor(number, ROWS[number - 1].hash, "2026-11-28T00:00:00Z") for number in numbers]


def changed(number, **fields):
    return [row._replace(**fields) if row.seq == number else row for row in ROWS]


def test_nothing_is_wrong_with_what_nobody_has_changed():
    assert list(faults(ROWS, anchors(1, 5, 9))) == []
    assert list(faults([])) == []


@pytest.mark.parametrize(
    ("rows", "kept", "found"),
    [
        (changed(2, payload="{}"), [], ["row 2 was changed"]),
        (changed(2, subject_sha256="0"), [], ["row 2 was changed"]),
        (changed(3, previous_hash="x"), [], ["row 3 does not follow the row before it", "row 3 was changed"]),
        (ROWS[:2] + ROWS[3:], [], ["row 3 is missing: row 4 is the next"]),
        (ROWS[:2] + ROWS[5:], [], ["rows 3 to 5 are missing: row 6 is the next"]),
        (ROWS[1:], [], ["row 1 is missing: row 2 is the next"]),
        (ROWS[:7], [], []),
        (ROWS[:7], [5], []),
        (ROWS[:7], [5, 8], ["row 8 is missing at the end: row 8 was there on 2026-11-28T00:00:00Z"]),
        (ROWS[:7], [8, 9], ["rows 8 to 9 are missing at the end: row 9 was there on 2026-11-28T00:00:00Z"]),
        ([], [3], ["rows 1 to 3 are missing at the end: row 3 was there on 2026-11-28T00:00:00Z"]),
        (ANEW, [], []),
        (ANEW, [4, 6], ["row 4 is not the one that was there on 2026-11-28T00:00:00Z: it was written anew"]),
    ],
)
def test_what_was_done_to_a_ledger_shows(rows, kept, found):
    assert list(faults(rows, anchors(*kept))) == found


@given(st.data())
def test_no_row_before_the_newest_anchor_changes_unseen(data):
    newest = data.draw(st.integers(1, 9))
    victim = data.draw(st.integers(1, newest))
    rows = data.draw(
        st.sampled_from(
            [
                [row for row in ROWS if row.seq != victim],
                ROWS[: victim - 1],
                ROWS[: victim - 1] + ANEW[victim - 1 :],
                changed(victim, digest="x"),
                changed(victim, digest="x", hash=ROWS[victim - 1]._replace(digest="x").content_hash),
            ]
        )
    )
    assert list(faults(rows, anchors(newest)))
