"""path_statistics: every fact of every path, in blocks that keep memory constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.facts import FACT
from scenario_gen.checks.facts.gauge import Gauge, deseasonalise
from scenario_gen.checks.facts.moments import divide, mean_acf

Array = NDArray[np.float64]

P_STATISTICS: dict[str, Callable[[Bars], Array]] = {
    "acf_rng_1_5": lambda bars: mean_acf(bars.lr, range(1, 6)),
    "acf_r_1": lambda bars: mean_acf(bars.r, [1]),
    "mean_t": lambda bars: np.sqrt(bars.length) * divide(bars.r.mean(axis=1), bars.s),
}


def path_statistics(
    bars: Bars, *, facts: Sequence[str] | None = None, gauge: Gauge | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return fact id -> [path], NaN where undefined; a Q fact as two entries, id.num and id.den.

    Args:
        bars: the paths; bars that are compared must have the same tick.
        facts: ids to compute; default: all that the bars allow (volume, sessions).
        gauge: the reference's; without it nothing is deseasonalised and ``exceedances`` is NaN.
    """
    wanted = [name for name in (facts or FACT) if name in P_STATISTICS]
    plain = bars
    if gauge is not None and gauge.season is not None:
        plain = deseasonalise(bars, gauge.season)
    return {name: P_STATISTICS[name](plain if FACT[name].seasonal else bars) for name in wanted}
