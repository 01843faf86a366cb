"""A finished run proved again, step by step: what was written, shown and summed up, and some of its paths made anew.

    files        sums, the manifest, every block's sums and address
    identity     spec, data, weights, strategies, code and packages as they are on this machine now
    page         its numbers against run.json, and the page made again of it
    summaries    run.json against the tables: every figure that they give, and findings that follow from run.json
    paths        whole blocks sampled, checked and backtested again

Owns the order of the steps, what a run's identity is held against, and what its certificate says. What the folder shows
by itself is asked in :mod:`scenario_gen.pipeline.proof.finished`, paths are made in
:mod:`scenario_gen.pipeline.proof.again`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.files import sha256_of
from scenario_gen.pipeline import open_study
from scenario_gen.pipeline.identity import device_of, spec_sum, versions
from scenario_gen.pipeline.proof import finished as folder_of
from scenario_gen.pipeline.proof.again import Again, prove_paths
from scenario_gen.pipeline.proof.judged import not_remade, prove_judgements
from scenario_gen.pipeline.stress.events import kept_events, with_cases
from scenario_gen.pipeline.study import Study
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.spec.loader import LoadedSpec, parse_spec
from scenario_gen.spec.models import override
from scenario_gen.store import certificate as certificates
from scenario_gen.store.certificate import Certificate, ChosenPaths, Proof, ProvedPaths
from scenario_gen.store.folder import PAGE, RUN, RunFolder, calibration_folder
from scenario_gen.store.results import StressRun
from scenario_gen.values import hash_of

USUAL_PATHS = 50  # that are drawn

# --- Identity ---


@dataclass(frozen=True)
class Reopened:
    """A run's spec opened once more on this machine, as far as that goes."""

    proofs: list[Proof]
    study: Study | None = None  # None where paths made by it would not be the run's


def place_of(run: StressRun) -> Path:
    """Return the folder that the spec's files are looked for in: that of the spec in the run's command, else this."""
    files = [Path(quoted or plain) for quoted, plain in re.findall(r"'([^']+\.ya?ml)'|([^\s']+\.ya?ml)", run.command)]
    return next((file.resolve().parent for file in files if file.is_file()), Path.cwd())


def open_again(
    finished: folder_of.Finished, scratch: RunFolder, base: Path | None, device: str | None, progress: Progress
) -> Reopened:
    """Open the spec of a run in a new folder and hold every part of its identity against what is here.

    What the run found by searches on the past (settings chosen for ``auto``, recalibration, plain paths of events) is
    taken from its folder, where each is kept with its sum; it is not searched again.
    """
    run = finished.run
    if run.spec_text == "" or run.identity.keys() != {"spec", "data", "weights", "strategies", "code", "packages"}:
        return Reopened([Proof("identity", "FAIL", "run.json does not say what the run was")])
    try:
        loaded = parse_spec(run.spec_text, base or place_of(run), "")
        again, count = _as_ran(loaded, run)
        proof = _spec(loaded, again, count, run)
    except ScenarioError as error:
        proof = Proof("identity: spec", "UNTESTABLE", f"the spec cannot be read here: {_short(error)}")
    if proof.label != "PASS":
        rest = [
            Proof(f"identity: {key}", "UNTESTABLE", "not looked at: the text of the spec does not give this run")
            for key in ("data", "weights", "strategies")
        ]
        return Reopened([proof, *rest, *_versions(run)])
    for kept, new in zip(_searched(finished.store), _searched(scratch), strict=True):
        if kept.is_dir():
            shutil.copytree(kept, new)
    try:
        study = with_cases(open_study(loaded, scratch, progress, device=device or again, paths=count, overwrite=False))
    except ScenarioError as error:
        rest = [
            Proof(f"identity: {key}", "UNTESTABLE", f"the spec cannot be opened here: {_short(error)}")
            for key in ("data", "weights", "strategies")
        ]
        return Reopened([proof, *rest, *_versions(run)])
    parts = [_data(study, run), _weights(study, run), _strategies(study, run)]
    same = all(part.label == "PASS" for part in parts)
    return Reopened([proof, *parts, *_versions(run)], study if same else None)


