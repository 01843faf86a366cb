"""Scenarios of a book stand on common dates: contexts end together, futures have one grid, files are read once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.generators.base import ignore
from scenario_gen.generators.draws import plan_blocks
from scenario_gen.joint.copulas import CopulaCoupling
from scenario_gen.joint.coupling import Coupled, Coupling, Independent
from scenario_gen.joint.results import CouplingReport
from scenario_gen.pipeline.blocks.block import sample_block
from scenario_gen.pipeline.book.coupling import Couplings, couple_grounds
from scenario_gen.pipeline.book.judge import apart_closes
from scenario_gen.pipeline.book.shocks import with_responses
from scenario_gen.pipeline.opening import Histories
from scenario_gen.pipeline.prepared import Book, Prepared, prepare
from scenario_gen.pipeline.stress.shocks import twin_of
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import LoadedSpec, parse_spec
from tests.joint.given import coin, exchange
from tests.market.conftest import draw_bars

SPEC = """\
name: book
data: {end: 2019-03-29}
bars: {context: 128, horizon: 12}
paths: {count: 16}
generator: {kind: bootstrap}
assets:
  - {name: stock, file: stock.csv, calendar: XNYS}
  - {name: coin, file: coin.csv, calendar: 24/7}
scenarios:
  - {name: base}
strategies: [{use: "strategies/buy_and_hold.py:BuyAndHold"}]
"""
COIN = "file: coin.csv, calendar: 24/7"
INDICES = """\
name: book
data: {end: 2017-06-30}
bars: {horizon: 12}
paths: {count: 16}
generator: {kind: bootstrap}
assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]
scenarios:
  - {name: base}
  - {name: lehman, context: {crisis: lehman, seed: onset}}
  - {name: worst, context: {search: {score: drawdown, top: 2}}}
