"""Policies of HTML forms: what a signed form may upload, and until when.

Rules followed: "PostObject" of OSS, "Appendix: Policy", and the pages of its errors, EC 0006-00000201 to 0006-00000228.
"""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_provider_pai.emulator.oss.errors import OssError

_MATCHES: Mapping[str, tuple[type, Callable[[str, Any], bool]]] = {
    "eq": (str, operator.eq),
    "starts-with": (str, str.startswith),
    "in": (list, lambda value, allowed: value in allowed),
    "not-in": (list, lambda value, refused: value not in refused),
}
_NEVER = datetime.max.replace(tzinfo=UTC)
# Fields of signature V4 that have to be among the conditions.
_NAMED = ("x-oss-credential", "x-oss-date", "x-oss-signature-version")


class Condition(NamedTuple):
    """What the value of one field has to be."""

    match: str
    field: str
    """In lower case: the names of fields have none."""
    value: str | list[Any]

    def fits(self, fields: Mapping[str, str]) -> bool:
        """Tell whether a form keeps to it; a field that is not there is empty."""
        return _MATCHES[self.match][1](fields.get(self.field, ""), self.value)


@dataclass(frozen=True)
class PostPolicy:
    """A policy as it was read; one without arguments allows everything, as an unsigned form has none."""

    expiration: datetime = _NEVER
    conditions: tuple[Condition, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    """Least and most bytes of the file, as often as the policy says it."""

    def check(self, fields: Mapping[str, str], now: datetime) -> None:
        """Refuse a form that the policy does not allow.

        :param fields: by lower-case names, nothing filled in, with `bucket`.
        :raises OssError: AccessDenied.
        """
        if self.expiration < now:
            raise _denied("Policy expired.")
        for each in self.conditions:
            if not each.fits(fields):
                shown = json.dumps([each.match, f"${each.field}", each.value])
                raise _denied(f"Policy Condition failed: {shown}", "0006-00000227")
        named = {each.field for each in self.conditions}
        if extra := [name for name in _NAMED if name in fields and name not in named]:
            raise _denied(f"Extra input fields: {', '.join(extra)}", "0006-00000228")

    def check_size(self, size: int) -> None:
        """Refuse a file of a size that the policy does not allow.

        :raises OssError: EntityTooSmall, EntityTooLarge.
        """
        for least, most in self.sizes:
            if size < least:
                raise OssError(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.")
            if size > most:
                raise OssError(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")


def read_policy(encoded: str) -> PostPolicy:
    """Read the field `policy`: JSON in base64.

    :raises OssError: InvalidPolicyDocument.
    """
    try:
        # `\$`, which JSON does not have, is how a policy writes a dollar sign.
        document = json.loads(base64.b64decode(encoded, validate=True).replace(b"\\$", b"$"))
    except (ValueError, RecursionError) as error:
        raise _invalid("Invalid JSON.", "0006-00000204") from error
    if not isinstance(document, dict) or set(document) != {"expiration", "conditions"}:
        raise _invalid("A policy has expiration and conditions, and nothing else.")
    conditions = document["conditions"]
    if not isinstance(conditions, list) or not conditions:
        raise _invalid("The conditions must be a list that is not empty.")
    read = [_condition(each) for each in conditions]
    return PostPolicy(
        _expiration(document["expiration"]),
        tuple(each for each in read if isinstance(each, Condition)),
        tuple(each for each in read if not isinstance(each, Condition)),
    )


def _expiration(text: object) -> datetime:
    try:
        if isinstance(text, str) and text.endswith("Z"):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise _invalid("The expiration must be a time of ISO 8601 in GMT, such as 2014-12-01T12:00:00.000Z.")


def _condition(item: Any) -> Condition | tuple[int, int]:
    if isinstance(item, dict):
        if len(item) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = item.items()
        item = ["eq", f"${name}", value]
    match item:
        case ["content-length-range", int(least), int(most)] if 0 <= least <= most:
            return least, most
        case [str(match), str(field), (str() | list()) as value] if field.startswith("$") and match in _MATCHES:
            if isinstance(value, _MATCHES[match][0]):
                return Condition(match, field[1:].lower(), value)
    raise _invalid(f"Invalid Condition: {json.dumps(item)}")


def _denied(why: str, ec: str = "") -> OssError:
    return OssError(403, "AccessDenied", f"Invalid according to Policy: {why}", ec=ec)


def _invalid(why: str, ec: str = "") -> OssError:
    return OssError(400, "InvalidPolicyDocument", f"Invalid Policy: {why}", ec=ec)
