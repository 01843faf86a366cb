"""Rules that a section's types cannot hold: dates in order, files that are there, sizes that can be run.

Knows the spec's sections; opens no data file and no checkpoint.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path

from scenario_gen.generators.sections import NAMED_MODELS
from scenario_gen.market.section import Data
from scenario_gen.reading.places import find_file, missing_file
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import nearest
from scenario_gen.reading.yaml import Where
from scenario_gen.spec.models import ResolvedScenario

_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+(@[\w.-]+)?$")

# One row of metrics per scenario, path and parameter set: at most 32 columns of 8 bytes.
BYTES_PER_RESULT = 32 * 8
# A kept path: open, high, low, close, volume, amount as float32.
BYTES_PER_KEPT_BAR = 6 * 4
MAX_KEPT_BYTES = 16_000_000_000
MAX_SIMULATED_BARS = 1_000_000_000_000


def check_data(data: Data, at: Callable[[Where], Where], violations: Violations) -> None:
    """Note dates out of order and an unknown time zone."""
    if data.start is not None and data.end is not None and _day(data.start) > _day(data.end):
        words = f"start {data.start} is after end {data.end}, expected start before end"
        violations.add(at(("start",)), words)
    if data.timezone is not None and not _is_timezone(data.timezone):
        hint = nearest(data.timezone, zoneinfo.available_timezones())
        words = f"got {data.timezone[:60]!r}, expected a time zone like America/New_York or UTC{hint}"
        violations.add(at(("timezone",)), words)


def check_data_file(file: str, folder: Path, where: Where, violations: Violations) -> None:
    """Note a data file that is not there."""
    if find_file(file, folder) is None:
        violations.add(where, missing_file(file, folder))


def check_model(model: str, folder: Path, where: Where, violations: Violations) -> None:
    """Note a model that is no known name, no Hub name and no folder."""
    is_path = model.startswith((".", "/", "~")) or model.count("/") > 1
    if model in NAMED_MODELS or (_HUB_NAME.match(model) and not is_path) or _is_folder(model, folder):
        return
    expected = f"{', '.join(NAMED_MODELS)}, a Hub name like org/name@revision, or a folder"
    violations.add(where, f"got {model[:80]!r}, expected {expected}{nearest(model, NAMED_MODELS)}")


def check_sizes(scenarios: Sequence[ResolvedScenario], parameter_sets: int, violations: Violations) -> None:
    """Note a run whose results or work are beyond what one run should ask for, before any memory is."""
    rows = sum(one.paths.count for one in scenarios) * parameter_sets
    kept = sum(one.paths.count * one.bars.horizon for one in scenarios if one.paths.keep)
    size = rows * BYTES_PER_RESULT + kept * BYTES_PER_KEPT_BAR
    if size > MAX_KEPT_BYTES:
        violations.add(
            ("paths",),
            f"the results to keep take an estimated {size / 1e9:.0f} GB ({rows:,} rows of metrics and "
            f"{kept:,} bars of paths), expected at most {MAX_KEPT_BYTES / 1e9:.0f} GB: lower paths.count "
            "or bars.horizon, shorten the lists of params, or set paths.keep: false",
        )
    bars = sum(one.paths.count * one.bars.horizon for one in scenarios) * parameter_sets
    if bars > MAX_SIMULATED_BARS:
        violations.add(
            ("paths",),
            f"{bars:,} bars to simulate (paths x bars x scenarios x parameter sets), expected at most "
            f"{MAX_SIMULATED_BARS:,}: lower paths.count or bars.horizon, or shorten the lists of params",
        )


def _day(moment: date | datetime) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _is_timezone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_folder(name: str, folder: Path) -> bool:
    """Return whether the name is a folder, seen from the spec's folder or the current one."""
    try:
        return any((place / Path(name).expanduser()).is_dir() for place in (folder, Path.cwd()) if name.strip())
    except (OSError, ValueError, RuntimeError):
        return False
