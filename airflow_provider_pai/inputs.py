"""Readers of the values that people and templates give, one for each kind of value.

A template gives texts for numbers, with `render_template_as_native_obj` numbers for texts, and None for what an
upstream task has not left. What is plainly meant is read; all else is refused here, with a PaiConfigError.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any

import pendulum

from airflow_provider_pai.exceptions import PaiConfigError, PaiError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.uri import URI_FORM, OssUri
from airflow_provider_pai.values import (
    as_dict,
    broken_json,
    did_you_mean,
    finite,
    is_list,
    is_number,
    is_utf8,
    ordered,
    parsed,
    scalar,
)

Span = float | str | timedelta
"""A span of time as `seconds` reads it."""

# What a worker's disk says that another try, or another worker, may not.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = r"(?:\d{1,9}(?:\.\d{1,9})?[smhdw]\s*)+"
# Of ISO 8601's durations those whose length does not hang on the calendar; pendulum lets larger numbers overflow.
_ISO_SPAN = r"P(?:\d{1,9}[WD])*(?:T(?:[\d.,]{1,9}[HMS])*)?"
_MAX_SECONDS = timedelta(days=3660).total_seconds()
_ISO_DAY = r"\d{4}-\d\d|\d{8}(?!\d)"


def text(field: str, value: object, allowed: str = "a text") -> str:
    """Read a text; a number is the text that was written for it.

    :raises PaiConfigError: it is none, or no service could take it: it holds a NUL or half a character.
    """
    plain = scalar(value)
    if is_number(plain) or isinstance(plain, PurePath):
        plain = str(plain)
    if not isinstance(plain, str) or "\0" in plain or not is_utf8(plain):
        raise PaiConfigError(field, value, allowed)
    return plain


def required(field: str, value: object, allowed: str) -> str:
    """Read a text that must be there; Jinja makes `None` of what is not.

    :param allowed: what it is, as `the id of a DLC job`.
    :raises PaiConfigError: it is missing, blank or no text.
    """
    read = text(field, value, f"it must be {allowed}")
    if read.strip() in ("", "None"):
        raise PaiConfigError(field, value, f"it must be {allowed}")
    return read


def optional(field: str, value: object, allowed: str) -> str | None:
    """Read a text that may be left out: None or an empty one.

    :raises PaiConfigError: it is blank or no text.
    """
    left_out = value is None or (isinstance(value, str) and not value)
    return None if left_out else required(field, value, allowed)


_FEW = 8


def role(field: str, value: object) -> str | None:
    """Return the ARN of a RAM role, None where there is none.

    :raises PaiConfigError: it names no role.
    """
    allowed = "the ARN of a RAM role, as acs:ram::1000000000000001:role/name"
    arn = optional(field, value, allowed)
    if arn is not None and not re.fullmatch(r"acs:ram::[0-9]+:role/\S+", arn):
        raise PaiConfigError(field, value, allowed)
    return arn


def one_of(field: str, value: object, allowed: Collection[str]) -> str:
    """Read one of some words.

    :raises PaiConfigError: it is another.
    """
    word = scalar(value)
    if not isinstance(word, str) or word not in allowed:
        raise PaiConfigError(field, value, f"{_near(word, allowed)}one of {', '.join(allowed)}")
    return word


def _near(word: object, allowed: Collection[str]) -> str:
    """Return which of many words a person may have meant; of few he finds it himself."""
    from difflib import get_close_matches

    near = get_close_matches(str(word), allowed, n=1) if len(allowed) > _FEW else None
    return f"did you mean {near[0]}? It is " if near else ""


def flag(field: str, value: object) -> bool:
    """Read true or false.

    :raises PaiConfigError: it is neither.
    """
    plain = scalar(value)
    words = {"true": True, "false": False}
    read = words.get(plain.strip().lower()) if isinstance(plain, str) else plain
    if not isinstance(read, bool):
        raise PaiConfigError(field, value, "true or false")
    return read


def whole_number(field: str, value: object, *, least: int = 0, most: int | None = None) -> int:
    """Read a whole number.

    :raises PaiConfigError: it is none, or out of bounds.
    """
    read = finite(value)
    if not isinstance(read, int) or not _within(read, least, most):
        raise PaiConfigError(field, value, f"a whole number {_bounds(least, most)}")
    return read


def number(
    field: str, value: object, *, least: float | None = None, most: float | None = None, above: float | None = None
) -> float:
    """Read a finite number.

    :param above: the number must be greater than this.
    :raises PaiConfigError: it is none, or out of bounds.
    """
    read = finite(value)
    if read is None or not _within(read, least, most, above):
        raise PaiConfigError(field, value, f"a number {_bounds(least, most, above)}".rstrip())
    return float(read)


def share(field: str, value: object) -> float:
    """Read a share of a whole.

    :raises PaiConfigError: it is no number from 0 to 1.
    """
    return number(field, value, least=0, most=1)


def seconds(field: str, value: object, *, least: float | None = None) -> float:
    """Read a span of time in seconds: a number of them, `90s`, `1h30m`, `2d`, ISO 8601 as `PT5M`, or a timedelta.

    :param least: seconds that it must have; by default it must be above 0.
    :raises PaiConfigError: it is none, too short, or over ten years.
    """
    read = _span(scalar(value))
    if read is None or not _within(read, least, _MAX_SECONDS, 0 if least is None else None):
        bound = "above 0" if least is None else f"of at least {least:g} s"
        forms = "seconds, a text as 90s, 5m, 1h30m, 2d or PT1H30M, or a timedelta"
        raise PaiConfigError(field, value, f"a span {bound}: {forms}")
    return read


def moment(field: str, value: object) -> datetime:
    """Read a time, in UTC: ISO 8601 or a datetime; without a zone it is UTC, a date alone is its midnight.

    :raises PaiConfigError: it is none.
    """
    try:
        read = _moment(scalar(value))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PaiConfigError(field, value, "a time in ISO 8601, as 2026-11-21T18:00:00Z or 2026-11-21") from None


def texts(field: str, value: object) -> tuple[str, ...] | None:
    """Read a list of texts; one text is a list of one. None: it is not given, unlike an empty list.

    :raises PaiConfigError: it is none, or one of its texts is missing or blank.
    """
    if value is None:
        return None
    allowed = "a text, or a list of texts"
    several = parsed(value, list)
    if isinstance(several, str) or is_number(scalar(several)):
        several = [several]
    if not is_list(several):
        raise PaiConfigError(field, value, allowed)
    return tuple(required(field, each, allowed) for each in ordered(several))


def mapping(field: str, value: object, allowed: str = "names to values, as {'name': 1}") -> dict[str, Any]:
    """Read an object as plain JSON: a dict or its text; None is an empty one.

    :raises PaiConfigError: it is none, or holds what JSON has not.
    """
    if value is None:
        return {}
    read = parsed(as_dict(value), dict)
    if not isinstance(read, Mapping):
        raise PaiConfigError(field, value, f"{allowed}{broken_json(value)}")
    plain: dict[str, Any] = json_value(field, read)
    return plain


def known(field: str, names: Iterable[Any], allowed: Collection[str], has: str = "it has") -> None:
    """Refuse a name that is none of those that there are.

    :param has: words before these.
    :raises PaiConfigError: naming the first, and what may be meant.
    """
    for name in names:
        if name not in allowed:
            raise PaiConfigError(field, name, f"{has} {', '.join(allowed)}{did_you_mean(name, allowed)}")


def text_mapping(field: str, value: object) -> dict[str, str]:
    """Read an object of names to texts.

    :raises PaiConfigError: it is none; None is no text.
    """
    return {name: text(f"{field}[{name!r}]", item) for name, item in mapping(field, value).items()}


_MODEL = "a ModelArtifact's dict, its JSON, or its oss:// address"


def artifact(field: str, value: object, allowed: str = _MODEL) -> dict[str, Any] | str | None:
    """Read an artifact as a task's XCom gives it, or the `oss://` address of one; None or an empty text is none.

    :param allowed: what it is.
    :raises PaiConfigError: it is neither.
    """
    if value is None or (isinstance(value, str) and not value):
        return None
    if isinstance(value, str) and value.startswith("oss:"):
        parse_uri(field, value)
        return value
    return mapping(field, value, allowed)


def required_artifact(field: str, value: object, allowed: str = _MODEL) -> dict[str, Any] | str:
    """Read an artifact that must be there, as `artifact` does.

    :raises PaiConfigError: it is none, or what should have made it has left nothing.
    """
    read = None if value == "None" else artifact(field, value, allowed)
    if read is None:
        raise PaiConfigError(field, value, f"{allowed}; the task that makes it left none: was it skipped?")
    return read


def json_list(field: str, value: object, allowed: str = "a list of objects") -> list[Any]:
    """Read a list as plain JSON: a list or its text; one object is a list of one.

    :raises PaiConfigError: it is none, or holds what JSON has not.
    """
    read = parsed(value, (list, dict))
    if isinstance(read, Mapping):
        read = [read]
    if not is_list(read):
        raise PaiConfigError(field, value, f"{allowed}{broken_json(value)}")
    plain: list[Any] = json_value(field, read)
    return plain


def json_value(field: str, value: object) -> Any:
    """Return a value as JSON has it: times as ISO 8601, spans as seconds, numbers of any kind, sets as sorted lists.

    :raises PaiConfigError: naming the place of what JSON has not.
    """
    try:
        return _json(field, value)
    except RecursionError:
        raise PaiConfigError(field, type(value).__name__, "values nested less deeply") from None


def parse_uri(field: str, value: object) -> OssUri:
    """Read an OSS address.

    :raises PaiConfigError: it is none.
    """
    try:
        return OssUri.parse(value, field)
    except ValueError:
        raise PaiConfigError(field, value, URI_FORM) from None


def object_uri(field: str, value: object) -> OssUri:
    """Read the address of an object.

    :raises PaiConfigError: it is none, or has no key.
    """
    uri = parse_uri(field, str(value) if isinstance(value, OssUri) else value)
    if not uri.key:
        raise PaiConfigError(field, str(value), "oss://bucket/key with a key")
    return uri


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one JSON object over another: objects are merged, everything else is replaced."""
    result = dict(base)
    for name, value in over.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _within(read: float, least: float | None, most: float | None, above: float | None = None) -> bool:
    return (least is None or read >= least) and (most is None or read <= most) and (above is None or read > above)


