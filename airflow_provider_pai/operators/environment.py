"""The environment variables that a user gives a workload: which are refused, which look like secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import mapping, text

OUR_PREFIX = "PAI_"

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# Compiled where they are first used: DAG files are parsed all day.
# MAX_TOKENS and TOKENIZERS_PARALLELISM are no secrets; nor is a value that half of all log lines hold.
_SUSPICIOUS = r"(?i)SECRET|TOKEN(?![A-Z])|PASSWORD|PASSWD|ACCESS_?KEY"
_HARMLESS = r"(?i)\s*|true|false|none|\d{1,5}"
_ACCESS_KEY_ID = r"LTAI[A-Za-z0-9]{8,}"


def check_environment(env: Mapping[str, Any] | str | None, reserved: Collection[str]) -> dict[str, str]:
    """Return the variables as texts; names that are none, or that the service or this provider sets, are refused.

    :raises PaiConfigError: naming the variable.
    """
    variables = mapping("env", env)
    for name in variables:
        if not re.fullmatch(_NAME, name):
            raise PaiConfigError("env", name, "names are letters, digits and _, no digit first")
        if name in reserved:
            raise PaiConfigError("env", name, f"the service sets {', '.join(sorted(reserved))} itself")
        if name.startswith(OUR_PREFIX):
            raise PaiConfigError("env", name, f"names that begin with {OUR_PREFIX} are the operator's own")
    return {name: _value(f"env[{name!r}]", value) for name, value in variables.items()}


def _value(field: str, value: object) -> str:
    return str(value) if isinstance(value, bool) else text(field, value, "a text; leave out what has no value")


def mask_secrets(env: Mapping[str, Any] | str | None) -> list[str]:
    """Keep what looks like a secret out of logs and rendered fields; return the names."""
    with suppress(PaiConfigError):  # what is no environment is refused where the task runs
        env = mapping("env", env)
    found = dict(_secrets(env)) if isinstance(env, Mapping) else {}
    for value in found.values():
        mask_secret(value)
    return list(found)


def _secrets(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in ((str(name), value) for name, value in given.items()):
        shown = str(value)
        if not re.fullmatch(_HARMLESS, shown) and (re.search(_SUSPICIOUS, name) or re.search(_ACCESS_KEY_ID, shown)):
            yield name, shown
