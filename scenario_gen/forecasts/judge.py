"""From observations to labels: every functional over all origins, and the generator as a whole.

FAIL takes both certainty and size: q < .01, and a mean PIT off by a tenth or a 90 % band that holds fewer than 80 %
or more than 97 % of what came. WARN is q < .05. Below 30 origins nothing is judged, only shown. Value at risk is a
group with a label of its own; where that is WARN or FAIL, the generator is no better. Whether the model has seen the
futures that it forecasts is told by the dates of its training data, where they are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.finding import CALIBRATION, OVERLAP, VALUE_AT_RISK, Finding, Label, worst
from scenario_gen.forecasts.exceedances import NEXT_BAR, Exceedances, count_exceedances, group_label, judged_together
from scenario_gen.forecasts.foresight import Foresight, audit_drift
from scenario_gen.forecasts.numbers import FUNCTIONALS, SCORED, Observation
from scenario_gen.forecasts.origins import FEWEST_JUDGED
from scenario_gen.forecasts.results import (
    Calibration,
    Contamination,
    FunctionalCalibration,
    GeneratorCalibration,
    Histogram,
)
from scenario_gen.stats.means import benjamini_hochberg
from scenario_gen.stats.ranks import (
    Uniformity,
    band_coverage,
    central_coverage,
    compare_scores,
    histogram,
    histogram_band,
    uniformity,
)

Floats = NDArray[np.float64]

FAIL_Q, WARN_Q = 0.01, 0.05
FAIL_MEAN = 0.10
FAIL_COVERAGE = (0.80, 0.97)  # of the 90 % band
JUDGED_LEVEL = 0.9

MENDED_BY = "generator: {recalibrate: true}, which corrects level and spread of volatility by past forecasts"


def judge_generator(
    name: str,
    identity: Mapping[str, Any],
    observations: Sequence[Observation],
    untestable: Mapping[str, str],
    overlap: Contamination,
    *,
    omitted: Mapping[str, str],
    seed: int,
    dropped: int = 0,
    next_bar: Sequence[Observation] = (),
) -> GeneratorCalibration:
    """Judge a generator by its observations, oldest origin first.

    Args:
        name: in words.
        identity: what decides its paths.
        observations: at least two.
        untestable: by functional id, why it says nothing.
        overlap: of the futures with the training data.
        omitted: origins that could not be run, and why.
        seed: of the bootstrap of excesses.
        dropped: paths that were left out of the ensembles.
        next_bar: forecasts of the next bar alone, one bar after the other, by which its value at risk is judged
            instead of by the origins.
    """
    functionals = judge_functionals(observations, untestable)
    drift = audit_drift(
        np.array([one.generated for one in observations]),
        np.array([one.realised for one in observations]),
        enough=len(observations) >= FEWEST_JUDGED,
    )
    by_origin = scores_by_origin(observations)
    exceedances = judge_exceedances(observations, np.random.default_rng(seed), next_bar)
    labels = [one.label for one in functionals if one.label != "UNTESTABLE"]
    # Too few forecasts to count exceedances in is the lot of most calibrations and no doubt about the numbers that
    # were judged: INCONCLUSIVE stays the group's own label, told beside the whole's. What was judged counts.
    tails = [label for label in (group_label(exceedances),) if label in ("WARN", "FAIL")]
    return GeneratorCalibration(
        name=name,
        identity=dict(identity),
        label=worst([*labels, drift.label, *tails], "UNTESTABLE"),
        functionals=functionals,
        band=band_coverage(np.array([one.band_pit for one in observations])),
        scores={score: float(values.mean()) for score, values in by_origin.items()},
        scores_by_origin={score: values.tolist() for score, values in by_origin.items()},
        skills=[],
        exceedances=exceedances,
        drift=drift,
        contamination=overlap,
        omitted=dict(omitted),
        dropped=dropped,
        foresight=_foresight(observations),
    )


def _foresight(observations: Sequence[Observation]) -> Foresight | None:
    forecast, came = zip(*(one.volatility for one in observations), strict=True)
    return Foresight.of(forecast, came) if np.isfinite([*forecast, *came]).all() else None


def scores_by_origin(observations: Sequence[Observation]) -> dict[str, Floats]:
    """Return every score of a generator [origin], by id."""
    crps = [name for name in SCORED if name in observations[0].crps]
    scores = {f"crps_{name}": np.array([one.crps[name] for one in observations]) for name in crps}
    paths = {name: np.array([one.scores[name] for one in observations]) for name in observations[0].scores}
    return scores | paths


def with_skills(
    ours: GeneratorCalibration, baselines: Sequence[GeneratorCalibration], origins: Sequence[str]
) -> GeneratorCalibration:
    """Return a generator's calibration with every score, and its foresight, set against every baseline's.

    Args:
        ours: the generator.
        baselines: at the same origins; where one of the two was omitted, neither is counted.
        origins: stamps of all origins, oldest first.
    """
    skills, foresight = [], ours.foresight
    for other in baselines:
        both = [stamp for stamp in origins if stamp not in ours.omitted and stamp not in other.omitted]
        ours_at, theirs_at = (_places(one, origins, both) for one in (ours, other))
        if foresight is not None and other.foresight is not None:
            foresight = foresight.held_against(other.name, other.foresight, ours_at, theirs_at)
        for score, values in ours.scores_by_origin.items() if len(both) > 1 else ():
            mine, theirs = np.array(values)[ours_at], np.array(other.scores_by_origin[score])[theirs_at]
            skills.append(compare_scores(score, other.name, mine, theirs))
    return replace(ours, skills=skills, foresight=foresight)


def _places(calibration: GeneratorCalibration, origins: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where some origins stand among those that a generator was not omitted from."""
    seen = {stamp: place for place, stamp in enumerate(s for s in origins if s not in calibration.omitted)}
    return [seen[stamp] for stamp in wanted]


