"""Files that are small on disk and large in memory, and Parquet that nobody's library wrote like that."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from scenario_gen.errors import DataError
from scenario_gen.market import load_candles
from scenario_gen.market.path_tables import read_path_table
from scenario_gen.training.histories import read_histories

DAYS = pd.bdate_range("2020-01-01", periods=60)
PRICES = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5}


def bars(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"date": DAYS, **PRICES, **more})


def refused(path: Path, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        load_candles(path)
    assert caught.value.expected
    assert caught.value.fix


def written(path: Path, table: pa.Table) -> Path:
    parquet.write_table(table, path)
    return path


def peak_of(code: str, *words: str) -> int:
    """Return the peak memory of a new process in bytes."""
    script = f"import sys\n{code}\nprint(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout.splitlines()[-1])


LOAD = """
from scenario_gen.errors import DataError
from scenario_gen.market import load_candles
try:
    load_candles(sys.argv[1])
except DataError as error:
    assert sys.argv[2] in str(error), error
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory of /proc")
def test_kilobytes_of_repeated_text_are_refused_before_they_become_gigabytes(tmp_path: Path) -> None:
    """One text of 750 characters on ten million rows: a megabyte of Parquet, 7.5 GB as a column of text."""
    rows = 10_000_000
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, dtype=np.int8)), pa.array(["2020-01-01" + " " * 740])
    )
    flat = pa.array(np.full(rows, 100.0))
    table = pa.table({"date": words, "open": flat, "high": flat, "low": flat, "close": flat})
    path = written(tmp_path / "bomb.parquet", table)
    assert path.stat().st_size < 1_000_000
    assert peak_of(LOAD, str(path), "texts of 750 characters on 10,000,000 rows") < 2e9


def test_columns_that_nobody_reads_stay_in_the_file_and_are_told(tmp_path: Path) -> None:
    nested = pa.array([[1, 2]] * 60)
    table = pa.Table.from_pandas(bars()).append_column("tags", nested).append_column("raw", pa.array([b"x"] * 60))
    candles = load_candles(written(tmp_path / "wide.parquet", table))
    assert len(candles) == 60
    assert [flag.message for flag in candles.flags if flag.rule == "unused columns"] == [
        "columns that were not read: tags, raw"
    ]


def test_more_rows_than_bars_are_refused_by_their_count_alone(tmp_path: Path) -> None:
    table = pa.table({"date": pa.nulls(10_000_001)})
    refused(written(tmp_path / "long.parquet", table), "has 10,000,001 rows")


@pytest.mark.parametrize(
    ("column", "holds"),
    [
        (pa.array([b"100"] * 60), "binary"),
        (pa.array([[100.0]] * 60), "list<"),
        (pa.array([{"a": 1.0}] * 60), "struct<"),
    ],
)
def test_a_price_of_bytes_or_of_nested_values_is_refused_by_its_name(
    tmp_path: Path, column: pa.Array, holds: str
) -> None:
    table = pa.Table.from_pandas(bars()).drop_columns("close").append_column("close", column)
    refused(written(tmp_path / "odd.parquet", table), f"the column 'close' of .* holds {holds}")


def test_decimals_and_texts_are_read_as_the_numbers_that_they_say(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(bars().assign(date=DAYS.astype(str)))
    table = table.drop_columns("close").append_column("close", pa.array([Decimal("100.50")] * 60))
    candles = load_candles(written(tmp_path / "text.parquet", table))
    assert candles.close.tolist() == [100.5] * 60
    assert candles.timestamps.equals(DAYS.as_unit("ns")) or list(candles.timestamps) == list(DAYS)


def damage(metadata: bytes) -> list[bytes | None]:
    whole = json.loads(metadata)
    return [
        b"{",
        b"[" * 100_000,
        b"null",
        b'"\xff\xfe"',
        json.dumps({**whole, "index_columns": [{"kind": "range", "start": 0, "stop": 10**15, "step": 1}]}).encode(),
        json.dumps({**whole, "index_columns": ["no such column"]}).encode(),
        json.dumps({**whole, "columns": None}).encode(),
        json.dumps({**whole, "column_indexes": [{"name": 1}, None]}).encode(),
        json.dumps({**whole, "columns": [{"name": "date", "pandas_type": "bogus", "numpy_type": "M8[x]"}]}).encode(),
        None,
    ]


@pytest.mark.parametrize("number", range(10))
def test_damaged_metadata_of_pandas_hide_no_bars(tmp_path: Path, number: int) -> None:
    table = pa.Table.from_pandas(bars())
    raw = damage(table.schema.metadata[b"pandas"])[number]
    table = table.replace_schema_metadata(None if raw is None else {b"pandas": raw})
    assert len(load_candles(written(tmp_path / "damaged.parquet", table))) == 60


@pytest.mark.parametrize(
    "frame",
    [
        bars().set_index("date"),
        bars().set_index("date").rename_axis(None),
        bars().set_index("date").rename_axis("when it was"),
        bars()
        .set_index("date")
        .set_axis(pd.MultiIndex.from_product([["Open", "High", "Low", "Close"], ["SPY"]]), axis=1),
        bars(symbol=pd.Categorical(["SPY"] * 60)),
    ],
)
def test_frames_that_pandas_wrote_keep_their_index_and_levels(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "frame.parquet")
    candles = load_candles(tmp_path / "frame.parquet")
    assert list(candles.timestamps) == list(DAYS)
    assert candles.close.tolist() == [100.5] * 60


def test_a_table_of_paths_keeps_an_index_of_two_levels(tmp_path: Path) -> None:
    both = [bars().assign(path=number) for number in (3, 4)]
    pd.concat(both).set_index(["path", "date"]).to_parquet(tmp_path / "paths.parquet")
    assert read_path_table(tmp_path / "paths.parquet").path_ids.tolist() == [3, 4]


def endless(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(b"date,open,high,low,close\n2020-01-01,")
        for _ in range(100):
            stream.write(b"1" * 2**20)


def repeated(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(b"date,open,high,low,close\n")
        for _ in range(100):
            stream.write(b"2020-01-01,1,1,1,1\n" * 2**16)


@pytest.mark.parametrize(
    ("make", "match"),
    [(endless, "has a line of more than 10,000"), (repeated, "unpacks to more than 100 times its size")],
)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory of /proc")
def test_packed_text_is_looked_through_before_memory_is_asked_for(
    tmp_path: Path, make: Callable[[Path], None], match: str
) -> None:
    path = tmp_path / "bomb.csv.gz"
    make(path)
    assert path.stat().st_size < 1_000_000
    refused(path, match)
    assert peak_of(LOAD, str(path), match) < 5e8


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_end_a_line(tmp_path: Path, end: str) -> None:
    lines = ["date,open,high,low,close", *(f"{day.date()},100,101,99,100.5" for day in DAYS)]
    (tmp_path / "bars.csv").write_bytes(end.join(lines).encode())
    assert len(load_candles(tmp_path / "bars.csv")) == 60


def test_training_reads_a_listed_file_through_the_same_door(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("file,asset_class,symbol,frequency\nx.parquet,index,X,daily\n")
    frame = bars(volume=1.0).rename(columns={"date": "timestamp"})
    table = pa.Table.from_pandas(frame).append_column("extra", pa.array([[1]] * 60))
    written(tmp_path / "x.parquet", table.replace_schema_metadata({b"pandas": b"{"}))
    assert len(read_histories(tmp_path)[0].values) == 60
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as Parquet"):
        read_histories(tmp_path)
