"""Local folders whose files are keys on OSS: every file of one, or an error, and the path of every key."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.hooks.oss.patterns import Patterns
from airflow_provider_pai.inputs import unusable
from airflow_provider_pai.uri import OssUri
from airflow_provider_pai.values import is_utf8

_LONGEST_NAME = 255
"""Bytes that Linux's and macOS's file systems take as a name."""


def files_below(folder: Path, patterns: Patterns, *, follow: bool = True) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder by their paths with `/`, in the order of keys; an error ends it.

    :param follow: links to folders are gone into, and what is neither file nor folder is refused; else both are left
        out: a link does not lead to what is the folder's own.
    :raises PaiNotFoundError: the folder is not there.
    :raises PaiConfigError: a folder can't be read, a link leads nowhere or in a circle, or a name is not UTF-8.
    """
    # Keys, the next one last; those of folders end with `/`. Of a million files their keys are held, folder by folder.
    waiting, trail = [""], list[tuple[str, str]]()
    while waiting:
        key = waiting.pop()
        if key and not key.endswith("/"):
            yield key, folder / key
            continue
        trail = [(above, real) for above, real in trail if key.startswith(above)]
        trail.append((key, _real(folder / key, [real for _, real in trail])))
        waiting += sorted(_keys(folder, key, patterns, follow), reverse=True)


def _keys(folder: Path, prefix: str, patterns: Patterns, follow: bool) -> Iterator[str]:
    """Yield the keys of what lies in one folder."""
    for entry in _entries(folder / prefix):
        key = prefix + entry.name
        if not is_utf8(key):
            raise PaiConfigError("folder", str(folder), f"names in UTF-8, which {os.fsencode(key)!r} is not")
        if _is(entry, "is_dir"):
            if not patterns.leave_out(f"{key}/") and (follow or not entry.is_symlink()):
                yield f"{key}/"
        elif patterns.match(key):
            if _is(entry, "is_file"):
                yield key
            elif follow:
                raise PaiConfigError("folder", entry.path, "a file, a folder, or a link to one that can be read")


def local_path(folder: Path, name: str) -> Path:
    """Return the path of a key below a folder.

    :raises PaiConfigError: it would lead out of the folder, or is no path.
    """
    parts = name.split("/")
    path = folder.joinpath(*parts)
    is_path = all(part not in ("", ".", "..") and "\0" not in part and _fits(part) for part in parts)
    if not is_path or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise PaiConfigError("key", name, f"a path below {folder}, of names of at most {_LONGEST_NAME} bytes")
    return path


def check_paths(prefix: OssUri, folder: Path, names: Iterable[str]) -> None:
    """Refuse keys that are no paths below a folder, or of which one would have to be a folder of the other.

    :param names: in the order of keys.
    """
    above: list[str] = []
    for name in names:
        local_path(folder, name)
        while above and not name.startswith(above[-1]):
            above.pop()
        for parent in above:
            if name.startswith(f"{parent}/"):
                raise PaiConfigError("key", f"{prefix}{name}", f"no key below {prefix}{parent}, which is a file")
        above.append(name)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise unusable("folder", str(folder), "a folder that can be read", error) from None


def _is(entry: os.DirEntry[str], kind: str) -> bool:
    """Tell whether it is that; a link in a circle, or to what may not be looked at, is nothing."""
    try:
        return bool(getattr(entry, kind)())
    except OSError:
        return False


def _real(folder: Path, above: Collection[str]) -> str:
    real = os.path.realpath(folder)
    if real in above:
        raise PaiConfigError("folder", str(folder), f"no link that leads back to {real}, in which it lies")
    return real


def _fits(name: str) -> bool:
    return len(name.encode(errors="surrogatepass")) <= _LONGEST_NAME
