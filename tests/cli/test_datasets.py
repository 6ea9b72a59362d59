from __future__ import annotations

import json

import pytest

from airflow_provider_pai.cli.__main__ import main
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.datasets import describe_dataset
from airflow_provider_pai.hooks.oss.pins import Pin
from airflow_provider_pai.uri import OssUri
from tests.conftest import airflow_connection


@pytest.fixture
def pinned(pai, bucket, connection, monkeypatch):
    """Two copies: of one an artifact is left, of the other none."""
    home, oss = OssUri(bucket.bucket_name, "state/"), OssHook()
    monkeypatch.setenv("AIRFLOW_CONN_PAI_DEFAULT", json.dumps(airflow_connection(pai, state_uri=str(home))))
    found = []
    for number in range(2):
        source, kept = OssUri(bucket.bucket_name, f"in{number}/"), OssUri(bucket.bucket_name, "list")
        oss.put(source.join("a"), "x" * (number + 1))
        ref = describe_dataset(oss, "d", source, kept)
        found.append(Pin.of(home.join("pins"), ref.digest))
        artifact = f"oss://{bucket.bucket_name}/models/v{number}/"
        found[-1].fill(oss, ref, kept, version=f"v{number}", artifact=artifact)
    oss.put(f"oss://{bucket.bucket_name}/models/v0/_manifest.json", "{}")
    return oss, *found


def test_what_nobody_uses_is_listed_and_deleted_only_if_asked_to(pinned, capsys):
    oss, used, unused = pinned
    main(["datasets", "prune"])
    assert " objects, " not in capsys.readouterr().out
    main(["datasets", "prune", "--unused-for", "2126-01-01"])
    printed = capsys.readouterr()
    assert printed.out.endswith(f"{unused.folder}: 1 objects, 2 bytes\n")
    assert f"{used.folder} stays: oss://" in printed.err
    assert "1 of 2 pinned inputs below" in printed.err
    assert oss.head(unused.marker)
    main(["datasets", "prune", "--unused-for", "2126-01-01", "--delete"])
    assert capsys.readouterr().out.endswith(f"{unused.folder}: 1 objects, 2 bytes; deleted\n")
    assert (list(oss.list_objects(unused.folder)), bool(oss.head(used.marker))) == ([], True)


def test_without_a_home_the_output_is_to_be_named(connection):
    with pytest.raises(SystemExit, match="--output oss://"):
        main(["datasets", "prune"])
