"""What a run does with candles that break a rule: repaired, rejected or refused, and told with and without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import scenario_gen as sg
from scenario_gen.errors import CheckError
from scenario_gen.kronos import Checkpoint, Kronos, KronosTokenizer, ModelConfig, TokenizerConfig, save_checkpoint
from scenario_gen.kronos.representation import Levels
from scenario_gen.pipeline import run_spec
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import CANDLES, RunFolder

ROOT = Path(__file__).parents[2]
STRATEGIES = ROOT / "strategies"
Run = Callable[..., sg.StressRun]
REPAIR = {"on_invalid": "repair", "facts": False, "calibration": False}  # candles alone
REJECT = {**REPAIR, "on_invalid": "reject"}
FOLLOWER = """
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals

@dataclass(frozen=True)
class Follower:
    def signals(self, bars: Bars) -> Signals:
        return Signals(entries=bars.high > bars.high.shift(1), exits=bars.low < bars.low.shift(1))
"""


class Notes(SilentProgress):
    """Remembers what the user is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def levels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of published kind: nothing keeps its candles in order."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tokenizer = KronosTokenizer(TokenizerConfig(6, 16, 4, 32, 2, 2, 4, 4, 4)).eval().requires_grad_(False)
        model = Kronos(ModelConfig(2, 32, 4, 64, 4, 4)).eval().requires_grad_(False)
    folder = tmp_path_factory.mktemp("checkpoints") / "levels"
    save_checkpoint(Checkpoint("levels", model, tokenizer, Levels(), 64, "train", None), folder)
    return folder


def _spec(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "candles",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 15},
        "paths": {"count": 60, "seed": 3, "block": 25},
        "generator": {"kind": "bootstrap"},
        "checks": REPAIR,
        "strategies": [
            {"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"},
            {"use": f"{STRATEGIES}/donchian_breakout.py:DonchianBreakout", "params": {"entry": 5, "exit": 3}},
        ],
        "report": {"folder": str(folder)},
        **changes,
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return lambda folder="run", **changes: sg.run(_spec(tmp_path / folder, **changes))


@pytest.fixture
def follower(tmp_path: Path) -> dict[str, str]:
    """A strategy that looks at nothing but highs and lows."""
    file = tmp_path / "follower.py"
    file.write_text(FOLLOWER)
    return {"use": f"{file}:Follower"}


def _rule(run: sg.StressRun, rule: str) -> Any:
    return next(row for row in run.scenarios[0].candles.rules if row.rule == rule)


def test_a_generator_without_order_is_repaired_and_told_with_and_without_it(
    run: Run, levels: Path, follower: dict[str, str], tmp_path: Path
) -> None:
    hold = {"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"}
    result = run(generator={"kind": "kronos", "model": str(levels), "device": "cpu"}, strategies=[hold, follower])
    account = result.scenarios[0].candles
    assert (account.label, account.repaired, account.untouched) == ("FAIL", 60, 0)
    assert account.bad_bars == _rule(result, "V3").bars > 45
    assert _rule(result, "V3").left_bars == 0
    held, followed = result.scenarios[0].repair
    assert (held.paths, held.failed) == (60, 0)
    # Buy and hold fills at opens and is marked at closes, which a repair of highs and lows never moves.
    assert held.difference.value == 0
    assert held.figures[0].raw == held.figures[0].repaired
    assert followed.difference.value != 0
    page = (tmp_path / "run" / "index.html").read_text()
    assert "With and without repair." in page
    assert "Bars without a wick." in page
    assert "What repair did to the paths that it changed." in page


def test_where_nothing_is_repaired_that_is_said_and_nothing_is_run_twice(run: Run, tmp_path: Path) -> None:
    result = run()
    assert result.scenarios[0].repair == []
    assert "No kept path was changed" in (tmp_path / "run" / "index.html").read_text()


def test_ticks_round_every_path_and_keep_each_share_beside_the_unrounded_one(run: Run) -> None:
    result = run(market={"tick_size": 5.0, "lot_size": 1000})
    account = result.scenarios[0].candles
    assert (account.rounded, account.bad_bars, account.label) == (60, 0, "PASS")
    assert _rule(result, "V7").left_bars == 0
    assert _rule(result, "V7").history == pytest.approx(1.0, abs=0.05)  # index points have two decimals
    raw, repaired = account.wickless[0].raw, account.wickless[0].repaired
    assert repaired.value > raw.value  # five points swallow many a wick
    assert [effect.paths for effect in result.scenarios[0].repair] == [60, 60]
    assert len(account.facts) > 20  # of 15 bars
    assert {shift.shift.n for shift in account.facts} <= set(range(61))
    wicks = next(shift for shift in account.facts if shift.fact == "no_upper_wick")
    assert (wicks.raw, wicks.repaired) == pytest.approx((raw.value, repaired.value))  # counted, and measured


