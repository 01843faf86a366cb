"""A table's columns: the pointer follows from the path, what is missing is a dash, and three renderers say the same."""

from __future__ import annotations

import dataclasses

import pytest
from rich.console import Console

from scenario_gen.backtest.metrics import METRICS
from scenario_gen.report.table import Column, Placed, Ref, place, tabulate, to_markdown, to_rich
from scenario_gen.report.tables.outcomes import metric_table
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StressRun


def test_the_pointer_is_the_path_with_its_indices(full: StressRun) -> None:
    strategy = place(full)[0].strategies()[1]
    found = strategy.find("metrics/metric=max_drawdown/quantiles/0.95")
    number = [summary.metric for summary in strategy.strategy.metrics].index("max_drawdown")
    assert found.at == f"scenarios/0/strategies/1/metrics/{number}/quantiles/0.95"
    assert found.value is strategy.strategy.metrics[number].quantiles["0.95"]


def test_a_path_that_ends_early_is_a_dash_and_not_an_error(full: StressRun) -> None:
    strategy = place(full)[0].strategies()[0]
    for path in ("metrics/metric=unheard/mean", "var/0.123/value", "tail/drawdowns/recovered"):
        (cell,) = (Column("head", path, "percent").cell(strategy),)
        assert cell.words == "—"


def test_refused_numbers_get_one_letter_per_reason() -> None:
    refused = [Estimate(None, n=9, reason=reason) for reason in ("too few", "no trade", "too few")]
    rows = [Ref(estimate, "") for estimate in refused]
    table = tabulate("row", [Column("mean", lambda row: row, "percent")], rows, lambda _: "a")
    assert table.reasons == (("a", "too few"), ("b", "no trade"))
    assert [row.cells[0].mark for row in table.marked] == ["a", "b", "a"]


def test_terminal_and_model_card_show_the_same_words() -> None:
    rows = [Ref({"share": 0.25, "name": "a|[b]"}, "")]
    columns = [Column("name", "name", left=True), Column("share", "share", ".1%")]
    table = tabulate("n", columns, rows, lambda _: "1", title="Title", caption="Caption")
    assert to_markdown(table).splitlines()[-3:] == ["| 1 | a\\|[b] | 25.0% |", "", "Caption"]
    console = Console(width=60)
    with console.capture() as capture:
        console.print(to_rich(table))
    assert "a|[b]" in capture.get()
    assert "25.0%" in capture.get()


def test_every_metric_has_its_title_and_form_from_its_entry_and_one_without_is_an_error(full: StressRun) -> None:
    strategy = place(full)[0].strategies()[0]
    titles = {metric.name: metric.title for metric in METRICS}
    assert [row.head for row in metric_table(strategy).rows] == [titles[s.metric] for s in strategy.strategy.metrics]
    unknown = dataclasses.replace(strategy.strategy.metrics[0], metric="unheard_of")
    with pytest.raises(KeyError):
        metric_table(Placed(dataclasses.replace(strategy.strategy, metrics=[unknown]), ""))
