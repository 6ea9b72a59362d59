"""Tables of a dataset: columns of its CSV and Parquet files, by a few ranges of bytes of one file of each kind."""

from __future__ import annotations

import codecs
import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime

from airflow_provider_pai.dataset import Column, Table
from airflow_provider_pai.exceptions import PaiError
from airflow_provider_pai.hooks.oss.datasets import Listed, current_objects
from airflow_provider_pai.hooks.oss.hook import OssHook
from airflow_provider_pai.hooks.oss.parallel import in_parallel
from airflow_provider_pai.uri import OssUri

MOST_TABLES = 20
"""Kinds of files whose columns are read."""
_HEAD = 64 * 1024
_MOST_FOOTER = 16 * 1024 * 1024
_AT_ONCE = 8

_SUFFIX = re.compile(r"\.(?:(csv|tsv)(?:\.gz)?|(parquet))$", re.IGNORECASE)
# What tells one part of a table from another: a number, or a hash.
_PART = re.compile(r"(?<![0-9a-zA-Z])(?=[a-f-]*\d)[0-9a-f-]{8,}(?![0-9a-zA-Z])|\d+")


def tables_of(oss: OssHook, prefix: OssUri) -> tuple[Table, ...]:
    """Return the tables below a prefix, at most 20; what can't be read is said in them, and fails no paid job."""
    first: dict[str, Listed] = {}
    count: Counter[str] = Counter()
    for item in current_objects(oss, prefix):
        if _SUFFIX.search(item.key):
            alike = _PART.sub("*", item.key)
            count[alike] += 1
            if len(first) < MOST_TABLES:
                first.setdefault(alike, item)

    def described(alike: str) -> Table:
        files = alike if count[alike] > 1 else first[alike].key
        return _described(oss, prefix.join(first[alike].key), first[alike], files, count[alike])

    if left_out := len(count) - len(first):
        oss.log.warning("%s: the columns of %d further kinds of files are not read", prefix, left_out)
    return tuple(sorted(in_parallel(described, first, _AT_ONCE), key=lambda table: table.files))


def _described(oss: OssHook, at: OssUri, item: Listed, files: str, count: int) -> Table:
    format_ = "parquet" if item.key.lower().endswith("parquet") else "csv"
    try:
        columns, note = (_parquet if format_ == "parquet" else _csv)(oss, at, item), ""
    except (PaiError, ValueError, csv.Error, zlib.error) as error:
        columns, note = (), f"{item.key}: {error}"
        oss.log.warning("The columns of %s are not known: %s", at, error)
    return Table(files=files, count=count, format=format_, columns=columns, note=note)


def _parquet(oss: OssHook, at: OssUri, item: Listed) -> tuple[Column, ...]:
    """Read the footer, whose length stands in front of the last four bytes (Parquet's page "File Format").

    :raises ValueError: it can't be read.
    """
    try:
        import pyarrow
        from pyarrow.parquet import read_schema
    except ImportError:
        raise ValueError("the worker has no pyarrow to read it with") from None
    end = oss.get(at, start=max(0, item.size - _HEAD), etag=item.etag)
    if end[-4:] != b"PAR1":
        raise ValueError("it does not end as a Parquet file does")
    length = int.from_bytes(end[-8:-4], "little") + 8
    if length > min(item.size, _MOST_FOOTER):
        raise ValueError(f"its footer would have {length} bytes")
    if length > len(end):
        end = oss.get(at, start=item.size - length, etag=item.etag)
    try:
        schema = read_schema(pyarrow.BufferReader(end))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None
    return tuple(Column(column.name, str(column.type)) for column in schema)


def _csv(oss: OssHook, at: OssUri, item: Listed) -> tuple[Column, ...]:
    """Read names and types off the first rows.

    :raises ValueError: it has no names, or is no UTF-8.
    """
    data = oss.get(at, size=min(item.size, _HEAD), etag=item.etag)
    whole = len(data) == item.size
    if item.key.lower().endswith(".gz"):
        unpacked = zlib.decompressobj(wbits=31)
        data = unpacked.decompress(data, _HEAD)
        whole = unpacked.eof
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(data, final=whole)
    # The last line may be half of one.
    lines = text if whole else text[: text.rfind("\n") + 1]
    names, *rows = list(csv.reader(io.StringIO(lines, newline=""), delimiter=_delimiter(lines))) or [[]]
    if not names:
        raise ValueError("it is empty" if whole else f"its first line has more than {_HEAD} bytes")
    if all(_type([name]) not in ("text", "null") for name in names):
        raise ValueError("its first row names no columns")
    return tuple(
        Column(name, _type([row[index] for row in rows if index < len(row)])) for index, name in enumerate(names)
    )


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",\t;|", key=header.count)


def _whole(value: str) -> None:
    # 007 is the text of a code.
    if not re.fullmatch(r"[+-]?(0|[1-9]\d*)", value, re.ASCII):
        raise ValueError(value)


def _truth(value: str) -> None:
    if value.lower() not in ("true", "false"):
        raise ValueError(value)


def _decimal(value: str) -> None:
    if re.match(r"[+-]?0\d|.*_", value):
        raise ValueError(value)
    float(value)


_TYPES: Mapping[str, Callable[[str], object]] = {
    "integer": _whole,
    "number": _decimal,
    "boolean": _truth,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
}


def _type(values: list[str]) -> str:
    """Return the first type that all values have; empty ones are missing."""
    given = [value for value in values if value]
    fitting = (name for name, read in _TYPES.items() if all(_fits(read, value) for value in given))
    return next(fitting, "text") if given else "null"


def _fits(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True
