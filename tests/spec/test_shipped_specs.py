import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from scenario_gen.spec import load_spec
from scenario_gen.spec.loader import KEYS, spec_schema

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_shipped_spec_is_valid(path: Path) -> None:
    loaded = load_spec(path)
    assert loaded.spec.scenarios[-1].role == "baseline"
    assert loaded.base == path.parent


def test_the_four_specs_of_the_readme_are_there() -> None:
    assert {path.stem for path in SPECS} >= {"quickstart", "crisis_2008", "own_csv", "kronos_small"}


def test_the_quickstart_is_three_temperatures_five_strategies_and_a_baseline() -> None:
    spec = load_spec(ROOT / "scenarios" / "quickstart.yaml").spec
    dumped: list[dict[str, Any]] = [one.generator.model_dump() for one in spec.scenarios]
    assert [generator.get("temperature") for generator in dumped] == [0.8, 1.0, 1.3, None]
    assert {(one.paths.count, one.bars.horizon, one.bars.context) for one in spec.scenarios} == {(512, 63, 256)}
    assert [use.display_name for use in spec.strategies] == [
        "BuyAndHold",
        "SmaCross",
        "DonchianBreakout",
        "RsiReversion",
        "VolatilityTarget",
    ]


def test_the_example_history_is_long_enough_and_valid_bar_by_bar() -> None:
    scenario = load_spec(ROOT / "scenarios" / "own_csv.yaml").spec.scenarios[0]
    bars = pd.read_csv(ROOT / "scenarios" / "example.csv", parse_dates=["Date"])
    assert bars["Date"].is_monotonic_increasing
    assert bars["Date"].is_unique
    assert (bars["High"] >= bars[["Open", "Close"]].max(axis=1)).all()
    assert (bars["Low"] <= bars[["Open", "Close"]].min(axis=1)).all()
    before = bars["Date"] <= pd.Timestamp(str(scenario.data.end))
    assert before.sum() >= scenario.bars.context
    assert (~before).sum() >= scenario.bars.horizon  # what really came after can be compared


def test_the_schema_has_the_keys_of_the_loader_and_no_open_end() -> None:
    schema = spec_schema()
    assert set(schema["properties"]) == set(KEYS)
    referred = set(re.findall(r"#/\$defs/(\w+)", str(schema)))
    assert referred == set(schema["$defs"])
    assert all(section["additionalProperties"] is False for section in [schema, *schema["$defs"].values()])


def test_every_field_of_a_spec_says_what_it_is() -> None:
    """An editor and the site show these words; a field that is a section of its own has those of the section."""
    schema = spec_schema()
    places = {
        "the top": schema["properties"],
        "a scenario": schema["properties"]["scenarios"]["items"]["properties"],
        "an asset": schema["properties"]["assets"]["items"]["properties"],
        **{name: model["properties"] for name, model in schema["$defs"].items()},
    }
    silent = [
        f"{place}: {name}"
        for place, fields in places.items()
        for name, field in fields.items()
        if not field.get("description") and not {"$ref", "anyOf"} & {*field}
    ]
    silent += [f"section {name}" for name, model in schema["$defs"].items() if not model.get("description")]
    alone = [field for place in schema["$defs"].values() for field in place["properties"].values()]
    silent += [str(field) for field in alone if not field.get("description") and "$ref" not in field]
    assert silent == []
