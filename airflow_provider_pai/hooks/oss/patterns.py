"""Shell patterns of keys, as `fnmatch` reads them; `*` stands for `/` too.

One rule for all who take patterns: a key fits the pattern that is its very name. An address means the object of that
name, where there is one; only else it is a pattern. What ends in `/` is a prefix, as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import texts
from airflow_provider_pai.lazy import cached_property

# As fnmatch has it, a bracket that nothing closes is a character.
_WILD = r"[*?]|\[!?+\]?+[^\]]*+\]"
# Keys are no longer; and a hostile pattern's translation takes the square of its length.
_LONGEST = 1023


class Patterns:
    """Keys that fit one of `include` (None: every key; an empty list: no key) and none of `exclude`.

    :raises PaiConfigError: what is given is no pattern and no list of patterns.
    """

    def __init__(self, include: Iterable[str] | str | None = None, exclude: Iterable[str] | str | None = None) -> None:
        patterns = texts("include", include)
        self.include = ("*",) if patterns is None else patterns
        self.exclude = texts("exclude", exclude) or ()
        for pattern in (*self.include, *self.exclude):
            if len(pattern) > _LONGEST:
                raise PaiConfigError("include, exclude", pattern, f"patterns of at most {_LONGEST:,} characters")

    def match(self, key: str) -> bool:
        """Tell whether a key is meant."""
        included = key in self.include or bool(self.include and self._included.match(key))
        return included and not (key in self.exclude or (self.exclude and self._excluded.match(key)))

    def leave_out(self, folder: str) -> bool:
        """Tell whether no key is meant that begins with `folder/`, whatever follows."""
        return not self.include or any(each.endswith("*") and _any_of([each]).match(folder) for each in self.exclude)

    @cached_property
    def _included(self) -> re.Pattern[str]:
        return _any_of(self.include)

    @cached_property
    def _excluded(self) -> re.Pattern[str]:
        return _any_of(self.exclude)


def is_pattern(key: str) -> bool:
    """Tell whether a key has a wildcard, and is no prefix."""
    return not key.endswith("/") and bool(re.search(_WILD, key))


def fixed_prefix(pattern: str) -> str:
    """Return what every key that fits a pattern begins with."""
    return re.split(_WILD, pattern, maxsplit=1)[0]


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(each) for each in patterns))
