"""Facts of long samples against Pareto tails, a max-autoregressive process and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.tsa.stattools import acf as acf_of

from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.gauge import Gauge, deseasonalise, windows
from scenario_gen.realism.long_sample import (
    LONG_FACTS,
    LaggedSums,
    aggregated_variance_hurst,
    extremal_index,
    hill_tail_index,
    hill_tail_indices,
    long_facts,
    long_facts_of,
    memory_decay,
    pooled_acf,
)
from tests.realism.facts.made import with_pattern


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


def test_several_shares_of_one_tail_are_read_as_each_alone_is() -> None:
    x = np.random.default_rng(10).standard_t(4, (20, 300))
    for tail in ("both", "upper", "lower"):
        alone = [hill_tail_index(x, share, tail) for share in (0.01, 0.025, 0.05)]
        assert hill_tail_indices(x, (0.01, 0.025, 0.05), tail) == alone


def test_the_pooled_autocorrelation_is_the_same_in_blocks() -> None:
    x = np.abs(np.random.default_rng(11).standard_normal((3000, 60)).cumsum(axis=1))  # five blocks and a half
    assert pooled_acf(x, 20) == pytest.approx(LaggedSums.of(x, 20).acf(), rel=1e-9)


def reasons(returns: np.ndarray) -> dict[str, str]:
    found = long_facts(returns)
    assert list(found) == [fact.id for fact in LONG_FACTS]
    paths, bars = returns.shape
    return {fact.id: fact.lacking(found[fact.id], paths=paths, bars=bars) for fact in LONG_FACTS}


def test_samples_that_are_too_short_say_what_they_would_need() -> None:
    few = reasons(0.01 * np.random.default_rng(9).standard_normal((1, 500)))
    assert few["hill_losses_2_5"] == "needs 1,000 bars in all, these have 500"
    assert few["beta_100"] == "needs 2,000 bars in all, these have 500"
    assert few["theta_moves"] == few["hurst_abs"] == "needs 1,000 bars in a row, these have 500"
    many = reasons(0.01 * np.random.default_rng(9).standard_normal((500, 60)))
    assert many["hill_losses_2_5"] == ""
    assert many["beta_50"] == "needs 100 bars in a row, these have 60"
    assert many["beta_20"] == "the autocorrelation is not positive at every lag"  # it is 0, give or take


def test_paths_that_never_move_have_no_tail_and_no_memory() -> None:
    still = reasons(np.zeros((1, 5000)))
    assert still["hill_moves_1"] == "too few bars move"
    assert still["beta_20"] == "the autocorrelation is not positive at every lag"
    assert still["theta_losses"] == "too few bars stand out"
    assert still["hurst_abs"] == "no bar moves"


def test_windows_of_sixty_bars_show_the_decay_of_the_whole_history(sp500: Candles) -> None:
    # S&P 500 .07, NASDAQ .05 at lags 1 to 20 as one stretch; joined end to end in another order they would not.
    for candles, whole in ((sp500, 0.07), (load_candles("nasdaq"), 0.05)):
        cut = windows(candles, 60, 15).bars
        decay = long_facts(cut.r)["beta_20"]
        assert decay == pytest.approx(whole, abs=0.01)
        mixed = cut.r[np.random.default_rng(12).permutation(len(cut))]
        assert long_facts(mixed)["beta_20"] == pytest.approx(decay, rel=1e-9)


def test_memory_is_measured_without_the_time_of_day_and_tails_with_it() -> None:
    candles = with_pattern(days=200)
    gauge = Gauge.of(candles)
    assert gauge.season is not None
    cut = windows(candles, 1300, 5, tick=gauge.tick, clock=gauge.clock).bars  # three blocks
    found, raw = long_facts_of(cut, gauge), long_facts(cut.r)
    flat = long_facts(deseasonalise(cut, gauge.season).r)
    for fact in LONG_FACTS:
        assert found[fact.id] == pytest.approx((raw if fact.number == "2b" else flat)[fact.id], nan_ok=True)
    assert found["hurst_abs"] != pytest.approx(raw["hurst_abs"], abs=1e-3)
