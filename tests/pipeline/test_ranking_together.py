"""The portfolio of a ranking over joint paths: its account by vectorbt, its names by hand, its spread by coupling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest.topk import DeskTerms, Tape, even_out, exchange, trade
from scenario_gen.errors import DataError, SpecError
from scenario_gen.generators.sections import open_generator
from scenario_gen.pipeline.rank.config import RankConfig, load_config
from scenario_gen.pipeline.rank.study import rank
from scenario_gen.pipeline.rank.together import held_growth, names_to_couple, together
from scenario_gen.pipeline.rank.universe import UniversePanel, open_universe, read_panel
from scenario_gen.pipeline.rank.worth import terms_of

BARS, NAMES = 270, ("aa", "bb", "cc", "short")
DAYS = pd.bdate_range("2021-01-04", periods=BARS)
PATHS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three names with a correlation of .8, at 1 % a day, of which aa rises and cc falls; and one of 100 bars."""
    place, rng = tmp_path_factory.mktemp("stocks"), np.random.default_rng(4)
    shared = rng.standard_normal(BARS)
    for number, name in enumerate(NAMES):
        own = rng.standard_normal(BARS)
        steps = 0.01 * (np.sqrt(0.8) * shared + np.sqrt(0.2) * own) + (0.002, 0.0, -0.002, 0.0)[number]
        close = 20 * np.exp(np.cumsum(steps))
        opened = np.concatenate(([20.0], close[:-1]))
        high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
        frame = pd.DataFrame({"date": DAYS, "open": opened, "high": high, "low": low, "close": close})
        frame.iloc[-100 if name == "short" else 0 :].to_csv(place / f"{name}.csv", index=False)
    return place


def config(folder: Path, **changed: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "joint",
        "universe": {"folder": str(folder), "pattern": "*.csv"},
        "dates": {"start": str(DAYS[-11].date()), "every": 10},
        "generator": {"kind": "gbm"},
        "context": 64,
        "horizon": 10,
        "paths": 32,
        "fewest": 3,
        "guard": 0,
        "decay": [],
        "portfolio": {"top": 1, "drop": 1, "commission": 0.001, "slippage": 0.0005},
        "joint": {"paths": PATHS, "names": 3, "coupling": {"copula": "gaussian"}},
    }
    return {**plain, **changed}


@pytest.fixture(scope="module")
def loaded(folder: Path) -> RankConfig:
    return load_config(config(folder))


@pytest.fixture(scope="module")
def panel(loaded: RankConfig) -> UniversePanel:
    return read_panel(open_universe(loaded), None)


def test_an_account_that_buys_and_holds_is_that_of_vectorbt() -> None:
    rng = np.random.default_rng(8)
    terms = DeskTerms(commission=0.001, slippage=0.002, stamp_duty=0.001, t_plus_one=True, price_limit=0.05)
    score = np.array([0.3, 0.1, np.nan, 0.2])
    for _ in range(3):
        close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (6, 4)), axis=0))
        opened = close * np.exp(rng.normal(0, 0.03, close.shape))  # some open beyond the limit
        tape = Tape(opened, close, np.arange(6))
        for rule in (lambda desk, bar, wanted: exchange(desk, bar, wanted, 2, 1), even_out):
            account = trade(tape, [(0, score)], terms, rule, 5)
            assert account is not None
            growth = held_growth(tape, score, terms, rule)
            np.testing.assert_allclose(growth[1:], account.value / terms.cash, rtol=1e-12)
            assert growth[0] == 1


def test_the_top_is_coupled_and_others_evenly_from_below(panel: UniversePanel) -> None:
    """By hand: of ten ranked names the best two, then the first, the middle and the last of the other eight."""
    many = replace(panel, names=tuple("abcdefghij"), bars=np.full((1, 10), 250))
    chosen, short = names_to_couple(many, 0, np.arange(10.0), 2, 5)
    assert (chosen, short) == ([9, 8, 7, 3, 0], [])
    lacking = replace(many, bars=np.array([[250] * 9 + [249]]))
    assert names_to_couple(lacking, 0, np.arange(10.0), 2, 2) == ([8, 7], ["j"])
    with pytest.raises(DataError, match="1 of 1 ranked names have 250 bars"):
        names_to_couple(many, 0, np.array([np.nan] * 9 + [1.0]), 2, 5)