def _searched(store: RunFolder) -> tuple[Path, Path]:
    """Return where a run keeps what it found by searches on the past."""
    return calibration_folder(store.path), kept_events(store)


def _short(error: ScenarioError) -> str:
    return error.problem.splitlines()[0]


def _as_ran(loaded: LoadedSpec, run: StressRun) -> tuple[str | None, int | None]:
    """Return device and number of paths that the command line set, as the resolved spec shows them."""
    kept = {str(each["name"]): each for each in run.spec.get("scenarios", [])}
    device, count = None, None
    for scenario in loaded.spec.scenarios:
        other = kept.get(scenario.name, {})
        if (asked := other.get("paths", {}).get("count")) != scenario.paths.count:
            count = asked
        if (used := other.get("generator", {}).get("device")) != getattr(scenario.generator, "device", None):
            device = used
    return device, count


def _spec(loaded: LoadedSpec, device: str | None, paths: int | None, run: StressRun) -> Proof:
    kept = {key: value for key, value in run.spec.items() if key not in ("report", "name", "execute")}
    wrong = []
    if spec_sum(override(loaded.spec, device=device, paths=paths)) != run.identity["spec"]:
        wrong.append(
            "the text of the spec in run.json is not that of the run: another seed, setting or scenario was run"
        )
    if hash_of(kept) != run.identity["spec"]:
        wrong.append("the resolved spec in run.json is not that of the run")
    return folder_of.verdict("identity: spec", wrong, "the text of the spec gives the spec that was run")


def _data(study: Study, run: StressRun) -> Proof:
    if study.identity["data"] == run.identity["data"]:
        return Proof("identity: data", "PASS", "the histories here are those of the run")
    kept = {result.name: result.context.sha256 for result in run.scenarios}
    moved = [ground.name for ground in study.grounds if ground.context.sha256() != kept.get(ground.name)]
    where = f"the contexts of {', '.join(moved)} differ" if moved else "bars before or after the contexts differ"
    told = f"the data changed: {where}; a history that was revised or edited gives other paths and other judgements"
    return Proof("identity: data", "FAIL", told, moved)


def _weights(study: Study, run: StressRun) -> Proof:
    kept = {result.name: result.generator for result in run.scenarios}
    every = [*study.grounds, *study.replays]
    here = [_on_device(dict(ground.sampler.identity), kept.get(ground.name, {})) for ground in every]
    if hash_of(here) == run.identity["weights"]:
        return Proof("identity: weights", "PASS", "models and generators here are those of the run")
    wrong = [
        f"{ground.name}: {key} {str(kept[ground.name][key])[:12]} there, {str(value)[:12]} here"
        for ground, own in zip(study.grounds, here, strict=False)
        for key, value in own.items()
        if ground.name in kept and key in kept[ground.name] and kept[ground.name][key] != value
    ]
    listed = "; ".join(wrong[: folder_of.MOST_SHOWN]) or "their hashes differ"
    return Proof("identity: weights", "FAIL", f"another model file, or generators of other settings: {listed}", wrong)


def _on_device(identity: Any, record: Mapping[str, Any]) -> Any:
    """Return a generator's identity as it is on the device of the run, which is told apart from its weights."""
    if not isinstance(identity, dict):
        return identity
    told = {key: record[key] for key in ("device", "dtype") if key in identity and key in record}
    return {key: told.get(key, _on_device(value, record)) for key, value in identity.items()}


def _strategies(study: Study, run: StressRun) -> Proof:
    uses = list(dict.fromkeys(strategy.use for strategy in study.strategies))
    if study.identity["strategies"] == run.identity["strategies"]:
        return Proof(
            "identity: strategies", "PASS", f"{len(uses)} files of strategies and what they read are as they ran"
        )
    told = f"a strategy was edited, or a file that it reads: not what ran is among {', '.join(uses)}"
    return Proof("identity: strategies", "FAIL", told, uses)


