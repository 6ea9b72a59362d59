"""Hook of OSS: objects, versions and buckets; every address is `oss://bucket/key`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Unpack
from urllib.parse import quote

from airflow_provider_pai.exceptions import (
    PaiApiError,
    PaiConfigError,
    PaiConflictError,
    PaiNotFoundError,
    PaiPermissionError,
    PaiTransferError,
    PaiTransientError,
)
from airflow_provider_pai.hooks.answers import present
from airflow_provider_pai.hooks.lines import utf8_lines
from airflow_provider_pai.hooks.oss.buckets import OssBuckets
from airflow_provider_pai.hooks.oss.client import blocks, sdk, whole_size
from airflow_provider_pai.hooks.oss.copy import copy_object, pinned
from airflow_provider_pai.hooks.oss.crc import crc_of
from airflow_provider_pai.hooks.oss.download import download_file
from airflow_provider_pai.hooks.oss.folder import FolderReport, copy_folder, download_folder, upload_folder
from airflow_provider_pai.hooks.oss.headers import (
    FORBID_OVERWRITE,
    STORAGE_CLASSES,
    check_tags,
    version_parameters,
    write_headers,
)
from airflow_provider_pai.hooks.oss.listings import OssListings, prefix_uri
from airflow_provider_pai.hooks.oss.options import FolderOptions, TransferOptions, WriteOptions
from airflow_provider_pai.hooks.oss.stream import ObjectWriter, read_blocks
from airflow_provider_pai.hooks.oss.upload import upload_file
from airflow_provider_pai.inputs import object_uri, one_of, whole_number
from airflow_provider_pai.uri import OssUri

_PRESIGNED = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


class OssHook(OssBuckets, OssListings):
    """Objects, versions and buckets."""

    def put(self, uri: str | OssUri, data: bytes | str, **options: Unpack[WriteOptions]) -> str:
        """Write an object and return its ETag.

        :raises PaiConflictError: it exists and must not be overwritten.
        """
        to, body = object_uri("uri", uri), data.encode() if isinstance(data, str) else data
        return self.put_bytes(to, body, self._headers(to, **options))

    def put_once(self, uri: str | OssUri, data: bytes | str) -> bool:
        """Write an object unless it exists, in any bucket; tell whether it was written.

        :param data: at least one byte; what tells writers apart, if it matters which of them has written: where an
            answer is lost, the object that holds these very bytes counts as written.
        :raises PaiConfigError: the bucket takes no appends, and keeps versions.
        """
        to, body = object_uri("uri", uri), data.encode() if isinstance(data, str) else data
        # Buckets with versions ignore x-oss-forbid-overwrite. In every bucket "you can create a new Appendable version
        # only if the object does not exist or the latest version is a delete marker" (page AppendObject).
        send = partial(self.bucket(to.bucket).append_object, to.key, 0, body)
        try:
            self.verified("AppendObject", to, send, lambda: crc_of(body))
        except PaiConflictError:
            return False
        except (PaiNotFoundError, PaiPermissionError, PaiTransientError):
            raise
        except PaiApiError:
            # A bucket that encrypts by a KMS key of the user's own may take no appends.
            return self._put_new(to, body)
        return True

    def _put_new(self, to: OssUri, body: bytes) -> bool:
        self.bucket_versioning(to.bucket)  # whoever may not ask could not be sure that nobody else has written it
        try:
            self.put(to, body, overwrite=False)
        except PaiConflictError:
            return False
        return True

    def append(self, uri: str | OssUri, data: bytes | str, *, position: int | None = None) -> int:
        """Append to an appendable object, or begin one, and return where it ends now.

        :param position: where the object must end now; None: wherever it does.
        :raises PaiConflictError: it ends elsewhere, or is not appendable.
        """
        to, body = object_uri("uri", uri), data.encode() if isinstance(data, str) else data
        if position is None:
            info = self.head(to)
            position = info.size if info else 0
        position = whole_number("position", position)
        send, sent = partial(self.bucket(to.bucket).append_object, to.key, position, body), 0

        def once() -> int:
            nonlocal sent
            sent += 1
            return int(present(send().next_position, "x-oss-next-append-position"))

        try:
            return self.call_for("AppendObject", to, once)
        except PaiConflictError:
            # It ends elsewhere: where an answer was lost, because of this very append.
            if sent > 1 and self._holds(to, position, body):
                return position + len(body)
            raise

    def _holds(self, to: OssUri, position: int, body: bytes) -> bool:
        info = self.head(to)
        is_there = info is not None and info.size >= position + len(body)
        return is_there and self.get(to, start=position, size=len(body)) == body

    def get(
        self,
        uri: str | OssUri,
        *,
        start: int = 0,
        size: int | None = None,
        version: str | None = None,
        etag: str | None = None,
    ) -> bytes:
        """Return an object's bytes.

        :param start: first byte.
        :param size: how many bytes; None: to the end.
        :param etag: the object must still have it.
        :raises PaiNotFoundError: there is no such object.
        :raises PaiTransferError: it has another ETag, or what came is twice not what OSS has.
        """
        address, start = object_uri("uri", uri), whole_number("start", start)
        size = None if size is None else whole_number("size", size)
        whole = not start and size is None
        span = None if whole else (start, None if size is None else start + size - 1)
        if size == 0:
            return b""

        def read() -> tuple[bytes, int | None]:
            headers = {"x-oss-range-behavior": "standard", **({"If-Match": f'"{etag}"'} if etag else {})}
            answer = self.bucket(address.bucket).get_object(
                address.key, byte_range=span, params=version_parameters(version), headers=headers
            )
            whole_size(answer, start)
            return b"".join(blocks(answer, f"GetObject {address}"))[:size], answer.server_crc

        for _ in range(2):
            data: bytes
            with pinned(address, etag):
                data, crc = self.call_for("GetObject", address, read)
            if not whole or crc is None or crc_of(data) == crc:
                return data
            self.log.warning("%s: what came has not the CRC64 that OSS says; once more", address)
        raise PaiTransferError(f"{address}: what came twice has not the CRC64 {crc} that OSS says")

    def lines(self, uri: str | OssUri) -> Iterator[str]:
        """Yield the lines of an object in UTF-8; neither its size nor a lost connection matters.

        :raises PaiNotFoundError: there is no such object.
        :raises PaiTransferError: it was replaced meanwhile.
        :raises PaiConfigError: naming the line that is in another encoding.
        """
        return utf8_lines(str(object_uri("uri", uri)), self.read_blocks(uri))

    def read_blocks(self, uri: str | OssUri) -> Iterator[bytes]:
        """Yield an object's bytes, also across lost connections.

        :raises PaiTransferError: the object was replaced meanwhile.
        """
        return read_blocks(self, object_uri("uri", uri))

    def writer(self, uri: str | OssUri, **options: Unpack[WriteOptions]) -> ObjectWriter:
        """Return a writer for an object whose length is not known; it is there when the writer is closed."""
        to = object_uri("uri", uri)
        return ObjectWriter(self, to, self._headers(to, **options))

    def upload(
        self,
        path: str | Path,
        uri: str | OssUri,
        *,
        overwrite: bool = True,
        storage_class: str | None = None,
        tags: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Unpack[TransferOptions],
    ) -> str:
        """Upload a file, in parts if it is larger than 8 MiB, and return the object's ETag.

        :raises PaiTransferError: the file changed meanwhile.
        """
        to = object_uri("uri", uri)
        written = self._headers(to, overwrite=overwrite, storage_class=storage_class, tags=tags, headers=headers)
        return upload_file(self, Path(path), to, headers=written, **options)

    def download(
        self,
        uri: str | OssUri,
        path: str | Path,
        *,
        version: str | None = None,
        **options: Unpack[TransferOptions],
    ) -> int:
        """Download an object to a file that bears its name only when it is complete; return its size."""
        return download_file(self, object_uri("uri", uri), Path(path), version=version, **options)

    def upload_folder(self, folder: str | Path, uri: str | OssUri, **options: Unpack[FolderOptions]) -> FolderReport:
        """Upload a folder, without the files that are there unchanged."""
        return upload_folder(self, Path(folder), prefix_uri(uri).folder, **options)

    def download_folder(self, uri: str | OssUri, folder: str | Path, **options: Unpack[FolderOptions]) -> FolderReport:
        """Download what lies below a prefix, without the files that are there unchanged."""
        return download_folder(self, prefix_uri(uri).folder, Path(folder), **options)

    def copy_folder(self, source: str | OssUri, target: str | OssUri, **options: Unpack[FolderOptions]) -> FolderReport:
        """Copy what lies below a prefix to another one, without what is there unchanged."""
        return copy_folder(self, prefix_uri(source).folder, prefix_uri(target).folder, **options)

    def copy(
        self,
        source: str | OssUri,
        target: str | OssUri,
        *,
        version: str | None = None,
        overwrite: bool = True,
        storage_class: str | None = None,
    ) -> str:
        """Copy an object within OSS and return the copy's ETag; headers and tags go with it.

        :param version: of the source.
        :raises PaiNotFoundError: there is no source.
        :raises PaiTransferError: the source was replaced meanwhile, or the copy differs.
        """
        here, there = object_uri("source", source), object_uri("target", target)
        headers = self._headers(there, overwrite=overwrite, storage_class=storage_class)
        return copy_object(self, here, there, version=version, headers=headers)

    def set_tags(self, uri: str | OssUri, tags: Mapping[str, str], *, version: str | None = None) -> None:
        """Replace an object's tags; none: delete them."""
        address, models = object_uri("uri", uri), sdk().models
        rule = models.TaggingRule()
        rule.tagging_rule = check_tags(tags)
        put = partial(
            self.bucket(address.bucket).put_object_tagging,
            address.key,
            models.Tagging(rule),
            params=version_parameters(version),
        )
        self.call_for("PutObjectTagging", address, put)

    def set_storage_class(self, uri: str | OssUri, storage_class: str) -> str:
        """Move an object to another storage class, which writes it anew, and return its ETag."""
        one_of("storage_class", storage_class, STORAGE_CLASSES)
        return self.copy(uri, uri, storage_class=storage_class)

    def restore(self, uri: str | OssUri, days: int = 1) -> None:
        """Ask for an archived object to be readable for some days; one that is being restored is no error."""
        address = object_uri("uri", uri)
        config = sdk().models.RestoreConfiguration(whole_number("days", days, least=1))
        with suppress(PaiConflictError):
            self.call_for(
                "RestoreObject", address, lambda: self.bucket(address.bucket).restore_object(address.key, input=config)
            )

    def presign(self, uri: str | OssUri, *, method: str = "GET", expires: int = 3600) -> str:
        """Return a URL that lets whoever has it do one thing without a key.

        :param expires: seconds, at most seven days.
        """
        address = object_uri("uri", uri)
        one_of("method", method, tuple(_PRESIGNED))
        expires = whole_number("expires", expires, least=1, most=604_800)
        bucket = self.bucket(address.bucket)
        sign = partial(bucket.sign_url, method, address.key, expires, slash_safe=True)
        # It asks nobody but whoever hands out credentials.
        return self.call_for(_PRESIGNED[method], address, lambda: str(sign()))

    def console_url(self, uri: str | OssUri) -> str:
        """Return the console's page of the objects below a prefix."""
        prefix = prefix_uri(uri).folder
        place = f"/bucket/oss-{self.connection.region}/{prefix.bucket}/object"
        return self.connection.console("oss", f"{place}?path={quote(prefix.key, safe='')}")

    def mount_uri(self, uri: str | OssUri) -> str:
        """Return the address as data sources want it: bucket and internal endpoint in the host, `/` at the end.

        Form given for DSW datasets (CreateInstanceRequestDatasets.uri); taken for DLC data sources alike.
        """
        address = prefix_uri(uri).folder
        return f"oss://{address.bucket}.oss-{self.connection.region}-internal.aliyuncs.com/{address.key}"

    def _headers(self, to: OssUri, **options: Unpack[WriteOptions]) -> dict[str, str]:
        """Return the headers of a write.

        :raises PaiConfigError: it must not overwrite, and OSS would not heed that in the bucket.
        """
        headers = write_headers(**options)
        if FORBID_OVERWRITE in headers:
            self._check_heeded(to)
        return headers

    def _check_heeded(self, to: OssUri) -> None:
        """Refuse a bucket in which x-oss-forbid-overwrite has no effect (page PutObject).

        :raises PaiConflictError: whether it has is not to be told, and the object exists.
        """
        try:
            status = self.bucket_versioning(to.bucket)
        except PaiPermissionError as error:
            self.log.warning(
                "Whether bucket %s has versions is not known, so %s is looked for: %s", to.bucket, to, error
            )
            if self.head(to) is not None:
                raise PaiConflictError("oss", f"HeadObject {to}", "it exists", "FileAlreadyExists", 409) from None
            return
        if status:
            allowed = f"only in a bucket that never had versioning; that of {to.bucket} is {status}"
            raise PaiConfigError("overwrite", False, f"{allowed}: OSS overwrites there, and what was there stays")
