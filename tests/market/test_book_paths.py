"""Joint futures on one grid of dates: a closed market keeps its close and trades nothing."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from scenario_gen.market.book import BookPaths
from scenario_gen.market.paths import PathSet


def _paths(closes: list[list[float]], days: list[int], anchor: float, ids: list[int]) -> PathSet:
    close = np.array(closes, dtype=np.float32)
    values = np.stack((close, close + 1, close - 1, close, 10 * close), axis=-1)
    stamps = pd.DatetimeIndex([pd.Timestamp(2024, 1, day) for day in days])
    fields = ("open", "high", "low", "close", "volume")
    return PathSet(values, fields, stamps, np.array(ids, dtype=np.int64), anchor)


COIN = _paths([[11, 12, 13, 14]], [5, 6, 7, 8], 10.0, [0])
STOCK = _paths([[51, 52]], [5, 8], 50.0, [0])


def test_a_closed_market_keeps_its_close_and_has_no_volume():
    book = BookPaths({"coin": COIN, "stock": STOCK})
    assert book.horizon == 4
    assert_array_equal(book.open_bars[:, 1], [True, False, False, True])
    for field in ("open", "high", "low", "close"):
        assert_array_equal(book.on_grid(field)[0, 1:3, 1], [51, 51])
    assert_array_equal(book.on_grid("volume")[0, :, 1], [510, 0, 0, 520])
    assert_array_equal(book.on_grid("close")[0, :, 0], [11, 12, 13, 14])


def test_a_market_that_is_closed_at_first_has_its_last_real_close():
    late = _paths([[51, 52]], [6, 8], 50.0, [0])
    assert_array_equal(BookPaths({"coin": COIN, "stock": late}).on_grid("close")[0, :, 1], [50, 51, 51, 52])


def test_a_path_that_was_dropped_in_one_asset_is_dropped_in_all():
    one = _paths([[1], [2], [3]], [5], 1.0, [4, 5, 6])
    other = _paths([[7], [9]], [5], 7.0, [4, 6])
    book = BookPaths.common({"one": one, "other": other})
    assert_array_equal(book.path_ids, [4, 6])
    assert_array_equal(book.on_grid("close")[:, 0], [[1, 7], [3, 9]])


def test_assets_of_different_paths_are_no_book():
    with pytest.raises(ValueError, match="different paths"):
        BookPaths({"one": _paths([[1]], [5], 1.0, [4]), "other": _paths([[1]], [5], 1.0, [5])})
