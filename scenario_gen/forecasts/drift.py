"""Which way does an ensemble lean, and how surely? A strategy that is long earns its generator's drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scenario_gen.finding import DRIFT, Finding, Label
from scenario_gen.stats.means import mean_test
from scenario_gen.stats.ranks import HAC_LAG

Floats = NDArray[np.float64]

NOTABLE = 0.25  # deviations of the horizon's return: a drift that decides what a long strategy earns


@dataclass(frozen=True)
class EnsembleDrift:
    """The drift of one ensemble over its horizon."""

    log_return: float  # mean log return
    log_return_low: float  # lower end of its 95 % Monte Carlo interval
    log_return_high: float  # upper end
    growth: float  # mean of last price over anchor, less 1: what buying and holding gains on average
    growth_low: float  # lower end of its 95 % Monte Carlo interval
    growth_high: float  # upper end
    # mean log return over the standard deviation of the paths' log returns; None if they are equal
    deviations: float | None


@dataclass(frozen=True)
class DriftAudit:
    """The drift of a generator over rolling origins, beside what really came; in context deviations.

    One unit is the context's volatility times the square root of the horizon.
    """

    generated: float  # mean over the origins of the ensemble's mean return
    generated_low: float  # lower end of the 95 % interval over origins
    generated_high: float  # upper end
    realised: float  # mean of the returns that came
    realised_low: float  # lower end of the 95 % interval over origins
    realised_high: float  # upper end
    p: float  # that generated and realised drift are equal
    # WARN where the generated drift is beyond a quarter of a deviation and surely so (its interval leaves out zero),
    # or where it surely differs from the realised one (p < .01)
    label: Label
    reason: str  # in words


def ensemble_drift(closes: Floats, anchor: float) -> EnsembleDrift:
    """Measure the drift of closes [path, bar], at least two paths, that set out from ``anchor``."""
    growth = closes[:, -1].astype(np.float64) / anchor
    returns = np.log(growth)
    mean, wide = float(returns.mean()), _monte_carlo(returns)
    gain, gain_wide = float(growth.mean()) - 1, _monte_carlo(growth)
    deviation = float(returns.std(ddof=1))
    return EnsembleDrift(
        log_return=mean,
        log_return_low=mean - wide,
        log_return_high=mean + wide,
        growth=gain,
        growth_low=gain - gain_wide,
        growth_high=gain + gain_wide,
        deviations=mean / deviation if deviation > 0 else None,
    )


def _monte_carlo(sample: Floats) -> float:
    """Return half the width of the 95 % interval of a mean."""
    return float(stats.norm.ppf(0.975) * sample.std(ddof=1) / np.sqrt(len(sample)))


def audit_drift(generated: Floats, realised: Floats, *, enough: bool) -> DriftAudit:
    """Compare ensembles' mean returns [origin] with what came [origin], both in context deviations.

    Args:
        generated: mean log return of each origin's ensemble.
        realised: log return that followed.
        enough: whether there are origins enough to judge.
    """
    ours, real = mean_test(generated, HAC_LAG), mean_test(realised, HAC_LAG)
    difference = mean_test(generated - realised, HAC_LAG)
    label: Label = "PASS"
    reason = f"no drift beyond {NOTABLE:g} context deviations, none that surely differs from the real one"
    if not enough:
        label, reason = "INCONCLUSIVE", "too few origins"
    elif abs(ours.mean) > NOTABLE and abs(ours.mean) > ours.half_width:
        label, reason = "WARN", f"the paths drift by {ours.mean:+.2f} context deviations over the horizon"
    elif difference.p < 0.01:
        label = "WARN"
        reason = f"the paths drift by {ours.mean:+.2f}, the market by {real.mean:+.2f} (p = {difference.p:.2g})"
    return DriftAudit(
        generated=ours.mean,
        generated_low=ours.mean - ours.half_width,
        generated_high=ours.mean + ours.half_width,
        realised=real.mean,
        realised_low=real.mean - real.half_width,
        realised_high=real.mean + real.half_width,
        p=difference.p,
        label=label,
        reason=reason,
    )


def drift_finding(scenario: str, bars: int, drift: EnsembleDrift) -> Finding:
    """Say which way a scenario's paths of so many bars lean, and whether that decides a backtest.

    In words: what merely holding earns on them.
    """
    sure = drift.log_return_low > 0 or drift.log_return_high < 0
    large = drift.deviations is not None and abs(drift.deviations) > NOTABLE
    gain = f"{drift.growth:+.2%} [{drift.growth_low:+.2%}, {drift.growth_high:+.2%}]"
    share = "" if drift.deviations is None else f", {drift.deviations:+.2f} deviations of a path's return"
    return Finding(
        name=DRIFT.key,
        label="WARN" if large and sure else "PASS",
        measured=f"holding gains {gain} on average over {bars} bars{share}",
        band=f"a mean within {NOTABLE:g} deviations: beyond, the generator's drift decides what a long strategy earns",
        scenario=scenario,
    )
