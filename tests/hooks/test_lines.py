"""Lines for people: whatever a log holds, they are bounded, can be written anywhere, and say where they are cut."""

from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.lines import LONGEST, TAIL_LINES, readable, tail, utf8_lines

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


def cut_up(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.fuzz
@given(st.lists(st.text().filter(lambda line: "\n" not in line)), st.integers(1, 9), st.booleans())
def test_lines_of_a_file_are_what_was_written_in_whatever_blocks_they_come(lines, size, mark):
    data = (codecs.BOM_UTF8 if mark and lines else b"") + "".join(f"{line}\n" for line in lines).encode()
    assert list(utf8_lines("file", cut_up(data, size))) == lines


@pytest.mark.fuzz
@given(st.binary(), st.integers(1, 9))
def test_bytes_of_another_encoding_are_refused_by_line_and_never_replaced(data, size):
    try:
        read = list(utf8_lines("file", cut_up(data, size)))
    except PaiConfigError as error:
        number = int(re.match(r"file line (\d+): b", str(error))[1])
        with pytest.raises(UnicodeDecodeError):
            data.split(b"\n")[number - 1].decode()
    else:
        assert "\n".join(read).encode() == data.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n")


def test_a_line_in_another_encoding_is_named_and_the_lines_before_it_are_read():
    lines = utf8_lines("oss://b/r.jsonl", ['{"body": "文"}\n{"body": '.encode(), '"中"}'.encode("gbk")])
    assert next(lines) == '{"body": "文"}'
    with pytest.raises(PaiConfigError, match=r"r.jsonl line 2: b'\\xd6\\xd0.*in UTF-8; its byte 11 is another"):
        next(lines)


def test_a_file_without_lines_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr("airflow_provider_pai.hooks.lines.LONGEST_READ", 1000)
    assert list(utf8_lines("file", [b"x" * 1000])) == ["x" * 1000]
    with pytest.raises(PaiConfigError, match="file line 2: 'what is longer' is not allowed; lines of at most 1000"):
        list(utf8_lines("file", [b"short\n", *[b"x" * 100] * 11]))