strategies: [{use: "strategies/buy_and_hold.py:BuyAndHold"}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a stock, a coin and an hourly stock, beside a strategy."""
    here = tmp_path_factory.mktemp("book")
    stock, whole = exchange("XNYS", "2017-01-03", "2019-06-28"), coin("2017-01-03", "2019-06-30")
    stock.frame().to_csv(here / "stock.csv", index_label="timestamp")
    whole.frame().to_csv(here / "coin.csv", index_label="timestamp")
    stock.frame().drop(columns="volume").to_csv(here / "bare.csv", index_label="timestamp")
    steps, own = np.diff(np.log(stock.close), prepend=np.log(100)), np.random.default_rng(3).normal(0, 0.01, len(stock))
    late = 50 * np.exp(np.cumsum(0.7 * np.roll(steps, 1) + 0.7 * own))
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), late), stock.timestamps)
    frame.assign(volume=1.0).to_csv(here / "late.csv", index_label="timestamp")
    hours = pd.DatetimeIndex([day + pd.Timedelta(hours=10 + hour) for day in stock.timestamps for hour in range(2)])
    draw_bars(hours).to_csv(here / "hours.csv", index_label="timestamp")
    (here / "strategies").symlink_to(Path(__file__).parents[2] / "strategies")
    return here


def _loaded(folder: Path, text: str = SPEC, *changes: tuple[str, str]) -> LoadedSpec:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_spec(text, folder, "demo.yaml")


def _prepared(loaded: LoadedSpec, progress: SilentProgress | None = None) -> dict[str, Prepared]:
    ready = prepare(loaded.spec.scenarios, loaded.base, progress or SilentProgress(), place=loaded.place)
    return {ground.name: ground for ground in ready}


def test_the_assets_of_a_scenario_end_together_and_go_on_on_the_same_dates(folder: Path) -> None:
    progress = SilentProgress()
    grounds = _prepared(_loaded(folder), progress)
    stock, whole = grounds["base.stock"], grounds["base.coin"]
    assert stock.context.timestamps.equals(whole.context.timestamps)
    assert str(whole.context.timestamps[-1].date()) == "2019-03-29"
    assert stock.timestamps.equals(whole.timestamps)
    assert whole.later.timestamps.equals(stock.timestamps)  # no holiday but Good Friday, which both leave out
    assert "2019-04-19" not in {str(stamp.date()) for stamp in stock.timestamps}
    assert whole.bars_per_year == stock.bars_per_year < 253
    notes = [note for note in progress.notes if "coin also trades when stock does not" in note]
    assert len(notes) == 1 and notes[0].startswith("base: ")


def test_in_a_union_a_closed_market_has_fewer_bars_on_one_grid(folder: Path) -> None:
    loaded = _loaded(folder, SPEC, ("generator:", "joint: {calendar: union}\ngenerator:"))
    grounds = _prepared(loaded)
    stock, whole = grounds["base.stock"], grounds["base.coin"]
    assert len(whole.timestamps) == 12 and len(stock.timestamps) == 8  # 30 March, a Saturday, to 10 April
    assert stock.scenario.bars.horizon == 8 and stock.timestamps.isin(whole.timestamps).all()
    assert len(whole.context) == len(stock.context) == 128
    coupled, _ = couple_grounds([stock, whole], Couplings(loaded.base, loaded.place))
    assert isinstance(coupled[0].coupled, Coupled)
    assert coupled[0].coupled.dates.tolist() == [2, 3, 4, 5, 6, 9, 10, 11]
    assert coupled[1].coupled is not None and coupled[1].coupled.dates.tolist() == list(range(12))


def test_each_file_is_read_once_for_all_scenarios(folder: Path) -> None:
    loaded = _loaded(folder, SPEC, ("- {name: base}", "- {name: base}\n  - {name: early, data: {end: 2018-06-29}}"))
    histories = Histories(loaded.base, loaded.place, loaded.spec.scenarios)
    pasts = [histories.of(scenario) for scenario in loaded.spec.scenarios]
    assert [str(past.history.timestamps[-1].date()) for past in pasts] == ["2019-03-29"] * 2 + ["2018-06-29"] * 2
    assert len(histories.read) == 2 and len(histories.aligned) == 1
    assert pasts[0].aligned is pasts[1].aligned


def test_an_asset_alone_is_prepared_as_in_its_book(folder: Path) -> None:
    """A calibration prepares one scenario of the spec; its bars are those of the book."""
    loaded = _loaded(folder)
    (alone,) = prepare(
        [loaded.spec.scenarios[1]], loaded.base, SilentProgress(), among=loaded.spec.scenarios, place=loaded.place
    )
    book = _prepared(loaded)["base.coin"]
    assert np.array_equal(alone.history.values, book.history.values) and alone.timestamps.equals(book.timestamps)


def test_contexts_in_a_crisis_end_on_one_date_that_of_the_first_asset(folder: Path) -> None:
    progress = SilentProgress()
    grounds = _prepared(_loaded(folder, INDICES), progress)
    assert [*grounds] == [
        f"{name}.{asset}" for name in ("base", "lehman", "worst_1", "worst_2") for asset in ("spx", "ndx")
    ]
    text = INDICES.replace("assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]\n", "")
    alone = parse_spec(text.replace("{end: 2017-06-30}", "{source: sp500, end: 2017-06-30}"), folder).spec
    solo = {ground.name: ground for ground in prepare(alone.scenarios, folder, SilentProgress())}
    for name in ("lehman", "worst_1", "worst_2"):
        spx, ndx = grounds[f"{name}.spx"], grounds[f"{name}.ndx"]
        assert spx.context.timestamps.equals(ndx.context.timestamps)
        assert np.array_equal(spx.context.values, solo[name].context.values) and spx.crisis == solo[name].crisis
        assert spx.crisis and ndx.crisis
        assert ndx.crisis.crisis.seeds == spx.crisis.crisis.seeds
        assert ndx.crisis.crisis.drawdown != spx.crisis.crisis.drawdown
    assert any("the contexts of all assets end where spx has its crisis" in note for note in progress.notes)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (COIN, "file: hours.csv, calendar: XNYS", "demo.yaml:8: assets[coin]: bars of different size"),
        ("{end: 2019-03-29}", "{end: 2017-12-01}", "demo.yaml:6: assets: stock, coin have 232 bars in common"),
        ("context: 128", "context: 600", "but the context needs 600"),
        (COIN, "file: bare.csv", "demo.yaml:8: assets[coin]: 'coin' has the history of 'stock'"),
        ("base}", "base, context: {crisis: lehman}}", "demo.yaml:10: scenarios[base].context.crisis: the crisis"),
    ],
)  # fmt: skip
def test_what_cannot_be_coupled_is_refused_with_its_line(folder: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        _prepared(_loaded(folder, SPEC, (old, new)))
    assert words in str(caught.value)


def test_volume_that_is_required_is_required_of_all(folder: Path) -> None:
    bare = (SPEC.replace("stock.csv, calendar: XNYS", "bare.csv, calendar: XNYS"), ("24/7}", "24/7, volume: require}"))
    with pytest.raises(DataError) as caught:
        _prepared(_loaded(folder, *bare))
    assert "demo.yaml:8: assets[coin]: volume is required of coin, and stock has none" in str(caught.value)
    progress = SilentProgress()
    _prepared(_loaded(folder, bare[0]), progress)
    assert any("no volume in stock" in note for note in progress.notes)


def test_closes_of_different_hours_are_a_note_and_a_finding(folder: Path) -> None:
    progress = SilentProgress()
    text = SPEC.replace(COIN, "file: late.csv, calendar: XNYS")
    for words, label in ((text, "WARN"), (SPEC, "PASS")):
        grounds = _prepared(_loaded(folder, words), progress)
        book = Book("base", {ground.scenario.asset: ground for ground in grounds.values()}, CouplingReport([], "", 0))
        finding = apart_closes(book)
        assert (finding.check.key, finding.label, finding.scenario) == ("calendar_alignment", label, "base")
        assert finding.offenders == (["stock/coin"] if label == "WARN" else [])
    (note,) = [note for note in progress.notes if "WARN" in note]
    assert note.startswith("base: WARN: returns of coin go with those of stock one bar earlier (0.")


# --- Shocks on one asset ---

SHOCKED = """\
name: book
data: {end: 2017-06-30}
bars: {context: 128, horizon: 6}
paths: {count: 64, block: 64}
generator: {kind: gbm}
assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]
scenarios:
  - {name: gap, shocks: [{kind: gap, asset: spx, bar: 2, size: -0.01}]}
  - {name: alone, shocks: [{kind: gap, asset: spx, bar: 2, size: -0.01, others: as_they_are}]}
  - {name: base}
