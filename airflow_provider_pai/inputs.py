"""OSS addresses as users give them."""

from __future__ import annotations

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.uri import OssUri


def parse_uri(field: str, value: object) -> OssUri:
    """Read an OSS address given by a user.

    :raises PaiConfigError: naming the field.
    """
    try:
        return OssUri.parse(value, field)
    except ValueError as error:
        raise PaiConfigError(field, value, str(error).partition("; ")[2]) from None


def object_uri(field: str, value: str | OssUri) -> OssUri:
    """Read the address of an object.

    :raises PaiConfigError: it has no key.
    """
    uri = value if isinstance(value, OssUri) else parse_uri(field, value)
    if not uri.key:
        raise PaiConfigError(field, str(value), "oss://bucket/key with a key")
    return uri
