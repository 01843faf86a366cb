"""Loading strategies by ``file.py:Name`` and unfolding their parameter grids.

Owns how a user's file is found, executed and questioned; knows nothing of bars or money.
"""

from __future__ import annotations

import dataclasses
import hashlib
import linecache
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from scenario_gen.backtest.positions import read_positions
from scenario_gen.backtest.reads import Reads
from scenario_gen.backtest.strategy import METHODS
from scenario_gen.backtest.uses import (
    StrategyUse,
    described,
    hint,
    label,
    names_a_class,
    names_a_table,
    sets_of_class,
    split_use,
    with_use,
)
from scenario_gen.errors import SpecError, StrategyError
from scenario_gen.progress import Progress
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import find_file, places


def shown(file: Path) -> str:
    """Return a path as a person would write it: relative to the current directory where it lies below it."""
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file)


def user_error(error: BaseException, file: Path, doing: str, *, fix: str = "") -> StrategyError:
    """Return a StrategyError that names the exception and the last line of ``file`` that led to it.

    Args:
        error: what the user's code raised.
        file: the user's strategy file.
        doing: what was going on, e.g. ``"SmaCross.signals raised"``.
        fix: what to do, where it is not to mend that line.
    """
    line, source = _last_line_in(file, error)
    where = f"{shown(file)}, line {line}" if line else shown(file)
    problem = f"{doing} {type(error).__name__}: {error}\n  at {where}"
    if source:
        problem += f"\n    {source}"
    mend = "mend that line and run again" if source else f"mend {shown(file)} and run again"
    return StrategyError(problem, fix=fix or mend)


def _last_line_in(file: Path, error: BaseException) -> tuple[int | None, str]:
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno, (error.text or "").strip()
    linecache.checkcache(str(file))
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if os.path.normcase(frame.filename) == os.path.normcase(str(file))]
    return (mine[-1].lineno, (mine[-1].line or "").strip()) if mine else (None, "")


# --- Loading strategies by ``file.py:Name`` and unfolding their parameter grids ---


@dataclass(frozen=True)
class LoadedStrategy:
    """One strategy with one set of parameters, ready to run.

    Pickles as its reference and parameters: another process executes the user's file again, once for all sets.
    """

    name: str  # for a person to read, e.g. ``SmaCross(fast=10, slow=50)``; unique within a grid.
    use: str  # ``file.py:Name`` as the spec wrote it
    params: dict[str, Any]  # every field of the dataclass, defaults included
    instance: Any  # the user's object
    file: Path  # the user's file, absolute
    # what its code has read so far, one for all sets of an entry; a strategy of this package's own reads nothing
    reads: Reads = dataclasses.field(default_factory=lambda: Reads(Path(__file__)), compare=False)
    where: str | None = None  # the condition that its entry puts on parameters

    def __reduce__(self) -> tuple[Callable[..., LoadedStrategy], tuple[Any, ...]]:
        reads = self.reads if self.reads.file == self.file else Reads(self.file)
        return _reload, (self.name, self.use, self.params, reads, type(self.instance).__name__, self.where)


@dataclass(frozen=True)
class Dropped:
    """A combination of a grid that the strategy itself refused."""

    name: str  # the combination, e.g. ``SmaCross(fast=50, slow=20)``.
    reason: str  # the message of the strategy's ValueError


@dataclass(frozen=True)
class Expansion:
    """The strategies that one entry of the spec unfolds to, and the combinations that do not run."""

    strategies: tuple[LoadedStrategy, ...]  # those that run
    dropped: tuple[Dropped, ...] = ()  # those that the strategy itself refused
    excluded: int = 0  # how many the entry's own ``where`` left out

    def __iter__(self) -> Iterator[LoadedStrategy]:
        return iter(self.strategies)

    def __len__(self) -> int:
        return len(self.strategies)

    def __getitem__(self, place: int) -> LoadedStrategy:
        return self.strategies[place]


