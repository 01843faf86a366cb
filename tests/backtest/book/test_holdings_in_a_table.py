"""``positions: book.csv``: holdings given as a table are a strategy that buys them once."""

import pickle

import numpy as np
import pytest

from scenario_gen.backtest.book import trade_book
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.loader import expand, load_all
from scenario_gen.backtest.positions import read_positions
from scenario_gen.backtest.probe import probe_causality
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import SpecError, StrategyError
from scenario_gen.spec.loader import spec_from_dict

ASSETS = ("spx", "ndx", "btc")


@pytest.fixture
def table(tmp_path):
    def write(text, name="book.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def loaded(path):
    return expand(StrategyUse(use=path.name), path.parent)[0]


def test_weights_are_bought_at_the_first_fill_and_kept(make_book, table):
    book = make_book({name: Broker(cash=1e4, fees=0.001) for name in ASSETS}, seed=1)
    strategy = loaded(table("asset,weight\nbtc,-0.25\nspx,0.5\n"))
    backtest = trade_book(strategy, book.ground, book.paths)
    opened, closes = book.future("open")[:, 0], book.future("close")
    units = 1e4 * np.array([0.5, 0.0, -0.25]) / opened  # [path, asset]
    fees = 1e4 * 0.75 * 0.001
    made = (units * (closes[:, -1] - opened)).sum(axis=1)
    np.testing.assert_allclose(backtest.profit.sum(axis=(1, 2)), made - fees, rtol=1e-9)
    assert len(backtest.result.trades) == 2 * len(book.paths)
    assert strategy.name == "Positions(book.csv)"


@pytest.mark.parametrize("more", [{}, {"lot": 1.0}])
def test_quantities_are_units(make_book, table, more):
    book = make_book({name: Broker(cash=1e5, **more) for name in ASSETS}, seed=2)
    backtest = trade_book(loaded(table("Asset, Quantity\nspx, 100\n\nndx, -20\n")), book.ground, book.paths)
    made = (book.future("close")[:, -1] - book.future("open")[:, 0]) @ [100, -20, 0]
    np.testing.assert_allclose(backtest.profit.sum(axis=(1, 2)), made, rtol=1e-9)
    assert set(backtest.result.trades["size"]) == {100.0, 20.0}


def test_units_worth_more_than_the_account_are_refused(make_book, table):
    book = make_book({name: Broker(cash=1e4) for name in ASSETS}, seed=2)
    with pytest.raises(StrategyError, match=r"units are worth shares of the cash that sum to 1\.\d+ at") as error:
        trade_book(loaded(table("asset,quantity\nspx,150\n")), book.ground, book.paths)
    assert "at most 1, the broker's leverage" in str(error.value)


def test_holdings_are_asked_what_any_strategy_is(make_book, table):
    book = make_book({name: Broker() for name in ASSETS}, paths=12, seed=3)
    strategy = loaded(table("asset,weight\nspx,0.5\nndx,-0.5\n"))
    assert probe_causality(strategy, book.ground, book.paths, cuts=8).label == "PASS"
    again = pickle.loads(pickle.dumps(strategy))
    assert again.instance == strategy.instance
    assert [*strategy.reads.identity()] == ["book.csv"]  # a changed table is another run
    by_name, _ = load_all([{"positions": "book.csv", "name": "mine"}], strategy.file.parent)
    assert by_name[0].name == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("asset,weight\nspx,0.5\nndx,half\n", "line 3, column weight: got 'half', expected a number"),
        ("asset,weight\nspx,nan\n", "line 2, column weight: got 'nan', expected a number"),
        ("asset,weight\nspx,1,2\n", "line 2: got 3 values, expected 2: asset, weight"),
        ("asset,weight\nspx,0.5\n\nspx,0.1\n", "line 4, column asset: 'spx' is there already, in line 2"),
        ("asset,weight\n,0.5\n", "line 2, column asset: got nothing"),
        ("asset,share\nspx,0.5\n", "line 1, column share: got the column 'share', expected asset, quantity or weight"),
        ("weight\n0.5\n", "line 1: got no column asset"),
        ("asset\nspx\n", "line 1: got no column quantity or weight"),
        ("asset,weight,quantity\nspx,1,1\n", "line 1: got both quantity and weight"),
        ("asset,weight\nspx,0\n", "holds nothing"),
        ("", "line 1: got no column asset"),
    ],
)
def test_a_table_that_says_nothing_usable_is_refused_with_its_place(table, text, words):
    with pytest.raises(SpecError) as error:
        read_positions(table(text))
    assert f"book.csv{'' if words.startswith('holds') else ','} {words}" in str(error.value)


def spec(folder, strategies, **more):
    values = {
        "name": "x",
        "assets": [{"name": "spx", "source": "sp500"}, {"name": "ndx", "source": "nasdaq"}],
        "strategies": strategies,
    }
    return spec_from_dict({**values, **more}, base=folder).spec


def test_a_spec_takes_a_table_in_place_of_a_class(table):
    folder = table("asset,weight\nspx,0.9\nndx,-0.6\n").parent
    use = spec(folder, [{"positions": "book.csv"}], broker={"leverage": 1.5}).strategies[0]
    assert (use.use, use.positions, use.display_name) == ("book.csv", "book.csv", "book.csv")


@pytest.mark.parametrize(
    ("text", "strategy", "words"),
    [
        (
            "asset,weight\nspx,0.9\ndax,0.1\n",
            {"positions": "book.csv"},
            "line 3, column asset: got 'dax', which is no asset of the book; did you mean 'ndx'? Its assets: spx, ndx",
        ),
        (
            "asset,weight\nspx,0.9\nndx,-0.6\n",
            {"positions": "book.csv"},
            "book.csv, line 3, column weight: the absolute weights sum to 1.5 up to here, expected at most 1",
        ),
        ("asset,weight\nspx,1\n", {"positions": "boek.csv"}, "there is no such file"),
        ("asset,weight\nspx,1\n", {"positions": "book.txt"}, "got 'book.txt', expected a CSV file"),
        ("asset,weight\nspx,1\n", {"positions": "book.csv", "params": {"a": 1}}, "stands beside 'positions'"),
    ],
)
def test_a_spec_refuses_tables_that_its_book_cannot_hold(table, text, strategy, words):
    folder = table(text).parent
    with pytest.raises(SpecError) as error:
        spec(folder, [strategy])
    assert f"strategies[#1].{'params' if 'params' in strategy else 'positions'}: " in str(error.value)
    assert words in str(error.value)


def test_one_asset_without_a_name_holds_no_table(table):
    folder = table("asset,weight\nspx,1\n").parent
    with pytest.raises(SpecError, match="holds assets by name, and the spec lists none"):
        spec_from_dict(
            {"name": "x", "data": {"source": "sp500"}, "strategies": [{"positions": "book.csv"}]}, base=folder
        )
