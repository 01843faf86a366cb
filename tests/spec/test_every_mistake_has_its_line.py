from collections.abc import Callable
from pathlib import Path

import pytest

from scenario_gen.errors import SpecError
from scenario_gen.market.section import PLACES
from scenario_gen.market.sources import SOURCES
from scenario_gen.reading.words import one_of
from scenario_gen.spec import LoadedSpec, spec_from_dict
from scenario_gen.spec.overlay import ALONE, OVERRIDABLE, OWN
from scenario_gen.spec.stress import WEIGHED

Mistakes = Callable[[str], list[str]]

AROUND_KEYS = "volatility, recalibrate, drift"
GENERATOR_KEYS = f"kind, model, tokenizer, temperature, top_p, top_k, device, dtype, window, adapt, {AROUND_KEYS}"
OF_A_SCENARIO = ("name", *OVERRIDABLE, *OWN, *WEIGHED, *ALONE)
KINDS = "kronos, bootstrap, fhs, garch, gjr or gbm"

EVENT = "event: {functional: max_drawdown, at_least: 0.25}"
# What stands on line 4, and the whole message.
ONE_MISTAKE = [
    (
        "scenarios: [{name: a, event: {functional: max_drawdown, at_least: 25}}]",
        "scenarios[a].event: at_least is 25, expected a share of the price between 0 and 1",
    ),
    (
        f"scenarios: [{{name: a, event: [{EVENT[7:]}, {EVENT[7:]}]}}]",
        "scenarios[a].event: got a list of 2, expected a mapping with some of: functional, strategy, at_least, "
        "at_most, allow_truncated",
    ),
    (
        f"scenarios: [{{name: a, {EVENT}, generator: {{top_p: 0.9}}}}]",
        "scenarios[a].generator.top_p: got top_p 0.9 with an event, expected top_p 1 and top_k 0: the model's unlikely "
        "bars are cut off, and the probability of a rare event with them (event.allow_truncated: true takes it all the "
        "same)",
    ),
    (
        "scenarios: [{name: a, sampler: {island: 64}}]",
        "scenarios[a].sampler: a sampler finds the paths of an event, and there is no 'event'",
    ),
    (
        f"scenarios: [{{name: a, {EVENT}, sampler: {{islands: [16, 8]}}}}]",
        "scenarios[a].sampler: islands is [16, 8], expected two numbers in order, from 2 up to 256: the error is read "
        "from independent islands",
    ),
    (
        "limits: {event_probability: {crash: 0.002}}",
        "limits.event_probability.crash: got 'crash', expected a scenario with an event",
    ),
    (
        "limits: {event_probability: {crash: 2}}",
        "limits.event_probability.crash: got 2, expected a probability between 0 and 1",
    ),
    ("generator: {temperature: hot}", "generator.temperature: got 'hot', expected a number from 0 to 10, or auto"),
    ("generator: {temperature: 11}", "generator.temperature: got 11, expected a number from 0 to 10, or auto"),
    ("generator: {temperature: true}", "generator.temperature: got true, expected a number from 0 to 10, or auto"),
    ("generator: {temperature: .nan}", "generator.temperature: got .nan, expected a number from 0 to 10, or auto"),
    ("generator: {temperature: .inf}", "generator.temperature: got .inf, expected a number from 0 to 10, or auto"),
    ("generator: {temperature: }", "generator.temperature: got nothing, expected a number from 0 to 10, or auto"),
    (
        "generator: {temperature: [1]}",
        "generator.temperature: got a list of 1, expected a number from 0 to 10, or auto",
    ),
    (
        "generator: {temperature: '1.0'}",
        "generator.temperature: got '1.0', expected a number from 0 to 10, or auto (without quotes)",
    ),
    ("generator: {temperature: aut}", "generator.temperature: got 'aut', expected a number from 0 to 10, or auto"),
    ("generator: {top_p: 0}", "generator.top_p: got 0, expected a number above 0 and at most 1, or auto"),
    ("generator: {top_k: -1}", "generator.top_k: got -1, expected a whole number of at least 0"),
    (
        "generator: {tempreature: 1}",
        f"generator.tempreature: unknown key; did you mean 'temperature'? Allowed here: {GENERATOR_KEYS}",
    ),
    ("generator: {zzz: 1}", f"generator.zzz: unknown key. Allowed here: {GENERATOR_KEYS}"),
    ("generator: {kind: kronoss}", f"generator.kind: got 'kronoss', expected {KINDS}; did you mean 'kronos'?"),
    (
        "generator: {kind: garch, fit_bars: 100}",
        "generator.fit_bars: got 100, expected a whole number from 250 to 20000",
    ),
    ("generator: {kind: [kronos]}", f"generator.kind: got a list of 1, expected {KINDS}"),
    (
        "generator: {model: nanoo}",
        "generator.model: got 'nanoo', expected nano, mini, small, base, a Hub name like org/name@revision, "
        "or a folder; did you mean 'nano'?",
    ),
    (
        "generator: {model: ./no/such}",
        "generator.model: got './no/such', expected nano, mini, small, base, a Hub name like "
        "org/name@revision, or a folder",
    ),
    (
        "generator: {model: nano, tokenizer: some/tokenizer}",
        "generator: nano brings its own tokenizer, expected no 'tokenizer' beside it",
    ),
    ("generator: {device: gpu}", "generator.device: got 'gpu', expected auto, cpu, cuda, cuda:1 or mps"),
    ("generator: {window: slid}", "generator.window: got 'slid', expected reanchor or slide; did you mean 'slide'?"),
    ("generator: {kind: bootstrap, mean_block: 0.5}", "generator.mean_block: got 0.5, expected a number of at least 1"),
    ("generator: hot", f"generator: got 'hot', expected a mapping with some of: {GENERATOR_KEYS}"),
    ("broker: {cash: 1.0e+300}", "broker.cash: got 1e+300, expected a number from 0.001 to 1000000000000000"),
    ('report: {folder: "a\\0b"}', "report: got the folder 'a\\x00b', expected a path without a null character"),
    ("bars: {context: 8}", "bars.context: got 8, expected a whole number from 32 to 8192"),
    ("bars: {horizon: 1.5}", "bars.horizon: got 1.5, expected a whole number from 1 to 10000"),
    ("bars: {horizon: true}", "bars.horizon: got true, expected a whole number from 1 to 10000"),
    ("bars: {horizon: '63'}", "bars.horizon: got '63', expected a whole number from 1 to 10000 (without quotes)"),
    ("bars: ", "bars: got nothing, expected a mapping with some of: context, horizon"),
    ("bars: [1, 2]", "bars: got a list of 2, expected a mapping with some of: context, horizon"),
    ("paths: {count: 1e9}", "paths.count: got 1000000000.0, expected a whole number from 1 to 10000000"),
    ("paths: {count: 99999999}", "paths.count: got 99999999, expected a whole number from 1 to 10000000"),
    ("paths: {seed: -1}", "paths.seed: got -1, expected a whole number from 0 to 9223372036854775807"),
    ("paths: {keep: yes}", "paths.keep: got 'yes', expected none, metrics or paths"),
    ("paths: {keep: true}", "paths.keep: got true, expected none, metrics or paths; write 'paths' for what it meant"),
    (
        "paths: {keep: false}",
        "paths.keep: got false, expected none, metrics or paths; write 'metrics' for what it meant",
    ),
    (
        "checks: {on_invalid: repare}",
        "checks.on_invalid: got 'repare', expected repair, reject or fail; did you mean 'repair'?",
    ),
    (
        "checks: {calibration: {origins: 1}}",
        "checks.calibration.origins: got 1, expected a whole number from 2 to 2000",
    ),
    (
        "checks: {calibration: {origin: 60}}",
        "checks.calibration.origin: unknown key; did you mean 'origins'? Allowed here: origins, paths, horizon, "
        "one_step",
    ),
    *(
        (
            f"checks: {{calibration: {{one_step: {wrong}}}}}",
            f"checks.calibration.one_step: got {shown}, expected a whole number from 0 to 5000",
        )
        for wrong, shown in (("-1", "-1"), ("5001", "5001"), ("2.5", "2.5"), ("many", "'many'"))
    ),
    (
        "checks: {calibration: every}",
        "checks.calibration: got 'every', expected true or false, or all, or a mapping with origins (a whole number "
        "from 2 to 2000), paths (a whole number from 2 to 10000), horizon (a whole number from 1 to 250), one_step (a "
        "whole number from 0 to 5000)",
    ),
    ("broker: {cash: 0}", "broker.cash: got 0, expected a number from 0.001 to 1000000000000000"),
    ("broker: {fees: 0.5}", "broker.fees: got 0.5, expected a number of at least 0 and below 0.5"),
    (
        "broker: {fee: 0.5}",
        "broker.fee: unknown key; did you mean 'fees'? Allowed here: cash, fees, fee_per_order, fee_minimum, "
        "sell_fees, slippage, slippage_range, fill, shorts, t_plus, at_limit, borrow, leverage, net, lot, "
        "volume_share, position",
    ),
    (
        "broker: {slippage: x3}",
        "broker.slippage: got 'x3', which multiplies the base's cost and so stands in a scenario; expected a number "
        "here",
    ),
    ("broker: {slippage: 2bps}", "broker.slippage: got '2bps', expected a number of at least 0 and below 0.5"),
    ("broker: {fee_minimum: 2bp}", "broker.fee_minimum: got '2bp', expected a number from 0 to 1000000000000000"),
    ("broker: {leverage: 0.5}", "broker.leverage: got 0.5, expected a number from 1 to 20"),
    ("broker: {lot: 0}", "broker.lot: got 0, expected a number above 0 and at most 1000000000000"),
    ("broker: {position: held}", "broker.position: got 'held', expected flat or carried"),
    ("broker: {shorts: no}", "broker.shorts: got 'no', expected true or false"),
    (
        "limits: {min_sharp_p25: 0.2}",
        "limits.min_sharp_p25: unknown key; did you mean 'min_sharpe_p25'? Allowed here: max_drawdown, "
        "probability_of_loss, var_95, var_99, cvar_95, cvar_99, min_return_p05, min_return_p25, min_return_p50, "
        "min_sharpe_p05, min_sharpe_p25, min_sharpe_p50, pass_probability, book_es_975, contribution, "
        "event_probability",
    ),
    ("limits: {max_drawdown: 25}", "limits.max_drawdown: got 25, expected a number above 0 and below 1"),
    (
        "limits: 0.25",
        "limits: got 0.25, expected a mapping with the keys max_drawdown, probability_of_loss, var_95, var_99, "
        "cvar_95, cvar_99, min_return_p05, min_return_p25, min_return_p50, min_sharpe_p05, min_sharpe_p25, "
        "min_sharpe_p50, pass_probability, book_es_975, contribution or event_probability",
    ),
    (
        "limits: {pass_probability: 0.5}",
        "limits.pass_probability: says how many paths pass, and there is no 'account' whose rules they could pass; add "
        "one, e.g. account: {target: 0.1, max_loss: 0.1}",
    ),
    (
        "limits: {contribution: 0.5}",
        "limits.contribution: is about several assets in one account, and the spec has no list 'assets'",
    ),
    ("execute: {kind: cluster}", "execute.kind: got 'cluster', expected local, processes or ray"),
    ("execute: {kind: ray, workers: 0}", "execute.workers: got 0, expected a whole number from 1 to 4096"),
    (
        "execute: {workers: 2}",
        "execute: got workers: 2 and kind: local, which is one process; expected kind: processes or ray",
    ),
    (
        "execute: {cores: 2}",
        "execute.cores: unknown key; did you mean 'workers'? Allowed here: kind, workers, address, cpus, gpus, wait",
    ),
    (
        "execute: processes",
        "execute: got 'processes', expected a mapping with the keys kind, workers, address, cpus, gpus or wait",
    ),
    ("account: {target: 0, max_loss: 0.1}", "account.target: got 0, expected a number above 0 and at most 10"),
    ("account: {target: -0.1, max_loss: 0.1}", "account.target: got -0.1, expected a number above 0 and at most 10"),
    ("account: {daily_loss: 5}", "account.daily_loss: got 5, expected a number above 0 and below 1"),
    ("account: {max_loss: 10 %}", "account.max_loss: got '10 %', expected a number above 0 and below 1"),
    (
        "account: {target: 0.1}",
        "account: expected at least one of daily_loss, max_loss and trailing_drawdown: what may be lost",
    ),
    ("account: {}", "account: expected at least one of daily_loss, max_loss and trailing_drawdown: what may be lost"),
    (
        "account: {max_loss: 0.1, trail_lock: true}",
        "account: 'trail' and 'trail_lock' say how trailing_drawdown trails, and there is none",
    ),
    (
        "account: {max_loss: 0.1, days: 5, min_days: 6}",
        "account: min_days 6 is more than days 5, expected at most as many",
    ),
    (
        "account: {max_loss: 0.1, days: 64}",
        "account.days: got 64 trading days, but the paths of 'base' have 63 bars, expected at most 63; or a longer "
        "bars.horizon",
    ),
    (
        "account: {max_loss: 0.1, trail: daily, trailing_drawdown: 0.1}",
        "account.trail: got 'daily', expected intraday or end_of_day",
    ),
    (
        "account: {max_los: 0.1}",
        "account.max_los: unknown key; did you mean 'max_loss'? Allowed here: target, daily_loss, max_loss, "
        "trailing_drawdown, trail, trail_lock, loss_of, days, min_days",
    ),
    ("report: {folder: 3}", "report.folder: got 3, expected text that is not empty"),
    ("report: {folder: ''}", "report.folder: got '', expected text that is not empty"),
    ("report: {titel: x}", "report.titel: unknown key; did you mean 'title'? Allowed here: folder, title"),
    ("baselines: bootstrap", "baselines: got 'bootstrap', expected a list like [bootstrap]"),
    ("baselines: [kronos]", "baselines[#1]: got 'kronos', expected bootstrap, fhs, garch, gjr or gbm"),
    (
        "baselines: [boostrap]",
        "baselines[#1]: got 'boostrap', expected bootstrap, fhs, garch, gjr or gbm; did you mean 'bootstrap'?",
    ),
    ("baselines: [bootstrap, bootstrap]", "baselines[#2]: bootstrap is there twice; keep it once"),
    ("scenarios: []", "scenarios: got an empty list, expected a list of scenarios, each with a name"),
    ("scenarios: ", "scenarios: got nothing, expected a list of scenarios, each with a name"),
    ("scenarios: [hot]", f"scenarios[#1]: got 'hot', expected a mapping with the keys {one_of(OF_A_SCENARIO)}"),
    ("scenarios: [{paths: {count: 1}}]", "scenarios[#1]: 'name' is missing"),
    ("scenarios: [{name: 3}]", "scenarios[#1].name: got 3, expected text"),
    (
        "scenarios: [{name: a, chicks: []}]",
        f"scenarios[a].chicks: unknown key; did you mean 'checks'? Allowed here: {', '.join(OF_A_SCENARIO)}",
    ),
    (
        "scenarios: [{name: a}, {name: A}]",
        "scenarios[A].name: the name 'A' is taken by another scenario; give each its own",
    ),
    (
        "scenarios: [{name: nul.txt}]",
        "scenarios[nul.txt].name: got 'nul.txt'; this name is reserved by Windows; expected another one",
    ),
    (
        "scenarios: [{name: a, generator: {temperature: 11}}]",
        "scenarios[a].generator.temperature: got 11, expected a number from 0 to 10, or auto",
    ),
]


