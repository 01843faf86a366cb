"""Facts of long samples against Pareto tails, a max-autoregressive process and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.tsa.stattools import acf as acf_of

from scenario_gen.checks.facts.long_sample import (
    LaggedSums,
    aggregated_variance_hurst,
    extremal_index,
    hill_tail_index,
    long_facts,
    memory_decay,
)


@pytest.mark.parametrize("alpha", [2.0, 3.0, 5.0])
def test_hill_reads_a_pareto_tail(alpha: float) -> None:
    # On exact Pareto tails k / alpha-hat sums k exponentials: relative sd 1 / sqrt(k), k = 5,000: 1.4 %; 4 of them.
    x = np.random.default_rng(1).pareto(alpha, (10, 10_000)) + 1
    assert hill_tail_index(x, 0.05, "upper") == pytest.approx(alpha, rel=0.057)


def test_hill_reads_less_than_four_from_a_student_t_with_four_degrees() -> None:
    # The population value at a threshold u is 1 / E[ln(x / u) | x > u]: 3.2 at 5 %, 3.6 at 1 %, never 4.
    def at(share: float) -> float:
        u = stats.t(4).isf(share / 2)
        excess = integrate.quad(lambda x: np.log(x / u) * stats.t(4).pdf(x), u, np.inf)[0]
        return float(stats.t(4).sf(u) / excess)

    x = np.random.default_rng(2).standard_t(4, (1, 400_000))
    for share, k in ((0.05, 20_000), (0.01, 4_000)):
        assert hill_tail_index(x, share) == pytest.approx(at(share), rel=4 / np.sqrt(k))
    assert (at(0.05), at(0.01)) == pytest.approx((3.2, 3.6), abs=0.05)


def test_hill_tells_the_tails_apart() -> None:
    rng = np.random.default_rng(3)
    gains, losses = rng.pareto(6, 20_000), rng.pareto(2, 20_000)
    x = np.concatenate([gains, -losses])[None]
    assert hill_tail_index(x, 0.01, "lower") < 2.5 < hill_tail_index(x, 0.01, "upper")


def test_the_extremal_index_of_a_max_autoregression_is_known() -> None:
    # X_t = max(a X_{t-1}, (1 - a) Z_t) with unit Frechet Z has theta = 1 - a (Beirlant et al. 2004, ch. 10).
    # 20,000 bars hold 1,000 exceedances in some 500 clusters: relative sd about 1 / sqrt(500) = 4.5 %; 4 of them.
    rng, a = np.random.default_rng(4), 0.5
    z = 1 / rng.exponential(size=(1, 20_000))
    x = z.copy()
    for t in range(1, x.shape[1]):
        x[:, t] = np.maximum(a * x[:, t - 1], (1 - a) * z[:, t])
    assert extremal_index(x) == pytest.approx(1 - a, rel=0.18)
    assert extremal_index(z) > 0.85  # independent: 1


def test_the_pooled_autocorrelation_of_one_path_is_statsmodels_adjusted_one() -> None:
    x = np.random.default_rng(5).standard_normal((1, 300)).cumsum(axis=1)
    theirs = acf_of(x[0], adjusted=True, nlags=20, fft=False)[1:]
    assert LaggedSums.of(x, 20).acf() == pytest.approx(theirs)


def test_lagged_sums_of_blocks_add_up() -> None:
    x = np.random.default_rng(6).standard_normal((30, 60)).cumsum(axis=1)
    whole, parts = LaggedSums.of(x, 10), LaggedSums.of(x[:11], 10) + LaggedSums.of(x[11:], 10)
    assert parts.acf() == pytest.approx(whole.acf())
    with pytest.raises(ValueError, match="different lags"):
        _ = whole + LaggedSums.of(x, 5)


def test_paths_are_not_joined_end_to_end() -> None:
    # Two constant paths have no step between them, whatever their order: the pooled lag 1 is 1, not less.
    x = np.repeat([[0.0], [1.0]], 50, axis=1)
    assert LaggedSums.of(x, 1).acf() == pytest.approx([1.0])


def test_the_pooled_autocorrelation_has_no_short_path_bias() -> None:
    # Per path the bias is -1 / T = -.05 at 20 bars. The pooled one has sd 1 / sqrt(N T) = .0022; 4 of them.
    x = np.random.default_rng(7).standard_normal((10_000, 20))
    assert LaggedSums.of(x, 1).acf() == pytest.approx([0], abs=0.009)


def test_the_decay_of_a_power_law_is_its_exponent() -> None:
    acf = 0.4 * np.arange(1.0, 51) ** -0.3
    assert memory_decay(acf, 2000) == pytest.approx(0.3)
    assert np.isnan(memory_decay(acf - 0.2, 2000))  # a lag without memory has no logarithm
    assert np.isnan(memory_decay(acf, 1999))


def test_aggregated_variance_reads_a_half_from_independent_bars_and_more_from_memory() -> None:
    rng = np.random.default_rng(8)
    noise = rng.standard_normal((1, 50_000))
    # Variances of 500 blocks of 100 have a relative sd of 6 %, the slope over ln 20 then .02; 4 of them.
    assert aggregated_variance_hurst(noise) == pytest.approx(0.5, abs=0.08)
    slow = np.convolve(noise[0], np.arange(1, 2001) ** -0.7, mode="valid")[None]  # d = .3: H = .8
    assert aggregated_variance_hurst(slow) == pytest.approx(0.8, abs=0.1)


def test_samples_that_are_too_short_give_none() -> None:
    facts = long_facts(0.01 * np.random.default_rng(9).standard_normal((1, 500)))
    assert set(facts.tail_index.values()) == {None}
    assert set(facts.memory_decay.values()) == {None}
    assert (facts.extremal_index, facts.hurst_abs) == ({"moves": None, "losses": None}, None)


def test_paths_that_never_move_give_none() -> None:
    facts = long_facts(np.zeros((1, 5000)))
    assert set(facts.tail_index.values()) | set(facts.memory_decay.values()) == {None}
    assert (facts.extremal_index["moves"], facts.hurst_abs) == (None, None)
