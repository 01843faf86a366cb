"""The story on one screen: spec -> prepared scenarios -> blocks -> results -> report.

This room puts the others in order and owns nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenario_gen.pipeline.blocks import run_blocks
from scenario_gen.pipeline.stages import agreement_of, check_realism, probe_strategies, scenario_evidence
from scenario_gen.pipeline.study import device_of, identity_of, load_strategies, override, prepare, sample, versions
from scenario_gen.pipeline.summary import summarise
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.report.page import write_report
from scenario_gen.spec.loader import LoadedSpec, load_spec, spec_from_dict
from scenario_gen.store.folder import RunFolder, calibration_folder
from scenario_gen.store.results import StressRun

__all__ = ["run", "run_spec", "sample"]


def run(
    spec: str | Path | Mapping[str, Any], *, folder: str | Path | None = None, overwrite: bool = False
) -> StressRun:
    """Run a spec from a YAML file or a mapping, write its run folder and return the result.

    Raises:
        ScenarioError: spec, data, model, strategy or folder cannot be used; the message says what to do.
    """
    loaded = spec_from_dict(spec) if isinstance(spec, Mapping) else load_spec(Path(spec))
    return run_spec(
        loaded,
        folder=None if folder is None else Path(folder),
        device=None,
        paths=None,
        overwrite=overwrite,
        command=f"scenario_gen.run({loaded.filename!r})",
        progress=SilentProgress(),
    )


def run_spec(
    loaded: LoadedSpec,
    *,
    folder: Path | None,
    device: str | None,
    paths: int | None,
    overwrite: bool,
    command: str,
    progress: Progress,
) -> StressRun:
    """Run a loaded spec: sample, check and backtest every block that is not there yet, then report.

    Args:
        loaded: the spec and where it came from.
        folder: run folder instead of the spec's own.
        device: device instead of the spec's own.
        paths: number of paths instead of the spec's own.
        overwrite: replace another run that lives in the folder.
        command: what the user typed, for the report.
        progress: who hears of stages and notes.

    Raises:
        ScenarioError: something the user can mend.
    """
    clock = Clock()
    spec = override(loaded.spec, device=device, paths=paths)
    strategies = load_strategies(spec.strategies, loaded.base, progress)
    store = RunFolder(folder or spec.report.folder)
    prepared = prepare(spec.scenarios, loaded.base, progress, kept=calibration_folder(store.path))
    clock.lap("preparing")

    identity = identity_of(spec, prepared, strategies)
    if store.prepare(identity, overwrite=overwrite):
        progress.note(f"going on with the run in {store.path}")
    for scenario in prepared:
        run_blocks(scenario, strategies, store, progress)
        clock.lap(f"scenario {scenario.name}")

    scenarios, metrics, findings = summarise(prepared, strategies, spec.limits, store, progress)
    clock.lap("summarising")
    scenarios[0], probed = probe_strategies(prepared[0], strategies, scenarios[0], store, progress)
    scenarios, judged = scenario_evidence(prepared, strategies, scenarios, store, progress)
    agreement, compared = agreement_of(prepared, strategies, metrics)
    clock.lap("judging strategies")
    realism = check_realism(prepared, store, identity, progress)
    clock.lap("checking realism")
    result = StressRun(
        name=spec.name,
        title=spec.report.title or spec.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        spec=spec.model_dump(mode="json"),
        spec_text=loaded.text,
        limits=spec.limits.model_dump(exclude_none=True),
        identity=identity,
        versions=versions(),
        device=device_of(prepared),
        seconds=clock.laps,
        scenarios=realism.onto(scenarios),
        findings=[*findings, *probed, *judged, *compared, *realism.findings],
        agreement=agreement,
    )
    store.write_metrics(metrics)
    store.write_run(result)
    with progress.stage("writing the report", 1) as advance:
        write_report(store)
        advance(1)
    return result


class Clock:
    """Wall-clock seconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Book the time since the last lap under a name."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 2)
        self._last = now
