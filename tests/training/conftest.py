"""Made-up series on disk with a manifest, and training configs small enough to run in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from scenario_gen.training.config import WindowConfig

BARS, CONTEXT = 64, 40
Frames = dict[tuple[str, str, str], pd.DataFrame]  # by (asset class, symbol, frequency)


def _walk(bars: int, seed: int, with_volume: bool = True, swing: float = 0.0) -> pd.DataFrame:
    """A random walk as valid hourly candles; ``swing`` adds a rise to every second bar and a fall to the others."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.01, bars) + swing * (-1.0) ** np.arange(bars)
    close = 100 * np.exp(np.cumsum(steps))
    opens = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 0.002, bars))
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2015-01-01", periods=bars, freq="h").as_unit("ns"),
            "open": opens,
            "high": top * np.exp(np.abs(rng.normal(0, 0.003, bars))),
            "low": bottom * np.exp(-np.abs(rng.normal(0, 0.003, bars))),
            "close": close,
            "volume": rng.lognormal(10, 0.5, bars) if with_volume else np.full(bars, np.nan),
        }
    )


@pytest.fixture(scope="session")
def walk() -> Callable[..., pd.DataFrame]:
    return _walk


def _write(folder: Path, frames: Frames) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for (asset_class, symbol, frequency), frame in frames.items():
        name = f"{asset_class}_{frequency}__{symbol}.parquet"
        frame.to_parquet(folder / name)
        rows.append({"file": name, "asset_class": asset_class, "symbol": symbol, "frequency": frequency})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def write_series() -> Callable[[Path, Frames], Path]:
    """Write frames and their manifest to a folder and return it."""
    return _write


@pytest.fixture(scope="session")
def window() -> WindowConfig:
    """The shortest windows that a config may ask for, with a context of fixed length."""
    return WindowConfig(bars=BARS, context_min=CONTEXT, context_max=CONTEXT, volume_dropout=0.0)


def _config(**changes: Any) -> dict[str, Any]:
    """A config of a tiny training; ``changes`` replace sections, dotted names replace single fields."""
    stage = {"steps": 4, "batch": 4, "learning_rate": 0.003, "warmup": 2, "save_every": 2, "average": 0.5}
    drop = {"ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0}
    tokenizer = {"d_in": 5, "d_model": 16, "n_heads": 2, "ff_dim": 32, "n_enc_layers": 2, "n_dec_layers": 2}
    model = {"n_layers": 1, "d_model": 16, "n_heads": 2, "ff_dim": 32}
    bits = {"s1_bits": 3, "s2_bits": 3}
    raw: dict[str, Any] = {
        "name": "tiny",
        "seed": 11,
        "threads": 1,
        "device": "cpu",
        "data": {"folder": "data", "holdout_share": 0.2, "holdout_symbols": ["HELD"]},
        "window": {"bars": BARS, "context_min": 32, "context_max": CONTEXT, "volume_dropout": 0.1},
        "tokenizer": stage | {"shape": tokenizer | bits | drop | {"group_size": 3}},
        "model": stage | {"shape": model | bits | drop | {"token_dropout_p": 0.0}},
    }
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        section = raw
        for name in path:
            section = section[name]
        section[last] = value
    return raw


@pytest.fixture(scope="session")
def write_config() -> Callable[..., Path]:
    """Write a config to a folder, with changes such as ``model__steps=9``, and return the file."""

    def write(folder: Path, **changes: Any) -> Path:
        path = folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(_config(**changes)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def write_finetuning() -> Callable[..., Path]:
    """Write a config that trains the model of a checkpoint on, with changes as above, and return the file."""

    def write(folder: Path, init: Path | str, **changes: Any) -> Path:
        raw = _config(**changes)
        raw |= {"name": "tuned", "init": str(init)}
        if "tokenizer" not in raw.get("stages", ()):
            del raw["tokenizer"]
        for stage in ("tokenizer", "model"):
            raw.get(stage, {}).pop("shape", None)
        path = folder / "tuned.yaml"
        path.write_text(yaml.safe_dump(raw), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series that are trained on, one with no volume, and one that is held out."""
    frames = {
        ("crypto", "SEEN", "1h"): _walk(600, seed=1),
        ("fx", "QUIET", "1h"): _walk(600, seed=2, with_volume=False),
        ("crypto", "HELD", "1h"): _walk(300, seed=3),
    }
    return _write(tmp_path_factory.mktemp("histories") / "data", frames)