def load_strategy(reference: str, base: Path) -> type:
    """Return the class that ``file.py:Name`` names.

    The file is looked up relative to ``base`` (the spec's folder), then to the current directory.

    Raises:
        StrategyError: the reference, the file or the class is not usable.
    """
    path, name = _split(reference)
    return _class_in(Reads(_find(path, base)), name)


def expand(use: StrategyUse, base: Path) -> Expansion:
    """Return one strategy per combination of the listed parameter values.

    A combination of a grid that ``__post_init__`` refuses with a ValueError is dropped and reported in
    ``dropped``; a single set that is refused is an error, and so is a grid of which nothing is left.

    Raises:
        StrategyError: the class or its parameters are not usable.
        SpecError: a table of holdings is not usable.
    """
    if names_a_table(use.use):
        return Expansion((_holdings(use.name or "", use.use, Reads(_find(use.use, base))),))
    path, class_name = _split(use.use)
    file = _find(path, base)
    reads = Reads(file)
    cls = _class_in(reads, class_name)
    sets = sets_of_class(cls, use.params, use.where)
    kept: list[LoadedStrategy] = []
    dropped: list[Dropped] = []
    for params in sets:
        try:
            instance = _instance(cls, params, reads)
        except ValueError as error:
            if len(sets) == 1:
                doing = f"{label(cls.__name__, params)} raised"
                raise user_error(error, file, doing, fix=f"correct the params of {use.use}") from error
            dropped.append(Dropped(label(cls.__name__, params), str(error)))
            continue
        complete = described(instance)
        name = use.name if use.name and len(sets) == 1 else label(use.name or cls.__name__, complete)
        kept.append(LoadedStrategy(name, use.use, complete, instance, file, reads, use.where))
    if not kept:
        raise StrategyError(
            f"{cls.__name__} refused all {len(sets)} combinations of its grid: {dropped[-1].reason}",
            expected="at least one combination that the strategy accepts",
            fix=f"correct the params of {use.use}",
        )
    return Expansion(tuple(kept), tuple(dropped), use.listed - len(sets))


def _holdings(name: str, use: str, reads: Reads) -> LoadedStrategy:
    """Return a table of holdings as a strategy."""
    with reads.watched():
        positions = read_positions(reads.file, use)
    return LoadedStrategy(name or f"Positions({reads.file.name})", use, {}, positions, reads.file, reads)


Use: TypeAlias = LoadedStrategy | StrategyUse | Mapping[str, Any] | str


def load_all(strategies: Use | Sequence[Use], base: Path) -> tuple[list[LoadedStrategy], tuple[Dropped, ...]]:
    """Return every strategy of one entry or several, and what of their grids was dropped.

    Raises:
        SpecError: there is none, or one is there twice.
        StrategyError: a file, class or parameter cannot be used.
    """
    uses = [strategies] if isinstance(strategies, str | Mapping | StrategyUse | LoadedStrategy) else strategies
    loaded: list[LoadedStrategy] = []
    dropped: tuple[Dropped, ...] = ()
    for use in uses:
        if isinstance(use, LoadedStrategy):
            loaded.append(use)
            continue
        expansion = expand(_use(use), base)
        loaded += expansion.strategies
        dropped += expansion.dropped
    names = [one.name for one in loaded]
    if not names:
        raise SpecError("no strategy was given", expected="at least one, such as strategies/sma_cross.py:SmaCross")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"the strategy {twice} is there twice", expected="each strategy with each parameter set once")
    return loaded, dropped


def _use(use: StrategyUse | Mapping[str, Any] | str) -> StrategyUse:
    if isinstance(use, StrategyUse):
        return use
    return section_of(StrategyUse, {"use": use} if isinstance(use, str) else with_use(use), "strategies")


def method_of(strategy: LoadedStrategy) -> str:
    """Return the first of ``METHODS`` that the strategy has: the one that is asked."""
    return next(name for name in METHODS if callable(getattr(strategy.instance, name, None)))


def _split(reference: str) -> tuple[str, str]:
    if not names_a_class(reference):
        raise StrategyError(
            f"{reference!r} does not name a strategy",
            expected="file.py:ClassName, e.g. strategies/sma_cross.py:SmaCross",
            fix="correct 'use'",
        )
    return split_use(reference)


