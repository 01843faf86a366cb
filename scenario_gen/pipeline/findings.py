"""Findings that the pipeline itself can judge: the candle account, and overlap with a model's training data."""

from __future__ import annotations

from scenario_gen.checks.account import BAD_BARS_FAIL, BAD_BARS_WARN, CandleAccount
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.store.results import Finding, Label

CANDLES, OVERLAP = "candles", "training overlap"


def candle_finding(scenario: str, account: CandleAccount) -> Finding:
    """Return the verdict on a scenario's raw candles, and which rules were broken."""
    share = account.bad_bars / account.bars
    broken = [
        f"{row.rule}: {row.bars} bars in {row.paths} paths, {row.action}"
        for row in account.rules
        if row.bars > 0
    ]
    return Finding(
        name=CANDLES,
        label=account.label,
        measured=f"{share:.2%} of {account.bars} generated bars break a rule; {account.rejected} paths rejected",
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
