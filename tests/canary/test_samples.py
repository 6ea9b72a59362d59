"""Samples and windows: what they tell before anybody judges."""

from __future__ import annotations

import pytest

from airflow_provider_pai.canary.analysis import Judgement
from airflow_provider_pai.canary.samples import Result, Sample, Window


@pytest.mark.parametrize(
    ("mine", "theirs", "changes", "told"),
    [
        (200, 800, {}, ""),
        (230, 770, {}, ""),
        (430, 570, {}, "its share by counts is 43%, not 20%"),
        (90, 910, {}, "its share by counts is 9%, not 20%"),
        (430, 570, {"golden": Sample(requests=288, errors=0)}, ""),
        (430, 570, {"settled": False}, ""),
        (430, 570, {"same_span": False}, ""),
        (430, 570, {"share": 0.0}, ""),
        (0, 0, {}, ""),
    ],
)
def test_a_share_that_the_counts_do_not_show_is_told_and_decides_nothing(mine, theirs, changes, told):
    given = {"share": 0.2, "settled": True, **changes}
    candidate, production = Sample(requests=mine, errors=0), Sample(requests=theirs, errors=0)
    window = Window(candidate=candidate, production=production, **given)
    judgement = Judgement(result=Result.PASS, reason="", window=window)
    assert (window.other_share, str(judgement).endswith(f"→ pass; {told}" if told else "→ pass")) == (told, True)