def test_rejection_at_a_price_limit_leaves_the_calm_paths_and_says_so(run: Run, tmp_path: Path) -> None:
    result = run(market={"price_limit": 0.025}, checks=REJECT, paths={"count": 400, "seed": 3})
    account = result.scenarios[0].candles
    assert 50 < account.rejected < 350
    assert account.rejection is not None
    assert account.rejection.conditional
    assert account.rejection.log_sd.low > 0  # the rejected ones were more volatile
    assert result.scenarios[0].repair == []
    (finding,) = [found for found in result.findings if found.name == "candles"]
    assert "conditional on acceptance" in finding.measured
    assert "conditional on acceptance" in (tmp_path / "run" / "index.html").read_text()


def test_every_path_has_its_counts_in_candles_parquet_the_rejected_ones_too(run: Run, tmp_path: Path) -> None:
    result = run(market={"price_limit": 0.025}, checks=REJECT, scenarios=[{"name": "a"}, {"name": "b"}])
    counts = pd.read_parquet(tmp_path / "run" / CANDLES)
    assert counts.groupby("scenario").size().to_dict() == {"a": 60, "b": 60}
    first = counts[counts["scenario"] == "a"]
    assert first["path_id"].tolist() == list(range(60))
    assert first["rejected"].sum() == result.scenarios[0].candles.rejected
    assert first["V8_raw"].sum() == _rule(result, "V8").bars
    assert ((first["V8_raw"] > 0) == first["rejected"]).all()


def test_a_block_of_which_nothing_is_left_does_not_end_the_run(run: Run) -> None:
    rejecting = {
        "market": {"price_limit": 0.025},
        "checks": REJECT,
        "strategies": [{"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"}],
    }
    whole = run(**rejecting).scenarios[0]
    alone = run("alone", paths={"count": 60, "seed": 3, "block": 1}, **rejecting).scenarios[0]
    assert 0 < alone.candles.rejected < 60
    assert alone.candles == whole.candles
    assert alone.strategies[0].metrics == whole.strategies[0].metrics


def test_a_scenario_of_which_nothing_is_left_is_an_error_that_names_it(run: Run) -> None:
    with pytest.raises(CheckError, match="none of 60 paths of scenario narrow is left"):
        run(scenarios=[{"name": "narrow", "market": {"price_limit": 0.001}, "checks": REJECT}])


def test_what_the_market_allows_is_part_of_a_runs_identity(run: Run) -> None:
    assert run().identity["spec"] != run("other", market={"tick_size": 0.01}).identity["spec"]


def test_odd_bars_and_a_contradicted_market_are_told_on_the_way_and_in_the_result(tmp_path: Path) -> None:
    stamps = pd.bdate_range("2020-01-01", periods=200)
    rng = np.random.default_rng(2)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    frame = pd.DataFrame({"date": stamps, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close})
    frame["volume"] = 1000.0
    frame.loc[[3, 190], "volume"] = np.nan
    frame.loc[195, "high"] *= 20
    frame.to_csv(tmp_path / "mine.csv", index=False)
    spec = _spec(
        tmp_path / "run", data={"file": str(tmp_path / "mine.csv"), "calendar": "24/7"}, market={"tick_size": 0.5}
    )
    progress = Notes()
    result = run_spec(
        spec_from_dict(spec), folder=None, device=None, paths=None, overwrite=False, command="test", progress=progress
    )
    told = "\n".join(progress.notes)
    flags = "\n".join(result.scenarios[0].context.flags)
    page = (tmp_path / "run" / "index.html").read_text()
    for text in (
        "volume left out: 2 of 200 bars have none (rows 4, 191)",
        "ten times the previous close (1 bar at 2020-09-30, row 196)",
        "pauses in a 24/7 calendar (40 bars, the first at 2020-01-06, rows 4, 9, 14 and 37 more)",
        "market.tick_size (199 bars, the first at 2020-01-02): 0.5 is declared, but 100% of the history",
    ):
        assert text in told
        assert text in flags
        assert text in page
    assert "(1 of them in the context)" in flags
    assert all(note.startswith("mine: ") for note in progress.notes)


def test_a_run_folder_gives_its_account_back(run: Run, levels: Path, tmp_path: Path) -> None:
    result = run(generator={"kind": "kronos", "model": str(levels), "device": "cpu"}, market={"tick_size": 0.25})
    assert RunFolder(tmp_path / "run").read_run() == result
