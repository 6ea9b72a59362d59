"""File system of OSS (fsspec) for `ObjectStoragePath("oss://pai_default@bucket/key")`.

A layer of our own and not ossfs: it has the connection's credentials, CRC64 and retries, and needs no second SDK.
Nothing is cached: what another process writes is seen at once. Whoever opens for writing has an object when the file is
closed without an error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import has_magic
from fsspec.spec import AbstractBufferedFile

from airflow_provider_pai.exceptions import PaiNotFoundError
from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.inputs import parse_uri
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

schemes = ["oss"]


def get_fs(conn_id: str | None, storage_options: Json | None = None) -> OssFileSystem:
    """Return the file system of a connection; what Airflow calls."""
    return OssFileSystem(conn_id=conn_id or OssHook.default_conn_name, **(storage_options or {}))


class OssFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Buckets and objects as folders and files.

    :param conn_id: connection of type `pai`.
    :param region: overrides the connection's region.
    """

    protocol = "oss"
    root_marker = ""

    def __init__(self, conn_id: str = OssHook.default_conn_name, region: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.region = region

    @cached_property
    def hook(self) -> OssHook:
        """Return the hook."""
        return OssHook(self.conn_id, self.region)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """List one level: buckets, or what lies below a path; a file lists itself.

        :raises FileNotFoundError: there is nothing.
        """
        path = self._strip_protocol(path)
        entries = self._level(path) or [each for each in [self._file_info(path)] if each]
        if not entries and not self._is_folder(path):
            raise FileNotFoundError(path)
        return entries if detail else [each["name"] for each in entries]

    def info(self, path: str, **_: Any) -> Json:
        """Describe a file, a folder (something lies below it) or a bucket.

        :raises FileNotFoundError: there is nothing.
        """
        path = self._strip_protocol(path)
        entry = self._file_info(path)
        if entry is None and not self._is_folder(path):
            raise FileNotFoundError(path)
        return entry or {"name": path, "size": 0, "type": "directory"}

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **kwargs: Any
    ) -> Any:
        """Return every file below a path, in one listing."""
        if maxdepth is not None or withdirs or not self._strip_protocol(path):
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **kwargs)
        path = self._strip_protocol(path)
        itself = self._file_info(path)
        below = (_entry(info) for info in self.hook.list_objects(_uri(path).folder) if not info.is_marker)
        entries = {each["name"]: each for each in [*([itself] if itself else []), *below]}
        return entries if detail else list(entries)

    def created(self, path: str) -> datetime:
        """Return the time of the last write: an object has no other."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Return the time of the last write."""
        moment: datetime = self.info(path)["last_modified"]
        return moment

    def checksum(self, path: str) -> str:
        """Return the ETag."""
        return str(self.info(path)["etag"])

    def sign(self, path: str, expiration: int = 3600, **_: Any) -> str:
        """Return a URL that is good for some seconds."""
        return self.hook.presign(_uri(self._strip_protocol(path)), expires=expiration)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Create a bucket; below one there are no folders to create."""
        path = self._strip_protocol(path)
        if "/" not in path:
            self.hook.create_bucket(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: there are no folders to create, and a bucket is not made in passing."""

    def rmdir(self, path: str) -> None:
        """Delete an empty bucket."""
        path = self._strip_protocol(path)
        if "/" not in path:
            self.hook.delete_bucket(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return a file's bytes."""
        uri = _uri(self._strip_protocol(path))
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start, end = start and start % size, end and end % size
        info = self._existing(uri)
        last = info.size if end is None else min(end, info.size)
        return self.hook.get(uri, start=start or 0, size=None if (not start and end is None) else last - (start or 0))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file."""
        self.hook.put(_uri(self._strip_protocol(path)), value, overwrite=mode == "overwrite")

    def get_file(self, rpath: str, lpath: Any, callback: Any = None, **_: Any) -> None:
        """Download a file, or make a folder."""
        path = self._strip_protocol(rpath)
        if self.isdir(path):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        self._existing(_uri(path))
        self.hook.download(_uri(path), Path(lpath))

    def put_file(self, lpath: Any, rpath: str, callback: Any = None, mode: str = "overwrite", **_: Any) -> None:
        """Upload a file; a folder is nothing."""
        if not Path(lpath).is_dir():
            self.hook.upload(Path(lpath), _uri(self._strip_protocol(rpath)), overwrite=mode == "overwrite")

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file within OSS."""
        source = _uri(self._strip_protocol(path1))
        self._existing(source)
        self.hook.copy(source, _uri(self._strip_protocol(path2)))

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        self.hook.delete(_uri(self._strip_protocol(path)))

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete files, 1,000 a call; of folders only what lies below, and only if `recursive`. No name is a pattern.

        :raises FileNotFoundError: there is nothing.
        """
        for each in [path] if isinstance(path, str) else path:
            self.info(each)
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)
        uris = [_uri(each) for each in paths if "/" in each]
        self.hook.delete_many([*uris, *(uri.folder for uri in uris if recursive)])

    def expand_path(
        self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None, **_: Any
    ) -> list[str]:
        """Return the paths that are meant: what is there is meant itself, also where its name seems a pattern.

        :raises FileNotFoundError: there is nothing.
        """
        found: set[str] = set()
        for each in map(self._strip_protocol, [path] if isinstance(path, str) else path):
            is_pattern = has_magic(each) and not self.exists(each)
            depth = maxdepth - 1 if is_pattern and maxdepth else maxdepth
            for one in self.glob(each, maxdepth=maxdepth) if is_pattern else [each]:
                below = set(self.find(one, maxdepth=depth, withdirs=True)) if recursive and depth != 0 else set()
                found |= below | ({one} if not recursive or self.exists(one) else set())
        if not found:
            raise FileNotFoundError(path)
        return sorted(found)

    def copy(self, path1: Any, path2: Any, *arguments: Any, **options: Any) -> None:
        """Copy files within OSS."""
        if _seems_pattern(path1, path2) and self.isfile(path1):
            self.cp_file(path1, _into(path1, path2, self.isdir))
        else:
            super().copy(path1, path2, *arguments, **options)

    def get(self, rpath: Any, lpath: Any, *arguments: Any, **options: Any) -> None:
        """Download files."""
        if _seems_pattern(rpath, lpath) and self.isfile(rpath):
            self.get_file(rpath, _into(rpath, lpath, os.path.isdir))
        else:
            super().get(rpath, lpath, *arguments, **options)

    def put(self, lpath: Any, rpath: Any, *arguments: Any, **options: Any) -> None:
        """Upload files."""
        if _seems_pattern(lpath, rpath) and Path(lpath).is_file():
            self.put_file(lpath, _into(lpath, rpath, self.isdir))
        else:
            super().put(lpath, rpath, *arguments, **options)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> Any:
        if mode in ("wb", "xb"):
            return OssFile(self, _uri(path), overwrite=mode == "wb")
        if mode != "rb":
            raise ValueError(f"mode: {mode!r} is not allowed; one of rb, wb, xb")
        info = self._existing(_uri(path))
        return _Reader(self, path, mode, block_size or 5 << 20, size=info.size, etag=info.etag, **kwargs)

    def _level(self, path: str) -> list[Json]:
        if not path:
            return [{"name": name, "size": 0, "type": "directory"} for name in self.hook.bucket_names()]
        objects, prefixes = self.hook.list_folder(_uri(path))
        folders = ({"name": _name(prefix).rstrip("/"), "size": 0, "type": "directory"} for prefix in prefixes)
        return [*(_entry(info) for info in objects if not info.is_marker), *folders]

    def _file_info(self, path: str) -> Json | None:
        if "/" not in path:
            return None
        try:
            info = self.hook.head(_uri(path))
        except PaiNotFoundError:
            return None  # not even a bucket
        return _entry(info) if info else None

    def _is_bucket(self, path: str) -> bool:
        return not path or ("/" not in path and self.hook.bucket_exists(path))

    def _is_folder(self, path: str) -> bool:
        if "/" not in path:
            return self._is_bucket(path)
        try:
            return next(self.hook.list_objects(_uri(path).folder), None) is not None
        except PaiNotFoundError:
            return False  # not even a bucket

    def _existing(self, uri: OssUri) -> ObjectInfo:
        info = self.hook.head(uri) if uri.key else None
        if info is None:
            raise FileNotFoundError(str(uri))
        return info


class OssFile(io.RawIOBase):
    """A file that is written; an error inside its `with` leaves no object."""

    def __init__(self, fs: OssFileSystem, uri: OssUri, *, overwrite: bool) -> None:
        super().__init__()
        self._writer = fs.hook.writer(uri, overwrite=overwrite)
        self._at = 0

    def writable(self) -> bool:
        """Tell that it is."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        size = self._writer.write(memoryview(data).cast("B"))
        self._at += size
        return size

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._at

    def discard(self) -> None:
        """Leave no object."""
        self._writer.abort()

    def close(self) -> None:
        """Put the object in place."""
        if not self.closed:
            try:
                self._writer.close()
            except BaseException:
                self._writer.abort()
                raise
            finally:
                super().close()

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Close, or after an error discard."""
        if error is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Discard what nobody closed."""
        if not self.closed:
            self.discard()
            super().close()


class _Reader(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read, in blocks ahead."""

    def __init__(self, *arguments: Any, etag: str, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.etag = etag

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.hook.get(_uri(self.path), start=start, size=end - start, etag=self.etag)  # type: ignore[no-any-return]


def _uri(path: str) -> OssUri:
    return parse_uri("path", f"oss://{path}")


def _name(uri: OssUri) -> str:
    return f"{uri.bucket}/{uri.key}"


def _seems_pattern(source: Any, target: Any) -> bool:
    """Tell whether fsspec would take a file's name for a pattern, and so another file for it."""
    return isinstance(source, str) and isinstance(target, str) and has_magic(source)


def _into(source: str, target: str, is_folder: Callable[[str], bool]) -> str:
    """Return the path of a file that goes to a path, or into a folder."""
    is_below = target.endswith("/") or is_folder(target)
    return f"{target.rstrip('/')}/{source.rpartition('/')[2]}" if is_below else target


def _entry(info: ObjectInfo) -> Json:
    return {
        "name": _name(info.uri),
        "size": info.size,
        "type": "file",
        "etag": info.etag,
        "last_modified": info.last_modified,
        "storage_class": info.storage_class,
    }


__all__ = ["OssFile", "OssFileSystem", "get_fs", "schemes"]
