"""OSS through oss2: the verbs that pipelines need; every address is `oss://bucket/key`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_pai.artifact import DatasetRef, OssUri
from airflow_provider_pai.exceptions import PaiConfigError, PaiConflictError, PaiNotFoundError
from airflow_provider_pai.hooks.base import PaiHook

if TYPE_CHECKING:
    from airflow_provider_pai.hooks.connection import CredentialClient

# What is read of an object at once where it is read line by line.
_RANGE = 4 << 20


class ObjectInfo(NamedTuple):
    """An object's facts; `crc64` (unsigned decimal) is known from HEAD, not from lists."""

    uri: OssUri
    size: int
    etag: str
    last_modified: datetime
    crc64: str | None = None
    server_time: datetime | None = None
    """OSS's own clock when it answered a HEAD."""


class OssHook(PaiHook):
    """Objects and buckets.

    API: oss2.Bucket. Requests are signed with V4; credentials are asked anew for each request.
    """

    service = "oss"

    @cached_property
    def _auth(self) -> Any:
        return _sdk().ProviderAuthV4(_Provider(self.connection.credential_client()))

    @cached_property
    def _session(self) -> Any:
        return _sdk().Session()

    def _make_client(self) -> Any:
        return _sdk().Service(
            self._auth,
            self._endpoint,
            session=self._session,
            region=self.connection.region,
            connect_timeout=10,
        )

    @property
    def _endpoint(self) -> str:
        endpoint = self.connection.endpoint("oss")
        return endpoint if "://" in endpoint else f"https://{endpoint}"

    def bucket(self, name: str) -> Any:
        """Return oss2's Bucket; connections are kept alive between buckets."""
        return _sdk().Bucket(
            self._auth,
            self._endpoint,
            name,
            session=self._session,
            region=self.connection.region,
            connect_timeout=10,
        )

    def create_bucket(self, name: str) -> None:
        """Create a bucket; one that is ours already is no error."""
        self.call("PutBucket", lambda: self.bucket(name).create_bucket())

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        :raises PaiConflictError: it is not empty.
        """
        self.call("DeleteBucket", lambda: self.bucket(name).delete_bucket())

    def bucket_names(self, limit: int = 100) -> list[str]:
        """Return the names of the account's buckets."""
        answer = self.call("ListBuckets", lambda: self.client.list_buckets(max_keys=limit))
        return [bucket.name for bucket in answer.buckets]

    def bucket_exists(self, name: str) -> bool:
        """Tell whether a bucket exists.

        :raises PaiPermissionError: it is somebody else's.
        """
        try:
            self.call("GetBucketInfo", lambda: self.bucket(name).get_bucket_info())
        except PaiNotFoundError:
            return False
        return True

    def bucket_region(self, name: str) -> str:
        """Return the region that a bucket lies in, e.g. `cn-hangzhou`.

        :raises PaiNotFoundError: there is no such bucket.
        """
        info = self.call("GetBucketInfo", lambda: self.bucket(name).get_bucket_info())
        return str(info.location).removeprefix("oss-")

    def put(self, uri: str | OssUri, data: bytes | str, *, overwrite: bool = True) -> str:
        """Write an object and return its ETag.

        :param overwrite: False: an object that exists stays as it is.
        :raises PaiConflictError: it exists and must not be overwritten.
        """
        to = _parse(uri)
        headers = {} if overwrite else {"x-oss-forbid-overwrite": "true"}
        answer = self.call(
            "PutObject",
            lambda: self.bucket(to.bucket).put_object(to.key, data, headers=headers),
            repeatable=overwrite,
        )
        return str(answer.etag)

    def put_once(self, uri: str | OssUri, data: bytes | str) -> bool:
        """Write an object unless it exists; tell whether it was written."""
        try:
            self.put(uri, data, overwrite=False)
        except PaiConflictError:
            return False
        return True

    def get(self, uri: str | OssUri) -> bytes:
        """Return an object's bytes.

        :raises PaiNotFoundError: there is no such object.
        """
        at = _parse(uri)
        return self.call("GetObject", lambda: bytes(self.bucket(at.bucket).get_object(at.key).read()))

    def lines(self, uri: str | OssUri) -> Iterator[str]:
        """Yield an object's lines; it is read in ranges, so that neither its size nor a lost connection matters.

        :raises PaiNotFoundError: there is no such object.
        :raises PaiApiError: it changes meanwhile (`PreconditionFailed`).
        """
        info = self.head(uri)
        if info is None:
            raise PaiNotFoundError(self.service, "HeadObject", f"no object {uri}", "NoSuchKey", 404)
        rest = b""
        for begin in range(0, info.size, _RANGE):
            # A range that goes past the end is answered with the whole object.
            part = self._part(info, begin, min(begin + _RANGE, info.size) - 1)
            *whole, rest = (rest + part).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")

    def _part(self, info: ObjectInfo, begin: int, end: int) -> bytes:
        bucket, headers = self.bucket(info.uri.bucket), {"If-Match": info.etag}
        return self.call(
            "GetObject",
            lambda: bytes(bucket.get_object(info.uri.key, byte_range=(begin, end), headers=headers).read()),
        )

    def upload(self, path: Path, uri: str | OssUri) -> None:
        """Upload a file; large ones in parts."""
        to = _parse(uri)
        self.call("PutObject", lambda: _sdk().resumable_upload(self.bucket(to.bucket), to.key, str(path)))

    def download(self, uri: str | OssUri, path: Path) -> None:
        """Download an object to a file that bears its name only when it is complete."""
        at = _parse(uri)
        part = path.with_name(path.name + ".part")
        self.call("GetObject", lambda: self.bucket(at.bucket).get_object_to_file(at.key, str(part)))
        part.replace(path)

    def head(self, uri: str | OssUri) -> ObjectInfo | None:
        """Describe an object, or None where there is none.

        :raises PaiApiError: anything but "not found".
        """
        at = _parse(uri)
        try:
            answer = self.call("HeadObject", lambda: self.bucket(at.bucket).head_object(at.key))
        except PaiNotFoundError:
            return None
        headers = answer.headers
        return ObjectInfo(
            uri=at,
            size=int(answer.content_length),
            etag=answer.etag,
            last_modified=parsedate_to_datetime(headers["Last-Modified"]),
            crc64=headers.get("x-oss-hash-crc64ecma"),
            server_time=parsedate_to_datetime(headers["Date"]) if "Date" in headers else None,
        )

    def list_objects(self, uri: str | OssUri, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys begin with the address's key, in key order, page by page."""
        at = _parse(uri)
        bucket, token = self.bucket(at.bucket), ""
        while True:
            page = self.call(
                "ListObjectsV2",
                lambda token=token: bucket.list_objects_v2(  # type: ignore[misc]
                    at.key, continuation_token=token, start_after=start_after, max_keys=1000
                ),
            )
            for item in page.object_list:
                yield ObjectInfo(
                    uri=OssUri(at.bucket, item.key),
                    size=item.size,
                    etag=item.etag,
                    last_modified=datetime.fromtimestamp(item.last_modified, UTC),
                )
            if not page.is_truncated:
                return
            token = page.next_continuation_token

    def delete(self, uri: str | OssUri) -> None:
        """Delete an object; a missing one is no error."""
        at = _parse(uri)
        self.call("DeleteObject", lambda: self.bucket(at.bucket).delete_object(at.key))

    def dataset(self, name: str, uri: str | OssUri) -> DatasetRef:
        """Describe the objects below a prefix; the digest covers their keys, sizes and ETags.

        :raises PaiConfigError: there is not one object.
        """
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


def _sdk() -> Any:
    """Import oss2, and let it tell warnings only: it logs each object that is looked for in vain as an exception."""
    import oss2

    logger = logging.getLogger("oss2")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    return oss2


class _Provider:
    """oss2's CredentialsProvider over alibabacloud-credentials."""

    def __init__(self, client: CredentialClient) -> None:
        self._client = client

    def get_credentials(self) -> Any:
        from oss2.credentials import Credentials

        now = self._client.get_credential()
        return Credentials(now.access_key_id, now.access_key_secret, now.security_token or "")


def parse_uri(field: str, value: object) -> OssUri:
    """Read an OSS address given by a user.

    :raises PaiConfigError: naming the field.
    """
    try:
        return OssUri.parse(value, field)
    except ValueError as error:
        raise PaiConfigError(field, value, str(error).partition("; ")[2]) from None


def _parse(uri: str | OssUri) -> OssUri:
    return uri if isinstance(uri, OssUri) else parse_uri("uri", uri)
