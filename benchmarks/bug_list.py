"""The defects that benchmarks/planted_bugs.py plants: one line each, that a tired person could have written.

To add one: its name in words, the text that must stand in the file exactly once, what it becomes, and the narrowest
test files that ought to catch it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One line made wrong."""

    name: str  # what is wrong, in words
    file: str  # under scenario_gen/
    stands: str  # the text that is right, exactly once in the file
    becomes: str  # what is planted in its place
    tests: tuple[str, ...]  # files that ought to catch it

    @property
    def path(self) -> str:
        """Of the file, from the root of the repository."""
        return f"scenario_gen/{self.file}"

    @property
    def room(self) -> str:
        """The first folder of the file."""
        return self.file.split("/")[0]


def bugs_of(file: str, tests: str, *bugs: tuple[str, str, str]) -> tuple[Bug, ...]:
    """Return the defects (name, what stands, what it becomes) of one file with its test files, parted by blanks."""
    paths = tuple(f"tests/{test}" for test in tests.split())
    return tuple(Bug(name, file, stands, becomes, paths) for name, stands, becomes in bugs)


BUGS: tuple[Bug, ...] = (
    *bugs_of(
        "backtest/book_losses.py",
        "backtest/book/test_book_risk.py",
        (
            "a book's deepest fall starts at the first visit to its peak",
            "peak = equity.shape[1] - 1 - high[:, ::-1].argmax(axis=1)",
            "peak = high.argmax(axis=1)",
        ),
        (
            "the worst bar of a book is measured against the starting cash",
            "before = equity[:, :-1, None]",
            "before = equity[:, :1, None]",
        ),
        ("half of the assets are most of them", "(fallen > trading / 2)", "(fallen >= trading / 2)"),
        ("a market that is closed falls", "((returns <= edges) & open_bars)", "(returns <= edges)"),
    ),
    *bugs_of(
        "backtest/book_risk.py",
        "backtest/book/test_book_risk.py",
        (
            "a contribution to the shortfall is not centred at the VaR",
            "inside[:, None] * (lost.parts - at)",
            "inside[:, None] * lost.parts",
        ),
        (
            "contributions to VaR know the VaR without error",
            "counts[:, None] * left + of_var * beyond[:, None] * slopes",
            "counts[:, None] * left",
        ),
        (
            "a contribution to VaR is the mean around it, not the line's value",
            "lines = kernel if flat else",
            "lines = kernel if True else",
        ),
        (
            "the path at the edge of the tail counts whole",
            "np.clip(np.where(rest > ROUNDING, rest, 0.0), 0.0, shares[order])",
            "np.where(rest > ROUNDING, shares[order], 0.0)",
        ),
        ("parts that earn in the tail concentrate it", "losing = np.maximum(es, 0.0)", "losing = np.abs(es)"),
    ),
    *bugs_of(
        "market/export.py",
        "market/test_joint_scenarios.py",
        (
            "every bar of a weighted path counts as much as the path",
            "np.repeat(shares / bars, bars)",
            "np.repeat(shares, bars)",
        ),
        (
            "scenarios alike are drawn from the start of each step",
            "(np.arange(rows) + 0.5) / rows",
            "np.arange(rows) / rows",
        ),
    ),
    *bugs_of(
        "market/book.py",
        "market/test_joint_scenarios.py",
        (
            "bars of a long frame are numbered by each asset for itself",
            "bars = self.timestamps.get_indexer(part.timestamps).astype(np.int32)",
            "bars = np.arange(part.horizon, dtype=np.int32)",
        ),
    ),
    *bugs_of(
        "kronos/sampling.py",
        "kronos/test_sampling_rules.py",
        (
            "the temperature multiplies the logits",
            "logits = logits / rule.temperature",
            "logits = logits * rule.temperature",
        ),
        (
            "cell volumes enter with the wrong sign",
            "(1 - 1 / rule.temperature) * log_volume",
            "(1 / rule.temperature - 1) * log_volume",
        ),
        (
            "temperature 0 takes the widest cell, not the densest",
            "logits if log_volume is None else logits - log_volume",
            "logits if log_volume is None else logits + log_volume",
        ),
        ("top_p drops the token that crosses it", "drop = before.roll(1, dims=-1) > top_p", "drop = before > top_p"),
        (
            "top_k keeps one token too many",
            "min(rule.top_k, logits.shape[-1])",
            "min(rule.top_k + 1, logits.shape[-1])",
        ),
        (
            "a uniform of 0 draws a token of probability 0",
            "torch.searchsorted(cumulative, target, right=True)",
            "torch.searchsorted(cumulative, target, right=False)",
        ),
        (
            "the inverse CDF is read from the wrong end",
            "uniforms.to(total.dtype)[:, None] * total",
            "(1 - uniforms.to(total.dtype)[:, None]) * total",
        ),
        ("the second token reuses the first one's uniform", "level = 0 if first is None else 1", "level = 0"),
    ),
    *bugs_of(
        "kronos/sampling.py",
        "kronos/test_token_order.py",
        (
            "a nested order draws by volume among all tokens, not within the bin of return",
            "draw(_taken(ordered * inside, within), uniforms[:, 1])",
            "draw(_taken(ordered, within), uniforms[:, 1])",
        ),
        (
            "bins of return are cut by the number of tokens, not by their mass",
            "middle = (cumulative - ordered / 2) / cumulative[:, -1:]",
            "middle = torch.arange(ordered.shape[1]).expand_as(ordered) / ordered.shape[1] + 0 * cumulative",
        ),
    ),
    *bugs_of(
        "joint/walks.py",
        "joint/test_book_walks.py",
        (
            "a branch does not go on in its parent's block of dates",
            "self.memory[targets] = self.memory[sources]",
            "self.memory[targets] = -1",
        ),
    ),
    *bugs_of(
        "kronos/decode.py",
        "kronos/test_fast_equals_naive.py",
        (
            "the second token is tempered by the first one's cells",
            "rule.drawn(weights(logits, rule), uniforms, s1)",
            "rule.drawn(weights(logits, rule, self.checkpoint.cell_log_volume), uniforms, s1)",
        ),
        ("a bar is stamped with the next bar's time", "+ time[:, bar - 1, None]", "+ time[:, bar, None]"),
        (
            "positions of generated bars are off by one",
            "position = prefix.bars + bar - 1",
            "position = prefix.bars + bar",
        ),
    ),
    *bugs_of(
        "kronos/tokenizer.py",
        "kronos/test_golden_numbers.py kronos/test_architecture_facts.py",
        (
            "bits are read big-endian",
            "weights = 2 ** torch.arange(bits.shape[-1], device=bits.device)",
            "weights = 2 ** torch.arange(bits.shape[-1], device=bits.device).flip(0)",
        ),
        ("bits are signs without the sphere's radius", "(bits.float() * 2 - 1) * self.scale", "(bits.float() * 2 - 1)"),
    ),
    *bugs_of(
        "kronos/representation.py",
        "kronos/test_representations.py kronos/test_marks.py kronos/test_golden_numbers.py",
        (
            "levels are scored by the sample's deviation, not the population's",
            "center, spread = x.mean(axis=1), x.std(axis=1)",
            "center, spread = x.mean(axis=1), x.std(axis=1, ddof=1)",
        ),
        (
            "the context's volatility is around its mean instead of zero",
            "np.sqrt(np.mean(np.diff(log_close, axis=1) ** 2, axis=1))",
            "np.diff(log_close, axis=1).std(axis=1)",
        ),
        (
            "upper and lower wick are swapped when decoding",
            "** 2 * unit for i in (2, 3))",
            "** 2 * unit for i in (3, 2))",
        ),
        ("gaps do not move the close", "np.cumsum(gap + body, axis=1)", "np.cumsum(body, axis=1)"),
        ("weekdays are off by one", "weekday = (days + 3) % 7", "weekday = (days + 4) % 7"),
        ("only levels beyond the clip count as pinned to the edge", "> PINNED_SHARE * self.clip", "> self.clip"),
        (
            "the amount leaves the open out of the mean price",
            "values[..., :4].mean(axis=-1, keepdims=True)",
            "values[..., 1:4].mean(axis=-1, keepdims=True)",
        ),
        (
            "the gap is measured from the open before",
            "np.concatenate((o[:, :1], c[:, :-1]), axis=1)",
            "np.concatenate((o[:, :1], o[:, :-1]), axis=1)",
        ),
    ),
    *bugs_of(
        "stats/estimate.py",
        "stats/test_estimate.py",
        (
            "the order statistics of a quantile are not sorted",
            "_quantile_of_ordered(np.sort(values), level)",
            "_quantile_of_ordered(values, level)",
        ),
        (
            "the error of a mean takes the population's deviation",
            "float(values.std(ddof=1)) / math.sqrt(n)",
            "float(values.std()) / math.sqrt(n)",
        ),
        ("CVaR is the mean of the best paths", "losses = np.sort(-defined)[::-1]", "losses = np.sort(-defined)"),
        (
            "VaR is a quantile of gains",
            "return quantile(-np.asarray(total_returns), level, weights)",
            "return quantile(np.asarray(total_returns), level, weights)",
        ),
        ("Wilson's interval is too wide", "slack / (4 * n))", "slack / (2 * n))"),
        ("the bootstrap of CVaR ignores its seed", "np.random.default_rng(seed))", "np.random.default_rng())"),
        ("no hit has the upper end 1 / N instead of 3 / N", "min(3.0 / n, 1.0)", "min(1.0 / n, 1.0)"),
        (
            "percentiles count values equal to the one asked for",
            "share(defined < value, weights)",
            "share(defined <= value, weights)",
        ),
        (
            "a quantile's upper end is one order statistic too low",
            "min(int(binom.ppf(1 - tail, n, level)) + 1, n)",
            "min(int(binom.ppf(1 - tail, n, level)), n)",
        ),
    ),
    *bugs_of(
        "stats/means.py",
        "stats/test_scores.py",
        ("Newey and West count neighbours on one side only", "sum(2 * (1 - k / (lag + 1))", "sum((1 - k / (lag + 1))"),
        ("Bartlett's weights reach zero one lag too early", "(1 - k / (lag + 1))", "(1 - k / lag)"),
    ),
    *bugs_of(
        "stats/means.py",
        "stats/test_multiple.py",
        ("Holm multiplies the smallest p value by 1", "np.arange(len(p), 0, -1)", "np.arange(1, len(p) + 1)"),
    ),
    *bugs_of(
        "stats/ranks.py",
        "stats/test_coverage.py stats/test_contrast.py stats/test_ranks.py",
        ("ranks are divided by the number of paths, not one more", "/ (len(ensemble) + 1))", "/ len(ensemble))"),
        ("bands cover twice what they promise", "np.abs(pits - 0.5) <= level / 2", "np.abs(pits - 0.5) <= level"),
        (
            "ties count as below in placements",
            "np.asarray((below + up_to) / (2 * len(others)))",
            "np.asarray(up_to / len(others))",
        ),
        ("a rank tells what came above, not below", "int((ensemble < real).sum())", "int((ensemble > real).sum())"),
    ),
    *bugs_of(
        "stats/ranks.py",
        "stats/test_scores.py",
        (
            "CRPS counts pairs of a path with itself",
            "(count * (count - 1))  # E|X - X'|",
            "(count * count)  # E|X - X'|",
        ),
        ("CRPS takes paths as they come for paths in order", "ordered = np.sort(ensemble)", "ordered = ensemble"),
        (
            "the variogram score squares differences",
            "np.abs(real[:, None] - real) ** POWER",
            "np.abs(real[:, None] - real) ** 2",
        ),
        ("a skill is positive where the baseline is better", "1 - mean / reference", "mean / reference - 1"),
    ),
    *bugs_of(
        "stats/contrast.py",
        "stats/test_contrast.py stats/test_contrast_of_ranks.py",
        (
            "the spread is measured around the synthetic median",
            "centre = float(np.median(real.values))",
            "centre = float(np.median(synthetic.values))",
        ),
        ("ranks of what came point the wrong way", "return hac_mean(0.5 - u)", "return hac_mean(u - 0.5)"),
        (
            "paths that are too narrow read as too wide",
            "hac_mean(2 * (0.25 - np.abs(u - 0.5)))",
            "hac_mean(2 * (np.abs(u - 0.5) - 0.25))",
        ),
        (
            "values of one cluster count as independent",
            "np.bincount(clusters, values - values.mean(), minlength=size)",
            "values - values.mean()",
        ),
        (
            "a two-sided test looks at one tail",
            "p = 2 * t_tail(abs(value / se), df)",
            "p = t_tail(abs(value / se), df)",
        ),
    ),
    *bugs_of(
        "generators/draws.py",
        "generators/test_draws_and_blocks.py",
        (
            "the seed is ignored",
            "np.array([seed, path_id], dtype=np.uint64)",
            "np.array([0, path_id], dtype=np.uint64)",
        ),
        (
            "a path draws by its row in the block",
            "np.array([seed, path_id], dtype=np.uint64)",
            "np.array([seed, row], dtype=np.uint64)",
        ),
        (
            "all paths draw the same",
            "np.array([seed, path_id], dtype=np.uint64)",
            "np.array([seed, 0], dtype=np.uint64)",
        ),
    ),
    *bugs_of(
        "generators/bootstrap.py",
        "generators/test_stationary_bootstrap.py",
        (
            "new blocks start where they should go on",
            "uniforms[..., 0] < 1.0 / mean_block",
            "uniforms[..., 0] >= 1.0 / mean_block",
        ),
        (
            "a block does not begin at its origin",
            "return (origin + steps - last_start) % bars",
            "return (origin + steps) % bars",
        ),
        (
            "where a block starts reuses the draw that began it",
            "(uniforms[..., 1] * bars)",
            "(uniforms[..., 0] * bars)",
        ),
    ),
    *bugs_of(
        "generators/filtered.py",
        "generators/test_filtered_simulation.py",
        (
            "bars are divided by the volatility that they made themselves",
            "np.sqrt(variance[:-1, None])",
            "np.sqrt(variance[1:, None])",
        ),
        (
            "rises raise the volatility where falls should",
            "self.gamma * (returns < 0)) * returns**2)",
            "self.gamma * (returns > 0)) * returns**2)",
        ),
        (
            "all bars of a path are drawn with volatility as it was at its start",
            "bars = np.sqrt(variance)[:, None]",
            "bars = np.sqrt(np.full_like(variance, self.variance))[:, None]",
        ),
    ),
    *bugs_of(
        "generators/filtered.py",
        "generators/test_filtered_simulation.py",
        (
            "omega is scaled back as a deviation, not as a variance",
            'float(named["omega"]) * unit**2',
            'float(named["omega"]) * unit',
        ),
        ("the next variance is the last one", "float(after[0])),", "float(deviation[-1] ** 2)),"),
    ),
    *bugs_of(
        "generators/gbm.py",
        "generators/test_gbm.py",
        (
            "the body holds the gap once more",
            "gap, body = relative[:, 0], relative[:, 3] - relative[:, 0]",
            "gap, body = relative[:, 0], relative[:, 3]",
        ),
        (
            "the maximum of a bridge has half its variance",
            "np.sqrt(x**2 - 2.0 * np.log(upper))",
            "np.sqrt(x**2 - np.log(upper))",
        ),
        ("gap and body reuse one draw", "self.body[1] * ndtri(drawn[..., 1])", "self.body[1] * ndtri(drawn[..., 0])"),
    ),
    *bugs_of(
        "generators/rescaled.py",
        "generators/test_drift_neutral.py",
        (
            "drift is added instead of taken out",
            "return -np.diff(np.log(self.growth), prepend=0.0)",
            "return np.diff(np.log(self.growth), prepend=0.0)",
        ),
        (
            "the mean of log returns is taken for the mean growth",
            "return cls(relative.mean(axis=0), ",
            "return cls(np.exp(np.log(relative).mean(axis=0)), ",
        ),
    ),
    *bugs_of(
        "market/candles.py",
        "market/test_relative.py",
        ("steps are measured from the open before", "before = logs[..., :-1, 3:4]", "before = logs[..., :-1, 0:1]"),
        (
            "volatility is that of simple returns",
            "np.mean(np.diff(np.log(close), axis=-1) ** 2, axis=-1)",
            "np.mean((np.diff(close, axis=-1) / close[..., :-1]) ** 2, axis=-1)",
        ),
        (
            "the running volatility knows the bar that it stands before",
            "np.concatenate((start[:, None], later), axis=1)",
            "np.concatenate((later, later[:, -1:]), axis=1)",
        ),
    ),
    *bugs_of(
        "market/times.py",
        "market/test_reading_stamps.py",
        (
            "day and month are swapped",
            "day, month = (0, 2) if day_first else (2, 0)",
            "day, month = (2, 0) if day_first else (0, 2)",
        ),
        (
            "offsets from UTC have the wrong sign",
            'sign = -1 if offsets[0][0] == "-" else 1',
            'sign = 1 if offsets[0][0] == "-" else -1',
        ),
        ("milliseconds before 2001 are no dates", '("ms", 1e11)', '("ms", 1e12)'),
    ),
    *bugs_of(
        "market/candles.py",
        "market/test_reading_stamps.py",
        (
            "the context leaves out its last bar",
            "return self.rows(len(self) - bars, len(self))",
            "return self.rows(len(self) - bars - 1, len(self) - 1)",
        ),
        (
            "a bar stamped with the end is after the end",
            'searchsorted(stamp, side="right")',
            'searchsorted(stamp, side="left")',
        ),
    ),
    *bugs_of(
        "market/frequency.py",
        "market/test_bar_calendar.py",
        ("weeks begin on Sunday", "(wall - 4 * DAY) % WEEK", "(wall - 3 * DAY) % WEEK"),
        (
            "a step ahead begins with the last bar itself",
            "self.step * np.arange(1, n + 1, dtype=np.int64)",
            "self.step * np.arange(n, dtype=np.int64)",
        ),
        (
            "the running period is given once more",
            "pd.period_range(running + 1, periods=n",
            "pd.period_range(running, periods=n",
        ),
    ),
    *bugs_of(
        "market/path_tables.py",
        "pipeline/test_checking_input.py",
        (
            "rows of mixed paths are taken as they come",
            'order = np.argsort(codes, kind="stable")',
            "order = np.arange(len(codes))",
        ),
    ),
    *bugs_of(
        "market/candles.py",
        "market/test_candle_rules.py",
        (
            "a low may lie above one of open and close",
            'bottom = np.fmin(columns["open"], columns["close"])',
            'bottom = np.fmax(columns["open"], columns["close"])',
        ),
        ("a high need not enclose the open", 'for name in ("open", "low", "close")', 'for name in ("low", "close")'),
        ("a price of zero is a price", "(columns[name] <= 0) |", "(columns[name] < 0) |"),
    ),
    *bugs_of(
        "market/price_limit.py",
        "candles/test_candle_rules.py candles/test_candle_forms.py backtest/test_market_rules_of_orders.py",
        (
            "a limit price of half a tick is rounded down",
            "np.floor(at * (1 + side) + HALF_UP)",
            "np.floor(at * (1 + side))",
        ),
        (
            "a price limit is held against the bar before, not the session",
            "np.where(first_session, before, known[:, start])",
            "np.where(first_session, before, known)",
        ),
        (
            "a limit is a log return",
            "return last * (1 - limit), last * (1 + limit)",
            "return last * np.exp(-limit), last * np.exp(limit)",
        ),
    ),
    *bugs_of(
        "candles/breaches.py",
        "candles/test_candle_rules.py candles/test_candle_forms.py",
        (
            "lots are rounded to the nearest, not down",
            "np.floor(exact / self.step) * self.step",
            "np.round(exact / self.step) * self.step",
        ),
        (
            "the last session's close is the first of this one",
            "context.close[starts[-1] - 1]",
            "context.close[starts[-1]]",
        ),
        (
            "stamps may repeat",
            "line[1:] <= np.maximum.accumulate(line)[:-1]",
            "line[1:] < np.maximum.accumulate(line)[:-1]",
        ),
    ),
    *bugs_of(
        "candles/repair.py",
        "candles/test_candle_rules.py candles/test_candle_forms.py candles/test_candle_repair_laws.py",
        (
            "high and low are swapped when they enclose",
            "bars.prices.max(axis=-1), bars.prices.min(axis=-1)",
            "bars.prices.min(axis=-1), bars.prices.max(axis=-1)",
        ),
        ("a typical price counts the close once", "(high + low + 2 * close) / 4", "(high + low + close) / 3"),
        (
            "later bars do not follow a clipped close",
            "scale = np.where(cut, out[:, bar, CLOSE] / raw[:, CLOSE], scale)",
            "scale = np.where(cut, 1.0, scale)",
        ),
    ),
    *bugs_of(
        "candles/suspects.py",
        "candles/test_candle_suspects.py",
        (
            "a seam may be anywhere but at the first bar",
            "np.arange(view.sound.shape[1]) == 0",
            "np.arange(view.sound.shape[1]) > 0",
        ),
        (
            "gaps inside a session are those at its opens",
            "view.bounds.inside) & ~view.opens)",
            "view.bounds.inside) & view.opens)",
        ),
        ("a gap is measured by a volatility that knows its own bar", "squares)[:, :-1]", "squares)[:, 1:]"),
    ),
    *bugs_of(
        "realism/estimators.py",
        "realism/facts/test_moments.py realism/facts/test_returns.py realism/facts/test_statistics.py",
        (
            "lagged products lead instead of lag",
            "row_dot(x[:, : bars - k], y[:, k:])",
            "row_dot(x[:, k:], y[:, : bars - k])",
        ),
        ("a log spread is the population's", "np.maximum(c.known - 1.0, 1.0)", "np.maximum(c.known - 0.0, 1.0)"),
        ("excess kurtosis is raw", "c.squares * c.squares) - 3.0", "c.squares * c.squares)"),
        (
            "a leverage coefficient leaves the last month's ranges in",
            "_cleared(_cleared(move.values, month.values), _cleared(week.values, month.values))",
            "_cleared(move.values, _cleared(week.values, month.values))",
        ),
        (
            "a filtered return is divided by a volatility that knows it",
            "divide(r[:, t], np.sqrt(variance))",
            "divide(r[:, t], np.sqrt(EWMA * variance + (1 - EWMA) * squares[:, t]))",
        ),
        ("the variance ratio is not corrected for overlap", "(q * (n - q + 1) * (1 - q / n))", "(q * (n - q + 1))"),
        ("Hill's sum is not over the threshold", "np.log(z / HILL_THRESHOLD, where", "np.log(z, where"),
        (
            "the fourth L-moment takes b1 off",
            "l4 = 20 * b3 - 30 * b2 + 12 * b1 - b0",
            "l4 = 20 * b3 - 30 * b2 - 12 * b1 - b0",
        ),
        (
            "the largest fall is the largest rise",
            "(np.maximum.accumulate(log_price, axis=1) - log_price)",
            "(log_price - np.minimum.accumulate(log_price, axis=1))",
        ),
        (
            "roughness is a slope on the wrong axis",
            "0.5 * (heights @ steps) / float(steps @ steps)",
            "(heights @ steps) / float(steps @ steps)",
        ),
        (
            "runs are one longer than moves between changes",
            "count / (changes + 1.0)",
            "count / np.maximum(changes, 1.0)",
        ),
    ),
    *bugs_of(
        "realism/verdicts.py",
        "realism/inference/test_labels.py",
        (
            "any effect fails where its q is small",
            "e.q < FAIL_Q and e.effect >= FAIL_EFFECT",
            "e.q < FAIL_Q or e.effect >= FAIL_EFFECT",
        ),
        ("two tests of one fact are not corrected for", "min(1.0, 2 * min(where.p, width.p))", "min(where.p, width.p)"),
        ("a control that was not caught gives a PASS", "e.control_p < CONTROL_P", "e.control_p > CONTROL_P"),
        (
            "q is rounded onto the threshold that it is below",
            "p < limit <= round(p, decimals)",
            "p < limit < round(p, decimals)",
        ),
        ("a FAIL that claims too much is not held down", 'if label == "FAIL" and e', 'if label == "WARN" and e'),
    ),
    *bugs_of(
        "realism/gauge.py",
        "realism/facts/test_statistics.py realism/inference/test_samples.py",
        (
            "a window is anchored at its own first close",
            "anchor_close=candles.close[start - 1]",
            "anchor_close=candles.close[start]",
        ),
        (
            "the last window is left out",
            "np.arange(1, len(candles) - length + 1, stride",
            "np.arange(1, len(candles) - length, stride",
        ),
    ),
    *bugs_of(
        "realism/copying.py",
        "realism/scores/test_copying.py realism/scores/test_diversity.py",
        ("a stretch may be compared with its own time", "row[begin:end] = -np.inf", "row[begin:begin] = -np.inf"),
        ("every pair of paths counts once from each side", "* (len(shapes) - 1) // 2, 1)", "* (len(shapes) - 1), 1)"),
    ),
    *bugs_of(
        "backtest/metrics.py",
        "backtest/test_path_metrics.py",
        (
            "volatility is annualised by the bars, not their root",
            "np.asarray(_deviation(bar_returns(equity)) * np.sqrt(bars_per_year))",
            "np.asarray(_deviation(bar_returns(equity)) * bars_per_year)",
        ),
        (
            "Sharpe is not annualised",
            "_deviation(returns), NO_VARIANCE) * np.sqrt(bars_per_year))",
            "_deviation(returns), NO_VARIANCE))",
        ),
        (
            "Sortino looks at the upside",
            "np.mean(np.minimum(returns, 0.0) ** 2, axis=1)",
            "np.mean(np.maximum(returns, 0.0) ** 2, axis=1)",
        ),
        (
            "Sortino's downside is over losing bars alone",
            "np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=1))",
            "np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2, axis=1, where=returns < 0))",
        ),
        (
            "a bar's return is over the equity after it",
            "np.divide(after - before, before,",
            "np.divide(after - before, after,",
        ),
        ("returns are logs", "np.divide(after - before, before,", "np.log(np.divide(after, before), "),
        (
            "the deviation of returns is the population's",
            "np.asarray(returns.std(axis=1, ddof=1))",
            "np.asarray(returns.std(axis=1))",
        ),
        ("a year has one bar more", "bars_per_year / (equity.shape[1] - 1)", "bars_per_year / equity.shape[1]"),
        ("annual returns are not compounded", "np.expm1(yearly, out", "np.positive(yearly, out"),
        (
            "a trade without profit is won",
            'closed & (trades["pnl"].to_numpy() > 0)',
            'closed & (trades["pnl"].to_numpy() >= 0)',
        ),
        ("long and short exposure cancel", "np.abs(exposure).mean(axis=1)", "exposure.mean(axis=1)"),
        (
            "a drawdown is measured from the start",
            "1.0 - equity / np.maximum.accumulate(equity, axis=1)",
            "1.0 - equity / equity[:, :1]",
        ),
        (
            "turnover is over the equity at the start",
            "traded.sum(axis=1) / equity.mean(axis=1)",
            "traded.sum(axis=1) / equity[:, 0]",
        ),
        (
            "the cash before the first bar counts as a bar above water",
            "np.asarray(below[:, 1:].mean(axis=1))",
            "np.asarray(below.mean(axis=1))",
        ),
    ),
    *bugs_of(
        "backtest/ledger.py",
        "backtest/test_broker_by_hand.py backtest/test_intrabar_orders.py",
        (
            "fees are taken when buying only",
            "self.fee(units * fill, bar, who), self.units[who]",
            "self.fee(np.maximum(units, 0.0) * fill, bar, who), self.units[who]",
        ),
        ("slippage helps", "price * (1 + side * self._slippage[bar])", "price * (1 - side * self._slippage[bar])"),
        (
            "a short's target lies above its entry",
            "self.entry * (1 + side * self.target)",
            "self.entry * (1 + self.target)",
        ),
        ("a short's stop lies below its entry", "from_price * (1 - side * self.stop)", "from_price * (1 - self.stop)"),
        ("borrowing is paid on cash, not on stock", "cost = self._rate * short + self._debit", "cost = self._debit"),
        ("a gap through a stop fills at the stop", "side * np.minimum(side * opened, side * stop)", "stop"),
        ("a gap through a target fills at the target", "side * np.maximum(side * opened, side * target)", "target"),
        ("a trailing stop follows the entry", "self.best if self.wanted.trailing else self.entry", "self.entry"),
        ("leverage adds its whole to the equity", "(broker.leverage - 1) * worth", "broker.leverage * worth"),
        (
            "lots are rounded up",
            "np.floor(size / lot + LOT_ROUNDING) * lot",
            "np.ceil(size / lot - LOT_ROUNDING) * lot",
        ),
        (
            "stops watch the other end of the bar",
            "for pair in ((low, high), (high, low))",
            "for pair in ((high, low), (low, high))",
        ),
    ),
    *bugs_of(
        "backtest/orders.py",
        "backtest/test_market_rules_of_orders.py",
        (
            "T+1 forgets a purchase at the next bar",
            "np.where(goes_on, self._bought, 0.0)",
            "np.zeros_like(self._bought)",
        ),
        ("T+1 holds back what was there before", "rest = units - self._bought", "rest = 0.0 * units"),
        ("a sale is held back anew at every bar", "late & ~self._held", "late"),
    ),
    *bugs_of(
        "backtest/ledger.py",
        "backtest/test_market_rules_of_orders.py",
        (
            "a duty is paid on purchases",
            "self._duty(bar)[who] * np.maximum(-value, 0.0)",
            "self._duty(bar)[who] * np.maximum(value, 0.0)",
        ),
        ("a stop fires on the day of purchase", "stopped & ~held, reached & ~held", "stopped, reached"),
    ),
    *bugs_of(
        "backtest/account.py",
        "backtest/test_engine_by_hand.py backtest/test_broker_by_hand.py",
        (
            "fees are earned",
            "np.cumsum(_per_bar(orders, value, close.shape) + fees",
            "np.cumsum(_per_bar(orders, value, close.shape) - fees",
        ),
        (
            "buying and selling cancel in what was traded",
            "_per_bar(orders, np.abs(value), close.shape)",
            "_per_bar(orders, value, close.shape)",
        ),
    ),
    *bugs_of(
        "backtest/engine.py",
        "backtest/test_engine_by_hand.py",
        ("an order fills at the open before its decision", 'lag = 1 if broker.fill == "next_open" else 0', "lag = 0"),
        ("a fill at the close waits for a bar", 'lag = 1 if broker.fill == "next_open" else 0', "lag = 1"),
    ),
    *bugs_of(
        "backtest/orders.py",
        "backtest/test_broker_by_hand.py",
        (
            "a short's profit has a long's sign",
            '"pnl": side * (received - paid) - fees',
            '"pnl": (received - paid) - fees',
        ),
        (
            "a trade's fees are not taken off its profit",
            '"pnl": side * (received - paid) - fees',
            '"pnl": side * (received - paid)',
        ),
    ),
    *bugs_of(
        "backtest/probe.py",
        "backtest/test_causality_probe.py",
        (
            "the probe leaves one bar after its cut as it was",
            "np.arange(1, bars)[:, None] > cuts",
            "np.arange(1, bars)[:, None] > cuts + 1",
        ),
        ("the probe does not look at the bar of the cut", "mask & (rows <= cuts)", "mask & (rows < cuts)"),
        ("a bar is named by its row, the context counted in", "bar=self.row - bars.context_bars", "bar=self.row"),
        (
            "only every other path may be read unnoticed",
            "np.arange(self.paths) % 2 == parity",
            "np.arange(self.paths) % 2 == 2",
        ),
    ),
    *bugs_of(
        "backtest/overfitting/sharpe.py",
        "backtest/overfitting/test_sharpe_formulas.py",
        ("kurtosis is taken for excess kurtosis", "(self.kurtosis - 1) / 4", "(self.kurtosis - 3) / 4"),
        ("skewness helps where it should hurt", "1 - self.skewness * self.sharpe", "1 + self.skewness * self.sharpe"),
        ("the expected maximum forgets e", "ndtri(1 - 1 / (trials * math.e))", "ndtri(1 - 1 / trials)"),
        ("a track record is not squared", "/ (record.sharpe - benchmark)) ** 2", "/ (record.sharpe - benchmark))"),
    ),
    *bugs_of(
        "backtest/overfitting/sharpe.py",
        "backtest/overfitting/test_deflated_grid.py",
        (
            "copies of one set count as many trials",
            "correlation + (1 - correlation) * sets",
            "correlation * sets + (1 - correlation)",
        ),
        ("the variance of trials is the population's", "ratios[known].var(ddof=1)", "ratios[known].var()"),
        (
            "the choice is deflated by the effective trials where all are meant",
            "deflated_sharpe(record, trials, variance)",
            "deflated_sharpe(record, effective, variance)",
        ),
    ),
    *bugs_of(
        "backtest/overfitting/cscv.py",
        "backtest/overfitting/test_cscv.py",
        ("the chosen set is looked up in the half that chose it", "sums.sharpe(1.0 - half)", "sums.sharpe(half)"),
        ("overfit is who ranks above the median outside", "np.mean(splits.rank < 0.5)", "np.mean(splits.rank > 0.5)"),
        ("a set of a half is measured by the population's variance", "(count / max(count - 1, 1))", "1.0"),
        (
            "the oldest bars are kept and the youngest dropped",
            "returns[len(returns) - bars * blocks :]",
            "returns[: bars * blocks]",
        ),
    ),
    *bugs_of(
        "backtest/overfitting/grids.py",
        "backtest/overfitting/test_stability.py",
        (
            "what neighbours lose is said to be kept",
            "return 1.0 - above.value / advantage.value",
            "return above.value / advantage.value",
        ),
    ),
    *bugs_of(
        "backtest/tail/losses.py",
        "backtest/tail/test_tail_losses.py",
        ("a shortfall is a mean over all losses", ".mean(axis=1) / (1.0 - level)  # [path]", ".mean(axis=1)  # [path]"),
        ("the worst bar is the best", "bar_returns(part).min(axis=1)", "bar_returns(part).max(axis=1)"),
    ),
    *bugs_of(
        "backtest/tail/losses.py",
        "backtest/tail/test_drawdown_tail.py",
        ("ruin is measured against the bar before", "(1.0 - loss) * equity[:, :1]", "(1.0 - loss) * equity[:, :-1]"),
        ("a fall is made good only above its peak", "again = (equity >= peak)", "again = (equity > peak)"),
    ),
    *bugs_of(
        "backtest/limits.py",
        "store/test_limits.py",
        (
            "a limit breaks as soon as its interval touches it",
            "if measured.high < allowed if at_least else measured.low > allowed",
            "if measured.low < allowed if at_least else measured.high > allowed",
        ),
        ("a floor is judged as a ceiling", 'at_least=limit.side == "at least"', 'at_least=limit.side == "at most"'),
    ),
    *bugs_of(
        "forecasts/numbers.py",
        "forecasts/test_numbers.py",
        ("the return over 5 bars is that over 4", "f.close[:, 5], min_bars=6", "f.close[:, 4], min_bars=6"),
        (
            "a run-up is measured from the maximum",
            "(paths.close - np.minimum.accumulate(paths.close, axis=1))",
            "(paths.close - np.maximum.accumulate(paths.close, axis=1))",
        ),
        (
            "drift is in units of the horizon, not of its root",
            "scale.volatility * np.sqrt(paths.horizon)",
            "scale.volatility * paths.horizon",
        ),
        (
            "the range of a path leaves the anchor out",
            "np.maximum(paths.high.max(axis=1), 0)",
            "paths.high.max(axis=1)",
        ),
    ),
    *bugs_of(
        "forecasts/exceedances.py",
        "forecasts/test_exceedances.py",
        (
            "upper and lower tail are swapped",
            'hits = pits < level if tail == "lower" else pits > 1 - level',
            'hits = pits < level if tail == "upper" else pits > 1 - level',
        ),
        (
            "Kupiec's ratio has a degree too many",
            "_count_ratio(hits, level), df=1)",
            "_count_ratio(hits, level), df=2)",
        ),
        (
            "the excess of an upper tail has the lower one's sign",
            '(beyond if tail == "lower" else -beyond) / spread',
            "beyond / spread",
        ),
        (
            "the shortfall is that of the calm end",
            'np.sort(values if tail == "lower" else -values)',
            'np.sort(values if tail == "upper" else -values)',
        ),
        ("the resampled excesses are not centred", "drawn = centred[rng", "drawn = excesses[rng"),
    ),
    *bugs_of(
        "forecasts/checkpoint_facts.py",
        "forecasts/test_checkpoint_figures.py",
        ("ranks of an evaluation lean the other way", "spans.mean(0.5 - u)", "spans.mean(u - 0.5)"),
        ("errors of an evaluation's ranks are a third of what they are", "mean.error, 0.25", "mean.error / 3, 0.25"),
    ),
    *bugs_of(
        "forecasts/origins.py",
        "forecasts/test_origins.py forecasts/test_checkpoint_origins.py",
        (
            "a context holds the first bar of its future",
            "self.history.rows(self.row - bars, self.row)",
            "self.history.rows(self.row - bars + 1, self.row + 1)",
        ),
        ("the last bar of the history is never forecast", "last = bars - horizon", "last = bars - horizon - 1"),
        (
            "the oldest origins are taken, not the latest",
            "for back in reversed(range(taken))",
            "for back in reversed(range(room - taken, room))",
        ),
    ),
    *bugs_of(
        "forecasts/foresight.py",
        "forecasts/test_drift.py",
        (
            "growth is the mean of logs",
            "gain, gain_wide = float(growth.mean()) - 1",
            "gain, gain_wide = float(returns.mean())",
        ),
        (
            "drift in deviations is in standard errors",
            "returns.std(ddof=1))",
            "returns.std(ddof=1) / np.sqrt(len(returns)))",
        ),
    ),
    *bugs_of(
        "forecasts/judge.py",
        "forecasts/test_judgement.py forecasts/test_calibration.py",
        ("training data of the same day count as earlier", "stamp[:10] <= trained_until", "stamp[:10] < trained_until"),
        ("a generator fails by q alone", "if q < FAIL_Q and (abs(off)", "if q < FAIL_Q or (abs(off)"),
    ),
    *bugs_of(
        "report/numbers.py",
        "report/test_numbers_as_text.py",
        ("a percentage is a fraction", "text = fixed(100 * fraction, decimals)", "text = fixed(fraction, decimals)"),
        (
            "half an interval is all of it",
            "render((estimate.high - estimate.low) / 2, form",
            "render((estimate.high - estimate.low), form",
        ),
        ("the rule of three is a rule of one", "bound = 3 / estimate.n", "bound = 1 / estimate.n"),
        (
            "a standard error is half an interval",
            "(estimate.high - estimate.low) / (2 * 1.96)",
            "(estimate.high - estimate.low) / 2",
        ),
        ("a minus is lost", 'return f"{MINUS}{text}" if value < 0', 'return f"{MINUS}{text}" if value > 0'),
        (
            "upper and lower end are swapped in brackets",
            "for end in (estimate.low, estimate.high))",
            "for end in (estimate.high, estimate.low))",
        ),
        (
            "q is rounded onto a threshold",
            "value < limit <= round(value, decimals)",
            "value > limit >= round(value, decimals)",
        ),
    ),
    *bugs_of(
        "realism/candle.py",
        "realism/facts/test_candle.py",
        (
            "a Garman-Klass variance adds the body's part",
            "(0.5 * bars.R**2 - (2 * LN2 - 1) * bars.b**2)",
            "(0.5 * bars.R**2 + (2 * LN2 - 1) * bars.b**2)",
        ),
        ("an upper wick begins at the open", "upper = bars.hh - np.maximum(bars.b, 0.0)", "upper = bars.hh"),
        (
            "later moves are said to tell of earlier volatility",
            "mean_ccf(bars.abs_r, volatility, lags) - mean_ccf(volatility, bars.abs_r, lags)",
            "mean_ccf(volatility, bars.abs_r, lags) - mean_ccf(bars.abs_r, volatility, lags)",
        ),
        (
            "gaps inside a session count as overnight",
            "return np.where(opens & enough[:, None], bars.g, np.nan)",
            "return np.where(enough[:, None], bars.g, np.nan)",
        ),
    ),
    *bugs_of(
        "realism/space.py",
        "realism/scores/test_yardstick.py",
        ("the limit of a low score is that of a high one", "0.05 if low else 0.95", "0.95 if low else 0.05"),
        (
            "held-out windows are compared with themselves",
            "score(True, split.held_out, split.rest)",
            "score(True, split.held_out, split.held_out)",
        ),
    ),
    *bugs_of(
        "market/path_tables.py",
        "pipeline/test_checking_input.py",
        (
            "stamps may repeat along a path",
            "still = np.diff(stamps, axis=1) <= 0",
            "still = np.diff(stamps, axis=1) < 0",
        ),
    ),
    *bugs_of(
        "market/paths.py",
        "market/test_paths.py",
        (
            "selected paths keep the ids of the first ones",
            "values, ids = self.values[rows], self.path_ids[rows]",
            "values, ids = self.values[rows], self.path_ids[: len(self.values[rows])]",
        ),
        (
            "arrays are read as open, low, high, close",
            "for x in (open, high, low, close, volume) if",
            "for x in (open, low, high, close, volume) if",
        ),
    ),
    *bugs_of(
        "pipeline/summary.py",
        "pipeline/test_summary.py",
        ("a return of zero is a loss", "share(returns < 0, weights)", "share(returns <= 0, weights)"),
        ("a drawdown must be deeper than its limit", "share(falls >= step, weights)", "share(falls > step, weights)"),
    ),
    *bugs_of(
        "backtest/result.py",
        "pipeline/test_summary.py",
        (
            "example paths are named by their rank",
            "path_ids[examples], np.transpose(shown)",
            "examples, np.transpose(shown)",
        ),
        (
            "example paths are chosen by where they set out",
            "last = np.asarray(values[len(values) - 1])",
            "last = np.asarray(values[0])",
        ),
    ),
    *bugs_of(
        "stress/search.py",
        "stress/test_crises.py",
        ("crises of one score overlap", "left[max(0, at - apart + 1) : at + apart]", "left[at : at + 1]"),
        (
            "the calmest windows are crises",
            "(values >= np.quantile(known, TOP))",
            "(values <= np.quantile(known, TOP))",
        ),
        ("the onset is where the fall ends", "excursion >= excursion.max() / 3", "excursion >= excursion.max()"),
    ),
    *bugs_of(
        "stress/replay.py",
        "stress/test_replay.py",
        (
            "a replay takes the units upside down",
            "recent_volatility(history) / recent_volatility(bars.rows(0, start + 1))",
            "recent_volatility(bars.rows(0, start + 1)) / recent_volatility(history)",
        ),
        (
            "a replay begins a bar late",
            "rows = slice(start + 1, start + 1 + crisis.bars)",
            "rows = slice(start + 2, start + 2 + crisis.bars)",
        ),
    ),
    *bugs_of(
        "stress/shocked.py",
        "stress/test_contexts.py",
        (
            "a shock begins a bar early",
            "start = moves.bars - shock.bars_back",
            "start = moves.bars - shock.bars_back - 1",
        ),
    ),
    *bugs_of(
        "stress/response.py",
        "stress/test_response.py",
        ("no answer passes", 'own[1] <= 0 < known[1], "FAIL"', 'own[1] <= 0 < known[1], "PASS"'),
        (
            "variance returns at the rate of beta alone",
            "kept * variance[bar - 1]",
            "recursion.beta * variance[bar - 1]",
        ),
    ),
    *bugs_of(
        "stress/moves.py",
        "stress/test_shock_laws.py",
        ("a halt forgets what it missed", "gap[:, stop] += missed", "gap[:, stop] -= missed"),
        (
            "what a limit cuts off is lost",
            "owed = np.where(changed, close - now, 0.0)",
            "owed = np.where(changed, 0.0, 0.0)",
        ),
        (
            "a flash crash reaches beyond its size",
            "np.minimum(start, close) - move)",
            "np.maximum(start, close) - move)",
        ),
        ("all shocks of a path draw the same numbers", "(0, 0, place, STREAM)", "(0, 0, 0, STREAM)"),
        ("the mean price falls under more volatility", "replace(out, body=out.body + growth)", "out"),
        (
            "volume follows ranges however little it does in the context",
            "self.volume + slope * np.log(times)",
            "self.volume + np.log(times)",
        ),
        ("prices at which nothing is bought hang on the limit alone", "before * (1 + limit)", "(1 + limit)"),
    ),
    *bugs_of(
        "backtest/orders.py",
        "backtest/test_terms_of_paths.py",
        ("at limit up somebody sells", "price >= self.ceiling[bar]", "price > self.ceiling[bar]"),
        ("costs are added to instead of multiplied", "usual * times + (", "usual + times + ("),
    ),
    *bugs_of(
        "backtest/engine.py",
        "backtest/test_terms_of_paths.py",
        (
            "orders are filled at prices that were never there",
            "method_of(strategy), market_of(bars, slice(bars.context_bars, None), terms)",
            "method_of(strategy), market_of(seen, slice(bars.context_bars, None), terms)",
        ),
        ("strategies are spared the errors of data", "bars if seen is None else seen, terms", "bars, terms"),
    ),
    *bugs_of(
        "backtest/ledger.py",
        "backtest/test_terms_of_paths.py",
        (
            "an entry that finds nobody is forgotten",
            "np.where(later & ((ledger.units == 0) | self.leaving), self.waiting, 0.0)",
            "np.zeros(len(side))",
        ),
        (
            "fixed fees stay in bars that are dearer",
            "(cost * self._times[bar])[who] for cost",
            "(cost + 0.0 * self._times[bar])[who] for cost",
        ),
    ),
    *bugs_of(
        "backtest/ledger.py",
        "backtest/book/test_books.py",
        ("a book buys before it sells", "(asked != 0, asked * price)", "(asked != 0, -asked * price)"),
        ("debts of a book are shared alike", "out=alike, where=total > 0", "out=alike, where=total < 0"),
        ("entries of one moment take all their cash", "where=total > left)", "where=total > np.inf)"),
        ("a book of shorts goes beyond its net", "None else (1.0, -1.0):", "None else (1.0,):"),
    ),
    *bugs_of(
        "backtest/book_nulls.py",
        "backtest/book/test_book_nulls.py",
        ("each asset of a book is booked with all fees", "ran.trades[ran.trades[ASSET] == name]", "ran.trades"),
        (
            "shuffled decisions stay where they are",
            "(owner[rows, draw][:, None]",
            "(np.arange(rows.start, rows.stop)[:, None]",
        ),
        ("equal weight is bought back at every bar", "every=len(bars)", "every=1"),
    ),
    *bugs_of(
        "backtest/positions.py",
        "backtest/book/test_holdings_in_a_table.py",
        ("quantities are held as weights", 'units=self.unit == "quantity"', "units=False"),
        ("holdings are bought again at every bar", "every=len(bars)", "every=1"),
        ("shorts make up for longs beyond the leverage", "gross += abs(amount)", "gross += amount"),
    ),
    *bugs_of(
        "backtest/answers.py",
        "backtest/book/test_books.py",
        ("weights are brought back a bar late", "% asked.every == 0", "% asked.every == asked.every - 1"),
    ),
    *bugs_of(
        "backtest/book.py",
        "backtest/book/test_books.py",
        ("a slice of equity is the whole", "size=orders.size / costs.assets", "size=orders.size"),
        ("closed markets are traded", "if not paths.open_bars.all():", "if paths.open_bars.sum() < 0:"),
        ("the first asset's costs are everybody's", "[ground.broker for ground in", "[self.broker for ground in"),
        ("round trips are another asset's", "path, asset = np.divmod(", "asset, path = np.divmod("),
    ),
    *bugs_of(
        "backtest/account.py",
        "backtest/book/test_books.py",
        ("a ruined book owes what its assets lost", "there / -lost.sum(axis=1)", "1.0 + 0.0 * there"),
        (
            "assets of a book never fall at one moment",
            "reshape(paths, assets, horizon).sum(axis=1)",
            "reshape(paths, assets, horizon).max(axis=1)",
        ),
    ),
    *bugs_of(
        "pipeline/stress/shocks.py",
        "pipeline/test_shocked_runs.py",
        (
            "shocks are charged with the wrong sign",
            "(after[metric].astype(np.float64) - before[metric].astype(np.float64))",
            "(before[metric].astype(np.float64) - after[metric].astype(np.float64))",
        ),
        (
            "blocks of a scenario are shocked beside the next one's paths",
            "FinishedBlock.load(twin, store, block.index)",
            "FinishedBlock.load(twin, store, 0)",
        ),
    ),
    *bugs_of(
        "kronos/walk.py",
        "generators/test_kronos_walk.py",
        ("a fork leaves the last page of keys behind", "pages = _pages(upto)", "pages = _pages(upto - PAGE)"),
        ("changed pages do not come home", "max(pages - 1, 0))", "pages + 1)"),
        ("a forked row keeps the number of bars it had", "self.lengths[targets] = upto", "pass"),
        ("a child's bars are taken for decoded anew", "self._decoded[targets] = upto", "self._decoded[targets] = 0"),
    ),
    *bugs_of(
        "stress/events.py",
        "stress/test_strategy_loss.py",
        (
            "a loss is counted at its lowest, not at the end",
            "-np.expm1(-end), end >= target",
            "-np.expm1(-end), reached[:, -1]",
        ),
        ("gains count as losses", "loss_score(-level[:, 1:]", "loss_score(level[:, 1:]"),
        (
            "a strategy that failed the probe may be split",
            'if probe.label == "PASS":',
            'if probe.label != "UNTESTABLE":',
        ),
    ),
    *bugs_of(
        "stress/unsplit.py",
        "stress/test_refresh.py",
        ("every moved path is taken", "good = np.flatnonzero(taken(fresh))", "good = slots.copy()"),
        (
            "a moved path forgets who drew its beginning",
            "np.where(kept, self.owners[good], names[good, None])",
            "names[good, None] + 0 * kept",
        ),
    ),
    *bugs_of(
        "stress/reverse.py",
        "stress/test_reverse.py",
        (
            "traits are compared in deviations of the event alone",
            "float(_spread(values, shares))",
            "float(values[inside].std())",
        ),
        (
            "weights of the event are those of all paths",
            "within = shares * inside / (shares @ inside)",
            "within = shares",
        ),
    ),
    *bugs_of(
        "stats/weights.py",
        "stats/test_weights.py",
        ("a weighted quantile is the path after its level", "reached >= level - 1e-12", "reached > level + 1e-12"),
        ("the jackknife of islands lacks its factor", "(count - 1) / count * float(np.sum", "1 / count * float(np.sum"),
        (
            "as many as alike counts weights, not their squares",
            "squares = float(shares @ shares)",
            "squares = float(shares.sum())",
        ),
        ("roots of different islands are one", "np.stack((islands, roots))", "np.stack((roots, roots))"),
    ),
    *bugs_of(
        "stats/estimate.py",
        "stats/test_weights.py",
        ("weights stay where their numbers are left out", "weights.where(known)", "weights"),
    ),
    *bugs_of(
        "stats/pooling.py",
        "stats/test_pooling.py",
        (
            "an end is held whatever its multiplier says",
            "return multiplier <= 0.0 if at",
            "return multiplier <= 1e9 if at",
        ),
        ("weights tilt the wrong way", "logs = -(multipliers @ rows)", "logs = multipliers @ rows"),
    ),
    *bugs_of(
        "market/candles.py",
        "stress/test_views.py",
        (
            "the drawdown leaves the last real close out",
            "np.maximum.accumulate(level, axis=1), 0.0)",
            "np.maximum.accumulate(level, axis=1), -9.0)",
        ),
    ),
    *bugs_of(
        "stress/views.py",
        "stress/test_views.py",
        (
            "a deviation is about the mean before, whatever mean is believed",
            "if ends[0] == ends[1]), float(prior",
            "if ends[0] > ends[1]), float(prior",
        ),
        (
            "the worst of a CVaR of returns is the best",
            "bad = -values if view.functional in",
            "bad = values if view.functional in",
        ),
        (
            "a view that fails is let pass where one path stands for all",
            "or weighting.largest > MOST_WEIGHT",
            "or weighting.largest > 1.0",
        ),
    ),
    *bugs_of(
        "pipeline/stress/answers.py",
        "pipeline/test_views_in_a_run.py",
        ("a block of a view has the weights of the first one", "start = rows.stop", "start = 0"),
    ),
    *bugs_of(
        "market/together.py",
        "joint/test_common_dates.py",
        ("a weekend's bar opens with Monday", "column[starts if name", "column[last if name"),
        ("a weekend belongs to the Friday before", 'common, keys, side="left")', 'common, keys, side="right") - 1'),
        ("flags stay on their old rows", "places[flag.rows[at]]", "flag.rows[at]"),
    ),
    *bugs_of(
        "joint/calendar.py",
        "joint/test_common_dates.py",
        ("the next bars are those of the first market", "if not _alike(other.rule, mine.rule)", "if other is mine"),
        (
            "every pair of assets is tested at the level of the book",
            "holm([p for _, p in seen])",
            "[p for _, p in seen]",
        ),
        ("a bar apart is taken for more than bar by bar", "abs(apart.lagged) > abs(apart.same)", "apart.lagged != 0"),
        ("the context's end is not the last bar of all", "last = self.timestamps[-1]", "last = self.ends"),
    ),
    *bugs_of(
        "joint/response.py",
        "joint/test_response_to_shocks.py",
        ("others forget what was their own", "mine + rho * (after - before)", "rho * after"),
        ("a t keeps its scale when the rank is extreme", "(nu + after**2) / (nu + before**2)", "(nu + before**2) / nu"),
        ("the shock is on the bar after", "closes[:, bar + 1] / closes[:, bar]", "closes[:, bar] / closes[:, bar - 1]"),
        (
            "dates of a near rank are those of the lowest",
            "first = np.clip(places - width // 2",
            "first = np.clip(0 * places",
        ),
    ),
    *bugs_of(
        "stats/copula.py",
        "stats/test_copula.py",
        (
            "the correlation of cells is not made up for what they hide",
            "/ float(self.shown[first] * self.shown[other])",
            "",
        ),
        ("a cell's own uniforms are taken, not their ranks", "for _ in range(RANKED):", "for _ in range(0):"),
        ("the t copula keeps the density of its margins", "(degrees + 1) / 2 * np.log1p(x**2", "0 * np.log1p(x**2"),
        (
            "a projection is not corrected for the one before",
            "before, rest = out, out - correction",
            "before, rest = out, out",
        ),
        ("a shift towards 1 goes to none", "if shift > 0 else np.eye", "if shift < 0 else np.eye"),
    ),
    *bugs_of(
        "joint/copulas.py",
        "joint/test_copulas.py",
        (
            "both uniforms of a bar of t are extreme together",
            "out[level] = stdtr(degrees + level, x[level] * np.sqrt((degrees + level) / seen))",
            "out[level] = stdtr(degrees, x[level])",
        ),
        (
            "the second uniform has the first one's correlation",
            "self.factors[level, asset, other]",
            "self.factors[0, asset, other]",
        ),
        ("ranks are drawn without their width", "lower + width * within[..., level]", "lower"),
        (
            "the second rank is not ranked among its own stratum",
            "_places(uniforms[rows, asset, 1]) / len(rows)",
            "cells[rows, asset, 0, 0]",
        ),
        ("a kept block serves more dates than it has", "self.kept[key].shape[1] >= dates", "dates"),
    ),
    *bugs_of(
        "joint/fit.py",
        "joint/test_fit.py",
        ("what tokens lose is not made up for", "MOST_PILOTS = 5", "MOST_PILOTS = 1"),
        ("a given correlation is not aimed at", "seen if correlation is None else correlation", "seen"),
        ("tokens out of order are coupled harder and harder", " or pilot.order_rank.min() < ORDERED", ""),
        (
            "cells are those of the bars before",
            "cell_bounds(member.history.rows(start, stop))[member.rows - start]",
            "cell_bounds(member.history.rows(start, stop))[member.rows - start - 1]",
        ),
    ),
    *bugs_of(
        "joint/given.py",
        "joint/test_given_correlation.py",
        ("a given matrix is read in the file's order", "frame.loc[list(assets), list(assets)]", "frame"),
        ("a matrix that is none is taken", "if least < -ROUNDED:", "if least < -1e9:"),
    ),
    *bugs_of(
        "pipeline/book/coupling.py",
        "pipeline/test_couplings.py",
        ("every scenario has the first one's coupling", "if key not in self.kept:", "if not self.kept:"),
    ),
    *bugs_of(
        "pipeline/book/trade.py",
        "pipeline/test_books_in_a_run.py",
        ("futures that an asset lacks are not counted", "first.scenario.paths.count - len(merged.columns)", "0"),
    ),
    *bugs_of(
        "spec/book.py",
        "spec/test_assets_in_a_spec.py",
        ("a scenario may have the name of another's asset", 'if isinstance(name, str) and "." in name', "if False"),
    ),
    *bugs_of(
        "stats/compared.py",
        "stats/test_compared.py",
        (
            "a small sample's own error stands beside a large one",
            "max(math.sqrt(sum(parts)), _pooled(parts, (n, m)))",
            "math.sqrt(sum(parts))",
        ),
        (
            "pairs are compared as if they were two samples",
            "MeanTest.of(spread[1] - spread[0])",
            "MeanTest.of(spread[1] - np.roll(spread[0], 1))",
        ),
        ("a figure of fewer paths moves as little as one of all", "(len(every) / len(terms))", "1.0"),
        ("a quantile's margin is that of its share", 'if self.kind != "quantile":', "if self.kind:"),
    ),
    *bugs_of(
        "store/figures.py",
        "store/test_diff.py",
        (
            "the figures of two runs are tested one by one",
            "holm([change.p for change in changes])",
            "[change.p for change in changes]",
        ),
        (
            "runs with other seeds are compared path by path",
            '"another seed": [each.get("seed") for each in paths]',
            '"another seed": [0, 0]',
        ),
    ),
    *bugs_of(
        "store/diff.py",
        "store/test_diff.py",
        ("a strategy that is gone changes nothing", "bool(moved or only[0])", "bool(moved)"),
        ("a finding that fails now is told last", "-after, before", "after, before"),
    ),
    *bugs_of(
        "store/clean.py",
        "cli/test_runs_commands.py",
        ("a cleaned run's sums name what went", "if name not in gone]", "if name]"),
        ("kept paths are cleaned where they shall stay", '"paths": ("blocks",),', '"paths": ("blocks", "paths"),'),
    ),
    *bugs_of(
        "report/junit.py",
        "report/test_junit.py",
        (
            "what nobody could judge passes in CI",
            'SKIPPED: tuple[Label, ...] = ("INCONCLUSIVE", "UNTESTABLE")',
            'SKIPPED: tuple[Label, ...] = ("INCONCLUSIVE",)',
        ),
        (
            "two findings of one name are one case",
            "if names.count(each) > 1 else each",
            "if names.count(each) > 9 else each",
        ),
    ),
    *bugs_of(
        "report/drawing/zoom.py",
        "report/test_charts_that_zoom.py",
        ("a chart's lows lie above its bodies", "[min(body) - low for low", "[max(body) - low for low"),
        ("a chart's equity lacks its end", "path.equity[start : stop + 1]", "path.equity[start : stop]"),
        ("a chart calls long what is short", 'int(trade.side == "long")', 'int(trade.side != "long")'),
        ("any script may run on the page", "script-src {allowed}", "script-src 'unsafe-inline'"),
    ),
    *bugs_of(
        "market/known.py",
        "market/sources/test_kept_bars.py",
        ("a bar that is not over is known", "before & np.asarray(ends <= bound)", "before"),
        ("midnight knows the day that it begins", "is_end=not isinstance(moment, datetime)", "is_end=True"),
    ),
    *bugs_of(
        "market/load.py",
        "market/sources/test_kept_bars.py",
        (
            "as_of leaves bars of later",
            "    keep = over_by(bars.stamps, moment)",
            "    keep = bars.stamps == bars.stamps",
        ),
    ),
    *bugs_of(
        "market/kept.py",
        "market/sources/test_kept_bars.py",
        ("changed bars pass as those that were kept", "if digest != note.sha256:", "if not digest:"),
    ),
    *bugs_of(
        "market/sources/asking.py",
        "market/sources/test_sources.py",
        ("a key stands in a message", 'text.replace(secret, "***")', "text.replace(secret, secret)"),
    ),
    *bugs_of(
        "serve/mcp.py",
        "serve/test_mcp.py",
        ("a tool asks nobody for a scope", "require(caller(), scope)", "require(EVERYBODY, scope)"),
    ),
    *bugs_of(
        "serve/wire.py",
        "serve/test_wire.py",
        ("the bars of baselines cost nothing", "+ self.one_step) * self.generators", "+ self.one_step)"),
        (
            "a name at the end is taken for an option",
            'f"--seed={self.seed}", "--", str(table)',
            'f"--seed={self.seed}", table.name',
        ),
    ),
    *bugs_of(
        "serve/guard.py",
        "serve/test_wire.py",
        ("a history of a check may lie anywhere", "else str(self.table(name))", "else str(user_path(name))"),
        ("a table of any size is read", "if path.stat().st_size > MAX_TABLE:", "if path.stat().st_size < 0:"),
    ),
    *bugs_of(
        "generators/adapted.py",
        "generators/test_adapted.py",
        ("a context teaches the heads", "stop = stop_before(len(history), window)", "stop = len(history)"),
        (
            "heads are judged by what they know",
            "seen.rows < cut, seen.starts >= cut",
            "seen.rows < cut, seen.rows < cut",
        ),
        ("heads are fitted on top of a later fit", "plain = self.plain or self.checkpoint", "plain = self.checkpoint"),
    ),
    *bugs_of(
        "live/promises.py",
        "live/test_promises.py",
        ("a promise begins while another runs", "return bars < len(latest.ahead) and not cut", "return False"),
        ("a strategy with other code is the same", '"read": strategy.reads.identity(),', '"read": "",'),
        (
            "a promise goes on over a bar that is missing",
            "last = bars if cut else len(promise.ahead)",
            "last = len(promise.ahead)",
        ),
    ),
    *bugs_of(
        "live/watch.py",
        "live/test_promises.py",
        (
            "a promise of which no bar came hides the last bar of the one before",
            "next((promise for promise in reversed(held) if promise.bars), held[-1] if held else None)",
            "held[-1] if held else None",
        ),
    ),
    *bugs_of(
        "live/judge.py",
        "live/test_live.py",
        (
            "a distance whose interval reaches beyond what is usual is a drift",
            "drift.distance.low > drift.usual",
            "drift.distance.high > drift.usual",
        ),
    ),
)
