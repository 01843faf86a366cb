"""What a model is told of a run, a check or a calibration: out of their JSON, as much as it can weigh.

Owns that the verdict stands above every figure, and that no figure comes without its interval, its range or its test,
or else why there is none. Lists of paths, windows and forecasts stay in the report. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenario_gen.finding import Label, worst

LEVELS = ("0.05", "0.5", "0.95")  # quantiles that are told
Told = dict[str, Any]


def worst_of(answer: Mapping[str, Any]) -> Label:
    """Return the worst label of a run (run.json), or of a check or calibration (``--json``)."""
    verdicts = answer.get("verdicts")
    labels = (each["label"] for each in answer["findings"]) if verdicts is None else verdicts.values()
    return worst(labels, "UNTESTABLE")


# --- A run ---


def verdict(name: str, run: Mapping[str, Any]) -> Told:
    """Return the verdict of a run (run.json), by the name that tools take, and the findings that fail."""
    return {
        "run": name,
        "verdict": worst_of(run),
        "failing": [finding["name"] for finding in run["findings"] if finding["label"] == "FAIL"],
    }


def figures(strategy: Mapping[str, Any]) -> Told:
    """Return the figures of a strategy in a scenario, every one with its interval, or why there is none."""
    metrics = {
        each["metric"]: {
            "mean": _with_error(each["mean"]),
            **{f"p{100 * float(level):g}": _with_error(each["quantiles"][level]) for level in LEVELS},
        }
        for each in strategy["metrics"]
    }
    return {
        "strategy": strategy["name"],
        "params": strategy["params"],
        "probability_of_loss": _with_error(strategy["probability_of_loss"]),
        "cvar": {level: _with_error(each) for level, each in strategy["cvar"].items()},
        "metrics": metrics,
    }


def _with_error(estimate: Mapping[str, Any]) -> Told:
    if estimate["value"] is None:
        return {"value": None, "why": estimate["reason"]}
    return {key: estimate[key] for key in ("value", "low", "high", "n")}


# --- A check or a calibration ---


def report(answer: Mapping[str, Any]) -> Told:
    """Return what a check or a calibration found (``--json`` of its command): verdicts and reasons, then figures."""
    head = {
        "verdict": worst_of(answer),
        "failing": [group for group, label in answer["verdicts"].items() if label == "FAIL"],
        "verdicts": answer["verdicts"],
        "reasons": {group: words for group, words in answer["reasons"].items() if words},
    }
    if "calibration" in answer and "facts" not in answer:
        return {**head, **_calibration(answer["calibration"])}
    if "assets" in answer:
        assets = {name: _check(each) for name, each in answer["assets"].items()}
        return {**head, "notes": answer["notes"], "together": _facts(answer["cross_asset"]["facts"]), "assets": assets}
    return {**head, **_check(answer)}


def _check(answer: Mapping[str, Any]) -> Told:
    judged = ("score", "title", "label", "reason", "value", "real_limit")
    counts = ("paths", "bars", "untouched", "repaired", "rejected", "bad_bars", "bad_paths")
    return {
        "compared": {"paths": answer["paths"], "reference": answer["reference"], "mode": answer["mode"]},
        "difference": "AUC less one half: above zero the paths are higher; 95 % interval. Ranges hold the middle 90 %",
        "candles": {key: answer["candles"][key] for key in counts},
        "facts": _facts(answer["facts"]),
        "scores": [_chosen(each, *judged) for each in answer["scores"]],
        **({} if answer["calibration"] is None else {"ranked": _forecasts(answer["calibration"])}),  # futures are known
        "untestable": answer["audit"]["untestable"],
        "notes": answer["notes"],
    }


def _facts(facts: Sequence[Mapping[str, Any]]) -> list[Told]:
    """Return stylized facts: the difference with its 95 % interval, and where 90 % of windows and of paths lie."""
    return [
        {
            **_chosen(each, "fact", "group", "title", "label", "reason", "real_range", "synthetic_range"),
            "difference": _chosen(each["comparison"]["location"], "value", "low", "high", "p")
            if each["comparison"]
            else {"value": None, "why": each["reason"]},
        }
        for each in facts
        if each["label"] is not None
    ]


def _calibration(answer: Mapping[str, Any]) -> Told:
    asked = _chosen(answer, "instrument", "context", "horizon", "paths", "seed")
    return {
        "asked": {**asked, "forecasts": len(answer["origins"])},
        "generator": _forecasts(answer["generator"]),
        "baselines": [_chosen(each, "name", "label") for each in answer["baselines"]],
        "notes": answer["notes"],
    }


def _forecasts(generator: Mapping[str, Any]) -> Told:
    """Return how the past ranks among a generator's paths."""
    ranks = [
        {
            **_chosen(each, "functional", "title", "label", "reason", "q"),
            "mean_rank": {"value": each["mean"], "low": each["mean_low"], "high": each["mean_high"]}
            if each["mean"] is not None
            else {"value": None, "why": each["reason"]},
        }
        for each in generator["functionals"]
    ]
    tails = ("functional", "tail", "level", "forecasts", "hits", "expected", "p", "label", "reason")
    return {
        **_chosen(generator, "name", "label", "dropped", "contamination", "drift"),
        "ranks": ranks,
        "bands": [_chosen(each, "level", "origins", "share", "low", "high", "p") for each in generator["band"]],
        "value_at_risk": [_chosen(each, *tails) for each in generator["exceedances"]],
        "skills": [_chosen(each, "score", "baseline", "skill", "p", "origins") for each in generator["skills"]],
    }


def _chosen(given: Mapping[str, Any], *keys: str) -> Told:
    return {key: given[key] for key in keys}
