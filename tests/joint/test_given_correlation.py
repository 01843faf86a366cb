"""A given correlation matrix is taken as it is or refused with what is wrong; nothing is repaired."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from scenario_gen.errors import DataError
from scenario_gen.joint.given import checked_correlation, read_correlation

ASSETS = ("spx", "ndx", "gold")
ROWS = ((1, 0.9, 0.1), (0.9, 1, 0.2), (0.1, 0.2, 1))


def written(folder: Path, text: str) -> Path:
    file = folder / "matrix.csv"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "spx,ndx,gold\n1,.9,.1\n.9,1,.2\n.1,.2,1\n",
        ",spx,ndx,gold\nspx,1,.9,.1\nndx,.9,1,.2\ngold,.1,.2,1\n",
        "asset, gold, spx, ndx\nndx,.2,.9,1\nspx,.1,1,.9\ngold,1,.1,.2\n",
    ],
)
def test_a_matrix_is_read_by_its_names_whatever_their_order(tmp_path: Path, text: str) -> None:
    assert_array_equal(read_correlation(written(tmp_path, text), ASSETS), ROWS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spx,ndx\n1,.9\n.9,1\n", "2 rows and 2 columns of numbers, and there are 3 assets"),
        ("spx,ndx,oil\n1,.9,.1\n.9,1,.2\n.1,.2,1\n", "names oil, and the assets are spx, ndx, gold"),
        ("spx,ndx,gold\n1,.8,.1\n.9,1,.2\n.1,.2,1\n", "the number of spx and ndx, 0.8, differs"),
        ("spx,ndx,gold\n1,.9,.1\n.9,2,.2\n.1,.2,1\n", "the number of ndx and ndx, 2, stands on the diagonal"),
        ("spx,ndx,gold\n1,1.2,.1\n1.2,1,.2\n.1,.2,1\n", "the number of spx and ndx, 1.2, lies beyond -1 and 1"),
        ("spx,ndx,gold\n1,x,.1\n.9,1,.2\n.1,.2,1\n", "got 'x' for spx and ndx, which is no number"),
        ("spx,ndx,gold\n1,.9,.1\n.9,1,\n.1,.2,1\n", "got nothing for ndx and gold, which is no number"),
        ("", "cannot be read"),
    ],
)
def test_what_is_no_correlation_matrix_is_refused_with_the_number_that_is_wrong(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError) as raised:
        read_correlation(written(tmp_path, text), ASSETS, "my.yaml:9: joint.correlation")
    assert words in str(raised.value)
    assert str(raised.value).startswith("my.yaml:9: joint.correlation: matrix.csv")


def test_a_matrix_with_a_negative_eigenvalue_is_refused_with_the_nearest_that_has_none() -> None:
    # Higham 2002: the nearest to this one is .5278 away
    with pytest.raises(DataError, match=r"nearest one is 0\.5278 away .*: 1\.0000, 0\.7607, 0\.1573; 0\.7607, 1\.0000"):
        checked_correlation(np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]]), ASSETS)


def test_a_matrix_of_another_size_is_refused_and_a_singular_one_is_not() -> None:
    with pytest.raises(DataError, match="is 2 x 2, and there are 3 assets"):
        checked_correlation(np.eye(2), ASSETS)
    assert_array_equal(checked_correlation(np.ones((3, 3)), ASSETS), np.ones((3, 3)))