strategies: [{use: "strategies/buy_and_hold.py:BuyAndHold"}]
"""
# Of gbm the first number of a bar draws the gap before it and the second the body: both are coupled.
GAUSSIAN = CopulaCoupling(np.stack([np.array([[1.0, 0.8], [0.8, 1.0]])] * 2))


def _coupled(folder: Path, coupling: Coupling) -> dict[str, Prepared]:
    """Return the scenarios of two indices under a coupling that is given."""
    grounds = []
    every = _prepared(_loaded(folder, SHOCKED))
    for name in ("gap", "alone", "base"):
        own = [every[f"{name}.{asset}"] for asset in ("spx", "ndx")]
        own = [
            replace(each, coupled=Coupled(each.generator, coupling, place, each.timestamps, np.arange(6)))
            for place, each in enumerate(own)
        ]
        responding, report = with_responses(own, CouplingReport(["spx", "ndx"], "gaussian", 500))
        assert bool(report.notes) == (name == "gap")
        grounds += responding
    return {ground.name: ground for ground in grounds}


def test_a_gap_of_one_asset_has_the_other_respond_unless_it_is_to_stay_as_it_is(folder: Path) -> None:
    grounds = _coupled(folder, GAUSSIAN)
    paths = {name: sample_block(ground, plan_blocks(64, 64)[0], ignore) for name, ground in grounds.items()}
    base, ndx = paths["base.ndx"], paths["gap.ndx"]
    assert np.array_equal(paths["alone.ndx"].values, base.values)
    assert np.array_equal(ndx.values[:, :2], base.values[:, :2])
    fell = np.diff(np.log(ndx.closes) - np.log(base.closes), axis=1)
    assert (fell[:, 2] < 0).all() and np.allclose(fell[:, 3:], 0, atol=1e-6)  # gbm forgets what was
    # Before its own gap the shocked asset has the paths of the base, which are read and not sampled again.
    assert np.array_equal(paths["gap.spx"].values, paths["base.spx"].values)
    assert twin_of(grounds["gap.spx"], list(grounds.values())) is grounds["base.spx"]
    assert twin_of(grounds["gap.ndx"], list(grounds.values())) is None
    assert [ground.hit for ground in grounds.values()] == [True, True, True, False, False, False]
    identities = {str(grounds[name].sampler.identity) for name in ("gap.ndx", "alone.ndx")}
    assert len(identities) == 2


def test_a_response_is_told_and_so_is_that_there_can_be_none(folder: Path) -> None:
    every = _prepared(_loaded(folder, SHOCKED, ("size: -0.01}]", "size: -0.2}]")))
    own = [every["gap.spx"], every["gap.ndx"]]
    for coupling, words in (
        (GAUSSIAN, "in 100% of paths that is beyond 1,024 bars without it and counts as their last"),
        (Independent(), "of spx: nothing hangs together, so the others go on"),
    ):
        coupled = [
            replace(each, coupled=Coupled(each.generator, coupling, place, each.timestamps, np.arange(6)))
            for place, each in enumerate(own)
        ]
        _, report = with_responses(coupled, CouplingReport(["spx", "ndx"], "", 0))
        (note,) = report.notes
        assert words in note and note.startswith("gap of \u221220% at bar 2 of spx: ")


def test_what_common_dates_leave_out_is_told_once_for_all_scenarios(folder: Path) -> None:
    progress = SilentProgress()
    base = "  - {name: base}\n"
    more = "".join(base.replace("base", name) for name in ("base", "apart", "more", "most"))
    _prepared(_loaded(folder, SPEC, (base, more)), progress)
    (note,) = [note for note in progress.notes if "coin also trades when stock does not" in note]
    assert note.startswith("base, apart, more and 1 more: ")
    assert len(progress.notes) == len({note.split(": ", 1)[1] for note in progress.notes})
