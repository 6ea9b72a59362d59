from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.emulator.oss.listing import Cursor, Page, take_page, walk

KEYS = st.sets(st.text("ab/é", min_size=1, max_size=6), max_size=20)
PREFIXES = st.text("ab/", max_size=2)
DELIMITERS = st.sampled_from(["", "/", "ab"])


def pages(keys: set[str], prefix: str, delimiter: str, limit: int) -> list[Page]:
    found, after = [], ""
    while not found or found[-1].truncated:
        source = iter(sorted(key.encode() for key in keys))
        found.append(take_page([source], Cursor(prefix.encode(), after.encode()), delimiter, limit))
        after = found[-1].last
    return found


@given(keys=KEYS, prefix=PREFIXES, delimiter=DELIMITERS, limit=st.integers(1, 7))
def test_pages_together_are_the_keys_below_the_prefix_folded_by_the_delimiter(keys, prefix, delimiter, limit):
    plain, folded = [], set()
    for key in sorted((key for key in keys if key.startswith(prefix)), key=str.encode):
        head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if cut:
            folded.add(prefix + head + cut)
        else:
            plain.append(key)
    found = pages(keys, prefix, delimiter, limit)
    assert [key for page in found for key in page.keys] == plain
    assert [each for page in found for each in page.prefixes] == sorted(folded, key=str.encode)
    assert all(len(page) == limit for page in found[:-1])


def test_a_walk_meets_files_in_the_order_of_their_keys(tmp_path):
    keys = ["a", "a-b", "a.b/c", "b/a", "b/a-", "b/b/c", "b0", "é"]
    for key in keys:
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    root = os.fsencode(tmp_path)
    assert list(walk(root, Cursor(), os.DirEntry.is_file)) == sorted(key.encode() for key in keys)
    assert list(walk(root, Cursor(b"b/", b"b/a"), os.DirEntry.is_file)) == [b"b/a-", b"b/b/c"]
