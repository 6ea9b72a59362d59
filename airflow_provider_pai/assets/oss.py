"""Asset URIs of OSS: `Asset("oss://bucket/key")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from airflow.providers.common.compat.sdk import Asset

from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return an asset's URI as it is kept: bucket without endpoint, key as it is.

    :raises ValueError: it is not `oss://bucket/key`.
    """
    parsed = OssUri.parse(f"oss://{uri.netloc}{uri.path}")
    return uri._replace(netloc=parsed.bucket, path=f"/{parsed.key}")


def create_asset(*, bucket: str, key: str = "", extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object, or of what lies below a prefix."""
    return Asset(uri=str(OssUri(bucket, key)), extra=extra or {})


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Return the asset as OpenLineage names data sets: `oss://bucket` and the key."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    uri = OssUri.parse(asset.uri)
    return Dataset(namespace=f"oss://{uri.bucket}", name=uri.key or "/")
