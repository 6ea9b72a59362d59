"""Secrets in what a user has written: what is one, by the name it stands under or by its form.

Airflow's own masking asks for names like these, but it knows neither the fields of PAI's APIs, nor lists of names and
values, nor JSON in a text; and it hides each `false` of a log where TOKENIZERS_PARALLELISM is one.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

# `common.compat.sdk` has it since 1.22 only, which no released Airflow pins yet.
if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.sdk.log import mask_secret
else:
    from airflow.utils.log.secrets_masker import mask_secret

__all__ = ["HIDDEN", "hidden", "mask_secret", "secrets_in"]

HIDDEN = "***"
"""What is shown in the place of a secret."""

# Compiled where they are first used: DAG files are parsed all day. MAX_TOKENS and TOKENIZERS_PARALLELISM name none.
# EAS's dockerAuth, DLC's ImageConfig.Auth and DSW's ImageAuth hold a user and a password.
_NAMES = (
    r"(?i:SECRET|TOKEN(?![A-Z])|PASSWORD|PASSWD|PASSPHRASE|ACCESS_?KEY|API_?KEY|PRIVATE_?KEY|AUTHORIZATION|_AUTH$)"
    r"|Auth$"
)
# What half of all log lines hold.
_HARMLESS = r"(?i)\s*|true|false|none|null|\d{1,5}"
_ACCESS_KEY_ID = r"LTAI[A-Za-z0-9]{8,}"
_URL_LOGIN = r"\b(?P<scheme>[A-Za-z][\w+.-]*)://(?P<user>[^\s/?#@:'\"]*)(?::(?P<password>[^\s/?#@'\"]*))?@"
# In a text that is nearly JSON: a name, and the text that stands behind it.
_WRITTEN_PAIR = r"['\"](?P<name>[^'\"\s]+)['\"]\s*:\s*(?P<quote>['\"])(?P<value>.*?)(?<!\\)(?P=quote)"
_WRITTEN_NAMES, _WRITTEN_VALUES = ("name", "key"), "value"


def secrets_in(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each secret in a value of any depth, also in the JSON that a text holds, with the name it stands under."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        yield from _in_json_text(value)
    elif isinstance(value, Mapping):
        by_name = {str(key).lower(): item for key, item in value.items()}
        for key in _WRITTEN_NAMES:
            if key in by_name and _WRITTEN_VALUES in by_name:
                yield from secrets_in(by_name[_WRITTEN_VALUES], str(by_name[key]))
        for key, item in value.items():
            yield from secrets_in(item, str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_in(item, name)
    elif isinstance(value, str | int | float):
        yield from ((name, found) for found in _in_text(str(value), name))


def hidden(shown: str, value: Any, name: str = "") -> str:
    """Return the text that shows a value, with `HIDDEN` in the place of each secret in it.

    :param name: what the value stands under.
    """
    forms = {form for _, secret in secrets_in(value, name) for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        shown = shown.replace(form, HIDDEN)
    return shown


def _in_json_text(value: str) -> Iterator[tuple[str, str]]:
    for read in (json.loads, ast.literal_eval):
        try:
            written = read(value.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        yield from secrets_in(written)
        return
    for pair in re.finditer(_WRITTEN_PAIR, value):
        yield from ((pair["name"], found) for found in _in_text(pair["value"], pair["name"]))


def _in_text(value: str, name: str) -> Iterator[str]:
    if re.fullmatch(_HARMLESS, value):
        return
    if re.search(_NAMES, name) or re.search(_ACCESS_KEY_ID, value):
        yield value
    for login in re.finditer(_URL_LOGIN, value):
        # https://<token>@host and https://<token>:x-oauth-basic@host are as usual as a user and a password.
        is_token = login["scheme"].lower().startswith("http") and (not login["password"] or len(login["user"]) >= 20)
        yield from (part for part in (login["password"], login["user"] if is_token else "") if part)


def _forms(secret: str) -> set[str]:
    """Return a secret as it stands in a text, in JSON and in Python's source."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
