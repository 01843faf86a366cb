"""Heads fitted to one market: kept where later bars are forecast better, nothing of a history without order.

The markets are made: bars whose wicks hang on their bodies, which no checkpoint was trained on, and real ones of the
S&P 500 whose order was taken away. What is expected follows from how they are made.
"""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scenario_gen.errors import SpecError
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Settings
from scenario_gen.generators.adapted import AdaptedPaths, correction, nats, seen_by, stop_before
from scenario_gen.generators.base import adapting, to_be_fitted
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.rescaled import Rescaled
from scenario_gen.generators.sections import KronosGenerator, open_generator
from scenario_gen.kronos import Checkpoint, load_checkpoint
from scenario_gen.kronos.registry import EMBEDDED
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles, PathSet
from scenario_gen.market.candles import chain, log_steps

BARS = 2700  # of which nano fits 2,048 and judges by 768


def _market(steps: NDArray[np.float64], like: Candles) -> Candles:
    """Return candles with these log steps [bar, 4] and the first stamps of others; no volume."""
    values = chain(steps[None], 100.0)[0]
    return replace(like.rows(0, len(steps)), values=values, fields=like.fields[:4], name="made", flags=())


@pytest.fixture(scope="module")
def nano() -> Checkpoint:
    return replace(load_checkpoint(EMBEDDED / "nano"), max_context=512)  # windows that fill 2,560 bars


@pytest.fixture(scope="module")
def tied(sp500: Candles) -> Candles:
    """A market whose upper wick is its body and which has no lower one."""
    body = np.random.default_rng(3).standard_t(5, BARS) * 0.01
    steps = np.stack((np.zeros(BARS), np.maximum(body, 0) + np.abs(body), np.minimum(body, 0), body), axis=-1)
    return _market(steps, sp500)


def _plain(checkpoint: Checkpoint) -> KronosPaths:
    return KronosPaths.of(checkpoint, SamplingRule(1.0), device="cpu")


def _adapted(checkpoint: Checkpoint, history: Candles) -> AdaptedPaths:
    return AdaptedPaths.around(_plain(checkpoint)).fitted_to(history)