def _versions(run: StressRun) -> list[Proof]:
    """Return whether versions are those of the run; others are no fault, and paths are held to a tolerance then."""
    if hash_of(run.versions) != run.identity["packages"]:
        proof = Proof("identity: packages", "FAIL", "the versions in run.json are not those of the run")
    else:
        own = versions()
        moved = [
            f"{key} {value} there, {own.get(key, 'absent')} here"
            for key, value in run.versions.items()
            if own.get(key) != value
        ]
        told = (
            f"other versions: {'; '.join(moved)}; paths are held to a tolerance where they are not the same to the bit"
        )
        proof = Proof(
            "identity: packages",
            "UNTESTABLE" if moved else "PASS",
            told if moved else "versions here are those of the run",
            moved,
        )
    there, here = run.identity["code"], versions()["scenario-gen"]
    code = Proof("identity: code", "PASS", f"scenario-gen {here} here and there")
    if there != here:
        code = Proof("identity: code", "UNTESTABLE", f"scenario-gen {there} there, {here} here")
    return [code, proof]


# --- The whole ---


def prove(
    folder: Path,
    choice: ChosenPaths,
    *,
    base: Path | None = None,
    device: str | None = None,
    elsewhere: bool = False,
    progress: Progress | None = None,
) -> Certificate:
    """Prove a finished run again from its folder.

    Args:
        folder: of the run.
        choice: which paths are made again.
        base: where the files of the spec are looked for; default: beside the spec that the run's command names.
        device: to sample on, instead of the run's.
        elsewhere: whether this is another processor than the run's, so that paths are held to a tolerance.
        progress: who hears of stages and notes.

    Raises:
        StoreError: the folder is no finished run, or no scenario has the path.
    """
    finished, progress = folder_of.Finished.of(folder), progress or SilentProgress()
    steps = folder_of.prove_files(finished)
    with TemporaryDirectory(prefix="scenario-gen-verify-") as scratch:
        opened = open_again(finished, RunFolder(Path(scratch) / "again"), base, device, progress)
        steps += opened.proofs
        steps += folder_of.prove_page(finished)
        steps += folder_of.prove_summaries(finished)
        proved: list[ProvedPaths] = []
        here = {"device": "", "dtype": ""}
        if opened.study is None:
            steps.append(
                Proof("paths", "UNTESTABLE", "not made again: spec, data, model or strategies here are not the run's")
            )
            steps += not_remade(finished.run)
        else:
            here = device_of([ground.generator for ground in opened.study.grounds])
            there = finished.run.device
            if here["dtype"] != there["dtype"]:
                told = f"numbers are {here['dtype']} here and {there['dtype']} there: paths part at their first tokens"
                steps += [Proof("paths", "UNTESTABLE", told), *not_remade(finished.run)]
                return _certificate(finished, steps, choice, [], here)
            same = here == there and versions() == finished.run.versions
            again = Again(opened.study, finished.run, finished.store, finished.tables, same and not elsewhere)
            more, proved = prove_paths(again, choice)
            steps += more
            steps += prove_judgements(again)
    return _certificate(finished, steps, choice, proved, here)


def _certificate(
    finished: folder_of.Finished,
    steps: list[Proof],
    choice: ChosenPaths,
    proved: list[ProvedPaths],
    here: dict[str, str],
) -> Certificate:
    run, folder = finished.run, finished.store.path
    return Certificate(
        run=run.name,
        created=run.created,
        identity=run.identity,
        sums=sums_of(folder),
        seeds={name: int(plan["paths"]["seed"]) for name, plan in finished.plans.items()},
        versions=run.versions,
        device=run.device,
        steps=steps,
        choice=choice,
        proved=proved,
        verified=datetime.now(UTC).isoformat(timespec="seconds"),
        verified_by=versions(),
        verified_on=here,
    )


# --- Whose certificate? ---


