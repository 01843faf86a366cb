"""What a strategy's code reads: modules that are not installed packages, files that it opens, folders that it lists.

A module beside the strategy's file is importable while that strategy is loaded or asked, and for it alone: two folders
may each have a ``helpers.py``. Such modules are compiled from their source, never served from a cache of bytecode.
Everything that Python itself opens is seen. What a native library opens, the network and the environment are not.
Owns also that the process outlasts a strategy's code, with the current folder that it had before.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from scenario_gen.files import sha256_of

PACKAGE = Path(__file__).resolve().parents[1]
ABSENT = "absent"
LISTINGS = ("os.listdir", "os.scandir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr/lib", "/usr/share")

Stamp = tuple[int, int, int]


@dataclass(eq=False)
class Reads:
    """Everything that one loaded strategy file has read so far, and the modules that only it sees."""

    file: Path  # the strategy's own
    sums: dict[Path, str] = field(default_factory=dict)  # sha256 of each file, of each listing, or ``ABSENT``
    modules: dict[str, types.ModuleType] = field(default_factory=dict)  # out of ``sys.modules`` while others run
    _stamps: dict[Path, Stamp | None] = field(default_factory=dict)  # when they were summed
    _seen: set[Path] = field(default_factory=set)  # not summed yet
    _written: set[Path] = field(default_factory=set)  # its own output is no input
    _moved_to: Path | None = None  # the current folder that its code has chosen for itself
    classes: dict[str, type] = field(default_factory=dict)  # that its file was executed for again, in another process
    _elsewhere: dict[Path, str] = field(default_factory=dict)  # sums of what it had read before it was sent here

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_elsewhere": self.sums | self._elsewhere}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # its modules and stamps are another process's

    def adopt(self) -> list[Path]:
        """Count what it read before it was sent here as read; return the files that are no longer as they were."""
        before, self._elsewhere = self._elsewhere, {}
        now = {path: self.sums.get(path) or _sum(path) for path in before}
        for path, digest in before.items():
            self._stamps.setdefault(path, _stamp(path))
            self.sums.setdefault(path, digest)
        return [path for path, digest in before.items() if now[path] != digest and not path.is_dir()]

    def identity(self) -> dict[str, str]:
        """Return the sum of everything read so far, by its path from the strategy's folder."""
        return {_from(self.file.parent, path): digest for path, digest in sorted(self.sums.items())}

    def changed(self) -> list[Path]:
        """Return the files that are no longer as they were when they were read."""
        moved = [path for path, stamp in self._stamps.items() if _stamp(path) != stamp and not path.is_dir()]
        return [path for path in moved if _sum(path) != self.sums[path]]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let the strategy's code run: its modules are importable, what it reads is noted, the process outlasts it."""
        _install()
        finder, hidden = _Beside(self.file.parent), _local_namesakes(self.file.parent)
        before = {name: sys.modules.pop(name) for name in hidden}
        before |= {name: sys.modules[name] for name in self.modules if name in sys.modules}
        sys.modules.update(self.modules)
        sys.meta_path.insert(0, finder)
        _WATCHING.append(self)
        try:
            with self._in_its_folder(), _staying():
                yield
        finally:
            _WATCHING.remove(self)
            sys.meta_path.remove(finder)
            loaded = [name for name in finder.names if name in sys.modules]
            self.modules |= {name: sys.modules[name] for name in loaded}
            for name in self.modules:
                sys.modules.pop(name, None)
            sys.modules.update(before)
            self._sum_up()

    @contextmanager
    def _in_its_folder(self) -> Iterator[None]:
        """Let the current folder be the strategy's own where it has changed it, and ours again afterwards."""
        here = _current_folder()
        if self._moved_to is not None:
            with suppress(OSError):
                os.chdir(self._moved_to)
        before = _current_folder()
        try:
            yield
        finally:
            if (after := _current_folder()) != before:
                self._moved_to = after
            if here is not None and after != here:
                with suppress(OSError):
                    os.chdir(here)

    def note_modules(self, module: types.ModuleType) -> None:
        """Note the files of modules that the strategy shares with the rest of the process, as far as they lead."""
        waiting, done = [module], set()
        while waiting:
            at = waiting.pop()
            if id(at) in done:
                continue
            done.add(id(at))
            for value in list(vars(at).values()):
                owner = value if isinstance(value, types.ModuleType) else _module_of(value)
                source = getattr(owner, "__file__", None) if owner is not None else None
                if owner is not None and source and is_counted(path := Path(source)):
                    self._seen.add(path)
                    waiting.append(owner)
        self._sum_up()

    def saw(self, path: Path, *, writes: bool) -> None:
        """Note that a file is opened or a folder listed."""
        if writes:
            self._written.add(path)
        elif path not in self.sums and path not in self._written:
            self._seen.add(path)

    def _sum_up(self) -> None:
        for path in self._seen - self._written - self.sums.keys():
            if is_counted(path):
                self._stamps[path], self.sums[path] = _stamp(path), _sum(path)
        self._seen.clear()


def unchanged(file: Path, kept: Mapping[str, str]) -> bool:
    """Return whether everything that was read beside a strategy's file is still as it was.

    Args:
        file: the strategy's.
        kept: what ``Reads.identity`` said.
    """
    return all(_sum(Path(os.path.normpath(file.parent / name))) == digest for name, digest in kept.items())


