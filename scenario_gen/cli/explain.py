"""``scenario-gen explain``: what a finding means, how it is computed, how often it errs, and what to do about it.

Goes through the registries: checks, groups of facts, facts, scores, limits and rules of candles. Words of checks stand
in ``explained/words.yaml``, measured rates in ``explained/rates.json``, which is what BENCHMARKS.md prints.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from scenario_gen.cli.manners import Argument, AsJson, say, say_json
from scenario_gen.errors import ScenarioError
from scenario_gen.finding import (
    CANDLES,
    CHECKS,
    EXIT_CODES,
    FACTS,
    FACTS_BY_ORIGIN,
    GROUPS,
    LIMITS,
    SEVERITY,
    Check,
    Gate,
    Group,
)
from scenario_gen.reading.words import near

Kind = Literal["check", "group of facts", "fact", "score", "limit", "candle rule"]
WIDTH = 100
LEAVING: Mapping[Gate, str] = {
    "limit": "run and backtest",
    "strategy": "run and backtest",
    "generator": "check and calibrate",
}
COUNTS = "worlds with the verdict, of those asked, and the 95 % interval; of two, FAIL; FAIL or WARN (BENCHMARKS.md)"
EVERY = f"not alone, but the check that it is a part of: {COUNTS}"
ON_REAL = "held-out windows of real markets, 60 splits of each of two indices"


@dataclass(frozen=True)
class Rate:
    """How often a verdict was raised in made worlds, where all was right and where one thing was wrong."""

    verdict: str
    right: dict[str, str]  # counts with their 95 % interval, by truth: stationary and drifting
    wrong: list[dict[str, str]]  # what was planted, and the counts of worlds in which it was noticed


@dataclass(frozen=True)
class Explanation:
    """What is to be known of a finding or a part of one."""

    name: str  # as findings have it
    kind: Kind
    check: str  # whose part it is; a check's own name
    means: str
    how: str
    held_against: str
    exit_code: str  # of the commands in which it fails; "" where a FAIL changes no exit code
    then: dict[str, str]  # what to do, by label
    false_alarms: list[Rate]  # as BENCHMARKS.md has them
    on_real_markets: str = ""  # how often real windows that were held out got it, in percent of splits
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Explanations:
    """What is to be known of findings."""

    explanations: list[Explanation]  # several where a name is that of several kinds; all there are without a name


def explain(
    finding: Annotated[
        str | None, Argument(metavar="[FINDING]", help="A check, a group of facts, a fact, a limit or a rule.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a finding means, how it is computed, how often it is wrong, and what to do about each label.

    Takes the names of findings as the report, run.json and the terminal have them. Without a name: all there are.

    For example:

      scenario-gen explain

      scenario-gen explain tails

      scenario-gen explain max_drawdown --json
    """
    if finding is None:
        known = [*explanations()]
        say_json(Explanations(known)) if as_json else say(_overview(known))
        return
    asked = named(finding)
    if as_json:
        say_json(Explanations(asked))
        return
    say("\n\n".join("\n".join(_lines(each)) for each in asked))


def named(name: str) -> list[Explanation]:
    """Return every explanation that goes by a name, which may be that of a whole finding: "limits: max_drawdown".

    Raises:
        ScenarioError: there is none; the nearest name is told.
    """
    known = [*explanations()]
    wanted = name.strip().casefold()
    asked = [each for each in known if each.name.casefold() == wanted]
    if not asked:  # a part behind its check: "facts.tails", "training overlap: calibration"
        check, _, part = wanted.replace(": ", ".").partition(".")
        asked = [each for each in known if part in (each.name.casefold(), "") and each.check.casefold() == check]
        asked = asked or [each for each in known if each.kind == "check" and part and each.name.casefold() == check]
    if not asked:
        close = near(name, [each.name for each in known], most=3)
        raise ScenarioError(
            f"nothing that is judged is called {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            expected=f"one of {', '.join(close)}" if close else "the name of a check, fact, limit or candle rule",
            fix="scenario-gen explain, without a name, lists all",
        )
    return asked