@pytest.mark.parametrize(("line", "message"), ONE_MISTAKE, ids=[line for line, _ in ONE_MISTAKE])
def test_a_mistake_is_told_with_file_line_field_and_what_was_expected(
    mistakes: Mistakes, start: str, line: str, message: str
) -> None:
    assert mistakes(start + line + "\n") == [f"demo.yaml:4: {message}"]


# What the registry of sources says: an entry more is a name more.
PLACE_WORDS = [f"'{place.key}' ({place.words})" for place in PLACES]
PLACES_AS_WORDS = f"{', '.join(PLACE_WORDS[:-1])} and {PLACE_WORDS[-1]}"
WITH_SYMBOL = one_of(
    [
        *(name for name, source in SOURCES.items() if "symbol" in source.fields),
        *(place.key for place in PLACES if "symbol" in place.takes),
    ]
)
WITH_TIMEFRAME = one_of([name for name, source in SOURCES.items() if "timeframe" in source.fields])

# Data sections that replace line 2 of the shortest spec.
DATA_MISTAKES = [
    ("{source: sp50}", f"data.source: got 'sp50', expected {one_of(SOURCES)}; did you mean 'sp500'?"),
    ("{source: yaho, symbol: SPY}", f"data.source: got 'yaho', expected {one_of(SOURCES)}; did you mean 'yahoo'?"),
    (
        "{source: yahoo}",
        "data: symbol missing, which source yahoo needs, e.g. {source: yahoo, symbol: SPY, start: 2000-01-01}",
    ),
    ("{source: akshare, symbol: 600519}", "data.symbol: got 600519, expected text (in quotes: '600519')"),
    ("{source: akshare, symbol: sh1}", "data.symbol: got 'sh1', expected the six digits of source akshare"),
    (
        "{source: yahoo, symbol: SPY, exchange: nyse}",
        "data.exchange: got 'nyse' beside source yahoo, expected it with ccxt only",
    ),
    (
        "{source: sp500, symbol: SPX}",
        f"data.symbol: got 'SPX' beside source sp500, expected it with {WITH_SYMBOL} only",
    ),
    (
        "{file: prices.csv, timeframe: 1h}",
        f"data.timeframe: got '1h' beside 'file', expected it with {WITH_TIMEFRAME} only",
    ),
    (
        "{source: stooq, symbol: spy.us, timeframe: 1h}",
        "data.timeframe: got '1h', expected 1d, 1w or 1mo of source stooq",
    ),
    (
        "{source: ccxt, exchange: binance, symbol: BTC/USDT, timeframe: hourly}",
        "data.timeframe: got 'hourly', expected such as 5m, 1h, 1d, 1w or 1mo",
    ),
    (
        "{source: ccxt, exchange: binance, symbol: BTC/USDT, adjusted: true}",
        "data.adjusted: got true, and source ccxt has no adjusted prices; leave it out",
    ),
    (
        "{source: sp500, end: 2018-01-01, as_of: 2017-06-30}",
        "data.end: end 2018-01-01 is after as_of 2017-06-30, expected end before as_of",
    ),
    (
        "{source: sp500, end: 2017-02-30}",
        "data.end: got '2017-02-30', expected a date like 2018-12-31, or a time like 2018-12-31T16:00",
    ),
    (
        "{source: sp500, end: 20170630}",
        "data.end: got 20170630, expected a date like 2018-12-31, or a time like 2018-12-31T16:00",
    ),
    ("{source: sp500, adjusted: 1}", "data.adjusted: got 1, expected true or false"),
    (
        "{source: sp500, ticker: SPY}",
        "data.ticker: unknown key. Allowed here: source, file, sql, folder, format, end, start, calendar, timezone, "
        "adjusted, symbol, exchange, timeframe, provider_uri, freq, as_of, partial, volume, name",
    ),
    ("{source: sp500, file: prices.csv}", f"data: give exactly one of {PLACES_AS_WORDS}"),
    ("{end: 2017-06-30}", f"data: give exactly one of {PLACES_AS_WORDS}"),
    ("{file: strategies}", "data.file: got 'strategies', which is a folder; expected a file"),
    (
        "{file: price.csv}",
        "data.file: got 'price.csv', but there is no such file (looked in the spec's folder and the current "
        "folder); did you mean 'prices.csv'?",
    ),
    (
        "{source: sp500, start: 2018-01-01, end: 2017-01-01}",
        "data.start: start 2018-01-01 is after end 2017-01-01, expected start before end",
    ),
    (
        "{source: sp500, timezone: America/NewYork}",
        "data.timezone: got 'America/NewYork', expected a time zone like America/New_York or UTC; "
        "did you mean 'America/New_York'?",
    ),
]


