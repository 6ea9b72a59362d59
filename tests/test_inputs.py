"""The table of what templates give, and what each reader makes of it."""

import json
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath

import pendulum
import pytest

from airflow_provider_pai import inputs
from airflow_provider_pai.exceptions import PaiConfigError
from airflow_provider_pai.uri import OssUri

NAN, INF = float("nan"), float("inf")
MANY = 10_000


class Scalar:
    """What a number or truth value of numpy looks like from outside."""

    shape = ()

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


class Lazy(OrderedDict):
    """A mapping that is no plain dict."""


# What is no number at all, of any kind.
NO_NUMBER = [
    "²",
    "٣",
    "nan",
    NAN,
    "inf",
    "-inf",
    INF,
    "1e999",
    None,
    "None",
    "",
    " ",
    True,
    False,
    "true",
    b"5",
    [5],
    ["5"],
    {"a": 5},
    {5},
    (),
    "5 apples",
    "0x10",
    "1,5",
    Decimal("nan"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    10**400,
    "9" * 5000,
    Decimal("1e999999999"),
    timedelta(1),
    datetime(2026, 1, 1),
    object(),
    ["5"] * MANY,
]


def refused(reader, *arguments, **options):
    """Return the error with which a reader refuses a value of the field `field`."""
    with pytest.raises(PaiConfigError) as error:
        reader("field", *arguments, **options)
    assert error.value.field.startswith("field")
    assert error.value.allowed
    assert len(str(error.value)) < 1000, "a huge value is shortened"
    return error.value


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        (" 5\n", 5),
        ("+5", 5),
        ("5.0", 5),
        (5.0, 5),
        (Decimal(5), 5),
        (Decimal("5.0"), 5),
        ("1e3", 1000),
        (Fraction(10, 2), 5),
        (Scalar(5), 5),
        (Scalar(5.0), 5),
        (0, 0),
        ("0", 0),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_whole_number(value, number):
    read = inputs.whole_number("field", value)
    assert read == number
    assert type(read) is int


@pytest.mark.parametrize("value", [*NO_NUMBER, 5.5, "5.5", Decimal("5.5"), Scalar(5.5), -1, "-1"])
def test_no_whole_number(value):
    assert refused(inputs.whole_number, value).allowed == "a whole number of at least 0"


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "allowed"),
    [
        ({"least": 1}, 1, 0, "a whole number of at least 1"),
        ({"least": 1, "most": 9}, "9", "10", "a whole number from 1 to 9"),
    ],
)
def test_bounds_of_a_whole_number(bounds, good, bad, allowed):
    assert inputs.whole_number("field", good, **bounds) == int(good)
    assert refused(inputs.whole_number, bad, **bounds).allowed == allowed


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        ("5", 5.0),
        ("5.5", 5.5),
        (-1, -1.0),
        (".5", 0.5),
        ("1e-3", 0.001),
        (Decimal("0.1"), 0.1),
        (Scalar(0.5), 0.5),
    ],
)
def test_number(value, number):
    read = inputs.number("field", value)
    assert read == number
    assert type(read) is float


@pytest.mark.parametrize("value", NO_NUMBER)
def test_no_number(value):
    assert refused(inputs.number, value).allowed == "a number"


def test_bounds_of_a_number():
    assert refused(inputs.number, 0, above=0).allowed == "a number above 0"
    assert refused(inputs.number, -1, least=0).allowed == "a number of at least 0"
    assert refused(inputs.number, 2, least=0, most=1).allowed == "a number from 0 to 1"
    assert refused(inputs.number, 2, above=0, most=1).allowed == "a number above 0 and at most 1"
    assert inputs.number("field", "1", above=0, most=1) == 1.0


def test_share():
    assert inputs.share("field", "0.5") == 0.5
    assert [inputs.share("field", value) for value in (0, 1)] == [0.0, 1.0]
    for value in (*NO_NUMBER, 1.5, -0.1, "2"):
        assert refused(inputs.share, value).allowed == "a number from 0 to 1"


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), (False, False), ("true", True), ("False", False), (" TRUE ", True), (Scalar(True), True)],
)
def test_flag(value, read):
    assert inputs.flag("field", value) is read


@pytest.mark.parametrize("value", [None, "", "None", 1, 0, "1", "yes", [], [True], {}, b"true", NAN, "²"])
def test_no_flag(value):
    assert refused(inputs.flag, value).allowed == "true or false"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        ("90", 90),
        (1.5, 1.5),
        ("1.5", 1.5),
        (Decimal("1.5"), 1.5),
        (Scalar(90), 90),
        (timedelta(minutes=5), 300),
        (pendulum.duration(hours=1), 3600),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1.5h", 5400),
        (" 5m ", 300),
        ("PT1H30M", 5400),
        ("P1D", 86_400),
        ("P1DT12H", 129_600),
        ("PT0.5H", 1800),
        ("P1W", 604_800),
        (Scalar(timedelta(minutes=5)), 300),
    ],
)
def test_seconds(value, seconds):
    read = inputs.seconds("field", value)
    assert read == seconds
    assert type(read) is float


