"""What makes two runs the same run, and what a reader needs to run it again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from scenario_gen import __version__
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.spec.models import ScenarioSpec

PACKAGES = ("torch", "numpy", "pandas", "scipy", "vectorbt", "vectorbt-rust", "arch", "exchange_calendars")


def identity_of(
    spec: ScenarioSpec, prepared: Sequence[Prepared], strategies: Sequence[LoadedStrategy]
) -> dict[str, str]:
    """Return the hashes that decide every number of a run: spec, data, weights, strategies, code.

    The report's folder and title are left out: they change no number.
    """
    settings = spec.model_dump(mode="json", exclude={"report", "name"})
    data = [one.history.sha256() + one.later.sha256() for one in prepared]
    generators = [dict(one.generator.identity) for one in prepared]
    files = sorted({str(one.use): one.file.read_bytes() for one in strategies}.items())
    return {
        "spec": _sha256(json.dumps(settings, sort_keys=True).encode()),
        "data": _sha256("".join(data).encode()),
        "weights": _sha256(json.dumps(generators, sort_keys=True).encode()),
        "strategies": _sha256(b"".join(name.encode() + content for name, content in files)),
        "code": __version__,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide numbers."""
    found = {"scenario-gen": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def device_of(prepared: Sequence[Prepared]) -> dict[str, str]:
    """Return what the paths were sampled on."""

    def used(key: str, otherwise: str) -> str:
        return ", ".join(sorted({str(one.generator.identity.get(key, otherwise)) for one in prepared}))

    return {"device": used("device", "cpu"), "dtype": used("dtype", "float32"), "machine": platform.machine()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
