from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_pai.assets.oss import convert_asset_to_openlineage, create_asset, sanitize_uri


def test_addresses_are_kept_without_their_endpoint():
    assert sanitize_uri(urlsplit("oss://my-team.oss-cn-hangzhou.aliyuncs.com/a/b")).geturl() == "oss://my-team/a/b"
    assert sanitize_uri(urlsplit("oss://my-team/a/*.csv")).geturl() == "oss://my-team/a/*.csv"
    with pytest.raises(ValueError, match="oss://bucket/key"):
        sanitize_uri(urlsplit("oss://B/a"))


def test_airflow_knows_the_scheme():
    assert Asset("oss://my-team.oss-cn-hangzhou.aliyuncs.com/landing/").uri == "oss://my-team/landing"
    assert create_asset(bucket="my-team", key="landing/a").uri == "oss://my-team/landing/a"


def test_lineage_names_bucket_and_key():
    pytest.importorskip("openlineage")
    found = convert_asset_to_openlineage(Asset("oss://my-team/landing/a"), None)
    assert (found.namespace, found.name) == ("oss://my-team", "landing/a")