def test_names_that_move_together_make_a_portfolio_that_moves_more(loaded: RankConfig, panel: UniversePanel) -> None:
    """Equal parts of three names: variance (1 + 2 rho) / 3 of one, so rho .8 makes 1.61 of the deviation of rho 0.

    Deviations of 400 paths have an error of 3.5 %, their ratio of 5 %: within five of them. It is read off the bands,
    whose error is some half larger, so 40 % of slack.
    """
    settings, generator = loaded.settings, open_generator(loaded.generator)
    assert settings.joint is not None
    assert settings.portfolio is not None
    apart = settings.joint.model_copy(
        update={"coupling": settings.joint.coupling.model_copy(update={"copula": "independent"})}
    )
    score, terms = np.array([0.3, 0.2, 0.1, np.nan]), terms_of(settings.portfolio)
    both = [
        together(panel, BARS - 1, score, generator, settings.model_copy(update={"joint": joint}), terms)
        for joint in (settings.joint, apart)
    ]
    assert [each.names for each in both] == [["aa", "bb", "cc"]] * 2
    reached = np.array(both[0].coupling.reached)[np.triu_indices(3, 1)]
    assert reached == pytest.approx(0.8, abs=0.1)  # of 270 bars: an error of .02, and what the fit leaves
    wide, narrow = (each.equal.bands[2][-1] - each.equal.bands[0][-1] for each in both)
    assert 1.61 / 1.4 < wide / narrow < 1.61 * 1.4


def test_a_ranking_tells_what_its_portfolio_may_come_to(folder: Path, tmp_path: Path) -> None:
    done = rank(config(folder), folder=tmp_path)
    outlook = done.outlook
    assert outlook is not None
    assert outlook.held == ["aa"]
    assert outlook.names == ["aa", "bb", "cc"]
    assert outlook.notes[0] == "1 names with fewer than 250 bars are not coupled: short"
    assert (outlook.paths, outlook.horizon, len(outlook.bars)) == (PATHS, 10, 11)
    ours, equal = outlook.portfolio, outlook.equal
    # by .2 % a day aa gains 2 % more in ten days than the three do, 1.9 % of 95 % invested; what 270 bars show of the
    # drift of aa against the three is right to .3 % over ten days
    assert outlook.excess.value == pytest.approx((ours.mean.value or 0) - (equal.mean.value or 0), abs=1e-12)
    assert outlook.excess.value == pytest.approx(0.019, abs=0.01)
    assert ours.bands[0][0] == ours.bands[2][0] == 1
    assert ours.low.value == pytest.approx(ours.bands[0][-1] - 1, abs=0.005)  # what is drawn is in the table
    assert ours.shortfall.value is not None
    assert -ours.shortfall.value <= (ours.low.value or 0)
    page = (tmp_path / "index.html").read_text()
    for word in ("What may they come to together?", "400 joint paths over 10 bars", "equal parts of the coupled names"):
        assert word in page


def test_names_that_cannot_be_coupled_are_told_and_the_ranking_stands(folder: Path, tmp_path: Path) -> None:
    # at bar 231, where the fourth name has too few to be ranked
    short = {"start": str(DAYS[-40].date()), "end": str(DAYS[-35].date()), "every": 10}
    done = rank(config(folder, dates=short, paths=4), folder=tmp_path)
    assert done.outlook is None
    assert "no joint paths: 0 of 3 ranked names have 250 bars or more" in done.notes


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"joint": {"names": 3}, "portfolio": {"top": 4, "drop": 1}}, "joint.names 3 and portfolio.top 4"),
        ({"portfolio": None}, "portfolio.top no portfolio"),
        ({"joint": {"coupling": {"calibrate": {"crisis": "lehman"}}}}, "expected a coupling read from the last bars"),
        ({"joint": {"path": 400}}, "paths"),
        ({"joint": {"paths": 399}}, "joint.paths"),
    ],
)
def test_joint_paths_that_cannot_be_made_are_refused_before_anything_is_read(changed, words, folder: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load_config(config(folder, **changed))
    assert words in str(refused.value)