@pytest.mark.parametrize(("section", "message"), DATA_MISTAKES, ids=[text for text, _ in DATA_MISTAKES])
def test_a_mistake_in_the_data_section_is_told_the_same_way(
    mistakes: Mistakes, start: str, section: str, message: str
) -> None:
    text = start.replace("{source: sp500, end: 2017-06-30}", section)
    assert mistakes(text) == [f"demo.yaml:2: {message}"]


@pytest.mark.parametrize(
    "name", ["a/b", "..", ".hidden", "-rf", "trailing.", "'trailing '", "con", "COM1", "'x\\ny'", "''", "a" * 61]
)
def test_a_name_that_cannot_be_a_file_name_is_refused(mistakes: Mistakes, start: str, name: str) -> None:
    (message,) = mistakes(start.replace("name: demo", f"name: {name}"))
    assert message.startswith("demo.yaml:1: name: got ")


def test_every_mistake_is_listed_in_the_order_of_the_lines(mistakes: Mistakes, start: str) -> None:
    text = start + "bars:\n  context: 8\n  horizn: 3\npaths:\n  count: many\nlimits: {max_drawdown: 2}\n"
    assert mistakes(text.replace("name: demo", "nam: demo")) == [
        "demo.yaml:1: 'name' is missing",
        "demo.yaml:1: nam: unknown key; did you mean 'name'? Allowed here: name, data, bars, paths, generator, "
        "checks, market, broker, joint, scenarios, baselines, strategies, limits, report, account, assets, execute",
        "demo.yaml:5: bars.context: got 8, expected a whole number from 32 to 8192",
        "demo.yaml:6: bars.horizn: unknown key; did you mean 'horizon'? Allowed here: context, horizon",
        "demo.yaml:8: paths.count: got 'many', expected a whole number from 1 to 10000000",
        "demo.yaml:9: limits.max_drawdown: got 2, expected a number above 0 and below 1",
    ]


