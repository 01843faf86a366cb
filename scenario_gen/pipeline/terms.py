"""What given paths are held to: market, history and training data, as a caller names them.

Owns the reading of a caller's words. Checks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import ValidationError

from scenario_gen.errors import SpecError
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.read import Table
from scenario_gen.market.section import Market
from scenario_gen.spec.models import MAX_SEED

History: TypeAlias = Candles | Table | pd.DataFrame | str | Path


@dataclass(frozen=True, eq=False)
class Terms:
    """What paths are held to, whatever the asset.

    Attributes:
        context_end: the last bar of the reference to compare with; None: the last bar before the paths.
        market: ticks, lots and price limit.
        training: histories that the generator was trained on.
        resamples_history: the copy test is shown and not judged.
        seed: of random groups, controls and splits.
    """

    context_end: str | None = None
    market: Market | None = None
    training: tuple[Candles, ...] = ()
    resamples_history: bool = False
    seed: int = 0


def terms_of(
    context_end: str | None,
    market: Market | Mapping[str, Any] | None,
    training: Sequence[History] | History,
    resamples_history: bool,
    seed: int,
) -> Terms:
    """Return the terms that a caller names.

    Raises:
        SpecError: a market with unknown or impossible entries, or a seed below 0.
        DataError: a training history cannot be read.
    """
    if not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise SpecError(f"seed is {seed!r}", expected=f"a whole number from 0 to {MAX_SEED}")
    if isinstance(market, Mapping):
        try:
            market = Market.model_validate(dict(market))
        except ValidationError as error:
            first = error.errors()[0]
            raise SpecError(
                f"market.{first['loc'][0]} is {first['input']!r}: {first['msg'].lower()}",
                expected=f"some of {', '.join(Market.model_fields)}",
            ) from None
    return Terms(context_end, market, histories_of(training), resamples_history, seed)


def histories_of(given: Sequence[History] | History) -> tuple[Candles, ...]:
    """Return training histories as candles; one history stands for itself."""
    one = isinstance(given, str | Path | pd.DataFrame | Table | Candles)
    return tuple(history_of(each, None) for each in ([given] if one else given))  # type: ignore[union-attr]


def history_of(given: History, calendar: str | None) -> Candles:
    """Return a history as candles, with the calendar that was asked for."""
    if not isinstance(given, Candles):
        return load_candles(given, calendar=calendar)
    return given if calendar is None else replace(given, calendar=calendar)
