"""The list of candle rules: whole, without contradictions, and the only thing that a new rule has to be added to."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.candles import CandleRules, rules
from scenario_gen.candles.account import merge_tallies
from scenario_gen.candles.breaches import Flags, View
from scenario_gen.candles.rules import RULES, Rule
from scenario_gen.market import Candles, PathSet
from scenario_gen.market.section import Market


def test_every_rule_has_its_own_name_and_its_own_turn_to_be_mended() -> None:
    turns = [rule.turn for rule in RULES if rule.mend is not None]
    assert len({rule.id for rule in RULES}) == len({rule.title for rule in RULES}) == len(RULES)
    assert sorted(turns) == list(range(1, len(turns) + 1))
    assert all(rule.turn == 0 for rule in RULES if rule.mend is None)


def test_what_a_rule_does_follows_from_its_kind() -> None:
    for rule in RULES:
        assert rule.bad == (rule.kind in ("fault", "breach"))
        assert rule.hard == (rule.kind == "fault")
        assert rule.mend is not None or rule.action in ("flagged", "path rejected")
        assert rule.kind == "suspect" or rule.limit is None
        assert not rule.odd or rule.limit is not None
        assert not (rule.misfit or rule.form) or rule.of_history
        assert not rule.misfit or rule.needs in Market.model_fields


def _round_close(view: View) -> Flags:
    """Flag closes that end on whole hundreds."""
    return np.asarray(view.priced & (view.columns["close"] % 100 == 0))


def test_one_entry_adds_a_rule(daily: Candles, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Rule("V13", "suspect", "no close is a whole hundred", "flagged", _round_close)
    monkeypatch.setattr(rules, "RULES", (*RULES, new))
    monkeypatch.setitem(rules.RULE, new.id, new)
    context = daily.context(250)
    checker = CandleRules.of(context, 5)
    stamps = checker.calendar.future(5)
    bar = [100.0, 100.5, 99.5, 100.2, 1000.0, 100_000.0]
    values = np.tile(np.asarray(bar, dtype=np.float32), (3, 5, 1))
    values[1, 2, 3] = 100.0
    paths = PathSet(values, daily.fields, stamps, np.arange(3), float(context.close[-1]))
    row = merge_tallies([checker.check(paths, "repair").tally]).rules[-1]
    assert (row.rule, row.bars, row.paths, row.left_bars, row.action) == ("V13", 1, 1, 1, "flagged")
