"""Asset URIs of OSS: `Asset("oss://bucket/key")`.

An asset's URI is percent-encoded, as every URI; `address_of` gives the object's own name back. Airflow itself cuts off
what follows a `#`, line ends and the last `/` before anybody else sees them: `create_asset` takes each key as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote

from airflow.providers.common.compat.sdk import Asset

from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset

# What a path may hold as it is (RFC 3986, pchar), beside letters and digits.
_PLAIN = "/-._~!$&'()*+,;=:@"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return an asset's URI as it is kept: bucket without endpoint, key percent-encoded in one way alone.

    :raises ValueError: it is not `oss://bucket/key`, or has a query.
    """
    if uri.query:
        raise ValueError(f"uri: {uri.geturl()!r} is not allowed; a key's own ? is %3F, or given to create_asset")
    parsed = _read(f"oss://{uri.netloc}{uri.path}")
    return uri._replace(netloc=parsed.bucket, path=f"/{_encoded(parsed.key)}")


def create_asset(*, bucket: str, key: str = "", extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object, or of what lies below a prefix.

    :param key: its very name, not encoded.
    """
    return Asset(uri=f"oss://{bucket}/{_encoded(key)}", extra=extra or {})


def address_of(asset: Asset) -> OssUri:
    """Return the address that an asset stands for; that of a prefix has no `/` at its end."""
    return _read(asset.uri)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Return the asset as OpenLineage names data sets: `oss://bucket` and the key."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    uri = address_of(asset)
    return Dataset(namespace=f"oss://{uri.bucket}", name=uri.key or "/")


def _encoded(key: str) -> str:
    return quote(key, safe=_PLAIN)


def _read(uri: str) -> OssUri:
    """Read a percent-encoded address; a `%` that begins no code is one.

    :raises ValueError: it is none, or what is encoded is not UTF-8.
    """
    try:
        return OssUri.parse(unquote(uri, errors="strict"))
    except UnicodeDecodeError as error:
        raise ValueError(f"uri: {uri!r} is not allowed; percent-encoded UTF-8: {error}") from None
