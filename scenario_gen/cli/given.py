"""The ``check`` command: paths of any generator against the history that they continue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperCommand

from scenario_gen.cli.manners import GATE_FAILED, USER_MISTAKE, Argument, AsJson, Optional, Quiet, say, say_json
from scenario_gen.errors import SpecError
from scenario_gen.execute.section import place_of
from scenario_gen.market.section import Market
from scenario_gen.reading.yaml import parse_yaml
from scenario_gen.spec.models import MAX_CONTEXT, MAX_SEED

if TYPE_CHECKING:
    from scenario_gen.store.reports import AnyReport, AssetsReport, BacktestReport, CheckReport
    from scenario_gen.store.results import StressRun

CHECK_EXIT_CODES = (
    "Exit codes: 0 nothing fails; 4 a gate fails; 2 a mistake in the arguments, the paths or the reference, or a "
    "reference that could judge nothing; 1 a defect of scenario-gen (with a traceback)."
)

# the options of a market and of an account, as sections of a spec name them
References = Annotated[
    list[str],
    Optional(help="The history that they continue: a file, sp500 or nasdaq; NAME=HISTORY for each of several assets."),
]
TickSize = Annotated[float | None, Optional(min=0.0, help="Price step that all prices keep to.")]
LotSize = Annotated[float | None, Optional(min=0.0, help="Step of the volume column.")]
PriceLimit = Annotated[
    float | None, Optional(min=0.0, max=1.0, help="0.1: no price further from the session's last close.")
]
VolumeUnit = Annotated[float | None, Optional(min=0.0, help="amount = volume x unit x price.")]
TrainingData = Annotated[
    list[str] | None, Optional(help="A history that the generator was trained on; may be repeated.")
]
ResamplesHistory = Annotated[
    bool, typer.Option("--resamples-history", help="The generator is a bootstrap: do not judge it for copying.")
]
LimitPairs = Annotated[list[str] | None, Optional(metavar="NAME=VALUE ...", help="As in a spec: max_drawdown=0.25.")]
AccountPairs = Annotated[
    list[str] | None, Optional(metavar="NAME=VALUE ...", help="Its rules, as in a spec: target=0.1 max_loss=0.1.")
]
ContextHistory = Annotated[str | None, Optional(help="The history that the paths continue: a file, sp500 or nasdaq.")]
BrokerPairs = Annotated[list[str] | None, Optional(metavar="NAME=VALUE ...", help="As in a spec: fees=5bp fill=close.")]


def checked_place(value: str | None) -> str | None:
    """Refuse what names no place where work can be done.

    Raises:
        typer.BadParameter: with what names one.
    """
    try:
        return value if value is None or place_of(value) else None
    except SpecError as error:
        raise typer.BadParameter(f"{error.problem}, expected {error.expected}") from None


Junit = Annotated[Path | None, Optional(metavar="FILE", dir_okay=False, help="Write findings as JUnit XML, too.")]
On = Annotated[
    str | None, Optional(help="Where to compute: local, processes, processes:4, ray or ray:8.", callback=checked_place)
]


def check(
    paths: Annotated[Path, Argument(metavar="PATHS", help="Paths: a Parquet or CSV file.")],
    reference: References,
    context_end: Annotated[
        str | None, Optional(help="The last bar before the paths; default: found from their stamps.")
    ] = None,
    tick_size: TickSize = None,
    lot_size: LotSize = None,
    price_limit: PriceLimit = None,
    volume_unit: VolumeUnit = None,
    calendar: Annotated[str | None, Optional(help="XNYS, 24/7, ...: whose sessions the stamps keep to.")] = None,
    training: TrainingData = None,
    resamples_history: ResamplesHistory = False,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of random groups, controls and splits.")] = 0,
    junit: Junit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check paths of any generator: valid candles, stylized facts, copies, diversity.

    PATHS has the columns path, timestamp, open, high, low, close and, where
    there is one, volume; what paths.keep: paths writes is read too. All paths have
    the same number of bars. They are compared with real windows of the
    reference, none of them after the context's end.

    Paths of several assets have a column asset. Each asset is checked against
    its own history, and how they move together against the bars that all
    histories share.

    For example:

      scenario-gen check reports/mine/paths/base.parquet --reference sp500

      scenario-gen check paths.csv --reference history.csv --context-end 2024-05-10 --json

      scenario-gen check bootstrap.parquet --reference history.csv --resamples-history

      scenario-gen check paths.csv --reference shares.csv --tick-size 0.01 --lot-size 100

      scenario-gen check two.parquet --reference SPX=sp500 --reference IXIC=nasdaq
    """
    market = _market(tick_size=tick_size, lot_size=lot_size, price_limit=price_limit, volume_unit=volume_unit)
    from scenario_gen.cli.manners import choose_progress
    from scenario_gen.pipeline.given.check_assets import check_given

    report = check_given(
        paths,
        reference,
        context_end=context_end,
        market=market,
        calendar=calendar,
        training=training or (),
        resamples_history=resamples_history,
        seed=seed,
        progress=choose_progress(quiet=quiet or as_json),
    )
    tell_ci(junit, f"check {paths.name}", report)
    _show(report, as_json=as_json)
    raise typer.Exit(_exit_code(report))


