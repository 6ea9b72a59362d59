"""Names: a key that enters anywhere leaves as the same bytes, or is refused by name."""

from __future__ import annotations

import os
import re
import tempfile
from itertools import count
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_pai.artifact import MANIFEST_NAME, Manifest, ModelArtifact
from airflow_provider_pai.assets.oss import address_of, create_asset
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.fs.oss import get_fs
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.manifests import read_artifact, write_artifact
from airflow_provider_pai.operators.oss import OssDeleteOperator, OssListOperator
from airflow_provider_pai.triggers.oss_listings import find_now
from airflow_provider_pai.uri import OssUri
from tests.task import Task

pytestmark = pytest.mark.usefixtures("connection")

PIECES = [
    *("a", "b.csv", "/", "//", "[", "]", "[a]", "%", "%2F", "%41", "\n", "\r", "\t", " ", "+", "*", "?", "#", "&", "<"),
    *("=", ";", ":", "@", "'", '"', "\\", ".", "..", "~", "\x00", "\x01", "\x1f", "\x7f", "\u0085", "\u2028", "\ufeff"),
    *("é", "e\u0301", "\u0301", "文件", "ß", "İ", "😀", "👩\u200d💻", "\uffff", "\U0010ffff", MANIFEST_NAME),
]
LONGEST = 1000
"""Bytes: what is left of 1,023 behind a prefix of these tests."""


def cut(name):
    return name.encode()[:LONGEST].decode(errors="ignore")


any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
pieces = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
long = st.builds(lambda piece, tail: cut(piece * LONGEST)[: -len(tail)] + tail, st.sampled_from(PIECES), any_text)
names = st.lists((pieces | any_text | long).map(cut).filter(bool), min_size=1, max_size=3, unique=True)


def data_of(name):
    return name.encode()[-20:] or b"-"


def contents(hook, at):
    """Return what lies below a prefix, by names."""
    infos = list(hook.list_objects(at))
    return {info.uri.key[len(at.key) :]: hook.get(info.uri) for info in infos}


def listed(hook, at, tree):
    uris = sorted((str(at.join(name)) for name in tree), key=str.encode)
    assert Task(lambda: OssListOperator(task_id="task", uri=str(at))).run() == uris
    assert [str(info.uri) for info in hook.list_objects(at)] == uris


def found(hook, at, tree):
    """As the sensor finds them: whatever they seem to be patterns of, each is itself."""
    uris = [str(at.join(name)) for name in tree if not name.endswith("/")]
    assert {uri: [str(info.uri) for info in infos] for uri, infos in find_now(hook, uris).items()} == {
        uri: [uri] for uri in uris
    }
    assert [str(info.uri) for uri in uris for info in hook.find(uri)] == uris


def copied(hook, at, tree):
    other = OssUri(at.bucket, f"c{at.key[1:]}")
    hook.copy_folder(at, other, delete=True)
    assert contents(hook, other) == tree
    assert hook.copy_folder(at, other, delete=True).unchanged == len(tree)
    for name in tree:
        hook.copy(at.join(name), other.join("one"))
        assert hook.get(other.join("one")) == tree[name]


def down_and_up(hook, at, tree):
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "folder")
        if refusal := refused(lambda: hook.download_folder(at, folder)):
            assert refusal.field == "key"
            assert str(refusal.value).removeprefix(str(at)) in tree
            assert not folder.exists()
            return
        assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in files(folder)} == tree
        other = OssUri(at.bucket, f"u{at.key[1:]}")
        hook.upload_folder(folder, other, delete=True)
        assert contents(hook, other) == tree
        assert hook.upload_folder(folder, other, delete=True).unchanged == len(tree)
        for name in tree:
            hook.download(at.join(name), Path(top, "one"))
            hook.upload(Path(top, "one"), other.join("one"))
            assert hook.get(other.join("one")) == tree[name]


