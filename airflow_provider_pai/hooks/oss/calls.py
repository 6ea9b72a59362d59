"""Calls to OSS through oss2, checked by CRC64: the floor that transfers, listings and buckets stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from airflow_provider_pai.exceptions import PaiApiError, PaiConflictError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.hooks.answers import present
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.oss.client import CONNECT_SECONDS, Provider, Session, sdk
from airflow_provider_pai.hooks.oss.crc import crc_of
from airflow_provider_pai.hooks.oss.headers import FORBID_OVERWRITE, version_parameters
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.inputs import object_uri
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.uri import OssUri

T = TypeVar("T")

_COPIES = ("CopyObject", "UploadPartCopy")


class _Written(NamedTuple):
    """What OSS says of something that was sent."""

    etag: str
    crc: int | None
    request_id: str

    def is_what(self, crc: int | None) -> bool:
        """Tell whether it is what has this CRC64, as far as both are known."""
        return None in (self.crc, crc) or self.crc == crc


class OssCalls(PaiHook):
    """Single calls on single objects.

    API: oss2.Bucket. Requests are signed with V4; credentials are asked anew for each request. What is written and read
    is compared with OSS's CRC64; a difference is made good once, then it is a PaiTransferError.
    """

    service = "oss"
    may_have_written = False
    """What is there may be an earlier process's of the same task, whose answer was lost."""

    @cached_property
    def _auth(self) -> Any:
        return sdk().ProviderAuthV4(Provider(self.credentials))

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

    def call_for(self, action: str, uri: OssUri, function: Callable[[], T], *, repeatable: bool = True) -> T:
        """Call, and let errors name the address."""
        return self.call(f"{action} {uri}", function, repeatable=repeatable)

    def abort(self, to: OssUri, upload_id: str) -> None:
        """Take back the parts of an upload; where OSS refuses it, that is told, since parts cost."""
        bucket = self.bucket(to.bucket)
        try:
            self.call_for("AbortMultipartUpload", to, lambda: bucket.abort_multipart_upload(to.key, upload_id))
        except PaiApiError as error:
            self.log.warning("Parts of an upload to %s are left there and cost: %s", to, error)

    def verified(self, action: str, to: OssUri, send: Callable[[], Any], crc: Callable[[], int | None]) -> str:
        """Send something, compare the CRC64 that OSS made of it, and return its ETag.

        An object that differs is deleted and sent again. One that must not exist may be sent again, too: where that is
        refused after a lost answer, and what is there is what was sent, the lost one was well.

        :param crc: of what was sent; None: nobody knows.
        :raises PaiTransferError: the second differs too.
        """
        for _ in range(2):
            written = self._written(action, to, send, crc)
            if written.is_what(crc()):
                return written.etag
            text = f"{to}: OSS got CRC64 {written.crc}, sent was {crc()} (request id {written.request_id})"
            self.log.warning("%s", text)
            if not action.startswith("UploadPart"):
                self.discard(to, written.etag)
        raise PaiTransferError(text)

    def begin(self, to: OssUri, headers: Mapping[str, str]) -> str:
        """Begin an upload in parts and return its id; whether it may overwrite is asked at its end."""
        kept = {name: value for name, value in headers.items() if name != FORBID_OVERWRITE}
        bucket = self.bucket(to.bucket)
        send = partial(bucket.init_multipart_upload, to.key, headers=kept)
        return self.call_for("InitiateMultipartUpload", to, lambda: str(present(send().upload_id, "UploadId")))

    def complete(
        self, to: OssUri, upload_id: str, parts: Sequence[Any], headers: Mapping[str, str], crc: int | None
    ) -> str:
        """Put the parts of an upload together and return the object's ETag.

        :param headers: of the write; what else they say was said when the upload began.
        :param crc: of the whole; None: nobody knows.
        :raises PaiTransferError: OSS has put together something else, which is deleted.
        """
        forbid = {name: value for name, value in headers.items() if name == FORBID_OVERWRITE}
        send = partial(self.bucket(to.bucket).complete_multipart_upload, to.key, upload_id, parts, headers=forbid)
        written = self._written("CompleteMultipartUpload", to, send, lambda: crc)
        if written.is_what(crc):
            return written.etag
        self.discard(to, written.etag)
        raise PaiTransferError(f"{to} has CRC64 {written.crc}, sent was {crc} (request id {written.request_id})")

    def _written(self, action: str, to: OssUri, send: Callable[[], Any], crc: Callable[[], int | None]) -> _Written:
        """Send something until it is done; where a lost answer has done it, tell of what is there."""
        sent = 0

        def once() -> _Written:
            nonlocal sent
            sent += 1
            answer = send()
            # What was put together of copies may have none (page "Check data integrity by using CRC-64").
            got = answer.crc if action in _COPIES or crc() is None else present(answer.crc, "x-oss-hash-crc64ecma")
            return _Written(present(answer.etag, "ETag"), got, answer.request_id)

        try:
            return self.call_for(action, to, once)
        except (PaiConflictError, PaiNotFoundError) as error:
            # Of an upload that is gone, the process before this one may have lost the answer.
            is_gone = isinstance(error, PaiNotFoundError) and action == "CompleteMultipartUpload"
            if sent > 1 or is_gone or self.may_have_written:
                there, expected = self.head(to), crc()
                if there is not None and expected is not None and there.crc64 == str(expected):
                    return _Written(there.etag, expected, "")
            raise

    def put_bytes(self, to: OssUri, data: bytes, headers: Mapping[str, str]) -> str:
        """Write an object and return its ETag.

        :param headers: of `write_headers`.
        """
        send = partial(self.bucket(to.bucket).put_object, to.key, data, headers=dict(headers))
        return self.verified("PutObject", to, send, lambda: crc_of(data))

    def head(self, uri: str | OssUri, *, version: str | None = None) -> ObjectInfo | None:
        """Describe an object, or None where there is none.

        :raises PaiApiError: anything but "not found".
        """
        address = object_uri("uri", uri)

        def read() -> ObjectInfo:
            bucket = self.bucket(address.bucket)
            return _info(address, bucket.head_object(address.key, params=version_parameters(version)))

        try:
            return self.call_for("HeadObject", address, read)
        except PaiNotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None

    def tags(self, uri: str | OssUri, *, version: str | None = None) -> dict[str, str]:
        """Return an object's tags."""
        address = object_uri("uri", uri)
        read = partial(self.bucket(address.bucket).get_object_tagging, address.key, params=version_parameters(version))
        return self.call_for("GetObjectTagging", address, lambda: dict(read().tag_set.tagging_rule))

    def delete(self, uri: str | OssUri, *, version: str | None = None) -> None:
        """Delete an object, or one version of it for good; a missing one is no error."""
        address = object_uri("uri", uri)
        delete = partial(self.bucket(address.bucket).delete_object, address.key, params=version_parameters(version))
        self.call_for("DeleteObject", address, delete)

    def discard(self, uri: OssUri, etag: str) -> None:
        """Delete an object that is not what was sent, unless somebody else has replaced it."""
        info = self.head(uri)
        if info is not None and info.etag == etag:
            self.delete(uri)


def _info(uri: OssUri, answer: Any) -> ObjectInfo:
    """Read a HeadObjectResult."""
    headers = answer.headers
    return ObjectInfo(
        uri=uri,
        size=present(answer.content_length, "Content-Length"),
        etag=present(answer.etag, "ETag"),
        last_modified=parsedate_to_datetime(present(headers.get("Last-Modified"), "Last-Modified")),
        crc64=headers.get("x-oss-hash-crc64ecma"),
        storage_class=headers.get("x-oss-storage-class", "Standard"),
        version=answer.versionid,
        server_time=parsedate_to_datetime(headers["Date"]) if "Date" in headers else None,
    )