def test_the_number_of_mistakes_heads_the_list(load: Callable[[str], LoadedSpec], start: str) -> None:
    with pytest.raises(SpecError, match=r"^2 mistakes in demo\.yaml\n"):
        load(start + "bars: {context: 1, horizon: 0}\n")


def test_no_more_than_a_hundred_mistakes_are_shown(mistakes: Mistakes, start: str) -> None:
    found = mistakes(start + "bars: {" + ", ".join(f"k{i:03}: 1" for i in range(150)) + "}\n")
    assert len(found) == 101
    assert found[99].startswith("demo.yaml:4: bars.k099: unknown key")
    assert found[100] == "... and 50 more"


def test_a_wrong_base_is_told_once_however_many_scenarios_use_it(mistakes: Mistakes, start: str) -> None:
    text = start + "bars: {horizon: 0}\nscenarios:\n  - {name: a}\n  - {name: b}\nbaselines: [bootstrap]\n"
    assert mistakes(text) == ["demo.yaml:4: bars.horizon: got 0, expected a whole number from 1 to 10000"]


def test_a_wrong_base_is_told_even_where_every_scenario_overrides_it(mistakes: Mistakes, start: str) -> None:
    text = start + "bars: {horizon: 0}\nscenarios:\n  - {name: a, bars: {horizon: 5}}\n"
    assert mistakes(text) == ["demo.yaml:4: bars.horizon: got 0, expected a whole number from 1 to 10000"]


