"""A user's file of the public API, which ``make types`` checks: right where nothing is said, wrong where it is.

A mistake that mypy no longer finds leaves its ``type: ignore`` unused, which is an error under strict; so the types of
the package reach whoever uses it, and this file is never run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import scenario_gen as sg


def my_paths(file: str) -> sg.PathSet:
    history: sg.Candles = sg.load_candles(file)
    paths = sg.sample(history, horizon=63, paths=512, model="nano", seed=7)
    return sg.shocked(paths, [{"kind": "gap", "bar": 5, "size": -0.1}], context=history, seed=7)


def closes(paths: sg.PathSet) -> NDArray[np.float32]:
    return paths.close


def verdicts(file: str) -> dict[str, str]:
    return dict(sg.calibrate(file, model="garch", origins=30).verdicts)


def probability_of_a_rise(file: str) -> float | None:
    prediction: sg.Prediction = sg.predict(file, bars=20, model="fhs")
    return prediction.report.rise.value


def folder(spec: str) -> str:
    run: sg.StressRun = sg.run(spec)
    return run.name


def excess(config: str) -> float:
    return sg.rank(config).beside[0].excess


def wrong() -> None:
    number: int = sg.load_candles("my.csv")  # type: ignore[assignment]
    sg.sample("my.csv", horizon=f"{number}", paths=8)  # type: ignore[arg-type]
    sg.sample("my.csv", paths=8)  # type: ignore[call-arg]
    sg.nothing_of_the_kind()  # type: ignore[attr-defined]