def _market(**given: float | None) -> Market:
    """Return what the exchange allows; refuse what a spec's market section would refuse."""
    try:
        return Market.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise typer.BadParameter(f"got {first['input']:g}: {first['msg'].lower()}", param_hint=option) from None


def tell_ci(junit: Path | None, name: str, report: AnyReport | StressRun) -> None:
    """Write what a report found as JUnit XML, where a file is named."""
    if junit is not None:
        from scenario_gen.report.junit import junit_of_report, write_junit

        write_junit(junit, junit_of_report(name, report))


def _show(report: CheckReport | AssetsReport, *, as_json: bool) -> None:
    if as_json:
        return say_json(report)
    from scenario_gen.cli.show import show_assets, show_check
    from scenario_gen.store.reports import CheckReport

    return show_check(report) if isinstance(report, CheckReport) else show_assets(report)


def _exit_code(report: CheckReport | AssetsReport) -> int:
    """Return 4 where a gate fails, and 2 rather than 0 where nothing could be judged: that is no pass."""
    if report.failed:
        return GATE_FAILED
    if not report.compared:
        say(
            f"nothing could be judged but the candle rules: {report.obstacle}\n"
            "  to do:    bring a longer history, or longer paths",
            err=True,
        )
        return USER_MISTAKE
    return 0


# ``name=value`` words of a command line: one option takes several of them, and a value may be a list


_PAIR = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_OPTIONS = ("--params", "--limits", "--broker", "--account")


class PairsCommand(TyperCommand):
    """A command whose options of pairs go on over several words: ``--params fast=10,20 slow=50``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further pair, as the parser wants it."""
        return super().parse_args(ctx, repeated(args))


def repeated(args: Sequence[str]) -> list[str]:
    """Return the words with ``--params a=1 b=2`` as ``--params a=1 --params b=2``."""
    words: list[str] = []
    option, filled = "", False
    for word in args:
        if option and filled and _PAIR.fullmatch(word):
            words += [option, word]
            continue
        words.append(word)
        if word in _OPTIONS:
            option, filled = word, False
        elif option and not filled:
            filled = True
        else:
            option = ""
    return words


def read_pairs(words: Iterable[str], option: str, *, lists: bool = False) -> dict[str, Any]:
    """Return names and values; ``10,20`` is a list where lists may stand.

    Raises:
        typer.BadParameter: a word is no pair, or a name is there twice.
    """
    pairs: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not (sign and name.isidentifier() and text.strip()):
            raise typer.BadParameter(f"got {word!r}, expected name=value, e.g. fast=10", param_hint=option)
        if name in pairs:
            raise typer.BadParameter(f"{name} is there twice; write {name}=10,20 for a list", param_hint=option)
        parts = text.split(",") if lists else [text]
        values = [_value(part.strip()) for part in parts]
        pairs[name] = values[0] if len(values) == 1 else values
    return pairs


