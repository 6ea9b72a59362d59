"""Paths on OSS, as Airflow's ObjectStoragePath and fsspec use them."""

from __future__ import annotations

import contextlib
import json
import os
import pickle

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_pai.exceptions import PaiConfigError, PaiTransferError
from airflow_provider_pai.fs.oss import OssFileSystem, get_fs
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.upload import PART

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def fs():
    OssFileSystem.clear_instance_cache()
    return get_fs("pai_default", {})


@pytest.fixture
def root(bucket, fs):
    OssHook().put(f"oss://{bucket.bucket_name}/d/a.txt", "1")
    OssHook().put(f"oss://{bucket.bucket_name}/d/sub/b.txt", "22")
    bucket.put_object("d/empty/", b"")
    return bucket.bucket_name


def test_airflow_finds_it(root):
    path = ObjectStoragePath(f"oss://pai_default@{root}/d")
    assert sorted(each.name for each in path.iterdir()) == ["a.txt", "empty", "sub"]
    new = path / "new.txt"
    new.write_text("hello")
    assert (new.read_text(), new.exists(), new.is_file(), new.stat().st_size) == ("hello", True, True, 5)
    assert path.is_dir()
    new.move(path / "moved.txt")
    assert not new.exists()
    assert (path / "moved.txt").read_bytes() == b"hello"
    (path / "moved.txt").unlink()
    assert not (path / "moved.txt").exists()


def test_levels_and_facts(fs, root):
    assert fs.ls(f"oss://{root}/d", detail=False) == [f"{root}/d/a.txt", f"{root}/d/empty", f"{root}/d/sub"]
    assert fs.ls(f"{root}/d/a.txt", detail=False) == [f"{root}/d/a.txt"]
    assert root in fs.ls("", detail=False)
    assert fs.info(f"{root}/d/sub")["type"] == fs.info(root)["type"] == "directory"
    assert fs.info(f"{root}/d/a.txt")["size"] == fs.size(f"{root}/d/a.txt") == 1
    assert sorted(fs.find(f"{root}/d")) == [f"{root}/d/a.txt", f"{root}/d/sub/b.txt"]
    assert fs.glob(f"{root}/d/*/*.txt") == [f"{root}/d/sub/b.txt"]
    assert [folder for folder, _, _ in fs.walk(f"{root}/d")] == [f"{root}/d", f"{root}/d/empty", f"{root}/d/sub"]
    assert fs.du(f"{root}/d") == 3
    assert fs.checksum(f"{root}/d/a.txt") == OssHook().head(f"oss://{root}/d/a.txt").etag
    assert fs.modified(f"{root}/d/a.txt").tzinfo
    assert fs.sign(f"{root}/d/a.txt").startswith("http")


def test_what_is_not_there(fs, root):
    for look in (fs.ls, fs.info, fs.cat_file, fs.open):
        with pytest.raises(FileNotFoundError):
            look(f"{root}/none")
    assert not fs.exists(f"{root}/none")
    assert not fs.exists("no-such-bucket-anywhere")
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{root}/none")
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{root}/none", f"{root}/x")
    with pytest.raises(PaiConfigError):
        fs.cat_file("B/key")


