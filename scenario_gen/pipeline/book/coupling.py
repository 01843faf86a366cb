"""From prepared assets to coupled ones: which bars dependence is read from, one grid of dates, who draws which numbers.

Computes no coupling itself (:mod:`scenario_gen.joint`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scenario_gen.errors import DataError
from scenario_gen.joint.calendar import Aligned, CalibrationBars, calibration_rows
from scenario_gen.joint.coupling import coupled_on
from scenario_gen.joint.fit import Fit, fit_coupling
from scenario_gen.joint.given import read_correlation
from scenario_gen.joint.pilot import BookAsset
from scenario_gen.joint.results import CouplingReport
from scenario_gen.joint.section import Joint
from scenario_gen.pipeline.book.histories import PlaceOf
from scenario_gen.pipeline.book.shocks import with_responses
from scenario_gen.pipeline.prepared import Book, Prepared
from scenario_gen.progress import Progress
from scenario_gen.reading.words import find_file, missing_file
from scenario_gen.spec.models import ResolvedScenario
from scenario_gen.stats.estimate import Floats
from scenario_gen.stress.crises import BY_ID


def with_books(
    every: Sequence[Prepared], couplings: Couplings, progress: Progress
) -> tuple[list[Prepared], list[Book]]:
    """Return the scenarios with their assets coupled, and the books that these make; no book of one asset alone.

    Args:
        every: all scenarios, prepared.
        couplings: of the spec.
        progress: who hears of the stage.

    Raises:
        DataError: the assets have too few bars in common, or a given correlation is none.
    """
    if not every[0].scenario.asset:
        return [*every], []
    books = couple_books(every, couplings, progress)
    grounds = {ground.name: ground for book in books for ground in book.grounds.values()}
    return [grounds[ground.name] for ground in every], books


def couple_books(grounds: Sequence[Prepared], couplings: Couplings, progress: Progress) -> list[Book]:
    """Return one book for every future of the scenarios, in their order, and pass on what their couplings lack."""
    books = []
    names = list(dict.fromkeys(ground.scenario.future for ground in grounds))
    with progress.stage("coupling the assets", len(names)) as advance:
        for name in names:
            own = [ground for ground in grounds if ground.scenario.future == name]
            coupled, report = couple_grounds(own, couplings)
            books.append(Book(name, {ground.scenario.asset: ground for ground in coupled}, report))
            advance(1)
    return books


@dataclass(frozen=True)
class Couplings:
    """The couplings of a spec's scenarios; those of the same generators on the same bars are fitted once."""

    base: Path  # the spec's folder
    place: PlaceOf
    kept: dict[str, Fit] = field(default_factory=dict, repr=False)

    def of(self, grounds: Sequence[Prepared]) -> Fit:
        """Return the coupling of one scenario's assets.

        Raises:
            DataError: too few bars in common, no such crisis, or a given correlation is none.
        """
        lead, aligned = grounds[0], grounds[0].aligned
        if aligned is None:
            raise ValueError(f"{lead.name} has no histories on common dates")
        scenario, joint = lead.scenario, lead.scenario.joint or Joint()
        chosen = self._rows(scenario, joint, aligned)
        members = {
            ground.scenario.asset: BookAsset(
                generator=ground.generator,
                history=ground.history,
                rows=aligned.rows[ground.scenario.asset][chosen.rows],
                context=ground.context,
                timestamps=ground.timestamps,
            )
            for ground in grounds
        }
        given = self._given(scenario, joint, list(members))
        key = json.dumps(
            [
                joint.model_dump(mode="json"),
                None if given is None else given.tolist(),
                lead.seed,
                [[dict(ground.generator.identity), ground.history.sha256(), len(ground.context)] for ground in grounds],
            ]
        )
        if key not in self.kept:
            self.kept[key] = fit_coupling(members, joint, lead.seed, given)
        fit = self.kept[key]
        notes = [note for note in (chosen.note, *aligned.notes) if note]
        return replace(fit, report=replace(fit.report, notes=[*notes, *fit.report.notes])) if notes else fit

    def _rows(self, scenario: ResolvedScenario, joint: Joint, aligned: Aligned) -> CalibrationBars:
        def place(key: str) -> str:
            return self.place(scenario.name, "joint", "calibrate", key)

        asked = joint.calibrate
        if asked.crisis is None:
            return calibration_rows(aligned, asked, place=place)
        crisis = BY_ID[asked.crisis]
        return calibration_rows(aligned, asked, (crisis.before, crisis.until), place)

    def _given(self, scenario: ResolvedScenario, joint: Joint, assets: list[str]) -> Floats | None:
        if joint.correlation is None:
            return None
        where = self.place(scenario.name, "joint", "correlation")
        file = find_file(joint.correlation, self.base)
        if file is None:
            raise DataError(f"{where}: {missing_file(joint.correlation, self.base)}")
        return read_correlation(file, assets, where)


def couple_grounds(grounds: Sequence[Prepared], couplings: Couplings) -> tuple[list[Prepared], CouplingReport]:
    """Return the assets of one scenario with coupled numbers, and what is known of that."""
    fit = couplings.of(grounds)
    stamps = {ground.scenario.asset: ground.timestamps for ground in grounds}
    coupled = coupled_on(stamps, fit.generators, fit.coupling)
    return with_responses([replace(ground, coupled=coupled[ground.scenario.asset]) for ground in grounds], fit.report)
