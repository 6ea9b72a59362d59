"""Samples of one look: whose wrong answers are, and which span stands beside which."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from airflow_provider_pai.canary.actions import Look
from airflow_provider_pai.canary.samples import NOTHING, Sample
from airflow_provider_pai.exceptions import PaiMetricsError
from airflow_provider_pai.metrics.golden_requests import Answers
from airflow_provider_pai.metrics.lookout import Lookout

WRONG, SILENT = Answers("41 instead of 42", sent=3), Answers("no answer", silent=True, sent=3)
RIGHT = Answers(sent=3)


@dataclass
class Source:
    lateness: float = 1.0
    spans: list[tuple[str, float, float]] = field(default_factory=list)

    def sample(self, service, start, end):
        self.spans.append((service, start, end))
        return Sample(requests=10, errors=0)


@pytest.fixture
def source():
    return Source()


def lookout(source, **answers):
    """Return a lookout whose endpoints answer golden requests as told, and what is asked of them."""
    asked = []

    def ask(endpoint):
        asked.append(endpoint)
        return answers[endpoint]

    probe = SimpleNamespace(requests=[1, 2, 3], ask=ask)
    eas = SimpleNamespace(group_endpoint=lambda group: group, endpoint=lambda name: name, log=logging.getLogger())
    return Lookout(eas=eas, source=source, probe=probe if answers else None), asked


def ours(requests, errors=0):
    return Sample(requests=requests, errors=errors)


def look(percent=20, **fields):
    return Look(candidate="new", stable="old", percent=percent, since=100.0, began=90.0, **fields)


@pytest.mark.parametrize(
    ("group", "new", "old", "wrong", "doubt"),
    [
        (RIGHT, RIGHT, None, "", ""),
        (RIGHT, WRONG, None, "41 instead of 42", ""),
        (WRONG, RIGHT, WRONG, "", ""),
        (WRONG, RIGHT, RIGHT, "", "through the group, not at the services themselves: 41 instead of 42"),
        (SILENT, SILENT, RIGHT, "no answer", ""),
        (SILENT, SILENT, WRONG, "no answer", ""),
        (SILENT, SILENT, SILENT, "", "nor does production answer: no answer"),
        (SILENT, WRONG, None, "41 instead of 42", ""),
    ],
)
def test_whose_wrong_answers_are(source, group, new, old, wrong, doubt):
    one, asked = lookout(source, group=group, new=new, old=old)
    window, sent = one.take(look(golden=ours(4)), "group", now=110.0)
    assert (window.wrong, window.doubt) == (wrong, doubt)
    assert asked == ["group", "new", *(["old"] if old else [])]
    # Three at its own endpoint, and of three through the group perhaps one.
    assert (sent, window.golden) == (ours(4), ours(8))


def test_errors_that_our_own_requests_met_are_ours(source):
    """A request that meets an error is sent again, which leaves an error and no answer of ours to take off."""
    erring = Answers(sent=23, errors=3)
    window, sent = lookout(source, group=erring, new=erring)[0].take(look(golden=ours(4, 1)), "group", now=110.0)
    assert (sent, window.golden) == (ours(28, 3), ours(32, 4))


def test_both_are_counted_over_the_same_span(source):
    window, _ = lookout(source)[0].take(look(), "group", now=110.0)
    assert source.spans == [("new", 100.0, 110.0), ("old", 100.0, 110.0)]
    assert (window.same_span, window.share) == (True, 0.2)


def test_at_100_percent_production_before_the_step_stands_in(source):
    window, _ = lookout(source)[0].take(look(100), "group", now=110.0)
    assert source.spans == [("new", 100.0, 110.0), ("old", 100.0, 110.0), ("old", 80.0, 90.0)]
    assert (window.same_span, window.meanwhile) == (False, Sample(requests=10, errors=0))


def test_production_before_the_rollout_is_asked_for_once_and_as_far_as_a_late_source_covers_it(source, caplog):
    one, _ = lookout(source)
    spans = {"past": ((80.0, 85.0), (70.0, 85.0))}
    windows = [one.take(look(**spans), "group", now=now)[0] for now in (110.0, 120.0)]
    assert source.spans[2:4] == [("old", 79.0, 85.0), ("old", 69.0, 85.0)]
    assert [len(window.past) for window in windows] == [2, 2]
    assert len(source.spans) == 6


def test_a_source_that_knows_no_past_is_no_error(source, caplog):
    def only_lately(service, start, end):
        if start < 100:
            raise PaiMetricsError("nothing older than a minute")
        return Sample(requests=10, errors=0)

    source.sample = only_lately
    window, _ = lookout(source)[0].take(look(past=((80.0, 85.0),)), "group", now=110.0)
    assert (window.past, window.candidate.requests) == ((), 10)
    assert "not compared with its own past: nothing older than a minute" in caplog.text


def test_the_latest_part_of_a_settled_span_is_asked_for_by_itself(source):
    window, _ = lookout(source)[0].take(look(settled=True, recent=105.0, golden=ours(8)), "group", now=110.0)
    assert source.spans[2:] == [("new", 104.0, 110.0), ("old", 104.0, 110.0)]
    assert [sample.requests for sample in window.recent] == [6, 10]


@pytest.mark.parametrize("patient", [True, False])
def test_the_share_before_is_told_while_the_gateway_may_be_late(source, patient):
    window, _ = lookout(source)[0].take(look(50, percent_before=20, patient=patient), "group", now=110.0)
    assert window.share_before == (0.2 if patient else None)


def test_a_wrong_answer_counts_though_the_source_is_silent(source):
    def silent(*_span):
        raise PaiMetricsError("no route")

    source.sample = silent
    window, _ = lookout(source, group=RIGHT, new=WRONG, old=RIGHT)[0].take(look(), "group", now=110.0)
    assert (window.candidate, window.wrong) == (NOTHING, "41 instead of 42")
    with pytest.raises(PaiMetricsError):
        lookout(source, group=RIGHT, new=RIGHT, old=RIGHT)[0].take(look(), "group", now=110.0)


def test_a_share_has_not_settled_before_a_late_source_covers_enough(source):
    one, _ = lookout(source)
    settled = [one.take(look(settled=True), "group", now)[0].settled for now in (102.0, 102.1)]
    assert settled == [False, True]


def test_requests_of_ours_that_a_late_source_has_not_counted_are_not_taken_from_people_s(source):
    """Many golden requests beside few of people's: what is taken off too much would look like a hang."""
    counted = lookout(source)[0]
    asked = look(settled=True, recent=105.0, golden=ours(16))
    assert counted._recent(asked, 110.0, ours(22))[0].requests == 10
    assert counted._recent(asked, 110.0, ours(2))[0].requests == 4