@pytest.mark.parametrize(
    "value",
    [
        *(value for value in NO_NUMBER if value != timedelta(1)),
        0,
        "0",
        "0s",
        -1,
        "-5m",
        timedelta(0),
        timedelta(-1),
        "5M",
        "5 m5m",
        "5x",
        "m",
        "h5",
        "1h30",
        "P",
        "PT",
        "P1M",
        "P1Y",
        "PT-5M",
        "PT4294967297S",
        "P1",
        "²m",
        "10e5s",
        timedelta.max,
        "9999999999d",
        1e15,
    ],
)
def test_no_seconds(value):
    assert refused(inputs.seconds, value).allowed.startswith("a span above 0")


def test_seconds_from_0():
    assert inputs.seconds("field", "0", least=0) == 0.0
    assert refused(inputs.seconds, "-1", least=0).allowed.startswith("a span of at least 0 s")
    assert refused(inputs.seconds, "59s", least=60).allowed.startswith("a span of at least 60 s")


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-21T18:00:00Z", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T18:00", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("2026-11-21 18:00:00+08:00", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        (datetime(2026, 11, 21, 18), datetime(2026, 11, 21, 18, tzinfo=UTC)),
        (date(2026, 11, 21), datetime(2026, 11, 21, tzinfo=UTC)),
        (pendulum.datetime(2026, 11, 21), datetime(2026, 11, 21, tzinfo=UTC)),
        ("20261121", datetime(2026, 11, 21, tzinfo=UTC)),
        (20261121, datetime(2026, 11, 21, tzinfo=UTC)),
        ("20261121T180000Z", datetime(2026, 11, 21, 18, tzinfo=UTC)),
    ],
)
def test_moment(value, moment):
    assert inputs.moment("field", value) == moment
    assert inputs.moment("field", value).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "None",
        "now",
        "yesterday",
        "12:00",
        "2026",
        2026,
        1.5,
        "2026-13-01",
        "2026-02-30",
        "2026-01-01/2026-02-01",
        "P1D",
        "²026-01-01",
        [],
        {},
        b"2026-01-01",
        NAN,
        True,
        "9999-12-31T23:59:59-12:00",
        "2026-11-21T25:00",
        timedelta(1),
        "x" * MANY,
    ],
)
def test_no_moment(value):
    assert refused(inputs.moment, value).allowed.startswith("a time in ISO 8601")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (2, "2"),
        (1.5, "1.5"),
        (Decimal("1.5"), "1.5"),
        (Scalar(2), "2"),
        (PurePosixPath("/a/b"), "/a/b"),
    ],
)
def test_text(value, text):
    assert inputs.text("field", value) == text


@pytest.mark.parametrize(
    "value", [None, True, NAN, INF, b"a", ["a"], {"a": 1}, {"a"}, object(), "\ud800", "a\0b", [*"a" * MANY]]
)
def test_no_text(value):
    refused(inputs.text, value)


def test_required():
    assert inputs.required("field", "name", "a name") == "name"
    assert inputs.required("field", 12345, "an id") == "12345"
    for value in (None, "", "  ", "None", [], ["a"], b"a", True, NAN):
        assert refused(inputs.required, value, "a name").allowed == "it must be a name"


def test_optional():
    assert inputs.optional("field", None, "a name") is None
    assert inputs.optional("field", "", "a name") is None
    assert inputs.optional("field", 12345, "a name") == "12345"
    for value in ("None", "  ", [], {}, False, 1j):
        refused(inputs.optional, value, "a name")


def test_one_of():
    assert inputs.one_of("field", "stop", ("stop", "keep")) == "stop"
    for value in (None, "", "Stop", 1, True, ["stop"], {"stop"}, b"stop", Scalar("keep")):
        if value.__class__ is Scalar:
            assert inputs.one_of("field", value, ("stop", "keep")) == "keep"
        else:
            assert refused(inputs.one_of, value, ("stop", "keep")).allowed == "one of stop, keep"


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (None, None),
        ([], ()),
        ((), ()),
        ("*.csv", ("*.csv",)),
        (["*.csv", "*.txt"], ("*.csv", "*.txt")),
        (("a",), ("a",)),
        ({"b", "a"}, ("a", "b")),
        ('["*.csv", "a"]', ("*.csv", "a")),
        ("['*.csv', 'a']", ("*.csv", "a")),
        ("[]", ()),
        ("[ab]*.csv", ("[ab]*.csv",)),
        ("[0]", ("[0]",)),
        ([1, "a"], ("1", "a")),
        (2026, ("2026",)),
        (("x" for _ in range(2)), ("x", "x")),
        (["x"] * MANY, ("x",) * MANY),
    ],
)
def test_texts(value, texts):
    assert inputs.texts("field", value) == texts


