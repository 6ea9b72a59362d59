"""The audit ledger: what was produced, gated, deployed and rolled back, append-only, over any common-sql connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.ledger.anchors import Anchors
    from airflow_provider_pai.ledger.databases import database, default_path, place
    from airflow_provider_pai.ledger.events import Event, EventKind, LedgerError, Row
    from airflow_provider_pai.ledger.store import Ledger

__all__ = ["Anchors", "Event", "EventKind", "Ledger", "LedgerError", "Row", "database", "default_path", "place"]

__getattr__ = late_names(
    __name__,
    {
        "Anchors": "anchors",
        "Event": "events",
        "EventKind": "events",
        "Ledger": "store",
        "LedgerError": "events",
        "Row": "events",
        "database": "databases",
        "default_path": "databases",
        "place": "databases",
    },
)
