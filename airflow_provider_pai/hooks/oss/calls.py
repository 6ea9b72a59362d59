"""Calls to OSS through oss2, checked by CRC64: the floor that transfers, listings and buckets stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from airflow_provider_pai.exceptions import PaiApiError, PaiNotFoundError, PaiTransferError
from airflow_provider_pai.hooks.base import PaiHook
from airflow_provider_pai.hooks.oss.client import CONNECT_SECONDS, Provider, Session, sdk
from airflow_provider_pai.hooks.oss.crc import crc_of
from airflow_provider_pai.hooks.oss.headers import FORBID_OVERWRITE, version_parameters
from airflow_provider_pai.hooks.oss.objects import ObjectInfo
from airflow_provider_pai.inputs import object_uri
from airflow_provider_pai.lazy import cached_property
from airflow_provider_pai.uri import OssUri


class OssCalls(PaiHook):
    """Single calls on single objects.

    API: oss2.Bucket. Requests are signed with V4; credentials are asked anew for each request. What is written and read
    is compared with OSS's CRC64; a difference is made good once, then it is a PaiTransferError.
    """

    service = "oss"

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

    def call_for(self, action: str, uri: OssUri, function: Callable[[], Any], *, repeatable: bool = True) -> Any:
        """Call, and let errors name the address."""
        return self.call(f"{action} {uri}", function, repeatable=repeatable)

    def abort(self, to: OssUri, upload_id: str) -> None:
        """Take back the parts of an upload; where OSS refuses it, that is told, since parts cost."""
        bucket = self.bucket(to.bucket)
        try:
            self.call_for("AbortMultipartUpload", to, lambda: bucket.abort_multipart_upload(to.key, upload_id))
        except PaiApiError as error:
            self.log.warning("Parts of an upload to %s are left there and cost: %s", to, error)

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

    def put_bytes(self, to: OssUri, data: bytes, headers: Mapping[str, str]) -> str:
        """Write an object and return its ETag.

        :param headers: of `write_headers`.
        """
        send = partial(self.bucket(to.bucket).put_object, to.key, data, headers=dict(headers))
        # Sent again, a write that must not overwrite would be refused for the sake of its own first one.
        repeatable = FORBID_OVERWRITE not in headers
        return str(self.verified("PutObject", to, send, lambda: crc_of(data), repeatable=repeatable).etag)

    def head(self, uri: str | OssUri, *, version: str | None = None) -> ObjectInfo | None:
        """Describe an object, or None where there is none.

        :raises PaiApiError: anything but "not found".
        """
        address = object_uri("uri", uri)
        try:
            answer = self.call_for(
                "HeadObject",
                address,
                lambda: self.bucket(address.bucket).head_object(address.key, params=version_parameters(version)),
            )
        except PaiNotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None
        headers = answer.headers
        return ObjectInfo(
            uri=address,
            size=int(answer.content_length),
            etag=answer.etag,
            last_modified=parsedate_to_datetime(headers["Last-Modified"]),
            crc64=headers.get("x-oss-hash-crc64ecma"),
            storage_class=headers.get("x-oss-storage-class", "Standard"),
            version=answer.versionid,
            server_time=parsedate_to_datetime(headers["Date"]) if "Date" in headers else None,
        )

    def tags(self, uri: str | OssUri, *, version: str | None = None) -> dict[str, str]:
        """Return an object's tags."""
        address = object_uri("uri", uri)
        read = partial(self.bucket(address.bucket).get_object_tagging, address.key, params=version_parameters(version))
        return dict(self.call_for("GetObjectTagging", address, read).tag_set.tagging_rule)

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
