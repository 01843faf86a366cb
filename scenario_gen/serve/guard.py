"""What specs, checks and calibrations over the wire may name and cost; which files of the root may be asked for.

Everything is refused that was not allowed: a file, a strategy or a model lies in an allowed folder, links followed; a
source that asks the network was named when the server was started; a query over files, another place of computing and
a folder for the report belong to whoever runs the server. The spec is judged before any file that it names is opened,
so that no answer tells what lies outside.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenario_gen.errors import ScenarioError, SpecError, StoreError, StrategyError
from scenario_gen.files import user_path, write_bytes
from scenario_gen.generators.sections import BASELINES, NAMED_MODELS
from scenario_gen.market.containers import BUILT_IN
from scenario_gen.market.sources import SOURCES
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import find_file, nearest, shown
from scenario_gen.reading.yaml import MAX_BYTES, Where, parse_yaml
from scenario_gen.serve.jobs import JOBS
from scenario_gen.spec.loader import LoadedSpec, parse_spec

SPEC = "spec.yaml"  # what messages call a spec that came over the wire
HUB = "hub"  # beside the names of sources in ``network``: models may be fetched from the Hugging Face Hub
MAX_SIMULATED = 200_000_000  # bars of all paths of a spec
MAX_TABLE = 200_000_000  # bytes of a table that is checked, or of a history
MAX_CODE = 200_000  # bytes of a strategy
CODE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,60}\.py")
RUN_NAME = re.compile(r"[A-Za-z0-9_~][A-Za-z0-9._~ -]{0,119}")
RUN_FILE = re.compile(r"(metrics|candles|facts|paths/[a-z0-9_~.-]{1,80})\.parquet")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w.-]+)?")
_FILES = {"file": "data", "provider_uri": "data", "correlation": "data", "use": "strategies", "positions": "data"}
_MODELS = ("model", "tokenizer")
_NOT_OURS = {  # keys that belong to whoever runs the server
    "sql": "is a query over files of the server, which takes none over the wire; name a file in its place",
    "execute": "says where runs are computed, which this server decides; leave it out",
    "folder": "names a folder of the server, which puts runs where it wants; leave it out",
}


class Forbidden(ScenarioError):  # noqa: N818  what it is, over the wire
    """The server was not started so that this could be asked of it."""


@dataclass(frozen=True)
class Guard:
    """What specs may name.

    Attributes:
        root: folder of the runs.
        strategies, data, models: folders whose files specs may name, absolute or below the current folder.
        network: names of sources that may be asked for bars, and ``hub``.
        code: folder that takes strategies over the wire, which specs may then name; None: no code is taken.
        most: bars of all paths that a spec may simulate.
    """

    root: Path
    strategies: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    network: frozenset[str] = frozenset()
    code: Path | None = None
    most: int = MAX_SIMULATED

    def __post_init__(self) -> None:
        """Refuse a source that there is not.

        Raises:
            SpecError: with those that there are.
        """
        known = [name for name, source in SOURCES.items() if source.fetch is not None] + [HUB]
        for name in self.network:
            if name not in known:
                raise SpecError(f"got {shown(name)}{nearest(name, known)}", expected=f"of {', '.join(known)}")

    @property
    def base(self) -> Path:
        """The folder in which a job's spec lies."""
        return self.root.resolve() / JOBS

    def read(self, text: str) -> LoadedSpec:
        """Check a spec as the command line does, and hold it to what it may name and cost.

        Raises:
            SpecError: in the words of the command line, with every mistake's line.
        """
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise SpecError(
                f"{SPEC}: is larger than {MAX_BYTES // 1000} kB",
                expected="a YAML spec, which is a page of text",
                fix="check that this is the spec and not the data; name data as data.file inside the spec",
            )
        document = parse_yaml(text, SPEC)
        violations = Violations(document)
        for where, value in _named(document.values, ()):
            words = self._refusal(str(where[-1]), value)
            if words:
                violations.add(where, words)
        violations.raise_any()
        loaded = parse_spec(text, self.base, SPEC)
        bars = sum(each.paths.count * each.bars.horizon for each in loaded.spec.scenarios)
        self.refuse_more(bars, f"{SPEC}: ", "lower paths.count or bars.horizon, or run the spec on the command line")
        return loaded

    def refuse_more(self, bars: int, at: str = "", fix: str = "ask for fewer, or run it on the command line") -> None:
        """Refuse what would simulate more bars than this server takes.

        Raises:
            SpecError: it would.
        """
        if bars > self.most:
            words = f"{at}the paths have {bars:,} bars in all"
            raise SpecError(words, expected=f"at most {self.most:,}, which is what this server takes", fix=fix)

    def _refusal(self, key: str, value: Any) -> str:
        """Return why a value may not be named here; "" where it may, or where the loader says what is wrong with it."""
        if key == "execute":
            return "" if value in ({}, {"kind": "local"}) else _NOT_OURS[key]
        if key in _NOT_OURS:
            return _NOT_OURS[key]
        if not isinstance(value, str):
            return ""
        if key == "source":
            source = SOURCES.get(value)
            closed = source is not None and source.fetch is not None and value not in self.network
            return f"got {shown(value)}, which this server may not ask; {self._sources()}" if closed else ""
        if key in _MODELS:
            return self._refused_model(value)
        kind = _FILES[key]
        folders = self._folders(kind)
        name = value.rpartition(":")[0] or value if key == "use" else value
        return "" if self._inside(name, folders) else _outside(value, kind, folders)

    def _sources(self) -> str:
        known = [name for name, source in SOURCES.items() if source.fetch is None or name in self.network]
        return f"expected one of {', '.join(known)}"

    def _folders(self, kind: str) -> tuple[Path, ...]:
        more = (self.code,) if self.code is not None and kind == "strategies" else ()
        return (*getattr(self, kind), *more)

    def _refused_model(self, name: str) -> str:
        if name in NAMED_MODELS:
            from scenario_gen.kronos.registry import known_models

            here = {known.name for known in known_models() if known.available}
            words = f"got {shown(name)}, which is not on this server; expected one of {', '.join(sorted(here))}"
            return "" if name in here or HUB in self.network else words
        if _HUB_NAME.fullmatch(name) and not (Path.cwd() / name).exists() and not (self.base / name).exists():
            words = f"got {shown(name)}, and this server fetches no models; expected one of {', '.join(NAMED_MODELS)}"
            return "" if HUB in self.network else words
        looks_like_path = "/" in name or "\\" in name or name.startswith((".", "~"))
        exists = not looks_like_path and self._somewhere(name)
        if not looks_like_path and not exists:
            return ""  # no model at all: the loader says so, with the nearest name
        return "" if self._inside(name, self.models) else _outside(name, "models", self.models)

    def _somewhere(self, name: str) -> bool:
        try:
            return any((folder / name).exists() for folder in (self.base, self.base.parent, Path.cwd()))
        except (OSError, ValueError):
            return False

    def _inside(self, name: str, folders: tuple[Path, ...]) -> bool:
        """Whether a path, as a spec has it, and the file that the loader would take for it, are in a folder."""
        try:
            wanted = (Path.cwd() / user_path(name)).resolve()
        except (OSError, ValueError, RuntimeError):  # a null character, a circle of links
            return False
        taken = find_file(name, self.base, parent=True)
        allowed = [(Path.cwd() / folder).resolve() for folder in folders]
        return all(
            any(path.is_relative_to(folder) for folder in allowed) for path in (wanted, *([taken] if taken else []))
        )

    def take_code(self, name: str, source: bytes) -> Path:
        """Keep a strategy that came over the wire.

        Raises:
            Forbidden: this server takes no code.
            StrategyError: the name or the source cannot be one of a strategy.
        """
        if self.code is None:
            raise Forbidden(
                "this server takes no strategy code",
                expected="specs that name strategies of its folders",
                fix="start it with --allow-code FOLDER, if you trust everybody who may ask it",
            )
        if not CODE_NAME.fullmatch(name):
            raise StrategyError(f"got {shown(name)} as the name of a file", expected="a name like my_strategy.py")
        if len(source) > MAX_CODE:
            raise StrategyError(f"{name} is larger than {MAX_CODE // 1000} kB", expected="a strategy, a page of code")
        try:
            ast.parse(source, name)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            words = getattr(error, "msg", None) or str(error)
            raise StrategyError(
                f"{name}:{line} is not valid Python: {words}", fix="mend it and send it again"
            ) from None
        path = (Path.cwd() / self.code).resolve() / name
        if path.is_symlink():
            raise StrategyError(f"{name} is a link", expected="a file or no file", fix="choose another name")
        write_bytes(path, source, "--allow-code")
        return path

    def table(self, name: str) -> Path:
        """Return a file of paths or bars that may be read: it lies in a folder of data.

        Raises:
            SpecError: it does not, there is none, or it is larger than is read.
        """
        if not self._inside(name, self.data):
            problem, _, expected = _outside(name, "data", self.data).partition("; expected ")
            raise SpecError(problem, expected=expected, fix="name a file of a folder of --data")
        return _readable((Path.cwd() / user_path(name)).resolve(), name)

    def history(self, name: str) -> str:
        """Return what the command line is to be told of a history: a built-in name, or a file that may be read.

        Raises:
            SpecError: as :meth:`table`.
        """
        return name if name in BUILT_IN else str(self.table(name))

    def model(self, name: str) -> str:
        """Return a model that may be sampled, as it was named.

        Raises:
            SpecError: this server does not let it be named.
        """
        refused = "" if name in BASELINES else self._refused_model(name)
        if refused:
            problem, _, expected = refused.partition("; expected ")
            raise SpecError(problem, expected=expected)
        return name

    def run_folder(self, name: str) -> Path:
        """Return a run folder of the root.

        Raises:
            StoreError: there is none of that name.
        """
        root = self.root.resolve()
        path = root / name if RUN_NAME.fullmatch(name) else root
        if path == root or not (path / "run.json").is_file() or path.resolve().parent != root:
            raise StoreError(f"there is no run {name[:60]!r}", expected="the name of a run", fix="list the runs")
        return path

    def run_file(self, name: str, file: str) -> Path:
        """Return a table of a run: metrics, candles, facts, or kept paths.

        Raises:
            StoreError: there is none of that name.
        """
        folder = self.run_folder(name)
        path = folder / file
        if not RUN_FILE.fullmatch(file) or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            there = [str(each.relative_to(folder).as_posix()) for each in tables(folder)]
            raise StoreError(
                f"run {name} has no file {file[:60]!r}", expected=", ".join(there) or "none", fix="name one of these"
            )
        return path