def is_counted(path: Path) -> bool:
    """Return whether a path may decide what a strategy does: it is neither an installed package nor the system's."""
    parts = path.parts
    if "__pycache__" in parts or "site-packages" in parts or "dist-packages" in parts or ".cache" in parts:
        return False
    return not any(path.is_relative_to(place) for place in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {Path(sysconfig.get_path(kind)) for kind in kinds}
    return (PACKAGE, *SYSTEM_PATHS, *sorted({*paths, *(path.resolve() for path in paths)}))


SYSTEM_PATHS = tuple(Path(name) for name in SYSTEM)


# --- Staying: no strategy ends the process, nor moves it for the others ---


LEAVING = ("_exit", "execv", "execve")  # by which a process ends without an error, whatever was not written yet


_KEPT: list[tuple[types.ModuleType, str, Callable[..., Any]]] = []  # what stood there before
_INSIDE: list[int] = []  # one for each strategy that is running


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted
        return None


@contextmanager
def _staying() -> Iterator[None]:
    """Turn what would end the process into a SystemExit, which names the strategy's line as any mistake does."""
    if not _KEPT:
        places = [(module, name) for module in (os, sys.modules[os.name]) for name in LEAVING if hasattr(module, name)]
        _KEPT.extend((module, name, getattr(module, name)) for module, name in places)
        for module, name, leave in _KEPT:
            setattr(module, name, _refusing(name, leave, os.getpid()))
    _INSIDE.append(os.getpid())
    try:
        yield
    finally:
        _INSIDE.pop()
        while _KEPT and not _INSIDE:  # the last of those that run in threads
            setattr(*_KEPT.pop())


def _refusing(name: str, leave: Callable[..., Any], process: int) -> Callable[..., Any]:
    def refuse(*arguments: Any, **options: Any) -> None:
        if os.getpid() != process:  # a forked child may leave as it likes
            leave(*arguments, **options)
        raise SystemExit(f"os.{name} would have ended the run")

    return refuse


# --- Watching: one hook for the whole process, silent unless a strategy runs ---


_WATCHING: list[Reads] = []
_HOOKED: list[bool] = []


def _install() -> None:
    if not _HOOKED:
        _HOOKED.append(True)
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCHING or (event != "open" and event not in LISTINGS and event != "sqlite3.connect"):
        return
    name = arguments[0] if arguments else None
    if event in LISTINGS and _imports():
        return
    if name is None and event in LISTINGS:
        name = "."
    if not isinstance(name, str | bytes | os.PathLike):
        return
    flags = arguments[2] if event == "open" and len(arguments) > 2 and isinstance(arguments[2], int) else 0
    mode = arguments[1] if event == "open" and isinstance(arguments[1], str) else ""
    writes = bool(set(mode) & set("wax+")) or (not mode and bool(flags & WRITING))
    try:
        path = Path(os.path.abspath(os.fsdecode(name)))  # noqa: PTH100  # resolve() asks the disk
    except (OSError, ValueError):  # the current folder is gone, a null byte: nothing can be opened
        return
    _WATCHING[-1].saw(path, writes=writes)


def _imports() -> bool:
    """Return whether it is the import system that lists a folder."""
    return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")


def _sum(path: Path) -> str:
    try:
        if path.is_dir():
            names = sorted(entry.name for entry in path.iterdir() if not entry.is_dir())  # a folder may be a run's own
            return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
        if not path.is_file():
            return ABSENT
        return sha256_of(path)
    except OSError:
        return ABSENT


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _from(folder: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _module_of(value: object) -> types.ModuleType | None:
    name = getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


# --- Importing: modules beside the strategy, and on paths that hold no installed packages ---


class _Source(importlib.machinery.SourceFileLoader):
    """Compiles the source as it stands: an edit within a second is not hidden by an older cache."""

    def get_code(self, fullname: str) -> types.CodeType | None:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Beside:
    """Finds modules beside a strategy's file first, then on the paths that hold no installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, set[str]()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module is, or None for what is installed."""
        if _is_reserved(fullname):
            return None
        folders = []  # without __init__.py: they lose to any module of that name
        for place in self._places() if path is None else list(path):
            if place != str(self.folder) and not is_counted(Path(place)):
                continue
            found = importlib.machinery.FileFinder(place, *_LOADERS).find_spec(fullname)
            if found is not None and found.loader is not None:
                self.names.add(fullname)
                return found
            folders += [] if found is None else [found]
        installed = importlib.machinery.PathFinder.find_spec(fullname, path) if folders else None
        if not folders or (installed is not None and installed.loader is not None):
            return None
        self.names.add(fullname)
        return folders[0]

    def _places(self) -> list[str]:
        return [
            str(self.folder),
            *(str(Path(place or ".").absolute()) for place in sys.path if not place.endswith(".zip")),
        ]


_LOADERS = (
    (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    (_Source, importlib.machinery.SOURCE_SUFFIXES),
)


def _is_reserved(name: str) -> bool:
    """Return whether a name is the standard library's or this package's, whatever stands beside a strategy."""
    top = name.partition(".")[0]
    return top == PACKAGE.name or top in sys.stdlib_module_names


def _local_namesakes(folder: Path) -> list[str]:
    """Return modules from elsewhere, not installed, that bear the name of one beside the strategy."""
    try:
        tops = {Path(entry.name).stem for entry in os.scandir(folder) if entry.is_dir() or entry.name.endswith(".py")}
    except OSError:
        return []
    # a module's parents are imported with it, so where no top is known, none of the thousands of names need be read
    known = {top for top in tops if top in sys.modules and not _is_reserved(top) and top != "__main__"}
    if not known:
        return []
    found = []
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in known:
            source = getattr(module, "__file__", None)
            if source and is_counted(Path(source)) and not Path(source).is_relative_to(folder):
                found.append(name)
    return found
