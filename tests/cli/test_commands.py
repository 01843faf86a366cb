import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

import scenario_gen
from scenario_gen.cli.answers import schema_of
from scenario_gen.cli.manners import DEFECT_NOTE, command_line
from scenario_gen.errors import DataError
from scenario_gen.report.drawing import charts as learning
from scenario_gen.spec import LoadedSpec
from scenario_gen.store.results import StressRun

Invoke = Callable[..., Any]


@pytest.fixture
def spec(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec that init writes, in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert invoke("init").exit_code == 0
    return Path("scenario.yaml")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, finished_run: StressRun) -> dict[str, Any]:
    """A pipeline that records what it is asked and does what ``acts`` says: the CLI's own behaviour is tested."""
    seen: dict[str, Any] = {"acts": lambda progress: None}

    def run_spec(loaded: LoadedSpec, **options: Any) -> StressRun:
        seen.update(options, loaded=loaded)
        seen["acts"](options["progress"])
        return finished_run

    module = ModuleType("scenario_gen.pipeline")
    module.run_spec = run_spec  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scenario_gen.pipeline", module)
    monkeypatch.setattr(scenario_gen, "pipeline", module, raising=False)
    return seen


def test_init_writes_a_spec_that_is_valid_as_it_is(spec: Path, invoke: Invoke) -> None:
    result = invoke("validate", spec)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "scenario.yaml: valid (my first stress test)" in result.stdout
    assert "strategy  MyStrategy (window=[50, 100]): 2 parameter sets" in result.stdout


