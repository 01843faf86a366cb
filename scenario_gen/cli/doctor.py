"""``scenario-gen doctor``: what is installed and where it would run, whether the embedded model works, what is wrong.

What packages are wanted, and what each extra brings, is read from the metadata of the installed distribution alone.
Variables of the environment are shown from a list without secrets, without what stands before an @ in an address.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import typer

from scenario_gen.cli.manners import GATE_FAILED, AsJson, say, say_json
from scenario_gen.execute.processes import THREADS
from scenario_gen.execute.queue import cores
from scenario_gen.files import user_path
from scenario_gen.version import VERSION

DOCTOR_EXIT_CODES = (
    "Exit codes: 0 all is well; 4 something is wrong, which is told with what to do; 1 a defect of scenario-gen (with "
    "a traceback)."
)
DISTRIBUTION = "scenario-gen"
VARIABLES = (
    *THREADS, "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "RAY_ADDRESS", "CUDA_VISIBLE_DEVICES",
    "XDG_CACHE_HOME", "NO_COLOR",
)  # fmt: skip
LEAST_MEMORY, LEAST_DISK = 2**30, 2**30  # bytes: a small run takes less of either
MOST_FILES = 20_000  # of a folder that is measured
GIB = 2**30


@dataclass(frozen=True)
class Package:
    """A package that is wanted."""

    name: str
    wanted: str  # versions that serve, such as >=2.6; "" for any
    installed: str  # "" where it is absent
    serves: bool  # whether it is there, in such a version


@dataclass(frozen=True)
class Extra:
    """What ``pip install 'scenario-gen[NAME]'`` brings."""

    name: str
    installed: bool  # whether all of it is here
    brings: list[Package]


@dataclass(frozen=True)
class Machine:
    """Where scenario-gen would run."""

    system: str
    python: str
    torch: str
    torch_build: str  # CPU, CUDA 12.8, or why torch cannot be loaded
    devices: list[str]
    cores: int  # that this process may use
    threads: int  # of torch's products
    memory: int | None  # bytes of the machine; None where it does not say
    memory_free: int | None
    disk_free: int  # bytes, where the current folder is


@dataclass(frozen=True)
class Cache:
    """A folder of what is kept for later."""

    of: str
    folder: str
    size: int  # bytes; of the first files where there are very many
    entries: list[str]  # what lies in it
    writable: bool


@dataclass(frozen=True)
class EmbeddedModel:
    """Whether the model that comes with the package makes a path."""

    name: str
    works: bool
    seconds: float  # to open it and make two bars
    reason: str  # why it does not work


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong."""

    problem: str
    fix: str