def test_a_mistake_in_an_override_is_told_at_the_override(mistakes: Mistakes, start: str) -> None:
    text = start + "generator: {temperature: 1}\nscenarios:\n  - name: a\n    generator:\n      top_p: 2\n"
    assert mistakes(text) == [
        "demo.yaml:8: scenarios[a].generator.top_p: got 2, expected a number above 0 and at most 1, or auto"
    ]


def test_a_key_of_the_old_kind_in_an_override_of_another_kind_is_unknown(mistakes: Mistakes, start: str) -> None:
    text = start + "scenarios:\n  - {name: a, generator: {kind: bootstrap, temperature: 1}}\n"
    assert mistakes(text) == [
        f"demo.yaml:5: scenarios[a].generator.temperature: unknown key. Allowed here: kind, mean_block, {AROUND_KEYS}"
    ]


def test_no_data_and_no_strategies_are_two_mistakes(mistakes: Mistakes) -> None:
    assert mistakes("name: demo\n") == [
        "demo.yaml:1: 'data' is missing: say where the history comes from, e.g. data: {source: sp500}",
        "demo.yaml:1: 'strategies' is missing",
    ]


def test_a_scenario_named_like_a_baseline_is_refused(mistakes: Mistakes, start: str) -> None:
    text = start + "baselines: [bootstrap]\nscenarios: [{name: Bootstrap}]\n"
    assert mistakes(text) == [
        "demo.yaml:5: scenarios[Bootstrap].name: the name 'Bootstrap' is taken by a baseline; give each its own"
    ]


