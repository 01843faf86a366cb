"""Findings as JUnit XML, which CI systems show test by test: one case per finding, one suite per scenario.

FAIL is a failure, whose type is the gate that it fails: limit, strategy or generator (``finding`` where it is none's).
INCONCLUSIVE and UNTESTABLE are skipped, with the reason: nobody said PASS. WARN passes and says why on ``system-out``.

There is no standard but what readers agree on; elements and attributes are those of the schema that Jenkins publishes
(jenkinsci/xunit-plugin, types/model/xsd/junit-10.xsd), in its order. Does not know where findings come from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from scenario_gen.errors import printable
from scenario_gen.files import write_bytes
from scenario_gen.finding import Finding, Label
from scenario_gen.store.reports import AnyReport, BacktestReport
from scenario_gen.store.results import StressRun

SKIPPED: tuple[Label, ...] = ("INCONCLUSIVE", "UNTESTABLE")
EVERYWHERE = "all scenarios"  # the suite of findings that are about none
TABOO = re.compile("[\ufffe\uffff]")  # what XML 1.0 cannot hold, beside what no terminal should
STAMP = "%Y-%m-%dT%H:%M:%S"


def junit_of_run(run: StressRun) -> bytes:
    """Return the findings of a run as JUnit XML."""
    stamp = datetime.fromisoformat(run.created).strftime(STAMP)
    told = {"command": run.command, "scenario-gen": run.identity.get("code", ""), **run.device}
    return junit_xml(run.name, run.findings, seconds=sum(run.seconds.values()), stamp=stamp, properties=told)


def junit_of_report(name: str, report: AnyReport | StressRun) -> bytes:
    """Return what a command found as JUnit XML: its findings, or the verdict of each group with its reason."""
    if isinstance(report, StressRun):
        return junit_of_run(report)
    if isinstance(report, BacktestReport):
        return junit_xml(name, report.findings)
    groups = report.verdicts.items()
    return junit_xml(name, [Finding(group, label, report.reasons.get(group, ""), "") for group, label in groups])


def write_junit(path: Path, xml: bytes) -> None:
    """Write JUnit XML; folders that are missing are made.

    Raises:
        StoreError: the disk refuses.
    """
    write_bytes(path, xml, "place for --junit")


def junit_xml(
    name: str,
    findings: Sequence[Finding],
    *,
    seconds: float = 0.0,
    stamp: str = "",
    properties: Mapping[str, str] | None = None,
) -> bytes:
    """Return findings as JUnit XML in UTF-8.

    Args:
        name: of the run, or of what was judged.
        findings: in their order.
        seconds: that everything took; findings have none of their own.
        stamp: when, as 2026-01-31T12:00:00; now where it is left out.
        properties: what a reader must know, by name.
    """
    stamp = stamp or datetime.now(UTC).strftime(STAMP)
    root = ElementTree.Element("testsuites", {"name": _legal(name), **_counts(findings), "time": f"{seconds:.3f}"})
    del root.attrib["skipped"]  # the schema has it of a suite alone
    by_scenario: dict[str, list[Finding]] = {}
    for finding in findings:
        by_scenario.setdefault(finding.scenario, []).append(finding)
    for scenario, own in by_scenario.items():
        title = _legal(f"{name}: {scenario or EVERYWHERE}")
        counts = {"name": title, **_counts(own), "time": "0.000", "timestamp": stamp}
        suite = ElementTree.SubElement(root, "testsuite", counts)
        listed = ElementTree.SubElement(suite, "properties")
        for key, value in (properties or {}).items():
            ElementTree.SubElement(listed, "property", {"name": _legal(key), "value": _legal(value)})
        for case, finding in zip(_names(own), own, strict=True):
            suite.append(_case(case, f"{name}.{scenario or EVERYWHERE}.{finding.check.key}", finding))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(findings: Sequence[Finding]) -> dict[str, str]:
    labels = Counter(finding.label for finding in findings)
    skipped = sum(labels[label] for label in SKIPPED)
    return {"tests": f"{len(findings)}", "failures": f"{labels['FAIL']}", "errors": "0", "skipped": f"{skipped}"}


def _names(findings: Sequence[Finding]) -> list[str]:
    """Return a name for each finding of a suite: readers take two cases of one name for the same."""
    names = [f"{finding.name} ({finding.strategy})" if finding.strategy else finding.name for finding in findings]
    seen = Counter[str]()
    unique = []
    for each in names:
        seen[each] += 1
        unique.append(f"{each} #{seen[each]}" if names.count(each) > 1 else each)
    return unique


def _case(name: str, classname: str, finding: Finding) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"name": _legal(name), "classname": _legal(classname), "time": "0.000"})
    message = _legal(finding.measured)
    if finding.label in SKIPPED:
        ElementTree.SubElement(case, "skipped", {"message": f"{finding.label}: {message}"})
    elif finding.label == "FAIL":
        gate = finding.check.gate or "finding"
        failure = ElementTree.SubElement(case, "failure", {"message": message, "type": gate})
        failure.text = _legal(_in_full(finding))
    elif finding.label == "WARN":
        ElementTree.SubElement(case, "system-out").text = f"WARN: {_legal(_in_full(finding))}"
    return case


def _in_full(finding: Finding) -> str:
    """Return what was measured, what was expected, and what broke it."""
    lines = [finding.measured, f"expected: {finding.band}" if finding.band else ""]
    lines.append(f"offenders: {', '.join(finding.offenders)}" if finding.offenders else "")
    return "\n".join(filter(None, lines))


def _legal(text: str) -> str:
    """Return text that XML can hold: its other characters are written out."""
    return TABOO.sub(lambda match: ascii(match[0])[1:-1], printable(text))
