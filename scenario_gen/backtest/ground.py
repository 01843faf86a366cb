"""The ground that strategies stand on: the real bars before some paths, what came after, the account and the year.

Owns what belongs to one context, whoever made its paths: a scenario of a spec or a file of somebody else's. Paths are
handed beside it, for one ground carries many: blocks, their first few, real bars in their place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.broker import AccountRules, Broker, Jitter
from scenario_gen.backtest.jitter import variants
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import SpecError
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet, TradingTerms
from scenario_gen.market.price_limit import AT_THE_LIMIT, price_band, session_closes
from scenario_gen.market.section import Market


@dataclass(frozen=True, eq=False, kw_only=True)
class Ground:
    """What is known before the first path, and what really came."""

    context: Candles  # the real bars that strategies see before the paths
    history: Candles  # every real bar up to the context's end, the context included
    later: Candles  # what really happened after it; may be empty
    bars_per_year: float  # to annualise with
    calendar: BarCalendar | None = None  # of the bars; None where bars_per_year was given and nothing shows one
    broker: Broker = field(default_factory=Broker)  # cash, costs and fills
    market: Market = field(default_factory=Market)  # its ticks and its price limit, where orders wait at that
    account: AccountRules | None = None  # what ends the account, where rules are declared
    jitter: Jitter | None = None  # how sloppily generated paths are executed; real bars are traded as the broker says
    seed: int = 0  # of everything that is drawn beside the paths: random entries, coins, bootstraps

    @classmethod
    def of(cls, context: Candles, *, bars_per_year: float, broker: Broker | None = None) -> Ground:
        """Return the ground of a context of which nothing else is known: no older bars and no later ones."""
        later = context.rows(len(context), len(context))
        return Ground(
            context=context, history=context, later=later, bars_per_year=bars_per_year, broker=broker or Broker()
        )

    @property
    def older(self) -> Candles:
        """The real bars before the context; may be empty."""
        return self.history.rows(0, len(self.history) - len(self.context))

    @property
    def anchor_close(self) -> float:
        """The last close of the context: the price from which every path sets out."""
        return float(self.context.close[-1])

    def trading_days(self, timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return each bar's trading day, counted from 0, int64 [bar]; its date where no calendar is known."""
        if self.calendar is not None:
            return self.calendar.trading_days(timestamps)
        dates = np.asarray(timestamps.tz_localize(None).normalize().asi8, dtype=np.int64)
        return np.unique(dates, return_inverse=True)[1].astype(np.int64)

    def terms_of(self, paths: PathSet, rows: slice = slice(None)) -> TradingTerms | None:
        """Return on which terms some paths are traded: their own, and what the broker minds of sessions and limits.

        None where nothing is unusual. At its limit, a price finds nobody on the other side: whoever opens there cannot
        be bought (or sold), though a bar may leave the limit later.
        """
        terms = None if paths.terms is None else paths.terms.rows(rows)
        limit = self.market.price_limit if self.broker.at_limit == "wait" else None
        if not self.broker.t_plus and limit is None:
            return terms
        close, seen = paths.close[rows], len(self.context)
        days = self.trading_days(self.context.timestamps.append(paths.timestamps))
        opens = np.diff(days[seen - 1 :]) > 0  # [bar]
        terms = replace(terms or TradingTerms(), opens=np.broadcast_to(opens, close.shape))
        if limit is None:
            return terms
        over = np.flatnonzero(np.diff(days[: seen + 1]) > 0)  # context bars that end a session
        before = float(self.context.close[over[-1] if len(over) else 0])
        low, high = price_band(session_closes(close, opens, before), limit, self.market.tick_size)
        return terms.banded(low * (1 + AT_THE_LIMIT), high * (1 - AT_THE_LIMIT))

    def refuse_days_beyond(self, timestamps: pd.DatetimeIndex, name: str, place: Callable[[str], str]) -> None:
        """Refuse rules of the account whose days these stamps do not show: bars too long, or paths too short.

        Args:
            timestamps: of a path.
            name: of the scenario.
            place: says where a rule stands.

        Raises:
            SpecError: with the place of the rule.
        """
        rules = self.account
        asked = {} if rules is None else rules.model_dump(include={"daily_loss", "days", "min_days"}, exclude_none=True)
        if asked and self.calendar is not None and self.calendar.beyond_days:
            raise SpecError(
                f"{place(next(iter(asked)))}: asks what happens within a day, but the bars of '{name}' are "
                f"{self.calendar.frequency}; expected daily or shorter bars"
            )
        there = int(self.trading_days(timestamps)[-1]) + 1
        for key in ("days", "min_days"):
            if asked.get(key, 0) > there:
                raise SpecError(
                    f"{place(key)}: got {asked[key]} trading days, but the paths of '{name}' last {there}; expected at "
                    "most as many, or a longer bars.horizon"
                )

    def variants(self, strategy: LoadedStrategy) -> list[LoadedStrategy]:
        """Return a strategy with each set of parameters that paths are given; none where parameters stay."""
        return variants(strategy, self.jitter, self.seed) if self.jitter is not None and self.jitter.parameters else []

    def behind(self, context: Candles) -> Ground:
        """Return this ground with other bars before the paths; the account and the year stay."""
        return replace(self, context=context)

    def real(self, bars: Candles) -> PathSet:
        """Return real bars after the context as a path set of one path."""
        return PathSet.from_history(bars, self.anchor_close)

    def record(self, most: int) -> tuple[Ground, PathSet] | None:
        """Return the last bars of history as one path, and this ground as it lay before them; None where there is none.

        Args:
            most: bars at most; fewer where history has no more behind as many as the context has.
        """
        seen, bars = len(self.context), len(self.history)
        start = max(seen, bars - most)
        if start == bars:
            return None
        before = self.behind(self.history.rows(start - seen, start))
        return before, before.real(self.history.rows(start, bars))
