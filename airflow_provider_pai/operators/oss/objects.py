"""Operators on objects and folders of OSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.inputs import flag, object_uri, optional, parse_uri, required, texts, whole_number
from airflow_provider_pai.operators.oss.base import OssOperator, on_the_worker
from airflow_provider_pai.remote import Json
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.oss.folder import FolderReport
    from airflow_provider_pai.hooks.oss.options import FolderOptions


class OssUploadOperator(OssOperator):
    """Upload a file or a folder; of a folder, files that are there unchanged are left out.

    A large file goes in parts, side by side; what is uploaded is compared with OSS's CRC64.

    :param path: the file or folder on the worker. (templated)
    :param uri: `oss://bucket/key` for a file, or a prefix for a folder; a file's own name is put behind a `/`.
        (templated)
    :param include: patterns of a folder's paths, e.g. `*.csv`. (templated)
    :param exclude: patterns of paths to leave out. (templated)
    :param delete: delete objects below the prefix that have no file: a sync.
    :param allow_empty: a sync may delete everything where nothing is at the source; else that is refused.
    :param overwrite: False: a file's object that exists stays as it is, and the task fails.
    :param storage_class: of a file's object; None: the bucket's.
    :param tags: of a file's object. (templated)
    :param checkpoint: file on the worker from which a retry goes on with a large file. (templated)
    :returns: `{"uri", "size"}` of a file, with `"moved", "unchanged", "deleted"` of a folder.
    """

    about = "Upload {path} to {uri}"
    came = "{uri}: {size} bytes are there"

    template_fields: Sequence[str] = (
        "path",
        "uri",
        "include",
        "exclude",
        "tags",
        "checkpoint",
    )

    def __init__(
        self,
        *,
        path: str,
        uri: str,
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        delete: bool = False,
        allow_empty: bool = False,
        overwrite: bool = True,
        storage_class: str | None = None,
        tags: Mapping[str, str] | None = None,
        checkpoint: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.uri = uri
        self.include = include
        self.exclude = exclude
        self.delete = flag("delete", delete)
        self.allow_empty = flag("allow_empty", allow_empty)
        self.overwrite = flag("overwrite", overwrite)
        self.storage_class = storage_class
        self.tags = tags
        self.checkpoint = checkpoint

    def carry_out(self, context: Any) -> Json:
        """Upload."""
        path, to = _path(self.path), parse_uri("uri", self.uri)
        with on_the_worker("path", self.path):
            if path.is_dir():
                report = self.hook.upload_folder(path, to, **_options(self))
                return _told(to.folder, report)
            if not to.key or to.key.endswith("/"):
                to = to.join(path.name)
            self.writing_hook(context).upload(
                path,
                to,
                overwrite=self.overwrite,
                storage_class=self.storage_class,
                tags=self.tags,
                checkpoint=_checkpoint(self.checkpoint),
            )
            return {"uri": str(to), "size": path.stat().st_size}


class OssDownloadOperator(OssOperator):
    """Download an object to a file, or what lies below a prefix to a folder, without what is there unchanged.

    A file bears its name only when it is complete and has OSS's CRC64.

    :param uri: `oss://bucket/key`, or a prefix that ends in `/`. (templated)
    :param path: the file or folder on the worker; an object's own name is put behind a `/`. (templated)
    :param include: patterns of the keys below a prefix. (templated)
    :param exclude: patterns of keys to leave out. (templated)
    :param delete: delete files below the folder that have no object: a sync.
    :param allow_empty: a sync may delete everything where nothing is at the source; else that is refused.
    :param version: of the object; None: the newest. (templated)
    :param checkpoint: file on the worker from which a retry goes on with a large object. (templated)
    :returns: `{"path", "size"}` of an object, with `"uri", "moved", "unchanged", "deleted"` of a prefix.
    """

    about = "Download {uri} to {path}"
    came = "{path}: {size} bytes are there"

    template_fields: Sequence[str] = (
        "uri",
        "path",
        "include",
        "exclude",
        "version",
        "checkpoint",
    )

    def __init__(
        self,
        *,
        uri: str,
        path: str,
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        delete: bool = False,
        allow_empty: bool = False,
        version: str | None = None,
        checkpoint: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.path = path
        self.include = include
        self.exclude = exclude
        self.delete = flag("delete", delete)
        self.allow_empty = flag("allow_empty", allow_empty)
        self.version = version
        self.checkpoint = checkpoint

    def carry_out(self, context: Any) -> Json:
        """Download."""
        at = parse_uri("uri", self.uri)
        path = _path(self.path)
        with on_the_worker("path", self.path):
            if not at.key or at.key.endswith("/"):
                report = self.hook.download_folder(at, path, **_options(self))
                return {**_told(at, report), "path": str(self.path)}
            if str(self.path).endswith("/") or path.is_dir():
                path /= at.key.rpartition("/")[2]
            version = optional("version", self.version, "the version of an object")
            size = self.hook.download(at, path, version=version, checkpoint=_checkpoint(self.checkpoint))
            return {"path": str(path), "size": size}


class OssCopyOperator(OssOperator):
    """Copy an object, or what lies below a prefix, within OSS; the bytes do not pass by the worker.

    :param source: `oss://bucket/key`, or a prefix that ends in `/`. (templated)
    :param target: the same. (templated)
    :param include: patterns of the keys below a prefix. (templated)
    :param exclude: patterns of keys to leave out. (templated)
    :param delete: delete objects below the target that have no source: a sync.
    :param allow_empty: a sync may delete everything where nothing is at the source; else that is refused.
    :param overwrite: False: an object that exists stays as it is, and the task fails.
    :param storage_class: of the copy of an object; None: the bucket's.
    :returns: `{"uri"}`, with `"moved", "unchanged", "deleted", "size"` of a prefix.
    """

    about = "Copy {source} to {target}"
    came = "{uri} is there"

    template_fields: Sequence[str] = ("source", "target", "include", "exclude")

    def __init__(
        self,
        *,
        source: str,
        target: str,
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        delete: bool = False,
        allow_empty: bool = False,
        overwrite: bool = True,
        storage_class: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.include = include
        self.exclude = exclude
        self.delete = flag("delete", delete)
        self.allow_empty = flag("allow_empty", allow_empty)
        self.overwrite = flag("overwrite", overwrite)
        self.storage_class = storage_class

    def carry_out(self, context: Any) -> Json:
        """Copy."""
        source, target = parse_uri("source", self.source), parse_uri("target", self.target)
        if not source.key or source.key.endswith("/"):
            report = self.hook.copy_folder(source, target, **_options(self))
            return _told(target.folder, report)
        if not target.key or target.key.endswith("/"):
            target = target.join(source.key.rpartition("/")[2])
        hook = self.writing_hook(context)
        hook.copy(source, target, overwrite=self.overwrite, storage_class=self.storage_class)
        return {"uri": str(target)}


class OssDeleteOperator(OssOperator):
    """Delete objects, or what lies below a prefix; what is not there is no error.

    :param uri: `oss://bucket/key`, one or a list, each the very name of an object, never a pattern; a prefix that ends
        in `/`: everything below it. (templated)
    :param include: patterns of the keys below a prefix. (templated)
    :param exclude: patterns of keys to keep. (templated)
    :returns: how many objects were deleted.
    """

    about = "Delete {uri}"
    came = "{result} objects are deleted"

    template_fields: Sequence[str] = ("uri", "include", "exclude")

    def __init__(
        self,
        *,
        uri: str | Sequence[str],
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.include = include
        self.exclude = exclude

    def carry_out(self, context: Any) -> int:
        """Delete."""
        uris = [object_uri("uri", uri) for uri in texts("uri", self.uri) or ()]
        keys = [uri for uri in uris if not uri.key.endswith("/")]
        for uri in keys:
            if "*" in uri.key or "?" in uri.key:
                self._refuse_pattern(uri)
        count: int = self.hook.delete_many(keys)
        for uri in uris:
            if uri.key.endswith("/"):
                count += self.hook.delete_folder(uri, include=self.include, exclude=self.exclude)
        return count

    def _refuse_pattern(self, uri: OssUri) -> None:
        """Refuse an address that is no object's name: whoever wrote it may take it for a pattern."""
        if self.hook.head(uri) is None:
            pattern = uri.key.removeprefix(uri.parent.key)
            allowed = f"no object has this very name; patterns: uri='{uri.parent}', include={pattern!r}"
            raise PaiConfigError("uri", str(uri), allowed)


