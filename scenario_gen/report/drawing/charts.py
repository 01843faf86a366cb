"""Drawing with matplotlib, so that the SVG lives in the page: themed by CSS, small, the same bytes anywhere.

matplotlib places every shape; each shape carries the name of a CSS class instead of a colour, so one picture
serves light, dark and paper. Text is written as HTML text at the positions that matplotlib computes and is
never measured, so no installed font can change a byte. Draw inside :func:`drawing`. Owns canvas, panels, shapes
and ticks, and the learning curves of a training run, a file of their own; knows nothing of paths or strategies.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup, escape

from scenario_gen.errors import StoreError
from scenario_gen.files import write_bytes
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.words import visible

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1
Anchor = Literal["start", "middle", "end"]

MOVE, LINE, CLOSE = 1, 2, 79  # matplotlib.path.Path codes
MARK = "class:"  # prefix of the ids that carry CSS classes through matplotlib
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "scenario-gen", "path.simplify": False}
_SHAPE = re.compile(rf'<g id="{MARK}([a-z0-9 -]+)">\s*<path d="([^"]*)"')
_STEP = re.compile(r"([MLz])(?:\s+(-?[\d.]+)\s+(-?[\d.]+))?")


@dataclass(frozen=True)
class Label:
    """Text at a pixel position."""

    x: float
    y: float
    text: str
    css: str
    anchor: Anchor


class Chart:
    """A canvas of ``width`` x ``height`` CSS pixels that collects panels."""

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.labels: list[Label] = []
        self.figure: Any = Figure(figsize=(width / 72, height / 72), dpi=72)  # 72 dpi: 1 pt is 1 px
        FigureCanvasSVG(self.figure)
        self.figure.patch.set_visible(False)
        self._panels: list[ChartPanel] = []

    def panel(self, box: tuple[float, float, float, float], xlim: Point, ylim: Point) -> ChartPanel:
        """Add a panel; ``box`` is left, top, right, bottom in pixels from the canvas's upper left corner."""
        from matplotlib.transforms import Bbox, BboxTransform

        left, top, right, bottom = box
        data = Bbox.from_extents(xlim[0], ylim[0], xlim[1], ylim[1])
        pixels = Bbox.from_extents(left, self.height - bottom, right, self.height - top)
        self._panels.append(ChartPanel(self, BboxTransform(data, pixels), xlim, ylim))
        return self._panels[-1]

    def text(self, x: float, y: float, text: str, css: str = "", anchor: Anchor = "start") -> None:
        """Write text at a pixel position."""
        self.labels.append(Label(x, y, text, css, anchor))

    def svg(self, aria: str, css: str) -> Markup:
        """Return the finished picture; ``aria`` says what a reader would take away."""
        stream = io.BytesIO()
        for panel in self._panels:
            for patch in panel.shapes:
                self.figure.add_artist(patch)
        self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        shapes = "".join(
            f'<path class="{name}" d="{compact(d)}"/>' for name, d in _SHAPE.findall(stream.getvalue().decode())
        )
        words = "".join(_text_element(label) for label in self.labels)
        return Markup(
            f'<svg class="{css}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(visible(aria))}">{shapes}{words}</svg>'
        )


