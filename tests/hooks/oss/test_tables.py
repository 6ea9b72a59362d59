"""Tables of a dataset: the columns that a few ranges of bytes tell, and what is said where they tell none."""

from __future__ import annotations

import gzip
import io
import sys

import pytest

from airflow_provider_pai.hooks.oss import OssHook
from airflow_provider_pai.hooks.oss.tables import _HEAD, tables_of
from airflow_provider_pai.uri import OssUri

pytestmark = pytest.mark.usefixtures("connection")

ROWS = """\
id,code,price,day,seen,ok,note,gone
1,007,1.5,2026-11-21,2026-11-21 18:00:00,true,a,
2,008,2,2026-11-22,,False,b,
"""
COLUMNS = "id integer, code text, price number, day date, seen timestamp, ok boolean, note text, gone null"


def parquet(columns, **options):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


@pytest.fixture
def tables(bucket):
    """Put files below a prefix and return its tables as `columns` or note, by name and count."""

    def put(files):
        for key, content in files.items():
            bucket.put_object(f"data/{key}", content)
        found = tables_of(OssHook(), OssUri(bucket.bucket_name, "data/"))
        told = {table.files: (", ".join(f"{each.name} {each.type}" for each in table.columns)) for table in found}
        return told, {table.files: table.note for table in found if table.note}, [table.count for table in found]

    return put


def test_what_a_csv_and_a_parquet_file_tell(tables):
    large = ROWS + '3,009,3,2026-11-23,,true,"x\ny",\n' * _HEAD
    wide = {f"column_{number}": [number] for number in range(3000)}
    told, notes, _ = tables(
        {
            "a.csv": ROWS,
            "b/large.CSV": large,
            "c.csv.gz": gzip.compress(large.encode()),
            "d.tsv": ROWS.replace(",", "\t"),
            "e.csv": "\ufeff城市;人口\n北京;21\n",
            "f.csv": ",x\n0,1\n",
            "g.parquet": parquet({"x": [1], "y": ["a"], "z": [[1.5]]}),
            "wide.parquet": parquet(wide),  # its footer is longer than what is read first
            "h.json": "{}",
            "_runs/v/i.csv": ROWS,
        }
    )
    assert notes == {}
    assert told.pop("wide.parquet").endswith("column_2999 int64")
    assert told == {
        **dict.fromkeys(("a.csv", "b/large.CSV", "c.csv.gz", "d.tsv"), COLUMNS),
        "e.csv": "城市 text, 人口 integer",
        "f.csv": " integer, x integer",
        "g.parquet": "x int64, y string, z list<element: double>",
    }


def test_files_that_are_named_alike_are_one_table(tables):
    parts = {f"part-{number:05}-3f2a9c1b-aaaa-4bbb-8ccc-00000000000{number}.csv": "a\n1\n" for number in range(3)}
    days = {f"day=2026-11-2{number}/x.csv": "b\n1\n" for number in range(2)}
    told, _, counts = tables({**parts, **days, "train_2026.csv": "c\n1\n"})
    assert told == {"day=*/x.csv": "b integer", "part-*.csv": "a integer", "train_2026.csv": "c integer"}
    assert counts == [2, 3, 1]


def test_no_more_than_twenty_kinds_of_files_are_read(tables):
    told, _, _ = tables({f"{letter}.csv": "a\n" for letter in "abcdefghijklmnopqrstuvwxyz"})
    assert list(told) == [f"{letter}.csv" for letter in "abcdefghijklmnopqrst"]


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("a.csv", "", "it is empty"),
        ("a.csv", "1,2.5\n3,4\n", "its first row names no columns"),
        ("a.csv", "x" * (_HEAD + 1), f"its first line has more than {_HEAD} bytes"),
        ("a.csv", "城市\n".encode("gb18030"), "'utf-8' codec can't decode"),
        ("a.csv.gz", b"no gzip", "incorrect header check"),
        ("a.parquet", b"", "it does not end as a Parquet file does"),
        ("a.parquet", b"xxxxPARE", "it does not end as a Parquet file does"),
        ("a.parquet", b"\xff\xff\xff\x7fPAR1", "its footer would have 2147483655 bytes"),
        ("a.parquet", b"PAR1....\x04\x00\x00\x00PAR1", "a.parquet: "),
    ],
)
def test_what_tells_no_columns_is_said_and_fails_nothing(tables, key, content, said):
    if key.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    told, notes, _ = tables({key: content})
    assert told == {key: ""}
    assert notes[key].startswith(f"{key}: ")
    assert said in notes[key]


def test_a_worker_without_pyarrow_says_so(tables, monkeypatch):
    content = parquet({"x": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert tables({"a.parquet": content})[1] == {"a.parquet": "a.parquet: the worker has no pyarrow to read it with"}
