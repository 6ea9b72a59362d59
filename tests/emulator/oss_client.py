"""Clients and helpers that the tests of OSS share."""

from __future__ import annotations

from pathlib import Path

import oss2
import pytest

from airflow_provider_pai.emulator import Emulator

HELLO_CRC = 11177612005948864433
MIB = 1 << 20


def code_of(error: pytest.ExceptionInfo[oss2.exceptions.ServerError]) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return error.value.status, error.value.code


def folder_of(pai: Emulator, bucket: oss2.Bucket, prefix: str = "") -> Path:
    """Return the folder that a job would mount."""
    return pai.services.oss.folder(bucket.bucket_name, prefix)


def keys_of(bucket: oss2.Bucket, **options: object) -> list[str]:
    """Return the keys of a bucket, page by page."""
    return [each.key for each in oss2.ObjectIteratorV2(bucket, **options)]
