"""The commands ``validate`` and ``init``, and ``run --plan``: what a spec would run, and one to start from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.cli.manners import USER_MISTAKE, Argument, AsJson, choose_progress, say, say_json
from scenario_gen.errors import ScenarioError, SpecError, StrategyError
from scenario_gen.market.presets import PRESETS
from scenario_gen.market.section import Filled
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.spec.models import ResolvedScenario, ScenarioSpec

if TYPE_CHECKING:
    from scenario_gen.cli.answers import ValidatedSpec
    from scenario_gen.pipeline.plan.foretell import Between
    from scenario_gen.pipeline.plan.plan import RunPlan


def validate(
    specs: Annotated[list[Path] | None, Argument(metavar="SPEC", help="YAML specs.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a spec.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check specs without running them, and say what they would run.

    Takes a moment: neither data nor a model is loaded. Strategy files are imported, so their code runs.
    Every mistake is listed, with its file, line and field.

    For example:

      scenario-gen validate scenarios/*.yaml

      scenario-gen validate --schema > spec.schema.json
    """
    if schema:
        print_schema()
    elif not specs:
        raise typer.BadParameter("name at least one spec, or give --schema", param_hint="SPEC")
    raise typer.Exit(validate_all(specs or [], as_json=as_json and not schema))


def init(
    what: Annotated[str, typer.Argument(metavar="[spec|strategy]", help="What to write.", show_default=True)] = "spec",
    name: Annotated[
        str | None, Argument(metavar="[FOLDER|NAME]", help="The spec's folder, or the strategy's name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented spec and a commented strategy to start from; nothing is overwritten.

    For example:

      scenario-gen init                      scenario.yaml and my_strategy.py, here

      scenario-gen init demo                 the same, in the folder demo

      scenario-gen init strategy MeanRevert  only a strategy: mean_revert.py, here
    """
    files, advice = write_start(what, name)
    if as_json:
        from scenario_gen.cli.answers import Written

        say_json(Written([str(file) for file in files], advice))
    else:
        say(f"wrote {' and '.join(map(str, files))}\nnext: {advice}")


# --- The ``validate`` command's work ---


def validate_all(specs: Iterable[Path], *, as_json: bool = False) -> int:
    """Print a summary of each spec, or its mistakes (to stderr); return the exit code: 0, or 2 if any is wrong.

    With ``as_json`` one object says both.
    """
    read: list[tuple[Path, LoadedSpec | ScenarioError]] = []
    for path in specs:
        try:
            loaded = load_spec(path)
            _try_strategies(loaded)
            read.append((path, loaded))
            if not as_json:
                say(summary(loaded))
        except ScenarioError as error:
            read.append((path, error))
            say(str(error), err=True)
    if as_json:
        from scenario_gen.cli.answers import Validated

        say_json(Validated([_validated(path, outcome) for path, outcome in read]))
    return USER_MISTAKE if any(isinstance(outcome, ScenarioError) for _, outcome in read) else 0


def _validated(path: Path, outcome: LoadedSpec | ScenarioError) -> ValidatedSpec:
    """Return a spec that was read, or why it cannot be, for JSON."""
    from scenario_gen.cli.answers import ValidatedScenario, ValidatedSpec

    if isinstance(outcome, ScenarioError):
        mistake = (outcome.problem, outcome.expected, outcome.fix)
        return ValidatedSpec(str(path), False, "", [], [], 0, "", *mistake)
    spec = outcome.spec
    scenarios = [
        ValidatedScenario(each.name, each.role, each.paths.count, each.bars.horizon, _scenario_words(each))
        for each in spec.scenarios
    ]
    strategies = [use.display_name for use in spec.strategies]
    page = f"{spec.report.folder.rstrip('/')}/index.html"
    return ValidatedSpec(str(path), True, spec.name, scenarios, strategies, _sizes(spec)[2], page, "", "", "")


def _sizes(spec: ScenarioSpec) -> tuple[int, int, int]:
    """Return how many paths, bars and backtests a spec asks for."""
    sampled = [each for each in spec.scenarios if each.replay is None and each.reweight is None]
    paths = sum(each.paths.count for each in sampled)
    bars = sum(each.paths.count * each.bars.horizon for each in sampled)
    futures = paths // max(1, len(spec.assets))  # one path of each asset
    return paths, bars, futures * sum(use.listed for use in spec.strategies)


TRY = """
import json, sys
given = json.load(sys.stdin)
sys.path[:] = given["path"]
from pathlib import Path
from scenario_gen.backtest.loader import expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import ScenarioError
try:
    for use in given["uses"]:
        expand(StrategyUse.model_validate(use), Path(given["base"]))
except ScenarioError as error:
    sys.exit(json.dumps([error.problem, error.expected, error.fix]))
print("tried")
"""


def _try_strategies(loaded: LoadedSpec) -> None:
    """Import every strategy of a spec, in a process of its own: this one stays light, and whole whatever they do.

    Raises:
        StrategyError: a strategy does not import, or refuses its parameters.
    """
    import json
    import subprocess
    import sys

    uses = [use.model_dump(mode="json") for use in loaded.spec.strategies]
    given = json.dumps({"path": sys.path, "uses": uses, "base": str(loaded.base)})
    tried = subprocess.run(
        [sys.executable, "-c", TRY], input=given, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if tried.returncode == 0 and tried.stdout.rstrip().endswith("tried"):
        return
    try:
        problem, expected, fix = json.loads(tried.stderr.strip().splitlines()[-1])
    except (ValueError, IndexError):  # it left the process, or something native crashed
        problem = f"importing the strategies of {loaded.filename} ended the process with exit code {tried.returncode}"
        expected, fix = "strategies that leave the process alone", "look for os._exit, or a library that crashes"
    raise StrategyError(f"{loaded.filename}: {problem}", expected=expected, fix=fix)


def print_schema() -> None:
    """Print the JSON schema of a spec file."""
    import json

    from scenario_gen.spec.loader import spec_schema

    say(json.dumps(spec_schema(), indent=2))


def summary(loaded: LoadedSpec) -> str:
    """Return what a spec would run: its scenarios, strategies and sizes."""
    spec = loaded.spec
    sets = sum(use.listed for use in spec.strategies)
    sampled = [one for one in spec.scenarios if one.replay is None and one.reweight is None]
    paths, bars, backtests = _sizes(spec)
    lines = [f"{loaded.filename}: valid ({spec.name})"]
    alone = [f"  {one.role:<9} {one.name}: {_scenario_words(one)}" for one in spec.scenarios if not one.asset]
    lines += alone or _book_lines(spec)
    lines += preset_lines(spec)
    lines += [f"  strategy  {use.display_name}{_grid_words(use)}" for use in spec.strategies]
    tried = f"{sets} parameter set{'s' * (sets != 1)}"
    futures = paths // max(1, len(spec.assets))  # one path of each asset
    made = f"{paths:,} paths" if alone else f"{paths:,} paths of {futures:,} futures"
    lines.append(f"  in all    {made}, {bars:,} bars, {backtests:,} backtests ({tried})")
    if any(one.event is not None or one.portfolio is not None for one in sampled):
        lines.append("            and the branched paths of events that are too rare for plain ones")
    lines.append(f"  report    {spec.report.folder.rstrip('/')}/index.html")
    return "\n".join(lines)


def _book_lines(spec: ScenarioSpec) -> list[str]:
    """Return a line per scenario of several assets, and one per asset."""
    first = {one.future: one for one in reversed(spec.scenarios)}
    lines = []
    for name, one in reversed(first.items()):
        seen = f"{one.paths.count:,} futures x {one.bars.horizon} bars from {one.bars.context} bars of each asset"
        words = "; ".join([one.generator.in_words, *(shock.in_words for shock in one.shocks)])
        words += "" if one.portfolio is None else f"; how rare: {one.portfolio.in_words}"
        lines.append(f"  {one.role:<9} {name}: {seen}, {words}")
    for asset, data in {one.asset: one.data for one in spec.scenarios[: len(spec.assets)]}.items():
        lines.append(f"  asset     {asset}: {data.place}{'' if data.end is None else f' to {data.end}'}")
    return lines


def preset_lines(spec: ScenarioSpec) -> list[str]:
    """Return what presets filled, each set once, with the scenarios that have it, its dates and its sources."""
    sets: dict[tuple[str, tuple[Filled, ...]], list[str]] = {}
    for one in spec.scenarios:
        if one.market.preset is not None:
            sets.setdefault((one.market.preset, one.filled), []).append(one.name)
    lines = []
    for (preset, filled), scenarios in sets.items():
        of = "" if len(sets) == 1 and len(scenarios) == len(spec.scenarios) else f" of {', '.join(scenarios)}"
        known = PRESETS[preset]
        lines.append(f"  market    {preset}{of}: rules of {known.title}, looked up on {known.as_of}")
        lines += [f"            {each.in_words}" for each in filled]
        lines.append(f"            left out: {known.left_out}")
    return lines


def _scenario_words(scenario: ResolvedScenario) -> str:
    if scenario.reweight is not None:
        views = "; ".join(view.in_words for view in scenario.views)
        return f"the paths of {scenario.reweight}, weighed by views: {views}"
    end = f" to {scenario.data.end}" if scenario.data.end is not None else ""
    if scenario.context is not None:
        end = f"{'' if scenario.context.moves_end else end} {scenario.context.in_words}"
    history = f"{scenario.data.place}{end}"
    if scenario.replay is not None:
        return f"{scenario.replay.in_words} after {history}, {scenario.generator.in_words}"
    seen = f"{scenario.bars.horizon} bars from {scenario.bars.context} bars of {history}"
    shocks = "".join(f"; {shock.in_words}" for shock in scenario.shocks)
    event = "" if scenario.event is None else f"; how rare: {scenario.event.in_words}"
    jitter = "" if scenario.jitter is None else "; sloppy execution"
    return f"{scenario.paths.count:,} paths x {seen}, {scenario.generator.in_words}{shocks}{event}{jitter}"


def _grid_words(use: StrategyUse) -> str:
    values = ", ".join(f"{name}={value}" for name, value in use.params.items())
    many = f": {use.listed} parameter sets" if use.listed > 1 else ""
    return (f" ({values})" if values else "") + many


# --- ``run --plan``: what the run would cost, by trying it in small ---


def show_plan(
    spec: Path,
    folder: str | None,
    device: str | None,
    paths: int | None,
    *,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    shard: str | None,
    on: str | None,
) -> None:
    """Print what a run would do and cost.

    Raises:
        ScenarioError: as the run itself; or a plan of one shard is asked for.
    """
    if shard is not None:
        raise SpecError(
            "--plan together with --shard", expected="one of them", fix="plan the whole run: a shard is its share"
        )
    loaded = load_spec(spec)
    from scenario_gen.pipeline import plan_spec

    progress = choose_progress(quiet=quiet)
    planned = plan_spec(
        loaded, folder=folder, device=device, paths=paths, overwrite=overwrite, progress=progress, on=on
    )
    if as_json:
        say_json(planned)
    else:
        say("\n".join(plan_lines(planned)))


def plan_lines(plan: RunPlan) -> list[str]:
    """Return a plan in words."""
    from scenario_gen.pipeline.plan.foretell import lasting

    lines = [f"{plan.name}: what a run would do{' that goes on' if plan.resumes else ''}, in {plan.folder}"]
    for each in plan.scenarios:
        done = f", {each.finished_blocks} of them finished" if each.finished_blocks else ""
        past = f"; forecasts the past from {each.origins} origins" if each.origins else ""
        blocks = f"{each.blocks:,} block{'s' * (each.blocks != 1)}"
        took = f" of {each.seconds_per_block:.2f} s" if each.blocks else ""
        lines.append(
            f"  {each.role:<9} {each.name}: {each.paths:,} paths x {each.bars} bars, {blocks}{took}{done}{past}"
        )
    lines.append(f"  strategy  {len(plan.strategies)} parameter set{'s' * (len(plan.strategies) != 1)}")
    device = ", ".join(f"{key} {value}" for key, value in plan.device.items())
    parts = "; ".join(f"{name} {lasting(span)}" for name, span in plan.seconds_of.items() if span.high >= 0.1)
    lines += [
        f"  device    {device}",
        f"  time      {lasting(plan.seconds)}, on this machine as busy as it is now ({parts})",
        f"  disk      {_bytes(plan.disk_bytes)} in the end; {plan.free_bytes / 2**30:,.1f} GiB are free",
        f"  memory    {_bytes(plan.memory_bytes)} at the peak of the process",
    ]
    return lines + [f"  note      {note}" for note in plan.notes]


def _bytes(size: Between) -> str:
    unit, name = (2**30, "GiB") if size.high >= 2**30 else (2**20, "MiB")
    low, high = size.low / unit, size.high / unit
    digits = 0 if high >= 10 else 1
    return f"{low:,.{digits}f} to {high:,.{digits}f} {name}"


# The ``init`` command's work: copying the templates, and never over a file that is there


def write_start(what: str, name: str | None) -> tuple[list[Path], str]:
    """Write a spec with a strategy, or a strategy alone; return the files, and what to do next.

    Args:
        what: ``spec``, ``strategy``, or a folder (then ``name`` is None).
        name: the spec's folder (default: the current one), or the strategy's name.

    Raises:
        ScenarioError: a file is there already, or the name cannot be a class.
    """
    if what == "strategy":
        return _write_strategy(name)
    if what != "spec" and name is not None:
        raise ScenarioError(
            f"got {what!r} {name!r}",
            expected="spec [FOLDER], strategy NAME, or a folder alone",
            fix="scenario-gen init --help shows examples",
        )
    folder = Path((name or ".") if what == "spec" else what)
    spec, strategy = folder / "scenario.yaml", folder / "my_strategy.py"
    _write({spec: _template("scenario.yaml"), strategy: _template("strategy.py")})
    return [spec, strategy], f"scenario-gen run {spec}"


def _write_strategy(name: str | None) -> tuple[list[Path], str]:
    class_name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\s-]+", name or ""))
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", class_name):
        raise ScenarioError(
            f"got {name!r} as the strategy's name",
            expected="a name like MeanRevert or mean_revert",
            fix="scenario-gen init strategy MeanRevert",
        )
    file = Path(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower() + ".py")
    _write({file: _template("strategy.py").replace("MyStrategy", class_name)})
    return [file], f"name it in a spec as {file}:{class_name}"


def _template(name: str) -> str:
    return files("scenario_gen.cli").joinpath("templates", name).read_text(encoding="utf-8")


def _write(texts: dict[Path, str]) -> None:
    """Write all files or none of them."""
    for path in texts:
        if path.exists():
            raise ScenarioError(
                f"{path} is there already",
                expected="a folder without it: init overwrites nothing",
                fix="name another folder, or move the file away",
            )
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ScenarioError(
                f"{path} cannot be written: {error.strerror}", fix="name a folder that can be written"
            ) from None
