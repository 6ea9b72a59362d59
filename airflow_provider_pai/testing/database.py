"""Metadata database of Airflow for tests."""

from __future__ import annotations


def make_ready() -> None:
    """Create the tables of an empty database; one that has some is somebody's, and left as it is."""
    from airflow import settings
    from airflow.utils.db import initdb
    from sqlalchemy import inspect

    if not inspect(settings.engine).has_table("dag_run"):
        initdb()
