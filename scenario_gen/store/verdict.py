"""Labels: declared limits judged on intervals, the worst of several, and the caps of an unjudged generator.

Owns the rules that turn numbers of a run into PASS, FAIL and their kin. Does not know how a label is worded
or drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scenario_gen.store.results import Estimate, Finding, Label, ScenarioResult, StrategyResult

SEVERITY: tuple[Label, ...] = ("PASS", "UNTESTABLE", "INCONCLUSIVE", "WARN", "ERROR", "FAIL")
ALLOWED_DRAWDOWN_SHARE = 0.05  # a declared drawdown may be reached on at most this share of paths
TOO_MANY_BAD_BARS = 0.05
CALIBRATION, FACTS, FACTS_BY_ORIGIN = "calibration", "facts", "facts by origin"
MISLEADING = (
    "tails",
    "clustering",
    "asymmetry",
    "copy",
    "diversity",
    "scale",
)  # groups of facts that decide how deep falls go
LIMITS = "limits"


@dataclass(frozen=True)
class LimitVerdict:
    """One limit, judged for one strategy in one scenario.

    Attributes:
        limit: the spec's key, ``max_drawdown`` or ``probability_of_loss``.
        allowed: the share of paths that the limit allows.
        measured: the share of paths beyond the limit.
        label: the judgement on the interval, before any cap.
    """

    limit: str
    allowed: float
    measured: Estimate
    label: Label


def worst(labels: Iterable[Label]) -> Label | None:
    """Return the worst label, or None where there is none."""
    return max(labels, key=SEVERITY.index, default=None)


def judge_share(measured: Estimate, allowed: float) -> Label:
    """Judge a share of paths against the share allowed, on its 95 % interval.

    FAIL where the whole interval lies above ``allowed``, PASS where none of it does, INCONCLUSIVE where the
    paths are too few to tell, UNTESTABLE where nothing was counted. A share that is too rare to be shown as a
    rate is judged on its interval all the same.
    """
    if measured.low is None or measured.high is None:
        return "UNTESTABLE" if measured.value is None else "INCONCLUSIVE"
    if measured.low > allowed:
        return "FAIL"
    return "PASS" if measured.high <= allowed else "INCONCLUSIVE"


def drawdown_share(strategy: StrategyResult, limit: float) -> Estimate:
    """Return the share of paths whose drawdown reaches ``limit``; refused where the run did not count it."""
    for level, share in strategy.drawdown_beyond:
        if abs(level - limit) < 1e-9:
            return share
    return Estimate(None, reason=f"the run did not count drawdowns of {limit:.1%}")


def judge_strategy(strategy: StrategyResult, limits: Mapping[str, float]) -> list[LimitVerdict]:
    """Judge every declared limit for one strategy; an empty list where none is declared."""
    verdicts = []
    if "max_drawdown" in limits:
        share = drawdown_share(strategy, limits["max_drawdown"])
        label = judge_share(share, ALLOWED_DRAWDOWN_SHARE)
        verdicts.append(LimitVerdict("max_drawdown", ALLOWED_DRAWDOWN_SHARE, share, label))
    if "probability_of_loss" in limits:
        allowed = limits["probability_of_loss"]
        label = judge_share(strategy.probability_of_loss, allowed)
        verdicts.append(LimitVerdict("probability_of_loss", allowed, strategy.probability_of_loss, label))
    return verdicts


def limit_findings(scenarios: Sequence[ScenarioResult], limits: Mapping[str, float]) -> list[Finding]:
    """Return one finding per scenario, strategy and limit; baselines are shown beside and not judged."""
    return [
        Finding(
            name=f"{LIMITS}: {verdict.limit}",
            label=verdict.label,
            measured=f"{strategy.name}: {_percent(verdict.measured.value)} of {verdict.measured.n} paths",
            band=f"at most {_percent(verdict.allowed)} of paths",
            scenario=scenario.name,
            offenders=[strategy.name] if verdict.label == "FAIL" else [],
        )
        for scenario in scenarios
        if scenario.role == "scenario"
        for strategy in scenario.strategies
        for verdict in judge_strategy(strategy, limits)
    ]


def group(findings: Iterable[Finding], name: str) -> list[Finding]:
    """Return the findings of one group: those named ``name``, ``name: ...`` or ``name....``."""
    return [
        found for found in findings if found.name == name or found.name.startswith((f"{name}:", f"{name}."))
    ]


def cap(label: Label, scenario: ScenarioResult, findings: Sequence[Finding]) -> Label:
    """Hold a favourable label down to what the generator's own state allows; an unfavourable one stands.

    No calibration finding: at most INCONCLUSIVE. Bad bars on 5 % or more, or facts that FAIL and decide how deep
    falls go: at most WARN. A calibration that FAILs: at most INCONCLUSIVE.
    """
    if label != "PASS":
        return label
    judged = calibration_label(findings, scenario.name)
    if judged in (None, "UNTESTABLE", "ERROR"):
        return "INCONCLUSIVE"
    if scenario.candles.bars and scenario.candles.bad_bars / scenario.candles.bars >= TOO_MANY_BAD_BARS:
        return "WARN"
    if failed_facts(findings, scenario.name):
        return "WARN"
    return "INCONCLUSIVE" if judged == "FAIL" else label


def calibration_label(findings: Sequence[Finding], scenario: str) -> Label | None:
    """Return the worst label of a scenario's calibration; None where it was not calibrated."""
    return worst(found.label for found in group(findings, CALIBRATION) if found.scenario in ("", scenario))


def failed_facts(findings: Sequence[Finding], scenario: str) -> list[str]:
    """Return the groups of a scenario's facts that FAIL and decide how deep its falls go, each once.

    Facts against real windows and facts by the rank of what came count alike. Of diversity, paths that
    repeat one another or lie too close together count: those of one context cover less than all of history by nature.
    """
    names = {f"{of}.{part}": part for of in (FACTS, FACTS_BY_ORIGIN) for part in MISLEADING}
    failed = (
        names[found.name]
        for found in findings
        if found.label == "FAIL" and found.scenario == scenario and found.name in names
        if names[found.name] != "diversity" or {"distinct", "spread"} & {*found.offenders}
    )
    return list(dict.fromkeys(failed))


def _percent(value: float | None) -> str:
    return "not counted" if value is None else f"{value:.1%}"
