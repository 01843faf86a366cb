"""The same statistics for one path, written a second time: with scipy, statsmodels and arch where they have them,
with plain loops where they have not. Slow, and shares no code with what it checks.
"""

from __future__ import annotations

import math
from itertools import groupby

import numpy as np
from arch.unitroot import VarianceRatio
from scipy import signal, stats
from statsmodels.api import OLS, add_constant
from statsmodels.tsa.stattools import acf as acf_of

from scenario_gen.realism.bars import BarArrays

Series = np.ndarray


def naive_statistics(bars: BarArrays, row: int) -> dict[str, float]:
    """Every daily statistic of one valid path without missing values."""
    o, h, l, c, volume = (  # noqa: E741
        x[row] for x in (bars.open, bars.high, bars.low, bars.close, bars.volume)
    )
    before = np.array([bars.anchor_close[row], *c[:-1]])
    r, g, b = np.log(c / before), np.log(o / before), np.log(c / o)
    span = np.log(h / l)
    lr = np.log(span + bars.tick / 2 / c)
    rs = np.log(h / c) * np.log(h / o) + np.log(l / c) * np.log(l / o)
    v = signal.detrend(np.log(volume))
    dv = np.diff(np.log(volume))
    n, s = len(r), r.std(ddof=1)
    z = filtered(r)
    path = np.log([bars.anchor_close[row], *c])
    mdd, mdu = fall(path), fall(-path)
    pk, gk = span**2 / (4 * math.log(2)), 0.5 * span**2 - (2 * math.log(2) - 1) * b**2
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    yz = g.var(ddof=1) + k * b.var(ddof=1) + (1 - k) * rs.mean()
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    moving = h > l
    beyond = np.abs(r) / s
    beyond = beyond[beyond > 2]
    slope, left = leverage(lr, r, s)
    return {
        "Lkurt": t4(r),
        "exkurt": float(stats.kurtosis(r)),
        "hill_std2.num": float(np.log(beyond / 2).sum()),
        "hill_std2.den": len(beyond),
        "agg5_dLkurt": t4(np.array([r[i : i + 5].sum() for i in range(n - 4)])) - t4(r),
        "filt_Lkurt": t4(z),
        "filt_acf_abs": mean_acf(np.abs(z), 1, 5),
        "acf_rng_1_5": mean_acf(lr, 1, 5),
        "acf_rng_6_20": mean_acf(lr, 6, 20),
        "acf_abs_1_5": mean_acf(np.abs(r), 1, 5),
        "acf_sq_1_5": mean_acf(r**2, 1, 5),
        "ext_cluster": clustering(np.abs(r)),
        "H_lnrange": hurst(lr),
        "acf_r_1": mean_acf(r, 1, 1),
        "logVR5": math.log(VarianceRatio(path, lags=5, overlap=True, debiased=True).vr),
        "run_len": float(np.mean([len(list(run)) for _, run in groupby(np.sign(r[r != 0]))])),
        "lev_rng_1_5": mean_ccf(r, lr, 5),
        "lev_abs_1_10": mean_ccf(r, np.abs(r), 10),
        "lev_har.num": slope * left,
        "lev_har.den": left,
        "Lskew": float(stats.lmoment(r, order=3, standardize=True)),
        "dd_over_du": math.log(mdd / mdu),
        "zumbach": mean_ccf(np.abs(r), np.sqrt(rs), 10) - mean_ccf(np.sqrt(rs), np.abs(r), 10),
        "mdd_norm": mdd / s / math.sqrt(n),
        "logPK_oc": math.log(pk.sum() / (b**2).sum()),
        "logRS_PK": math.log(rs.sum() / pk.sum()),
        "logGK_oc": math.log(gk.sum() / (b**2).sum()),
        "logYZ_cc": math.log(yz / s**2),
        "body_frac": float(np.mean(np.abs(b[moving]) / span[moving])),
        "clv_sd": float(((c - l)[moving] / (h - l)[moving]).std(ddof=1)),
        "wick_asym": float(np.mean((np.log(h / top) - np.log(bottom / l))[moving] / span[moving])),
        "absr_rng_corr": corr(np.abs(r), lr),
        "no_upper_wick": float(np.mean(h - top <= bars.tick / 2)),
        "no_lower_wick": float(np.mean(bottom - l <= bars.tick / 2)),
        "gap_share": float((g**2).sum() / ((g**2).sum() + (b**2).sum())),
        "gap_Lkurt": t4(g),
        "gap_body_corr": corr(g, b),
        "vol_acf_1_5": mean_acf(v, 1, 5),
        "dv_acf1": mean_acf(dv, 1, 1),
        "dv_logsd": math.log(dv.std(ddof=1)),
        "v_Lskew": float(stats.lmoment(v, order=3, standardize=True)),
        "vol_rng_corr": corr(v, lr),
        "vol_absr_corr": corr(v, np.abs(r)),
        "vol_r_corr": corr(dv, r[1:]),
        "zero_ret_share": float(np.mean(np.abs(c - before) <= bars.tick / 2)),
        "log_sd": math.log(s),
        "mean_t": float(stats.ttest_1samp(r, 0).statistic),
    }


def t4(x: Series) -> float:
    return float(stats.lmoment(x, order=4, standardize=True))


def corr(x: Series, y: Series) -> float:
    return float(stats.pearsonr(x, y).statistic)


def mean_acf(x: Series, first: int, last: int) -> float:
    return float(acf_of(x, nlags=last, fft=False)[first : last + 1].mean())


def mean_ccf(x: Series, y: Series, last: int) -> float:
    dx, dy = x - x.mean(), y - y.mean()
    scale = len(x) * x.std() * y.std()
    return float(np.mean([sum(dx[t] * dy[t + k] for t in range(len(x) - k)) / scale for k in range(1, last + 1)]))


def leverage(lr: Series, r: Series, s: float) -> tuple[float, float]:
    """Return the return's coefficient of a HAR by ordinary least squares, and what the others leave of its squares."""
    rows = range(19, len(r) - 1)
    means = add_constant([[lr[t - 4 : t + 1].mean(), lr[t - 19 : t + 1].mean()] for t in rows])
    fell = np.array([r[t - 4 : t + 1].sum() / s / math.sqrt(5) for t in rows])
    fitted = OLS([lr[t + 1] for t in rows], np.column_stack((means, fell))).fit()
    return float(fitted.params[-1]), float(OLS(fell, means).fit().ssr)


def filtered(r: Series) -> Series:
    variance, z = float(np.mean(r[:10] ** 2)), []
    for x in r:
        z.append(x / math.sqrt(variance))
        variance = 0.94 * variance + 0.06 * x * x
    return np.array(z[10:])


def fall(path: Series) -> float:
    return float(max(path[i] - path[j] for i in range(len(path)) for j in range(i, len(path))))


def clustering(x: Series) -> float:
    large = x > np.quantile(x, 0.9)
    together = [np.mean([large[t] and large[t + k] for t in range(len(x) - k)]) for k in range(1, 6)]
    return float(np.mean(together) / large.mean() ** 2)


def hurst(x: Series) -> float:
    lags = (1, 2, 4, 8)
    moves = [math.log(np.mean([(x[t + k] - x[t]) ** 2 for t in range(len(x) - k)])) for k in lags]
    return float(stats.linregress(np.log(lags), moves).slope / 2)