def judge_exceedances(
    observations: Sequence[Observation], rng: np.random.Generator, next_bar: Sequence[Observation] = ()
) -> list[Exceedances]:
    """Judge the value at risk of every return, tail and level that was observed, all of them together."""
    judged = []
    for name, tail, level in observations[0].excesses:
        seen = next_bar if next_bar and name == NEXT_BAR else observations
        pits = np.array([one.pits[name] for one in seen])
        excesses = np.array([one.excesses[name, tail, level] for one in seen])
        losses = [one.losses.get((name, tail, level)) for one in seen]
        judged.append(count_exceedances(name, tail, level, pits, excesses, rng, losses))
    return judged_together(judged)


def judge_functionals(
    observations: Sequence[Observation], untestable: Mapping[str, str]
) -> list[FunctionalCalibration]:
    """Test and label every functional; p-values are adjusted over those that can be tested."""
    pits = {name: np.array([one.pits[name] for one in observations]) for name in observations[0].pits}
    tests = {name: uniformity(u) for name, u in pits.items()}
    q = benjamini_hochberg({name: test.p for name, test in tests.items()})
    judged = []
    for one in FUNCTIONALS:
        if one.id in tests:
            crps = float(np.mean([seen.crps[one.id] for seen in observations]))
            judged.append(judge_functional(one.id, one.title, pits[one.id], tests[one.id], q[one.id], crps))
        else:
            why = untestable.get(one.id, "not asked for")
            judged.append(FunctionalCalibration(one.id, one.title, "UNTESTABLE", why))
    return judged


def judge_functional(
    functional: str, title: str, pits: Floats, test: Uniformity, q: float, crps: float
) -> FunctionalCalibration:
    """Label one functional by its adjusted p-value and the size of what is wrong."""
    covered = central_coverage(pits)
    share = next(one.share for one in covered if one.level == JUDGED_LEVEL)
    label, reason = label_of(len(pits), q, test.mean.mean, share)
    low, high = histogram_band(len(pits))
    return FunctionalCalibration(
        functional=functional,
        title=title,
        label=label,
        reason=reason,
        pits=pits.tolist(),
        mean=0.5 + test.mean.mean,
        mean_low=0.5 + test.mean.mean - test.mean.half_width,
        mean_high=0.5 + test.mean.mean + test.mean.half_width,
        spread=0.25 + test.spread.mean,
        p=test.p,
        q=q,
        p_ks=test.p_ks,
        p_moments=test.p_moments,
        p_dependence=test.p_dependence,
        coverage=covered,
        histogram=Histogram(histogram(pits), low, high),
        crps=crps,
    )


def label_of(origins: int, q: float, off: float, covered: float) -> tuple[Label, str]:
    """Return the label of a functional and its reason.

    Args:
        origins: how many were seen.
        q: adjusted p-value.
        off: mean PIT less 1/2.
        covered: share of the origins inside the 90 % band.
    """
    found = f"PIT mean {0.5 + off:.2f}, {covered:.0%} inside the 90 % band, q = {q:.2g}"
    if origins < FEWEST_JUDGED:
        return "INCONCLUSIVE", f"{found}; {origins} origins, {FEWEST_JUDGED} are needed to judge"
    low, high = FAIL_COVERAGE
    if q < FAIL_Q and (abs(off) >= FAIL_MEAN or not low <= covered <= high):
        return "FAIL", found
    return ("WARN" if q < WARN_Q else "PASS"), found


