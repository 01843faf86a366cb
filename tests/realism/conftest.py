"""Fixtures of the checks room: real histories."""

from __future__ import annotations

import pytest

from scenario_gen.market import Candles, load_candles


@pytest.fixture(scope="session")
def nasdaq() -> Candles:
    """The real NASDAQ composite, daily, 1999-2018."""
    return load_candles("nasdaq")
