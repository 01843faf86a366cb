from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from scenario_gen.errors import SpecError
from scenario_gen.generators.sections import BootstrapGenerator, KronosGenerator
from scenario_gen.spec import LoadedSpec, parse_spec, spec_from_dict
from scenario_gen.spec.models import ResolvedScenario

Load = Callable[[str], LoadedSpec]


def scenarios(loaded: LoadedSpec) -> dict[str, ResolvedScenario]:
    return {one.name: one for one in loaded.spec.scenarios}


def test_a_spec_without_scenarios_has_one_named_base(load: Load, start: str) -> None:
    (only,) = load(start).spec.scenarios
    assert (only.name, only.role) == ("base", "scenario")
    assert only.data.end == date(2017, 6, 30)


def test_a_scenario_keeps_what_it_does_not_name(load: Load, start: str) -> None:
    text = start + "generator: {temperature: 0.9, top_p: 0.8}\nbars: {horizon: 20}\n"
    got = scenarios(load(text + "scenarios: [{name: a}, {name: b, generator: {temperature: 1.3}}]\n"))
    assert isinstance(got["a"].generator, KronosGenerator)
    assert isinstance(got["b"].generator, KronosGenerator)
    assert (got["a"].generator.temperature, got["b"].generator.temperature) == (0.9, 1.3)
    assert got["b"].generator.top_p == 0.8
    assert got["b"].bars.horizon == 20


def test_a_generator_of_another_kind_replaces_the_section(load: Load, start: str) -> None:
    text = start + "generator: {temperature: 0.9}\nscenarios: [{name: a, generator: {kind: bootstrap}}]\n"
    assert scenarios(load(text))["a"].generator == BootstrapGenerator()


def test_a_generator_of_the_same_kind_merges(load: Load, start: str) -> None:
    text = start + "generator: {kind: bootstrap, mean_block: 5}\nscenarios: [{name: a, generator: {kind: bootstrap}}]\n"
    assert scenarios(load(text))["a"].generator == BootstrapGenerator(mean_block=5)


def test_a_file_replaces_the_source_and_keeps_only_the_dates(load: Load, start: str) -> None:
    text = start.replace("2017-06-30}", "2017-06-30, name: S&P 500, calendar: XNYS}")
    data = scenarios(load(text + "scenarios: [{name: a, data: {file: prices.csv}}]\n"))["a"].data
    assert (data.source, data.file, data.end, data.name, data.calendar) == (
        None,
        "prices.csv",
        date(2017, 6, 30),
        None,
        None,
    )


def test_a_source_replaces_the_file(load: Load, start: str) -> None:
    text = start.replace("source: sp500", "file: prices.csv, adjusted: true")
    data = scenarios(load(text + "scenarios: [{name: a, data: {source: nasdaq}}]\n"))["a"].data
    assert (data.source, data.file, data.adjusted) == ("nasdaq", None, False)


def test_another_end_keeps_the_rest_of_the_data(load: Load, start: str) -> None:
    text = start.replace("2017-06-30}", "2017-06-30, name: S&P 500}")
    data = scenarios(load(text + "scenarios: [{name: a, data: {end: 2008-09-15}}]\n"))["a"].data
    assert (data.source, data.name, data.end) == ("sp500", "S&P 500", date(2008, 9, 15))


def test_scenarios_may_bring_all_the_data_themselves(load: Load) -> None:
    text = (
        "name: demo\nstrategies: [{use: strategies/trend.py:SmaCross}]\ndata: {end: 2017-06-30}\n"
        "scenarios: [{name: a, data: {source: sp500}}, {name: b, data: {source: nasdaq}}]\n"
    )
    got = scenarios(load(text))
    assert (got["a"].data.source, got["b"].data.source) == ("sp500", "nasdaq")
    assert got["a"].data.end == got["b"].data.end == date(2017, 6, 30)


def test_a_baseline_comes_last_and_is_the_base_with_another_generator(load: Load, start: str) -> None:
    text = start + "paths: {count: 7}\nbaselines: [bootstrap]\nscenarios: [{name: a, paths: {count: 9}}]\n"
    first, last = load(text).spec.scenarios
    assert (first.name, first.role, first.paths.count) == ("a", "scenario", 9)
    assert (last.name, last.role, last.paths.count) == ("bootstrap", "baseline", 7)
    assert last.generator == BootstrapGenerator()


