"""The Generator protocol, and how a spec's generator section becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pandas as pd

from scenario_gen.execute.draws import Draws
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.spec.models import BootstrapGenerator, KronosGenerator

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


def open_generator(section: KronosGenerator | BootstrapGenerator) -> Generator:
    """Build the generator that a spec's section describes.

    Raises:
        CheckpointError: the model cannot be found or read.
    """
    if isinstance(section, KronosGenerator):
        from scenario_gen.generators.kronos import KronosPaths  # torch only when it is needed

        return KronosPaths.from_section(section)
    from scenario_gen.generators.bootstrap import StationaryBootstrap  # likewise arch

    return StationaryBootstrap(section.mean_block)