def _find(path: str, base: Path) -> Path:
    found = find_file(path, base, parent=True)
    if found is not None:
        return found
    folders = places(base, parent=True)
    siblings = {file.name for folder in folders for file in (folder / path).parent.glob("*.py")}
    raise StrategyError(
        f"there is no strategy file {path!r}",
        expected=" or ".join(dict.fromkeys(shown(folder / path) for folder in folders)),
        fix=hint(Path(path).name, sorted(siblings)) + "the path is relative to the spec's folder",
    )


def _class_in(reads: Reads, name: str) -> type:
    file, module = reads.file, _execute(reads)
    cls = getattr(module, name, None)
    own = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
    if not isinstance(cls, type):
        raise StrategyError(
            f"{shown(file)} has no class {name!r}",
            expected=", ".join(own) or "a class; there is none in the file",
            fix=hint(name, own) + "the part after the colon is the name of a class",
        )
    if not dataclasses.is_dataclass(cls):
        raise StrategyError(
            f"{name} in {shown(file)} is not a dataclass",
            expected="a dataclass: its fields are the strategy's parameters",
            fix="put @dataclass(frozen=True) above the class",
        )
    if not any(callable(getattr(cls, method, None)) for method in METHODS):
        raise StrategyError(
            f"{name} in {shown(file)} has none of the methods of a strategy",
            expected="signals(self, bars), weights(self, bars) or portfolio(self, bars, broker)",
            fix="add one of them; strategies/sma_cross.py is an example",
        )
    return cls


def _execute(reads: Reads) -> types.ModuleType:
    """Execute a strategy file as a module of its own, named by its full path.

    The source is compiled here and not imported, so that an edited file is never served from a stale cache
    and two files of the same name do not meet in ``sys.modules``. It is registered there because dataclasses
    and type hints look their module up.
    """
    file = reads.file
    name = f"scenario_gen_strategy_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    module = types.ModuleType(name)
    module.__file__ = str(file)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with reads.watched():
            exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise user_error(error, file, f"{shown(file)} does not import:") from error
    reads.note_modules(module)
    return module


def _instance(cls: type, params: dict[str, Any], reads: Reads) -> Any:
    """Call the class; a ValueError passes through, anything else is the user's mistake."""
    try:
        with reads.watched():
            return cls(**params)
    except ValueError:
        raise
    except (Exception, SystemExit) as error:
        raise user_error(error, reads.file, f"{label(cls.__name__, params)} raised") from error


def _reload(
    name: str, use: str, params: dict[str, Any], reads: Reads, class_name: str, where: str | None = None
) -> LoadedStrategy:
    if names_a_table(use):
        again = _holdings(name, use, reads)
    else:
        cls = reads.classes.get(class_name) or _class_in(reads, class_name)
        reads.classes[class_name] = cls
        again = LoadedStrategy(name, use, params, _instance(cls, params, reads), reads.file, reads, where)
    if changed := reads.adopt():
        raise changed_meanwhile(name, changed[0])
    return again


def changed_meanwhile(name: str, file: Path) -> StrategyError:
    """Return the refusal of a strategy that read a file which is not as it was: one run would be of two strategies."""
    return StrategyError(
        f"{name} read {shown(file)}, which was changed while the run was going on",
        expected="files that stay as they are until the run ends",
        fix="run again",
    )


def load_strategies(uses: Sequence[StrategyUse], base: Path, progress: Progress) -> list[LoadedStrategy]:
    """Load every strategy with every parameter set; combinations that a strategy refuses are told.

    Raises:
        StrategyError: a file, class or parameter cannot be used.
    """
    loaded: list[LoadedStrategy] = []
    for use in uses:
        expansion = expand(use, base)
        loaded += expansion.strategies
        if expansion.excluded:
            progress.note(f"{use.use}: {expansion.excluded} combinations do not meet where: {use.where}")
        for dropped in expansion.dropped:
            progress.note(f"left out {dropped.name}: {dropped.reason}")
    return loaded
