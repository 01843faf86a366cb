"""A Qlib provider on this machine as a source: the bars of one of its instruments."""

from __future__ import annotations

import re

from scenario_gen.files import user_path
from scenario_gen.market.sources.base import Fetched, Pages, Request, Vendor
from scenario_gen.progress import Progress

_FREQ = re.compile(r"([1-9]\d{0,2})?(min|day|week|month)")
_UNITS = {"min": "m", "day": "d", "week": "w", "month": "mo"}


def timeframe_of(freq: str) -> str:
    """Return Qlib's frequency as a timeframe: day as 1d, 5min as 5m.

    Raises:
        ValueError: it is none.
    """
    match = _FREQ.fullmatch(freq)
    if match is None:
        raise ValueError(f"got {freq[:40]!r}, expected such as day, 1min, 5min or week")
    return f"{match[1] or 1}{_UNITS[match[2]]}"


def fetch(request: Request, pages: Pages, progress: Progress) -> Fetched:
    """Read bars; stamps are the exchange's own, as the provider's calendar has them."""
    del pages, progress
    from scenario_gen.market.qlib import QlibProvider

    provider = QlibProvider(request.base / user_path(request.more["provider_uri"]), request.more.get("freq") or "day")
    bars = provider.bars(request.symbol, request.start, adjusted=request.adjusted)
    if not bars.attrs["factor"]:
        says = "prices are as they are stored: there is no factor to find the traded ones with"
    elif request.adjusted:
        says = "prices and volume are adjusted, as they are stored"
    else:
        says = "prices and volume are as traded: the stored ones by their factor"
    notes = [f"read as a Qlib provider: {says}"]
    if suspended := bars.attrs["suspended"]:
        notes.append(f"{suspended} bars without prices are left out: days of suspension")
    return Fetched(bars.rename_axis("timestamps").reset_index(), "scenario-gen", tuple(notes))


QLIB = Vendor(
    "qlib",
    "the Qlib provider",
    fetch,
    needs=("symbol", "provider_uri"),
    takes=("freq",),
    adjusts="request",
    kept=False,
    example="source: qlib, provider_uri: ~/.qlib/qlib_data/cn_data, symbol: SH600000",
)
