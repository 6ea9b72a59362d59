"""Forms of multipart/form-data as they come in: the fields, then the file, of which no more is kept than a chunk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from python_multipart import MultipartParser
from python_multipart.multipart import parse_options_header

from airflow_provider_pai.emulator.oss.errors import OssError
from airflow_provider_pai.emulator.wire import MAX_DOCUMENT_BYTES


class Form:
    """A form: fields by their lower-case names, then the part named `file`; what stands behind it does not count."""

    def __init__(self, content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """None until the file begins; empty: it has no name."""
        self.content_type = ""
        self._ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._header, self._value, self._data = bytearray(), bytearray(), bytearray()
        with _well_formed():
            boundary = parse_options_header(content_type)[1].get(b"boundary")
            if not boundary:
                raise ValueError("no boundary")
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": self._take_in,
                    "on_part_end": self._end_part,
                },
            )

    async def read_fields(self, body: AsyncIterator[bytes]) -> None:
        """Read up to where the file begins.

        :raises OssError: MalformedPOSTRequest, FieldItemTooLong, IncorrectNumberOfFilesInPOSTRequest.
        """
        size = 0
        async for chunk in body:
            self._parse(chunk)
            size += len(chunk)
            if self.filename is not None:
                return
            if size > MAX_DOCUMENT_BYTES:
                message = "The form fields in front of the file are too large."
                raise OssError(400, "FieldItemTooLong", message, ec="0006-00000112")
        message = "POST requires exactly one file upload per request."
        raise OssError(400, "IncorrectNumberOfFilesInPOSTRequest", message, ec="0006-00000107")

    async def read_file(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytearray]:
        """Yield the file's bytes and read the form to its end.

        :raises OssError: MalformedPOSTRequest: among others, a body that ends before the file does.
        """
        yield self._taken()
        async for chunk in body:
            if not self._ended:
                self._parse(chunk)
                yield self._taken()
        with _well_formed():
            if not self._ended:
                raise ValueError("half a file")

    def _taken(self) -> bytearray:
        taken, self._data = self._data, bytearray()
        return taken

    def _parse(self, chunk: bytes) -> None:
        with _well_formed():
            self._parser.write(chunk)

    def _end_header(self) -> None:
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        headers, self._headers = self._headers, {}
        options = parse_options_header(headers.get(b"content-disposition"))[1]
        if self.filename is not None:
            return  # it stands behind the file
        self._name = options[b"name"].decode().lower()
        if self._name == "file":
            self.filename = options.get(b"filename", b"").decode()
            self.content_type = headers.get(b"content-type", b"").decode()

    def _take_in(self, data: bytes, start: int, end: int) -> None:
        if not self._ended:
            self._data += data[start:end]

    def _end_part(self) -> None:
        if self.filename is None:
            self.fields[self._name] = self._taken().decode()
        else:
            self._ended = True


@contextmanager
def _well_formed() -> Iterator[None]:
    """Refuse what the parser refuses, a part without a name, and text that is not UTF-8."""
    try:
        yield
    except (ValueError, KeyError) as error:
        message = "The body of your POST request is not well-formed multipart/form-data."
        raise OssError(400, "MalformedPOSTRequest", message, ec="0006-00000104") from error
