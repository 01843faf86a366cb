"""The named paths as charts that a reader can zoom into, where a browser runs scripts.

Owns the numbers of those charts as JSON, TradingView's chart library (``vendor/``, Apache License 2.0), our own script
and the page's policy on what may run: style and scripts by their hash, and nothing else. The picture of each path stays
on the page: without scripts, and on paper, it is what is seen.

JSON: whole numbers, each column as its first value and the steps from one bar to the next. Of candles the open is
counted from the close before, high and low from the body outwards. Prices are in units of ``10**-digits``.
"""

from __future__ import annotations

import hashlib
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from scenario_gen.backtest.result import NamedPath, Trade
from scenario_gen.report.drawing.closeups import CONTEXT_BARS, MOST_BARS, outermost, window
from scenario_gen.report.words import name
from scenario_gen.store.results import ContextView

LIBRARY = "lightweight-charts.standalone.production.js"  # as npm has it, in report/vendor
VERSION = "5.2.1"
SHA256 = "e21cc5caa0226ef30bd8549c50b9ef926615f2a4ee6b4e486353477a55f598cf"  # a file of another hash is not run
BARS_OF_ALL = 6_500  # some 35 bytes each; where the paths are longer, each shows the bars around its deepest drawdown
SIGNIFICANT = 6  # digits of the last close of the context
MOST_DIGITS = 12


@dataclass(frozen=True)
class Zoom:
    """What the page needs for its charts; all of it our own text, or escaped."""

    data: Markup
    library: Markup
    script: Markup


@dataclass
class _Shared:
    """Columns that several paths have in common, each kept once; ``at`` gives the place of a column."""

    kept: list[Any] = field(default_factory=list)

    def at(self, value: Any) -> int:
        """Return the place of a value, which is appended where it is new."""
        if value not in self.kept:
            self.kept.append(value)
        return self.kept.index(value)


def parts(strategies: Sequence[Sequence[NamedPath]], context: ContextView) -> dict[str, Any]:
    """Return the template's ``css``, ``zoom`` (None where no path is named) and ``policy``."""
    return scripted("zoom.js", payload(strategies, context)) if any(strategies) else {**plain(), "zoom": None}


def scripted(script: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``css``, ``zoom`` and ``policy`` of a page with the library and one of our scripts over its numbers."""
    from jinja2.utils import htmlsafe_json_dumps

    css = _text("templates", "style.css")
    data = htmlsafe_json_dumps(numbers, separators=(",", ":"), sort_keys=True)
    zoom = Zoom(Markup(data), Markup(_text("vendor", LIBRARY)), Markup(_text("templates", script)))
    scripts = [bytes.fromhex(SHA256), _sha256(zoom.script)]
    return {"css": Markup(css), "zoom": zoom, "policy": Markup(policy(css, scripts))}  # quotes stay


def plain() -> dict[str, Any]:
    """Return ``css`` and ``policy`` of a page without any script."""
    css = _text("templates", "style.css")
    return {"css": Markup(css), "policy": Markup(policy(css, ()))}


def policy(css: str, scripts: Iterable[bytes]) -> str:
    """Return the Content-Security-Policy: this style, scripts of these sha256 digests, no request, no form.

    The library sets single properties of its elements by script, which a policy of hashes lets it do; the style element
    and the inline markup of its logo it does not make, because we write the attribution ourselves.
    """
    allowed = " ".join(_source(digest) for digest in scripts)
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src {_source(_sha256(css))}",
            *([f"script-src {allowed}"] if allowed else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def payload(strategies: Sequence[Sequence[NamedPath]], context: ContextView) -> dict[str, Any]:
    """Return the numbers of every chart, by place of the strategy and of its path (``"0-3"``)."""
    digits = digits_of(context.anchor_close)
    most = max(MOST_BARS, BARS_OF_ALL // max(sum(map(len, strategies)), 1))
    times, candles = _Shared(), _Shared()
    last = min(CONTEXT_BARS, len(context.close))
    past = slice(len(context.close) - last, None)
    return {
        "digits": digits,
        "anchor": context.anchor_close,
        "before": {
            "times": [moment(stamp) for stamp in context.timestamps[past]],
            "candles": _candles(context, past, digits),
        },
        "paths": {
            f"{number}-{entry}": _path(path, window(path, most), digits, (times, candles))
            for number, paths in enumerate(strategies)
            for entry, path in enumerate(paths)
        },
        "times": times.kept,
        "candles": candles.kept,
    }


def _path(path: NamedPath, shown: tuple[int, int], digits: int, shared: tuple[_Shared, _Shared]) -> dict[str, Any]:
    start, stop = shown
    times, candles = shared
    first = path.equity[0]
    told: dict[str, Any] = {
        "start": start,
        "bars": len(path.exposure),
        "times": times.at([moment(stamp) for stamp in path.timestamps[start:stop]]),
        "equity": _steps([10_000 * value / first for value in path.equity[start : stop + 1]]),  # start = 10,000
        "exposure": _steps([1000 * value for value in path.exposure[start:stop]]),
        "trades": [
            _trade(trade)
            for trade in path.trades
            if any(start <= bar < stop for bar in (trade.entry_bar, trade.exit_bar))
        ],
    }
    if not path.closes:
        return {**told, "candles": candles.at(_candles(path, slice(start, stop), digits))}
    lines = [
        {
            "name": name(asset, 12),
            "first": path.closes[asset][0],
            "closes": _steps([10_000 * close / path.closes[asset][0] for close in path.closes[asset][start:stop]]),
        }
        for asset in outermost(path, shown)
    ]
    return {**told, "lines": lines, "assets": len(path.closes)}


def _trade(trade: Trade) -> list[Any]:
    """Return side, bar and price of entry and exit, size, profit, whether it is open, and the asset."""
    prices = (_short(trade.entry_price), _short(trade.exit_price))
    long, still = int(trade.side == "long"), int(trade.open)
    told = [long, trade.entry_bar, prices[0], trade.exit_bar, prices[1], _short(trade.size), _short(trade.pnl), still]
    return [*told, name(trade.asset, 12)] if trade.asset else told


def _candles(source: NamedPath | ContextView, rows: slice, digits: int) -> list[list[int]]:
    """Return opens from the close before, highs and lows from the body outwards, and closes from the close before."""
    unit = 10**digits
    opens, highs, lows, closes = (
        [round(unit * value) for value in column[rows]]
        for column in (source.open, source.high, source.low, source.close)
    )
    before = [0, *closes[:-1]]
    return [
        [opened - last for opened, last in zip(opens, before, strict=True)],
        [high - max(body) for high, *body in zip(highs, opens, closes, strict=True)],
        [min(body) - low for low, *body in zip(lows, opens, closes, strict=True)],
        [closed - last for closed, last in zip(closes, before, strict=True)],
    ]


def _steps(values: Iterable[float]) -> list[int]:
    whole = [round(value) for value in values]
    return [value - last for value, last in zip(whole, [0, *whole[:-1]], strict=True)]


def moment(stamp: str) -> str:
    """Return a stamp as it stands on a page: without midnight and without seconds that are none."""
    return name(stamp.removesuffix("T00:00:00").removesuffix(":00").replace("T", " "))


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def digits_of(price: float) -> int:
    """Return the decimals that give a price six digits, 12 at most."""
    return min(max(SIGNIFICANT - 1 - math.floor(math.log10(price)), 0), MOST_DIGITS) if price > 0 else 2


def _source(digest: bytes) -> str:
    return f"'sha256-{b64encode(digest).decode()}'"


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()


def _text(*place: str) -> str:
    return files("scenario_gen.report").joinpath(*place).read_text("utf-8")
