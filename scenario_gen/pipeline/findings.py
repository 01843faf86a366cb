"""Findings that the pipeline itself can judge: the candle account, and overlap with a model's training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenario_gen.checks.account import BAD_BARS_FAIL, BAD_BARS_WARN, CandleAccount
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.store.results import Finding, Label

CANDLES, OVERLAP, EDGE = "candles", "training overlap", "edge of the levels"
PINNED_PATHS_WARN = 0.01  # the 99 % tail measures read the outer hundredth of the paths


def candle_finding(scenario: str, account: CandleAccount) -> Finding:
    """Return the verdict on a scenario's raw candles, and which rules were broken."""
    share = account.bad_bars / account.bars
    broken = [
        f"{row.rule}: {row.bars} bars in {row.paths} paths, {row.action}"
        for row in account.rules
        if row.paths > 0
    ]
    conditional = account.rejection is not None and account.rejection.conditional
    told = "; the ensemble is conditional on acceptance" if conditional else ""
    return Finding(
        name=CANDLES,
        label=account.label,
        measured=f"{share:.2%} of {account.bars} generated bars break a rule; {account.rejected} paths rejected"
        f"{told}",
        band=f"at most {BAD_BARS_WARN:.0%} of bars (WARN) or {BAD_BARS_FAIL:.0%} (FAIL), no path without a price",
        scenario=scenario,
        offenders=broken,
    )


def overlap_finding(one: Prepared) -> Finding:
    """Say whether the context ends before the model's training data do."""
    end = one.context.timestamps[-1].date().isoformat()
    last = one.generator.trained_until
    label: Label
    if last is None:
        label, measured = "PASS", "the generator was fitted to the context alone"
    elif last == "":
        label, measured = "UNTESTABLE", "the checkpoint does not record the dates of its training data"
    elif end <= last:
        label, measured = "WARN", f"the context ends on {end}, the model's training data on {last}"
    else:
        label, measured = "PASS", f"the context ends on {end}, after the model's training data ({last})"
    return Finding(
        name=OVERLAP,
        label=label,
        measured=measured,
        band="a context that ends after the model's training data",
        scenario=one.name,
    )


def edge_finding(scenario: str, provenance: Mapping[str, Any], paths: int) -> list[Finding]:
    """Return whether paths reach the edge of what price levels can express; nothing for models without an edge.

    Args:
        scenario: its name.
        provenance: of its paths, with the counts of pinned bars and paths.
        paths: how many were generated.
    """
    if provenance.get("representation") != "levels":
        return []
    pinned = int(provenance["pinned_paths"])
    return [
        Finding(
            name=EDGE,
            label="WARN" if pinned > PINNED_PATHS_WARN * paths else "PASS",
            measured=f"{pinned} of {paths} paths have a price more than 4.5 standard deviations from the mean of the "
            f"context ({provenance['pinned_bars']} bars); the model can express 5",
            band=f"at most {PINNED_PATHS_WARN:.0%} of paths: the measures of the 99 % tail rest on as many",
            scenario=scenario,
        )
    ]
