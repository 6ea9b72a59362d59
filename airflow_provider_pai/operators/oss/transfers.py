"""Transfers between OSS and whatever Airflow's ObjectStoragePath reaches: s3://, gs://, file:// …"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_pai.exceptions import PaiConfigError, PaiNotFoundError
from airflow_provider_pai.inputs import flag, object_uri, optional, parse_uri, required
from airflow_provider_pai.operators.oss.base import OssOperator, on_the_worker
from airflow_provider_pai.remote import Json


class ObjectStorageToOssOperator(OssOperator):
    """Stream a file from any object storage to OSS, through the worker's memory block by block.

    The object is there when all of it is.

    :param source: an ObjectStoragePath's text, e.g. `s3://aws_default@bucket/key`. (templated)
    :param uri: `oss://bucket/key`; the file's own name is put behind a `/`. (templated)
    :param source_conn_id: connection of the source, unless its text names one. (templated)
    :param overwrite: False: an object that exists stays as it is, and the task fails.
    :param storage_class: of the object; None: the bucket's.
    :returns: `{"uri", "size"}`.
    """

    about = "Copy {source} to {uri}"
    came = "{uri}: {size} bytes are there"

    template_fields: Sequence[str] = ("source", "uri", "source_conn_id")

    def __init__(
        self,
        *,
        source: str,
        uri: str,
        source_conn_id: str | None = None,
        overwrite: bool = True,
        storage_class: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.uri = uri
        self.source_conn_id = source_conn_id
        self.overwrite = flag("overwrite", overwrite)
        self.storage_class = storage_class

    def carry_out(self, context: Any) -> Json:
        """Move it."""
        from airflow_provider_pai.hooks.oss.client import BLOCK
        from airflow_provider_pai.hooks.oss.progress import TransferProgress

        source = _path("source", self.source, self.source_conn_id)
        to = parse_uri("uri", self.uri)
        if not to.key or to.key.endswith("/"):
            to = to.join(source.name)
        if not source.is_file():
            raise PaiNotFoundError.of("ObjectStoragePath", "is_file", "source", self.source, "a file that exists")
        progress = TransferProgress(self.log, f"{source} to {to}", source.stat().st_size)
        size = 0
        target = self.writing_hook(context).writer(to, overwrite=self.overwrite, storage_class=self.storage_class)
        with on_the_worker("source", self.source):
            file = source.open("rb")
        with file, target as writer:
            while block := file.read(BLOCK):
                size += writer.write(block)
                progress.add(len(block))
        return {"uri": str(to), "size": size}


class OssToObjectStorageOperator(OssOperator):
    """Stream an object from OSS to any object storage, through the worker's memory block by block.

    A target that could not be written to its end is deleted.

    :param uri: `oss://bucket/key`. (templated)
    :param target: an ObjectStoragePath's text, e.g. `gs://google_default@bucket/key`. (templated)
    :param target_conn_id: connection of the target, unless its text names one. (templated)
    :param overwrite: False: a target that exists stays as it is, and the task fails.
    :returns: `{"target", "size"}`.
    """

    about = "Copy {uri} to {target}"
    came = "{target}: {size} bytes are there"

    template_fields: Sequence[str] = ("uri", "target", "target_conn_id")

    def __init__(
        self, *, uri: str, target: str, target_conn_id: str | None = None, overwrite: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.uri = uri
        self.target = target
        self.target_conn_id = target_conn_id
        self.overwrite = flag("overwrite", overwrite)

    def carry_out(self, context: Any) -> Json:
        """Move it."""
        from airflow_provider_pai.hooks.oss.progress import TransferProgress

        at = object_uri("uri", self.uri)
        target = _path("target", self.target, self.target_conn_id)
        if not self.overwrite and target.exists():
            raise PaiConfigError("target", self.target, "a path where nothing is, since overwrite is False")
        info = self.hook.head(at)
        if info is None:
            raise PaiNotFoundError.of("oss", "HeadObject", "uri", self.uri, "an object that exists")
        progress, size = TransferProgress(self.log, f"{at} to {target}", info.size), 0
        with on_the_worker("target", self.target):
            file = target.open("wb")  # where that is refused, what is there stays
        try:
            with file:
                for block in self.hook.read_blocks(at):
                    file.write(block)
                    size += len(block)
                    progress.add(len(block))
        except BaseException:
            with suppress(OSError):
                target.unlink(missing_ok=True)
            raise
        return {"target": str(target), "size": size}


def _path(field: str, value: str, conn_id: str | None) -> Any:
    """Return a path.

    :raises PaiConfigError: nothing here knows its scheme, or its storage takes no such name.
    """
    written = required(field, value, "an ObjectStoragePath's text")
    connection = optional(f"{field}_conn_id", conn_id, "a connection")
    try:
        path = ObjectStoragePath(written, conn_id=connection)
        path.fs  # noqa: B018 - Airflow 2.11 looks for the scheme only here
        path.is_file()
    except (ValueError, ImportError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PaiConfigError(field, value, f"a path that ObjectStoragePath knows: {reason}") from None
    return path