def refused(call):
    """Return the refusal of a call; None: it was none."""
    try:
        call()
    except PaiConfigError as error:
        return error
    return None


def files(folder):
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


def proved(hook, at, tree):
    if others := set(tree) - {MANIFEST_NAME}:
        written = write_artifact(hook, ModelArtifact(name="m", version="20260101T0000Z-0", uri=str(at)))
        manifest = Manifest.from_bytes(hook.get(at.join(MANIFEST_NAME)))
        assert {file.key for file in manifest.files} == others
        assert read_artifact(hook, str(at)).digest == written.digest


def as_paths(hook, at, tree):
    fs = get_fs("pai_default")
    for name in tree:
        path = f"{at.bucket}/{at.key}{name}"
        if not name.endswith("/"):
            assert fs.cat_file(path) == tree[name]
            assert fs.info(path)["name"] == path
            assert fs.expand_path(path) == [path]
    assert set(fs.find(f"{at.bucket}/{at.key}")) == {f"{at.bucket}/{at.key}{name}" for name in tree}


def as_assets(hook, at, tree):
    for key in (at.join(name).key for name in tree):
        try:
            asset = create_asset(bucket=at.bucket, key=key)
        except ValueError as error:
            assert re.search("exceed 1500 characters|<= 3000", str(error))  # noqa: PT017 - Airflow's own bound
        else:
            assert (asset.uri.isascii(), address_of(asset)) == (True, OssUri(at.bucket, key.rstrip("/")))


def deleted(hook, at, tree):
    *gone, kept = tree
    uris = [str(at.join(name)) for name in gone if not name.endswith("/") and "\0" not in name]
    if uris:  # no operator takes a NUL: it is refused by name
        assert Task(lambda: OssDeleteOperator(task_id="task", uri=uris)).run() == len(uris)
    assert hook.delete_many(at.join(name) for name in gone) == len(gone)
    assert contents(hook, at) == {kept: tree[kept]}
    hook.delete(at.join(kept))
    assert contents(hook, at) == {}


WAYS = [listed, found, copied, down_and_up, proved, as_paths, as_assets, deleted]
number = count()


@pytest.mark.fuzz
@given(names, st.sampled_from(WAYS))
@example(["x", "/x", "x/", "a//b"], copied)
@example(["data[1].csv", "data1.csv", "report [final].csv", "a*", "ab"], found)
@example(["a\rb", "a\nb", "a\x01b"], deleted)
@example(["x", "/w.bin", "a//w.bin"], proved)
def test_a_key_leaves_as_the_bytes_that_entered(bucket, names, way):
    hook, at = OssHook(), OssUri(bucket.bucket_name, f"p{next(number)}/")
    tree = {name: data_of(name) for name in names}
    for name, data in tree.items():
        hook.put(at.join(name), data)
    way(hook, at, tree)


@pytest.mark.parametrize("piece", ["k", "文", "😀", "[", "%", "\n", "\x01"])
def test_a_key_of_1023_bytes_is_the_longest(bucket, piece):
    hook, most = OssHook(), 1023 // len(piece.encode())
    uri = OssUri(bucket.bucket_name, piece * most)
    hook.put(uri, b"1")
    hook.copy(uri, OssUri(bucket.bucket_name, "copy"))
    assert [info.uri for info in hook.list_objects(f"oss://{bucket.bucket_name}")] == sorted(
        [uri, uri._replace(key="copy")], key=lambda each: each.key.encode()
    )
    assert find_now(hook, [str(uri)])[str(uri)][0].uri == uri
    for longer in (str(uri) + piece * 3 + "x", OssUri(uri.bucket, uri.key + piece * 3)):
        with pytest.raises(PaiConfigError, match=r"uri: .* is not allowed; .*at most 1,023 bytes"):
            hook.put(longer, b"1")
    assert hook.delete_many([uri]) == 1
    assert hook.head(uri) is None
