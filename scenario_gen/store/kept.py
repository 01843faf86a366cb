"""Whole paths on disk: one Parquet file per scenario, a row per path and bar.

Owns the columns. Does not know where the file lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.market.paths import PathSet


class PathsWriter:
    """Appends blocks of paths to one Parquet file without holding them in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, paths: PathSet) -> None:
        """Append the paths of one block."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(paths_frame(paths), preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def paths_frame(paths: PathSet) -> pd.DataFrame:
    """Return a path set as rows: path_id, bar, timestamp and one column per field."""
    count, bars = len(paths), paths.horizon
    columns: dict[str, Any] = {
        "path_id": np.repeat(paths.path_ids, bars),
        "bar": np.tile(np.arange(bars, dtype=np.int32), count),
        "timestamp": np.tile(paths.timestamps.to_numpy(), count),
    }
    columns |= {name: paths.column(name).reshape(-1) for name in paths.fields}
    return pd.DataFrame(columns)
