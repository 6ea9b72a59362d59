"""Spans of time that DLC's lists are asked for: 90 days at once, or as long as DLC takes, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain

from airflow_provider_pai.exceptions import PaiApiError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.remote import Json
from airflow_provider_pai.versions import utc_text

# Lists look back 7 days unless they are told otherwise; a job of an older cycle may run for weeks.
LOOK_BACK = timedelta(days=90)

# How long a span may be is not documented; an hour less, since clocks differ.
_SPANS = (LOOK_BACK, timedelta(days=30, hours=-1), timedelta(days=7, hours=-1))

_taken: dict[object, timedelta] = {}
"""The span that DLC has taken, by connection."""

Listed = Callable[[str, str | None], Iterator[Json]]


def newest_first(hook: PaiHook, listed: Listed, key: str) -> Iterator[Json]:
    """Yield what a list has of the last 90 days, each item once; an earlier span is asked for once it is come to.

    :param listed: asks for what was created between two times, ISO 8601; None: until now.
    :param key: what tells items apart.
    """
    now, seen = hook.service_clock.utc(), set()
    for item in chain.from_iterable(_all_spans(hook, listed, now)):
        if item[key] not in seen:  # a second belongs to both spans that meet in it
            seen.add(item[key])
            yield item


def _all_spans(hook: PaiHook, listed: Listed, now: datetime) -> Iterator[Iterator[Json]]:
    newest, span = _newest(hook, listed, now)
    yield newest
    end = now - span
    while end > now - LOOK_BACK:
        start = max(end - span, now - LOOK_BACK)
        yield listed(utc_text(start), utc_text(end))
        end = start


def _newest(hook: PaiHook, listed: Listed, now: datetime) -> tuple[Iterator[Json], timedelta]:
    """Return the newest items, and the longest span that is taken."""
    account = hook.connection.cache_key
    longest = _taken.get(account, LOOK_BACK)
    for span in _SPANS[_SPANS.index(longest) :]:
        items = listed(utc_text(now - span), None)
        try:
            first = [item for item in [next(items, None)] if item]
        except PaiApiError as error:
            # What is no refusal of the request has a class of its own.
            if type(error) is not PaiApiError or span == _SPANS[-1]:
                raise
            continue
        if span != longest:
            hook.log.info("Lists are asked for %d days at once: more are refused", -(-span // timedelta(days=1)))
        _taken[account] = span
        return chain(first, items), span
    raise AssertionError("the last span is taken, or its refusal is raised")
