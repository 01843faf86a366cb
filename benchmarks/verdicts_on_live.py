"""The verdict on a log of live forecasts: whether calibration is lost, looked at after each of a thousand bars.

A truth whose volatility drifts is known to the forecasts that are right: they are 199 draws of the same law. A label is
raised where it was raised at any of the bars, as one sees it who looks every hour for six weeks.
"""

from __future__ import annotations

from benchmarks.study import Answers, Ask, Row, Study, World
from scenario_gen.finding import LIVE_CALIBRATION
from scenario_gen.live.judge import MEMBERS, sequential_test
from scenario_gen.stats.ranks import pit

BARS, LATE = 1000, 500


def _forecasts(width: float = 1.0, moved: float = 0.0, since: int = 0) -> Ask:
    """Return the verdict on forecasts so many times too wide, and so many deviations too high, since a bar."""

    def ask(world: World) -> Answers:
        rng, scale = world.rng("bars"), world.volatility(BARS)
        pits = []
        for bar in range(BARS):
            wide, high = (width, moved) if bar >= since else (1.0, 0.0)
            ensemble = scale[bar] * (wide * rng.standard_t(5, MEMBERS) + high)
            pits.append(pit(ensemble, float(scale[bar] * rng.standard_t(5)), rng))
        return {"live calibration": sequential_test(pits, [str(bar) for bar in range(BARS)]).label}

    return ask


STUDIES: tuple[Study, ...] = (
    Study(
        "live",
        (Row("live calibration", LIVE_CALIBRATION),),
        _forecasts(),
        {
            "volatility x1.25": _forecasts(1.25),
            "volatility x1.6": _forecasts(1.6),
            "volatility x.8": _forecasts(0.8),
            "volatility x.7 after 500 bars": _forecasts(0.7, since=LATE),
            "paths a quarter of a deviation too high": _forecasts(moved=0.32),
        },
        repeats=400,
    ),
)