def test_init_writes_into_a_folder_of_its_own(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("init", "one").exit_code == 0
    assert invoke("init", "spec", "two").exit_code == 0
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert written == ["one/my_strategy.py", "one/scenario.yaml", "two/my_strategy.py", "two/scenario.yaml"]


def test_init_overwrites_nothing_and_writes_nothing_by_halves(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_strategy.py").write_text("mine")
    result = invoke("init")
    assert result.exit_code == 2
    assert "my_strategy.py is there already" in result.stderr
    assert Path("my_strategy.py").read_text() == "mine"
    assert not Path("scenario.yaml").exists()


@pytest.mark.parametrize("name", ["MeanRevert", "mean_revert", "meanRevert", "mean-revert"])
def test_init_strategy_names_the_class_and_the_file(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("init", "strategy", name)
    assert "mean_revert.py:MeanRevert" in result.stdout
    text = Path("mean_revert.py").read_text()
    assert "class MeanRevert:" in text
    compile(text, "mean_revert.py", "exec")


@pytest.mark.parametrize("words", [("strategy",), ("strategy", "3d"), ("strategy", "../x"), ("nonsense", "name")])
def test_init_refuses_what_it_cannot_name(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("init", *words)
    assert result.exit_code == 2
    assert "to do:" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_validate_judges_every_spec_and_leaves_with_2_if_one_is_wrong(spec: Path, invoke: Invoke) -> None:
    Path("wrong.yaml").write_text(spec.read_text().replace("temperature: 1.0", "temperature: hot"))
    result = invoke("validate", "wrong.yaml", spec, "missing.yaml")
    assert result.exit_code == 2
    assert "scenario.yaml: valid" in result.stdout
    line = 1 + spec.read_text().splitlines().index("  temperature: 1.0           # below 1: calmer; above: wilder")
    first, second = result.stderr.splitlines()[:2]
    assert first == f"wrong.yaml:{line}: generator.temperature: got 'hot', expected a number from 0 to 10, or auto"
    assert second.startswith("missing.yaml: no such file")


def test_validate_without_a_spec_says_what_it_needs(invoke: Invoke) -> None:
    result = invoke("validate")
    assert result.exit_code == 2
    assert "name at least one spec" in result.stderr


def test_validate_prints_the_schema_as_json(invoke: Invoke) -> None:
    import json

    assert json.loads(invoke("validate", "--schema").stdout)["title"] == "scenario-gen spec"


def test_run_passes_on_its_options_and_says_where_the_report_is(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    result = invoke("run", spec, "--folder", "my out", "--device", "cpu", "--paths", 8, "--overwrite")
    assert result.exit_code == 0, result.output
    assert pipeline["loaded"].spec.name == "my first stress test"
    assert (pipeline["folder"], pipeline["device"], pipeline["paths"], pipeline["overwrite"]) == (
        "my out",
        "cpu",
        8,
        True,
    )
    assert pipeline["command"] == (
        "scenario-gen run scenario.yaml --folder 'my out' --device cpu --paths 8 --overwrite"
    )
    assert result.stdout.splitlines()[-1] == f"report: {Path('my out') / 'index.html'}"


def test_run_writes_its_findings_for_ci_as_well(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any], finished_run: StressRun
) -> None:
    result = invoke("run", spec, "--junit", "ci/junit.xml")
    root = ElementTree.parse("ci/junit.xml").getroot()
    assert (result.exit_code, root.get("tests")) == (0, str(len(finished_run.findings)))
    assert [suite.get("timestamp") for suite in root] == ["2020-01-01T00:00:00"] * 2
    Path("folder").mkdir()
    assert invoke("run", spec, "--junit", "folder").exit_code == 2  # before anything is run
    for words in (("--shard", "1/2"), ("--plan",)):
        refused = invoke("run", spec, *words, "--junit", "ci/junit.xml")
        assert refused.exit_code == 2 and "judges nothing" in refused.stderr


def test_run_leaves_to_the_spec_what_is_not_asked(spec: Path, invoke: Invoke, pipeline: dict[str, Any]) -> None:
    result = invoke("run", spec)
    assert [pipeline[key] for key in ("folder", "device", "paths", "overwrite")] == [None, None, None, False]
    assert pipeline["command"] == "scenario-gen run scenario.yaml"
    assert result.stdout.splitlines()[-1] == "report: reports/my-first-stress-test/index.html"


def test_run_says_where_home_is(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    result = invoke("run", spec, "--folder", "~/out", "--quiet")
    assert result.stdout == f"report: {tmp_path / 'out' / 'index.html'}\n"
    assert pipeline["folder"] == "~/out"


def test_run_prints_its_stages_and_notes_to_stderr(spec: Path, invoke: Invoke, pipeline: dict[str, Any]) -> None:
    def acts(progress: Any) -> None:
        with progress.stage("sampling base", total=2) as advance:
            advance(2)
        progress.note("the context overlaps the training period")

    pipeline["acts"] = acts
    result = invoke("run", spec)
    assert "sampling base: 2 of 2" in result.stderr
    assert "the context overlaps the training period" in result.stderr
    assert "sampling" not in result.stdout


def test_a_quiet_run_prints_notes_and_the_place_of_the_report_alone(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    def acts(progress: Any) -> None:
        with progress.stage("sampling base", total=2) as advance:
            advance(2)
        progress.note("a note")

    pipeline["acts"] = acts
    result = invoke("run", spec, "--quiet")
    assert result.stderr == "a note\n"
    assert result.stdout == "report: reports/my-first-stress-test/index.html\n"


def test_a_users_mistake_leaves_with_2_and_without_a_traceback(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    def acts(progress: Any) -> None:
        raise DataError("row 7: high < low", expected="low <= high", fix="mend the row")

    pipeline["acts"] = acts
    result = invoke("run", spec, "-q")
    assert result.exit_code == 2
    assert result.stderr == "row 7: high < low\n  expected: low <= high\n  to do:    mend the row\n"


def test_a_wrong_spec_is_told_before_the_pipeline_is_called(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    spec.write_text("name: x\n")
    result = invoke("run", spec)
    assert result.exit_code == 2
    assert "'strategies' is missing" in result.stderr
    assert "loaded" not in pipeline


def test_an_interruption_leaves_with_130_and_says_how_to_go_on(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    def acts(progress: Any) -> None:
        with progress.stage("sampling base", total=2):
            raise KeyboardInterrupt

    pipeline["acts"] = acts
    result = invoke("run", spec)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted; run the same command again to resume"


def test_a_defect_keeps_its_traceback_and_asks_for_a_report(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    def acts(progress: Any) -> None:
        raise ZeroDivisionError("ours")

    pipeline["acts"] = acts
    result = invoke("run", spec)
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exception.__notes__ == [DEFECT_NOTE]


def test_a_defect_whose_message_cannot_be_set_keeps_its_own_traceback(
    spec: Path, invoke: Invoke, pipeline: dict[str, Any]
) -> None:
    class UndefinedError(Exception):  # as jinja2's errors are
        message = property(lambda self: "'x' is undefined")

    def acts(progress: Any) -> None:
        raise UndefinedError

    pipeline["acts"] = acts
    result = invoke("run", spec)
    assert isinstance(result.exception, UndefinedError)
    assert result.exception.__notes__ == [DEFECT_NOTE]


@pytest.mark.parametrize("words", [("--paths", "0"), ("--paths", "many"), ("--device", "gpu"), ("--nonsense",)])
def test_wrong_options_leave_with_2(spec: Path, invoke: Invoke, words: tuple[str, ...]) -> None:
    assert invoke("run", spec, *words).exit_code == 2


def test_train_passes_on_its_options(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    module = ModuleType("scenario_gen.training")

    def train(config: Path, **options: Any) -> SimpleNamespace:
        seen.update(options, config=config)
        return SimpleNamespace(folder=options["out"], checkpoint=SimpleNamespace(provenance={}))

    drawn: list[Path] = []
    monkeypatch.setattr(learning, "draw_learning", drawn.append)
    module.train = train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scenario_gen.training", module)
    monkeypatch.setattr(scenario_gen, "training", module, raising=False)
    result = invoke("train", "nano.yaml", "--out", "o", "--data", "d", "--resume")
    assert drawn == [Path("o")]
    assert "checkpoint: o " in result.stdout
    assert result.exit_code == 0, result.output
    assert [seen[key] for key in ("config", "out", "data", "resume")] == [Path("nano.yaml"), Path("o"), Path("d"), True]


def test_an_interrupted_training_says_to_resume(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: Path, **options: Any) -> None:
        raise KeyboardInterrupt

    module = ModuleType("scenario_gen.training")
    module.train = interrupted  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scenario_gen.training", module)
    monkeypatch.setattr(scenario_gen, "training", module, raising=False)
    result = invoke("train", "nano.yaml")
    assert (result.exit_code, "add --resume" in result.stderr) == (130, True)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("run",),
        ("validate",),
        ("init",),
        ("train",),
        ("models",),
        ("models", "list"),
        ("models", "pull"),
        ("models", "verify"),
    ],
)
def test_help_teaches(invoke: Invoke, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "scenario-gen" in result.stdout
    if command not in {(), ("models",)}:
        assert "For example:" in result.stdout
    if command and command[0] != "models":
        assert "Exit codes: 0 done" in result.stdout


def test_the_version_is_the_packages(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"scenario-gen {scenario_gen.__version__}\n"


def test_a_command_line_can_be_typed_again() -> None:
    assert command_line("run", Path("my spec.yaml"), paths=3, overwrite=False, folder=None, quiet=True) == (
        "scenario-gen run 'my spec.yaml' --paths 3 --quiet"
    )


def test_validate_says_which_scenarios_ask_for_an_event_are_sloppy_or_have_the_paths_of_another(
    invoke: Invoke, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: x\ndata: {source: sp500}\nbars: {context: 64, horizon: 10}\npaths: {count: 100}\n"
        "generator: {kind: garch}\nstrategies: [{use: strategies/buy_and_hold.py:BuyAndHold}]\nscenarios:\n"
        "  - {name: crash, event: {functional: max_drawdown, at_least: 0.2}}\n"
        "  - {name: sloppy, jitter: {delay: 0.1}}\n"
        "  - {name: loud, context: {shocks: [{kind: volatility, times: 3, bars_back: 5}]}}\n"
        "  - {name: sad, reweight: sloppy, views: [{mean: terminal_return, equals: -0.01}]}\n"
    )
    result = invoke("validate", spec)
    assert result.exit_code == 0
    assert "garch; how rare: drawdown of 20 % or more" in result.stdout
    assert "garch; sloppy execution" in result.stdout
    assert "volatility times 3 from 5 bars before the end on, garch" in result.stdout
    assert "sad: the paths of sloppy, weighed by views: mean of the return over the horizon: -1 %" in result.stdout
    assert "in all    300 paths, 3,000 bars, 300 backtests (1 parameter set)" in result.stdout, "none for the views"
    assert "the branched paths of events" in result.stdout


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that plans two thousand blocks."""
    from scenario_gen.pipeline.plan.foretell import Between
    from scenario_gen.pipeline.plan.plan import PlannedScenario, RunPlan

    made = RunPlan(
        name="long",
        folder="reports/long",
        resumes=True,
        device={"device": "cpu", "dtype": "float32"},
        scenarios=[PlannedScenario("base", "scenario", 1_000_000, 63, 1954, 7, 0.25, 90_000, 60)],
        strategies=["SmaCross"],
        seconds=Between(420.0, 900.0),
        seconds_of={"blocks": Between(400.0, 800.0), "page": Between(20.0, 100.0)},
        disk_bytes=Between(2 * 2**30, 3 * 2**30),
        free_bytes=64 * 2**30,
        memory_bytes=Between(400 * 2**20, 600 * 2**20),
        notes=["the disk is full"],
    )
    monkeypatch.setattr("scenario_gen.pipeline.plan_spec", lambda loaded, **options: made)


def test_a_plan_says_what_a_run_would_do_and_cost(spec: Path, invoke: Invoke, plan: None) -> None:
    result = invoke("run", spec, "--plan")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "long: what a run would do that goes on, in reports/long",
        "  scenario  base: 1,000,000 paths x 63 bars, 1,954 blocks of 0.25 s, 7 of them finished; forecasts the past "
        "from 60 origins",
        "  strategy  1 parameter set",
        "  device    device cpu, dtype float32",
        "  time      7 to 15 minutes, on this machine as busy as it is now (blocks 7 to 13 minutes; page 20 to 100 "
        "seconds)",
        "  disk      2.0 to 3.0 GiB in the end; 64.0 GiB are free",
        "  memory    400 to 600 MiB at the peak of the process",
        "  note      the disk is full",
    ]


def test_a_plan_in_json_has_every_figure(spec: Path, invoke: Invoke, plan: None) -> None:
    given = json.loads(invoke("run", spec, "--plan", "--json").stdout)
    assert given["seconds"] == {"low": 420.0, "high": 900.0}
    assert given["scenarios"][0]["finished_blocks"] == 7
    assert given["notes"] == ["the disk is full"]
    jsonschema.Draft202012Validator(schema_of("run --plan")).validate(given)


def test_a_plan_of_a_bad_spec_or_of_a_shard_is_refused(spec: Path, invoke: Invoke) -> None:
    assert invoke("run", spec, "--plan", "--shard", "2/8").exit_code == 2
    spec.write_text(spec.read_text(encoding="utf-8").replace("horizon:", "horizn:"), encoding="utf-8")
    result = invoke("run", spec, "--plan")
    assert result.exit_code == 2
    assert "horizn" in result.stderr


def test_json_of_a_run_has_its_place_findings_and_figures(spec: Path, invoke: Invoke, pipeline: dict[str, Any]) -> None:
    result = invoke("run", spec, "--json", "--folder", "there")
    answer = json.loads(result.stdout)
    assert (answer["folder"], answer["page"], answer["exit_code"]) == ("there", "there/index.html", result.exit_code)
    assert {each["strategy"] for each in answer["strategies"]} == {"SmaCross"}
    assert answer["strategies"][0]["probability_of_loss"]["value"] == 0.375
