"""The Generator protocol, and how a spec's generator section becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from scenario_gen.execute.draws import Draws
from scenario_gen.generators.sections import GeneratorSection
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Advance = Callable[[int], None]


def ignore(steps: int) -> None:
    """Hear of finished bars and do nothing."""
    del steps


class Generator(Protocol):
    """Something that samples alternative futures of a context."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the paths besides context and draws: kind, model, weights, settings."""

    @property
    def trained_until(self) -> str | None:
        """Last date of the training data (ISO); "" where it is not recorded, None where there was no training."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return one path per path id of ``draws`` with one bar per timestamp, before any check.

        The same draws give the same paths for the same context, device and number of paths.
        """


@runtime_checkable
class FittedGenerator(Generator, Protocol):
    """A generator that is fitted to more bars than the context."""

    def fitted_to(self, history: Candles) -> Generator:
        """Return the generator fitted to a history that ends with the context.

        Raises:
            DataError: the history cannot be fitted.
        """


@runtime_checkable
class BatchGenerator(Generator, Protocol):
    """A generator that samples several contexts faster together than one after the other."""

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context; ``draws`` has the ids of the first context's paths, then the next's.

        Contexts and stamps have one length each. Equal to ``sample`` one by one but for the last digits.
        """


def sample_contexts(
    generator: Generator, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
) -> list[PathSet]:
    """Sample every context with its share of the draws, together where the generator can."""
    if isinstance(generator, BatchGenerator):
        return generator.sample_many(contexts, timestamps, draws)
    shares = np.split(draws.path_ids, len(contexts))
    return [
        generator.sample(context, stamps, Draws(draws.seed, ids))
        for context, stamps, ids in zip(contexts, timestamps, shares, strict=True)
    ]


def open_generator(section: GeneratorSection, history: Candles | None = None) -> Generator:
    """Build the generator that a spec's section describes.

    Args:
        section: of a spec; temperature and top_p are numbers.
        history: bars up to the context's end, for generators that are fitted to more than the context.

    Raises:
        CheckpointError: the model cannot be found or read.
        DataError: the history cannot be fitted.
    """
    generator = section.open()
    if history is not None and isinstance(generator, FittedGenerator):
        generator = generator.fitted_to(history)
    if section.drift == "neutral":
        from scenario_gen.generators.neutral import DriftNeutral

        return DriftNeutral(generator)
    return generator
