"""Every verdict of the product: how often it is raised where all is right, and how often where one thing is wrong.

    python -m benchmarks.every_verdict [--only NAME ...] [--repeats N] [--minutes M] [--cells FILE]

Each study of the files ``benchmarks/verdicts_on_*.py`` asks one or several verdicts in
worlds drawn from a stationary truth and from one whose character drifts with half-lives of 60, 250 and 1,000 bars in
turns; in half of the cases nothing is wrong, in each of the others there is one planted defect. Finished cells are
lines of ``--cells``: a run goes on where another stopped, the same world first in all cases, and the table is of what
is there. Delete the file after a change of a verdict. Prints Markdown: counts of worlds in which the label was raised,
FAIL before FAIL or WARN where both are looked at, with the interval of Clopper and Pearson.

    python -m benchmarks.every_verdict --keep

takes the tables of verdicts that stand in BENCHMARKS.md into the package, where ``scenario-gen explain`` quotes them.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks import (
    verdicts_on_books,
    verdicts_on_forecasts,
    verdicts_on_live,
    verdicts_on_paths,
    verdicts_on_rankings,
    verdicts_on_results,
    verdicts_on_strategies,
    verdicts_on_stress,
)
from benchmarks.study import DRIFTING, RIGHT, STATIONARY, TRUTHS, Rate, Row, Study, World

STUDIES: tuple[Study, ...] = (
    *verdicts_on_paths.STUDIES,
    *verdicts_on_forecasts.STUDIES,
    *verdicts_on_results.STUDIES,
    *verdicts_on_strategies.STUDIES,
    *verdicts_on_stress.STUDIES,
    *verdicts_on_books.STUDIES,
    *verdicts_on_rankings.STUDIES,
    *verdicts_on_live.STUDIES,
)
KEPT = Path("scenario_gen/cli/explained/rates.json")
COLUMNS = (
    "verdict", "right, stationary", "right, drifting", "what is wrong", "found, stationary", "found, drifting"
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One world of one case."""

    study: str
    case: str
    truth: str
    number: int


Cells = dict[Cell, dict[str, str]]  # labels by row


def wanted(studies: Sequence[Study], repeats: int | None) -> Iterator[tuple[Cell, Study]]:
    """Yield every cell, the first world of all cases before the second of any."""
    for number in range(max((repeats or study.repeats for study in studies), default=0)):
        for study in studies:
            for truth in study.truths:
                cases = (case for case in study.cases if number < study.worlds(case, repeats))
                yield from ((Cell(study.key, case, truth, number), study) for case in cases)


def measure(studies: Sequence[Study], repeats: int | None, file: Path, seconds: float) -> Cells:
    """Fill in the cells that the file lacks, and return all that are wanted and there."""
    known = read(file)
    until = time.monotonic() + seconds
    with file.open("a", encoding="utf-8") as lines:
        for cell, study in wanted(studies, repeats):
            if cell in known or time.monotonic() > until:
                continue
            began = time.process_time()
            known[cell] = study.asked(cell.case, World(cell.truth, cell.number))
            spent = round(time.process_time() - began, 2)
            print(json.dumps({**vars(cell), "labels": known[cell], "seconds": spent}), file=lines, flush=True)
    asked = {cell for cell, _ in wanted(studies, repeats)}
    return {cell: labels for cell, labels in known.items() if cell in asked}


def read(file: Path) -> Cells:
    """Return the cells of a file; none where there is no file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return {Cell(row["study"], row["case"], row["truth"], row["number"]): row["labels"] for row in rows}


def table(studies: Sequence[Study], cells: Cells) -> str:
    """Return one row per verdict and planted defect."""
    seen: Mapping[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for cell, labels in cells.items():
        for verdict, label in labels.items():
            seen[cell.study, verdict, cell.case, cell.truth].append(label)
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for study in studies:
        for row in study.rows:
            lines += _rows_of(study, row, seen)
    return "\n".join(lines)


def _rows_of(study: Study, row: Row, seen: Mapping[tuple[str, str, str, str], list[str]]) -> Iterator[str]:
    def rates(case: str) -> list[str]:
        by_truth = [seen[study.key, row.verdict, case, truth] for truth in TRUTHS]
        told = ["; ".join(str(Rate.of(labels, alarm)) for alarm in row.alarms) for labels in by_truth]
        return [told[0], study.still] if study.still else told

    right = [row.verdict, *rates(RIGHT)]
    defects = [name for name in study.wrong if row.defects is None or name in row.defects]
    for place, defect in enumerate(defects or [""]):
        first = right if place == 0 else ["", "", ""]
        found = [defect, *rates(defect)] if defect else ["", "", ""]
        yield f"| {' | '.join([*first, *found])} |"


def kept(benchmarks: str) -> dict[str, Any]:
    """Return the rates that BENCHMARKS.md prints as the package keeps them: of verdicts, of facts on real windows."""
    checks = {row.verdict: row.check.key if row.check else None for study in STUDIES for row in study.rows}
    verdicts: dict[str, dict[str, Any]] = {}
    for cells in _printed(benchmarks, " | ".join(COLUMNS)):
        if cells[0]:
            rates = {"check": checks[cells[0]], "right": {"stationary": cells[1], "drifting": cells[2]}, "wrong": []}
            verdicts[cells[0]] = rates
        rates["wrong"].append({"planted": cells[3], "stationary": cells[4], "drifting": cells[5]})
    facts = {cells[0]: f"{cells[1]} %" for cells in _printed(benchmarks, "fact | REAL held-out | copy")}
    titles = _printed(benchmarks, "candidate | tails", head=True)[0]
    real = next(cells for cells in _printed(benchmarks, "candidate | tails") if cells[0] == "REAL held-out")
    pairs = zip(titles[1:-1], (cell.split("\\|") for cell in real[1:-1]), strict=True)  # the last is of all groups
    groups = {title: f"{failed} % FAIL, {raised} % FAIL or WARN" for title, (failed, raised) in pairs}
    return {"verdicts": verdicts, "facts": facts, "groups": groups}


def _printed(benchmarks: str, head_of: str, *, head: bool = False) -> list[list[str]]:
    """Return the rows of the table whose head begins so, or its head alone; a bar within a cell stays."""
    after = benchmarks[benchmarks.index(f"| {head_of}") :].splitlines()
    rows = list(takewhile(lambda line: line.startswith("|"), after))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in (rows[:1] if head else rows[2:])]


def main() -> None:
    """Measure what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[study.key for study in STUDIES], help="these studies")
    parser.add_argument("--repeats", type=int, help="worlds of each case and truth; default: each study's own number")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no new world is begun")
    parser.add_argument("--cells", type=Path, default=Path("every_verdict.jsonl"), help="file of finished worlds")
    parser.add_argument("--keep", action="store_true", help="measure nothing; take BENCHMARKS.md into the package")
    options = parser.parse_args()
    if options.keep:
        printed = kept(Path("BENCHMARKS.md").read_text(encoding="utf-8"))
        KEPT.write_text(json.dumps(printed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    studies = [study for study in STUDIES if not options.only or study.key in options.only]
    cells = measure(studies, options.repeats, options.cells, 60 * options.minutes)
    print(f"{len(cells):,} worlds; {STATIONARY} and {DRIFTING} truths\n\n{table(studies, cells)}")


if __name__ == "__main__":
    main()
