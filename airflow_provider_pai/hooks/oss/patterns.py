"""Shell patterns of keys, as `fnmatch` reads them; `*` stands for `/` too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property

_WILD = r"[*?\[]"


class Patterns:
    """Keys that fit one of `include` (none given: every key) and none of `exclude`."""

    def __init__(self, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> None:
        self.include = include
        self.exclude = exclude

    def match(self, key: str) -> bool:
        """Tell whether a key is meant."""
        return bool(self._included.match(key)) and not (self.exclude and self._excluded.match(key))

    @cached_property
    def _included(self) -> re.Pattern[str]:
        return _any_of(self.include or ("*",))

    @cached_property
    def _excluded(self) -> re.Pattern[str]:
        return _any_of(self.exclude)


def is_pattern(key: str) -> bool:
    """Tell whether a key has a wildcard."""
    return bool(re.search(_WILD, key))


def fixed_prefix(pattern: str) -> str:
    """Return what every key that fits a pattern begins with."""
    return re.split(_WILD, pattern, maxsplit=1)[0]


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(each) for each in patterns))
