"""Every verdict of the product has a measured false-alarm rate and a measured power; how they are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.every_verdict import STUDIES, Cell, measure, read, table, wanted
from benchmarks.study import DRIFTING, RIGHT, SPEEDS, STATIONARY, Rate, Row, Study, World
from scenario_gen.finding import CHECKS, FACTS

BY_KEY = {study.key: study for study in STUDIES}


def test_every_check_of_the_product_is_in_a_study() -> None:
    measured = {row.check.key for study in STUDIES for row in study.rows if row.check is not None}
    assert {check.key for check in CHECKS} - measured == set()


def test_every_verdict_has_a_planted_defect_and_no_two_share_a_name() -> None:
    found = {row.verdict for study in STUDIES for row in study.rows if study.wrong and row.defects != ()}
    assert {row.verdict for study in STUDIES for row in study.rows} == found
    assert len(BY_KEY) == len(STUDIES)
    for study in STUDIES:
        assert RIGHT not in study.wrong
        for row in study.rows:
            assert set(row.defects or ()) <= set(study.wrong), row.verdict


@pytest.mark.parametrize("key", ["overlap", "drift"])
def test_a_cheap_study_is_silent_where_all_is_right_and_finds_what_is_planted(key: str, tmp_path: Path) -> None:
    study, file = BY_KEY[key], tmp_path / "cells.jsonl"
    cells = measure([study], 2, file, seconds=60)
    (row,) = study.rows
    right = [labels[row.verdict] for cell, labels in cells.items() if cell.case == RIGHT]
    # .5 deviations are four errors of 300 paths beyond the .25 that are let pass: missed once in 10,000
    largest = [labels[row.verdict] for cell, labels in cells.items() if cell.case == list(study.wrong)[-1]]
    assert right == ["PASS"] * 2 * len(study.truths)
    assert largest == ["WARN"] * 2 * len(study.truths)
    assert "2/2 (16-100 %)" in table([study], cells)


def test_a_run_goes_on_where_another_stopped(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def ask(world: World) -> dict[str, str]:
        asked.append((world.truth, world.number))
        return {"it": "FAIL" if world.number == 1 else "UNTESTABLE" if world.number == 2 else "PASS"}

    study, file = Study("toy", (Row("it", FACTS),), ask, {"a defect": ask}), tmp_path / "cells.jsonl"
    assert measure([study], 3, file, seconds=0) == {}
    measure([study], 2, file, seconds=60)
    assert len(asked) == 8
    cells = measure([study], 3, file, seconds=60)
    assert len(asked) == 12
    assert read(file) == cells
    assert table([study], cells).splitlines()[2] == (
        "| it | 1/2 (1-99 %); 1/2 (1-99 %) | 1/2 (1-99 %); 1/2 (1-99 %) | a defect "
        "| 1/2 (1-99 %); 1/2 (1-99 %) | 1/2 (1-99 %); 1/2 (1-99 %) |"
    )


def test_defects_are_asked_in_fewer_worlds_and_the_first_worlds_come_first() -> None:
    study = Study("toy", (), lambda world: {}, {"a defect": lambda world: {}}, repeats=30)
    cells = [cell for cell, _ in wanted([study], None)]
    assert cells[:4] == [
        Cell("toy", case, truth, 0) for truth in (STATIONARY, DRIFTING) for case in (RIGHT, "a defect")
    ]
    assert [cell.number for cell in cells] == sorted(cell.number for cell in cells)
    assert sum(cell.case == RIGHT for cell in cells) == 60
    assert sum(cell.case == "a defect" for cell in cells) == 20


def test_a_label_that_a_study_does_not_give_is_an_error() -> None:
    study = Study("toy", (Row("it", FACTS),), lambda world: {"another": "PASS"})
    with pytest.raises(KeyError, match="no label of it"):
        study.asked(RIGHT, World(STATIONARY, 0))


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    # R: binom.test(0, 60), binom.test(3, 20), binom.test(20, 20)
    rates = [Rate(0, 60), Rate(3, 20), Rate(20, 20), Rate.of(["FAIL", "UNTESTABLE", "PASS"], frozenset({"FAIL"}))]
    assert [str(rate) for rate in rates[:3]] == ["0/60 (0-6 %)", "3/20 (3-38 %)", "20/20 (83-100 %)"]
    assert rates[3] == Rate(1, 2)


def test_a_drifting_truth_has_the_half_lives_in_turns_and_a_stationary_one_none() -> None:
    assert tuple(World(DRIFTING, number).half_life for number in range(4)) == (*SPEEDS, SPEEDS[0])
    assert World(STATIONARY, 0).half_life == float("inf")
    assert (World(STATIONARY, 1).volatility(50) == 1).all()
    assert World(DRIFTING, 1).volatility(50).std() > 0
