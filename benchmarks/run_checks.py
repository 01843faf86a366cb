"""How long the checks of a whole run take: the quickstart, stage by stage.

    python benchmarks/run_checks.py [SPEC]

Runs a spec into an empty folder and prints the wall time of every stage as run.json holds it. "checking realism" is all
of the checks but the candle rules, which are part of each scenario: facts and scores of every scenario, drift, and the
forecasts and verdicts of the calibration, sampling included. Measure on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import scenario_gen as sg


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", nargs="?", default="scenarios/quickstart.yaml")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        run = sg.run(options.spec, folder=Path(folder) / "run")
    print(f"load before the run: {load:.2f}\n\n| stage | seconds |\n|---|---|")
    for stage, seconds in run.seconds.items():
        print(f"| {stage} | {seconds:.1f} |")
    print(f"| all | {sum(run.seconds.values()):.1f} |")


if __name__ == "__main__":
    main()
