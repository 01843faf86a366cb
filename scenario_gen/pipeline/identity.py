"""What makes two runs the same run, and what a reader needs to run it again: hashes, versions, device.

Owns which numbers hang on what. Computes none of them.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

from scenario_gen.backtest.answers import rehearse
from scenario_gen.backtest.book import AnyGround, AnyPaths
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.survey import frames_of
from scenario_gen.generators.base import Generator
from scenario_gen.market.paths import PathSet
from scenario_gen.spec.models import ScenarioSpec
from scenario_gen.values import hash_of
from scenario_gen.version import VERSION

PACKAGES = ("torch", "numpy", "pandas", "scipy", "vectorbt", "vectorbt-rust", "arch", "exchange_calendars")


def identity_of(
    spec: ScenarioSpec,
    grounds: Sequence[Ground],
    samplers: Sequence[Generator],
    strategies: Sequence[LoadedStrategy],
    shown: tuple[AnyGround, AnyPaths],
) -> dict[str, str]:
    """Return the hashes that decide every number of a run: spec, data, weights, strategies, code.

    The report's folder and title are left out, and where the run is computed: they change no number.

    Args:
        spec: resolved.
        grounds: of every scenario and asset.
        samplers: what samples the paths of each, the coupling of several assets included.
        strategies: of the run.
        shown: bars that are no path, which each strategy is asked about once, so that the files which it opens while
            it trades are known; see :mod:`scenario_gen.backtest.reads`.
    """
    data = [one.history.sha256() + one.later.sha256() for one in grounds]
    generators = [dict(one.identity) for one in samplers]
    files = sorted({str(one.use): one.file.read_bytes() for one in strategies}.items())
    read = _read_by(*shown, strategies)
    return {
        "spec": spec_sum(spec),
        "data": _sha256("".join(data).encode()),
        "weights": hash_of(generators),
        "strategies": _sha256(b"".join(name.encode() + content for name, content in files) + read),
        "code": VERSION,
        "packages": hash_of(versions()),
    }


def spec_sum(spec: ScenarioSpec) -> str:
    """Return the hash of a resolved spec without the report's folder and title and its name."""
    return hash_of(spec.model_dump(mode="json", exclude={"report", "name", "execute"}))


def _read_by(ground: AnyGround, paths: AnyPaths, strategies: Sequence[LoadedStrategy]) -> bytes:
    """Return names and sums of everything that the strategies read beside their own files; empty where nothing is."""
    bars = frames_of(ground, paths)
    for strategy in strategies:
        rehearse(strategy, bars, ground.broker)
    read = {one.use: one.reads.identity() for one in strategies if len(one.reads.sums) > 1}
    return json.dumps(read, sort_keys=True).encode() if read else b""


def still(ground: Ground, timestamps: pd.DatetimeIndex) -> PathSet:
    """Return the last bars of a context once more, as a path."""
    last = ground.context.values[np.arange(-len(timestamps), 0) % len(ground.context)]
    return PathSet(
        values=last[None].astype(np.float32),
        fields=tuple(ground.context.fields),
        timestamps=timestamps,
        path_ids=np.zeros(1, dtype=np.int64),
        anchor_close=ground.anchor_close,
    )


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide numbers."""
    found = {"scenario-gen": VERSION, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def device_of(generators: Sequence[Generator]) -> dict[str, str]:
    """Return what the paths were sampled on."""

    def used(key: str, otherwise: str) -> str:
        return ", ".join(sorted({str(one.identity.get(key, otherwise)) for one in generators}))

    return {"device": used("device", "cpu"), "dtype": used("dtype", "float32"), "machine": platform.machine()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
