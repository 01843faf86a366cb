"""The shocks that a scenario may put on its paths: THE list. A shock is one section here, its arithmetic in ``moves``.

Bars count from 0 at the first generated one, as on the page and in trades. Shocks act in the order of their list, each
on what the ones before it left; each is a function of the path and of numbers of its own, so that path 17 shocked and
path 17 as it was are a pair. Imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import nearest, one_of, shown
from scenario_gen.reading.yaml import Document, Where
from scenario_gen.stress.shock import MOST_TIMES, Bar, Bars, Fading, Lasting, Shock, Size, beyond, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenario_gen.market.paths import Floats, PathSet, TradingTerms
    from scenario_gen.stress.moves import Moves, Setting

MOST_SHOCKS = 50  # on one scenario


def _times(factor: float) -> str:
    return f"× {factor:g}"


def _percent(share: float) -> str:
    return f"{100 * share:+g}%".replace("-", "\u2212")


class GapShock(Shock):
    """The open jumps; what follows scales as one."""

    title: ClassVar[str] = "gap"
    answered: ClassVar[bool] = True

    kind: Literal["gap"] = Field(default="gap", description="which shock it is")
    bar: Bar = 0
    size: Size
    recovery: float = Field(default=0.0, ge=0.0, le=1.0, description="share of the log gap that returns afterwards")
    over: Bars = Field(default=1, description="bars in which it returns")

    def misfits(self, horizon: int) -> Iterator[tuple[str, str]]:
        """As of every shock."""
        yield from beyond("bar", self.bar, horizon)
        if self.recovery and self.bar < horizon <= self.bar + self.over:
            left = horizon - 1 - self.bar
            yield "over", f"got {self.over}, but after bar {self.bar} a path has {left} more of its {horizon} bars"

    @property
    def in_words(self) -> str:
        """As of every shock."""
        back = f", {self.recovery:.0%} of it back over {counted(self.over)}" if self.recovery else ""
        return f"gap of {_percent(self.size)} at bar {self.bar}{back}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        return moves.gapped(self.bar, math.log1p(self.size), self.recovery, self.over if self.recovery else 0)


class VolatilityShock(Fading):
    """Moves and wicks are multiplied around the ensemble's mean move; volume follows ranges as in the context."""

    title: ClassVar[str] = "volatility"
    by_ensemble: ClassVar[bool] = True

    kind: Literal["volatility"] = Field(default="volatility", description="which shock it is")
    times: float = Field(gt=0.0, le=20.0, description="2 doubles every move and wick")
    martingale: bool = Field(default=True, description="keep the mean price of the paths at every bar")

    @property
    def in_words(self) -> str:
        """As of every shock."""
        return f"volatility {_times(self.times)} {self.when}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        times = 1.0 + (self.times - 1.0) * self.strength(moves.bars)
        return moves.louder(times, pilot, martingale=self.martingale, slope=setting.slope)


class DriftShock(Fading):
    """The bodies of the bars move on, their wicks as they were."""

    title: ClassVar[str] = "drift"

    kind: Literal["drift"] = Field(default="drift", description="which shock it is")
    total: Size = Field(description="of the whole window together: -0.15 is a fall of 15 %")
    by: Literal["bar", "range"] = Field(default="bar", description="range: more of it in wide bars")

    @property
    def in_words(self) -> str:
        """As of every shock."""
        return f"drift of {_percent(self.total)} in all {self.when}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        return moves.drifted(math.log1p(self.total), self.strength(moves.bars), by_range=self.by == "range")


