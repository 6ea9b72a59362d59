"""Errors of backends, which the routes turn into the documented envelopes."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal with the HTTP status, the error code and the message that the cloud would answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


class NotFoundError(ApiError):
    """404 with a resource-specific code."""

    def __init__(self, message: str, code: str = "NotFound") -> None:
        super().__init__(404, code, message)


class InvalidParameterError(ApiError):
    """400: a value that the API does not take."""

    def __init__(self, message: str, code: str = "InvalidParameter") -> None:
        super().__init__(400, code, message)


class ConflictError(ApiError):
    """409: the resource is in a state, or bears a name, that forbids the call."""

    def __init__(self, message: str, code: str = "Conflict") -> None:
        super().__init__(409, code, message)


class NotAllowedError(ApiError):
    """403: no RAM policy allows the call, or one forbids it; `detail` is the `AccessDeniedDetail`."""

    def __init__(self, message: str, detail: Mapping[str, str]) -> None:
        super().__init__(403, "Forbidden.RAM", message)
        self.detail = dict(detail)