def test_a_baseline_needs_data_of_its_own(mistakes: Mistakes) -> None:
    text = (
        "name: demo\nstrategies: [{use: strategies/trend.py:SmaCross}]\n"
        "scenarios: [{name: a, data: {source: sp500}}]\nbaselines: [bootstrap]\n"
    )
    assert "demo.yaml:4: baselines: a baseline is made from the top-level 'data', which is missing" in mistakes(text)


def test_a_mistake_in_a_mapping_is_told_without_a_line(folder: Path) -> None:
    wrong = {
        "name": "demo",
        "data": {"source": "sp500"},
        "strategies": [{"use": "strategies/trend.py:SmaCross"}],
        "generator": {"temperature": "hot"},
    }
    with pytest.raises(SpecError) as caught:
        spec_from_dict(wrong, base=folder)
    assert str(caught.value) == "spec: generator.temperature: got 'hot', expected a number from 0 to 10, or auto"


# 1,000,000 paths x 1000 parameter sets x 256 bytes = 256 GB; the bound is 16 GB.
def test_results_that_would_not_fit_are_refused_with_their_size(mistakes: Mistakes, start: str) -> None:
    grid = "{fast: [" + ", ".join(map(str, range(1, 33))) + "], slow: [" + ", ".join(map(str, range(40, 71))) + "]}"
    text = start.replace(":SmaCross}", f":SmaCross, params: {grid}}}") + "paths: {count: 1000000}\n"
    (message,) = mistakes(text)
    assert message.startswith(
        "demo.yaml:4: paths: the results to keep take an estimated 254 GB (992,000,000 rows of metrics and 0 bars"
    )
    assert "expected at most 16 GB" in message