class OssListOperator(OssOperator):
    """List the objects below a prefix or that fit a pattern, in the order of their keys.

    Folders' markers, empty objects whose keys end in `/`, are left out: to a deletion they mean all that is below.

    :param uri: `oss://bucket/prefix`, or with `*`, `?`, `[…]`, unless that is an object's very name. (templated)
    :param include: patterns of the keys below the prefix. (templated)
    :param exclude: patterns of keys to leave out. (templated)
    :param limit: more objects are an error: XComs are no place for large lists.
    :returns: the list of addresses.
    """

    about = "List {uri}"
    came = "Found: {result}"

    template_fields: Sequence[str] = ("uri", "include", "exclude")

    def __init__(
        self,
        *,
        uri: str,
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        limit: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.include = include
        self.exclude = exclude
        self.limit = whole_number("limit", limit)

    def carry_out(self, context: Any) -> list[str]:
        """List.

        :raises PaiConfigError: there are more than `limit`.
        """
        from airflow_provider_pai.hooks.oss.patterns import Patterns, is_pattern

        at = parse_uri("uri", self.uri)
        patterns = Patterns(self.include, self.exclude)
        infos = self.hook.find(at) if is_pattern(at.key) else self.hook.list_objects(at)
        skipped = 0 if is_pattern(at.key) else len(at.key)
        found: list[str] = []
        for info in infos:
            if patterns.match(info.uri.key[skipped:]) and not info.is_marker:
                if len(found) == self.limit:
                    raise PaiConfigError("limit", self.limit, f"as many as there are objects at {at}, or a longer uri")
                found.append(str(info.uri))
        return found


def _path(value: object) -> Path:
    """Read a path on the worker.

    :raises PaiConfigError: it is none that its file system takes.
    """
    path = Path(required("path", value, "a path on the worker"))
    with on_the_worker("path", value):
        path.is_dir()
    return path


def _checkpoint(value: object) -> Path | None:
    path = optional("checkpoint", value, "the path of a file on the worker")
    if path is not None and (len(Path(path).name) > 200 or Path(path).is_dir()):
        raise PaiConfigError("checkpoint", value, "the path of a file on the worker")
    return Path(path) if path else None


def _options(operator: OssUploadOperator | OssDownloadOperator | OssCopyOperator) -> FolderOptions:
    """Return what the three say of whole folders."""
    return {
        "include": operator.include,
        "exclude": operator.exclude,
        "delete": operator.delete,
        "allow_empty": operator.allow_empty,
    }


def _told(uri: OssUri, report: FolderReport) -> Json:
    """Return what became of a folder."""
    return {"uri": str(uri), **asdict(report)}