class LiquidityShock(Fading):
    """Volume is multiplied, and orders pay for the range of a bar with so little of it."""

    title: ClassVar[str] = "liquidity"

    kind: Literal["liquidity"] = Field(default="liquidity", description="which shock it is")
    volume: float = Field(default=0.1, ge=0.0, le=MOST_TIMES, description="times the volume; at 0 orders wait")
    impact: float = Field(
        default=0.1, ge=0.0, le=10.0, description="slippage on top: so many ranges of the bar over sqrt(V / usual V)"
    )

    @property
    def volume_field(self) -> str:
        """As of every shock."""
        return "kind"

    @property
    def in_words(self) -> str:
        """As of every shock."""
        return f"volume {_times(self.volume)}, slippage of {self.impact:g} ranges over its root, {self.when}"

    def _volume(self, horizon: int) -> Floats:
        return 1.0 + (self.volume - 1.0) * self.strength(horizon)

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        return moves.with_volume(self._volume(moves.bars))

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """As of every shock."""
        from scenario_gen.stress.moves import closed, dearer, impact

        acts, volume = self.strength(paths.horizon), self._volume(paths.horizon)
        paid = self.impact * acts * impact(paths, setting) if self.impact else 0.0 * acts
        terms = dearer(terms, paths, 0.0 * acts + 1.0, paid)
        return closed(terms, paths, volume == 0.0) if (volume == 0.0).any() else terms


class CostsShock(Fading):
    """Bars stay; orders cost more."""

    title: ClassVar[str] = "costs"

    kind: Literal["costs"] = Field(default="costs", description="which shock it is")
    times: float = Field(default=1.0, ge=0.0, le=MOST_TIMES, description="times fees and slippage of the broker")
    slippage: float = Field(default=0.0, ge=0.0, lt=0.5, description="share of the price, per side, on top")
    impact: float = Field(
        default=0.0, ge=0.0, le=10.0, description="on top: so many ranges of the bar over sqrt(V / usual V)"
    )

    @property
    def volume_field(self) -> str:
        """As of every shock."""
        return "impact" if self.impact else ""

    @property
    def in_words(self) -> str:
        """As of every shock."""
        parts = [f"costs {_times(self.times)}"] if self.times != 1.0 else []
        parts += [f"slippage {_percent(self.slippage)}"] if self.slippage else []
        parts += [f"slippage of {self.impact:g} ranges over the root of volume"] if self.impact else []
        return f"{', '.join(parts) or 'costs as they are'} {self.when}"

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """As of every shock."""
        from scenario_gen.stress.moves import dearer, impact

        acts = self.strength(paths.horizon)
        paid = self.slippage * acts
        if self.impact:
            paid = paid + self.impact * acts * impact(paths, setting)
        return dearer(terms, paths, 1.0 + (self.times - 1.0) * acts, paid)


class FlashCrashShock(Shock):
    """One bar reaches far beyond its close; or several bars fall, and some of it comes back."""

    title: ClassVar[str] = "flash crash"
    within_bar: ClassVar[bool] = True

    kind: Literal["flash_crash"] = Field(default="flash_crash", description="which shock it is")
    bar: Bar = 0
    size: Size
    bars: Bars = Field(default=1, description="bars of the fall; one bar keeps its open and its close")
    recovery: float = Field(default=1.0, ge=0.0, le=1.0, description="share of a longer fall that comes back")
    over: Bars | None = Field(default=None, description="bars in which it comes back; default: as many as it fell")
    volume: float = Field(default=1.0, ge=0.0, le=MOST_TIMES, description="times the volume of all these bars")

    @model_validator(mode="after")
    def _of_several_bars(self) -> FlashCrashShock:
        if self.bars == 1 and self.model_fields_set & {"recovery", "over"}:
            raise ValueError(
                "a crash of one bar keeps its close; expected recovery and over beside bars: 2 or more only"
            )
        return self

    @property
    def _stop(self) -> int:
        back = self.bars if self.over is None else self.over
        return self.bar + self.bars + (back if self.bars > 1 else 0)

    def misfits(self, horizon: int) -> Iterator[tuple[str, str]]:
        """As of every shock."""
        yield from beyond("bar", self.bar, horizon)
        if self.bar < horizon < self._stop:
            field = "over" if self.bar + self.bars <= horizon and self.over is not None else "bars"
            yield (
                field,
                f"the crash and its recovery end after bar {self._stop - 1}, but a path has {counted(horizon)}",
            )

    @property
    def volume_field(self) -> str:
        """As of every shock."""
        return "volume" if self.volume != 1.0 else ""

    @property
    def in_words(self) -> str:
        """As of every shock."""
        if self.bars == 1:
            return f"flash crash of {_percent(self.size)} within bar {self.bar}"
        back = f"{self.recovery:.0%} of it back over {counted(self._stop - self.bar - self.bars)}"
        return f"flash crash of {_percent(self.size)} over {counted(self.bars)} from bar {self.bar}, {back}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        from scenario_gen.stress.moves import strength

        move, turn = math.log1p(self.size), self.bar + self.bars
        if self.volume != 1.0:
            moves = moves.with_volume(1.0 + (self.volume - 1.0) * strength(moves.bars, self.bar, self._stop, None))
        if self.bars == 1:
            return moves.spiked(self.bar, move)
        moves = moves.drifted(move, strength(moves.bars, self.bar, turn, None), by_range=False)
        return moves.drifted(-self.recovery * move, strength(moves.bars, turn, self._stop, None), by_range=False)


