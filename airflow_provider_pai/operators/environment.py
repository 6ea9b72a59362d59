"""The environment variables that a user gives a workload: which are refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import mapping, text

OUR_PREFIX = "PAI_"

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


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
