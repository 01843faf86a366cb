"""Scenarios with views in a run: the paths of another scenario, weighed, and nothing sampled for them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.cli.show import make_console, show_run
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.pipeline.stages import cost_of_jitter, sample_and_trade, sum_up
from scenario_gen.pipeline.stress.answers import weigh_by_views
from scenario_gen.pipeline.stress.events import judge_events, with_cases
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import SilentProgress
from scenario_gen.report.table import place
from scenario_gen.spec import spec_from_dict
from scenario_gen.store.folder import RunFolder

VIEWS = [{"mean": "terminal_return", "equals": -0.02}, {"probability": "max_drawdown", "at_least": 0.05, "is": 0.4}]
RULE = "SmaCross(fast=3, slow=8)"


def spec_of(folder: Path, views: list, **more) -> dict:
    return {
        "name": "views",
        "data": {"source": "sp500", "end": "2016-06-30"},
        "bars": {"context": 64, "horizon": 20},
        "paths": {"count": 600, "seed": 1, "block": 256},
        "generator": {"kind": "gbm"},
        "checks": {"facts": False, "calibration": False},
        "scenarios": [{"name": "base"}, {"name": "bearish", "reweight": "base", "views": views}],
        "strategies": [
            {"use": "strategies/buy_and_hold.py:BuyAndHold"},
            {"use": "strategies/sma_cross.py:SmaCross", "params": {"fast": 3, "slow": 8}},
        ],
        "report": {"folder": str(folder)},
        **more,
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory):
    """Return a run with views, its folder, and how many paths were sampled."""
    folder, sampled = tmp_path_factory.mktemp("views") / "run", []
    sample = GbmPaths.sample

    def counting(self, context, timestamps, draws, *rest):
        paths = sample(self, context, timestamps, draws, *rest)
        sampled.append(len(paths))
        return paths

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GbmPaths, "sample", counting)
        run = sg.run(spec_of(folder, VIEWS))
    return run, RunFolder(folder), sum(sampled)


def test_no_path_is_sampled_for_views_and_no_metric_moves(ran):
    _, folder, sampled = ran
    assert sampled == 3 * 256, "three blocks of the base alone"
    metrics = folder.read_metrics()
    by_scenario = dict(list(metrics.drop(columns="weight").groupby("scenario")))
    base, bearish = (by_scenario[name].drop(columns="scenario").reset_index(drop=True) for name in ("base", "bearish"))
    assert base.equals(bearish)


def test_the_strategies_are_told_by_what_the_views_make_of_the_paths(ran):
    run, folder, _ = ran
    metrics = folder.read_metrics()
    rows = metrics[(metrics["scenario"] == "bearish") & (metrics["strategy"] == RULE)]
    strategy = next(each for each in run.scenarios[1].strategies if each.name == RULE)
    returns = next(summary for summary in strategy.metrics if summary.metric == "total_return")
    assert returns.mean.value == pytest.approx(rows["weight"] @ rows["total_return"], rel=1e-12)
    assert run.scenarios[0].weighting is None
    assert run.scenarios[1].weighting == run.scenarios[1].reweighed.weighting


def test_what_is_believed_is_told_without_error_and_what_follows_with_one(ran):
    run, _, _ = ran
    told = run.scenarios[1].reweighed
    assert told.base == "base"
    assert [view.posterior for view in told.views] == pytest.approx([-0.02, 0.4], abs=1e-9)
    after = {each.functional: each.after["mean"] for each in told.moved}
    assert after["terminal_return"].low == pytest.approx(after["terminal_return"].high, abs=1e-9)
    assert after["realised_vol"].high - after["realised_vol"].low > 1e-4
    (finding,) = [finding for finding in run.findings if finding.name == "view_reach"]
    assert (finding.scenario, finding.label) == ("bearish", "PASS")


def test_page_and_terminal_tell_what_was_believed_before_and_after(ran):
    run, folder, _ = ran
    page = (folder.path / "index.html").read_text(encoding="utf-8")
    assert "What if you are right about the return over the horizon and the deepest drawdown?" in page
    at = place(run)[1].at
    for pointer in ("views/0/prior", "views/1/posterior", "moved/1/after/mean/value", "moved/4/before/0.95/value"):
        assert f'{at}/reweighed/{pointer}"' in page, "the number carries its place in run.json"
    alike = run.scenarios[1].weighting.in_words
    assert alike in page
    console = make_console(160)
    with console.capture() as said:
        show_run(run, console)
    words = said.get()
    assert "probability of a deepest drawdown of at least 5 %" in words
    assert f"bearish: {alike}" in words


def weighed(folder: Path, views: list, **more) -> Results:
    """Run a spec to where its views are done."""
    spec = spec_from_dict(spec_of(folder, views, paths={"count": 200, "seed": 1}, **more))
    study = with_cases(Study.of(spec, RunFolder(folder), SilentProgress()))
    results, _ = sample_and_trade(study, Results())
    return weigh_by_views(study, results)[0]


def test_a_run_that_goes_on_weighs_its_paths_again_and_says_the_same(tmp_path):
    first, second = (weighed(tmp_path / "run", VIEWS).reweighed for _ in range(2))
    assert first == second


def test_a_strategys_own_loss_can_be_believed_in(tmp_path):
    view = {"mean": "strategy_return", "strategy": RULE, "equals": -0.02}
    (told,) = weighed(tmp_path / "run", [view]).reweighed["bearish"].views
    assert told.subject == f"mean of the total return of {RULE}"
    assert told.posterior == pytest.approx(-0.02, abs=1e-9)


IMPOSSIBLE = [
    ({"mean": "terminal_return", "equals": -0.9}, "no weights of the paths make 'mean of the return"),
    ({"mean": "strategy_return", "strategy": "Sma", "equals": 0.0}, "no strategy is called 'Sma'"),
]


@pytest.mark.parametrize(("view", "words"), IMPOSSIBLE)
def test_a_view_that_the_paths_cannot_have_says_where_it_stands(tmp_path, view, words):
    with pytest.raises(CheckError) as refused:
        weighed(tmp_path / "run", [VIEWS[1], view])
    assert f"scenarios[bearish].views[#2]: {words}" in str(refused.value)


def test_islands_of_an_event_make_a_view_on_it_reachable(tmp_path):
    # The deepest of the 200 plain paths falls by 8.3 %; 6.5 % is reached by a few of them.
    event = {"functional": "max_drawdown", "at_least": 0.065}
    views = [{"probability": "max_drawdown", "at_least": 0.065, "is": 0.08}]
    scenarios = [
        {"name": "base"},
        {"name": "crash", "event": event, "sampler": {"method": "splitting", "island": 64, "islands": [8, 8]}},
        {"name": "bearish", "reweight": "crash", "views": views},
        {"name": "plain", "reweight": "base", "views": views},
    ]
    weighed_ones = weighed(tmp_path / "run", views, scenarios=scenarios).reweighed
    tails = [weighed_ones[name].moved[1].after["0.95"] for name in ("bearish", "plain")]
    assert [view.posterior for told in weighed_ones.values() for view in told.views] == pytest.approx([0.08, 0.08])
    assert tails[0].value is not None
    assert tails[0].value >= 0.065
    assert tails[1].value is None, "a handful of 200 plain paths fall so far"
    assert weighed_ones["bearish"].weighting.islands == 8


def test_views_on_an_event_weigh_every_island_and_ask_for_no_event_of_their_own(tmp_path):
    crash = {
        "name": "crash",
        "event": {"functional": "max_drawdown", "at_least": 0.25},
        "sampler": {"island": 32, "islands": [8, 8], "relative_error": 0.4},
    }
    scenarios = [crash, {"name": "sad", "reweight": "crash", "views": [VIEWS[0]]}]
    more = {"generator": {"kind": "fhs"}, "paths": {"count": 200, "seed": 1}, "scenarios": scenarios}
    loaded = spec_from_dict(spec_of(tmp_path / "run", [], **more))
    study = with_cases(Study.of(loaded, RunFolder(tmp_path / "run"), SilentProgress()))
    results, findings = Results(), []
    for stage in (sample_and_trade, weigh_by_views, sum_up, judge_events):
        results, more_findings = stage(study, results)
        findings += more_findings
    of_crash, sad = results.scenarios
    every = pd.concat([rows for table in results.metrics.values() for rows in table])
    rows = every.groupby(["scenario", "strategy"], observed=True)["weight"].sum()
    assert sad.weighting.paths == of_crash.weighting.paths >= 8 * 32
    assert rows.to_numpy() == pytest.approx(1.0, abs=1e-9), "each scenario's paths stand for the whole law"
    assert sad.reweighed.views[0].posterior == pytest.approx(-0.02, abs=1e-9)
    assert (of_crash.event is not None, sad.event) == (True, None)
    assert {finding.scenario for finding in findings if finding.name.startswith("event_")} == {"crash"}


def test_views_on_the_plain_paths_of_a_frequent_event_are_views_on_the_whole_law(tmp_path):
    dip = {"name": "dip", "event": {"functional": "terminal_return", "at_most": -0.001}}
    scenarios = [dip, {"name": "sad", "reweight": "dip", "views": [VIEWS[0]]}]
    more = {"paths": {"count": 400, "seed": 1}, "scenarios": scenarios}
    loaded = spec_from_dict(spec_of(tmp_path / "run", [], **more))
    study = with_cases(Study.of(loaded, RunFolder(tmp_path / "run"), SilentProgress()))
    assert study.grounds[0].case.method == "rejection"
    results, _ = weigh_by_views(study, sample_and_trade(study, Results())[0])
    assert results.reweighed["sad"].weighting.paths == 400


def test_views_on_sloppy_paths_are_not_set_beside_the_broker_with_weights_that_the_pairs_lack(tmp_path):
    scenarios = [{"name": "sloppy", "jitter": {"slippage": 0.001}}]
    scenarios += [{"name": "sad", "reweight": "sloppy", "views": [VIEWS[0]]}]
    loaded = spec_from_dict(spec_of(tmp_path / "run", [], paths={"count": 200, "seed": 1}, scenarios=scenarios))
    study, results = Study.of(loaded, RunFolder(tmp_path / "run"), SilentProgress()), Results()
    for stage in (sample_and_trade, weigh_by_views, sum_up, cost_of_jitter):
        results, _ = stage(study, results)
    sloppy, sad = results.scenarios
    assert all(strategy.jitter is not None for strategy in sloppy.strategies)
    assert [strategy.jitter for strategy in sad.strategies] == [None, None]


def test_an_event_of_an_account_that_is_none_says_where_it_stands(tmp_path):
    event = {"functional": "strategy_loss", "strategy": "Sma", "at_least": 0.1}
    loaded = spec_from_dict(spec_of(tmp_path / "run", [], scenarios=[{"name": "broke", "event": event}]))
    study = Study.of(loaded, RunFolder(tmp_path / "run"), SilentProgress())
    with pytest.raises(SpecError, match=r"^scenarios\[broke\]\.event: event\.strategy is 'Sma', which is none"):
        with_cases(study)
