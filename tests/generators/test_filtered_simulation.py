"""Filtered historical simulation against arch and pandas: the filter, the fit, and what is simulated from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from arch.univariate import EWMAVariance
from scipy import stats

from scenario_gen.errors import DataError
from scenario_gen.generators import filtered as garch
from scenario_gen.generators.base import relative_bars
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import (
    WARM_UP,
    FilteredBars,
    FilteredPaths,
    GarchPaths,
    VarianceRecursion,
    filter_bars,
    fit_garch,
)
from scenario_gen.market import BarCalendar, Candles, PathSet


@pytest.fixture(scope="module")
def history(sp500: Candles) -> Candles:
    return sp500.split_at("2011-12-30")[0]


@pytest.fixture(scope="module")
def returns(history: Candles) -> np.ndarray:
    return np.diff(np.log(history.close))[-1000:]


def _paths(generator: FilteredPaths | GarchPaths, context: Candles, paths: int, bars: int) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    return generator.sample(context, stamps, Draws.block(6, 0, paths))


def test_the_running_variance_is_pandas_ewm_and_archs(returns: np.ndarray) -> None:
    ours = VarianceRecursion(0.0, 0.06, 0.0, 0.94).filter(returns, float(returns[0] ** 2))
    pandas = pd.Series(returns**2).ewm(alpha=0.06, adjust=False).mean().to_numpy()
    np.testing.assert_allclose(ours[1:], pandas, rtol=1e-12)
    archs = np.empty_like(returns)
    bounds = np.tile([0.0, 1e9], (len(returns), 1))
    EWMAVariance(0.94).compute_variance(np.empty(0), returns, archs, float(returns[0] ** 2), bounds)
    np.testing.assert_allclose(ours[:-1], archs, rtol=1e-9)


def test_a_bar_is_divided_by_the_volatility_that_stood_before_it() -> None:
    returns = np.array([0.01] * WARM_UP + [0.03, -0.02])
    relative = np.stack((returns / 2, returns + 0.01, returns - 0.01, returns), axis=-1)
    filtered = filter_bars(relative, VarianceRecursion(0.0, 0.06, 0.0, 0.94))
    before = 0.01**2, 0.94 * 0.01**2 + 0.06 * 0.03**2  # the mean square of the first ten, and what .03 makes of it
    np.testing.assert_allclose(filtered.units, relative[WARM_UP:] / np.sqrt(before)[:, None])
    assert filtered.variance == pytest.approx(0.94 * before[1] + 0.06 * 0.02**2)


def test_a_path_goes_on_with_the_variance_that_its_own_bars_made() -> None:
    fall = FilteredBars(np.array([[-0.5, 0.0, -3.0, -2.0]]), VarianceRecursion(0.1, 0.05, 0.1, 0.8), variance=1.0)
    bars, drawn = fall.simulate(np.full((1, 3), 0.7))
    # every bar falls by two deviations: h' = .1 + (.05 + .1) 4 h + .8 h, which is .1 + 1.4 h
    variances = [1.0, 1.5, 2.2]
    np.testing.assert_allclose(bars[0], np.sqrt(variances)[:, None] * fall.units)
    assert drawn.tolist() == [[0, 0, 0]]
    rise = replace(fall, units=-fall.units)
    np.testing.assert_allclose(rise.simulate(np.full((1, 2), 0.7))[0][0, :, 3], [2.0, 2.0 * np.sqrt(0.1 + 0.2 + 0.8)])


@pytest.mark.parametrize("asymmetric", [False, True])
def test_the_fit_is_archs_own(history: Candles, returns: np.ndarray, asymmetric: bool) -> None:
    fit = fit_garch(history, asymmetric=asymmetric, most=1000)
    unit = np.sqrt(np.mean(returns**2))
    theirs = arch_model(returns / unit, mean="Zero", o=int(asymmetric), dist="t", rescale=False).fit(disp="off")
    assert fit.log_likelihood == pytest.approx(theirs.loglikelihood, abs=1e-6)
    assert fit.filtered.recursion.omega == pytest.approx(theirs.params["omega"] * unit**2)
    assert fit.filtered.recursion.beta == pytest.approx(theirs.params["beta[1]"])
    assert (fit.filtered.recursion.gamma > 0) == asymmetric
    np.testing.assert_allclose(fit.filtered.units[:, 3], theirs.std_resid, rtol=1e-9)
    forecast = theirs.forecast(horizon=1).variance.iloc[-1, 0]
    assert fit.filtered.variance == pytest.approx(forecast * unit**2)


@pytest.mark.parametrize("asymmetric", [False, True])
def test_paths_have_the_law_of_archs_own_bootstrap(history: Candles, returns: np.ndarray, asymmetric: bool) -> None:
    generator = GarchPaths(asymmetric=asymmetric).fitted_to(history)
    paths = _paths(generator, history.context(64), 2000, 10)
    ours = np.log(paths.close[:, -1].astype(float) / paths.anchor_close)
    unit = np.sqrt(np.mean(returns**2))
    fitted = arch_model(returns / unit, mean="Zero", o=int(asymmetric), dist="t", rescale=False).fit(disp="off")
    made = fitted.forecast(
        horizon=10, method="bootstrap", simulations=2000, random_state=np.random.RandomState(7)
    ).simulations
    assert made is not None
    theirs = unit * made.values[-1].sum(axis=1)
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3  # the same law: a false alarm in a thousand seeds
    wrong = 1.3 * theirs  # and the test can tell: volatility a third off
    assert stats.ks_2samp(ours, wrong).pvalue < 1e-3


def test_a_generated_bar_is_a_real_one_times_a_positive_number(history: Candles) -> None:
    context = history.context(128)
    paths = _paths(FilteredPaths(), context, 20, 15)
    real, volume = relative_bars(context)
    closes = np.concatenate((np.full((20, 1), paths.anchor_close), paths.close.astype(float)), axis=1)
    made = np.log(paths.values[:, :, :4].astype(float)) - np.log(closes[:, :-1, None])
    place = {v: i for i, v in enumerate(volume.astype(np.float32))}
    for bar, number in zip(made.reshape(-1, 4), paths.values[:, :, 4].ravel(), strict=True):
        source = real[place[number]]  # its volume says which one it was
        assert place[number] >= WARM_UP
        factor = (bar[1] - bar[2]) / (source[1] - source[2])
        np.testing.assert_allclose(bar, factor * source, atol=1e-6)  # float32 prices: 6e-8, of two of them
        assert factor > 0


def test_a_calm_end_gives_calm_paths_and_a_wild_end_wild_ones(sp500: Candles) -> None:
    spread = {}
    for end in ("2008-11-28", "2017-06-30"):
        context = sp500.split_at(end)[0].context(256)
        closes = _paths(FilteredPaths(), context, 500, 5).close.astype(float)
        spread[end] = np.log(closes[:, -1] / context.close[-1]).std()
    assert spread["2008-11-28"] > 5 * spread["2017-06-30"]


def test_a_stretch_without_trade_does_not_make_the_next_bar_a_giant(history: Candles) -> None:
    relative, _ = relative_bars(history.context(256))
    relative[100:200] = 0.0
    units = filter_bars(relative, VarianceRecursion(0.0, 0.06, 0.0, 0.94)).units
    # ten per cent of the overall deviation is the least that a bar is divided by
    assert np.abs(units[:, 3]).max() <= np.abs(relative[:, 3]).max() / (0.1 * np.sqrt(np.mean(relative[:, 3] ** 2)))


def test_volume_of_other_times_is_set_against_the_volume_of_its_time(history: Candles) -> None:
    grown = history.values.copy()
    grown[:, 4] = 1000.0 * np.exp(np.arange(len(grown)) / 500)  # e-fold in two years, and otherwise always usual
    fit = fit_garch(replace(history, values=grown), asymmetric=False, most=1000)
    np.testing.assert_allclose(fit.volume[200:], grown[-1, 4], rtol=0.08)  # the mean lags by some 33 of 500 bars
    grown[:, 4] = 0.0
    assert (fit_garch(replace(history, values=grown), asymmetric=False, most=1000).volume == 0).all()


def test_a_fit_for_another_context_is_a_defect(history: Candles) -> None:
    generator = GarchPaths().fitted_to(history)
    with pytest.raises(ValueError, match="context ends"):
        _paths(generator, history.rows(0, 900), 2, 3)


def test_bars_that_were_fitted_are_part_of_the_identity(history: Candles) -> None:
    a, b = (GarchPaths().fitted_to(history.rows(start, len(history))) for start in (0, len(history) - 600))
    assert a.identity != b.identity
    assert a.identity == GarchPaths().fitted_to(history).identity
    assert a.fit is not None
    assert a.fit.record["fitted_bars"] == 1000


def test_a_fit_that_does_not_converge_is_refused_after_every_start(
    history: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    class Stubborn:
        convergence_flag = 9
        params = pd.Series({"omega": 0.1, "alpha[1]": 0.1, "beta[1]": 0.8, "nu": 5.0})
        conditional_volatility = np.ones(1000)

    class Model:
        def fit(self, *, starting_values: np.ndarray | None, **_: object) -> Stubborn:
            tried.append(starting_values)
            return Stubborn()

    monkeypatch.setattr("arch.arch_model", lambda *_, **__: Model())
    with pytest.raises(DataError, match="does not converge") as caught:
        fit_garch(history, asymmetric=False, most=1000)
    assert len(tried) == len(garch.STARTS)
    assert "bootstrap" in caught.value.fix
