"""Pagers: every item once, in order, and no call more than the pages need."""

from __future__ import annotations

import pytest

from airflow_provider_pai.hooks.paging import all_pages, chained_pages


def numbered(items, size, total):
    """Return a listing in pages and the page numbers that were asked for."""
    asked = []

    def page(number):
        asked.append(number)
        return items[(number - 1) * size : number * size] or None, total

    return page, asked


@pytest.mark.parametrize(
    ("count", "total", "calls"),
    [
        (0, 0, 1),
        (3, 3, 1),
        (4, 4, 2),
        (6, 6, 2),
        (6, 100, 3),  # what was deleted meanwhile does not come
        (6, None, 1),  # no total: one page is all there is
    ],
)
def test_numbered_pages(count, total, calls):
    page, asked = numbered(list(range(count)), 3, total)
    listed = list(all_pages(page))
    assert listed == list(range(count))[: 3 * calls]
    assert asked == list(range(1, calls + 1))


def test_numbered_pages_are_asked_for_as_they_are_read():
    page, asked = numbered(list(range(9)), 3, 9)
    assert next(all_pages(page)) == 0
    assert asked == [1]


def test_chained_pages():
    pages = {None: ([1, 2], "b"), "b": ([], "c"), "c": ([3], "")}
    assert list(chained_pages(pages.get)) == [1, 2, 3]
