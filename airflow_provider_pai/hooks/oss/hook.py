"""OSS through oss2: objects, versions and buckets; every address is `oss://bucket/key`.

How one file goes up, down and across is in `oss_upload`, `oss_download`, `oss_copy`, whole folders are in `oss_folder`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_pai.exceptions import (
    PaiConfigError,
    PaiConflictError,
    PaiNotFoundError,
    PaiTransferError,
)
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.oss.client import CONNECT_SECONDS, Provider, Session, blocks, sdk
from airflow_provider_pai.hooks.oss.crc import crc_of
from airflow_provider_pai.hooks.oss.headers import STORAGE_CLASSES, check_tags, one_of, version_of, write_headers
from airflow_provider_pai.hooks.oss.objects import ObjectInfo, VersionInfo
from airflow_provider_pai.inputs import object_uri, parse_uri
from airflow_provider_pai.uri import OssUri

if TYPE_CHECKING:
    from airflow_provider_pai.artifact import DatasetRef
    from airflow_provider_pai.hooks.oss.folder import FolderReport
    from airflow_provider_pai.hooks.oss.stream import ObjectWriter

_DELETED_AT_ONCE = 1000


class OssHook(PaiHook):
    """Objects and buckets.

    API: oss2.Bucket. Requests are signed with V4; credentials are asked anew for each request. What is written and read
    is compared with OSS's CRC64; a difference is made good once, then it is a PaiTransferError.
    """

    service = "oss"

    @cached_property
    def _auth(self) -> Any:
        return sdk().ProviderAuthV4(Provider(self.connection.credential_client()))

    @cached_property
    def _session(self) -> Any:
        return Session()

    @cached_property
    def _options(self) -> dict[str, Any]:
        return {"session": self._session, "region": self.connection.region, "connect_timeout": CONNECT_SECONDS}

    def _make_client(self) -> Any:
        return sdk().Service(self._auth, self._endpoint, **self._options)

    @property
    def _endpoint(self) -> str:
        endpoint = self.connection.endpoint("oss")
        return endpoint if "://" in endpoint else f"https://{endpoint}"

    def bucket(self, name: str) -> Any:
        """Return oss2's Bucket, without its slow CRC; connections are kept alive between buckets."""
        return sdk().Bucket(self._auth, self._endpoint, name, enable_crc=False, **self._options)

    def create_bucket(self, name: str, *, storage_class: str = "Standard", redundancy: str = "LRS") -> None:
        """Create a bucket; one that is ours already is no error.

        :param redundancy: LRS or ZRS.
        """
        one_of("storage_class", storage_class, STORAGE_CLASSES)
        one_of("redundancy", redundancy, ("LRS", "ZRS"))
        config = sdk().models.BucketCreateConfig(storage_class, redundancy)
        self.call_for("PutBucket", OssUri(name), lambda: self.bucket(name).create_bucket(input=config))

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        :raises PaiConflictError: it is not empty.
        """
        self.call_for("DeleteBucket", OssUri(name), lambda: self.bucket(name).delete_bucket())

    def bucket_names(self, limit: int = 100) -> list[str]:
        """Return the names of the account's buckets."""
        answer = self.call("ListBuckets", lambda: self.client.list_buckets(max_keys=limit))
        return [bucket.name for bucket in answer.buckets]

    def bucket_exists(self, name: str) -> bool:
        """Tell whether a bucket exists.

        :raises PaiPermissionError: it is somebody else's.
        """
        try:
            self.call_for("GetBucketInfo", OssUri(name), lambda: self.bucket(name).get_bucket_info())
        except PaiNotFoundError:
            return False
        return True

    def bucket_region(self, name: str) -> str:
        """Return the region that a bucket lies in, e.g. `cn-hangzhou`.

        :raises PaiNotFoundError: there is no such bucket.
        """
        info = self.call("GetBucketInfo", lambda: self.bucket(name).get_bucket_info())
        return str(info.location).removeprefix("oss-")

    def put(
        self,
        uri: str | OssUri,
        data: bytes | str,
        *,
        overwrite: bool = True,
        storage_class: str | None = None,
        tags: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Write an object and return its ETag.

        :param overwrite: False: an object that exists stays as it is.
        :param storage_class: None: the bucket's.
        :param headers: further ones, e.g. `Content-Type` and `x-oss-meta-…`.
        :raises PaiConflictError: it exists and must not be overwritten.
        """
        to = object_uri("uri", uri)
        body = data.encode() if isinstance(data, str) else data
        sent = write_headers(overwrite, storage_class, tags, headers)
        send = partial(self.bucket(to.bucket).put_object, to.key, body, headers=sent)
        return str(self.verified("PutObject", to, send, lambda: crc_of(body), repeatable=overwrite).etag)

    def put_once(self, uri: str | OssUri, data: bytes | str) -> bool:
        """Write an object unless it exists; tell whether it was written."""
        try:
            self.put(uri, data, overwrite=False)
        except PaiConflictError:
            return False
        return True

    def append(self, uri: str | OssUri, data: bytes | str, *, position: int | None = None) -> int:
        """Append to an appendable object, or begin one, and return its new size; never repeated by itself.

        :param position: where the object must end now; None: wherever it does.
        :raises PaiConflictError: it ends elsewhere, or is not appendable.
        """
        to = object_uri("uri", uri)
        if position is None:
            info = self.head(to)
            position = info.size if info else 0
        append = partial(self.bucket(to.bucket).append_object, to.key, position, data)
        return int(self.call_for("AppendObject", to, append, repeatable=False).next_position)

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
        from airflow_provider_pai.hooks.oss.copy import pinned

        at = object_uri("uri", uri)
        whole = not start and size is None
        span = None if whole else (start, None if size is None else start + size - 1)
        if size == 0:
            return b""

        def read() -> tuple[bytes, int | None]:
            headers = {"x-oss-range-behavior": "standard", **({"If-Match": f'"{etag}"'} if etag else {})}
            answer = self.bucket(at.bucket).get_object(
                at.key, byte_range=span, params=version_of(version), headers=headers
            )
            return b"".join(blocks(answer, f"GetObject {at}")), answer.server_crc

        for _ in range(2):
            data: bytes
            with pinned(at, etag):
                data, crc = self.call_for("GetObject", at, read)
            if not whole or crc is None or crc_of(data) == crc:
                return data
            self.log.warning("%s: what came has not the CRC64 that OSS says; once more", at)
        raise PaiTransferError(f"{at}: what came twice has not the CRC64 {crc} that OSS says")

    def upload(
        self,
        path: str | Path,
        uri: str | OssUri,
        *,
        overwrite: bool = True,
        storage_class: str | None = None,
        tags: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> str:
        """Upload a file, in parts if it is larger than 8 MiB, and return the object's ETag.

        :param options: of `oss_upload.upload`: `threads`, `part_size`, `checkpoint`, `progress`.
        :raises PaiTransferError: the file changed meanwhile.
        """
        from airflow_provider_pai.hooks.oss import upload as oss_upload

        sent = write_headers(overwrite, storage_class, tags, headers)
        return oss_upload.upload(self, Path(path), object_uri("uri", uri), headers=sent, **options)

    def download(self, uri: str | OssUri, path: str | Path, *, version: str | None = None, **options: Any) -> int:
        """Download an object to a file that bears its name only when it is complete; return its size.

        :param options: of `oss_download.download`: `threads`, `part_size`, `checkpoint`, `progress`.
        """
        from airflow_provider_pai.hooks.oss import download as oss_download

        return oss_download.download(self, object_uri("uri", uri), Path(path), version=version, **options)

    def writer(self, uri: str | OssUri, **options: Any) -> ObjectWriter:
        """Return a writer for an object whose length is not known; it is there when the writer is closed.

        :param options: `overwrite`, `storage_class`, `tags`, `headers`, as `put` takes them.
        """
        from airflow_provider_pai.hooks.oss.stream import ObjectWriter

        return ObjectWriter(self, object_uri("uri", uri), write_headers(**options))

    def read_blocks(self, uri: str | OssUri) -> Iterator[bytes]:
        """Yield an object's bytes, also across lost connections.

        :raises PaiTransferError: the object was replaced meanwhile.
        """
        from airflow_provider_pai.hooks.oss.stream import read_blocks

        return read_blocks(self, object_uri("uri", uri))

    def lines(self, uri: str | OssUri) -> Iterator[str]:
        """Yield an object's lines; neither its size nor a lost connection matters.

        :raises PaiNotFoundError: there is no such object.
        :raises PaiTransferError: it was replaced meanwhile.
        """
        rest = b""
        for block in self.read_blocks(uri):
            *whole, rest = (rest + block).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")

    def upload_folder(self, folder: str | Path, uri: str | OssUri, **options: Any) -> FolderReport:
        """Upload a folder, without the files that are there unchanged.

        :param options: of `oss_folder.upload_folder`: `include`, `exclude`, `delete`, `threads`.
        """
        from airflow_provider_pai.hooks.oss import folder as oss_folder

        return oss_folder.upload_folder(self, Path(folder), _parse(uri).folder, **options)

    def download_folder(self, uri: str | OssUri, folder: str | Path, **options: Any) -> FolderReport:
        """Download what lies below a prefix, without the files that are there unchanged.

        :param options: of `oss_folder.download_folder`: `include`, `exclude`, `delete`, `threads`.
        """
        from airflow_provider_pai.hooks.oss import folder as oss_folder

        return oss_folder.download_folder(self, _parse(uri).folder, Path(folder), **options)

    def copy_folder(self, source: str | OssUri, target: str | OssUri, **options: Any) -> FolderReport:
        """Copy what lies below a prefix to another one, without what is there unchanged.

        :param options: of `oss_folder.copy_folder`: `include`, `exclude`, `delete`, `threads`.
        """
        from airflow_provider_pai.hooks.oss import folder as oss_folder

        return oss_folder.copy_folder(self, _parse(source).folder, _parse(target).folder, **options)

    def console_url(self, uri: str | OssUri) -> str:
        """Return the console's page of the objects below a prefix."""
        prefix = _parse(uri).folder
        place = f"bucket/oss-{self.connection.region}/{prefix.bucket}/object"
        return f"https://oss.console.aliyun.com/{place}?path={quote(prefix.key, safe='')}"

    def delete_folder(self, uri: str | OssUri, *, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> int:
        """Delete what lies below a prefix and return the number of objects.

        :raises PaiConfigError: the prefix is the whole bucket.
        """
        from airflow_provider_pai.hooks.oss.patterns import Patterns

        prefix = object_uri("uri", uri).folder
        patterns = Patterns(tuple(include), tuple(exclude))
        found = (info.uri for info in self.list_objects(prefix) if patterns.match(info.uri.key[len(prefix.key) :]))
        return self.delete_many(found)

    def head(self, uri: str | OssUri, *, version: str | None = None) -> ObjectInfo | None:
        """Describe an object, or None where there is none.

        :raises PaiApiError: anything but "not found".
        """
        at = object_uri("uri", uri)
        try:
            answer = self.call_for(
                "HeadObject", at, lambda: self.bucket(at.bucket).head_object(at.key, params=version_of(version))
            )
        except PaiNotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None
        headers = answer.headers
        return ObjectInfo(
            uri=at,
            size=int(answer.content_length),
            etag=answer.etag,
            last_modified=parsedate_to_datetime(headers["Last-Modified"]),
            crc64=headers.get("x-oss-hash-crc64ecma"),
            storage_class=headers.get("x-oss-storage-class", "Standard"),
            version=answer.versionid,
            server_time=parsedate_to_datetime(headers["Date"]) if "Date" in headers else None,
        )

    def list_objects(self, uri: str | OssUri, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with the address's key, in key order, page by page."""
        at = _parse(uri)
        for page in self._pages(at, start_after=start_after):
            for item in page.object_list:
                yield _info(at.bucket, item)

    def list_folder(self, uri: str | OssUri) -> tuple[list[ObjectInfo], list[OssUri]]:
        """Return one level below a prefix: its objects and, each ending in `/`, the prefixes below it."""
        at = _parse(uri).folder
        objects: list[ObjectInfo] = []
        prefixes: list[OssUri] = []
        for page in self._pages(at, delimiter="/"):
            objects += [_info(at.bucket, item) for item in page.object_list]
            prefixes += [OssUri(at.bucket, prefix) for prefix in page.prefix_list]
        return objects, prefixes

    def find(self, uri: str | OssUri) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys fit a pattern with `*`, `?` and `[…]`; `*` stands for `/` too."""
        from airflow_provider_pai.hooks.oss.patterns import Patterns, fixed_prefix

        at = object_uri("uri", uri)
        patterns = Patterns((at.key,))
        found = self.list_objects(OssUri(at.bucket, fixed_prefix(at.key)))
        return (info for info in found if patterns.match(info.uri.key))

    def versions(self, uri: str | OssUri) -> Iterator[VersionInfo]:
        """Yield every version of the objects whose keys begin with the address's key; of one page newest first."""
        at, marker = _parse(uri), ("", "")
        bucket = self.bucket(at.bucket)
        while True:
            listing = partial(
                bucket.list_object_versions, at.key, key_marker=marker[0], versionid_marker=marker[1], max_keys=1000
            )
            page = self.call_for("ListObjectVersions", at, listing)
            for item in [*page.versions, *page.delete_marker]:
                yield VersionInfo(
                    uri=OssUri(at.bucket, item.key),
                    version=item.versionid,
                    is_latest=item.is_latest,
                    last_modified=datetime.fromtimestamp(item.last_modified, UTC),
                    size=getattr(item, "size", None),
                    etag=getattr(item, "etag", None),
                )
            if not page.is_truncated:
                return
            marker = (page.next_key_marker, page.next_versionid_marker)

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
        from airflow_provider_pai.hooks.oss import copy as oss_copy

        here, there = object_uri("source", source), object_uri("target", target)
        headers = write_headers(overwrite, storage_class)
        return oss_copy.copy(self, here, there, version=version, headers=headers)

    def delete(self, uri: str | OssUri, *, version: str | None = None) -> None:
        """Delete an object, or one version of it for good; a missing one is no error."""
        at = object_uri("uri", uri)
        delete = partial(self.bucket(at.bucket).delete_object, at.key, params=version_of(version))
        self.call_for("DeleteObject", at, delete)

    def delete_many(self, uris: Iterable[str | OssUri]) -> int:
        """Delete objects, 1,000 at a time, and return their number; missing ones are no error."""
        count = 0
        for bucket, group in groupby((object_uri("uris", uri) for uri in uris), lambda uri: uri.bucket):
            while batch := list(islice(group, _DELETED_AT_ONCE)):
                delete = partial(self.bucket(bucket).batch_delete_objects, [uri.key for uri in batch])
                self.call_for("DeleteMultipleObjects", OssUri(bucket), delete)
                count += len(batch)
        return count

    def tags(self, uri: str | OssUri, *, version: str | None = None) -> dict[str, str]:
        """Return an object's tags."""
        at = object_uri("uri", uri)
        read = partial(self.bucket(at.bucket).get_object_tagging, at.key, params=version_of(version))
        return dict(self.call_for("GetObjectTagging", at, read).tag_set.tagging_rule)

    def set_tags(self, uri: str | OssUri, tags: Mapping[str, str], *, version: str | None = None) -> None:
        """Replace an object's tags; none: delete them."""
        at, models = object_uri("uri", uri), sdk().models
        rule = models.TaggingRule()
        rule.tagging_rule = check_tags(tags)
        put = partial(
            self.bucket(at.bucket).put_object_tagging, at.key, models.Tagging(rule), params=version_of(version)
        )
        self.call_for("PutObjectTagging", at, put)

    def set_storage_class(self, uri: str | OssUri, storage_class: str) -> str:
        """Move an object to another storage class, which writes it anew, and return its ETag."""
        one_of("storage_class", storage_class, STORAGE_CLASSES)
        return self.copy(uri, uri, storage_class=storage_class)

    def restore(self, uri: str | OssUri, days: int = 1) -> None:
        """Ask for an archived object to be readable for some days; one that is being restored is no error."""
        at = object_uri("uri", uri)
        config = sdk().models.RestoreConfiguration(days)
        with suppress(PaiConflictError):
            self.call_for("RestoreObject", at, lambda: self.bucket(at.bucket).restore_object(at.key, input=config))

    def presign(self, uri: str | OssUri, *, method: str = "GET", expires: int = 3600) -> str:
        """Return a URL that lets whoever has it do one thing without a key.

        :param expires: seconds, at most seven days.
        """
        at = object_uri("uri", uri)
        one_of("method", method, ("GET", "HEAD", "PUT", "DELETE"))
        if not 1 <= expires <= 604_800:
            raise PaiConfigError("expires", expires, "1 to 604,800 seconds")
        return str(self.bucket(at.bucket).sign_url(method, at.key, expires, slash_safe=True))

    def dataset(self, name: str, uri: str | OssUri) -> DatasetRef:
        """Describe the objects below a prefix; the digest covers their keys, sizes and ETags.

        :raises PaiConfigError: there is not one object.
        """
        from airflow_provider_pai.artifact import DatasetRef

        prefix = _parse(uri).folder
        digest, size, files = self.digest(prefix)
        if not files:
            raise PaiConfigError(f"inputs[{name!r}]", str(uri), "a prefix with at least one object")
        return DatasetRef(name=name, uri=str(prefix), digest=digest, size=size, files=files)

    def digest(self, prefix: OssUri) -> tuple[str, int, int]:
        """Return a digest over the keys, sizes and ETags below a prefix, their bytes and their number."""
        digest, size, files = hashlib.sha256(), 0, 0
        for item in self.list_objects(prefix):
            if item.uri.key.endswith("/"):
                continue
            digest.update(f"{item.uri.key[len(prefix.key) :]}\0{item.size}\0{item.etag}\n".encode())
            size, files = size + item.size, files + 1
        return f"sha256:{digest.hexdigest()}", size, files

    def mount_uri(self, uri: str | OssUri) -> str:
        """Return the address as data sources want it: bucket and internal endpoint in the host, `/` at the end.

        Form given for DSW datasets (CreateInstanceRequestDatasets.uri); taken for DLC data sources alike.
        """
        at = _parse(uri).folder
        return f"oss://{at.bucket}.oss-{self.connection.region}-internal.aliyuncs.com/{at.key}"

    def verified(
        self, action: str, to: OssUri, send: Callable[[], Any], crc: Callable[[], int], *, repeatable: bool = True
    ) -> Any:
        """Send something and compare the CRC64 that OSS made of it; an object that differs is deleted and sent again.

        :param crc: of what was sent.
        :raises PaiTransferError: the second differs too.
        """
        for _ in range(2):
            answer = self.call_for(action, to, send, repeatable=repeatable)
            if answer.crc is None or int(answer.crc) == crc():
                return answer
            text = f"{to}: OSS got CRC64 {answer.crc}, sent was {crc()} (request id {answer.request_id})"
            self.log.warning("%s", text)
            if not action.startswith("UploadPart"):
                self.discard(to, answer.etag)
        raise PaiTransferError(text)

    def discard(self, uri: OssUri, etag: str) -> None:
        """Delete an object that is not what was sent, unless somebody else has replaced it."""
        info = self.head(uri)
        if info is not None and info.etag == etag:
            self.delete(uri)

    def _pages(self, at: OssUri, *, delimiter: str = "", start_after: str = "") -> Iterator[Any]:
        """Yield pages; the next one is asked for while one is read."""
        bucket = self.bucket(at.bucket)

        def fetch(token: str) -> Any:
            listing = partial(
                bucket.list_objects_v2,
                at.key,
                delimiter,
                continuation_token=token,
                start_after=start_after,
                max_keys=1000,
            )
            return self.call_for("ListObjectsV2", at, listing)

        page = fetch("")
        if not page.is_truncated:
            yield page
            return
        with ThreadPoolExecutor(1) as ahead:
            while page.is_truncated:
                following = ahead.submit(fetch, page.next_continuation_token)
                yield page
                page = following.result()
            yield page

    def call_for(self, action: str, uri: OssUri, function: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Call, and let errors name the address."""
        return self.call(f"{action} {uri}", function, repeatable=repeatable)


def _info(bucket: str, item: Any) -> ObjectInfo:
    return ObjectInfo(
        uri=OssUri(bucket, item.key),
        size=item.size,
        etag=item.etag,
        last_modified=datetime.fromtimestamp(item.last_modified, UTC),
        storage_class=item.storage_class,
    )


def _parse(uri: str | OssUri) -> OssUri:
    return uri if isinstance(uri, OssUri) else parse_uri("uri", uri)