def sums_of(folder: Path) -> dict[str, str]:
    """Return the sums of the files that a certificate is about: run.json, tables, kept paths and page."""
    kept = sorted(path.relative_to(folder).as_posix() for path in (folder / "paths").glob("*.parquet"))
    return {
        name: sha256_of(folder / name) for name in (RUN, *folder_of.TABLES, PAGE, *kept) if (folder / name).is_file()
    }


def belongs(certificate: Certificate, folder: Path) -> Proof:
    """Return whether a certificate is that of the run in a folder.

    Raises:
        StoreError: the folder is no finished run.
    """
    finished = folder_of.Finished.of(folder)
    here = sums_of(finished.store.path)
    wrong = [
        f"{name} is not the file that was proved"
        for name, kept in certificate.sums.items()
        if name in here and here[name] != kept
    ]
    wrong += [f"{name} is here and was not proved" for name in here if name not in certificate.sums]
    wrong += [] if certificate.identity == finished.run.identity else ["it is the certificate of another run"]
    gone = [name for name in certificate.sums if name not in here]
    if gone and not wrong:
        told = (
            f"{', '.join(gone)}: proved then and not here any more; the other {len(here)} files are those it is about"
        )
        return Proof("certificate: of this run", "UNTESTABLE", told, gone)
    return folder_of.verdict("certificate: of this run", wrong, f"{len(here)} files are those that it is about")


# --- What the command asks ---


@dataclass(frozen=True)
class AskedProof:
    """What is to be proved or checked, and where a certificate stands or goes."""

    run: Path | None  # None where a certificate alone is checked
    paths: int | None = None
    path: int | None = None
    seed: int | None = None
    base: Path | None = None
    device: str | None = None
    elsewhere: bool = False
    certificate: Path | None = None
    key: Path | None = None
    public: Path | None = None

    def choice(self, kept: ChosenPaths | None) -> ChosenPaths:
        """Return which paths are made again: those of a certificate, where nothing else is asked for."""
        drawn = kept or ChosenPaths(secrets.randbelow(2**32), USUAL_PATHS)
        return ChosenPaths(
            drawn.seed if self.seed is None else self.seed,
            self.paths or drawn.paths,
            drawn.path if self.path is None and self.paths is None else self.path,
        )


def answer(asked: AskedProof, progress: Progress) -> tuple[list[Proof], Certificate | None, list[str]]:
    """Check a certificate that stands there, prove a run where one is named, and write a new certificate if asked.

    Returns:
        All steps, what was proved of the run, and what else the user must know.

    Raises:
        StoreError: the folder is no finished run, a certificate or key cannot be used, or the disk refuses.
    """
    kept, steps, file = None, list[Proof](), asked.certificate
    if file is not None and asked.key is not None:  # before the work, not after it
        certificates.refuse_standing(file)
        certificates.private_key(asked.key)
    standing = file is not None and (asked.run is None or file.exists())
    if asked.public is not None and not standing:
        raise StoreError(
            f"there is no certificate {file} that --public could check",
            expected="one that was written before",
            fix="write it without --public first, or check the path of the certificate",
        )
    if file is not None and not standing:
        certificates.refuse_unwritable(file)
    if file is not None and standing:
        kept, steps = certificates.check_certificate(file, asked.public)
    if asked.run is None:
        return steps, None, []
    try:
        steps += [] if kept is None else [belongs(kept, asked.run)]
        choice = asked.choice(None if kept is None else kept.choice)
        proved = prove(
            asked.run, choice, base=asked.base, device=asked.device, elsewhere=asked.elsewhere, progress=progress
        )
    except folder_of.BrokenRunError as error:
        return [*steps, Proof("run.json", "FAIL", error.problem)], None, []
    if file is None or standing:
        return [*proved.steps, *steps], proved, []
    if proved.label == "FAIL":
        return proved.steps, proved, ["no certificate was written: something fails"]
    certificates.write_certificate(file, proved, asked.key)
    return proved.steps, proved, [f"certificate: {file}{', signed' if asked.key else ''}"]
