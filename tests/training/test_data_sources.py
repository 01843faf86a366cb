"""Bars to train on from files, the built-in history, vectorbt's classes and mixtures; bad ones stop before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vectorbt

from scenario_gen.errors import DataError, SpecError
from scenario_gen.kronos.representation import Increments
from scenario_gen.training import train
from scenario_gen.training.config import DataConfig, VectorbtData, WindowConfig
from scenario_gen.training.data import Series, WindowSampler, load_series
from scenario_gen.training.histories import download

Walk = Callable[..., pd.DataFrame]


def _load(base: Path, **config: Any) -> list[Series]:
    return load_series(
        DataConfig.model_validate({"holdout_share": 0.2, **config}), base, 64, config.pop("download", None)
    )


def test_csv_and_parquet_files_are_read_in_the_order_of_the_config(tmp_path: Path, walk: Walk) -> None:
    walk(300, 1).to_csv(tmp_path / "b.csv", index=False)
    walk(400, 2).drop(columns="volume").to_parquet(tmp_path / "a.parquet")
    walk(500, 3).to_csv(tmp_path / "c.csv", index=False)
    series = _load(tmp_path, files=["b.csv", "a.parquet"], asset_class="crypto", holdout_symbols=["b"])
    assert [(s.name, s.frequency, s.asset_class, s.has_volume) for s in series] == [
        ("b", "1h", "crypto", True),
        ("a", "1h", "crypto", False),
    ]
    assert [(s.train_end, s.later_start) for s in series] == [(0, 0), (256, 320)]
    assert [s.name for s in _load(tmp_path, files=["*.csv"])] == ["b", "c"]
    np.testing.assert_allclose(series[0].values[:, 3], walk(300, 1)["close"], rtol=1e-6)


def test_the_built_in_history_and_days_of_it() -> None:
    (whole,) = _load(Path(), source="sp500")
    assert (len(whole.values), whole.frequency, whole.has_volume) == (5031, "daily", True)
    (part,) = _load(Path(), source="sp500", start="2001-01-01", end="2010-12-31")
    assert str(np.datetime64(int(part.wall_ns[0]), "ns"))[:10] == "2001-01-02"
    assert str(np.datetime64(int(part.wall_ns[-1]), "ns"))[:10] == "2010-12-31"


class MadeData(vectorbt.Data):  # type: ignore[misc]
    """Candles of vectorbt's own form, without a network."""

    @classmethod
    def download_symbol(cls, symbol: str, bars: int = 300, **options: Any) -> pd.DataFrame:
        if symbol == "GONE":
            raise ConnectionError("no route to the vendor")
        close = 100 * np.exp(np.cumsum(np.random.default_rng(len(symbol)).normal(0, 0.01, bars)))
        index = pd.date_range("2020-01-01", periods=bars, freq="h", tz="UTC")
        columns = {"Open": close, "High": close * 1.01, "Low": close * 0.99, "Close": close}
        return pd.DataFrame(columns | {"Volume": 5.0, "Dividends": 0.0}, index=index)


def test_vectorbts_data_classes_are_read_symbol_by_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectorbt, "MadeData", MadeData, raising=False)

    def fetch(asked: VectorbtData) -> list[Any]:
        return download(asked.kind, asked.symbols, asked.options)

    config = DataConfig.model_validate(
        {"vectorbt": {"kind": "MadeData", "symbols": ["A", "BTC"], "options": {"bars": 400}}}
    )
    series = load_series(config, Path(), 64, fetch)
    assert [(s.name, s.frequency, len(s.values), s.has_volume) for s in series] == [
        ("A", "1h", 400, True),
        ("BTC", "1h", 400, True),
    ]
    with pytest.raises(DataError, match="MadeData of GONE cannot be fetched: ConnectionError"):
        download("MadeData", ["GONE"], {})
    with pytest.raises(DataError, match="vectorbt has no data class 'YahooData'"):
        download("YahooData", ["SPY"], {})
    with pytest.raises(DataError):  # closes without open, high and low are no candles
        download("GBMData", ["X"], {"start": "2020-01-01", "end": "2020-06-01", "freq": "D"})
    with pytest.raises(DataError, match=r"data\.vectorbt cannot be read here"):
        load_series(config, Path(), 64)


def test_a_mixture_is_drawn_in_its_share_and_never_held_out(tmp_path: Path, walk: Walk) -> None:
    """2000 draws of a share of .3: standard error .0102; four of them, a false alarm in 6e-5 of runs."""
    walk(500, 1).to_csv(tmp_path / "mine.csv", index=False)
    walk(5000, 2).to_csv(tmp_path / "old.csv", index=False)
    walk(900, 3).to_csv(tmp_path / "other.csv", index=False)
    series = _load(tmp_path, files=["mine.csv"], mix=[{"files": ["o*.csv"], "share": 0.3}])
    assert [(s.source, s.train_end) for s in series] == [(0, 336), (1, 5000), (1, 900)]
    window = WindowConfig(bars=64, context_min=32, context_max=40)
    sampler = WindowSampler(series, window, Increments(), "train", 0.5, 1, (0.7, 0.3))
    weights = sampler.weights()
    assert weights[0] == pytest.approx(0.7)
    assert weights[1] > weights[2] > 0
    later = WindowSampler(series, window, Increments(), "later", 0.5, 1, (0.7, 0.3))
    assert later.weights().tolist() == [1.0, 0.0, 0.0]


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**dict.fromkeys(("open", "high", "low", "close"), 5.0))


