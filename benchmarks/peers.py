"""Peers that a benchmark measures beside us; without one of them its line would compare us with nobody."""

from __future__ import annotations

import importlib.util
import shutil
import sys


def require(*modules: str, commands: tuple[str, ...] = ()) -> None:
    """End the benchmark, naming what is missing, unless all peers are installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    missing += [name for name in commands if shutil.which(name) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}. `make bench` installs what it measures against")
