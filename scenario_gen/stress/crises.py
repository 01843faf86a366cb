"""Crises of US shares that have a name, and what a spec may say of crises.

Owns the library of dated crises: dates and reasons; its figures are computed from bars (:mod:`.search`), never stored.
Dates choose with hindsight: a context that ends at a peak need not lead to a crash in an ensemble, so what happened is
ranked among its paths and never expected of them. Opens no file and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.reading.section import Section
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


# --- What a spec says of them ---


def _known(crisis: str) -> str:
    if crisis not in BY_ID:
        raise ValueError(unknown_crisis(crisis))
    return crisis


CrisisId = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(BY_ID)})]
MOST_AFTERWARDS = 2520  # bars that a model continues a replay by: ten years of days
Move = Annotated[float, Field(gt=-1.0, le=10.0)]


_SEED_WORDS: Mapping[Seed, str] = {"before": "before", "onset": "at the onset of", "middle": "in the middle of"}


class CrisisSearch(Section):
    """Which of the history's own crises a context ends at."""

    score: Score = Field(default="drawdown", description="what is searched for")
    top: int = Field(default=1, ge=1, le=MOST, description="how many crises; each is a scenario of its own")
    seed: Seed = Field(default="before", description="the context ends at the peak, at the onset, or in the middle")
    window: int | None = Field(
        default=None, ge=LEAST_WINDOW, le=MOST_WINDOW, description="bars of a crisis at most; default: the horizon"
    )
    rank: int | None = Field(default=None, ge=1, le=MOST, description="this one alone: 1 is the worst")

    @model_validator(mode="after")
    def _one_way(self) -> CrisisSearch:
        if self.rank is not None and self.top > 1:
            raise ValueError(f"got top {self.top} and rank {self.rank}, expected one of them")
        return self


MOST_BACK = 250  # bars before the context's end that a shock may begin at
AMOUNTS = {"gap": "size", "volatility": "times", "drift": "total", "liquidity": "volume"}  # the field of each kind


class ContextShock(Section):
    """What is written into the last bars of the context, for the generator to answer."""

    kind: Literal["gap", "volatility", "drift", "liquidity"] = Field(description="which shock of the paths it is like")
    bars_back: int = Field(
        default=1, ge=1, le=MOST_BACK, description="it begins so many bars before the end: 1 is last"
    )
    size: float | None = Field(default=None, gt=-1.0, le=10.0, description="of a gap: -0.1 is a fall of 10 %")
    times: float | None = Field(default=None, gt=0.0, le=20.0, description="of volatility: 2 doubles moves and wicks")
    total: float | None = Field(default=None, gt=-1.0, le=10.0, description="of a drift, over all its bars")
    volume: float | None = Field(default=None, gt=0.0, le=1000.0, description="of liquidity: times the volume")

    @model_validator(mode="after")
    def _one_amount(self) -> ContextShock:
        given = [name for name in AMOUNTS.values() if getattr(self, name) is not None]
        if given != [AMOUNTS[self.kind]]:
            came = one_of(given) if given else "nothing"
            raise ValueError(f"got {came} for {self.kind}, expected {AMOUNTS[self.kind]}")
        return self

    @property
    def amount(self) -> float:
        """How much of it."""
        return float(getattr(self, AMOUNTS[self.kind]))

    @property
    def in_words(self) -> str:
        """Say what it does."""
        when = "in the last bar" if self.bars_back == 1 else f"from {self.bars_back} bars before the end on"
        if self.kind in ("gap", "drift"):
            return f"{self.kind} of {100 * self.amount:+g}% {when}"
        return f"{self.kind} times {self.amount:g} {when}"


class ContextStress(Section):
    """Where the context ends instead of at ``data.end``, and what is written into its last bars."""

    crisis: CrisisId | None = Field(default=None, description="a crisis with a name: scenario-gen crises lists them")
    seed: Seed | None = Field(
        default=None, description="of that crisis: the context ends before it (default), at its onset, in its middle"
    )
    search: CrisisSearch | None = Field(default=None, description="or crises that a search finds in the history")
    shocks: tuple[ContextShock, ...] = Field(
        default=(), max_length=20, strict=False, description="written into the last bars, for the generator to answer"
    )
    normaliser: Literal["frozen", "refit"] | None = Field(
        default=None,
        description="a Kronos model's units: frozen, those of the context without shocks (default); refit, with them",
    )

    @model_validator(mode="after")
    def _one_place(self) -> ContextStress:
        if self.crisis is not None and self.search is not None:
            raise ValueError("got a crisis and a search, expected one of them")
        if self.crisis is None and self.search is None and not self.shocks:
            raise ValueError("got neither a crisis nor a search nor shocks, expected one of them")
        if self.normaliser is not None and not self.shocks:
            raise ValueError("got a normaliser without shocks, which alone it is for")
        if self.seed is not None and self.crisis is None and self.search is None:
            raise ValueError("got a seed without a crisis, which alone it is of")
        if self.search is not None and self.seed is not None:
            raise ValueError("got seed beside search, expected it inside: search: {score: drawdown, seed: onset}")
        return self

    @property
    def in_words(self) -> str:
        """Say where the context ends, and what is written into it."""
        shocks = f" with {', '.join(shock.in_words for shock in self.shocks)}" if self.shocks else ""
        return (self._end + shocks).strip()

    @property
    def moves_end(self) -> bool:
        """Whether it says where the context ends."""
        return self.crisis is not None or self.search is not None

    @property
    def _end(self) -> str:
        if not self.moves_end:
            return ""
        if self.search is None:
            return f"{_SEED_WORDS[self.seed or 'before']} {self.crisis}"
        score = self.search.score.replace("_", " ")
        return f"{_SEED_WORDS[self.search.seed]} the crisis of rank {self.search.rank or 1} by {score}"

    def alone(self) -> tuple[ContextStress, ...]:
        """Return one section for each context: a search for several is several."""
        search = self.search
        if search is None or search.top == 1:
            return (self,)
        each = (search.model_copy(update={"top": 1, "rank": rank}) for rank in range(1, search.top + 1))
        return tuple(self.model_copy(update={"search": single}) for single in each)


class Replay(Section):
    """What happened once, in the bars of this market: one path, and where asked the model from there on."""

    crisis: CrisisId | None = Field(default=None, description="whose bars: scenario-gen crises lists them")
    source: Literal["sp500", "nasdaq"] = Field(default="sp500", description="the index whose bars they are")
    moves: tuple[Move, ...] | None = Field(
        default=None, min_length=1, max_length=250, strict=False, description="or returns from close to close: [-0.076]"
    )
    scale: Literal["sigma", "raw"] | None = Field(
        default=None,
        description="sigma: in units of volatility before it, put on that of the context (default); raw: as they were",
    )
    then: int = Field(default=0, ge=0, le=MOST_AFTERWARDS, description="bars that the generator continues it by")

    @model_validator(mode="after")
    def _one_origin(self) -> Replay:
        if (self.crisis is None) == (self.moves is None):
            raise ValueError("give exactly one of 'crisis' (lehman, ...) and 'moves' (a list of returns)")
        if self.moves is not None and self.scale == "sigma":
            raise ValueError("got scale sigma for moves, expected raw: no volatility before them is known")
        return self

    @property
    def in_words(self) -> str:
        """Say what is replayed and what follows."""
        what = f"{self.crisis} of {self.source}" if self.crisis is not None else f"{len(self.moves or ())} moves"
        return f"replay of {what}" + (f", then {self.then} bars of the generator" if self.then else "")
