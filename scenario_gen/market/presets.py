"""Market rules by name: ticks, lots, price limits, sessions, T+1 and fees, each with its source and its date.

Owns the table: an entry of :data:`PRESETS` adds a market. What a preset fills is what a spec leaves out, so that any
field that is written stays as it is; nothing of it is kept up to date by itself. Imports nothing heavy: a spec is read
with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

Value: TypeAlias = float | int | str | bool
Of: TypeAlias = Callable[[Mapping[str, Any]], Value]  # the data section as written -> what holds for its instrument

LOOKED_UP = "2026-11-30"


@dataclass(frozen=True)
class MarketRule:
    """What a preset fills where a spec does not write the field."""

    section: Literal["data", "market", "broker"]
    field: str
    value: Value | Of
    since: str  # date from which it holds; of a rule of long standing, when it was looked up
    source: str  # who says so, in words

    @property
    def dated(self) -> str:
        """Of what date it is, in words."""
        return f"as of {self.since}" if self.since == LOOKED_UP else f"since {self.since}"

    def value_for(self, data: Mapping[str, Any]) -> Value:
        """Return its value for an instrument, of which the data section says symbol, name or file."""
        return self.value(data) if callable(self.value) else self.value


@dataclass(frozen=True)
class Preset:
    """The rules of one market."""

    title: str
    as_of: str  # when its rules were looked up, ISO
    rules: tuple[MarketRule, ...]
    left_out: str  # what the market asks beyond them, which nothing here simulates

    def fills(self, section: str, data: Mapping[str, Any]) -> dict[str, Value]:
        """Return what it fills of one section."""
        return {rule.field: rule.value_for(data) for rule in self.rules if rule.section == section}


def symbol_of(data: Mapping[str, Any]) -> str:
    """Return what a data section calls its instrument: its symbol, its name, or its file without folder and ending."""
    named = [data.get("symbol"), data.get("name"), PurePath(str(data.get("file") or "")).stem]
    return next((str(text) for text in named if text), "").upper()


def a_share_limit(data: Mapping[str, Any]) -> float:
    """Return the price limit of a share by its six digits; that of the main boards where they are not known."""
    digits = re.search(r"(?<!\d)\d{6}(?!\d)", symbol_of(data))
    code = digits[0] if digits else ""
    if code.startswith(("300", "301", "302", "688", "689")):
        return 0.20  # ChiNext, STAR
    return 0.30 if code.startswith(("43", "82", "83", "87", "88", "92")) else 0.10  # Beijing


def fx_tick(data: Mapping[str, Any]) -> float:
    """Return the price step of a currency pair: a tenth of a pip, which is larger of a pair that is quoted in yen."""
    letters = re.sub(r"[^A-Z]", "", symbol_of(data))
    quote = letters[3:6] if len(letters) > 5 else letters[:3]  # EURUSD, EUR/USD, USDJPY=X, and JPY=X for dollars in yen
    return 1e-3 if quote == "JPY" else 1e-5


PRESETS: Mapping[str, Preset] = {
    "a_share": Preset(
        "shares of Shanghai, Shenzhen and Beijing",
        LOOKED_UP,
        (
            MarketRule("data", "calendar", "XSHG", LOOKED_UP, "exchange_calendars: sessions of Shanghai"),
            MarketRule("market", "tick_size", 0.01, LOOKED_UP, "trading rules of SSE and SZSE: 0.01 CNY"),
            MarketRule(
                "market",
                "price_limit",
                a_share_limit,
                "2026-07-06",
                "trading rules of the exchanges: 10 % on the main boards (ST there 5 % before), 20 % on ChiNext "
                "(since 2020-08-24) and STAR, 30 % in Beijing, by the six digits of symbol, name or file",
            ),
            MarketRule(
                "broker", "lot", 100, LOOKED_UP, "trading rules of SSE and SZSE: purchases in lots of 100 shares"
            ),
            MarketRule(
                "broker",
                "fees",
                0.00031,
                "2022-04-29",
                "usual commission of 0.03 % and the transfer fee of 0.001 % (ChinaClear), per side",
            ),
            MarketRule("broker", "fee_minimum", 5.0, LOOKED_UP, "usual least commission of an order: 5 CNY"),
            MarketRule(
                "broker", "sell_fees", 0.0005, "2023-08-28", "Ministry of Finance: stamp duty of 0.05 % on sales"
            ),
            MarketRule(
                "broker", "t_plus", 1, LOOKED_UP, "trading rules of SSE and SZSE: no sale on the day of purchase"
            ),
            MarketRule("broker", "at_limit", "wait", LOOKED_UP, "nobody takes the other side at a price limit"),
            MarketRule("broker", "shorts", False, LOOKED_UP, "shares are lent to few accounts, and few shares are"),
        ),
        "no limit in the first five days of a listing, odd lots, STAR's least order of 200 shares, ST rules before "
        "2026-07-06, and fees of other years",
    ),
    "us_equity": Preset(
        "shares of US exchanges",
        LOOKED_UP,
        (
            MarketRule("data", "calendar", "XNYS", LOOKED_UP, "exchange_calendars: sessions of the NYSE"),
            MarketRule("market", "tick_size", 0.01, LOOKED_UP, "Rule 612 of Regulation NMS (0.0001 below 1 USD)"),
            MarketRule("broker", "fees", 0.0, LOOKED_UP, "no commission, as most brokers have it"),
            MarketRule(
                "broker",
                "sell_fees",
                0.0000206,
                "2026-04-04",
                "SEC, Section 31: 20.60 USD a million of sales (0 before)",
            ),
            MarketRule("broker", "t_plus", 0, LOOKED_UP, "what was bought may be sold the same day"),
        ),
        "there is no daily price limit, and pauses by limit up-limit down bands are not simulated, nor FINRA's "
        "activity fee of 0.000195 USD a share sold (at most 9.79 USD, 2026), ticks below 1 USD, and borrowing shares",
    ),
    "binance_spot": Preset(
        "spot pairs of Binance",
        LOOKED_UP,
        (
            MarketRule("data", "calendar", "24/7", LOOKED_UP, "trades round the clock"),
            MarketRule("broker", "fees", 0.001, LOOKED_UP, "Binance, regular user: 0.1 % as maker and as taker"),
            MarketRule("broker", "shorts", False, LOOKED_UP, "spot: what is not held is not sold"),
            MarketRule("broker", "t_plus", 0, LOOKED_UP, "what was bought may be sold at once"),
        ),
        "ticks and lots are each pair's own: write market.tick_size (PRICE_FILTER.tickSize of exchangeInfo) and "
        "broker.lot (LOT_SIZE.stepSize); discounts and the least value of an order are not simulated",
    ),
    "fx": Preset(
        "currency pairs over the counter",
        LOOKED_UP,
        (
            MarketRule("data", "calendar", "24/5", LOOKED_UP, "trades from Monday to Friday, round the clock"),
            MarketRule(
                "market", "tick_size", fx_tick, LOOKED_UP, "a tenth of a pip: 0.00001, and 0.001 of pairs in yen"
            ),
            MarketRule("broker", "fees", 0.0, LOOKED_UP, "no commission: the spread is what a trade costs"),
            MarketRule(
                "broker", "slippage", 0.00005, LOOKED_UP, "assumed: half of a spread of one pip at a price near 1"
            ),
            MarketRule("broker", "t_plus", 0, LOOKED_UP, "what was bought may be sold at once"),
        ),
        "interest overnight, and lots; bars of Sunday evening lie outside 24/5: data.calendar: null infers the "
        "week from the bars",
    ),
}