@pytest.mark.parametrize("size", [0, 10, PART, PART + 1, 3 * PART + 5])
def test_files_of_every_size(fs, root, size):
    data = os.urandom(size)
    with fs.open(f"{root}/f", "wb") as file:
        for start in range(0, size, 3_000_001):
            file.write(data[start : start + 3_000_001])
        assert file.tell() == size
    with fs.open(f"{root}/f", "rb", block_size=1 << 20) as file:
        assert file.read() == data
        file.seek(size // 2)
        assert file.read(7) == data[size // 2 : size // 2 + 7]
    assert b"".join(OssHook().read_blocks(f"oss://{root}/f")) == data


def test_an_error_while_writing_leaves_nothing(fs, root, bucket):
    for size in (1, 2 * PART):
        with contextlib.suppress(ZeroDivisionError), fs.open(f"{root}/torn", "wb") as file:
            file.write(bytes(size))
            size / 0
    file = fs.open(f"{root}/torn", "wb")
    file.write(b"1")
    del file  # nobody closed it
    assert not fs.exists(f"{root}/torn")
    assert bucket.list_multipart_uploads().upload_list == []


def test_a_file_that_must_not_be_there(fs, root):
    from airflow_provider_pai.exceptions import PaiConflictError

    with pytest.raises(PaiConflictError), fs.open(f"{root}/d/a.txt", "xb") as file:
        file.write(b"2")
    assert fs.cat_file(f"{root}/d/a.txt") == b"1"
    with pytest.raises(ValueError, match="mode"):
        fs.open(f"{root}/d/a.txt", "ab")


def test_an_object_that_is_replaced_while_it_is_read(fs, root):
    fs.pipe_file(f"{root}/f", bytes(3 << 20))
    with fs.open(f"{root}/f", "rb", block_size=1 << 20, cache_type="none") as file:
        file.read(10)
        fs.pipe_file(f"{root}/f", b"1" * (3 << 20))
        with pytest.raises(PaiTransferError, match="replaced"):
            file.read(10)


def test_a_stream_goes_on_where_its_connection_broke(pai, root):
    data = os.urandom(5 << 20)
    OssHook().put(f"oss://{root}/f", data)
    pai.account.faults.add(match="oss GET", cut_after=2 << 20)
    assert b"".join(OssHook().read_blocks(f"oss://{root}/f")) == data


def test_a_file_is_the_one_of_that_name_whatever_pattern_it_seems(fs, root, tmp_path):
    home = ObjectStoragePath(f"oss://pai_default@{root}/p")
    (home / "data1.csv").write_text("other")
    path = home / "data[1].csv"
    path.write_text("own")
    assert (path.read_text(), fs.cat(f"{root}/p/data[1].csv")) == ("own", b"own")
    path.copy(home / "copy [1].csv")
    (home / "copy [1].csv").move(home / "moved [1].csv")
    assert sorted(each.name for each in home.iterdir()) == ["data1.csv", "data[1].csv", "moved [1].csv"]
    (tmp_path / "data1.csv").write_text("local")
    for target in ("got [1].csv", "into/"):
        fs.get(f"{root}/p/data[1].csv", f"{tmp_path}/{target}")
    assert (tmp_path / "got [1].csv").read_text() == (tmp_path / "into/data[1].csv").read_text() == "own"
    fs.put(f"{tmp_path}/got [1].csv", f"{root}/p/put [1].csv")
    assert fs.cat_file(f"{root}/p/put [1].csv") == b"own"
    path.unlink()
    path.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{root}/p/data[1].csv")
    assert fs.expand_path(f"{root}/p/data[1].csv") == [f"{root}/p/data1.csv"], "a pattern, where nothing bears the name"
    fs.pipe_file(f"{root}/run [1]/a", b"1")
    fs.get(f"{root}/run [1]", f"{tmp_path}/run", recursive=True)
    assert (tmp_path / "run/a").read_bytes() == b"1"
    fs.rm(f"{root}/run [1]", recursive=True)
    assert not fs.exists(f"{root}/run [1]")
    assert (home / "data1.csv").read_text() == "other"


def test_whole_folders(fs, root, tmp_path):
    fs.get(f"{root}/d/", str(tmp_path / "got") + "/", recursive=True)
    assert (tmp_path / "got/sub/b.txt").read_text() == "22"
    fs.put(str(tmp_path / "got"), f"{root}/put", recursive=True)
    fs.cp(f"{root}/put/sub/b.txt", f"{root}/copy")
    assert fs.cat(f"{root}/copy") == b"22"
    fs.rm(f"{root}/d", recursive=True)
    assert not fs.exists(f"{root}/d")
    assert fs.exists(f"{root}/copy")
    assert fs.cat_file(f"{root}/copy", -1) == b"2"
    assert fs.cat_file(f"{root}/copy", 0, 1) == b"2"


def test_it_goes_to_another_process(fs, root):
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat_file(f"{root}/d/a.txt") == b"1"


def test_xcoms_on_oss(root, monkeypatch):
    pytest.importorskip("airflow.providers.common.io.xcom.backend")
    from airflow.providers.common.io.xcom import backend

    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"oss://pai_default@{root}/xcom")
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD", "10")
    for cached in ("_get_base_path", "_get_threshold", "_get_compression"):
        getattr(backend, cached).cache_clear()
    value = {"rows": list(range(100))}
    kept = backend.XComObjectStorageBackend.serialize_value(
        value, key="return_value", task_id="t", dag_id="d", run_id="r", map_index=-1
    )
    (info,) = OssHook().list_objects(f"oss://{root}/xcom/")
    assert json.loads(OssHook().get(info.uri)) == value
    assert backend.XComObjectStorageBackend.deserialize_value(type("Row", (), {"value": kept})) == value