def _readable(path: Path, name: str) -> Path:
    """Return a file that is there and is not too large."""
    if not path.is_file():
        raise SpecError(f"there is no file {shown(name)}", expected="a file", fix="correct the name")
    if path.stat().st_size > MAX_TABLE:
        raise SpecError(
            f"{shown(name)} is larger than {MAX_TABLE // 1_000_000} MB",
            expected="a table that this server reads",
            fix="send fewer paths or bars, or read it on the command line",
        )
    return path


def tables(folder: Path) -> list[Path]:
    """Return the tables of a run folder that may be asked for."""
    listed = [*folder.glob("*.parquet"), *folder.glob("paths/*.parquet")]
    return sorted(path for path in listed if RUN_FILE.fullmatch(path.relative_to(folder).as_posix()))


def _named(value: Any, where: Where) -> Iterator[tuple[Where, Any]]:
    """Yield every value of a spec that may name something outside it, with its place.

    Wherever a key of such a name stands, so that no section that comes later is forgotten; but parameters of a strategy
    are its own, and the report's section says nothing that a job heeds.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = (*where, key)
            if key == "report" and not where:
                continue
            if key in _FILES or key in _MODELS or key == "source" or key in _NOT_OURS:
                yield at, inner
            if key not in ("params", "execute"):
                yield from _named(inner, at)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _named(inner, (*where, number))


def _outside(value: str, kind: str, folders: tuple[Path, ...]) -> str:
    where = " or ".join(f"{folder.name}/" for folder in folders)
    expected = f"expected one in {where}" if where else "expected none"
    return f"got {shown(value)}, which is not among the {kind} that this server lets specs name; {expected}"
