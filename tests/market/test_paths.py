"""Path sets: chosen paths stay who they are, and arrays go to their own columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import PathSet

STAMPS = pd.date_range("2020-01-01", periods=2)


def _paths() -> PathSet:
    """Three paths of two bars; every number says its path, bar and field."""
    path, bar = np.meshgrid([100.0, 200.0, 300.0], [10.0, 20.0], indexing="ij")
    columns = {name: path + bar + place for place, name in enumerate(("open", "high", "low", "close", "volume"))}
    return PathSet.of_arrays(**columns, timestamps=STAMPS, anchor_close=99.0)


def test_arrays_go_to_the_columns_of_their_names() -> None:
    paths = _paths()
    assert paths.fields == ("open", "high", "low", "close", "volume")
    assert paths.values[1].tolist() == [[210, 211, 212, 213, 214], [220, 221, 222, 223, 224]]
    assert paths.column("low")[2].tolist() == [312, 322]
    assert paths.close[0].tolist() == [113, 123]
    assert (paths.path_ids.tolist(), len(paths), paths.horizon) == ([0, 1, 2], 3, 2)
    with pytest.raises(ValueError, match="expected one shape"):
        PathSet.of_arrays(*[np.ones((3, 2))] * 3, np.ones((3, 3)), timestamps=STAMPS, anchor_close=99.0)


def test_chosen_paths_keep_their_ids_numbers_and_counts_in_the_order_asked_for() -> None:
    paths = replace(_paths(), path_ids=np.array([7, 3, 9]), counts={"pinned": np.array([5, 0, 2])})
    assert paths.provenance["pinned"] == 7
    chosen = paths.select(np.array([9, 7]))
    assert chosen.path_ids.tolist() == [9, 7]
    assert chosen.values[:, 0, 0].tolist() == [310, 110]
    assert (chosen.counts["pinned"].tolist(), chosen.provenance["pinned"]) == ([2, 5], 7)
    first = paths.first(2)
    assert (first.path_ids.tolist(), first.counts["pinned"].tolist(), first.provenance["pinned"]) == ([7, 3], [5, 0], 5)
    assert paths.frame(3)["close"].tolist() == [213, 223]
    with pytest.raises(ValueError, match="counts of pinned are not one number per path"):
        replace(paths, counts={"pinned": np.zeros(2)})
