"""Bars through vectorbt's data classes (YFData, CCXTData, BinanceData ...): one of the two modules that import it.

Knows how to ask a class for bars; what is in them is judged at the market's door like any other source.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles


def download(kind: str, symbols: Sequence[str], options: Mapping[str, Any]) -> list[Candles]:
    """Fetch the bars of some symbols, each on its own, so that none is filled up with another's dates.

    Args:
        kind: name of a data class in vectorbt.
        symbols: as the class knows them.
        options: what its ``download`` takes besides.

    Raises:
        DataError: there is no such class, it cannot fetch a symbol, or what came is no valid history.
    """
    import vectorbt

    known = sorted(name for name in dir(vectorbt) if name.endswith("Data") and name != "Data")
    if kind not in known:
        raise DataError(f"vectorbt has no data class {kind!r}", expected=f"one of {', '.join(known)}")
    return [_fetch(getattr(vectorbt, kind), symbol, options) for symbol in symbols]


def _fetch(data_class: Any, symbol: str, options: Mapping[str, Any]) -> Candles:
    where = f"{data_class.__name__} of {symbol}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas to vectorbt, of vendors' clients: not for the user to mend
            bars = data_class.download(symbol, **options).get()
    except Exception as error:  # a vendor's client may raise anything
        raise DataError(
            f"{where} cannot be fetched: {type(error).__name__}: {error}",
            expected="a symbol and options that this class knows, its client installed, and a network",
            fix="try the same download in vectorbt, or save the bars to a file and name that",
        ) from None
    frame = bars if isinstance(bars, pd.DataFrame) else pd.DataFrame(bars)
    kept = [name for name in frame.columns if str(name).lower() in ("open", "high", "low", "close", "volume")]
    return load_candles(frame[kept].rename_axis("timestamp"), name=symbol)
