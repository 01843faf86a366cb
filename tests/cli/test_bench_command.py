"""``scenario-gen bench`` prints figures or JSON, and explains what it cannot time."""

from __future__ import annotations

import json

import jsonschema
import pytest
from typer.testing import CliRunner

from scenario_gen.cli.answers import schema_of
from scenario_gen.cli.app import app

SMALL = ["bench", "--paths", "32", "--context", "40", "--horizon", "3", "--rounds", "1", "--device", "cpu"]


def test_json_has_the_promised_keys_and_a_table_the_same_figures() -> None:
    printed = CliRunner().invoke(app, [*SMALL, "--json", "--no-growth"])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    for key in ("path_bars_per_second", "ratio_to_naive", "share_of_ceiling", "peak_memory_bytes"):
        assert found[key] > 0
    assert found["model"] == "nano"
    assert found["dtype"] == "float32"
    assert found["growth"] == []
    jsonschema.Draft202012Validator(schema_of("bench")).validate(found)


def test_the_table_shows_how_cost_grows() -> None:
    printed = CliRunner().invoke(app, SMALL)
    assert printed.exit_code == 0
    rows = [line.split()[:3] for line in printed.stdout.splitlines() if line.strip()[:1].isdigit()]
    assert ["32", "40", "3"] in rows
    assert ["8", "40", "3"] in rows
    assert ["32", "20", "3"] in rows
    assert "naive" in printed.stdout


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--dtype", "half"], "half"),
        (["--model", "mni"], "mini"),
        (["--context", "480", "--horizon", "112"], "576"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_what_cannot_be_timed_is_explained(wrong: list[str], message: str) -> None:
    printed = CliRunner().invoke(app, ["bench", *wrong])
    assert printed.exit_code == 2
    assert message in printed.output
    assert "Traceback" not in printed.output
