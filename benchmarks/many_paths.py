"""Seconds, memory and disk of a run by its number of paths: each count in a process of its own.

    python -m benchmarks.many_paths                         10,000, 100,000 and 1,000,000 paths
    python -m benchmarks.many_paths --paths 10000000 --keep none

Bootstrap paths of 63 daily bars of the S&P 500, one strategy, stylized facts, no calibration. Seconds are of the
processor, so that a busy machine tells the same; memory is the most that the process ever had (ru_maxrss). Disk is what
is left in the run folder; scratch is what was written to files without a name, which go when the numbers are summed up.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scenario_gen import __file__ as package
from scenario_gen.pipeline import run
from scenario_gen.store.columns import Array, Scratch

COUNTS = (10_000, 100_000, 1_000_000)


def spec_of(count: int, keep: str, folder: Path) -> dict[str, Any]:
    """Return the spec of one row."""
    return {
        "name": "many paths",
        "data": {"source": "sp500", "end": "2017-06-30"},
        "bars": {"context": 256, "horizon": 63},
        "paths": {"count": count, "seed": 7, "keep": keep},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": True, "calibration": False},
        "strategies": [
            {
                "use": f"{Path(package).parents[1] / 'strategies/sma_cross.py'}:SmaCross",
                "params": {"fast": 20, "slow": 50},
            }
        ],
        "report": {"folder": str(folder)},
    }


def one_row(count: int, keep: str, around: Path) -> dict[str, float]:
    """Run so many paths in this process and measure it."""
    folder, put, scratch = around / "run", Scratch.put, [0]

    def counted(self: Scratch, values: Array) -> int:
        scratch[0] += values.nbytes
        return put(self, values)

    Scratch.put = counted  # type: ignore[method-assign]
    run(spec_of(count, keep, folder), folder=folder)
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        "seconds": time.process_time(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "scratch": scratch[0],
        "left": sum(file.stat().st_size for file in files),
        "files": len(files),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--keep", default="metrics", choices=("none", "metrics", "paths"))
    parser.add_argument("--row", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.row is not None:
        print(json.dumps(one_row(asked.paths[0], asked.keep, asked.row)))
        return
    print("| paths | keep | processor seconds | most memory | scratch | disk left | files left |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for count in asked.paths:
        with tempfile.TemporaryDirectory() as around:
            command = [sys.executable, "-m", "benchmarks.many_paths", "--paths", str(count), "--keep", asked.keep]
            ran = subprocess.run([*command, "--row", around], check=True, stdout=subprocess.PIPE)
        told = json.loads(ran.stdout.splitlines()[-1])
        sizes = " | ".join(f"{told[name] / 1e9:.2f} GB" for name in ("memory", "scratch", "left"))
        print(f"| {count:,} | {asked.keep} | {told['seconds']:.0f} | {sizes} | {told['files']:,} |", flush=True)


if __name__ == "__main__":
    main()
