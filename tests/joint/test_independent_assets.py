"""Assets without a coupling are those of solo runs, to the bit; a coupling hands each asset its own dates' numbers."""

import numpy as np
import pandas as pd
from numpy.testing import assert_array_equal

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.generators.rescaled import DriftNeutral
from scenario_gen.joint.coupling import Coupled, Dated, Independent, seed_of
from scenario_gen.market import BarCalendar, load_candles

BARS = 8
DRAWS = Draws(3, np.arange(16, dtype=np.int64))


def test_independent_assets_have_the_paths_of_each_alone():
    for place, source in enumerate(("sp500", "nasdaq")):
        context = load_candles(source).context(200)
        ahead = BarCalendar.infer(context.timestamps).future(BARS)
        book = Coupled(FilteredPaths(), Independent(), place, ahead, np.arange(BARS)).sample(context, ahead, DRAWS)
        alone = FilteredPaths().sample(context, ahead, Draws(seed_of(3, place), DRAWS.path_ids))
        assert_array_equal(book.values, alone.values)


def test_what_a_wrapper_draws_by_its_seed_is_the_assets_own_too():
    context = load_candles("nasdaq").context(100)
    ahead = BarCalendar.infer(context.timestamps).future(BARS)
    book = Coupled(DriftNeutral(FilteredPaths()), Independent(), 1, ahead, np.arange(BARS)).sample(
        context, ahead, DRAWS
    )
    alone = DriftNeutral(FilteredPaths()).sample(context, ahead, Draws(seed_of(3, 1), DRAWS.path_ids))
    assert_array_equal(book.values, alone.values)


def test_other_bars_than_those_of_the_book_are_sampled_by_the_generator_alone():
    context = load_candles("sp500").context(200)
    ahead = BarCalendar.infer(context.timestamps).future(BARS)
    coupled = Coupled(FilteredPaths(), Dated(), 1, ahead, np.arange(BARS))
    other = ahead + pd.Timedelta(days=700)
    assert_array_equal(
        coupled.sample(context, other, DRAWS).values, FilteredPaths().sample(context, other, DRAWS).values
    )


def test_assets_that_draw_dated_rows_draw_the_same_row_on_the_same_date():
    every, some = np.arange(6), np.array([0, 2, 5])
    whole, part = (Dated().uniforms(place, DRAWS, dates, 2) for place, dates in ((0, every), (1, some)))
    assert_array_equal(whole[:, some], part)