def _value(text: str) -> Any:
    """Return a number, true, false, null or text, as a spec would read it."""
    try:
        value = parse_yaml(text, "").values
    except SpecError:  # no YAML: plain text, as a shell hands it over
        return text
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value if isinstance(value, bool | int | float | None) else text


# The ``backtest`` command: strategies on given paths of any generator


BACKTEST_EXIT_CODES = (
    "Exit codes: 0 done; 3 a declared limit is breached; 4 a strategy looks ahead (3 where both are so); 2 a mistake "
    "in the arguments, the spec, the data or a strategy (with what was expected and what to do); 1 a defect of "
    "scenario-gen (with a traceback); 130 interrupted."
)


def backtest(
    paths: Annotated[Path, Argument(metavar="PATHS", help="Paths: a Parquet or CSV file.")],
    strategy: Annotated[list[str], Optional(metavar="FILE.py:NAME", help="What to run; may be repeated.")],
    params: Annotated[
        list[str] | None,
        Optional(
            metavar="NAME=VALUE ...",
            help="Its parameters; fast=10,20 tries both. Of several strategies each takes those that it knows.",
        ),
    ] = None,
    context: ContextHistory = None,
    context_end: Annotated[str | None, Optional(help="Its last bar to use, where it goes on beside the paths.")] = None,
    context_bars: Annotated[
        int, typer.Option(min=1, max=MAX_CONTEXT, help="How many of its last bars the strategies see.")
    ] = 256,
    limits: LimitPairs = None,
    broker: BrokerPairs = None,
    account: AccountPairs = None,
    bars_per_year: Annotated[
        float | None, Optional(min=1, max=1e7, help="To annualise with; default: the calendar's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of random entries and bootstrap intervals.")] = 0,
    junit: Junit = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run strategies on given paths of any generator, and judge them.

    PATHS has the columns path, timestamp, open, high, low, close and, where
    there is one, volume; what paths.keep: paths writes is read too. All paths have
    the same stamps. Strategies see the last bars of the context before them.

    For example:

      scenario-gen backtest paths.parquet --strategy strategies/sma_cross.py:SmaCross

      scenario-gen backtest paths.csv --strategy my.py:Rule --params fast=10,20 slow=50 --context history.csv

      scenario-gen backtest paths.parquet --strategy my.py:Rule --limits max_drawdown=0.2 --json
    """
    from scenario_gen.cli.manners import choose_progress, leave
    from scenario_gen.pipeline.given.backtest import backtest_paths

    report = backtest_paths(
        paths,
        _uses(strategy, read_pairs(params or (), "--params", lists=True)),
        context=context,
        context_end=context_end,
        context_bars=context_bars,
        broker=read_pairs(broker or (), "--broker"),
        limits=read_pairs(limits or (), "--limits"),
        account=read_pairs(account, "--account") if account else None,
        bars_per_year=bars_per_year,
        seed=seed,
        progress=choose_progress(quiet=quiet or as_json),
    )
    tell_ci(junit, f"backtest {paths.name}", report)
    _show_backtest(report, as_json=as_json)
    raise typer.Exit(leave(report.findings))


def _uses(strategies: list[str], params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what to run; of several strategies each gets the parameters that it has."""
    if len(strategies) == 1 or not params:
        return [{"use": use, "params": params} for use in strategies]
    from dataclasses import fields

    from scenario_gen.backtest.loader import load_strategy

    known = [{field.name for field in fields(load_strategy(use, Path.cwd()))} for use in strategies]
    if unknown := set(params) - set().union(*known):
        raise typer.BadParameter(
            f"none of the strategies has a parameter {', '.join(sorted(unknown))}; they have: "
            f"{', '.join(sorted(set().union(*known)))}",
            param_hint="--params",
        )
    return [
        {"use": use, "params": {name: value for name, value in params.items() if name in names}}
        for use, names in zip(strategies, known, strict=True)
    ]


def _show_backtest(report: BacktestReport, *, as_json: bool) -> None:
    if as_json:
        return say_json(report)
    from scenario_gen.cli.show import show_backtest

    return show_backtest(report)
