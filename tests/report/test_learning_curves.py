"""Learning curves: what was measured is what is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scenario_gen.errors import StoreError
from scenario_gen.report.drawing.charts import curve, draw_learning, read_metrics


def _write(folder: Path) -> None:
    lines = [{"stage": "tokenizer", "step": 50, "loss": 2.0, "later_loss": 2.5}]
    lines += [
        {"stage": "model", "step": step, "loss": 5.0 - step / 100, "later_loss": value}
        if value
        else {"stage": "model", "step": step, "loss": 5.0 - step / 100}
        for step, value in ((50, 0.0), (100, 4.2), (150, 0.0), (200, 4.1), (300, 4.3))
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_point_is_drawn_and_the_same_metrics_give_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path)
    picture = draw_learning(tmp_path).read_text()
    paths = re.findall(r'<g id="(trained|held-out|best)">\s*<path d="([^"]*)"', picture)
    assert [(name, len(re.findall("[ML]", d))) for name, d in paths if name != "best"] == [
        ("trained", 1),
        ("held-out", 1),
        ("trained", 5),
        ("held-out", 3),
    ]
    assert "nats per bar" in picture and "model stage" in picture
    assert draw_learning(tmp_path).read_text() == picture


def test_figures_are_read_where_they_were_measured(tmp_path: Path) -> None:
    _write(tmp_path)
    stages = read_metrics(tmp_path / "metrics.jsonl")
    assert list(stages) == ["tokenizer", "model"]
    assert curve(stages["model"], "later_loss") == ([100, 200, 300], [4.2, 4.1, 4.3])


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json\n",
        '{"step": 3}\n',
        "[1]\n",
        '{"stage": "model", "step": "x"}\n',
        '{"stage": "model", "step": Infinity}\n',
        '{"stage": "model", "step": 1, "loss": "low"}\n',
        '{"stage": "model", "step": 1, "later_loss": null}\n',
        "[" * 100_000,
    ],
    ids=range(10),
)
def test_metrics_that_cannot_be_read_are_an_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(StoreError, match=r"metrics\.jsonl"):
        draw_learning(tmp_path)
