"""Operators for OSS: objects, folders, buckets, manifests and transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_pai.lazy import late_names

if TYPE_CHECKING:
    from airflow_provider_pai.operators.oss.buckets import OssCreateBucketOperator, OssDeleteBucketOperator
    from airflow_provider_pai.operators.oss.manifests import OssWriteManifestOperator
    from airflow_provider_pai.operators.oss.objects import (
        OssCopyOperator,
        OssDeleteOperator,
        OssDownloadOperator,
        OssListOperator,
        OssUploadOperator,
    )
    from airflow_provider_pai.operators.oss.transfers import ObjectStorageToOssOperator, OssToObjectStorageOperator

__all__ = [
    "ObjectStorageToOssOperator",
    "OssCopyOperator",
    "OssCreateBucketOperator",
    "OssDeleteBucketOperator",
    "OssDeleteOperator",
    "OssDownloadOperator",
    "OssListOperator",
    "OssToObjectStorageOperator",
    "OssUploadOperator",
    "OssWriteManifestOperator",
]

__getattr__ = late_names(
    __name__,
    {
        "ObjectStorageToOssOperator": "transfers",
        "OssCopyOperator": "objects",
        "OssCreateBucketOperator": "buckets",
        "OssDeleteBucketOperator": "buckets",
        "OssDeleteOperator": "objects",
        "OssDownloadOperator": "objects",
        "OssListOperator": "objects",
        "OssToObjectStorageOperator": "transfers",
        "OssUploadOperator": "objects",
        "OssWriteManifestOperator": "manifests",
    },
)