class HaltShock(Shock):
    """Trading stops: the price stands, nothing is traded, orders wait."""

    title: ClassVar[str] = "halt"

    kind: Literal["halt"] = Field(default="halt", description="which shock it is")
    bar: Bar = 0
    bars: Bars = Field(description="how long it lasts")
    carry: bool = Field(default=True, description="the first bar after it opens where the path would have been")

    def misfits(self, horizon: int) -> Iterator[tuple[str, str]]:
        """As of every shock."""
        yield from beyond("bar", self.bar, horizon)
        if self.bar < horizon <= self.bar + self.bars:
            yield (
                "bars",
                f"got {self.bars} from bar {self.bar} on, but a path has {counted(horizon)} and none would be left to "
                f"trade in: expected at most {horizon - 1 - self.bar}",
            )

    @property
    def in_words(self) -> str:
        """As of every shock."""
        return f"halt of {counted(self.bars)} from bar {self.bar}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        return moves.halted(self.bar, self.bar + self.bars, carry=self.carry)

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """As of every shock."""
        from scenario_gen.stress.moves import closed, strength

        return closed(terms, paths, strength(paths.horizon, self.bar, self.bar + self.bars, None) > 0)


class LimitMovesShock(Lasting):
    """No price further from the close before than the limit; the rest of a move waits for the next bars."""

    title: ClassVar[str] = "limit moves"

    kind: Literal["limit_moves"] = Field(default="limit_moves", description="which shock it is")
    limit: float = Field(gt=0.0, lt=1.0, description="0.1: no price beyond 10 % of the close before")

    @property
    def in_words(self) -> str:
        """As of every shock."""
        return f"moves limited to ±{100 * self.limit:g}% per bar {self.when}"

    def moved(self, moves: Moves, pilot: Moves, setting: Setting) -> Moves:
        """As of every shock."""
        return moves.limited(self.limit, *self.window(moves.bars))

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """As of every shock."""
        from scenario_gen.stress.moves import limited, strength

        return limited(terms, paths, self.limit, strength(paths.horizon, *self.window(paths.horizon), None) > 0)


class DataErrorShock(Lasting):
    """Strategies see some bars wrongly; orders are filled and money is counted on the bars as they are."""

    title: ClassVar[str] = "data errors"

    kind: Literal["data_error"] = Field(default="data_error", description="which shock it is")
    error: Literal["bad_print", "swapped", "stale", "zero_volume", "missing"] = Field(
        default="bad_print",
        description="a close times 10, high and low swapped, the bar before once more, no volume, or no numbers at all",
    )
    share: float = Field(default=0.01, gt=0.0, le=1.0, description="of the bars in the window, drawn for each path")
    times: float = Field(default=10.0, gt=0.0, le=MOST_TIMES, description="of a bad print: 0.01 is a price in cents")

    @property
    def volume_field(self) -> str:
        """As of every shock."""
        return "error" if self.error == "zero_volume" else ""

    @property
    def in_words(self) -> str:
        """As of every shock."""
        words = {"bad_print": f"closes {_times(self.times)}", "swapped": "high and low swapped", "stale": "stale bars"}
        error = words.get(self.error, self.error.replace("_", " "))
        return f"data errors: {error} in {100 * self.share:g}% of bars {self.when}"

    def wrong(self, path_ids: NDArray[Any], horizon: int, setting: Setting, place: int) -> NDArray[Any]:
        """Return which bars are seen wrongly, bool [path, bar]."""
        from scenario_gen.stress.moves import strength, uniforms

        inside = strength(horizon, *self.window(horizon), None) > 0
        return (uniforms(setting, path_ids, place, horizon) < self.share) & inside

    def traded(self, terms: TradingTerms, paths: PathSet, setting: Setting, place: int) -> TradingTerms:
        """As of every shock."""
        from scenario_gen.stress.moves import misread

        return misread(terms, paths, self.error, self.wrong(paths.path_ids, paths.horizon, setting, place), self.times)