def test_the_report_folder_is_named_after_the_spec_unless_it_is_given(load: Load, start: str) -> None:
    assert load(start).spec.report.folder == "reports/demo"
    assert load(start + "report: {folder: elsewhere}\n").spec.report.folder == "elsewhere"


def test_a_mapping_made_in_python_may_hold_dates_paths_tuples_and_numpy_numbers(folder: Path) -> None:
    loaded = spec_from_dict(
        {
            "name": "demo",
            "data": {"file": Path("prices.csv"), "end": date(2017, 6, 30)},
            "paths": {"count": np.int64(12)},
            "generator": {"temperature": np.float64(0.5)},
            "strategies": ({"use": "strategies/trend.py:SmaCross", "params": {"fast": (5, 10)}},),
        },
        base=folder,
    )
    (scenario,) = loaded.spec.scenarios
    assert scenario.data.file == "prices.csv"
    assert scenario.paths.count == 12
    assert loaded.spec.strategies[0].params == {"fast": [5, 10]}
    assert parse_spec(loaded.text, folder).spec == loaded.spec  # the text kept for the report is the same spec


@pytest.mark.parametrize(
    ("value", "words"),
    [(object(), "type object"), (1j, "type complex"), (10**400, "type int"), ({1: 2}, "got the key 1, expected text")],
)
def test_a_mapping_with_a_value_that_yaml_cannot_hold_is_refused(value: object, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_from_dict({"name": "demo", "data": {"source": value}})


def test_a_mapping_that_holds_itself_is_refused() -> None:
    endless: dict[str, object] = {"name": "demo"}
    endless["data"] = endless
    with pytest.raises(SpecError, match="nested deeper than 20"):
        spec_from_dict(endless)


def test_every_classical_generator_is_a_baseline_with_the_bases_treatment_of_drift(load: Load, start: str) -> None:
    text = start + "generator: {temperature: auto, drift: neutral}\nbaselines: [bootstrap, fhs, garch, gjr, gbm]\n"
    got = scenarios(load(text))
    assert isinstance(got["base"].generator, KronosGenerator)
    assert got["base"].generator.temperature == "auto"
    baselines = [one for one in got.values() if one.role == "baseline"]
    assert [one.generator.kind for one in baselines] == ["bootstrap", "fhs", "garch", "gjr", "gbm"]
    assert {one.generator.drift for one in baselines} == {"neutral"}
    plain = scenarios(load(start + "baselines: [garch]\n"))
    assert plain["garch"].generator.drift == "as_sampled"


def test_a_cost_may_be_written_in_basis_points(load: Load, start: str) -> None:
    broker = scenarios(load(start + "broker: {fees: 5bp, slippage: 0.5 bp}\n"))["base"].broker
    assert (broker.fees, broker.slippage) == (0.0005, 0.00005)


def test_a_scenario_multiplies_the_costs_of_the_base(load: Load, start: str) -> None:
    text = start + "broker: {fees: 5bp, slippage: 0.0002, fee_minimum: 2}\nscenarios:\n  - {name: base}\n"
    got = scenarios(load(text + "  - {name: dear, broker: {slippage: x3, fees: x2.5, fee_minimum: x0}}\n"))
    assert (got["dear"].broker.fees, got["dear"].broker.fee_minimum) == (0.00125, 0.0)
    assert got["dear"].broker.slippage == 0.0006
    assert got["base"].broker.slippage == 0.0002


def test_a_multiple_of_a_cost_that_the_base_does_not_name_is_refused(load: Load, start: str) -> None:
    with pytest.raises(SpecError, match=r"nothing to multiply: the base's broker names no 'slippage'"):
        load(start + "broker: {fees: 0.001}\nscenarios: [{name: dear, broker: {slippage: x3}}]\n")


def test_a_multiple_that_leaves_the_range_is_refused(load: Load, start: str) -> None:
    with pytest.raises(SpecError, match=r"broker.fees: got 0.9, expected a number of at least 0 and below 0.5"):
        load(start + "broker: {fees: 0.009}\nscenarios: [{name: dear, broker: {fees: x100}}]\n")
