"""`airflow pai ledger migrate` and `verify`: the ledger's tables, made, and its rows, proved against their anchors."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from airflow_provider_pai.cli.check import nothing_else_printed
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.ledger import Anchors, Ledger, Row, database, place
from airflow_provider_pai.ledger.chain import Anchor, faults
from airflow_provider_pai.ledger.schema import LATEST, migrate
from airflow_provider_pai.ledger.sessions import session


class Proof(NamedTuple):
    """What `verify` found.

    :param place: of the ledger, in words.
    :param anchors: in the order of their rows; None: the connection names no home for any.
    """

    place: str
    rows: int
    anchors: Sequence[Anchor] | None
    faults: Sequence[str]

    @property
    def text(self) -> str:
        """Return it for people: the decision, then each fault in a line."""
        if self.faults:
            return "\n".join([f"BROKEN: {len(self.faults)} faults in {self.place}, {self.rows} rows", *self.faults])
        says = f"OK: {self.rows} rows of {self.place} follow each other"
        if not self.anchors:
            why = "no state_uri to keep any in" if self.anchors is None else "none is kept yet"
            return f"{says}; without anchors ({why}) a missing end or a chain written anew does not show"
        last = self.anchors[-1]
        return f"{says} and fit {len(self.anchors)} anchors, the last of which is row {last.seq}, kept {last.kept_at}"

    @property
    def json(self) -> str:
        """Return it for machines."""
        anchors = self.anchors or ()
        proved = anchors[-1].seq if anchors else 0
        found = {"ledger": self.place, "ok": not self.faults, "rows": self.rows, "anchors": len(anchors)}
        return json.dumps({**found, "anchored_row": proved, "faults": list(self.faults)}, indent=2)


def migrate_ledger(args: argparse.Namespace) -> None:
    """Make what is missing of the ledger's tables, and say what was made."""
    conn_id = _conn_id(args)
    try:
        with nothing_else_printed(), session(database(conn_id)) as opened:
            made = migrate(opened)
    except PaiError as error:
        raise SystemExit(f"{place(conn_id)}: nothing was made: {error}") from None
    did = "was made" if made else "is there, nothing to do"
    print(f"{place(conn_id)}: version {LATEST} of the ledger's tables {did}")  # noqa: T201 - that is what a command does


def verify_ledger(args: argparse.Namespace) -> None:
    """Say whether the ledger's rows are those that were written; exit with 1 where they are not."""
    try:
        with nothing_else_printed():
            proof = prove(OssHook(args.conn_id), _conn_id(args))
    except PaiError as error:
        raise SystemExit(f"NOT VERIFIED: {error}") from None
    print(proof.json if args.json else proof.text)  # noqa: T201
    sys.exit(1 if proof.faults else 0)


def prove(oss: OssHook, conn_id: str | None) -> Proof:
    """Compare a ledger's rows with each other and with their anchors.

    :param conn_id: its connection; None: it is a file.
    """
    kept = Anchors.of(oss, conn_id)
    # Before the rows: an anchor of a row that is written meanwhile would find none.
    anchors = list(kept.kept()) if kept else None
    counted = Counter[str]()

    def rows() -> Iterator[Row]:
        for row in Ledger.open(conn_id).rows():
            counted["rows"] += 1
            yield row

    found = list(faults(rows(), anchors or ()))
    return Proof(place(conn_id), counted["rows"], anchors, found)


def _conn_id(args: argparse.Namespace) -> str | None:
    return args.ledger_conn_id or OssHook(args.conn_id).connection.ledger_conn_id
