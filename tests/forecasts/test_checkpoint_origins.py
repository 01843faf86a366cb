"""Origins of an evaluation: held out, one horizon apart, spread evenly, and blind to what comes after them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import CheckpointError, DataError, SpecError
from scenario_gen.forecasts.checkpoint_figures import HORIZON, Evaluation
from scenario_gen.forecasts.checkpoints import Contest, Material, evaluate, held_out, stretches
from scenario_gen.forecasts.harness import Sampling, _batches
from scenario_gen.forecasts.origins import Chosen, Stretch, choose_origins
from scenario_gen.kronos import Checkpoint, save_checkpoint
from scenario_gen.market import Candles
from scenario_gen.progress import SilentProgress
from scenario_gen.training.data import Series
from scenario_gen.training.histories import history_of, read_histories
from scenario_gen.values import encode

CONTEXT = 64
FIELDS = ("open", "high", "low", "close")


def _candles(bars: int, seed: int = 1, freq: str = "D") -> Candles:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars)))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    stamps = pd.date_range("2000-01-03", periods=bars, freq=freq).as_unit("ns")
    return Candles(stamps, np.stack((opened, high, low, close), axis=1), FIELDS, name=f"s{seed}")


def _stretch(bars: int, first: int = 0, seed: int = 1, group: tuple[str, str] = ("fx", "daily")) -> Stretch:
    return Stretch(f"s{seed}", *group, _candles(bars, seed), first)


def _chosen(stretches: list[Stretch], **most: int) -> Chosen:
    return choose_origins(stretches, context=CONTEXT, horizon=HORIZON, **most)


def test_futures_do_not_overlap_and_begin_in_the_held_out_stretch() -> None:
    found = [_stretch(2000, 700), _stretch(1500, 0, 2)]
    origins = _chosen(found).origins
    for place, first in ((0, 700), (1, CONTEXT)):
        rows = [one.row for one in origins if one.stretch == place]
        assert min(rows) >= first
        assert min(rows) < first + HORIZON
        assert max(rows) + HORIZON == len(found[place].candles)
        assert set(np.diff(rows)) == {HORIZON}


def test_a_cap_spreads_the_origins_evenly_over_time_and_over_series() -> None:
    found = [_stretch(6000 + CONTEXT, seed=seed) for seed in (1, 2, 3)]
    rows = [one.row for one in _chosen(found[:1], per_series=5).origins]
    assert rows[-1] == 6000 + CONTEXT - HORIZON
    assert rows[0] == CONTEXT + (6000 % HORIZON)
    assert np.diff(rows).max() - np.diff(rows).min() <= HORIZON
    chosen = _chosen(found, per_group=9).origins
    assert [sum(one.stretch == place for one in chosen) for place in range(3)] == [3, 3, 3]


def test_only_origins_of_one_span_of_time_share_a_cluster() -> None:
    found = [_stretch(1000, seed=1), _stretch(1000, seed=2)]
    origins = _chosen(found).origins
    by_series = [[one.cluster for one in origins if one.stretch == place] for place in (0, 1)]
    assert by_series[0] == by_series[1]
    assert len(set(by_series[0])) == len(by_series[0])


def test_stretches_that_do_not_move_or_are_short_are_counted_not_hidden() -> None:
    still = _candles(600)
    still.values[290:430] = still.values[290]
    found = [Stretch("still", "fx", "daily", still, 0), _stretch(CONTEXT + HORIZON - 1, seed=2)]
    chosen = _chosen(found)
    assert chosen.short == 1
    # of the rows 120, 180, ...: the future of 300, future and context of 360, the context of 420
    assert [one.row for one in chosen.origins] == [120, 180, 240, 480, 540]
    assert chosen.still == 3
    with pytest.raises(DataError, match="1 histories leave room for 0 origins of 64 bars of context"):
        _chosen(found[1:])


def test_what_a_training_run_held_out_is_found() -> None:
    values = np.zeros((10, 5), dtype=np.float32)
    seen = Series("seen", "fx", "1h", values, np.arange(10), False, 6, 8)
    never = replace(seen, name="never", train_end=0, later_start=0)
    first = {part: [(s.name, s.first) for s in held_out([seen, never], part)] for part in ("later", "unseen")}
    assert first == {"later": [("seen", 8)], "unseen": [("never", 0)]}
    assert len(held_out([seen, never], "both")) == 2
    with pytest.raises(DataError, match="keeps no series back as 'unseen'"):
        held_out([seen], "unseen")


def test_a_date_or_a_share_bounds_what_is_forecast() -> None:
    history = history_of(_candles(1000))
    assert stretches([history], start=pd.Timestamp("2000-01-13"))[0].first == 10
    assert stretches([history], share=0.25)[0].first == 750
    assert stretches([history], start=pd.Timestamp("2000-01-13"), share=0.25)[0].first == 750


def _run(folder: Path, model: Path, temperatures: tuple[float, ...] = (1.0,), seed: int = 0) -> Evaluation:
    contest, material = Contest(str(model), temperatures, device="cpu"), Material(str(folder), per_series=2)
    return evaluate(contest, material, Sampling(32, HORIZON, 8, seed), progress=SilentProgress())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for seed, bars in ((1, 400), (2, 300)):
        _candles(bars, seed).frame().to_csv(tmp_path / "data" / f"s{seed}.csv", index_label="date")
    return tmp_path / "data"


def test_forecasts_do_not_see_what_comes_after_their_origin(folder: Path, tiny_folder: Path) -> None:
    """Other futures leave every number of the paths alone but those that compare with what came."""
    before = _run(folder, tiny_folder).pooled
    for seed, bars in ((1, 400), (2, 300)):
        frame = pd.read_csv(folder / f"s{seed}.csv", index_col="date")
        later = frame.index[bars - HORIZON :]
        frame.loc[later, list(FIELDS)] *= np.linspace(1.0, 3.0, HORIZON)[:, None]
        frame["high"] = frame[list(FIELDS)].max(axis=1)
        frame["low"] = frame[list(FIELDS)].min(axis=1)
        frame.to_csv(folder / f"s{seed}.csv")
    after = _run(folder, tiny_folder).pooled
    for one, other in zip(before.generators, after.generators, strict=True):
        assert one.drift == other.drift
        assert [f.generated for f in one.facts] == pytest.approx([f.generated for f in other.facts], nan_ok=True)
        assert one.of("return_60").crps != other.of("return_60").crps


def test_a_folder_of_files_is_evaluated_by_group_and_repeats_itself(folder: Path, tiny_folder: Path) -> None:
    found = _run(folder, tiny_folder, temperatures=(0.5, 1.0))
    names = [one.name for one in found.pooled.generators]
    assert names == ["tiny T 1", "tiny T 0.5", "bootstrap", "Gaussian", "EWMA-FHS", "GJR-FHS"]
    assert (found.pooled.series, found.pooled.origins) == (2, 4)
    assert [(g.asset_class, g.frequency) for g in found.groups] == [("unlabelled", "daily")]
    again = _run(folder, tiny_folder, temperatures=(0.5, 1.0))
    assert encode(replace(found, seconds=0.0)) == encode(replace(again, seconds=0.0))
    other = _run(folder, tiny_folder, seed=1)
    assert other.pooled.generators[0].drift != found.pooled.generators[0].drift


def test_files_with_and_without_time_zones_do_not_mix(folder: Path, tiny_folder: Path) -> None:
    frame = pd.read_csv(folder / "s2.csv")
    frame["date"] = pd.to_datetime(frame["date"]).dt.tz_localize("UTC").map(pd.Timestamp.isoformat)
    frame.to_csv(folder / "s2.csv", index=False)
    with pytest.raises(DataError, match=r"s2\.csv have a time zone, those of .*s1\.csv have none"):
        read_histories(folder)


def test_what_cannot_be_evaluated_says_why(folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"has neither manifest\.csv nor files ending in"):
        _run(tmp_path / "empty", tiny_folder)
    with pytest.raises(CheckpointError):
        _run(folder, tmp_path / "no-such-model")
    both = Material(str(folder), config=tmp_path / "c.yaml", share=0.1)
    with pytest.raises(SpecError, match="says what was held out, and so do"):
        both.read()


def test_contexts_are_sampled_together_in_runs_of_one_kind() -> None:
    assert [list(run) for run in _batches([4, 4, 5, 5, 5, 4], 2)] == [[0, 1], [2, 3], [4], [5]]
    assert [list(run) for run in _batches([4], 9)] == [[0]]


def test_futures_in_the_time_of_the_training_are_told(
    folder: Path, tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Daily bars from 2000-01-03: futures begin at bars 40 and 340 of s1, 60 and 240 of s2; March 15 is bar 72."""
    record = {"trained_on": [{"last": "2000-03-15"}]}
    save_checkpoint(replace(tiny_checkpoint, provenance=record), tmp_path / "seen")
    notes = _run(folder, tmp_path / "seen").notes
    assert any(
        note.startswith("2 of 4 futures begin before the model's training data end (2000-03-15)") for note in notes
    )
