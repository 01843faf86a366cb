"""What every shock is: a section of a spec that says what it does to bars, and to the terms on which they are traded.

Owns the base of all shocks and their windows; which shocks there are stands in ``shocks``. Imports nothing heavy: a
spec is read with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_gen.reading.section import Section

if TYPE_CHECKING:
    from scenario_gen.market.paths import Floats, PathSet, TradingTerms
    from scenario_gen.stress.moves import Moves, Setting

MOST_TIMES = 1000.0

Bar = Annotated[int, Field(ge=0, description="the first bar concerned; 0 is the first generated one")]
Bars = Annotated[int, Field(ge=1)]
Size = Annotated[float, Field(gt=-1.0, le=10.0, description="share of the price: -0.1 is a fall of 10 %")]


class Shock(Section):
    """What is done to the bars of every path, and to the terms on which they are traded."""

    title: ClassVar[str] = ""  # in words, without numbers
    by_ensemble: ClassVar[bool] = False  # whether it needs the means of an ensemble
    within_bar: ClassVar[bool] = False  # whether results hang on what a bar does not tell: where stops are filled
    answered: ClassVar[bool] = False  # whether other assets of a book can respond: it moves the return of one bar
    kind: str
    asset: str | None = Field(default=None, description="of a book, that is hit; default: all")
    others: Literal["respond", "as_they_are"] | None = Field(
        default=None,
        description="what the other assets do: respond to a gap as they hang together with it (default), or go on",
    )

    @model_validator(mode="after")
    def _of_an_asset(self) -> Shock:
        if self.others is not None and self.asset is None:
            raise ValueError("got others without an asset, expected the asset of the book that is hit beside it")
        if self.others == "respond" and not self.answered:
            raise ValueError(f"got others: respond for {self.kind}, expected as_they_are: others respond to a gap only")
        return self

    @property
    def responds(self) -> bool:
        """Whether the other assets of a book respond to it."""
        return self.asset is not None and self.answered and self.others != "as_they_are"

    def misfits(self, horizon: int) -> Iterator[tuple[str, str]]:
        """Yield field and words of what does not lie within paths of so many bars."""
        yield from ()

    @property
    def volume_field(self) -> str:
        """The field that only paths with volume can obey; empty where there is none."""
        return ""

    @property
    def in_words(self) -> str:
        """Name the shock with its numbers."""
        return self.title

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """Return the bars after the shock; the same object where it moves none.

        Args:
            moves: of the paths.
            pilot: of a reference ensemble, whose means the shock may need.
            setting: seed and units.
        """
        return moves

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """Return the terms after the shock.

        Args:
            terms: so far.
            paths: their bars after all shocks.
            setting: seed and units.
            place: of the shock in its list, which keys its own numbers.
        """
        return terms


class Lasting(Shock):
    """A shock on a window of bars: to the end of the path, unless ``bars`` says how many."""

    bar: Bar = 0
    bars: Bars | None = Field(default=None, description="how many bars; default: all that follow")

    def misfits(self, horizon: int) -> Iterator[tuple[str, str]]:
        """As of every shock."""
        yield from beyond("bar", self.bar, horizon)
        if self.bars is not None and self.bar < horizon < self.bar + self.bars:
            yield "bars", too_many(self.bars, self.bar, horizon)

    def window(self, horizon: int) -> tuple[int, int]:
        """Return the first bar and the one after the last."""
        return self.bar, horizon if self.bars is None else self.bar + self.bars

    @property
    def when(self) -> str:
        """The window in words."""
        if self.bars is None:
            return f"from bar {self.bar} on" if self.bar else "on all bars"
        return f"over {counted(self.bars)} from bar {self.bar}"


class Fading(Lasting):
    """A shock on a window that may fade within it."""

    half_life: float | None = Field(default=None, gt=0.0, description="bars after which half of it is left")

    def strength(self, horizon: int) -> Floats:
        """Return how much of it acts at each bar [bar]."""
        from scenario_gen.stress.moves import strength

        return strength(horizon, *self.window(horizon), self.half_life)

    @property
    def when(self) -> str:
        """The window in words, and how fast it fades."""
        return super().when + ("" if self.half_life is None else f", half of it left after {self.half_life:g} bars")


def beyond(field: str, bar: int, horizon: int) -> Iterator[tuple[str, str]]:
    """Yield field and words of a bar beyond the paths."""
    if bar >= horizon:
        yield field, f"got {bar}, but a path has {counted(horizon)}, counted from 0: expected 0 to {horizon - 1}"


def too_many(bars: int, bar: int, horizon: int) -> str:
    """Say that a window reaches beyond the paths."""
    return f"got {bars} from bar {bar} on, but a path has {counted(horizon)}: expected at most {horizon - bar}"


def counted(bars: int) -> str:
    """Return ``1 bar`` or ``5 bars``."""
    return f"{bars:,} bar{'' if bars == 1 else 's'}"
