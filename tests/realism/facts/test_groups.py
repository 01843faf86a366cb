"""Groups of facts: one entry each, which tables, sentences and caps follow."""

from __future__ import annotations

import pytest

from scenario_gen.finding import FACTS as CHECK, GROUP, GROUPS, MISLEADING
from scenario_gen.realism.facts import FACT
from scenario_gen.realism.scores import SCORES


def test_every_fact_and_every_judged_score_is_of_a_listed_group() -> None:
    assert len(GROUP) == len(GROUPS)
    assert {fact.group for fact in FACT.values()} <= set(GROUP)
    assert {score.group for score in SCORES} - {None} <= set(GROUPS)
    assert all(group.title and group.words for group in GROUPS)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.key)
def test_a_group_caps_a_favourable_label_where_its_entry_says_so(group) -> None:
    misled = {"tails", "clustering", "asymmetry", "scale", "copy", "diversity"}
    assert (group.key in MISLEADING) == (group.misleading is not None) == (group.key in misled)
    offender = next(iter(group.misleading or ("anything",)), "anything")
    assert CHECK.caps(CHECK.finding("FAIL", "", part=group.key, offenders=[offender])) == (group.key in misled)


def test_coverage_alone_misleads_nobody() -> None:
    assert not CHECK.caps(CHECK.finding("FAIL", "", part="diversity", offenders=["coverage"]))
    assert CHECK.caps(CHECK.finding("FAIL", "", part="diversity", offenders=["coverage", "spread"]))