def explanations() -> Iterator[Explanation]:
    """Yield an explanation of every entry of the registries."""
    from scenario_gen.backtest.limits import KNOWN_LIMITS
    from scenario_gen.candles.rules import RULES
    from scenario_gen.realism.facts import FACT
    from scenario_gen.realism.scores import SCORES

    yield from (_of_check(check) for check in CHECKS)
    yield from (_of_group(group) for group in GROUPS)
    for fact in FACT.values():
        needs = f" Needs {' and '.join(sorted(fact.needs))}." if fact.needs else ""
        kind = "one value a path, compared as a distribution" if fact.kind == "P" else "a ratio pooled over paths"
        how = f"{fact.title[:1].upper()}{fact.title[1:]}: {kind}, of paths of {fact.min_bars} bars or more.{needs}"
        how += f" Source: {fact.source}." if fact.source else ""
        how += f" The broken paths that it must catch: {fact.control}." if fact.control else ""
        real = rates()["facts"].get(fact.id, "")
        told = f"p < .05, uncorrected, in {real} of {ON_REAL}" if real else ""
        means = f"{fact.title}, one of the facts of group {fact.group!r}" + ("." if fact.gate else "; shown only.")
        yield _part(fact.id, "fact", FACTS, means, how, group=fact.group, real=told)
    for score in SCORES:
        group = f"of group {score.group.key!r}" if score.group else "shown and never judged"
        side = "A low score is the bad one." if score.low else "A high score is the bad one."
        how = "Judged by itself." if score.whole else f"Beside real windows held against real windows. {side}"
        yield _part(
            score.id,
            "score",
            FACTS,
            f"{score.title}; a score of the ensemble, {group}.",
            how,
            group=score.group.key if score.group else "",
        )
    for limit in KNOWN_LIMITS:
        means = f"{limit.title}: {limit.description}."
        allowed = "the declared level" if limit.allowed is None else f"{limit.allowed:.0%} of the paths"
        how = f"A {limit.unit}, which must be {limit.side} {allowed}; {_words_of(LIMITS)['how']}"
        yield _part(limit.key, "limit", LIMITS, means, how, verdict=f"limit {limit.key}")
    for rule in RULES:
        means = f"{rule.title[:1].upper()}{rule.title[1:]}."
        how = f"A {rule.kind}; what is done about a bar that breaks it: {rule.action}."
        how += f" Judged where {rule.needs} is known." if rule.needs else ""
        yield _part(rule.id, "candle rule", CANDLES, means, how)


def _of_check(check: Check) -> Explanation:
    words = _words_of(check)
    return Explanation(
        check.key,
        "check",
        check.key,
        words["means"],
        words["how"],
        check.band,
        f"{EXIT_CODES[check.gate]} where it fails, of {_leaving(check.key, check.gate)}" if check.gate else "",
        _in_order(words["then"]),
        [rate for of, rate in _measured() if of == check.key],
    )


def _leaving(key: str, gate: Gate) -> str:
    """Return the commands whose exit code a check moves."""
    return "live --check" if key.startswith("live_") else LEAVING[gate]


def _of_group(group: Group) -> Explanation:
    from scenario_gen.realism.facts import FACT
    from scenario_gen.realism.scores import SCORE_GROUPS

    parts = [fact.id for fact in FACT.values() if fact.group == group.key] + [*SCORE_GROUPS.get(group.key, ())]
    means = f"{group.title}: facts or scores of one phenomenon, with the label of the worst of them."
    means += (
        " Its FAIL makes falls look milder than they are, so it holds a PASS of a limit down."
        if group.misleading is not None
        else " Its FAIL holds no limit down."
    )
    real = rates()["groups"].get(group.key, "")
    told = f"{real} in {ON_REAL}" if real else ""
    whole = _of_check(FACTS)
    return Explanation(
        group.key, "group of facts", FACTS.key, means, whole.how, whole.held_against, whole.exit_code, whole.then,
        _of_facts(group.key), told, parts,
    )  # fmt: skip


