"""Objects on OSS: their names, and what is deleted of them."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import Asset, ObjectStoragePath
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_pai.artifact import ModelArtifact
from airflow_provider_pai.assets.oss import address_of
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_artifact, write_artifact
from airflow_provider_pai.operators.oss import (
    OssCopyOperator,
    OssDeleteOperator,
    OssDownloadOperator,
    OssListOperator,
    OssUploadOperator,
)
from airflow_provider_pai.sensors.oss import OssKeySensor
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def at(bucket):
    return f"oss://{bucket.bucket_name}/data/"


def put(at, *names):
    for name in names:
        OssHook().put(at + name, name)


def keys(at):
    return [str(info.uri).removeprefix(at) for info in OssHook().list_objects(at)]


def run(operator, **arguments):
    return Task(lambda: operator(task_id="task", **arguments)).run()


def test_a_person_syncs_a_folder_that_is_not_mounted_and_loses_nothing(at, tmp_path):
    put(at, "a", "b")
    with pytest.raises(PaiConfigError, match="allow_empty=True"):
        run(OssUploadOperator, path=str(tmp_path), uri=at, delete=True)
    assert keys(at) == ["a", "b"]


def test_a_person_syncs_a_folder_with_links_and_finds_what_they_lead_to(at, tmp_path):
    put(at, "latest/model")
    (tmp_path / "runs/3").mkdir(parents=True)
    (tmp_path / "runs/3/model").write_text("3")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/latest").symlink_to(tmp_path / "runs/3")
    run(OssUploadOperator, path=str(tmp_path / "here"), uri=at, delete=True)
    assert OssHook().get(at + "latest/model") == b"3"


def test_a_person_misspells_a_prefix_and_keeps_the_local_files(at, tmp_path):
    (tmp_path / "rows.csv").write_text("1")
    with pytest.raises(PaiConfigError, match="nothing is at the source"):
        run(OssDownloadOperator, uri=at.replace("data", "dta"), path=str(tmp_path), delete=True)
    assert (tmp_path / "rows.csv").exists()


def test_a_person_copies_keys_with_two_slashes_and_gets_as_many_objects(at):
    put(at, "src/x", "src//x", "src//y")
    run(OssCopyOperator, source=at + "src/", target=at + "out/")
    assert keys(at + "out/") == ["/x", "/y", "x"]
    assert OssHook().get(at + "out//x") == b"src//x"


def test_a_person_proves_a_model_whose_file_lies_behind_two_slashes(at):
    put(at, "v1//w.bin")
    written = write_artifact(OssHook(), ModelArtifact(name="m", version="20260101T0000Z-0", uri=at + "v1/"))
    assert read_artifact(OssHook(), at + "v1/").digest == written.digest


def test_a_person_waits_for_a_file_with_brackets_in_its_name(at):
    put(at, "report [final].csv", "data[1].csv", "data1.csv")
    for name in ("report [final].csv", "data[1].csv"):
        sensor = Task(lambda name=name: OssKeySensor(task_id="task", uri=at + name, poke_interval=0.02, timeout=5))
        assert sensor.run() == [at + name]


def test_a_person_deletes_what_a_list_gave_and_nothing_else(at):
    put(at, "data[1].csv", "data1.csv", "old/1", "old/keep")
    listed = run(OssListOperator, uri=at, include=["data[[]*", "old/[0-9]"])
    for _ in range(2):  # the second time nothing of it is there
        assert run(OssDeleteOperator, uri=listed) == 2
    assert keys(at) == ["data1.csv", "old/keep"]


def test_a_person_deletes_by_a_pattern_in_the_address_and_is_told_where_patterns_go(at):
    put(at, "a.tmp")
    with pytest.raises(PaiConfigError, match=r"no object has this very name; patterns: .* include='\*\.tmp'"):
        run(OssDeleteOperator, uri=at + "*.tmp")
    assert run(OssDeleteOperator, uri=at, include="*.tmp") == 1


def test_a_person_deletes_a_path_with_brackets_and_no_other(at):
    put(at, "data[1].csv", "data1.csv")
    ObjectStoragePath(at.replace("oss://", "oss://pai_default@") + "data[1].csv").unlink()
    assert keys(at) == ["data1.csv"]


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2.11 refuses such a name itself")
def test_a_person_names_an_asset_in_chinese(at):
    asset = Asset("oss://my-team/文件")
    assert asset.uri.isascii(), "Airflow's table takes no other, and then triggers no DAG of the file"
    assert str(address_of(asset)) == "oss://my-team/文件"
