"""What a generator must offer so that its assets can be coupled: uniforms that order returns, and where bars stood.

Generators that draw whole dated bars of history (bootstrap, FHS, GARCH, GJR) offer none of it: their assets draw the
same dates (:class:`scenario_gen.joint.coupling.Dated`).
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scenario_gen.generators.base import Generator
from scenario_gen.market.candles import Candles

Order: TypeAlias = Literal["return", "nested"]


@runtime_checkable
class OrderedGenerator(Generator, Protocol):
    """A generator whose uniforms can be put in order: a higher one is a higher return of the bar."""

    def in_order(self, order: Order) -> OrderedGenerator:
        """Return the generator whose uniforms are in that order; the law of its paths is the same."""

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return between which uniforms each real bar would have been drawn, given the bars before it.

        Args:
            history: real bars; each is held against the forecast from those before it.

        Returns:
            float64 [bar, uniform of a bar, (lower, upper)] in the generator's order; NaN where a bar has too few before
            it. Lower equals upper where the law is continuous.
        """