SHOCKS: tuple[type[Shock], ...] = (
    GapShock, VolatilityShock, DriftShock, LiquidityShock, CostsShock, FlashCrashShock, HaltShock, LimitMovesShock,
    DataErrorShock,
)  # fmt: skip
KINDS: Mapping[str, type[Shock]] = {str(shock.model_fields["kind"].default): shock for shock in SHOCKS}


def read_shocks(
    written: Any, horizon: int, where: Where, violations: Violations, *, has_volume: bool = True
) -> tuple[Shock, ...]:
    """Return the shocks of a scenario, noting every mistake with its place.

    Args:
        written: the list as the spec has it.
        horizon: bars of a path.
        where: the list stands in the document.
        violations: to be added to.
        has_volume: whether the paths may have volume.
    """
    if not isinstance(written, list | tuple) or not written:
        violations.add(where, f"got {shown(written)}, expected a list like [{{kind: gap, bar: 5, size: -0.1}}]")
        return ()
    if len(written) > MOST_SHOCKS:
        violations.add(where, f"got {len(written)} shocks, expected at most {MOST_SHOCKS}")
        return ()
    read = [_read(item, horizon, (*where, place), violations, has_volume) for place, item in enumerate(written)]
    return tuple(shock for shock in read if shock is not None)


def _read(item: Any, horizon: int, at: Where, violations: Violations, has_volume: bool) -> Shock | None:
    kind = item.get("kind") if isinstance(item, Mapping) else None
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        what = shown(item) if not isinstance(item, Mapping) else shown(kind) if "kind" in item else "no kind"
        place = (*at, "kind") if isinstance(item, Mapping) and "kind" in item else at
        expected = f"{'a mapping with the kind ' if kind is None else ''}{one_of(KINDS)}"
        violations.add(place, f"got {what}, expected {expected}{nearest(kind, KINDS)}")
        return None
    shock = violations.section(model, item, lambda place: (*at, *place))
    if shock is None:
        return None
    for field, words in shock.misfits(horizon):
        violations.add((*at, field), words)
    if shock.volume_field and not has_volume:
        violations.add((*at, shock.volume_field), lacks_volume(shock))
    return shock


def lacks_volume(shock: Shock) -> str:
    """Say that a shock is about volume and there is none."""
    return f"{shock.in_words}: this needs volume, and the history has none; expected another shock, or bars with volume"


def shocks_of(written: Sequence[Shock | Mapping[str, Any]], horizon: int) -> tuple[Shock, ...]:
    """Return shocks given as sections or as mappings with the keys of a spec.

    Raises:
        SpecError: with one line per mistake.
    """
    plain = [item.model_dump() | {"kind": item.kind} if isinstance(item, Shock) else item for item in written]
    violations = Violations(Document({"shocks": plain}, {}, ""))
    read = read_shocks(plain, horizon, ("shocks",), violations)
    for place, shock in enumerate(read):
        if shock.asset is not None:
            words = f"got {shown(shock.asset)}, and these are paths of one asset; expected the shock without it"
            violations.add(("shocks", place, "asset"), words)
    violations.raise_any()
    if len(read) != len(plain):
        raise SpecError("a shock was refused without a reason")
    return read