def _zones(frame: pd.DataFrame) -> pd.DataFrame:
    stamps = frame["timestamp"].astype(str)
    return frame.assign(timestamp=stamps.where(np.arange(len(stamps)) % 2 == 0, stamps + "+02:00"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.head(239), "bars has 239 bars"),
        (_flat, "bars: the close never moves from row 1 to row 256"),
        (lambda f: f.assign(close=f["close"].where(f.index != 7)), "close"),
        (lambda f: f.rename(columns={"close": "cloze"}), "close"),
        (_zones, "offset"),
        (lambda f: f.assign(high=f["low"]), "high"),
        (lambda f: pd.concat([f[:9], f[8:]]), ""),
        (lambda f: f.head(0), "no bars"),
    ],
)
def test_a_bad_file_stops_before_anything_is_trained(
    tmp_path: Path,
    walk: Walk,
    write_config: Callable[..., Path],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    change(walk(400, 1)).to_csv(tmp_path / "bars.csv", index=False)
    config = write_config(tmp_path, data={"files": ["bars.csv"], "holdout_share": 0.2})
    with pytest.raises(DataError) as caught:
        train(config, out=tmp_path / "run")
    assert message in caught.value.problem
    assert caught.value.fix
    assert not (tmp_path / "run").exists()


def test_a_stretch_that_is_held_out_and_never_moves_is_found_now(tmp_path: Path, walk: Walk) -> None:
    frame = walk(400, 1)
    frame.loc[320:, ["open", "high", "low", "close"]] = 7.0
    frame.to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(DataError, match="the close never moves from row 321 to row 400"):
        _load(tmp_path, files=["bars.csv"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "got none of folder, files, source, vectorbt"),
        ({"folder": "x", "source": "sp500"}, "got folder and source of"),
        ({"source": "dax"}, "data.source"),
        ({"vectorbt": {"kind": "YFData", "symbols": []}}, "data.vectorbt.symbols"),
        ({"source": "sp500", "mix": [{"source": "nasdaq"}]}, "data.mix.0.share"),
        ({"source": "sp500", "mix": [{"source": "nasdaq", "share": 0.6}] * 2}, "leave nothing"),
        ({"source": "sp500", "start": "soon"}, "data.start"),
    ],
)
def test_a_place_that_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, write_config: Callable[..., Path], data: dict[str, Any], message: str
) -> None:
    config = write_config(tmp_path, data=data)
    with pytest.raises(SpecError) as caught:
        train(config, out=tmp_path / "run")
    assert message in caught.value.problem
    line = config.read_text().splitlines().index("data:" if data else "data: {}") + 1
    named = int(caught.value.problem.split(":")[1])
    assert line <= named <= line + 8


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches \*\.csv"):
        _load(tmp_path, files=["*.csv"])
    with pytest.raises(DataError, match=r"there is no file .*gone\.csv"):
        _load(tmp_path, files=["gone.csv"])
    with pytest.raises(DataError, match=r"data\.holdout_symbols names SPY, which is not among the data"):
        _load(tmp_path, source="sp500", holdout_symbols=["SPY"])


def test_the_data_option_takes_a_folder_a_file_or_a_built_in_history(
    tmp_path: Path, walk: Walk, small_data: Path
) -> None:
    walk(300, 1).to_csv(tmp_path / "b.csv", index=False)
    walk(300, 2).to_parquet(tmp_path / "a.parquet")
    config = DataConfig.model_validate({"source": "sp500", "holdout_share": 0.2})
    names = {
        place: [one.name for one in load_series(config.at(str(place)), Path("elsewhere"), 64)]
        for place in (tmp_path, tmp_path / "a.parquet", small_data)
    }
    assert names[tmp_path] == ["b", "a"]
    assert names[tmp_path / "a.parquet"] == ["a"]
    assert names[small_data] == ["crypto_1h__SEEN", "fx_1h__QUIET", "crypto_1h__HELD"]
    assert config.at("nasdaq").source == "nasdaq"
    with pytest.raises(DataError, match=r"there is no file .*gone\.csv"):
        load_series(config.at(str(tmp_path / "gone.csv")), Path(), 64)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"manifest\.csv cannot be read"):
        load_series(config.at(str(tmp_path / "empty")), Path(), 64)
