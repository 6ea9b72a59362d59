"""`airflow pai ledger flush`: rows that wait on OSS, or that a task's log alone has, are written to their ledger."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.ledger import Anchors, Ledger
from airflow_provider_pai.ledger.outbox import Outbox, Placed, Waiting, flush, outbox_folder

_BEGINNING = b'{"digest":'


def flush_ledger(args: argparse.Namespace) -> None:
    """Write what waits, each row in its turn; exit with 1 where one stays."""
    oss = OssHook(args.conn_id)
    conn_id = args.ledger_conn_id or oss.connection.ledger_conn_id
    bucket = args.bucket and str(parse_uri("--bucket", args.bucket))
    folder = outbox_folder(oss.connection, conn_id, bucket)
    if folder is None and not args.file:
        raise SystemExit(f"name the artifacts' bucket, --bucket oss://…: connection {args.conn_id} has no state_uri")
    anchors = Anchors.of(oss, conn_id)
    ledger = Ledger.open(conn_id, anchors.keep if anchors else None)
    left: list[str] = []
    if args.file:
        log = sys.stdin.buffer.read() if args.file == "-" else Path(args.file).read_bytes()
        flushed = flush(_events(log.splitlines()), ledger.record, str)
        left += flushed.left
        print(f"{flushed.written} rows of {args.file} are written")  # noqa: T201 - that is what a command does
    if folder is not None:
        outbox = Outbox(oss, folder)
        waiting, broken = outbox.waiting()
        flushed = outbox.flush(waiting, ledger.record)
        left += [*broken, *flushed.left]
        print(f"{flushed.written} rows that waited in {folder} are written")  # noqa: T201
    if left:
        raise SystemExit("\n".join(left))


def _events(lines: Iterable[bytes]) -> Iterator[Placed]:
    """Yield the events that stand in a log's lines, whatever stands around them.

    :raises PaiConfigError: a row is not as it was logged, in ASCII.
    """
    for number, line in enumerate(lines, 1):
        if (start := line.find(_BEGINNING)) < 0:
            continue
        text = line[start:].decode("ascii", errors="surrogateescape")
        try:
            _, end = json.JSONDecoder().raw_decode(text)
            waiting = Waiting.read(text[:end].encode("ascii"))
        except ValueError as error:
            raise PaiConfigError("--file", f"line {number}", f"rows as they were logged: {error}") from None
        yield Placed(waiting, f"line {number}")
