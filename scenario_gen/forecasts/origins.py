"""Rolling origins: where in the past a generator is made to forecast what has since come.

Futures of neighbouring origins must not overlap. With a perfectly calibrated model, a horizon of 20 bars and an
origin at every bar, a Kolmogorov-Smirnov test at the 5 % level rejects 84 to 97 % of the time, at every fifth bar
31 to 39 %, at every twentieth 4 to 6 %: overlapping futures count the same surprise twenty times.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.errors import CheckError, DataError

FEWEST_JUDGED = 30  # below, figures are shown and nothing is judged
WANTED = 60
PATHS = 199
LONGEST = 20  # bars: the default horizon of a calibration
SHORTEST = 5


@dataclass(frozen=True)
class Origins:
    """Rows of a history at which futures begin, oldest first.

    Attributes:
        rows: the context is the ``context`` bars before a row, the future the ``horizon`` bars from it on.
        context: bars.
        horizon: bars.
        stride: bars from one row to the next.
    """

    rows: tuple[int, ...]
    context: int
    horizon: int
    stride: int

    def __len__(self) -> int:
        return len(self.rows)


def rolling_origins(bars: int, *, context: int, horizon: int, count: int, stride: int | None = None) -> Origins:
    """Return up to ``count`` origins, the last future ending with the history.

    Args:
        bars: length of the history.
        context: bars before each origin.
        horizon: bars after it.
        count: how many at most; the latest are taken.
        stride: bars between origins; default and least: the horizon.

    Raises:
        CheckError: the stride is below the horizon.
        DataError: the history has no room for two origins.
    """
    stride = horizon if stride is None else stride
    if stride < horizon:
        raise CheckError(
            f"origins every {stride} bars have futures of {horizon} bars that overlap: tests would count the same "
            "surprise several times, and reject a perfectly calibrated generator in up to 97 of 100 cases",
            expected=f"a stride of at least the horizon, {horizon}",
            fix="leave the stride out, or shorten the horizon",
        )
    room = 1 + (bars - context - horizon) // stride if bars >= context + horizon else 0
    if room < 2:
        raise DataError(
            f"{bars} bars leave room for {room} origins of {context} bars of context and {horizon} bars of future",
            expected=f"at least {context + horizon + stride} bars up to the context's end",
            fix="bring a longer history, or shorten the context or the horizon",
        )
    last = bars - horizon
    taken = min(count, room)
    return Origins(tuple(last - stride * back for back in reversed(range(taken))), context, horizon, stride)


def default_horizon(bars: int, context: int, horizon: int) -> int:
    """Return how many bars ahead to calibrate: the run's horizon, at most 20, less where the history is short.

    Shorter than 20 where that brings the number of origins nearer to 60; never below 5, unless the run's own
    horizon is.
    """
    longest = min(horizon, LONGEST)
    return max(min(longest, SHORTEST), min(longest, (bars - context) // WANTED))
