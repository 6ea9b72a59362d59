"""Chain of the rows' hashes, and what is wrong with it; no database, no OSS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from airflow_provider_pai.ledger.events import GENESIS, Row


class Anchor(NamedTuple):
    """A row's number and hash, kept where whoever changes the database does not reach.

    :param kept_at: when, by the clock of where it is kept.
    """

    seq: int
    hash: str
    kept_at: str


def faults(rows: Iterable[Row], anchors: Iterable[Anchor] = ()) -> Iterator[str]:
    """Yield what is wrong with a ledger, a text for each fault, in the order of its rows.

    :param anchors: what was kept of it.
    """
    kept: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        kept.setdefault(anchor.seq, []).append(anchor)
    number, previous, rewritten = 0, GENESIS, 0
    for row in rows:
        if row.seq != number + 1:
            yield f"{_rows(number + 1, row.seq - 1)} missing: row {row.seq} is the next"
        elif row.previous_hash != previous:
            yield f"row {row.seq} does not follow the row before it"
        if row.hash != row.content_hash:
            yield f"row {row.seq} was changed"
        for anchor in kept.pop(row.seq, ()):
            rewritten += anchor.hash != row.hash
            if rewritten == 1:
                yield f"row {row.seq} is not the one that was there on {anchor.kept_at}: it was written anew"
        number, previous = row.seq, row.hash
    if last := max((anchor for each in kept.values() for anchor in each if anchor.seq > number), default=None):
        yield f"{_rows(number + 1, last.seq)} missing at the end: row {last.seq} was there on {last.kept_at}"


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"
