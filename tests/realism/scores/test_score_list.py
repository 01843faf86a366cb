"""The list of scores is all that there is to a score: an entry more is a score more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenario_gen.finding import DIVERSITY
from scenario_gen.market import Candles
from scenario_gen.realism import ensemble
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.ensemble import judge_scores
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.results import ScoreVerdict
from scenario_gen.realism.scores import JUDGED, SCORE, SCORE_GROUPS, SCORES, EnsembleScore
from scenario_gen.realism.space import Points

BARS = 30


def scored(real: BarArrays, history: Candles, *, one_context: bool = False) -> dict[str, ScoreVerdict]:
    rng = np.random.default_rng(3)
    places = np.column_stack([real.s, real.r.mean(axis=1)])
    points = Points(places / places.std(axis=0), np.arange(len(real)) // 5)
    rows = rng.permutation(len(real))[: len(real) // 2]
    verdicts = judge_scores(
        real.select(rows), real, (points.select(rows), points),
        history=history, known=[history], one_context=one_context, rng=rng,
    )  # fmt: skip
    assert [verdict.score for verdict in verdicts] == [score.id for score in ensemble.SCORES]
    return {verdict.score: verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def real(nasdaq: Candles) -> BarArrays:
    return windows(nasdaq, BARS, BARS).bars.select(slice(0, 100))


def test_an_entry_more_is_a_score_more_judged_beside_its_yardstick(
    real: BarArrays, nasdaq: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scored(real, nasdaq)
    widest = EnsembleScore(
        "widest", "largest distance between two paths", DIVERSITY,
        number=lambda sides: float(sides.apart[0].max()), judge=lambda widths: ("WARN", "wide"), further=2.0,
    )  # fmt: skip
    monkeypatch.setattr(ensemble, "SCORES", (*SCORES, widest))
    monkeypatch.setattr(ensemble, "SCORE", {**SCORE, "widest": widest})
    after = scored(real, nasdaq)
    assert after["widest"].title == "largest distance between two paths"
    assert (after["widest"].label, after["widest"].reason) == ("WARN", "wide")
    assert after["widest"].value is not None
    assert after["widest"].splits == 30
    assert {name: verdict for name, verdict in after.items() if name != "widest"} == before
    # In one context a score that windows of all times would not pass is held to single stretches of real time.
    alone = scored(real, nasdaq, one_context=True)["widest"]
    assert alone.label in ("INCONCLUSIVE", "WARN")
    assert "20 single stretches of real time" in alone.reason


def test_a_score_without_a_group_is_shown_and_never_judged(real: BarArrays, nasdaq: Candles) -> None:
    shown = {score.id for score in SCORES if score.group is None}
    assert shown == {"recall", "density", "w1_returns", "w1_normalised", "acf_abs", "leverage"}
    verdicts = scored(real, nasdaq)
    assert all(verdicts[name].label is None for name in (*shown, "precision"))
    assert all(verdicts[name].label is not None for name in set(JUDGED) - {"precision"})
    assert scored(real, nasdaq, one_context=True)["precision"].label is not None


def test_groups_hold_every_judged_score_once() -> None:
    assert list(SCORE_GROUPS) == ["discriminative", "copy", "diversity"]
    assert SCORE_GROUPS["discriminative"] == ("c2st", "energy", "precision")
    assert SCORE_GROUPS["copy"] == ("copies",)
    assert SCORE_GROUPS["diversity"] == ("distinct", "alike", "spread", "coverage")
    assert sorted(JUDGED) == sorted(name for names in SCORE_GROUPS.values() for name in names)


def test_a_score_tells_why_it_has_no_value() -> None:
    energy, leverage = SCORE["energy"], SCORE["leverage"]
    assert energy.untestable("too short") == ScoreVerdict("energy", energy.title, "UNTESTABLE", "too short")
    assert leverage.untestable("too short").label is None
    precision = SCORE["precision"]
    assert precision.untestable("too short").label is None
    assert precision.untestable("too short", one_context=True).label == "UNTESTABLE"
    assert replace(precision, group=None).untestable("too short", one_context=True).label is None