class ChartPanel:
    """One coordinate system on a chart; shapes take data coordinates.

    It has the transformation of matplotlib's axes and none of their ticks and limits, which we do not show: making
    them was a quarter of a run's work.
    """

    def __init__(self, chart: Chart, place: Any, xlim: Point, ylim: Point) -> None:
        self.chart, self.xlim, self.ylim = chart, xlim, ylim
        self.shapes: list[Any] = []  # matplotlib's patches, drawn in this order after those of the panels before
        self._place = place

    def pixel(self, x: float, y: float) -> Point:
        """Return the canvas position of a data point, y counted downwards."""
        px, py = self._place.transform((x, y))
        return float(px), self.chart.height - float(py)

    def line(self, x: Sequence[float], y: Sequence[float], css: str) -> None:
        """Draw a line through the points."""
        points = list(zip(x, y, strict=True))
        self._add([(p, MOVE if number == 0 else LINE) for number, p in enumerate(points)], css)

    def area(self, x: Sequence[float], low: Sequence[float], high: Sequence[float], css: str) -> None:
        """Fill between two lines over the same x."""
        edge = [*zip(x, high, strict=True), *reversed(list(zip(x, low, strict=True)))]
        self.polygons([edge], css)

    def segments(self, ends: Iterable[tuple[float, float, float, float]], css: str) -> None:
        """Draw many straight strokes, each (x0, y0, x1, y1), as one element."""
        steps = [step for x0, y0, x1, y1 in ends for step in (((x0, y0), MOVE), ((x1, y1), LINE))]
        self._add(steps, css)

    def polygons(self, outlines: Iterable[Sequence[Point]], css: str) -> None:
        """Fill many outlines as one element."""
        steps: list[tuple[Point, int]] = []
        for outline in outlines:
            steps += [(point, MOVE if number == 0 else LINE) for number, point in enumerate(outline)]
            steps.append((outline[0], CLOSE))
        self._add(steps, css)

    def boxes(self, corners: Iterable[tuple[float, float, float, float]], css: str) -> None:
        """Fill many rectangles, each (x0, y0, x1, y1), as one element."""
        self.polygons([((x0, y0), (x1, y0), (x1, y1), (x0, y1)) for x0, y0, x1, y1 in corners], css)

    def text(
        self, x: float, y: float, text: str, css: str = "", anchor: Anchor = "start", *, dx: float = 0, dy: float = 0
    ) -> None:
        """Write text at a data point, moved by pixels (dy downwards)."""
        px, py = self.pixel(x, y)
        self.chart.text(px + dx, py + dy, text, css, anchor)

    def rows(self, ticks: Iterable[tuple[float, str]], *, dx: float = -7) -> None:
        """Draw horizontal grid lines with their labels at the left."""
        kept = [(y, text) for y, text in ticks if self.ylim[0] <= y <= self.ylim[1]]
        self.segments([(self.xlim[0], y, self.xlim[1], y) for y, _ in kept], "grid")
        for y, text in kept:
            self.text(self.xlim[0], y, text, "tick", "end", dx=dx, dy=4)

    def base(self, ticks: Iterable[tuple[float, str]]) -> None:
        """Draw the axis at the bottom with its labels."""
        floor = self.ylim[0]
        self.segments([(self.xlim[0], floor, self.xlim[1], floor)], "axis")
        for x, text in ticks:
            self.text(x, floor, text, "tick", "middle", dy=17)

    def _add(self, steps: Sequence[tuple[Point, int]], css: str) -> None:
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        if not steps:
            return
        path = Path([point for point, _ in steps], [code for _, code in steps])
        filled = steps[-1][1] == CLOSE
        patch = PathPatch(path, facecolor="k" if filled else "none", edgecolor="none" if filled else "k")
        patch.set_clip_on(False)
        patch.set_gid(f"{MARK}{css}")
        patch.set_transform(self._place)
        self.shapes.append(patch)


def compact(d: str) -> str:
    """Rewrite an absolute SVG path in relative steps of a tenth of a pixel, without drift."""
    out, here, start = [], (0, 0), (0, 0)
    for letter, x, y in _STEP.findall(d):
        if letter == "z":
            out.append("z")
            here = start
            continue
        there = (round(float(x) * 10), round(float(y) * 10))
        out.append(_step(letter, there[0] - here[0], there[1] - here[1], first=not out))
        here = there
        start = there if letter == "M" else start
    return "".join(out)


def _step(letter: str, dx: int, dy: int, *, first: bool) -> str:
    if letter == "M":
        return f"{'M' if first else 'm'}{_tenth(dx)} {_tenth(dy)}"
    if dy == 0:
        return f"h{_tenth(dx)}"
    return f"v{_tenth(dy)}" if dx == 0 else f"l{_tenth(dx)} {_tenth(dy)}"


