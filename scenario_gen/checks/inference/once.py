"""What several checks against one reference share: its windows and the controls made from them, measured once.

Owns nothing of what is measured. Four scenarios of one context and horizon need one set of controls, not four.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from scenario_gen.market.candles import Candles

T = TypeVar("T")


class Once:
    """Keeps what was measured of a reference; forgets it when another reference or seed comes.

    Everything kept depends on the reference, the seed and its key alone, so a check with a filled one gives the
    same report as a check without.
    """

    def __init__(self) -> None:
        self._whose: Hashable = None
        self._kept: dict[Hashable, Any] = {}

    def of(self, histories: Sequence[Candles], seed: int) -> Once:
        """Return itself, emptied unless it was filled with these histories and this seed."""
        whose = (tuple(history.sha256() for history in histories), seed)
        if whose != self._whose:
            self._whose, self._kept = whose, {}
        return self

    def measured(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under a key, or make and keep it."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept
