"""OSS addresses, `oss://bucket/key`; standard library only."""

import re
from typing import NamedTuple, Self

from airflow_provider_pai.values import is_utf8

_BUCKET = r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"

URI_FORM = (
    "write oss://bucket/key with a bucket of 3 to 63 lowercase letters, digits and hyphens, and a key of at most "
    "1,023 bytes in UTF-8 that does not begin with / or \\"
)
"""The form that is allowed, in words."""


class OssUri(NamedTuple):
    """`oss://bucket/key`: the one parser of OSS addresses."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: object, field: str = "uri") -> Self:
        """Read an address; an endpoint behind the bucket (`oss://bucket.endpoint/key`) is cut.

        :raises ValueError: naming the field, the value and the form that is allowed.
        """
        match = re.fullmatch(r"oss://([^/]*)(?:/(.*))?", text, re.DOTALL) if isinstance(text, str) else None
        bucket = match[1].partition(".")[0] if match else ""
        key = (match[2] or "") if match else ""
        size = len(key.encode(errors="replace"))
        if not re.fullmatch(_BUCKET, bucket) or key.startswith(("/", "\\")) or size > 1023 or not is_utf8(key):
            raise ValueError(f"{field}: {text!r} is not allowed; {URI_FORM}")
        return cls(bucket, key)

    @property
    def folder(self) -> Self:
        """Return this address as a prefix: it ends with `/` unless it is the whole bucket."""
        return self if not self.key or self.key.endswith("/") else self._replace(key=self.key + "/")

    @property
    def parent(self) -> Self:
        """Return the prefix that an object lies below."""
        return self._replace(key=self.key[: self.key.rfind("/") + 1])

    def join(self, *parts: str) -> Self:
        """Return an address below this one; the parts stay as they are, `a//b` and `a/b` are two objects."""
        return self._replace(key=self.folder.key + "/".join(parts))

    def __str__(self) -> str:
        """Return `oss://bucket/key`."""
        return f"oss://{self.bucket}/{self.key}"
