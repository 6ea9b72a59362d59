import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.hooks.oss.patterns import Patterns, fixed_prefix, is_pattern


@pytest.mark.parametrize(
    ("include", "exclude", "key", "fits"),
    [
        (None, None, "any/thing", True),
        ((), (), "any/thing", False),
        ("*.csv", None, "a/b.csv", True),
        ("*.csv", None, "a/b.txt", False),
        (None, "*.csv", "a/b.csv", False),
        (None, "*.csv", "a/b.txt", True),
        (("*.csv",), (), "a/b.csv", True),
        (("*.csv",), (), "a/b.csv.gz", False),
        (("a/*.csv", "*.json"), (), "b.json", True),
        (("part-?.txt",), (), "part-12.txt", False),
        (("part-[0-4].txt",), (), "part-3.txt", True),
        (None, ("*/_tmp/*",), "a/_tmp/b", False),
        (("*.csv",), ("a/*",), "a/b.csv", False),
        (("*.csv",), ("a/*",), "b.csv", True),
        (("a.b",), (), "axb", False),
        (("*",), (), "line\nbreak", True),
        # A name fits itself, whatever else it fits as a pattern.
        ("data[1].csv", None, "data[1].csv", True),
        ("data[1].csv", None, "data1.csv", True),
        (None, "report [final].csv", "report [final].csv", False),
        ("[x", None, "[x", True),
    ],
)
def test_a_key_fits_one_of_those_included_and_none_of_those_excluded(include, exclude, key, fits):
    assert Patterns(include, exclude).match(key) is fits


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("data/2026-*/x", "data/2026-"),
        ("data/?", "data/"),
        ("[ab]", ""),
        ("data/plain", "data/plain"),
        ("", ""),
        ("a[b", "a[b"),
        ("[]", "[]"),
        ("[]]", ""),
        ("a[!]", "a[!]"),
        ("[!]]x", ""),
    ],
)
def test_every_key_that_fits_begins_with_what_stands_before_the_first_wildcard(pattern, prefix):
    assert fixed_prefix(pattern) == prefix
    assert is_pattern(pattern) == (prefix != pattern)


@pytest.mark.parametrize(
    ("include", "exclude", "folder", "left_out"),
    [
        (None, None, "a/", False),
        ((), None, "a/", True),
        (None, "a/*", "a/", True),
        (None, "a/*", "a/b/", True),
        (None, "a/*", "b/", False),
        (None, "*/", "a/", False),  # a key below it does not end so
        ("*.csv", None, "a/", False),
    ],
)
def test_a_folder_is_left_out_where_no_key_below_it_can_be_meant(include, exclude, folder, left_out):
    assert Patterns(include, exclude).leave_out(folder) is left_out


def test_a_prefix_is_no_pattern():
    assert not is_pattern("run [1]/")
    assert not is_pattern("a*/")


@given(st.text(alphabet="ab[]!*?-", max_size=8), st.text(alphabet="ab[]!-", max_size=6))
def test_what_is_no_pattern_fits_its_own_name_alone(text, key):
    if not is_pattern(text) and not text.endswith("/"):
        assert Patterns((text,)).match(key) == (text == key) if text.strip() else True
    assert not text.strip() or Patterns((text,)).match(text)
    assert text.startswith(fixed_prefix(text))
