"""The faults that any call can meet, by kind: as fields of the emulator's `Fault`."""

from __future__ import annotations

from typing import Any

STALL = 30.0
"""Seconds that a stalled answer takes, longer than any read time-out of a test."""

_TRANSIENT: dict[str, dict[str, Any]] = {
    "reset before": {"drop": "request"},
    "reset in the body": {"drop": "body"},
    "reset in an error's body": {"status": 503, "drop": "body"},
    "answer lost": {"drop": "answer"},
    "stall": {"drop": "answer", "stall": STALL},
    "stall in the body": {"stall": STALL},
    "429": {"status": 429, "code": "Throttling.User"},
    "429 with a hint": {"status": 429, "code": "Throttling.User", "headers": {"x-acs-retry-after": "300"}},
    "503 with a hint": {"status": 503, "headers": {"Retry-After": "1"}},
    "500": {"status": 500, "code": "InternalError"},
    "502 HTML": {"status": 502, "spoil": "html"},
    "503": {"status": 503},
    "200 HTML": {"status": 200, "spoil": "html"},
    "200 HTML, work done": {"spoil": "html"},
    "200 half": {"spoil": "half"},
    "200 empty": {"spoil": "empty"},
}
_WRONG: dict[str, dict[str, Any]] = {
    "wrong types": {"spoil": "types"},
    "missing field": {"spoil": "missing"},
    "unknown status": {"spoil": "unknown_status"},
}
_REFUSALS: dict[str, dict[str, dict[str, Any]]] = {
    "expired token": {
        "api": {"status": 400, "code": "InvalidSecurityToken.Expired"},
        "oss": {"status": 403, "code": "SecurityTokenExpired"},
    },
    "unknown key": {
        "api": {"status": 404, "code": "InvalidAccessKeyId.NotFound"},
        "oss": {"status": 403, "code": "InvalidAccessKeyId"},
    },
    "clock skew": {
        "api": {"status": 400, "code": "InvalidTimeStamp.Expired"},
        "oss": {"status": 403, "code": "RequestTimeTooSkewed"},
    },
    "403": {
        "api": {"status": 403, "code": "NoPermission"},
        "oss": {"status": 403, "code": "AccessDenied"},
        "eas": {"status": 403, "code": "Forbidden"},
    },
}

TRANSIENT = tuple(_TRANSIENT)
"""Kinds after which the same call may do well."""
KINDS = (*_TRANSIENT, *_WRONG, *_REFUSALS)


def fault(kind: str, service: str) -> dict[str, Any] | None:
    """Return the fields of a fault of this kind at a call of this service; None: no such answer comes from it.

    :param service: as of `Fault.match`: `api`, `oss` or `eas`.
    """
    if kind in _REFUSALS:
        return _REFUSALS[kind].get(service)
    return {**_TRANSIENT, **_WRONG}[kind]
