"""A history by SQL over files: one SELECT, answered by a process of its own (``query_process``).

Owns how that process is asked, and what of its answer is a history.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from scenario_gen.errors import DataError
from scenario_gen.files import user_path
from scenario_gen.market import query_process
from scenario_gen.market.columns import INSTRUMENT_NAMES, TIME_NAMES, VENDOR_NAMES, canonical, counts
from scenario_gen.market.parquet import frame_of
from scenario_gen.market.query_process import REFUSED, WHERE
from scenario_gen.market.read import RawTable
from scenario_gen.market.times import parse_stamps

SECONDS = 600.0  # that a query may take


def read_query(sql: str, base: Path, folder: str | None = None, *, name: str = "query") -> RawTable:
    """Return what a query over files answers.

    Args:
        sql: one SELECT; its paths are relative to ``base``.
        base: the spec's folder, whose files it may read, and those of the folders in it.
        folder: one more folder whose files it may read.
        name: what to call the instrument.

    Raises:
        DataError: DuckDB is not installed or refuses the query, the query is no SELECT, answers otherwise the second
            time or without an order, or takes too long.
    """
    if find_spec("duckdb") is None:
        raise DataError(
            "data.sql needs DuckDB, which is not installed",
            expected="the extra duckdb of scenario-gen",
            fix="pip install 'scenario-gen[duckdb]'",
        )
    place = (base if str(base) else Path.cwd()).resolve()
    more = None if folder is None else (place / user_path(folder)).resolve()
    if more is not None and not more.is_dir():
        raise DataError(f"data.folder is {folder!r}, and there is no such folder", fix="correct data.folder")
    asked = {"sql": sql, "folders": [str(place), *([] if more is None else [str(more)])]}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    # -P: the spec's folder, where the process works, must not be a place that modules come from
    command = [sys.executable, "-P", "-m", query_process.__name__]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=SECONDS,
            cwd=place,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"{WHERE} took more than {SECONDS:.0f} s",
            expected="bars",
            fix="ask for fewer bars, or write them to a file",
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"signal {-done.returncode}"]
        if done.returncode == REFUSED:
            raise DataError(**json.loads(said[0]))
        raise DataError(f"{WHERE} ended its process: {said[0][:200]}", expected="bars", fix="ask for fewer bars")
    return _table(done.stdout, name)


def _table(answer: bytes, name: str) -> RawTable:
    from pyarrow import ipc

    frame, unread = frame_of(ipc.open_stream(io.BytesIO(answer)).read_all(), WHERE, counts)
    names = [canonical(column) for column in frame.columns]
    times = next((name for name in (*TIME_NAMES, *VENDOR_NAMES["date"]) if name in names), None)
    if times is not None and "time" not in names[1:] and not {*INSTRUMENT_NAMES} & {*names} and len(frame):
        column = frame.iloc[:, names.index(times)]
        stamps = parse_stamps(column.reset_index(drop=True), WHERE)
        steps = np.diff(stamps.asi8)
        if not stamps.hasnans and (steps < 0).any() and (steps > 0).any():
            row = int(np.flatnonzero(steps < 0)[0]) + 2
            raise DataError(
                f"{WHERE} answers in no order: row {row} is {stamps[row - 1].isoformat()}, before the row above it",
                expected="bars in the order of their stamps, which SQL promises only where it is asked for",
                fix=f"end it with ORDER BY {frame.columns[names.index(times)]}",
            )
    return RawTable(frame, WHERE, name, "SQL query", np.empty(0, dtype=np.int64), (), unread)