def _bounds(least: float | None, most: float | None, above: float | None = None) -> str:
    if least is not None and most is not None:
        return f"from {least:g} to {most:g}"
    limits = {"of at least": least, "above": above, "of at most" if above is None else "at most": most}
    return " and ".join(f"{words} {limit:g}" for words, limit in limits.items() if limit is not None)


def _span(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(_SPAN, value, re.ASCII):
            return sum(float(count) * _UNITS[unit] for count, unit in re.findall(r"([\d.]+)([smhdw])", value))
        if re.fullmatch(_ISO_SPAN, value, re.ASCII):
            return _iso_span(value)
    read = finite(value)
    return None if read is None else float(read)


def _iso_span(value: str) -> float | None:
    try:
        span = pendulum.parse(value)
    except ValueError:
        return None
    return span.total_seconds() if isinstance(span, timedelta) else None


def _moment(value: object) -> datetime:
    """Return a time.

    :raises ValueError: it is none.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    # A native template makes a number of 20261121.
    written = str(value).strip() if isinstance(value, str) or is_number(value) else ""
    read: object = pendulum.parse(written) if re.match(_ISO_DAY, written) else None
    if isinstance(read, datetime):
        return read
    raise ValueError(value)


def _json(field: str, value: object) -> Any:
    plain = as_dict(scalar(value))
    if plain is None or isinstance(plain, bool) or (isinstance(plain, str) and is_utf8(plain)):
        return plain
    if is_number(plain):
        return plain if isinstance(plain, int | float) else finite(plain)
    if isinstance(plain, timedelta):
        return plain.total_seconds()
    if isinstance(plain, date | time):
        return plain.isoformat()
    if isinstance(plain, PurePath):
        return str(plain)
    if isinstance(plain, Mapping):
        return {text(field, key): _json(f"{field}[{key!r}]", item) for key, item in plain.items()}
    if is_list(plain):
        return [_json(f"{field}[{index}]", item) for index, item in enumerate(ordered(plain))]
    raise PaiConfigError(field, value, "a text, a finite number, true, false, none, or lists and objects of them")


def unusable(field: str, value: object, needed: str, error: OSError) -> PaiError:
    """Return the error of a file on the worker that can't be used; one that is not there yet, or no more, may be later.

    :param needed: what it must be.
    """
    at = f" ({error.filename})" if error.filename not in (None, value) else ""
    needed = f"{needed}: {error.strerror or error}{at}"
    if error.errno == errno.ENOENT:
        return PaiNotFoundError.of("worker", "open", field, value, needed)
    if error.errno in _PASSING:
        return PaiTransferError(f"{field}: {value}: {needed} → make room there, or let another worker try")
    return PaiConfigError(field, value, needed)
