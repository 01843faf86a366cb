"""From evidence to PASS, WARN, FAIL, INCONCLUSIVE or UNTESTABLE.

Owns thresholds and the order of labels. Knows numbers only.

A group carries the label of its worst member, never an average: FAIL is worse than WARN, then INCONCLUSIVE, then
UNTESTABLE, then PASS. So PASS says that every member was tested with power and found in order; a group with one
member that nobody could test is UNTESTABLE at best, and its counts say how much of it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.finding import Label

FAIL_Q, FAIL_EFFECT = 0.01, 0.10  # an effect of .10 is about .36 standard deviations
WARN_Q, WARN_EFFECT = 0.05, 0.05
SMALL_MDE = 0.15
CONTROL_P = 0.01
FAIL_UNDEFINED, WARN_UNDEFINED = 0.10, 0.05  # share of paths on which only the synthetic side has no value


@dataclass(frozen=True)
class Evidence:
    """What a label rests on.

    Attributes:
        effect: the larger of the differences in location and spread, on the scale of AUC - 1/2.
        q: Benjamini-Hochberg adjusted p-value over all facts of the run.
        mde: smallest difference in location that would have been found with a power of 80 %.
        control: name of the designated negative control, "" where there is none.
        control_p: the p-value of that control at the same number of paths and bars; None where there is none.
        undefined: by how much the share of paths without a value exceeds the reference's.
        undefined_p: p-value of that excess.
        cap: why FAIL would claim too much, "" where it would not.
        direction: in which way the larger of the differences points, in words.
    """

    effect: float
    q: float
    mde: float
    control: str
    control_p: float | None
    undefined: float = 0.0
    undefined_p: float = 1.0
    cap: str = ""
    direction: str = "different"


def judge(evidence: Evidence) -> tuple[Label, str]:
    """Return the label and its reason in words."""
    label, reason = _uncapped(evidence)
    if label == "FAIL" and evidence.cap:
        return "WARN", f"{reason}; not called FAIL because {evidence.cap}"
    return label, reason


def _uncapped(e: Evidence) -> tuple[Label, str]:
    found = f"effect {e.effect:.2f}, q {_small(e.q)}"
    lacking = f"{e.undefined:.0%} more of the paths than of the real windows have no value"
    if e.undefined >= FAIL_UNDEFINED and e.undefined_p < FAIL_Q:
        return "FAIL", lacking
    if e.q < FAIL_Q and e.effect >= FAIL_EFFECT:
        return "FAIL", f"{found}: {e.direction}"
    if e.q < WARN_Q and e.effect >= WARN_EFFECT:
        return "WARN", f"{found}: perhaps {e.direction}"
    if e.undefined >= WARN_UNDEFINED and e.undefined_p < WARN_Q:
        return "WARN", lacking
    return _pass_with_power(e, found)


def _pass_with_power(e: Evidence, found: str) -> tuple[Label, str]:
    if e.mde <= SMALL_MDE:
        return "PASS", f"{found}; a difference of {e.mde:.2f} would have been found"
    if e.control_p is not None and e.control_p < CONTROL_P:
        return "PASS", f"{found}; the control {e.control} was caught with p {_small(e.control_p)}"
    return "INCONCLUSIVE", f"{found}; {_no_power(e)}"


def _no_power(e: Evidence) -> str:
    blind = f"a difference below {e.mde:.2f} would be missed"
    if e.control_p is None:
        return blind
    return f"{blind}, and the control {e.control} was not caught (p {_small(e.control_p)})"


def _small(p: float) -> str:
    """Return a p-value with as many digits as show on which side of a threshold it lies."""
    if p < 1e-4:
        return "<0.0001"
    near = p < FAIL_Q or p < WARN_Q <= round(p, 3)
    return f"{p:.4f}" if near else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
