"""How long something is going to take, as a range; and a run that turns out to be long says so.

Knows blocks of scenarios and a clock, and nothing of what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scenario_gen.generators.draws import plan_blocks
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.progress import Progress

# What a figure is multiplied by at the ends of its range: sampling is the same block again and again, the rest is told
# from a sixteenth of the paths or less, and a machine that does other work moves both.
SURE, UNSURE, WEIGHED = (0.75, 1.35), (0.5, 1.8), (0.8, 1.25)
LONG = 120.0  # seconds of sampling and backtesting that are left, from which on a run tells
UNITS = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True)
class Between:
    """A figure that is known to lie about here."""

    low: float
    high: float

    @classmethod
    def about(cls, middle: float, factors: tuple[float, float]) -> Between:
        """Return a middle times its factors."""
        return cls(middle * factors[0], middle * factors[1])

    def __add__(self, other: Between) -> Between:
        """Return the sum: both are low together, as where a machine is busy."""
        return Between(self.low + other.low, self.high + other.high)


class Foretelling:
    """Tells once, by the first block that a run makes, how long the others take, where that is long.

    Args:
        progress: who is told.
        grounds: whose blocks are made; islands of an event, of which nobody knows how many, are not counted.
        workers: that make blocks side by side.
        clock: seconds.
    """

    def __init__(
        self,
        progress: Progress,
        grounds: Sequence[Prepared],
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        own = [ground for ground in grounds if ground.scenario.reweight is None and not ground.split]
        self._progress, self._clock, self._workers = progress, clock, workers
        self._left, self._began = sum(map(blocks_of, own)), 0.0
        self._quiet = False  # once it has told, or knows that the run is short

    def begin(self, kept: int) -> None:
        """Look at the clock before the first block; so many of the scenario are there from an earlier run."""
        if not self._quiet:
            self._left, self._began = self._left - kept, self._clock()

    def finish(self) -> None:
        """Note that a block is done; the first of all is what tells."""
        if self._quiet:
            return
        self._quiet, left, seconds = True, self._left - 1, self._clock() - self._began
        about = Between.about(left * seconds / self._workers, SURE)
        if about.high < LONG:
            return
        self._progress.note(
            f"the first of {left + 1:,} blocks took {seconds:.1f} s: sampling and backtesting take {lasting(about)} "
            "more if all are like it, and what judges them comes after (run --plan tells everything beforehand)"
        )


def lasting(seconds: Between) -> str:
    """Return a span of time in words: ``12 to 20 minutes``."""
    unit, name = next((unit, name) for unit, name in UNITS if seconds.high >= 2 * unit or unit == 1)
    low, high = seconds.low / unit, seconds.high / unit
    digits = 0 if high >= 10 else 1
    ends = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return f"{ends[0]} to {ends[1]} {name}" if ends[0] != ends[1] else f"{ends[0]} {name}"


def blocks_of(ground: Prepared) -> int:
    """Return into how many blocks the paths of a scenario are cut."""
    return len(plan_blocks(ground.scenario.paths.count, ground.scenario.paths.block))
