"""Acerbi and Szekely's Z2 and the Basel traffic light, against the papers' tables and under planted faults."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from scenario_gen.forecasts.exceedances import (
    NEXT_BAR,
    Exceedances,
    TailLosses,
    acerbi_szekely,
    count_exceedances,
    judged_together,
    tail_losses,
    traffic_light,
)

# Basel Committee 1996, "Supervisory framework for the use of backtesting", table 2: cumulative probability in percent
BASEL = {0: 8.11, 1: 28.58, 2: 54.32, 3: 75.81, 4: 89.22, 5: 95.88, 6: 98.63, 7: 99.60, 8: 99.89, 9: 99.97, 10: 99.99}


def test_the_traffic_light_is_that_of_the_basel_table() -> None:
    zones = [traffic_light(exceptions) for exceptions in range(13)]
    assert zones == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 3
    for exceptions, percent in BASEL.items():
        assert 100 * stats.binom.cdf(exceptions, 250, 0.01) == pytest.approx(percent, abs=0.0051)


def losses_of(ensembles: np.ndarray, came: np.ndarray, level: float) -> list[TailLosses]:
    """Return the losses in the lower tail of each forecast [forecast, path]."""
    found = [tail_losses(ensemble, outcome, "lower", level) for ensemble, outcome in zip(ensembles, came, strict=True)]
    return [losses for losses in found if losses is not None]


def test_many_paths_give_the_formula_of_the_paper() -> None:
    # Z2 = 1 + sum of X 1{X < -VaR} / (T alpha ES), X gains; one outcome among 10,000 paths moves VaR and ES by little.
    rng = np.random.default_rng(1)
    paths, came = rng.standard_normal(9_999), rng.standard_normal(300)
    found, _ = acerbi_szekely(losses_of(np.broadcast_to(paths, (300, len(paths))), came, 0.025), rng)
    value_at_risk = -np.quantile(paths, 0.025)
    shortfall = -paths[paths < -value_at_risk].mean()
    by_hand = 1 + (came * (came < -value_at_risk)).sum() / (300 * 0.025 * shortfall)
    assert found == pytest.approx(by_hand, abs=0.01)


def critical_value(law: stats.rv_continuous, shortfall: float, records: int, rng: np.random.Generator) -> float:
    """Return the 5 % quantile of Z2 over 250 days at 2.5 % where the law is known: no path is drawn.

    The number beyond the value at risk is binomial, and a loss beyond it is a quantile of the tail; the expected
    shortfall comes in closed form. Nothing of the package is called.
    """
    beyond = rng.binomial(250, 0.025, records)
    losses = -law.ppf(0.025 * rng.random((records, beyond.max())))
    total = np.where(np.arange(losses.shape[1]) < beyond[:, None], losses, 0.0).sum(axis=1)
    return float(np.quantile(1 - total / (250 * 0.025 * shortfall), 0.05))


def normal_shortfall(level: float) -> float:
    return float(stats.norm.pdf(stats.norm.ppf(level)) / level)


def student_shortfall(level: float, freedom: float) -> float:
    """McNeil, Frey and Embrechts 2005, "Quantitative risk management", section 2.2.4."""
    edge = stats.t.ppf(level, freedom)
    return float((freedom + edge**2) / (freedom - 1) * stats.t.pdf(edge, freedom) / level)


# Critical values of a million records of this simulation (seed 1); to two digits those of Acerbi and Szekely 2014
CRITICAL = (
    (stats.norm(), normal_shortfall(0.025), -0.700),
    (stats.t(10), student_shortfall(0.025, 10), -0.713),
    (stats.t(5), student_shortfall(0.025, 5), -0.737),
    (stats.t(3), student_shortfall(0.025, 3), -0.816),
)


@pytest.mark.parametrize(("law", "shortfall", "critical"), CRITICAL, ids=["normal", "t(10)", "t(5)", "t(3)"])
def test_the_critical_value_at_five_percent_is_that_of_the_law_itself(
    law: stats.rv_continuous, shortfall: float, critical: float
) -> None:
    rng = np.random.default_rng(2)
    # The error of a 5 % quantile of 20,000 records, whose density there is some .25, is .006; four of them.
    assert critical_value(law, shortfall, 20_000, rng) == pytest.approx(critical, abs=0.025)
    # What is simulated from a forecast's paths has its 5 % there too: that of one draw of 500 tail values errs by .02.
    paths = law.rvs(19_999, random_state=rng)
    losses = losses_of(np.broadcast_to(paths, (250, len(paths))), np.zeros(250), 0.025)
    pool = np.append(losses[0].possible, np.zeros(losses[0].size - len(losses[0].possible)))
    simulated = 1 - pool[rng.integers(len(pool), size=(20_000, 250))].mean(axis=1)
    assert np.quantile(simulated, 0.05) == pytest.approx(critical, abs=0.04)
    # and the p value of exactly that statistic is 5 %: a loss that all outcomes share stands in for it
    shared = [TailLosses(1 - float(np.quantile(simulated, 0.05)), each.possible, each.size) for each in losses]
    assert acerbi_szekely(shared, rng)[1] == pytest.approx(0.05, abs=4 * 0.0049)


@pytest.mark.parametrize(("paths", "level"), [(99, 0.05), (99, 0.01), (199, 0.01), (150, 0.01), (60, 0.01)])
def test_the_losses_of_a_forecast_have_mean_one_whatever_the_number_of_paths(paths: int, level: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        found = tail_losses(rng.standard_t(4, paths), float(rng.standard_t(4)), "lower", level)
        assert found is not None
        assert found.possible.sum() / found.size == pytest.approx(1.0)
        assert found.came in (0.0, *found.possible)


def test_the_upper_tail_is_the_lower_one_of_the_other_sign_and_a_gain_is_no_shortfall() -> None:
    rng = np.random.default_rng(4)
    ensemble = rng.standard_normal(199)
    up, down = tail_losses(ensemble, 3.0, "upper", 0.05), tail_losses(-ensemble, -3.0, "lower", 0.05)
    assert up is not None
    assert down is not None
    assert up.came == down.came > 1
    assert np.array_equal(up.possible, down.possible)
    assert tail_losses(ensemble + 100, 100.0, "lower", 0.05) is None


def judged(rng: np.random.Generator, scale: float, forecasts: int = 500, level: float = 0.05) -> Exceedances:
    """Judge normal outcomes against ensembles of 199 paths whose deviation is ``scale``."""
    ensembles, came = scale * rng.standard_normal((forecasts, 199)), rng.standard_normal(forecasts)
    pits = ((ensembles < came[:, None]).sum(axis=1) + rng.random(forecasts)) / 200
    losses = losses_of(ensembles, came, level)
    found = count_exceedances(NEXT_BAR, "lower", level, pits, np.zeros(forecasts), rng, losses)
    return judged_together([found])[0]


def test_the_p_value_of_right_forecasts_is_even() -> None:
    rng = np.random.default_rng(5)
    p = np.array([judged(rng, 1.0, forecasts=200).p_shortfall for _ in range(80)])
    for share in (0.05, 0.25, 0.5):  # within three errors of a share of 80
        assert abs((p <= share).mean() - share) < 3 * np.sqrt(share * (1 - share) / 80)


def test_right_forecasts_pass_and_understated_tails_fail() -> None:
    rng = np.random.default_rng(6)
    right = [judged(rng, 1.0, forecasts=250).label for _ in range(40)]
    assert right.count("PASS") >= 32  # 5 % are flagged; 9 of 40 or more have a probability of one in 5,000
    small = [judged(rng, 0.75) for _ in range(5)]
    assert {found.label for found in small} == {"FAIL"}
    assert all(found.z2 is not None and found.z2 < -0.5 for found in small)
    assert all(found.p_shortfall is not None and found.p_shortfall < 0.01 for found in small)


def test_a_shortfall_that_is_understated_at_the_right_number_of_exceedances_is_seen() -> None:
    # 25 of 500 lie beyond, spread evenly, and each loses three times what the tail of the paths does.
    rng = np.random.default_rng(7)
    pits = np.full(500, 0.5)
    pits[10::20] = 0.001
    ensembles = rng.standard_normal((500, 199))
    came = np.where(pits < 0.05, -6.0, 0.0)
    found = count_exceedances(NEXT_BAR, "lower", 0.05, pits, np.zeros(500), rng, losses_of(ensembles, came, 0.05))
    assert found.p_count == pytest.approx(1.0, abs=0.05)
    assert found.p_excess is None  # not given here: the sum alone sees it
    assert found.label == "FAIL"
    assert found.reason.startswith("what they add up to")


def test_the_light_is_of_the_last_250_next_bars_at_one_percent_alone() -> None:
    rng = np.random.default_rng(8)
    pits = np.full(1000, 0.5)
    pits[:100] = pits[-6:] = 0.001
    found = count_exceedances(NEXT_BAR, "lower", 0.01, pits, np.zeros(1000), rng)
    assert (found.exceptions, found.light) == (6, "yellow")
    others = [
        count_exceedances(NEXT_BAR, "lower", 0.05, pits, np.zeros(1000), rng),
        count_exceedances("return_h", "lower", 0.01, pits, np.zeros(1000), rng),
        count_exceedances(NEXT_BAR, "lower", 0.01, pits[:249], np.zeros(249), rng),
    ]
    assert all((other.exceptions, other.light) == (None, None) for other in others)


def test_the_larger_the_loss_the_smaller_z2_and_its_p_value() -> None:
    rng = np.random.default_rng(9)
    ensembles = rng.standard_normal((300, 199))
    z2, p = zip(
        *(
            acerbi_szekely(losses_of(ensembles, np.where(np.arange(300) % 15 == 0, -loss, 0.0), 0.05), rng)
            for loss in (2, 3, 4)
        ),
        strict=True,
    )
    assert all(after < before for before, after in pairwise(z2))
    assert all(after <= before for before, after in pairwise(p))
