from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_pai.assets.oss import address_of, convert_asset_to_openlineage, create_asset, sanitize_uri


def test_addresses_are_kept_without_their_endpoint():
    assert sanitize_uri(urlsplit("oss://my-team.oss-cn-hangzhou.aliyuncs.com/a/b")).geturl() == "oss://my-team/a/b"
    assert sanitize_uri(urlsplit("oss://my-team/a/*.csv")).geturl() == "oss://my-team/a/*.csv"
    with pytest.raises(ValueError, match="oss://bucket/key"):
        sanitize_uri(urlsplit("oss://B/a"))


def test_airflow_knows_the_scheme():
    assert Asset("oss://my-team.oss-cn-hangzhou.aliyuncs.com/landing/").uri == "oss://my-team/landing"
    assert create_asset(bucket="my-team", key="landing/a").uri == "oss://my-team/landing/a"


@pytest.mark.parametrize(
    ("written", "kept", "key"),
    [
        ("文件", "%E6%96%87%E4%BB%B6", "文件"),
        ("%E6%96%87%E4%BB%B6", "%E6%96%87%E4%BB%B6", "文件"),
        ("%e6%96%87", "%E6%96%87", "文"),
        ("a b/[c]*.csv", "a%20b/%5Bc%5D*.csv", "a b/[c]*.csv"),
        ("100%", "100%25", "100%"),
        ("a+b%20c", "a+b%20c", "a+b c"),
        ("a//b", "a//b", "a//b"),
        ("a%3Fb%23c", "a%3Fb%23c", "a?b#c"),
    ],
)
def test_a_key_is_kept_percent_encoded_and_given_back_as_it_is(written, kept, key):
    uri = f"oss://my-team/{kept}"
    assert kept.isascii(), "Airflow's table takes no other (airflow.models.asset.AssetModel)"
    assert sanitize_uri(urlsplit(f"oss://my-team/{written}")).geturl() == uri
    assert Asset(uri).uri == create_asset(bucket="my-team", key=key).uri == uri
    assert str(address_of(Asset(uri))) == f"oss://my-team/{key}"


@pytest.mark.parametrize(
    ("uri", "why"),
    [("oss://my-team/a?b=c", "%3F"), ("oss://my-team/%ff", "UTF-8"), ("oss://my-team/%2Fa", "begin with")],
)
def test_what_would_be_another_key_is_refused(uri, why):
    with pytest.raises(ValueError, match=why):
        sanitize_uri(urlsplit(uri))  # of which Airflow 2.11 makes a warning


def test_lineage_names_bucket_and_key():
    pytest.importorskip("openlineage")
    found = convert_asset_to_openlineage(Asset("oss://my-team/landing/文 a"), None)
    assert (found.namespace, found.name) == ("oss://my-team", "landing/文 a")