def contamination(trained_until: str | None, futures: Sequence[str]) -> Contamination:
    """Compare the end of the training data with the first bar of every future.

    Args:
        trained_until: ISO date; "" where the model does not record it, None where nothing was trained.
        futures: ISO stamps of each future's first bar.
    """
    if trained_until is None:
        return Contamination("PASS", "fitted to nothing later than each context", None, 0)
    if trained_until == "":
        return Contamination("UNTESTABLE", "the model does not record the dates of its training data", "", 0)
    seen = sum(stamp[:10] <= trained_until for stamp in futures)
    if seen == 0:
        return Contamination(
            "PASS", f"all futures are later than the training data ({trained_until})", trained_until, 0
        )
    reason = (
        f"{seen} of {len(futures)} futures lie before {trained_until}, where the model's training data end: they may "
        "flatter it"
    )
    return Contamination("WARN", reason, trained_until, seen)


def calibration_findings(scenario: str, calibration: Calibration) -> list[Finding]:
    """Return the verdicts on a calibrated generator, and whether its training data know the futures it forecast.

    Not of stylized facts by origin, which have findings of their own.
    """
    ours = calibration.generator
    return [
        CALIBRATION.finding(
            label=ours.label,
            measured=_calibration_told(calibration),
            scenario=scenario,
            offenders=[judged.functional for judged in ours.functionals if judged.label in ("FAIL", "WARN")],
        ),
        VALUE_AT_RISK.finding(
            label=ours.value_at_risk,
            measured=_tails_told(ours),
            scenario=scenario,
            offenders=[judged.title for judged in ours.exceedances if judged.label in ("FAIL", "WARN")],
        ),
        OVERLAP.finding(
            part="calibration",
            label=ours.contamination.label,
            measured=ours.contamination.reason,
            band="futures that are later than the model's training data",
            scenario=scenario,
        ),
    ]


def label_findings(ours: GeneratorCalibration) -> list[Finding]:
    """Return the two labels of a calibration with their reasons, as the commands beside ``run`` tell them."""
    return [
        CALIBRATION.finding(ours.label, ours.reason),
        VALUE_AT_RISK.finding(ours.value_at_risk, ours.value_at_risk_reason),
    ]


def _calibration_told(calibration: Calibration) -> str:
    ours = calibration.generator
    tested = [one for one in ours.functionals if one.label != "UNTESTABLE"]
    alike = sum(one.label == ours.label for one in tested)
    count = f"{alike} of {len(tested)} numbers of a path {ours.label}"
    mended = f"; what may mend it: {MENDED_BY}" if ours.label == "FAIL" and not calibration.raw else ""
    return f"{count} over {len(calibration.origins)} forecasts of {calibration.horizon} bars; {ours.reason}{mended}"


def _tails_told(ours: GeneratorCalibration) -> str:
    alike = sum(one.label == ours.value_at_risk for one in ours.exceedances)
    count = f"{alike} of {len(ours.exceedances)} tests {ours.value_at_risk}"
    more = "; checks: calibration: {one_step: 1000} makes enough, and takes longer"
    return f"{count}; {ours.value_at_risk_reason}{more if ours.value_at_risk == 'INCONCLUSIVE' else ''}"


def uncalibrated_finding(scenario: str, reason: str) -> Finding:
    """Return the finding on a generator that this history cannot calibrate."""
    band = "a history with room for 30 forecasts"
    return CALIBRATION.finding("UNTESTABLE", reason, band=band, scenario=scenario)


def overlap_finding(scenario: str, end: str, last: str | None) -> Finding:
    """Say whether a context that ends on a date ends before the model's training data do.

    Args:
        scenario: its name.
        end: ISO date of the context's last bar.
        last: of the training data; "" where it is not recorded, None where nothing was trained.
    """
    label: Label
    if last is None:
        label, measured = "PASS", "the generator was fitted to the context alone"
    elif last == "":
        label, measured = "UNTESTABLE", "the checkpoint does not record the dates of its training data"
    elif end <= last:
        label, measured = "WARN", f"the context ends on {end}, the model's training data on {last}"
    else:
        label, measured = "PASS", f"the context ends on {end}, after the model's training data ({last})"
    return OVERLAP.finding(label=label, measured=measured, scenario=scenario)