def _tenth(value: int) -> str:
    whole, rest = divmod(abs(value), 10)
    return f"{'-' if value < 0 else ''}{whole}{f'.{rest}' if rest else ''}"


def _text_element(label: Label) -> str:
    css = f' class="{label.css}"' if label.css else ""
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    return f'<text{css} x="{label.x:.1f}" y="{label.y:.1f}"{anchor}>{escape(visible(label.text))}</text>'


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with our settings whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def spread(low: float, high: float, room: float = 0.05) -> Point:
    """Return limits with some room on both sides, and a visible span even where low equals high."""
    span = max(high - low, abs(high) * 1e-3, 1e-9)
    middle = (low + high) / 2
    half = span * (0.5 + room)
    return middle - half, middle + half


def bar_ticks(first: int, last: int, most: int) -> list[tuple[float, str]]:
    """Return round bar numbers from ``first`` to ``last``, the last one always there."""
    from scenario_gen.report.numbers import count

    if last - first <= most:
        return [(float(bar), count(bar)) for bar in range(first, last + 1)]
    ticks = [round(tick) for tick in nice_ticks(float(first), float(last), most) if tick == round(tick)]
    gap = (ticks[1] - ticks[0]) if len(ticks) > 1 else last - first
    kept = [tick for tick in ticks if last - tick >= 0.5 * gap or tick == last]
    return [(float(bar), count(bar)) for bar in sorted({*kept, last})]


# --- Learning curves: loss on training and on held-out bars by stage, from metrics.jsonl ---


METRICS, PICTURE = "metrics.jsonl", "learning.svg"
TRAINED, HELD_OUT = "loss", "later_loss"
WIDTH, HEIGHT = 9.0, 3.2  # inches


def draw_learning(folder: Path) -> Path:
    """Draw a training folder's metrics into its ``learning.svg`` and return the file.

    Raises:
        StoreError: there are no metrics, they cannot be read, or the disk refuses.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    stages = read_metrics(folder / METRICS)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "scenario-gen", "font.size": 9}):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(1, len(stages), squeeze=False)[0]
        for panel, (stage, lines) in zip(panels, stages.items(), strict=True):
            _draw(panel, stage, lines)
        picture = BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    write_bytes(folder / PICTURE, picture.getvalue(), "folder")
    return folder / PICTURE


def read_metrics(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of a metrics file by stage.

    Raises:
        StoreError: the file is not there, is empty, or holds something else.
    """
    try:
        lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
        stages: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            figures = {name: float(line[name]) for name in (TRAINED, HELD_OUT) if name in line}
            stages.setdefault(str(line["stage"]), []).append({**line, **figures, "step": int(line["step"])})
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise StoreError(f"{path} cannot be read: {error}", expected="the metrics of a training run") from None
    if not stages:
        raise StoreError(f"{path} holds no metrics", expected="the metrics of a training run")
    return stages


def curve(lines: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Return steps and values of one figure, where it was measured."""
    known = [line for line in lines if name in line]
    return [line["step"] for line in known], [float(line[name]) for line in known]


def _draw(panel: Any, stage: str, lines: list[dict[str, Any]]) -> None:
    panel.plot(*curve(lines, TRAINED), color="0.6", linewidth=1, label="training bars, one batch", gid="trained")
    steps, values = curve(lines, HELD_OUT)
    panel.plot(steps, values, color="C0", marker=".", label="held-out bars, averaged weights", gid="held-out")
    if values:
        best = min(range(len(values)), key=values.__getitem__)
        panel.plot(steps[best], values[best], "o", color="C0", fillstyle="none", markersize=9, gid="best")
    unit = "nats per bar" if stage == "model" else "loss"
    panel.set_title(f"{stage} stage")
    panel.set_xlabel("step")
    panel.set_ylabel(unit)
    panel.legend(frameon=False)
