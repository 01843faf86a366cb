"""JSON, tables and blocks as a run folder keeps them: what may be in them, and the words for what is damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import StoreError
from scenario_gen.files import SAFE_NAME, disk_trouble
from scenario_gen.values import BROKEN


def check_block(arrays: Mapping[str, NDArray[Any]], frames: Mapping[str, pd.DataFrame]) -> None:
    """Refuse what a block cannot keep.

    Raises:
        ValueError: an array of objects, or a frame name that is no file name (defects of the caller).
    """
    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise ValueError(f"arrays of objects would need pickle: {objects}")
    unsafe = [name for name in frames if not SAFE_NAME.fullmatch(name)]
    if unsafe:
        raise ValueError(f"frame names must be plain lower-case names: {unsafe}")


def json_bytes(data: Any) -> bytes:
    """Return values as a JSON file has them: the same values give the same bytes."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode("ascii")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds a mapping.

    Raises:
        StoreError: it is missing, cut off, or holds something else.
    """
    with disk_trouble("read", path):
        content = path.read_bytes()
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:  # nested a thousand deep
        raise StoreError(f"{path} is not valid JSON: {error}", expected="a whole file", fix=BROKEN) from error
    if not isinstance(data, dict):
        raise StoreError(f"{path} holds no mapping", expected="a file that a run wrote", fix=BROKEN)
    return data


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        StoreError: it is missing or unreadable.
    """
    with disk_trouble("read", path):
        path.stat()
        try:
            return pd.read_parquet(path)
        except Exception as error:  # pyarrow raises several kinds of its own for a damaged file
            raise StoreError(f"{path} cannot be read as Parquet: {error}", fix=BROKEN) from error
