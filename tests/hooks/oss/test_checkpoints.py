import pytest

from airflow_provider_pai.hooks.oss.checkpoints import forget, load, save

UPLOAD = {"upload": "u1", "size": 10}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.bin.checkpoint"


def test_the_next_process_goes_on_with_the_same_transfer(path):
    save(path, {**UPLOAD, "parts": [1, 2]})
    assert load(path, UPLOAD) == {**UPLOAD, "parts": [1, 2]}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_another_transfers_checkpoint_is_none(path):
    save(path, {**UPLOAD, "parts": []})
    assert load(path, {**UPLOAD, "size": 11}) is None
    assert load(path, {**UPLOAD, "etag": "x"}) is None


@pytest.mark.parametrize("content", [b"", b'{"upload": "u', b"[1]", b"null", b"\xff"])
def test_a_torn_checkpoint_is_none(path, content):
    path.write_bytes(content)
    assert load(path, UPLOAD) is None


def test_what_is_forgotten_is_gone_and_twice_is_no_error(path):
    save(path, UPLOAD)
    forget(path)
    forget(path)
    assert load(path, UPLOAD) is None


def test_without_a_path_nothing_is_kept():
    save(None, UPLOAD)
    forget(None)
    assert load(None, UPLOAD) is None
