"""Facts of an account: for each question that no document answers, what the cloud answered; and their file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_pai.hooks.lines import shortened

_SHOWN = 100

VERSION = 1
"""Of the file; the emulator's option `--facts` reads it."""


@dataclass
class Facts:
    """What a round has learned.

    :param facts: a switch of the emulator's `World` and its position.
    :param seen: the words of the cloud for each, and for what has no switch.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def learn(self, name: str, position: Any, seen: str) -> None:
        """Keep a fact; None: what was seen answers the question with no known position, or not at all."""
        if position is not None:
            self.facts[name] = position
        self.seen[name] = seen

    def write(self, path: Path, about: dict[str, str]) -> None:
        """Write the file.

        :param about: when, where and with what the facts were seen.
        """
        content = {"version": VERSION, "about": about, "facts": self.facts, "seen": self.seen}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """Return one line a fact for people."""
        rows = [(name, str(self.facts.get(name, "-")), shortened(seen, _SHOWN)) for name, seen in self.seen.items()]
        first, second = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
        return [f"{name:<{first}}  {position:<{second}}  {seen}" for name, position, seen in rows]
