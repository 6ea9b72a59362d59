"""Checkpoints of transfers: a file that names the parts that are there, so that the next process goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load(checkpoint: Path | None, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a checkpoint says of this very transfer; None: there is none, or it is torn or another's."""
    if checkpoint is None:
        return None
    try:
        saved = json.loads(checkpoint.read_bytes())
        same = all(saved[name] == value for name, value in identity.items())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return saved if same else None


def save(checkpoint: Path | None, content: Mapping[str, Any]) -> None:
    """Write a checkpoint, all at once."""
    if checkpoint is not None:
        new = checkpoint.with_name(f"{checkpoint.name}.new")
        new.write_text(json.dumps(content))
        new.replace(checkpoint)


def forget(checkpoint: Path | None) -> None:
    """Delete a checkpoint."""
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
