"""Data folder of an emulator: nobody else's to read."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_pai.emulator import Emulator
from tests.conftest import oss_bucket


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_folder_is_its_users_alone_and_so_is_what_holds_the_key(tmp_path):
    with Emulator(tmp_path / "new") as pai:
        oss_bucket(pai, "some-bucket").create_bucket()
        assert mode(tmp_path / "new") == 0o700
        with_secrets = [path for path in (tmp_path / "new").iterdir() if path.name.startswith("state.sqlite")]
        assert len(with_secrets) > 1
        assert {mode(path) for path in with_secrets} == {0o600}


def test_a_folder_that_others_could_read_is_closed(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir(mode=0o755)
    (folder / "state.sqlite").touch(mode=0o644)
    with Emulator(folder):
        assert (mode(folder), mode(folder / "state.sqlite")) == (0o700, 0o600)
