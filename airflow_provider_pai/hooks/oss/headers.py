"""Headers of a write: leave to overwrite, storage class, tags."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import flag, one_of, text_mapping

STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")
FORBID_OVERWRITE = "x-oss-forbid-overwrite"


def write_headers(
    overwrite: bool = True,
    storage_class: str | None = None,
    tags: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of a write.

    :raises PaiConfigError: a storage class or tags that OSS does not have.
    """
    written = dict(headers or {})
    if not flag("overwrite", overwrite):
        written[FORBID_OVERWRITE] = "true"
    if storage_class is not None:
        written["x-oss-storage-class"] = one_of("storage_class", storage_class, STORAGE_CLASSES)
    if checked := check_tags(tags):
        written["x-oss-tagging"] = urlencode(checked)
    return written


def check_tags(tags: Mapping[str, str] | str | None) -> dict[str, str]:
    """Return an object's tags.

    :raises PaiConfigError: more than ten, or a key or value that is too long.
    """
    read = text_mapping("tags", tags)
    if len(read) > 10 or any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in read.items()):
        raise PaiConfigError("tags", read, "at most 10, keys of 1 to 128 and values of at most 256 characters")
    return read


def version_parameters(version: str | None) -> dict[str, str]:
    """Return the parameters that name a version."""
    return {"versionId": version} if version else {}
