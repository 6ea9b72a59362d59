from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from demo.pictures.chart import chart

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())


def look(at, percent, verdict, errors=0, **more):
    counts = {"requests": 20, "errors": errors, "p95_ms": 12.5}
    return {"at": at, "percent": percent, "candidate": counts, "production": counts, "verdict": verdict, **more}


def drawn(looks):
    svg = chart(looks, title="A <b>", outcome="rolled_back", summary="5 % & more", max_error_rate=0.05)
    return [(element.tag.rpartition("}")[2], element.get("class")) for element in ElementTree.fromstring(svg).iter()]


def test_a_chart_has_a_dot_for_every_verdict_and_a_line_where_it_was_decided():
    shapes = drawn([look(1.0, 10, "inconclusive"), look(2.0, 10, "pass"), look(3.0, 50, "fail", errors=9)])
    kinds = ("inconclusive", "pass", "fail")
    # One in the chart and one in the legend.
    assert [shapes.count(("circle", kind)) for kind in kinds] == [2, 2, 2]
    assert shapes.count(("path", "decision")) == 1


def test_who_answers_nothing_has_no_line():
    alone = look(1.0, 100, "pass", production=None) | {"candidate": {"requests": 0, "errors": 0, "p95_ms": None}}
    assert not {("path", "candidate"), ("path", "production")} & set(drawn([alone]))


def test_pictures_are_small_and_each_is_shown():
    pages = "".join(path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    assert [path.name for path in PICTURES if path.stat().st_size > 150_000] == []
    assert [path.name for path in PICTURES if f"pictures/{path.name}" not in pages] == []
