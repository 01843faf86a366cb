"""Crises of US shares that have a name, and what a spec may say of crises.

Owns the library of dated crises: dates and reasons; its figures are computed from bars (:mod:`.search`), never stored.
Dates choose with hindsight: a context that ends at a peak need not lead to a crash in an ensemble, so what happened is
ranked among its paths and never expected of them. Opens no file and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from scenario_gen.errors import SpecError
from scenario_gen.reading.words import nearest, one_of, shown

Seed = Literal["before", "onset", "middle"]
Score = Literal["drawdown", "volatility", "worst_bar", "volume"]
SCORES: tuple[Score, ...] = get_args(Score)
MOST = 10  # crises of a score
LEAST_WINDOW, MOST_WINDOW = 2, 10_000  # bars


@dataclass(frozen=True)
class DatedCrisis:
    """A crisis of US shares that has a name: an entry of :data:`LIBRARY`."""

    id: str
    before: str  # ISO date of the last bar before it
    until: str  # ISO date of its last bar
    why: str
    control: bool = False  # a calm stretch: a set of crises alone flatters hedges


LIBRARY: tuple[DatedCrisis, ...] = (
    DatedCrisis("dotcom_break", "2000-03-24", "2000-05-23", "valuation break in one sector; the indices part"),
    DatedCrisis("rate_cut_squeeze", "2001-01-02", "2001-01-03", "surprise cut: hurts shorts"),
    DatedCrisis("spring_2001", "2001-01-30", "2001-04-04", "grinding earnings recession"),
    DatedCrisis("sept11", "2001-09-10", "2001-09-21", "four closed sessions, then a gap"),
    DatedCrisis("accounting_2002", "2002-05-17", "2002-07-23", "loss of confidence"),
    DatedCrisis("rebound_2002", "2002-10-09", "2002-11-27", "turn of a bear market"),
    DatedCrisis("quant_quake", "2007-07-19", "2007-08-16", "from calm; factor books deleverage"),
    DatedCrisis("lehman", "2008-09-12", "2008-11-20", "systemic; both tails"),
    DatedCrisis("gfc_second_leg", "2009-01-06", "2009-03-09", "stress that starts from stress"),
    DatedCrisis("rebound_2009", "2009-03-09", "2009-06-01", "momentum crash for shorts"),
    DatedCrisis("flash_crash", "2010-05-05", "2010-05-07", "liquidity within the bar"),
    DatedCrisis("euro_2010", "2010-04-23", "2010-07-02", "sovereign debt"),
    DatedCrisis("us_downgrade", "2011-07-22", "2011-08-08", "fast break"),
    DatedCrisis("china_deval", "2015-08-17", "2015-08-25", "overnight gaps"),
    DatedCrisis("growth_2016", "2015-12-29", "2016-02-11", "slow"),
    DatedCrisis("brexit", "2016-06-23", "2016-06-27", "a scheduled event with two ends"),
    DatedCrisis("volmageddon", "2018-01-26", "2018-02-08", "short-volatility products unwind, out of the calmest year"),
    DatedCrisis("q4_2018", "2018-09-20", "2018-12-24", "slow, then fast"),
    DatedCrisis("calm_2004", "2004-08-13", "2004-12-31", "control: calm", control=True),
    DatedCrisis("calm_2017", "2017-08-21", "2017-12-29", "control: the calmest", control=True),
)
BY_ID: Mapping[str, DatedCrisis] = {crisis.id: crisis for crisis in LIBRARY}


def dated(crisis: str) -> DatedCrisis:
    """Return a crisis of the library.

    Raises:
        SpecError: there is none of that name; the nearest is named.
    """
    if crisis in BY_ID:
        return BY_ID[crisis]
    raise SpecError(unknown_crisis(crisis), fix="scenario-gen crises sp500 lists them")


def unknown_crisis(crisis: object) -> str:
    """Say that there is no crisis of that name, which is nearest, and which there are."""
    return f"got {shown(crisis)}, expected a crisis: {one_of(BY_ID)}{nearest(crisis, BY_ID)}"