def _elsewhere(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint as another process has it: no fit of it is known."""
    return replace(checkpoint, model=pickle.loads(pickle.dumps(checkpoint.model)))


def _paths(generator: KronosPaths, context: Candles, count: int = 48, first: int = 0) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(16)
    return generator.sample(context, stamps, Draws.block(5, first, count))


def _unlike(paths: PathSet) -> float:
    """Return by how much upper wicks differ from bodies, in mean bodies."""
    o, h, _, c = (paths.values[..., place].astype(np.float64) for place in range(4))
    body, wick = np.abs(np.log(c / o)), np.log(h / np.maximum(o, c))
    return float(np.abs(wick - body).mean() / body.mean())


def test_a_peculiar_market_is_learned_and_its_paths_show_it(nano: Checkpoint, tied: Candles) -> None:
    adapted = _adapted(nano, tied)
    made = adapted.adaptation
    assert made is not None
    assert (made.bars, made.judged) == (2048, 768)
    assert made.strength >= 0.5
    assert made.gain > 0.5  # of 7.6 nats: the wicks say nothing new
    assert made.error < made.gain / 10
    ours, theirs = _paths(adapted, tied.context(256)), _paths(_plain(nano), tied.context(256))
    assert _unlike(ours) < 0.85 * _unlike(theirs)
    assert ours.provenance["adapted"]["strength"] == made.strength
    assert ours.provenance["adaptation"]["nats_gained"] == round(made.gain, 4)


def test_of_a_history_without_order_nothing_is_kept_and_the_bits_stay(nano: Checkpoint, sp500: Candles) -> None:
    """Bars are permuted that are fitted to; those that judge come as they came.

    The planted defect is a judge who has seen the answers: on the bars that it was fitted to a correction gains.
    """
    steps, cut = log_steps(sp500.values[: BARS + 1, :4]), 1024
    order = np.random.default_rng(1).permutation(cut)
    shuffled = _market(np.concatenate((steps[order], steps[cut:])), sp500)
    fitted = _adapted(nano, shuffled)
    assert fitted.adaptation is not None
    assert (fitted.adaptation.bars, fitted.adaptation.strength) == (2048, 0)
    assert "nothing is kept" in fitted.in_words
    context = shuffled.context(256)
    assert np.array_equal(_paths(fitted, context).values, _paths(_plain(nano), context).values)
    heads, seen = (nano.model.head.proj_s1, nano.model.head.proj_s2), seen_by(nano, shuffled.rows(0, cut))
    assert seen is not None
    own = [correction(head, level, 1000.0) for head, level in zip(heads, seen.levels, strict=True)]
    gain = (nats(heads, own, seen.levels, 0.0) - nats(heads, own, seen.levels, 1.0)).mean()
    assert float(gain) > 0.01


def test_nothing_of_the_context_and_after_it_reaches_a_fit(tiny_checkpoint: Checkpoint, tied: Candles) -> None:
    assert [stop_before(bars, 512) for bars in (0, 511, 1024, 4200, 4607)] == [0, 0, 512, 3584, 3584]
    stop = stop_before(len(tied), tiny_checkpoint.max_context)
    assert BARS - 128 < stop <= BARS - 64
    before, after = (tied.values * np.where(np.arange(BARS) < at, 1.0, 1.1)[:, None] for at in (stop, stop - 1))
    ours, same, other = (
        _adapted(_elsewhere(tiny_checkpoint), replace(tied, values=values)) for values in (tied.values, before, after)
    )
    assert ours.adaptation == same.adaptation
    assert ours.adaptation is not None
    assert ours.adaptation.strength > 0
    assert torch.equal(ours.checkpoint.model.head.proj_s1.weight, same.checkpoint.model.head.proj_s1.weight)
    assert ours.identity != other.identity


def test_bits_are_those_of_any_worker_thread_and_block(tiny_checkpoint: Checkpoint, tied: Candles) -> None:
    ours, threads = _adapted(tiny_checkpoint, tied), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = _adapted(_elsewhere(tiny_checkpoint), tied)
    finally:
        torch.set_num_threads(threads)
    travelled = pickle.loads(pickle.dumps(again))
    assert dict(travelled.identity) == dict(ours.identity)
    context = tied.context(40)
    whole = _paths(ours, context).values
    assert np.array_equal(_paths(travelled, context).values, whole)
    assert np.array_equal(
        _paths(ours, context, count=48, first=48).values[:4], _paths(ours, context, 48, 48).values[:4]
    )
    assert not np.array_equal(_paths(_plain(tiny_checkpoint), context).values, whole)


def test_the_identity_names_the_bars_and_too_few_are_told(tiny_checkpoint: Checkpoint, tied: Candles) -> None:
    ours, short = _adapted(tiny_checkpoint, tied), _adapted(tiny_checkpoint, tied.rows(0, 2111))
    assert ours.identity["adapted"] != _adapted(tiny_checkpoint, tied.rows(64, BARS)).identity["adapted"]
    assert short.adaptation is not None
    assert (short.adaptation.bars, short.adaptation.strength) == (0, 0)
    assert "nothing is fitted: it takes 2,048 bars" in short.in_words
    with pytest.raises(ValueError, match="before it was fitted"):
        _paths(AdaptedPaths.around(_plain(tiny_checkpoint)), tied.context(40))
    assert KronosGenerator.named(short.identity) == "Kronos tiny, T 1.0, adapted: nothing kept"


def test_every_forecast_is_fitted_to_bars_before_its_own_context(tiny_checkpoint: Checkpoint, tied: Candles) -> None:
    adapted = _adapted(tiny_checkpoint, tied)
    louder = to_be_fitted(Rescaled.louder(adapted, 1.2))
    assert louder is not None
    inside = adapting(louder.fitted_to(tied.rows(0, 2500)))
    assert isinstance(inside, AdaptedPaths)
    assert inside.adaptation is not None
    assert inside.adaptation.bars == 2432
    alone = _adapted(_elsewhere(tiny_checkpoint), tied.rows(0, 2500)).checkpoint.model.head
    assert torch.equal(inside.checkpoint.model.head.proj_s2.weight, alone.proj_s2.weight)
    settings = Settings(context=40, horizon=10, paths=20, origins=4, stride=500, baselines=())
    notes = calibrate(adapted, tied, settings).notes
    assert any("2 of 4 had the 2,048 that it takes" in note for note in notes), notes


def test_models_of_price_levels_are_refused(golden_folder: Path, tied: Candles) -> None:
    with pytest.raises(ValueError, match="adapt is true with small, a model of price levels"):
        KronosGenerator(model="small", adapt=True)
    golden = load_checkpoint(golden_folder / "model", tokenizer_folder=golden_folder / "tokenizer")
    with pytest.raises(SpecError, match=r"generator\.adapt is true"):
        AdaptedPaths.around(_plain(golden))
    short = tied.rows(0, 600)
    assert isinstance(open_generator(KronosGenerator(adapt=True, device="cpu"), short), AdaptedPaths)
    assert "adapted" not in open_generator(KronosGenerator(device="cpu"), short).identity
