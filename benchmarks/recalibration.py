"""Generators as sampled and recalibrated, on the same forecasts, none of which had a part in the fit that it saw.

    python benchmarks/recalibration.py sp500 nasdaq my.csv ... [--generators nano,bootstrap,fhs,gjr]

At most 120 origins of 20 bars up to the last bar of each history: the first 60 only fit, the next 60 are judged, 99
paths each. Prints a row of a Markdown table per history and generator as soon as it is there: labels, share of what
came inside the 90 % band of log realised volatility, change of its CRPS with Diebold and Mariano's t, and what fails.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from scenario_gen.forecasts.results import Calibration, GeneratorCalibration
from scenario_gen.generators.sections import BASELINES, GeneratorSection, KronosGenerator, default_section
from scenario_gen.market import load_candles
from scenario_gen.pipeline.given.calibrate import Wishes, calibrate_history
from scenario_gen.progress import SilentProgress

MAIN, SCORE = "log_volatility", "crps_log_volatility"
COLUMNS = (
    "history", "generator", "label", "90 % band of ln RV", "CRPS of ln RV (t)", "FAIL as sampled", "FAIL recalibrated"
)  # fmt: skip


def section(name: str) -> GeneratorSection:
    """Return a classical generator's section by its kind, or a Kronos model's by its name."""
    return default_section(name) if name in BASELINES else KronosGenerator(model=name)


def failing(judged: GeneratorCalibration) -> str:
    """Return the numbers of a path that fail."""
    return ", ".join(number.functional for number in judged.functionals if number.label == "FAIL") or "-"


def band(judged: GeneratorCalibration) -> str:
    """Return the share of what came inside the 90 % band of log realised volatility."""
    coverage = judged.functional(MAIN).coverage_at(0.9)
    return "-" if coverage is None else f"{coverage.share:.2f}"


def cells(calibration: Calibration) -> Iterator[str]:
    """Yield the cells of a row after its name."""
    ours = calibration.generator
    (raw,) = calibration.baselines
    yield f"{raw.label} -> {ours.label}"
    yield f"{band(raw)} -> {band(ours)}"
    change = next(skill for skill in ours.skills if skill.score == SCORE)
    yield "-" if change.skill is None else f"{-change.skill:+.1%} ({change.t:+.1f})"
    yield failing(raw)
    yield failing(ours)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("histories", nargs="+")
    parser.add_argument("--generators", default="nano,bootstrap,fhs,gjr")
    parser.add_argument("--paths", type=int, default=99)
    arguments = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    wishes = Wishes(horizon=20, paths=arguments.paths, baselines=(), recalibrate=True)
    for generator in arguments.generators.split(","):
        for source in arguments.histories:
            history = load_candles(source)
            report = calibrate_history(history, section(generator), wishes, progress=SilentProgress())
            print(f"| {Path(source).stem} | {generator} | {' | '.join(cells(report.calibration))} |", flush=True)


if __name__ == "__main__":
    main()
