"""Local folders: every file or an error; keys as paths."""

from __future__ import annotations

import os

import pytest

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.local import files_below, local_path
from airflow_provider_pai.hooks.oss.patterns import Patterns


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "sub/b", "sub/deep/c"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "there").mkdir()
    (tmp_path / "there/d").touch()
    return tmp_path / "here"


def names(folder, include=None, exclude=None, **options):
    return [name for name, _ in files_below(folder, Patterns(include, exclude), **options)]


def test_links_are_followed_to_files_and_folders(folder):
    (folder / "to_folder").symlink_to(folder.parent / "there")
    (folder / "sub/to_file").symlink_to(folder / "a")
    assert names(folder) == ["a", "sub/b", "sub/deep/c", "sub/to_file", "to_folder/d"]
    assert names(folder, exclude="to_folder/*") == ["a", "sub/b", "sub/deep/c", "sub/to_file"]
    assert "to_folder/d" not in names(folder, follow=False)


def test_files_come_in_the_order_of_their_keys(tmp_path):
    for name in ("a/b/c", "a/b.c", "a-b/c", "a.b", "a0", "a/é", "a/z", "é/a", "z/\U0001f600", "z/\uffee"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path) == sorted(names(tmp_path), key=str.encode)
    assert len(names(tmp_path)) == 10


WRONG = {
    "a link that leads nowhere": (lambda folder: (folder / "odd").symlink_to("none"), "odd"),
    "a link to itself": (lambda folder: (folder / "odd").symlink_to("odd"), "odd"),
    "a link to where it lies": (lambda folder: (folder / "sub/odd").symlink_to(folder), "odd.*no link that leads back"),
    "a circle of two": (
        lambda folder: [(folder / "odd").symlink_to("sub"), (folder / "sub/y").symlink_to(folder)],
        "no link that leads back",
    ),
    "a pipe": (lambda folder: os.mkfifo(folder / "odd"), "odd"),
    "a name that is not UTF-8": (lambda folder: (folder / os.fsdecode(b"\xff")).touch(), "UTF-8"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_can_t_be_a_key_is_refused_by_name_unless_it_is_excluded(folder, wrong):
    make, named = WRONG[wrong]
    make(folder)
    with pytest.raises(PaiConfigError, match=named):
        names(folder)
    if "UTF-8" not in wrong:
        assert names(folder, exclude=["odd", "*/odd", "sub/*", "odd/*"])[0] == "a"
        assert names(folder, follow=False) == ["a", "sub/b", "sub/deep/c"]


def test_a_folder_that_breaks_off_is_not_taken_for_an_empty_one(folder, monkeypatch):
    def refuse(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PaiConfigError, match=r"sub.*Permission denied"):
        names(folder)
    assert names(folder, exclude="sub/*") == ["a"]


@pytest.mark.parametrize("key", ["", "a//b", "./a", "..", "a/../../b", "a\0b", "é" * 128, "a/"])
def test_a_key_that_is_no_path_is_refused_by_name(tmp_path, key):
    with pytest.raises(PaiConfigError, match="key: "):
        local_path(tmp_path, key)


@pytest.mark.parametrize("key", ["a", "a b/c\nd", "\\a", "é" * 127, "...", "-", "[x]?*"])
def test_a_key_is_its_path(tmp_path, key):
    path = local_path(tmp_path, key)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert names(tmp_path) == [key]
