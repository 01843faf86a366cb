"""Holdings given as a table: what somebody holds counts as a strategy that buys it at the first fill and keeps it.

A CSV file with the columns ``asset`` and either ``quantity`` (units) or ``weight`` (shares of equity), a line for each
asset; what is negative is short, and assets without a line are not held. Owns the file's form and what is said of its
mistakes. Imports nothing heavy: a spec is checked with it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_gen.errors import SpecError
from scenario_gen.reading.words import nearest, one_of

if TYPE_CHECKING:
    from scenario_gen.backtest.strategy import Bars, Targets

AMOUNTS = ("quantity", "weight")
COLUMNS = ("asset", *AMOUNTS)
MOST_BYTES = 1_000_000
FORM = "a header like asset,weight or asset,quantity and a line for each asset"
MEND = "mend that line and run again"


@dataclass(frozen=True)
class Positions:
    """What is held from the first fill on.

    Attributes:
        file: what messages call the table.
        unit: ``quantity`` or ``weight``.
        amounts: of each asset, negative when short.
        lines: where each asset stands in the file, from 1.
    """

    file: str
    unit: str
    amounts: Mapping[str, float]
    lines: Mapping[str, int]

    def refuse_others(self, assets: Sequence[str]) -> None:
        """Refuse holdings of assets that a book has not.

        Raises:
            SpecError: with line and column.
        """
        for name in self.amounts:
            if name not in assets:
                hint = nearest(name, assets) or "."
                came = f"got {name!r}, which is no asset of the book{hint}"
                raise _mistake(self.file, self.lines[name], "asset", f"{came} Its assets: {', '.join(assets)}")

    def refuse_beyond(self, leverage: float) -> None:
        """Refuse weights whose absolute values sum to more than the leverage; quantities have no sum before prices.

        Raises:
            SpecError: with the first line that goes beyond, and its column.
        """
        gross = 0.0
        for name, amount in self.amounts.items() if self.unit == "weight" else ():
            gross += abs(amount)
            if gross > leverage * (1 + 1e-9):
                words = f"the absolute weights sum to {gross:g} up to here, expected at most {leverage:g}"
                raise _mistake(self.file, self.lines[name], self.unit, f"{words}, the broker's leverage")

    def weights(self, bars: Bars) -> Targets:
        """Return what is held of each asset, ordered once."""
        from scenario_gen.backtest.strategy import Targets

        assets = bars.assets
        if not assets:
            raise SpecError(
                f"{self.file} holds several assets, and there is one without a name",
                expected="joint paths of several assets",
                fix="list the assets in the spec, or run a strategy of one",
            )
        self.refuse_others(assets)
        held = [self.amounts.get(name, 0.0) for name in assets] * (bars.close.shape[1] // len(assets))
        return Targets(bars.close * 0.0 + held, every=len(bars), units=self.unit == "quantity")


def read_positions(path: Path, shown: str = "") -> Positions:
    """Read a table of holdings.

    Args:
        path: of the CSV file.
        shown: what messages call it; default: its name.

    Raises:
        SpecError: it cannot be read, lacks a column, or a line of it says nothing usable: with line and column.
    """
    name = shown or path.name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpecError(f"{name} is larger than {MOST_BYTES // 1000} kB", expected=FORM)
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{name} cannot be read as CSV: {error}", expected=FORM) from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if wrong := [cell for cell in header if cell not in COLUMNS or header.count(cell) > 1]:
        problem = f"got the column {wrong[0]!r}, expected {one_of(COLUMNS)}, each once at most"
        raise _mistake(name, 1, wrong[0], problem)
    units = [unit for unit in AMOUNTS if unit in header]
    if "asset" not in header or len(units) != 1:
        lacking = "asset" if "asset" not in header else " or ".join(AMOUNTS)
        came = "both quantity and weight" if len(units) > 1 else f"no column {lacking}"
        raise SpecError(f"{name}, line 1: got {came}", expected=FORM, fix="mend the header and run again")
    amounts, lines = _lines(name, header, rows[1:], units[0])
    if not any(amounts.values()):
        raise SpecError(f"{name} holds nothing", expected=FORM, fix="add what is held")
    return Positions(name, units[0], amounts, lines)


def _lines(
    name: str, header: Sequence[str], rows: Sequence[Sequence[str]], unit: str
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the amount of each asset, and where it stands."""
    amounts: dict[str, float] = {}
    lines: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise _mistake(name, line, "", f"got {len(cells)} values, expected {len(header)}: {', '.join(header)}")
        values = dict(zip(header, cells, strict=True))
        asset = values["asset"]
        if not asset or asset in amounts:
            came = f"{asset!r} is there already, in line {lines[asset]}" if asset else "got nothing"
            raise _mistake(name, line, "asset", f"{came}; expected each asset once")
        try:
            amounts[asset] = float(values[unit])
        except ValueError:
            amounts[asset] = math.nan
        if not math.isfinite(amounts[asset]):
            raise _mistake(name, line, unit, f"got {values[unit]!r}, expected a number, negative for a short position")
        lines[asset] = line
    return amounts, lines


def _mistake(file: str, line: int, column: str, words: str) -> SpecError:
    place = f", column {column}" if column else ""
    return SpecError(f"{file}, line {line}{place}: {words}", fix=MEND)