def _of_facts(group: str) -> list[Rate]:
    """Return the rates of the scores of a group, or of all facts, which are judged together."""
    judged = (FACTS.key, FACTS_BY_ORIGIN.key)
    scores = [rate for _, rate in _measured() if rate.verdict.startswith(f"{group} scores")]
    return scores or [rate for of, rate in _measured() if of in judged and rate.verdict.startswith("facts")]


def _part(
    name: str, kind: Kind, check: Check, means: str, how: str, *, verdict: str = "", group: str = "", real: str = ""
) -> Explanation:
    """Explain a part of a check: what to do about it is what to do about the check."""
    whole = _of_check(check)
    own = _of_facts(group) if check is FACTS else [rate for _, rate in _measured() if rate.verdict == verdict]
    return Explanation(
        name, kind, check.key, means, how, whole.held_against, whole.exit_code, whole.then,
        own or whole.false_alarms, real,
    )  # fmt: skip


@cache
def rates() -> Mapping[str, Any]:
    """Return the measured rates of the package: of verdicts, and of facts and their groups on real windows."""
    kept: Mapping[str, Any] = json.loads(_kept("rates.json"))
    return kept


@cache
def words() -> Mapping[str, Any]:
    """Return the words of every check."""
    import yaml

    written: Mapping[str, Any] = yaml.safe_load(_kept("words.yaml"))
    return written


def _kept(name: str) -> str:
    return files("scenario_gen.cli").joinpath("explained", name).read_text(encoding="utf-8")


def _words_of(check: Check) -> Mapping[str, Any]:
    unexplained = {"means": f"{check.key}: no words are kept of it.", "how": "", "then": {}}
    return {**unexplained, **words().get(check.key, {})}


def _in_order(then: Mapping[str, str]) -> dict[str, str]:
    return {label: then[label] for label in reversed(SEVERITY) if label in then}


@cache
def _measured() -> Sequence[tuple[str | None, Rate]]:
    return [
        (rate["check"], Rate(verdict, rate["right"], rate["wrong"])) for verdict, rate in rates()["verdicts"].items()
    ]


# --- What the terminal shows ---


def _overview(known: Sequence[Explanation]) -> str:
    width = max(len(each.name) for each in known)
    lines, kind = [], ""
    for each in known:
        if each.kind != kind:
            lines += ["", f"{each.kind}:"]
            kind = each.kind
        lines.append(f"  {each.name:<{width}}  {textwrap.shorten(each.means, WIDTH - width, placeholder=' ...')}")
    return "\n".join([*lines[1:], "", "scenario-gen explain NAME says all of it"])


def _lines(each: Explanation) -> Iterator[str]:
    of = "" if each.check == each.name else f", part of {each.check!r}"
    yield f"{each.name} ({each.kind}{of})"
    yield from _told("means", each.means)
    yield from _told("how", each.how)
    yield from _told("held to", each.held_against or "see the finding itself")
    yield from _told("parts", ", ".join(each.parts))
    yield from _told("exit code", each.exit_code)
    for label, advice in each.then.items():
        yield from _told(label, advice)
    yield from _told("real data", each.on_real_markets)
    shared = each.check != each.name and any(each.name not in rate.verdict for rate in each.false_alarms)
    yield from _told("measured", EVERY if shared else COUNTS)
    for rate in each.false_alarms:
        yield f"    {rate.verdict}"
        yield f"      nothing wrong: {rate.right['stationary']}; where volatility drifts: {rate.right['drifting']}"
        for wrong in rate.wrong:
            yield f"      {wrong['planted']}: {wrong['stationary']}; where it drifts: {wrong['drifting']}"


def _told(title: str, text: str) -> Iterator[str]:
    if text:
        head = f"  {title + ':':<14}"
        yield from textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
