"""A correlation matrix that somebody gives: read from a CSV file, and refused where it is none.

Nothing is repaired: of a matrix that is not positive semidefinite the nearest that is, and how far it is, are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.stats.copula import SAME, nearest_correlation

Floats = NDArray[np.float64]

ROUNDED = 1e-6  # smallest eigenvalues above minus this are those of a matrix that was written with few digits
SHOWN = 6  # assets up to which the nearest matrix is printed


def read_correlation(file: Path, assets: Sequence[str], place: str = "") -> Floats:
    """Return the correlation matrix of a CSV file, in the order of the assets.

    The first row names the assets; a first column that names them, too, may be there or not.

    Args:
        file: to be read.
        assets: names in the book's order.
        place: where a spec names the file.

    Raises:
        DataError: the file cannot be read, names other assets, or holds no correlation matrix.
    """
    where = f"{place}: {file.name}" if place else str(file)
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, UnicodeError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{where} cannot be read: {error}", expected=_form(assets)) from None
    frame.columns = [str(name).strip() for name in frame.columns]
    if len(frame.columns) == len(assets) + 1:
        frame = frame.set_index(frame.columns[0])
        frame.index = [str(name).strip() for name in frame.index]
        rows = list(frame.index)
    else:
        rows = list(frame.columns)
    size = f"{len(frame)} rows and {len(frame.columns)} columns"
    if len(frame) != len(assets) or len(frame.columns) != len(assets):
        raise DataError(f"{where} holds {size} of numbers, and there are {len(assets)} assets", expected=_form(assets))
    if set(frame.columns) != set(assets) or set(rows) != set(assets):
        other = [name for name in (*frame.columns, *rows) if name not in assets]
        named = f"names {', '.join(dict.fromkeys(other))}" if other else "names an asset twice"
        raise DataError(f"{where} {named}, and the assets are {', '.join(assets)}", expected=_form(assets))
    frame.index = pd.Index(rows)
    texts = frame.loc[list(assets), list(assets)]
    numbers = texts.apply(pd.to_numeric, errors="coerce")
    if numbers.isna().to_numpy().any():
        row, column = np.argwhere(numbers.isna().to_numpy())[0]
        came = texts.iat[row, column]
        raise DataError(
            f"{where}: got {repr(came) if isinstance(came, str) and came else 'nothing'} for {assets[row]} and "
            f"{assets[column]}, which is no number",
            expected=_form(assets),
            fix="write each number with a decimal point",
        )
    return checked_correlation(np.asarray(numbers.to_numpy(dtype=np.float64)), assets, where)


def checked_correlation(matrix: Floats, assets: Sequence[str], where: str = "the correlation") -> Floats:
    """Return a matrix [asset, asset] as it came, if it is a correlation matrix.

    Raises:
        DataError: it has another size, is not symmetric, has no diagonal of 1, or is not positive semidefinite.
    """
    if matrix.shape != (len(assets), len(assets)):
        shape = " x ".join(map(str, matrix.shape))
        raise DataError(f"{where} is {shape}, and there are {len(assets)} assets", expected=_form(assets))
    wrong = [
        (~np.isfinite(matrix), "is no number"),
        (~np.isclose(matrix, matrix.T, rtol=0, atol=SAME), "differs from the number on the other side of the diagonal"),
        (np.eye(len(assets), dtype=bool) & ~np.isclose(matrix, 1.0, rtol=0, atol=SAME), "stands on the diagonal"),
        (np.abs(matrix) > 1.0 + SAME, "lies beyond -1 and 1"),
    ]
    for cells, words in wrong:
        if cells.any():
            row, column = np.argwhere(cells)[0]
            raise DataError(
                f"{where}: the number of {assets[row]} and {assets[column]}, {matrix[row, column]:g}, {words}",
                expected=_form(assets),
            )
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -ROUNDED:
        nearest, away = nearest_correlation(matrix)
        shown = "; ".join(", ".join(f"{value:.4f}" for value in row) for row in nearest)
        text = f": {shown}" if len(assets) <= SHOWN else ""
        raise DataError(
            f"{where} is no correlation matrix: its smallest eigenvalue is {least:.4f}, below zero. The nearest one "
            f"is {away:.4f} away (Frobenius){text}",
            expected="a positive semidefinite matrix; nothing is repaired unasked",
            fix="take the nearest one, or correct the numbers",
        )
    return matrix


def _form(assets: Sequence[str]) -> str:
    return (
        f"a symmetric matrix with 1 on its diagonal, one row and one column for each of {', '.join(assets[:SHOWN])}"
        f"{' ...' if len(assets) > SHOWN else ''}"
    )
