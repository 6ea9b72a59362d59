from __future__ import annotations

import pytest

from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.oss.names import check_bucket, check_key, path_of


@pytest.mark.parametrize("name", ["", "ab", "-ab", "ab-", "Abc", "a.b.c", "a" * 64])
def test_a_bucket_has_3_to_63_small_letters_digits_and_hyphens(name):
    with pytest.raises(OssError, match="InvalidBucketName"):
        check_bucket(name)
    assert check_bucket("a" * 63) == "a" * 63


@pytest.mark.parametrize("key", ["", "/a", "\\a", "é" * 512, "\udcff"])
def test_a_key_is_utf8_of_at_most_1023_bytes_that_begins_with_no_slash(key):
    with pytest.raises(OssError, match="InvalidObjectName"):
        check_key(key)
    assert check_key("a" * 1023) == "a" * 1023


@pytest.mark.parametrize("key", ["a//b", "a/", "./a", "a/../b", "a\0b", "a" * 256])
def test_keys_that_can_not_be_paths(key):
    assert path_of(key) is None


@pytest.mark.parametrize("key", ["a", "a/b", "..a/...", "é" * 127])
def test_keys_that_can_be_paths(key):
    assert path_of(key) == key
