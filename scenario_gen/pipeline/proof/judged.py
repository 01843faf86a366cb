"""Judgements of a finished run, passed once more on the paths that it kept: look-ahead, and likeness to history.

Those of calibration, skill and the like take a generator's or a strategy's work over again, as long as the run itself:
they are not passed again, and named. Owns which judgements are passed again and how they are held against the run's.
Whether the kept paths are the run's is :mod:`scenario_gen.pipeline.proof.again`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scenario_gen.errors import ScenarioError
from scenario_gen.finding import CANDLES, DRIFT, FACTS, INTRABAR, LIMITS, LOOK_AHEAD, WARM_UP, Finding
from scenario_gen.pipeline.book.trade import probe_books
from scenario_gen.pipeline.proof.again import Again
from scenario_gen.pipeline.proof.finished import verdict
from scenario_gen.pipeline.stages import compare_with_history, probe
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.store.certificate import Proof
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun
from scenario_gen.values import encode

MOST_COMPARED = 20_000  # paths of a scenario that are compared with history again: some ten seconds at most
ASKED = (LOOK_AHEAD, WARM_UP, INTRABAR)  # of every strategy
COMPARED = (FACTS, DRIFT)  # of paths and history
FOLLOWING = (LIMITS, CANDLES)  # from run.json alone: held against it with the summaries


class KeptBlocks(RunFolder):
    """A folder to write to, whose blocks are those of another, which is read alone."""

    def __init__(self, path: Path, kept: RunFolder) -> None:
        super().__init__(path)
        self._kept = kept

    def identity(self) -> dict[str, str] | None:
        """Return the identity of the run whose blocks they are."""
        return self._kept.identity()

    def block_path(self, scenario: str, index: int) -> Path:
        """Return where the other folder has a block."""
        return self._kept.block_path(scenario, index)


def prove_judgements(again: Again) -> list[Proof]:
    """Ask strategies and compare paths with history once more; name the judgements that are not passed again."""
    study = replace(again.study, store=KeptBlocks(again.study.store.path / "judged", again.kept))
    study.store.path.mkdir()
    proofs, made = [], list[Finding]()
    for step, checks, judge in (
        ("look-ahead", ASKED, _asked if again.study.strategies else None),
        ("facts", COMPARED, _compared),
    ):
        if judge is None or not any(finding.check in checks for finding in again.run.findings):
            continue
        try:
            wrong, own = judge(again, study)
        except (ScenarioError, OSError) as error:
            reason = getattr(error, "problem", str(error))
            proofs.append(Proof(f"judgements: {step}", "UNTESTABLE", f"not passed again: {reason}"))
            continue
        if own:
            told = f"{len(own)} judgements ({_names(own)}) of {', '.join(_scenarios(own))}"
            proofs.append(_held(f"judgements: {step}", wrong, told, exact=again.exact))
            made += own
    return [*proofs, *not_remade(again.run, made)]


def _held(step: str, wrong: Sequence[str], passed: str, *, exact: bool) -> Proof:
    if wrong and not exact:
        reason = f"{', '.join(wrong)}: other than the run's; to the last bit they can be the same on its device alone"
        return Proof(step, "UNTESTABLE", reason, [*wrong])
    return verdict(
        step, wrong, f"{passed}, passed again on the kept paths, are run.json's", "not what the paths give: "
    )


def _names(findings: Sequence[Finding]) -> str:
    return ", ".join(dict.fromkeys(finding.check.key for finding in findings))


def _scenarios(findings: Sequence[Finding]) -> list[str]:
    return [*dict.fromkeys(finding.scenario for finding in findings)]


def not_remade(run: StressRun, made: Sequence[Finding] = ()) -> list[Proof]:
    """Return, by name, the judgements of a run that nothing here has passed again."""
    left = [finding for finding in run.findings if finding.check not in FOLLOWING and finding not in made]
    if not left:
        return []
    told = "only sums say that they are the run's; whoever doubts them runs the spec again in another folder"
    keys = [*dict.fromkeys(finding.check.key for finding in left)]
    return [Proof("judgements: others", "UNTESTABLE", f"not remade: {', '.join(keys)}; {told}", keys)]


def _asked(again: Again, study: Study) -> tuple[list[str], list[Finding]]:
    """Ask every strategy once more; return what differs, and the judgements of the run that were passed again."""
    run = again.run
    known = Results(scenarios=tuple(run.scenarios), book=run.book)
    own = [finding for finding in run.findings if finding.check in ASKED]
    there, here = len(run.scenarios[0].strategies), len(study.strategies)
    if not study.books and there != here:
        return [f"{here} strategies were asked, and {run.scenarios[0].name} has {there}"], own
    told, findings = (probe_books if study.books else probe)(study, known)
    pairs = zip(told.scenarios[0].strategies, run.scenarios[0].strategies, strict=True)
    warm = [f"warm-up of {kept.name}" for made, kept in pairs if encode(made.warm_up) != encode(kept.warm_up)]
    return [*_unlike(findings, own), *warm], own


def _compared(again: Again, study: Study) -> tuple[list[str], list[Finding]]:
    """Compare the kept paths with history once more; as :func:`_asked`."""
    kept = {result.name: result for result in again.run.scenarios}
    grounds = tuple(
        ground
        for ground in study.grounds
        if ground.name in kept
        and ground.name not in study.unkept
        and ground.scenario.paths.count <= MOST_COMPARED
        and (ground.scenario.reweight is None or again.kept.has_block(ground.name, 0))
    )
    known = Results(scenarios=tuple(kept[ground.name] for ground in grounds))
    told, findings = compare_with_history(replace(study, grounds=grounds), known)
    names = {ground.name for ground in grounds}
    own = [finding for finding in again.run.findings if finding.check in COMPARED and finding.scenario in names]
    wrong = [*_unlike(findings, own)]
    for result in told.scenarios:
        pairs = [("facts", result.facts, kept[result.name].facts), ("drift", result.drift, kept[result.name].drift)]
        wrong += [f"{name} of {result.name}" for name, made, was in pairs if encode(made) != encode(was)]
    return wrong, own


def _unlike(made: Sequence[Finding], kept: Sequence[Finding]) -> Iterator[str]:
    """Yield what is found anew and not in the run, and what is in the run alone."""
    for here, there in ((made, kept), (kept, made)):
        others = [encode(finding) for finding in there]
        yield from (
            " ".join(filter(None, [finding.name, finding.scenario, finding.strategy]))
            for finding in here
            if encode(finding) not in others
        )
