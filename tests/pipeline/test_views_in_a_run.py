"""Scenarios with views in a run: the paths of another scenario, weighed, and nothing sampled for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import scenario_gen as sg
from scenario_gen.cli.show import make_console, show_run
from scenario_gen.errors import CheckError
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.pipeline.events import with_cases
from scenario_gen.pipeline.stages import sample_and_trade
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.pipeline.views import weigh_by_views
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