# 1,000,000 paths x 10,000 bars x 6 fields x 4 bytes = 240 GB of kept paths, and 256 MB of metrics.
def test_kept_paths_count_towards_the_size(mistakes: Mistakes, start: str) -> None:
    (message,) = mistakes(start + "paths: {count: 1000000, keep: paths}\nbars: {horizon: 10000}\n")
    assert "an estimated 240 GB" in message


# 60 scenarios x 100,000 paths x 10,000 bars x 20 sets = 1.2e12 bars; 60 x 1e5 x 20 x 256 bytes = 31 GB as well.
def test_more_bars_than_one_run_can_simulate_are_refused(mistakes: Mistakes, start: str) -> None:
    scenarios = "scenarios: [" + ", ".join(f"{{name: s{i}}}" for i in range(60)) + "]\n"
    grid = "{fast: [" + ", ".join(map(str, range(1, 21))) + "]}"
    text = start.replace(":SmaCross}", f":SmaCross, params: {grid}}}") + scenarios
    found = mistakes(text + "paths: {count: 100000}\nbars: {horizon: 10000}\n")
    assert any("1,200,000,000,000 bars to simulate" in message for message in found)


def test_a_grid_beyond_the_bound_is_refused(mistakes: Mistakes, start: str) -> None:
    values = "[" + ", ".join(map(str, range(1, 34))) + "]"
    text = start.replace(":SmaCross}", f":SmaCross, params: {{fast: {values}, slow: {values}}}}}")
    assert mistakes(text) == [
        "demo.yaml:3: strategies[SmaCross].params: the lists make 1089 parameter sets, expected at most 1000; a "
        "'where' such as fast < slow leaves some out"
    ]


def test_a_limit_on_an_event_asks_for_islands_that_have_an_interval() -> None:
    spec = {
        "name": "few",
        "data": {"source": "sp500"},
        "scenarios": [
            {"name": "fall", "event": {"functional": "max_drawdown", "at_least": 0.25}, "sampler": {"islands": [4, 8]}}
        ],
        "strategies": [{"use": "strategies/sma_cross.py:SmaCross", "params": {"fast": 10, "slow": 50}}],
        "limits": {"event_probability": {"fall": 0.002}},
    }
    with pytest.raises(SpecError, match=r"limits\.event_probability\.fall: fall has 4 islands at least.*\[8, 16\]"):
        spec_from_dict(spec)
