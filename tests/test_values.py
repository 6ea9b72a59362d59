"""Numbers, lists and texts, whoever made them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.patterns import Patterns
from airflow_provider_pai.inputs import number, seconds, share, texts, whole_number
from airflow_provider_pai.values import broken_json, finite, is_list, is_number, is_utf8, ordered, parsed

NUMBERS = st.floats() | st.integers() | st.decimals() | st.fractions() | st.booleans() | st.none()
NONE = st.sampled_from(["1e999", "-1e999", "nan", "+inf", 10**400, "9" * 5000])
WRITTEN = NUMBERS | NUMBERS.map(str) | st.text() | NONE
READERS = {
    number: {},
    share: {"least": 0, "most": 1},
    seconds: {"least": 0},
    whole_number: {"least": 0},
}


@pytest.mark.fuzz
@given(value=WRITTEN)
def test_a_number_is_finite_whoever_reads_it(value):
    read = finite(value)
    assert read is None or math.isfinite(read)
    assert not is_number(value) or math.isclose(read, value)
    for reader, bounds in READERS.items():
        try:
            read = reader("field", value)
        except PaiConfigError:
            continue
        assert bounds.get("least", -math.inf) <= read <= bounds.get("most", math.inf)
        assert math.isfinite(read)


@pytest.mark.fuzz
@given(one=st.text(min_size=1).filter(lambda text: text.strip() not in ("", "None")), key=st.text())
def test_one_text_is_a_list_of_one_and_an_empty_list_is_none(one, key):
    """`tuple("*.tmp")` is five patterns, one of which fits everything."""
    try:
        assert texts("field", one) in (texts("field", [one]), tuple(parsed(one, list)))
    except PaiConfigError:
        assert "\0" in one or not is_utf8(one)
        return
    assert texts("field", []) == ()
    assert not Patterns(include=[]).match(key)
    assert Patterns(exclude=[]).match(key)
    if texts("field", one) == (one,):
        for together in ([one], (one,), {one}, json.dumps([one])):
            fits = Patterns(one).match(key)
            assert Patterns(together).match(key) is fits
            assert Patterns(exclude=together).match(key) is Patterns(exclude=one).match(key) is not fits


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, None), ("5", 5), (" 5.0 ", 5), ("²", None), (Decimal("0.1"), 0.1), (Fraction(1, 4), 0.25), (b"5", None)],
)
def test_finite(value, read):
    assert finite(value) == read


def test_what_is_a_list_and_in_what_order():
    assert [is_list(value) for value in ([], (), {1}, iter([]))] == [True] * 4
    assert [is_list(value) for value in ("a", b"a", {}, 5, None)] == [False] * 5
    assert ordered({"b", "a", "c"}) == ["a", "b", "c"]


def test_a_text_may_write_what_is_asked_for():
    assert parsed('{"a": 1}', dict) == parsed("{'a': 1}", dict) == {"a": 1}
    assert parsed("[1]", dict) == "[1]"
    assert parsed("[ab]*.csv", list) == "[ab]*.csv", "a pattern"
    assert broken_json('{"a": 1,}').startswith("; as JSON: ")
    assert broken_json("a=1") == ""
