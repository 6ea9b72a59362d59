"""Charts of rollouts: SVG of what the record on OSS says of every look."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

Look = dict[str, Any]
"""A line of the record: `at`, `percent`, `candidate`, `production`, `verdict`, `reason`."""
Point = tuple[float, float]

_LEFT, _RIGHT, _WIDTH = 76, 24, 800
_HEIGHT, _GAP, _TOP = 104, 44, 112
_VERDICTS = ("pass", "inconclusive", "fail", "error")

_STYLE = """
    text { font-family: Inter, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px; fill: #57606a }
    .title { font-size: 16px; font-weight: 600; fill: #1f2328 }
    .head { font-weight: 600; fill: #1f2328 }
    .page { fill: #ffffff; stroke: #d0d7de }
    .grid { stroke: #d8dee4; stroke-width: 1 }
    .limit { stroke: #cf222e; stroke-dasharray: 5 4; stroke-width: 1.2 }
    .decision { stroke: #1f2328; stroke-width: 1.2 }
    .candidate { stroke: #bc4c00; fill: none; stroke-width: 2.4 }
    .production { stroke: #0969da; fill: none; stroke-width: 4 }
    .share { stroke: #8250df; fill: none; stroke-width: 2.4 }
    text.candidate { fill: #bc4c00; stroke: none } text.production { fill: #0969da; stroke: none }
    text.limit { fill: #cf222e; stroke: none }
    .pass { fill: #1a7f37 } .inconclusive { fill: #9a6700 } .fail { fill: #cf222e } .error { fill: #6e7781 }
    @media (prefers-color-scheme: dark) {
      text { fill: #9198a1 } .title, .head { fill: #e6edf3 }
      .page { fill: #0d1117; stroke: #30363d }
      .grid { stroke: #21262d } .decision { stroke: #e6edf3 } .limit { stroke: #ff7b72 } text.limit { fill: #ff7b72 }
      .candidate { stroke: #f0883e } .production { stroke: #58a6ff } .share { stroke: #bc8cff }
      text.candidate { fill: #f0883e } text.production { fill: #58a6ff }
      .pass { fill: #3fb950 } .inconclusive { fill: #d29922 } .fail { fill: #ff7b72 } .error { fill: #8b949e }
    }
"""


@dataclass(frozen=True)
class Panel:
    """One of the charts below each other: a value of candidate and production over time.

    :param value: of what a service answered; None where it answered nothing.
    :param limit: where a line says that it is too much.
    """

    title: str
    unit: str
    value: Callable[[Look], float | None]
    limit: float | None = None


def errors(counts: Look) -> float | None:
    """Return the percentage of failed requests."""
    return 100 * counts["errors"] / counts["requests"] if counts["requests"] else None


def p95(counts: Look) -> float | None:
    """Return the 95th percentile of the latency in ms."""
    return counts["p95_ms"]


def chart(looks: list[Look], *, title: str, outcome: str, summary: str, max_error_rate: float) -> str:
    """Return the SVG of a rollout.

    :param looks: lines of its record.
    :param outcome: what it ended as.
    :param summary: its line for people.
    """
    start = looks[0]["at"]
    times = [look["at"] - start for look in looks]
    panels = (
        Panel("Errors", "%", errors, limit=100 * max_error_rate),
        Panel("95th percentile", "ms", p95),
    )
    drawing = _Drawing(seconds=max(times[-1], 1.0))
    drawing.share(times, [look["percent"] for look in looks], fell=looks[-1]["verdict"] != "pass")
    for panel in panels:
        drawing.panel(panel, times, looks)
    drawing.verdicts(times, [look["verdict"] for look in looks], outcome)
    return drawing.svg(title, summary)


class _Drawing:
    """Elements of an SVG that grows downwards, over one axis of time."""

    def __init__(self, seconds: float) -> None:
        # Room to the right of the last look, for what came of it.
        self._seconds = seconds * 1.06
        self._top = _TOP
        self._elements: list[str] = []

    def x(self, seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / self._seconds

    def share(self, times: list[float], percents: list[int], *, fell: bool) -> None:
        """Draw the candidate's share of the traffic, in steps; the way back where it fell."""
        y = self._axis("Candidate's share of the traffic", "%", 100.0)
        corners = [(times[0], float(percents[0]))]
        for time, percent, before in zip(times[1:], percents[1:], percents, strict=False):
            if percent != before:
                corners += [(time, float(before))]
            corners.append((time, float(percent)))
        last = (times[-1], 0.0 if fell else float(percents[-1]))
        self._line("share", [*corners, last, (self._seconds, last[1])], y)
        self._next()

    def panel(self, panel: Panel, times: list[float], looks: list[Look]) -> None:
        """Draw a value of both services."""
        lines = {
            name: [
                (time, value)
                for time, look in zip(times, looks, strict=True)
                if look[name] and (value := panel.value(look[name])) is not None
            ]
            for name in ("production", "candidate")
        }
        most = max([value for line in lines.values() for _, value in line] + [1.5 * (panel.limit or 0.0)])
        y = self._axis(panel.title, panel.unit, _round_up(most))
        if panel.limit is not None:
            self._add(f'<path class="limit" d="M{_LEFT} {y(panel.limit):.1f}H{_WIDTH - _RIGHT}"/>')
            self._text(_LEFT + 4, y(panel.limit) - 5, f"limit {panel.limit:g} %", "limit")
        for name, line in lines.items():
            self._line(name, line, y)
            self._dots(name, line, y)
        self._next()

    def verdicts(self, times: list[float], verdicts: list[str], outcome: str) -> None:
        """Draw a dot for each look, the seconds above, and a line where it was decided."""
        y = self._top - _GAP + 40
        self._text(_LEFT - 10, y + 4, "Verdicts", "head", "end")
        for time, verdict in zip(times, verdicts, strict=True):
            self._add(f'<circle class="{escape(verdict)}" cx="{self.x(time):.1f}" cy="{y}" r="4.5"/>')
        left = float(_LEFT)
        for verdict in (each for each in _VERDICTS if each in verdicts):
            self._add(f'<circle class="{verdict}" cx="{left + 5:.0f}" cy="{y + 26}" r="4.5"/>')
            self._text(left + 15, y + 30, verdict)
            left += 30 + 7 * len(verdict)
        step = next(each for each in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if self._seconds / each <= 12)
        for second in range(0, int(self._seconds) + 1, step):
            self._text(self.x(second), y - 14, f"{second} s", anchor="middle")
        decided = self.x(times[-1])
        self._elements.insert(0, f'<path class="decision" d="M{decided:.1f} {_TOP - 24}V{y + 10}"/>')
        self._text(decided - 6, _TOP - 16, outcome.replace("_", " "), "head", "end")
        self._top = y + 46

    def svg(self, title: str, summary: str) -> str:
        """Return the whole, under its title."""
        body = "\n  ".join(self._elements)
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {self._top}" role="img">
  <title>{escape(title)}</title>
  <style>{_STYLE}  </style>
  <rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{self._top - 1}" rx="8"/>
  <text class="title" x="20" y="30">{escape(title)}</text>
  <text x="20" y="52">{escape(summary)}</text>
  <text class="candidate" x="{_LEFT}" y="{_TOP - 34}">━ candidate</text>
  <text class="production" x="{_LEFT + 92}" y="{_TOP - 34}">━ production</text>
  {body}
</svg>
"""

    def _axis(self, title: str, unit: str, most: float) -> Callable[[float], float]:
        """Draw the lines and numbers of a panel; return where a value stands."""
        top = self._top

        def y(value: float) -> float:
            return top + _HEIGHT * (1 - value / most)

        self._text(_LEFT, top - 8, title, "head")
        for value in (0.0, most / 2, most):
            self._add(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
            self._text(_LEFT - 10, y(value) + 4, f"{value:g} {unit}", anchor="end")
        return y

    def _next(self) -> None:
        self._top += _HEIGHT + _GAP

    def _line(self, name: str, points: Iterable[Point], y: Callable[[float], float]) -> None:
        path = "L".join(f"{self.x(time):.1f} {y(value):.1f}" for time, value in points)
        if path:
            self._add(f'<path class="{name}" d="M{path}"/>')

    def _dots(self, name: str, points: Iterable[Point], y: Callable[[float], float]) -> None:
        for time, value in points:
            self._add(f'<circle class="{name}" cx="{self.x(time):.1f}" cy="{y(value):.1f}" r="1.6"/>')

    def _text(self, x: float, y: float, text: str, name: str = "", anchor: str = "start") -> None:
        kind = f' class="{name}"' if name else ""
        self._add(f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def _add(self, element: str) -> None:
        self._elements.append(element)


def _round_up(value: float) -> float:
    """Return the next number that reads well on an axis."""
    return next(each for each in (1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 200, 500, 1000, 5000) if each >= value)
