"""Numbers of very many paths, on disk by column: what is read back is what gathering everything would give."""

from __future__ import annotations

import gc
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from scenario_gen.errors import StoreError
from scenario_gen.store.columns import Columns, MetricTable, NamedTable, Scratch, metric_columns, write_frames


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 400))
def test_columns_of_parts_are_those_of_everything_at_once(lengths: list[int], at_once: int) -> None:
    rng = np.random.default_rng(sum(lengths))
    parts = [
        {
            "id": np.arange(rows),
            "fan": rng.normal(size=(rows, 3)).astype(np.float32),
            "hit": rng.random(rows) < 0.5,
            "word": rng.choice(np.array(["passed", "lost", "idle"], dtype=object), rows),
        }
        for rows in lengths
    ]
    with Scratch(Path(gettempdir())) as scratch:
        columns = Columns(scratch, at_once)
        for part in parts:
            columns.append(part)
        assert len(columns) == sum(lengths)
        if not len(columns):
            return
        assert columns.names == ["id", "fan", "hit", "word"]
        for name in ("id", "hit", "word"):
            whole = np.concatenate([part[name] for part in parts])
            assert columns[name].dtype == whole.dtype
            assert columns[name].tolist() == whole.tolist()
            assert np.concatenate([part[name] for part in columns.parts()]).tolist() == whole.tolist()
        fan = np.concatenate([part["fan"] for part in parts])
        assert columns.count("fan") == 3
        assert np.stack([columns.column("fan", at) for at in range(3)], axis=1).tobytes() == fan.tobytes()


@pytest.mark.parametrize("at_once", [1, 10**6], ids=["part by part", "together"])
def test_a_name_that_a_part_lacks_is_nan_there_and_one_that_none_has_is_refused(tmp_path: Path, at_once: int) -> None:
    with Scratch(tmp_path) as scratch:
        columns = Columns(scratch, at_once)
        columns.append({"id": np.array([1, 2]), "volume": np.array([5, 6])})
        columns.append({"id": np.array([3])})
        assert columns["id"].dtype == np.int64
        np.testing.assert_array_equal(columns["volume"], [5.0, 6.0, np.nan])
        with pytest.raises(KeyError, match="close"):
            columns["close"]
        with pytest.raises(ValueError, match=r"\[1, 2\] rows"):
            columns.append({"id": np.zeros(2), "volume": np.zeros(1)})


def test_a_scratch_leaves_nothing_and_needs_a_folder(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    Columns(scratch, 1).append({"id": np.zeros(1000)})
    assert list(tmp_path.iterdir()) == []  # without a name from the first: a killed run leaves none either
    del scratch
    gc.collect()  # closes it; an open file that is dropped would be a warning, which fails the suite
    with pytest.raises(StoreError):
        Scratch(tmp_path / "none")


def _metrics(block: int, ids: list[int], strategies: int = 2) -> pd.DataFrame:
    """Return metrics as a block has them: strategy by strategy, in each path by path."""
    rng = np.random.default_rng(block)
    rows = [(place, path, *rng.normal(size=2)) for place in range(strategies) for path in ids]
    return pd.DataFrame(rows, columns=["strategy", "path_id", "total_return", "max_drawdown"])


@pytest.mark.parametrize("at_once", [1, 200, 10**6])
def test_the_table_of_metrics_is_that_of_the_blocks_one_below_the_other(tmp_path: Path, at_once: int) -> None:
    blocks = {0: [0, 1, 3], 1: [], 2: [8, 9], 3: [12]}
    frames = {block: _metrics(block, ids) for block, ids in blocks.items()}
    shares = np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.2])
    with Scratch(tmp_path) as scratch:
        columns = Columns(scratch, at_once)
        for block, ids in blocks.items():
            of_each = metric_columns(frames[block], 2)
            columns.append({"path_id": np.array(ids), "block": np.full(len(ids), block), **of_each})
        table = MetricTable("base", ("a", "b"), columns, shares, weighed=True)
        found = pd.concat(table, ignore_index=True)
        every = pd.concat([frame for frame in frames.values() if len(frame)], ignore_index=True)
        every.insert(0, "scenario", "base")
        every["strategy"] = every["strategy"].map({0: "a", 1: "b"})
        every["weight"] = every["path_id"].map(dict(zip([0, 1, 3, 8, 9, 12], shares, strict=True)))
        pd.testing.assert_frame_equal(found, every, check_exact=True, check_dtype=False)
        own = every[every["strategy"] == "b"].set_index("path_id")
        pd.testing.assert_frame_equal(table.frame("b", "max_drawdown"), own[["max_drawdown"]], check_exact=True)


def test_tables_go_to_one_file_as_one_frame_would(tmp_path: Path) -> None:
    first = {"path_id": np.arange(5), "count": np.arange(5, dtype=np.int32), "hit": np.arange(5) > 2}
    second = {"path_id": np.arange(3), "hit": np.zeros(3, dtype=bool), "spread": np.full(3, np.nan)}
    with Scratch(tmp_path) as scratch:
        tables = []
        for scenario, part in (("calm", first), ("hot", second)):
            columns = Columns(scratch, 1)
            columns.append(part)
            tables.append(NamedTable(scenario, columns))
        write_frames(tmp_path / "streamed.parquet", tables)
    frames = [pd.DataFrame(first).assign(scenario="calm"), pd.DataFrame(second).assign(scenario="hot")]
    pd.concat(frames, ignore_index=True).to_parquet(tmp_path / "gathered.parquet", index=False)
    streamed, gathered = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("streamed", "gathered"))
    pd.testing.assert_frame_equal(streamed, gathered, check_exact=True)
