"""States that a document had."""

from __future__ import annotations

import json

import pytest

from airflow_provider_pai.emulator.past import Past


def past(*moments, lag):
    """Return the past of a document that says since when it is as it is."""
    found = Past()
    for moment in moments:
        found.add(moment, json.dumps({"since": moment}), lag)
    return found


@pytest.mark.parametrize(("moment", "since"), [(0, 1), (1, 1), (1.5, 1), (2, 2), (3.9, 3), (4, None), (5, None)])
def test_a_state_holds_until_the_next(moment, since):
    assert past(1, 2, 3, 4, lag=10).as_of(moment) == (since and {"since": since})


def test_what_lists_can_no_longer_show_is_dropped():
    found = past(1, 2, 3, 4, lag=1.5)
    assert found.as_of(1) == {"since": 2}
    assert found.as_of(2.5) == {"since": 2}


def test_a_document_that_was_never_kept_is_as_it_is_now():
    assert Past().as_of(1) is None
