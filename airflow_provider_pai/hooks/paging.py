"""Pagers of listings: all items of a list that a service gives page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from airflow_provider_pai.remote import Json

T = TypeVar("T")


def all_pages(page: Callable[[int], tuple[Iterable[T] | None, int | None]]) -> Iterator[T]:
    """Yield the items of pages that are asked for by number.

    :param page: returns the items of a page, counted from 1, and the number of all items.
    """
    number, seen = 1, 0
    while True:
        items, total = page(number)
        items = list(items or ())
        yield from items
        number, seen = number + 1, seen + len(items)
        if not items or seen >= (total or 0):
            return


def all_items(field: str, page: Callable[[int], Json]) -> Iterator[Json]:
    """Yield the items of answers that have the shape of a `Page`.

    :param page: asks for a page, counted from 1.
    """

    def read(number: int) -> tuple[list[Json] | None, int | None]:
        answer = page(number)
        return answer.get(field), answer.get("TotalCount")

    return all_pages(read)


def chained_pages(page: Callable[[Any], tuple[Iterable[T], Any]]) -> Iterator[T]:
    """Yield the items of pages of which each names the next one.

    :param page: takes what the page before gave as the next one, None at first; returns the items and the next page,
        None where there is none.
    """
    following = None
    while True:
        items, following = page(following)
        yield from items
        if not following:
            return
