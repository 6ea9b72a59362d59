"""Lines for people: whatever a log holds, they are bounded, can be written anywhere, and say where they are cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.hooks.lines import LONGEST, TAIL_LINES, readable, tail

# Half pairs of surrogates, too: JSON has them, UTF-8 has not.
ANY_TEXT = st.text(st.characters(codec=None, categories=None))


@pytest.mark.fuzz
@given(ANY_TEXT, st.integers(1, 3 * LONGEST))
def test_any_line_is_bounded_and_can_be_written(line, times):
    shown = readable(line * times)
    assert len(shown) <= LONGEST + 60
    assert shown.encode().decode() == shown
    if len(line * times) <= LONGEST:
        assert shown == (line * times).encode(errors="replace").decode()


def test_a_cut_keeps_both_ends_and_counts_what_it_leaves_out():
    shown = readable(f"Traceback{'x' * 20_000_000}ValueError")
    assert shown.startswith("Tracebackxx")
    assert shown.endswith("xxValueError")
    left_out = int(re.search(r"… (\d+) characters are left out here …", shown)[1])
    assert left_out == 20_000_019 - LONGEST


def test_the_end_of_a_log_has_no_colours_and_no_more_than_its_last_lines():
    lines = [f"\x1b[1;31mline {number}\x1b[0m{'.' * 10_000}" for number in range(10_000)]
    shown = tail(lines)
    assert len(shown) == TAIL_LINES
    assert shown[-1].startswith("line 9999...")
    assert "characters are left out here" in shown[-1]
    assert "\x1b" not in "".join(shown)
