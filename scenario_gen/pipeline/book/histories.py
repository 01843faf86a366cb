"""The bars of a book's scenarios: each asset's history on the common dates, split where the contexts of all end.

Owns where the contexts of several assets end: all at one date, that of ``data.end`` or of a crisis, which is placed in
the first asset's bars. Reads no file and computes no dependence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.joint.calendar import Aligned, align, refuse_unfit
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.spec.models import ResolvedScenario
from scenario_gen.stress.search import ContextInCrisis, course, placed

PlaceOf = Callable[..., str]  # of a scenario's name and the keys of a value


@dataclass(frozen=True, eq=False)
class Past:
    """The bars of a scenario up to the end of its context, what came after, and when its next bars are."""

    history: Candles
    later: Candles
    calendar: BarCalendar
    crisis: ContextInCrisis | None = None  # that the context ends in, where the spec names or searches one
    aligned: Aligned | None = None  # histories of all assets of its book, up to the same end

    def ahead(self, scenario: ResolvedScenario) -> pd.DatetimeIndex:
        """Return the stamps of the bars to generate."""
        horizon = scenario.bars.horizon
        return self.calendar.future(horizon) if self.aligned is None else self.aligned.future(horizon)[scenario.asset]


def over(scenario: ResolvedScenario, bars: int) -> ResolvedScenario:
    """Return a scenario whose horizon is so many bars: an asset has fewer where its market is closed."""
    if bars == scenario.bars.horizon:
        return scenario
    return scenario.model_copy(update={"bars": scenario.bars.model_copy(update={"horizon": bars})})


def book_pasts(
    scenarios: Sequence[ResolvedScenario], whole: Aligned, place: PlaceOf
) -> tuple[dict[str, Past], tuple[str, ...]]:
    """Split the histories of a book's scenario, and refuse what cannot be coupled.

    Args:
        scenarios: of one name, one for each asset, in the spec's order.
        whole: their histories.
        place: says where a value stands in the spec.

    Returns:
        Asset to its past, and notes on what was left out or may mislead.

    Raises:
        DataError: the histories cannot be coupled, or have no crisis where the context is to end.
    """
    lead = scenarios[0]
    crises: Mapping[str, ContextInCrisis] = {}
    if lead.context is not None and lead.context.moves_end:
        end, crises = _in_crisis(scenarios, whole, place)
        past, later = whole.up_to(end)
    else:
        past, later = whole.split_at(lead.data.end)
    refuse_unfit(past, lead.bars.context, asset_places(scenarios, place))
    _refuse_lack_of_volume(scenarios, past, place)
    pasts = {
        asset: Past(history, later[asset], past.calendars[asset], crises.get(asset), past)
        for asset, history in past.parts.items()
    }
    placed_by = [f"the contexts of all assets end where {lead.asset} has its crisis"] if crises else []
    return pasts, (*placed_by, *past.notes, *(f"WARN: {apart.in_words}" for apart in past.apart))


def aligned_book(scenarios: Sequence[ResolvedScenario], histories: Sequence[Candles], place: PlaceOf) -> Aligned:
    """Lay the whole histories of a book's assets on common dates.

    Raises:
        DataError: bars of different size, stamps that cannot be compared, or no date that all assets have.
    """
    lead = scenarios[0]
    parts = {scenario.asset: history for scenario, history in zip(scenarios, histories, strict=True)}
    how = "intersection" if lead.joint is None else lead.joint.calendar
    return align(parts, how, place=asset_places(scenarios, place))


def asset_places(scenarios: Sequence[ResolvedScenario], place: PlaceOf) -> Callable[[str], str]:
    """Return what says where an asset stands in the spec, and all of them for ""."""
    numbers = {scenario.asset: number for number, scenario in enumerate(scenarios)}
    return lambda asset: place("", "assets", numbers[asset]) if asset in numbers else place("", "assets")


def _in_crisis(
    scenarios: Sequence[ResolvedScenario], whole: Aligned, place: PlaceOf
) -> tuple[pd.Timestamp, dict[str, ContextInCrisis]]:
    """Return the stamp at which the contexts of all assets end, and the crisis in the bars of each.

    A crisis that is searched for is the first asset's, as are onset and middle of any.
    """
    lead = scenarios[0]
    stress, bars = lead.context, whole.parts[lead.asset]
    assert stress is not None  # the caller has looked
    try:
        row, crisis = placed(bars, stress, lead.bars.context, lead.bars.horizon)
    except DataError as error:
        where = place(lead.name, "context", "search" if stress.search is not None else "crisis")
        raise DataError(f"{where}: {error.problem}", expected=error.expected, fix=error.fix) from None
    seen = crisis.crisis
    crises = {lead.asset: crisis}
    for asset, part in whole.parts.items():
        if asset == lead.asset:
            continue
        start, stop = (
            int(part.timestamps.searchsorted(pd.Timestamp(stamp), side="right")) - 1
            for stamp in (seen.before, seen.until)
        )
        if start < 0 or stop <= start:
            raise DataError(
                f"{place(lead.name, 'context')}: {asset} has no bars from {seen.before} to {seen.until}, when the "
                f"crisis {seen.id} is in {lead.asset}",
                expected="a crisis that the common history of all assets spans",
                fix="name another crisis, or leave the asset out",
            )
        own = course(part, start, stop, id=seen.id, why=seen.why, control=seen.control)
        crises[asset] = replace(crisis, crisis=replace(own, seeds=seen.seeds))
    return bars.timestamps[row], crises


def _refuse_lack_of_volume(scenarios: Sequence[ResolvedScenario], past: Aligned, place: PlaceOf) -> None:
    """Refuse assets without volume where one is required: strategies of a book see volume only where all have it."""
    without = [asset for asset, part in past.parts.items() if not part.has_volume]
    asking = [scenario.asset for scenario in scenarios if scenario.data.volume == "require"]
    if without and asking:
        raise DataError(
            f"{asset_places(scenarios, place)(asking[0])}: volume is required of {', '.join(asking)}, and "
            f"{', '.join(without)} has none: strategies of a book see volume only where all assets have it",
            expected="volume in the histories of all assets",
            fix=f"leave out {without[0]}, bring its bars with volume, or say volume: auto",
        )
