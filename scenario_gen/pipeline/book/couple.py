"""Assets coupled without a run: ``scenario_gen.couple``, and the command ``couple``, which shows the fit alone.

Samples a few pilot paths and nothing else; writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError, SpecError
from scenario_gen.generators.sections import open_generator
from scenario_gen.joint.model import JointModel
from scenario_gen.joint.results import CouplingReport
from scenario_gen.joint.section import MAX_ASSETS, Joint
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.pipeline.book.coupling import Couplings, couple_books
from scenario_gen.pipeline.opening import named_generator
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.progress import Progress
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import whole
from scenario_gen.spec.loader import LoadedSpec
from scenario_gen.spec.models import MAX_SEED, override
from scenario_gen.stats.estimate import Floats


@dataclass(frozen=True)
class CoupledScenario:
    """How the assets of one scenario hang together."""

    name: str
    role: str  # scenario or baseline
    generator: str  # in words
    assets: list[str]
    coupling: CouplingReport


@dataclass(frozen=True)
class CouplingsReport:
    """What the command ``couple`` shows."""

    name: str  # of the spec
    scenarios: list[CoupledScenario]
    seconds: float


def couple_spec(loaded: LoadedSpec, progress: Progress, *, device: str | None = None) -> CouplingsReport:
    """Return how the assets of every scenario of a spec hang together, without sampling its paths.

    Raises:
        SpecError: the spec has one asset alone.
        ScenarioError: as a run would raise.
    """
    started = monotonic()
    spec = override(loaded.spec, device=device, paths=None)
    if not spec.assets:
        raise SpecError(
            f"{loaded.filename or 'the spec'} has one asset alone",
            expected="assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]",
            fix="list the assets that are to be coupled under 'assets', in the place of 'data'",
        )
    grounds = prepare(spec.scenarios, loaded.base, progress, place=loaded.place)
    books = couple_books(grounds, Couplings(loaded.base, loaded.place), progress)
    scenarios = []
    for book in books:
        lead = book.first.scenario
        scenarios.append(CoupledScenario(book.name, lead.role, lead.generator.in_words, [*book.grounds], book.coupling))
    return CouplingsReport(spec.name, scenarios, round(monotonic() - started, 2))


def couple(
    assets: Mapping[str, Candles | pd.DataFrame | str | Path],
    *,
    model: str = "nano",
    copula: str | None = None,
    order: str = "return",
    bars: int = 1000,
    calendar: str = "intersection",
    correlation_shift: float = 0.0,
    correlation: pd.DataFrame | Floats | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> JointModel:
    """Couple several assets: joint futures from one model, each asset's own law untouched.

    Args:
        assets: asset to its candles; a frame or a file is loaded first. Paths continue the last common bar.
        model: as for :func:`scenario_gen.sample`.
        copula: ``empirical``, ``t``, ``gaussian`` or ``independent``; None is empirical from 500 common bars on, else
            t. Generators that draw dated bars of history, such as ``fhs``, draw the same dates instead.
        order: of tokens, ``return`` or ``nested``.
        bars: the last common bars, at most, that dependence is read from.
        calendar: ``intersection`` of the assets' bars, or their ``union``.
        correlation_shift: 0.3 moves every correlation by 30 % of the way to 1, -0.3 by 30 % of the way to 0.
        correlation: of log returns, to be aimed at instead of what the common bars have [asset, asset]; a frame's rows
            and columns are matched by name.
        temperature: of the model.
        top_p: of the model.
        seed: of the pilot paths by which the coupling is fitted.
        device: ``auto``, ``cpu``, ``cuda``, ...

    Returns:
        A model with ``report`` and ``sample(horizon, paths, seed) -> {name: PathSet}``.

    Raises:
        ScenarioError: histories, model or a setting cannot be used.
    """
    seed = whole("seed", seed, 0, MAX_SEED)
    if not isinstance(assets, Mapping) or not 2 <= len(assets) <= MAX_ASSETS:
        count = len(assets) if isinstance(assets, Mapping) else type(assets).__name__
        raise SpecError(f"got {count} for assets", expected=f"a mapping of 2 to {MAX_ASSETS} names to candles")
    values: dict[str, Any] = {"copula": copula, "order": order, "calendar": calendar}
    values |= {"correlation_shift": correlation_shift, "calibrate": {"bars": bars}}
    joint = section_of(Joint, values, "couple")
    if joint.copula == "independent" and correlation is not None:
        raise SpecError(
            "copula is independent, which leaves no correlation to set",
            expected="a correlation with another copula, or none",
            fix="leave 'correlation' or 'copula' out",
        )
    histories = _loaded(assets)
    section = named_generator({"model": model, "temperature": temperature, "top_p": top_p, "device": device})
    given = None if correlation is None else _matrix(correlation, list(histories))
    return JointModel.of(
        histories, lambda history: open_generator(section, history), joint, seed=seed, correlation=given
    )


def _loaded(assets: Mapping[str, Candles | pd.DataFrame | str | Path]) -> dict[str, Candles]:
    """Return the candles of each asset, named by text."""
    names = [str(name) for name in assets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"two assets are called {twice!r}", expected="a name of its own for each", fix="rename one")
    return {
        name: history if isinstance(history, Candles) else load_candles(history, name=name)
        for name, history in zip(names, assets.values(), strict=True)
    }


def _matrix(correlation: pd.DataFrame | Floats, assets: list[str]) -> Floats:
    """Return a given correlation in the order of the assets, float64 [asset, asset]."""
    if isinstance(correlation, pd.DataFrame):
        if set(map(str, correlation.columns)) != set(assets) or set(map(str, correlation.index)) != set(assets):
            raise DataError(
                f"the correlation names {', '.join(map(str, correlation.columns))}",
                expected=f"rows and columns {', '.join(assets)}",
            )
        named = correlation.set_axis(map(str, correlation.index)).set_axis(map(str, correlation.columns), axis=1)
        correlation = named.loc[assets, assets].to_numpy()
    try:
        numbers = np.asarray(correlation)
        if numbers.dtype.kind == "c":
            raise TypeError("complex numbers")
        return np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the correlation holds something else than numbers: {error}",
            expected=f"an array or a frame of numbers, one row and one column for each of {', '.join(assets)}",
            fix="pd.read_csv(file, index_col=0) reads one from a file",
        ) from None
