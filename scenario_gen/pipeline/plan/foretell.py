"""How long something is going to take, as a range; and a run that turns out to be long says so.

Knows blocks of scenarios and a clock, and nothing of what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    """Progress that passes everything on, and tells once how long a run takes, by the first block that it makes.

    Args:
        progress: who hears of stages and notes.
        grounds: of the run.
        strategies: that trade each scenario by itself; a block ends with the last of them, or where there is none with
            its last bar.
        workers: that make blocks side by side.
        clock: seconds.
    """

    def __init__(
        self,
        progress: Progress,
        grounds: Sequence[Prepared],
        *,
        strategies: int,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        own = [ground for ground in grounds if ground.scenario.reweight is None and not ground.split]
        self._progress, self._clock, self._workers = progress, clock, workers
        self._blocks = sum(map(blocks_of, own))
        self._each = strategies or (len(own[0].timestamps) if own else 1)
        word = "backtesting" if strategies else "sampling"
        self._titles = (*(f"{ground.name}: {word}" for ground in own), f"{len(own)} scenarios: {word}")
        self._quiet = not own  # once it has told, or knows that the run is short

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage; of blocks, look at the clock when their first is done."""
        with self._progress.stage(title, total) as advance:
            watched = total and not self._quiet and title.startswith(self._titles)
            yield self._watching(advance) if watched else advance

    def _watching(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        began, done, kept = 0.0, 0, -1

        def watched(steps: int) -> None:
            nonlocal began, done, kept
            advance(steps)
            if kept < 0:  # the first call says what is there from an earlier run
                kept, began = steps // self._each, self._clock()
                return
            done += steps
            if done >= self._each and not self._quiet:
                self._quiet = True
                self._tell(self._clock() - began, kept)

        return watched

    def _tell(self, seconds: float, kept: int) -> None:
        """Say how long the blocks take that are left, where that is long."""
        left = self._blocks - kept - 1
        about = Between.about(left * seconds / self._workers, SURE)
        if about.high < LONG:
            return
        self._progress.note(
            f"the first of {left + 1:,} blocks took {seconds:.1f} s: sampling and backtesting take {lasting(about)} "
            "more if all are like it, and what judges them comes after (run --plan tells everything beforehand)"
        )

    def note(self, text: str) -> None:
        """Pass the line on."""
        self._progress.note(text)


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
