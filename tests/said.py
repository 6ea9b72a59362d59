"""Words of Airflow's and Python's loggers, as one text."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO


@contextmanager
def said(into: StringIO) -> Iterator[None]:
    """Keep all that is logged or printed meanwhile."""
    handler = logging.StreamHandler(into)
    logging.getLogger().addHandler(handler)
    try:
        with redirect_stdout(into), redirect_stderr(into):
            yield
    finally:
        logging.getLogger().removeHandler(handler)
