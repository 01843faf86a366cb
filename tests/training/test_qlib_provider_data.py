"""A model is trained on a Qlib provider: stays, adjusted bars, and one day from which all instruments are held out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError, SpecError
from scenario_gen.forecasts.checkpoints import Material
from scenario_gen.training import train
from scenario_gen.training.config import DataConfig, load_config
from scenario_gen.training.data import Series, load_series
from scenario_gen.training.histories import read_provider

BARS, EMBARGO = 400, 64
DAYS = pd.bdate_range("2015-01-05", periods=BARS)
# Line of the calendar that an instrument's fields begin at, and how many there are: LATE is listed at bar 100.
LISTED = {"AAA": (0, 400), "BBB": (0, 400), "LATE": (100, 300), "GONE": (0, 250)}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, walk: Callable[..., pd.DataFrame]) -> Path:
    """A provider of four instruments as dump_bin.py writes one; AAA was suspended on two days and split on bar 200."""
    place = tmp_path_factory.mktemp("cn_data")
    for folder in ("calendars", "instruments"):
        (place / folder).mkdir()
    (place / "calendars" / "day.txt").write_text("\n".join(str(day.date()) for day in DAYS))
    for seed, (name, (first, bars)) in enumerate(LISTED.items()):
        frame = walk(bars, seed).drop(columns="timestamp").assign(factor=0.5)
        if name == "AAA":
            frame.loc[200:, "factor"] = 1.0
            frame.loc[50:51] = np.nan
        features = place / "features" / name.lower()
        features.mkdir(parents=True)
        for field in frame:
            np.concatenate(([first], frame[field])).astype("<f4").tofile(features / f"{field}.day.bin")
    stay = "{}\t" + f"{DAYS[0].date()}\t2099-12-31"
    (place / "instruments" / "all.txt").write_text("\n".join(stay.format(name) for name in LISTED))
    # AAA left the index at bar 189 and came back at bar 300; BBB joined at bar 120
    stays = (("AAA", 0, 189), ("AAA", 300, 399), ("BBB", 120, 399))
    lines = [f"{name}\t{DAYS[first].date()}\t{DAYS[last].date()}" for name, first, last in stays]
    (place / "instruments" / "index.txt").write_text("\n".join(lines))
    return place


def _load(provider: Path, **config: Any) -> list[Series]:
    given = {"source": "qlib", "provider_uri": provider.name, **config}
    return load_series(DataConfig.model_validate(given), provider.parent, EMBARGO)


def test_all_instruments_are_held_out_from_one_day_whatever_their_length(provider: Path) -> None:
    """By hand: the last fifth of 400 days begins at bar 320, the embargo at 256, and GONE ended before."""
    series = _load(provider, holdout_share=0.2, asset_class="equity")
    assert [(one.name, one.train_end, one.later_start, len(one.values)) for one in series] == [
        ("AAA", 254, 318, 398),  # two days of suspension are no bars
        ("BBB", 256, 320, 400),
        ("GONE", 250, 250, 250),
        ("LATE", 156, 220, 300),
    ]
    cut = DAYS[320].value
    assert all(one.wall_ns[one.train_end - 1] < cut for one in series)
    assert {int(one.wall_ns[one.later_start]) for one in series if one.name != "GONE"} == {cut}
    assert {(one.asset_class, one.frequency, one.has_volume) for one in series} == {("equity", "daily", True)}
    named = _load(provider, holdout_from=DAYS[320].date().isoformat())
    assert [one.train_end for one in named] == [one.train_end for one in series]


def test_prices_are_adjusted_so_that_a_split_is_no_fall(provider: Path, walk: Callable[..., pd.DataFrame]) -> None:
    (series,) = _load(provider, instruments=["aaa"])
    stored = walk(400, 0)["close"].drop([50, 51])
    np.testing.assert_allclose(series.values[:, 3], stored, rtol=1e-6)  # as float32 keeps it


def test_a_market_gives_each_stay_alone_and_nothing_from_before_it(provider: Path) -> None:
    histories = read_provider(provider, "index")
    assert [(one.name, one.symbol, len(one.values)) for one in histories] == [
        (f"AAA from {DAYS[0].date()}", "AAA", 188),
        (f"AAA from {DAYS[300].date()}", "AAA", 100),
        ("BBB", "BBB", 280),
    ]
    assert histories[2].wall_ns[0] == DAYS[120].value
    # too short for two windows before the held-out days, the second stay is left out; held out, both are
    assert [one.name for one in _load(provider, instruments="index", holdout_share=0.2)] == [histories[0].name, "BBB"]
    held = _load(provider, instruments="index", holdout_share=0.2, holdout_symbols=["AAA"])
    assert [one.train_end for one in held] == [0, 0, 136]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"provider_uri": None}, "source: qlib and provider_uri go together"),
        ({"source": "sp500", "provider_uri": None, "freq": "day"}, "got freq without source: qlib"),
        ({"holdout_share": 0.1, "holdout_from": "2016-01-01"}, "give one of them"),
        ({"short": "train"}, "days that are held out of the other series"),
    ],
)
def test_what_does_not_go_together_is_told_with_its_line(
    provider: Path, tmp_path: Path, write_config: Callable[..., Path], changed: dict[str, Any], words: str
) -> None:
    data = {key: value for key, value in ({"source": "qlib", "provider_uri": "x"} | changed).items() if value}
    with pytest.raises(SpecError, match=rf"tiny\.yaml:\d+: data: .*{words}"):
        load_config(write_config(tmp_path, data=data))


def test_what_a_provider_lacks_is_told(provider: Path, tmp_path: Path) -> None:
    for changed, words in (
        ({"instruments": "csi300"}, "no market 'csi300'"),
        ({"instruments": ["SH600000"]}, "no instrument 'SH600000'"),
        ({"freq": "5min"}, "no calendar of '5min' bars"),
        ({"start": "2030-01-01"}, "no series"),
        ({"holdout_symbols": ["CCC"]}, r"data\.holdout_symbols names CCC"),
    ):
        with pytest.raises(DataError, match=words):
            _load(provider, **changed)


def test_a_model_is_trained_on_a_provider_and_judged_on_what_was_held_out(
    provider: Path, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    data = {"source": "qlib", "provider_uri": str(provider), "holdout_share": 0.2, "holdout_symbols": ["LATE"]}
    config = write_config(tmp_path, data=data, model__steps=2, tokenizer__steps=2)
    checkpoint = train(config, out=tmp_path / "run").checkpoint
    assert checkpoint is not None
    (row,) = checkpoint.provenance["trained_on"]
    assert (row["series"], row["held_out_series"], row["bars"]) == (3, 1, 254 + 256 + 250)
    assert row["last"] == str(DAYS[255].date()) < str(DAYS[320].date())
    kept = {part: Material(str(provider), config, part).read() for part in ("later", "unseen")}
    assert [one.name for one in kept["unseen"]] == ["LATE"]
    assert {one.name for one in kept["later"]} >= {"AAA", "BBB"}
