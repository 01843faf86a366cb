"""The learning curves of a training run as an SVG file of its own: loss on training and on held-out bars by stage.

Reads metrics.jsonl; knows nothing of how it came about.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from scenario_gen.errors import StoreError
from scenario_gen.files import write_bytes

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
