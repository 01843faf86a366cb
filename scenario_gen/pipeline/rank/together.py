"""The portfolio of a ranking over joint paths: what its names may come to together, after the last date.

The names to be held and others of the ranking are coupled as a book is (:mod:`scenario_gen.joint`); on every joint path
the portfolio is bought at the first open, at its costs and limits, and held over the horizon beside equal parts of all
coupled names. Nothing is ranked again within a path: that would take paths of paths.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.backtest.metrics import drawdown
from scenario_gen.backtest.topk import Desk, DeskTerms, Rule, Tape, even_out, exchange
from scenario_gen.candles.check import mend_paths
from scenario_gen.errors import DataError
from scenario_gen.generators.base import Generator, sample_blocks, to_be_fitted
from scenario_gen.joint.calendar import Aligned, align, calibration_rows, refuse_unfit
from scenario_gen.joint.coupling import coupled_on
from scenario_gen.joint.fit import Fit, fit_coupling
from scenario_gen.joint.pilot import BARS, BookAsset
from scenario_gen.joint.section import FEWEST_COMMON
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import Floats
from scenario_gen.market.paths import joined
from scenario_gen.pipeline.rank.config import JointPaths, Portfolio, RankSettings
from scenario_gen.pipeline.rank.universe import UniversePanel
from scenario_gen.stats.estimate import conditional_value_at_risk, mean, quantile, share
from scenario_gen.store.ranking import HeldAhead, JointOutlook

BLOCK = 512  # paths that are sampled at once
LEVELS = (0.05, 0.5, 0.95)


def together(
    panel: UniversePanel, place: int, score: Floats, generator: Generator, settings: RankSettings, terms: DeskTerms
) -> JointOutlook:
    """Return what the portfolio may come to over joint paths from a date on.

    Args:
        panel: of the ranking.
        place: of the date.
        score: of every instrument at that date [N], NaN where it was not ranked.
        generator: of the ranking, not fitted to anything.
        settings: with ``joint`` and ``portfolio``.
        terms: costs and rules of the portfolio.

    Raises:
        DataError: fewer than two names have bars enough, or they cannot be coupled.
    """
    asked, portfolio = settings.joint, settings.portfolio
    if asked is None or portfolio is None:
        raise ValueError("a ranking without joint paths or without a portfolio")
    chosen, short = names_to_couple(panel, place, score, portfolio.top, asked.names)
    histories = {}
    for number in chosen:
        candles = panel.candles[number]
        assert candles is not None  # a ranked name has bars
        histories[panel.names[number]] = candles.rows(0, int(panel.bars[place, number]))
    past, _ = align(histories, asked.coupling.calendar).split_at(None)
    refuse_unfit(past, settings.context)
    fit = _coupled(past, generator, settings, asked)
    book = _sampled(past, fit, settings, asked)
    ours, equal, held = traded_ahead(book, score[chosen], terms, portfolio)
    notes = [f"{len(short)} names with fewer than {FEWEST_COMMON} bars are not coupled: {', '.join(short[:10])}"]
    lost = asked.paths - len(book)
    dropped = [f"{lost} joint paths broke a candle rule beyond repair in some name and are left out"] if lost else []
    return JointOutlook(
        names=list(book.assets),
        held=[book.assets[number] for number in held],
        paths=len(book),
        horizon=book.horizon,
        bars=[str(past.timestamps[-1]), *map(str, book.timestamps)],
        coupling=fit.report,
        portfolio=_ahead(f"top {len(held)}", ours, settings.seed),
        equal=_ahead("equal parts of the coupled names", equal, settings.seed),
        ahead=share(ours[:, -1] > equal[:, -1]),
        excess=mean(ours[:, -1] - equal[:, -1]),
        notes=[*(notes if short else []), *dropped, *past.notes],
    )


def names_to_couple(
    panel: UniversePanel, place: int, score: Floats, top: int, most: int
) -> tuple[list[int], list[str]]:
    """Return which instruments to couple, best first, and the names of those whose histories are too short for it.

    The best ``top`` of those that can be coupled are all among them; the rest is taken evenly from the ranking below.

    Raises:
        DataError: fewer than two, or more in the portfolio than may be coupled.
    """
    ranked = sorted(np.flatnonzero(np.isfinite(score)).tolist(), key=lambda number: (-score[number], number))
    fit = [number for number in ranked if panel.bars[place, number] >= FEWEST_COMMON]
    short = [panel.names[number] for number in ranked if panel.bars[place, number] < FEWEST_COMMON]
    if len(fit) < 2:
        raise DataError(
            f"{len(fit)} of {len(ranked)} ranked names have {FEWEST_COMMON} bars or more",
            expected="two or more: fewer bars show no dependence",
            fix="bring longer histories, or leave joint out",
        )
    held, others = fit[:top], fit[top:]
    room = min(most - len(held), len(others))
    spread = np.unique(np.linspace(0, len(others) - 1, room).round().astype(int)).tolist() if room > 0 else []
    return [*held, *(others[number] for number in spread)], short


def _coupled(past: Aligned, generator: Generator, settings: RankSettings, asked: JointPaths) -> Fit:
    rows, ahead = calibration_rows(past, asked.coupling.calibrate).rows, past.future(BARS)
    fitted = to_be_fitted(generator)
    members = {
        name: BookAsset(
            generator if fitted is None else fitted.fitted_to(part),
            part,
            past.rows[name][rows],
            part.rows(len(part) - settings.context, len(part)),
            ahead[name],
        )
        for name, part in past.parts.items()
    }
    return fit_coupling(members, asked.coupling, settings.seed)


def _sampled(past: Aligned, fit: Fit, settings: RankSettings, asked: JointPaths) -> BookPaths:
    parts = {}
    for name, coupled in coupled_on(past.future(settings.horizon), fit.generators, fit.coupling).items():
        part = past.parts[name]
        context = part.rows(len(part) - settings.context, len(part))
        blocks = sample_blocks(
            coupled, context, coupled.timestamps, seed=settings.seed, count=asked.paths, size=min(BLOCK, asked.paths)
        )
        parts[name] = mend_paths(joined(list(blocks)))
    return BookPaths.common(parts)


def traded_ahead(
    book: BookPaths, score: Floats, terms: DeskTerms, portfolio: Portfolio
) -> tuple[Floats, Floats, list[int]]:
    """Buy the top names, and equal parts of all, at the first open of every joint path, and hold them.

    Returns:
        Growth of each account from the cash on [path, bar + 1], and which assets the portfolio wishes to hold.
    """

    def top(desk: Desk, bar: int, wanted: Floats) -> None:
        exchange(desk, bar, wanted, portfolio.top, portfolio.drop)

    closes, opened = book.closes, book.on_grid("open")
    tapes = [
        Tape(np.concatenate((close[:1], opens)), close, np.arange(len(close)))
        for close, opens in zip(closes, opened, strict=True)
    ]
    ours, equal = (np.stack([held_growth(tape, score, terms, rule) for tape in tapes]) for rule in (top, even_out))
    best = sorted(np.flatnonzero(np.isfinite(score)).tolist(), key=lambda number: (-score[number], number))
    return ours, equal, best[: portfolio.top]


def held_growth(tape: Tape, score: Floats, terms: DeskTerms, rule: Rule) -> Floats:
    """Return the growth of an account that buys at the second bar's open and holds [T]: what ``trade`` gives of it."""
    desk = Desk(tape, terms)
    rule(desk, 1, score)
    value = desk.cash + tape.close[1:] @ desk.amount
    return np.concatenate(([1.0], value / terms.cash))


def _ahead(title: str, growth: Floats, seed: int) -> HeldAhead:
    gains = growth[:, -1] - 1
    low, middle, high = (quantile(gains, level) for level in LEVELS)
    return HeldAhead(
        title=title,
        mean=mean(gains),
        low=low,
        median=middle,
        high=high,
        losing=share(gains < 0),
        shortfall=conditional_value_at_risk(gains, 0.95, seed=seed),
        max_drawdown=quantile(drawdown(growth).max(axis=1), 0.5),
        bands=[[float(value) for value in curve] for curve in np.quantile(growth, LEVELS, axis=0)],
    )
