import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pai.artifact import (
    MAX_XCOM_BYTES,
    Code,
    DataInterval,
    DatasetChange,
    DatasetRef,
    JobRef,
    Manifest,
    ManifestFile,
    ModelArtifact,
    Producer,
    is_json,
    is_metric,
)
from airflow_provider_pai.uri import OssUri
from airflow_provider_pai.versions import make_version, version_time


def artifact(**changes):
    given = {
        "name": "digits",
        "version": "20261121T1800Z-3f2a9c1b",
        "uri": "oss://models/digits/20261121T1800Z-3f2a9c1b/",
        "metrics": {"accuracy": 0.97},
        "params": {"depth": 4},
        "code": Code(repo="https://example.com/r.git", commit="abc"),
        "job": JobRef(service="dlc", id="dlc1", url="https://x"),
        "inputs": (DatasetRef(name="train", uri="oss://d/n/", digest="sha256:1", size=3, files=1),),
        "data_interval": DataInterval(start="2026-11-20T18:00:00Z", end="2026-11-21T18:00:00Z"),
        "produced_by": Producer(dag_id="d", run_id="r", task_id="t", try_number=1),
    }
    return ModelArtifact(**{**given, **changes})


def test_artifact_round_trips_through_json():
    one = artifact()
    assert ModelArtifact.from_dict(json.loads(json.dumps(one.to_dict()))) == one


KEYS = st.lists(st.text(), max_size=5).map(tuple)
CHANGES = st.builds(
    DatasetChange,
    replaced=KEYS,
    removed=KEYS,
    added=KEYS,
    further=st.integers(0, 9),
    unread=st.sampled_from(["", "503"]),
)


@pytest.mark.fuzz
@given(change=st.none() | CHANGES, pinned=st.text(), versioned=st.booleans())
def test_what_became_of_an_input_round_trips_and_only_what_was_replaced_or_removed_does_harm(change, pinned, versioned):
    ref = DatasetRef(
        name="d", uri="oss://d/", digest="sha256:1", size=3, files=1, pinned=pinned, versioned=versioned, change=change
    )
    read = ModelArtifact.from_dict(json.loads(json.dumps(artifact(inputs=(ref,)).to_dict())))
    assert read.inputs == (ref,)
    if change:
        assert change.is_harmful == bool(change.replaced + change.removed)
        assert str(change)


def test_what_became_of_an_input_is_told_in_a_line():
    keys = tuple("abcde")
    assert str(DatasetChange()) == "unchanged"
    assert str(DatasetChange(replaced=("a",), added=keys)) == "6 objects: replaced a; added a, b, c, …"
    assert str(DatasetChange(removed=keys, further=7)) == "12 objects: removed a, b, c, …"
    assert str(DatasetChange(unread="AccessDenied")) == "not read again: AccessDenied"


def test_a_field_of_a_newer_schema_is_left_out():
    assert ModelArtifact.from_dict({**artifact().to_dict(), "new_field": 1}) == artifact()


@pytest.mark.parametrize("longest", ["params", "metrics", "inputs", "code"])
def test_of_what_does_not_fit_the_longest_stays_in_the_manifest_and_the_rest_is_whole(longest):
    long = {
        "params": {f"p{i}": "x" * 100 for i in range(300)},
        "metrics": {f"m{i}": 0.5 for i in range(3000)},
        "inputs": (DatasetRef(name="x" * 100, uri="oss://d/n/", digest="sha256:1", size=3, files=1),) * 100,
        "code": Code(repo="https://example.com/r.git", commit="abc", entry="x" * 50_000),
    }
    one, fits = artifact(**{longest: long[longest]}), artifact().to_dict()
    cut = one.to_dict()
    assert len(json.dumps(cut)) <= MAX_XCOM_BYTES
    assert cut.pop("in_manifest") == [longest]
    assert {name for name in cut if cut[name] != fits[name]} == ({longest} if longest != "code" else set())
    assert "in_manifest" not in fits


NOT_JSON = [float("nan"), float("inf"), -float("inf"), b"x", {"a": [float("nan")]}, {1j}]
NO_METRICS = [*NOT_JSON, None, True, False, "0.98", "nan", "", [0.98], {"macro": 0.98}, 10**400, -(10**400)]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(NO_METRICS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


def test_a_metric_is_a_finite_number():
    assert [value for value in NO_METRICS if is_metric(value)] == []
    assert all(map(is_metric, (0, -1, 0.98, 1e308, 10**300)))
    assert [value for value in NOT_JSON if is_json(value)] == []


@pytest.mark.fuzz
@given(metrics=st.dictionaries(st.text(), ANYTHING), params=st.dictionaries(st.text(), ANYTHING))
def test_whatever_is_written_as_metrics_an_xcom_can_keep_and_a_gate_can_compare(metrics, params):
    read = ModelArtifact.from_dict({**artifact().to_dict(), "metrics": metrics, "params": params})
    assert all(math.isfinite(value) for value in read.metrics.values())
    assert read.metrics == {name: value for name, value in metrics.items() if is_metric(value)}
    json.dumps(read.to_dict(), allow_nan=False)


def test_no_artifact_is_refused():
    with pytest.raises(ValueError, match="version"):
        ModelArtifact.from_dict({"name": "x", "uri": "oss://b/"})


def test_versions_sort_by_time():
    early = make_version(datetime(2026, 11, 20, 18, tzinfo=UTC), "ffffffffff")
    late = make_version(datetime(2026, 11, 21, 18, tzinfo=UTC), "0000000000")
    assert early < late
    assert version_time(late) == datetime(2026, 11, 21, 18, tzinfo=UTC)


def test_newer_is_told_by_the_interval_end_else_by_the_version():
    assert artifact().interval_end == datetime(2026, 11, 21, 18, tzinfo=UTC)
    assert artifact(data_interval=None).interval_end == datetime(2026, 11, 21, 18, tzinfo=UTC)


def test_manifest_round_trips_and_gives_the_digest_of_its_bytes():
    manifest = Manifest(artifact=artifact(), files=(ManifestFile("model.json", 3, "E7A", crc64="7"),))
    read = Manifest.from_bytes(manifest.to_bytes())
    assert read.files == manifest.files
    assert read.artifact.digest == manifest.digest
    assert read.to_bytes() == manifest.to_bytes()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"files": [{}], "artifact": {}}', b"\xff"])
def test_a_torn_manifest_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oss://bucket/a/b", OssUri("bucket", "a/b")),
        ("oss://bucket", OssUri("bucket", "")),
        ("oss://bucket/", OssUri("bucket", "")),
        ("oss://bucket.oss-cn-hangzhou.aliyuncs.com/a/", OssUri("bucket", "a/")),
    ],
)
def test_oss_uri(text, expected):
    assert OssUri.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", None, "bucket/key", "s3://bucket/key", "oss://", "oss:///key", "oss://B_ad/key", "oss://bucket//key"]
)
def test_bad_oss_uri_names_the_field(text):
    with pytest.raises(ValueError, match=r"output: .* oss://bucket/key"):
        OssUri.parse(text, "output")


def test_oss_uri_joins():
    assert str(OssUri("b", "a").join("c", "d.txt")) == "oss://b/a/c/d.txt"
    assert str(OssUri("b").join("c")) == "oss://b/c"
    assert str(OssUri("b", "a").folder) == "oss://b/a/"
