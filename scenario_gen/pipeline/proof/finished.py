"""The folder of a finished run, and what it shows by itself: files, page and summaries that must fit together.

Needs neither data nor model nor strategies. The folder is read and never written, and nothing in it is trusted. What
cannot be tried is UNTESTABLE and says why. Whether the run can be made again is asked in
:mod:`scenario_gen.pipeline.proof.steps`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.backtest.broker import AccountRules
from scenario_gen.candles.account import CandleAccount, CandleCounts, candle_finding, merge_tallies
from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.files import SUMS, read_sums, safe_name, sha256_of
from scenario_gen.finding import LIMITS, Finding
from scenario_gen.market.paths import BELONGS
from scenario_gen.pipeline.summary import figures_of, limit_findings
from scenario_gen.realism.check import facts_findings
from scenario_gen.report.page import build_page
from scenario_gen.report.readback import misprints
from scenario_gen.stats.weights import Weights
from scenario_gen.store.certificate import Proof
from scenario_gen.store.folder import CANDLES, FACTS, IDENTITY, METRICS, PAGE, RUN, SCHEMA, RunFolder
from scenario_gen.store.manifest import MANIFEST, Manifest, digest
from scenario_gen.store.remote import open_folder
from scenario_gen.store.results import ScenarioResult, StressRun
from scenario_gen.values import decode, encode
from scenario_gen.version import VERSION

TABLES = (METRICS, CANDLES, FACTS)
READ = (*TABLES, PAGE, "paths", "blocks", "calibration", "events")  # of a run at an address
MOST_SHOWN = 5  # of what failed


def verdict(step: str, wrong: Sequence[str], passed: str, failed: str = "") -> Proof:
    """Return PASS with its words where nothing is wrong, else FAIL with what is."""
    if not wrong:
        return Proof(step, "PASS", passed)
    more = f" and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
    return Proof(step, "FAIL", f"{failed}{'; '.join(wrong[:MOST_SHOWN])}{more}", [*wrong])


class BrokenRunError(StoreError):
    """run.json cannot be what a run wrote: a part is missing, or its numbers contradict each other."""


@dataclass(frozen=True)
class Finished:
    """The folder of a finished run, read without trusting it."""

    store: RunFolder
    data: dict[str, Any]  # run.json, as JSON has it
    run: StressRun

    @classmethod
    def of(cls, folder: Path) -> Finished:
        """Read a run's folder, or a copy of what lies at an address.

        Raises:
            StoreError: it is no folder of a finished run, or one of another schema.
            BrokenRunError: run.json is not what a run wrote.
        """
        store = open_folder(folder, *READ)
        if missing := [name for name in (RUN, IDENTITY) if not (store.path / name).is_file()]:
            raise StoreError(
                f"{store.path} is no folder of a finished run: {' and '.join(missing)} not there",
                expected="the folder that `scenario-gen run` wrote: report.folder of its spec",
                fix="name that folder; a run that was interrupted has no run.json yet: run the spec again first",
            )
        try:
            data = json.loads((store.path / RUN).read_bytes())
        except (ValueError, RecursionError) as error:
            raise BrokenRunError(f"it is not valid JSON: {error}") from error
        if not isinstance(data, dict):
            raise BrokenRunError("it holds no mapping")
        if data.get("schema") != SCHEMA:
            raise StoreError(
                f"{store.path / RUN} has schema {data.get('schema')!r}",
                expected=f"schema {SCHEMA}, which this version writes and reads",
                fix="verify it with the version that wrote it",
            )
        try:
            return cls(store, data, decode(StressRun, data))
        except StoreError as error:
            raise BrokenRunError(error.problem) from error

    @property
    def results(self) -> list[ScenarioResult]:
        """The scenarios whose strategies have results: those of books, where there are several assets."""
        return [*self.run.scenarios] if self.run.book is None else [*self.run.book.scenarios]

    @cached_property
    def plans(self) -> dict[str, dict[str, Any]]:
        """What the resolved spec says of every scenario, by its name."""
        return {str(each["name"]): each for each in self.run.spec.get("scenarios", [])}

    @cached_property
    def unkept(self) -> set[str]:
        """The scenarios of whose paths the spec keeps nothing, those of several assets too: ``paths.keep: none``."""
        alone = {name for name, plan in self.plans.items() if plan["paths"]["keep"] == "none"}
        return alone | {result.name for result in self.results if self.first_of(result) in alone}

    @staticmethod
    def first_of(result: ScenarioResult) -> str:
        """Return the scenario that a result is of; of a book that of its first asset."""
        assets = getattr(result, "assets", [])
        return f"{result.name}.{assets[0]}" if assets else result.name

    def seed_of(self, result: ScenarioResult) -> int:
        """Return the seed of a scenario's figures; of a book that of its first asset, which all share."""
        return int(self.plans[self.first_of(result)]["paths"]["seed"]) % 2**32

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that are there and can be read, by the name of the file."""
        read = {}
        for name in TABLES:
            try:
                read[name] = pd.read_parquet(self.store.path / name)
            except Exception:  # missing, or damaged: pyarrow raises several kinds of its own
                continue
        return read

    def blocks_of(self, name: str) -> list[int]:
        """Return the blocks of a scenario that must be there, and those that are."""
        around = self.store.block_path(name, 0).parent
        here = {int(each.name) for each in around.iterdir() if each.name.isdigit()} if around.is_dir() else set()
        plan = self.plans.get(name)
        if plan is None or plan.get("event") or plan.get("reweight"):  # islands and copies: as many as there are
            return sorted(here)
        wanted = len(range(0, int(plan["paths"]["count"]), int(plan["paths"]["block"])))
        return sorted(here | {*range(wanted)})


# --- Files ---


def prove_files(finished: Finished) -> list[Proof]:
    """Hold every file against its sum, the manifest against the run, and every block against its address."""
    folder, run = finished.store.path, finished.run
    kept = [finished.store.paths_path(scenario.name).relative_to(folder).as_posix() for scenario in run.scenarios]
    needed = [RUN, *(name for name in (*TABLES, *kept) if (folder / name).is_file())]
    try:
        sums = read_sums(folder)
        wrong = [f"{name} has no sum in {SUMS}" for name in needed if name not in sums]
        wrong += [f"{name} is missing" for name in sums if not (folder / name).is_file()]
        wrong += [
            f"{name} is not what was written"
            for name in sums
            if (folder / name).is_file() and sha256_of(folder / name) != sums[name]
        ]
    except ScenarioError as error:
        sums, wrong = {}, [error.problem]
    return [
        verdict("sums", wrong, f"{len(sums)} files have the sums of {SUMS}"),
        _manifest(finished, needed),
        _blocks(finished),
    ]


def _manifest(finished: Finished, needed: Sequence[str]) -> Proof:
    folder, identity = finished.store.path, finished.run.identity
    here = finished.store.identity() or {}
    wrong = [] if here == identity else [f"{IDENTITY} and {RUN} tell of different runs"]
    known = Manifest.of(folder, digest(here))
    if known is None:
        wrong.append(f"{MANIFEST} is missing, damaged or another run's")
    else:
        stored = [path for path in (folder / "blocks").rglob("*") if path.is_file()]
        try:
            known.refuse_foreign(*(folder / name for name in (*needed, IDENTITY, PAGE)), *stored)
        except StoreError as error:
            wrong.append(error.problem)
    return verdict("manifest", wrong, f"{RUN}, {IDENTITY} and {MANIFEST} tell of one run, which made all of its files")


def _blocks(finished: Finished) -> Proof:
    if not (finished.store.path / "blocks").is_dir():
        return Proof("blocks", "UNTESTABLE", "the run keeps no blocks: they were cleaned away, or never kept")
    names = [*finished.plans, *([each.name for each in finished.results] if finished.run.book is not None else [])]
    names = [name for name in names if not (finished.plans.get(name) or {}).get("replay")]
    kept = [name for name in names if name not in finished.unkept]
    every = [(name, index) for name in kept for index in finished.blocks_of(name)]
    wrong = [f"{name} {index}" for name, index in every if not finished.store.has_block(name, index)]
    wrong += [f"{name}: none is there" for name in kept if not finished.blocks_of(name)]
    known = {safe_name(name) for name in names}
    wrong += [
        f"{each.name}: no scenario of the run"
        for each in (finished.store.path / "blocks").iterdir()
        if each.name not in known
    ]
    failed = "missing, cut off, edited, or written for another place or run: "
    return verdict("blocks", wrong, f"{len(every)} blocks are whole, and each is this run's in its place", failed)


# --- The page ---


def prove_page(finished: Finished) -> list[Proof]:
    """Hold every number of the page against run.json, and the whole page against one made of it here."""
    path = finished.store.path / PAGE
    if not path.is_file():
        return [Proof("page", "UNTESTABLE", f"{PAGE} is not in the folder")]
    page = path.read_bytes().decode("utf-8", "replace")
    count, wrong = misprints(page, finished.data)
    numbers = verdict(
        "page: numbers", wrong, f"{count:,} numbers are what run.json has where they point to", "edited: "
    )
    try:
        again = build_page(finished.run)
    except StoreError as error:
        return [numbers, Proof("page", "FAIL", f"no page can be made of run.json: {error.problem}")]
    if again == page:
        return [numbers, Proof("page", "PASS", "the page made of run.json here is the same, byte for byte")]
    lines = zip(page.splitlines(), again.splitlines(), strict=False)
    first = next((at for at, (own, made) in enumerate(lines, 1) if own != made), 0)
    if finished.run.identity.get("code") != VERSION:
        told = f"version {finished.run.identity.get('code')} made it, and this is {VERSION}; its numbers are held above"
        return [numbers, Proof("page", "UNTESTABLE", told)]
    return [
        numbers,
        Proof("page", "FAIL", f"it is not the page that run.json makes: they part in line {first}", [f"line {first}"]),
    ]


# --- Summaries ---


def prove_summaries(finished: Finished) -> list[Proof]:
    """Hold run.json against its tables and its findings against run.json."""
    return [_whole(finished), _metrics(finished), _candles(finished), _facts(finished), _findings(finished)]


def _whole(finished: Finished) -> Proof:
    """Hold what run.json has results of against what the spec asks for: nothing may be left out, and no limit moved."""
    run, books = finished.run, [] if finished.run.book is None else finished.run.book.scenarios
    replayed = [name for name, plan in finished.plans.items() if plan.get("replay")]
    asked = {name for name in finished.plans if name not in replayed}
    pairs = [({result.name for result in run.scenarios}, asked), ({result.name for result in run.replays}, {*replayed})]
    if run.book is not None:
        pairs.append(({f"{book.name}.{asset}" for book in books for asset in book.assets}, asked))
    wrong = [f"{name} of the spec is not there" for here, spec in pairs for name in sorted(spec - here)]
    wrong += [f"{name} is not of the spec" for here, spec in pairs for name in sorted(here - spec)]
    traded = {result.name: sorted(strategy.name for strategy in result.strategies) for result in finished.results}
    wrong += [
        f"{name} has other strategies than {next(iter(traded))}"
        for name, names in traded.items()
        if names != next(iter(traded.values()))
    ]
    limits = {key: level for key, level in dict(run.spec.get("limits") or {}).items() if isinstance(level, int | float)}
    wrong += [] if run.limits == limits else ["its limits are not those of the spec"]
    passed = f"results of all {len(finished.plans)} scenarios and baselines of the spec, under its limits"
    return verdict("run.json: whole", wrong, passed)


def _metrics(finished: Finished) -> Proof:
    step, table, wrong, left, count = f"summaries: {METRICS}", finished.tables.get(METRICS), [], [], 0
    if table is None:
        return _no_table(finished, step, METRICS)
    given, declared = finished.run.spec.get("account"), finished.run.limits.get("max_drawdown")
    rules = AccountRules.model_validate(given) if given else None
    for result in _kept(finished, finished.results):
        try:
            weights = None if result.weighting is None else _weights_of(finished, result)
        except ScenarioError:
            left.append(result.name)
            continue
        rows, seed = table[table["scenario"] == result.name], finished.seed_of(result)
        names = [strategy.name for strategy in result.strategies]
        unlike = sorted({*rows["strategy"].unique()} ^ {*names})
        wrong += [f"{result.name}: {name} is in {RUN if name in names else 'the table'} alone" for name in unlike]
        for strategy in result.strategies:
            if strategy.name in unlike:
                continue
            own = rows[rows["strategy"] == strategy.name].set_index("path_id")
            for name, value in figures_of(own, declared, seed=seed, rules=rules, weights=weights).items():
                count += 1
                if encode(value) != encode(getattr(strategy, name)):
                    wrong.append(f"{result.name}: {name} of {strategy.name}")
    strange = {*table["scenario"].unique()} - {result.name for result in finished.results}
    wrong += [f"{name}: no scenario of run.json" for name in sorted(strange)]
    if left and not wrong:
        told = (
            f"{', '.join(left)}: what their paths stand for is in blocks that are not here; {count} others are the same"
        )
        return Proof(step, "UNTESTABLE", told, left)
    failed = "run.json is not what the table gives: "
    return verdict(
        step, wrong, f"{count} summaries of strategies, reckoned again, are run.json's to the last bit", failed
    )


def _kept(finished: Finished, results: Sequence[ScenarioResult]) -> list[ScenarioResult]:
    """Return the results of scenarios that have rows in the tables."""
    return [result for result in results if result.name not in finished.unkept]


def _weights_of(finished: Finished, result: ScenarioResult) -> Weights | None:
    """Return what the kept paths of a scenario stand for, as its blocks have it.

    Raises:
        StoreError: a block is missing or not whole.
    """
    names = ("weights", "held", *(f"path_{name}" for name in BELONGS))
    kept = [finished.store.load_arrays(result.name, index, *names) for index in finished.blocks_of(result.name)]
    every = {name: np.concatenate([arrays[name] for arrays in kept]) for name in names if name in kept[0]}
    islands, roots = (every.get(f"path_{name}") for name in BELONGS)
    return Weights.of(every.get("weights"), islands, roots, every.get("held"))


def _candles(finished: Finished) -> Proof:
    step, table, wrong = f"summaries: {CANDLES}", finished.tables.get(CANDLES), list[str]()
    if table is None:
        return _no_table(finished, step, CANDLES)
    for result in _kept(finished, finished.run.scenarios):
        own, account = table[table["scenario"] == result.name], result.candles
        if not len(own):
            wrong.append(f"{result.name}: it has no rows")
            continue
        again = _account(own, account, result.horizon)
        names = [each.name for each in fields(CandleAccount) if each.name != "facts"]  # what repair moved is in blocks
        wrong += [
            f"{result.name}: {name}" for name in names if encode(getattr(again, name)) != encode(getattr(account, name))
        ]
    failed = "run.json is not what the table gives: "
    return verdict(
        step,
        wrong,
        f"accounts of {len(_kept(finished, finished.run.scenarios))} scenarios add up to run.json's",
        failed,
    )


def _account(rows: pd.DataFrame, account: CandleAccount, horizon: int) -> CandleAccount:
    """Return the account of candles that rows of the table give, under the rules of an account."""
    counts = rows.drop(columns="scenario").set_index("path_id")
    wickless = {each.side: each.history for each in account.wickless}
    tally = CandleCounts(
        tuple(account.rules), account.policy, horizon, (wickless["upper"], wickless["lower"]), counts, pd.DataFrame()
    )
    return merge_tallies([tally])


def _facts(finished: Finished) -> Proof:
    step, table = f"summaries: {FACTS}", finished.tables.get(FACTS)
    asked = [name for name, plan in finished.plans.items() if (plan.get("checks") or {}).get("facts")]
    if table is None:
        if FACTS not in read_sums(finished.store.path) and not any(result.facts for result in finished.run.scenarios):
            return Proof(step, "UNTESTABLE", "the run compared no paths with history")
        return _no_table(finished, step, FACTS)
    kept = {result.name: result.candles.paths - result.candles.rejected for result in finished.run.scenarios}
    rows = table.groupby("scenario")["path_id"].nunique()
    wrong = [
        f"{name}: {count} paths, run.json has {kept.get(str(name), 0)}"
        for name, count in rows.items()
        if count != kept.get(str(name))
    ]
    wrong += [f"{name}: no scenario that compares paths with history" for name in rows.index if name not in asked]
    compared = [result.name for result in _kept(finished, finished.run.scenarios) if result.facts is not None]
    wrong += [f"{name}: it has no rows" for name in compared if name not in rows.index]
    return verdict(
        step, wrong, f"a row of each of {len(table):,} kept paths; their numbers are held with the paths below"
    )


def _no_table(finished: Finished, step: str, file: str) -> Proof:
    if file in read_sums(finished.store.path):
        return Proof(step, "FAIL", f"{file} is missing or cannot be read")
    return Proof(step, "UNTESTABLE", f"the run keeps no {file}: nothing here says what its paths were")


def _findings(finished: Finished) -> Proof:
    """Judge once more what follows from run.json alone: limits, candles and facts."""
    run = finished.run
    expected = [*_following(finished)]
    kept = [encode(finding) for finding in run.findings]
    wrong = [_called(finding) for finding in expected if encode(finding) not in kept]
    judged = {_called(finding) for finding in expected}
    wrong += [
        f"{_called(finding)}: nothing of the run gives it"
        for finding in LIMITS.of(run.findings)
        if _called(finding) not in judged
    ]
    return verdict(
        "summaries: findings",
        wrong,
        f"{len(expected)} judgements of limits, candles and facts follow from run.json",
        "not what run.json gives: ",
    )


def _following(finished: Finished) -> Iterator[Finding]:
    yield from limit_findings(finished.results, finished.run.limits)
    for result in finished.run.scenarios:
        yield candle_finding(result.name, result.candles)
        if result.facts is not None and result.role == "scenario":
            yield from facts_findings(result.name, result.facts)


def _called(finding: Finding) -> str:
    return " ".join(filter(None, [finding.name, finding.scenario, finding.strategy]))