@dataclass(frozen=True)
class Health:
    """Everything that doctor says."""

    version: str
    installed: str  # version of the distribution; "" where it runs from a source tree that was not installed
    packages: list[Package]
    extras: list[Extra]
    machine: Machine
    caches: list[Cache]
    environment: dict[str, str]
    model: EmbeddedModel
    troubles: list[Trouble] = field(default_factory=list)


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, where runs would be computed, and what is wrong with what to do about it.

    Packages and extras with their versions, torch's build and devices, cores, memory and disk, the folders that
    things are kept in, and whether the embedded model makes a path. Nothing is changed and no network is used.

    For example:

      scenario-gen doctor

      scenario-gen doctor --json
    """
    health = examine()
    if as_json:
        say_json(health)
    else:
        say("\n".join(_lines(health)))
    if health.troubles:
        raise typer.Exit(GATE_FAILED)


def examine() -> Health:
    """Look at everything."""
    installed, packages, extras = installation()
    machine, caches, model = machine_here(), [*_caches()], try_model()
    environment = {name: _without_secrets(os.environ[name]) for name in VARIABLES if name in os.environ}
    troubles = [*_troubles(installed, packages, extras, machine, caches, model)]
    return Health(VERSION, installed, packages, extras, machine, caches, environment, model, troubles)


def installation() -> tuple[str, list[Package], list[Extra]]:
    """Return the version of the distribution, the packages that it requires, and its extras."""
    from packaging.requirements import Requirement

    try:
        installed, wanted = version(DISTRIBUTION), [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        return "", [], []
    packages, extras, others = [], dict[str, list[Package]](), dict[str, set[str]]()
    for requirement in wanted:
        package = _package(requirement.name, str(requirement.specifier))
        named = re.findall(r"""extra == ["']([^"']+)["']""", str(requirement.marker or ""))
        if named and requirement.name == DISTRIBUTION:  # an extra that stands for others
            others[named[0]] = requirement.extras
        elif named:
            extras.setdefault(named[0], []).append(package)
        elif requirement.marker is None or requirement.marker.evaluate():
            packages.append(package)
    for name, parts in others.items():
        extras[name] = [package for part in sorted(parts) for package in extras.get(part, ())]
    brought = [Extra(name, all(package.serves for package in brings), brings) for name, brings in extras.items()]
    return installed, packages, brought


def _package(name: str, wanted: str) -> Package:
    from packaging.specifiers import SpecifierSet

    try:
        here = version(name)
    except PackageNotFoundError:
        return Package(name, wanted, "", serves=False)
    return Package(name, wanted, here, SpecifierSet(wanted).contains(here, prereleases=True))


def machine_here() -> Machine:
    """Return what this machine has; torch may fail to load, which is told."""
    build, number, devices, threads = "", "", list[str](), 0
    try:
        import torch

        from scenario_gen.kronos.device import devices_here

        number, devices, threads = torch.__version__, devices_here(), torch.get_num_threads()
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    except (ImportError, OSError) as error:  # a library of the system that is missing
        build = f"cannot be loaded: {str(error).splitlines()[0][:200]}"
    memory, free = _memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=str(number),
        torch_build=build,
        devices=devices,
        cores=cores(),
        threads=threads,
        memory=memory,
        memory_free=free,
        disk_free=shutil.disk_usage(Path.cwd()).free,
    )


def _memory() -> tuple[int | None, int | None]:
    """Return the bytes of memory of the machine, and those that could be had; None each where Linux does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    sizes = {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
    return sizes.get("MemTotal"), sizes.get("MemAvailable")


def _caches() -> Iterator[Cache]:
    from scenario_gen.kronos.registry import hub_cache
    from scenario_gen.store.remote import mirror_of

    kept = mirror_of("x").parent.parent
    for of, folder in (("models of the Hugging Face Hub", hub_cache()), ("runs at addresses, downloads", kept)):
        entries = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        yield Cache(of, str(folder), _size(folder), [name for name in entries if name[0] != "."], _writable(folder))


def _size(folder: Path) -> int:
    total, files = 0, 0
    for where, _, names in os.walk(folder):
        total += sum(path.stat().st_size for name in names if not (path := Path(where, name)).is_symlink())
        files += len(names)
        if files > MOST_FILES:
            break
    return total


def _writable(folder: Path) -> bool:
    """Say whether something could be written there, now or after its parents were made."""
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def try_model() -> EmbeddedModel:
    """Open the embedded model and make two bars after a made context of 64."""
    from scenario_gen.kronos.registry import known_models

    name, began = known_models()[0].name, time.perf_counter()
    try:
        reason = _not_a_path(name)
    except Exception as error:  # whatever it is: what does not work is what is asked here
        reason = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    return EmbeddedModel(name, not reason, round(time.perf_counter() - began, 2), reason)


def _not_a_path(name: str) -> str:
    """Return why what the model makes is no path, "" where it is one."""
    import numpy as np
    import pandas as pd

    from scenario_gen.generators.draws import Draws
    from scenario_gen.generators.sections import KronosGenerator
    from scenario_gen.market.candles import Candles

    stamps = pd.bdate_range("2024-01-02", periods=66)
    close = 100 + np.sin(np.arange(64.0))  # made, and moving
    bars = np.stack([close, close + 1, close - 1, close], axis=1)
    context = Candles(stamps[:64], bars, ("open", "high", "low", "close"))
    paths = KronosGenerator(model=name, device="cpu").open().sample(context, stamps[64:], Draws.block(7, 0, 1))
    whole = paths.values.shape[:2] == (1, 2) and bool(np.isfinite(paths.values).all())
    return "" if whole else f"it made {paths.values.shape}, with prices that are not finite"


def _without_secrets(value: str) -> str:
    """Return a value without what may stand before an @ or after a ? in an address."""
    return re.sub(r"//[^/@]*@", "//...@", value).partition("?")[0]


# --- What is wrong, and what to do ---


def _troubles(
    installed: str,
    packages: Iterable[Package],
    extras: Iterable[Extra],
    machine: Machine,
    caches: Iterable[Cache],
    model: EmbeddedModel,
) -> Iterator[Trouble]:
    if installed and installed != VERSION:
        yield Trouble(f"the code is {VERSION}, what is installed says {installed}", "install it again: pip install .")
    for package in packages:
        if not package.serves:
            wrong = f"is {package.installed}" if package.installed else "is not installed"
            yield Trouble(
                f"{package.name} {wrong}; needed is {package.wanted or 'any version'}",
                f"pip install '{package.name}{package.wanted}'",
            )
    for extra in extras:
        if old := [f"{each.name} {each.installed}" for each in extra.brings if each.installed and not each.serves]:
            yield Trouble(
                f"too old for the extra {extra.name}: {', '.join(old)}",
                f"pip install --upgrade 'scenario-gen[{extra.name}]'",
            )
    yield from _troubles_of(machine)
    for cache in caches:
        if not cache.writable:
            yield Trouble(f"{cache.folder} ({cache.of}) cannot be written to", "give it to this user, or move it")
    if not model.works:
        yield Trouble(f"the embedded model {model.name} makes no path: {model.reason}", "install scenario-gen again")
    yield from _troubles_of_variables()


def _troubles_of(machine: Machine) -> Iterator[Trouble]:
    if not machine.torch:
        yield Trouble(f"torch {machine.torch_build}", "install torch as https://pytorch.org/get-started/locally says")
    elif machine.torch_build == "CPU" and Path("/dev/nvidia0").exists():
        yield Trouble("this machine has an NVIDIA GPU, and torch is its CPU build", "install torch's CUDA build")
    if machine.memory_free is not None and machine.memory_free < LEAST_MEMORY:
        yield Trouble(f"only {machine.memory_free / GIB:.1f} GiB of memory are free", "end what else runs here")
    if machine.disk_free < LEAST_DISK:
        yield Trouble(f"only {machine.disk_free / GIB:.1f} GiB of disk are free here", "free some, or work elsewhere")


def _troubles_of_variables() -> Iterator[Trouble]:
    for name in THREADS:
        value = os.environ.get(name)
        if value is not None and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", value):
            yield Trouble(f"{name} is {value!r}, which is no number of threads", f"unset {name}, or set it to a number")
    home = os.environ.get("HF_HOME")
    if home is not None and user_path(home).exists() and not user_path(home).is_dir():
        yield Trouble(f"HF_HOME is {home!r}, which is a file", "set it to a folder, or unset it")


# --- What the terminal shows ---


def _lines(health: Health) -> Iterator[str]:
    machine = health.machine
    yield f"scenario-gen {health.version}" + ("" if health.installed else ", not installed") + f" ({sys.prefix})"
    yield f"Python {machine.python} on {machine.system}; torch {machine.torch} ({machine.torch_build})"
    memory = "" if machine.memory is None else f"; memory {_gib(machine.memory_free)} free of {_gib(machine.memory)}"
    yield (
        f"devices: {', '.join(machine.devices) or 'none'}; {machine.cores} cores, {machine.threads} threads{memory}; "
        f"disk {_gib(machine.disk_free)} free here"
    )
    packages = ", ".join(f"{each.name} {each.installed or 'MISSING'}" for each in health.packages)
    yield f"packages: {packages or 'not known, since it runs from a folder (pip install . there)'}"
    for extra in health.extras:
        brings = ", ".join(f"{each.name} {each.installed or '(not here)'}" for each in extra.brings)
        state = "here" if extra.installed else f"pip install 'scenario-gen[{extra.name}]'"
        yield f"extra {extra.name}: {state}; {brings}"
    for cache in health.caches:
        holds = f"{len(cache.entries)} entries, {cache.size / 1e6:,.1f} MB" if cache.entries else "nothing yet"
        yield f"kept, {cache.of}: {cache.folder}: {holds}"
    for name, value in health.environment.items():
        yield f"environment: {name}={value}"
    model = health.model
    works = "opens and makes a path" if model.works else "does not work"
    yield f"model {model.name}: {works} ({model.seconds:.1f} s with loading)"
    for trouble in health.troubles:
        yield f"WRONG: {trouble.problem}"
        yield f"  to do: {trouble.fix}"
    if not health.troubles:
        yield "all is well"


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / GIB:,.1f} GiB"