@pytest.mark.parametrize(
    "value", [b"*.csv", {"a": 1}, [None], ["a", None], [["a"]], [b"a"], True, NAN, "None", "", [""], object(), [True]]
)
def test_no_texts(value):
    refused(inputs.texts, value)


@pytest.mark.parametrize(
    ("value", "mapping"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("{'a': 1}", {"a": 1}),
        (Lazy(a=1), {"a": 1}),
        (None, {}),
        ({}, {}),
        ({1: "a"}, {"1": "a"}),
    ],
)
def test_mapping(value, mapping):
    assert inputs.mapping("field", value) == mapping


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "",
        "None",
        "{a",
        "[1]",
        [1],
        [("a", 1)],
        5,
        NAN,
        True,
        b"{}",
        {"a"},
        "{[]: 1}",
        '{"a": NaN}',
        {"a": INF},
        {"a": b"x"},
        {"a": object()},
        {None: 1},
        "[" * MANY,
        "{" * MANY,
        {("a", "b"): 1},
    ],
)
def test_no_mapping(value):
    refused(inputs.mapping, value)


def test_a_value_that_holds_itself_is_refused():
    loop: dict = {}
    loop["a"] = loop
    refused(inputs.mapping, loop)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal("0.1"), 0.1),
        (Decimal(2), 2),
        (Scalar(0.5), 0.5),
        ({"b", "a"}, ["a", "b"]),
        ((1, 2), [1, 2]),
        (timedelta(minutes=1), 60.0),
        (1.0, 1.0),
        (True, True),
        (None, None),
        ("x", "x"),
        (PurePosixPath("a"), "a"),
        ({"a": {"b": (Decimal("1.5"),)}}, {"a": {"b": [1.5]}}),
        (range(2), [0, 1]),
    ],
)
def test_json_value(value, plain):
    read = inputs.json_value("field", value)
    assert json.dumps(read) == json.dumps(plain)


def test_the_place_of_what_is_not_json_is_named():
    with pytest.raises(PaiConfigError, match=r"field\['a'\]\[1\]: nan is not allowed"):
        inputs.json_value("field", {"a": [1, NAN]})


def test_json_list():
    assert inputs.json_list("field", [{"a": 1}]) == [{"a": 1}]
    assert inputs.json_list("field", '[{"a": 1}]') == [{"a": 1}]
    assert inputs.json_list("field", ({"a": Decimal(1)},)) == [{"a": 1}]
    assert inputs.json_list("field", {"a": 1}) == [{"a": 1}], "one object is a list of one"
    for value in (None, "", "a", 5, True, b"[]", NAN, "None", [NAN]):
        refused(inputs.json_list, value)


def test_merged():
    assert inputs.merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": []}) == {
        "a": {"b": 1, "c": 3},
        "d": [],
    }


def test_parse_uri():
    assert inputs.parse_uri("field", "oss://bucket/a/b") == OssUri("bucket", "a/b")
    assert inputs.object_uri("field", OssUri("bucket", "a")) == OssUri("bucket", "a")
    for value in (
        None,
        "",
        "None",
        "bucket/a",
        "s3://bucket/a",
        5,
        b"oss://bucket/a",
        ["oss://bucket/a"],
        NAN,
        {"uri": 1},
        "oss://b; c/",
        "oss://bucket/\ud800",
        "oss://bucket/" + "x" * MANY,
    ):
        assert refused(inputs.parse_uri, value).allowed.startswith("write oss://bucket/key")
    assert refused(inputs.object_uri, "oss://bucket").allowed == "oss://bucket/key with a key"


numpy_readers = [
    (lambda np: np.int64(5), "whole_number", 5),
    (lambda np: np.float32(0.5), "number", 0.5),
    (lambda np: np.array(5), "whole_number", 5),
    (lambda np: np.bool_(True), "flag", True),
    (lambda np: np.timedelta64(5, "m"), "seconds", 300.0),
    (lambda np: np.datetime64("2026-11-21"), "moment", datetime(2026, 11, 21, tzinfo=UTC)),
    (lambda np: np.array(["a", "b"]), "texts", ("a", "b")),
    (lambda np: {"a": np.array([1, 2]), "b": np.float64(0.5)}, "mapping", {"a": [1, 2], "b": 0.5}),
    (lambda np: np.str_("a"), "text", "a"),
]


@pytest.mark.parametrize(("make", "reader", "read"), numpy_readers)
def test_numpy(make, reader, read):
    assert getattr(inputs, reader)("field", make(pytest.importorskip("numpy"))) == read


@pytest.mark.parametrize("reader", ["whole_number", "number", "share", "flag", "seconds", "moment", "text", "mapping"])
def test_numpy_arrays_are_no_single_values(reader):
    np = pytest.importorskip("numpy")
    for value in (np.array([1, 2]), np.array([1]), np.array([])):
        refused(getattr(inputs, reader), value)
