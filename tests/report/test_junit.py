"""Findings as JUnit XML, held against the elements and attributes that Jenkins' schema (junit-10.xsd) allows."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from scenario_gen.errors import StoreError
from scenario_gen.finding import LIMITS, LOOK_AHEAD, Finding, Label
from scenario_gen.report.junit import junit_xml, write_junit

# element: its required attributes, those that it may have, and the elements that it may hold
SCHEMA = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"name"}, {"name", "time", "classname"}, {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
FINDINGS = [
    LIMITS.finding(
        "FAIL", "31.0% [29, 33]", part="max_drawdown", band="at most 20%", scenario="base", strategy="Cross"
    ),
    LIMITS.finding("PASS", "1.0%", part="max_drawdown", scenario="base", strategy="Hold"),
    LIMITS.finding("INCONCLUSIVE", "20.1% [19, 21]", part="var_95", scenario="base", strategy="Hold"),
    LOOK_AHEAD.finding("FAIL", "reads the next bar", scenario="base", strategy="Cross", offenders=["bar 7"]),
    LOOK_AHEAD.finding("UNTESTABLE", "never enters", scenario="hot", strategy="Hold"),
    Finding("drift", "WARN", "4% a year", "2% a year", "hot"),
    Finding("some day", "FAIL", "a check of another version", ""),
]


def breaches(element: ElementTree.Element) -> list[str]:
    """Return what an element and those inside it have that the schema does not allow, or lack."""
    required, allowed, children = SCHEMA[element.tag]
    wrong = [f"{element.tag} lacks {name}" for name in required - {*element.keys()}]
    wrong += [f"{element.tag} has {name}" for name in {*element.keys()} - allowed]
    wrong += [f"{element.tag} holds {child.tag}" for child in element if child.tag not in children]
    return [*wrong, *(told for child in element if child.tag in SCHEMA for told in breaches(child))]


def parsed(findings: list[Finding], name: str = "nightly") -> ElementTree.Element:
    root = ElementTree.fromstring(junit_xml(name, findings, properties={"device": "cpu"}))
    assert breaches(root) == []
    return root


def test_what_the_schema_does_not_allow_would_be_seen() -> None:
    broken = ElementTree.fromstring(
        '<testsuites skipped="1"><testsuite name="a"><testcase><b/></testcase></testsuite></testsuites>'
    )
    assert sorted(breaches(broken)) == [
        "testcase holds b",
        "testcase lacks name",
        "testsuite lacks errors",
        "testsuite lacks failures",
        "testsuite lacks tests",
        "testsuites has skipped",
    ]


def test_every_finding_is_one_case_and_the_counts_add_up() -> None:
    root = parsed(FINDINGS)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("7", "3", "0")
    suites = {suite.get("name"): suite for suite in root}
    assert [*suites] == ["nightly: base", "nightly: hot", "nightly: all scenarios"]
    for suite in suites.values():
        cases = suite.findall("testcase")
        assert suite.get("tests") == str(len(cases))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    assert sum(int(suite.get("tests", "")) for suite in root) == len(FINDINGS)


@pytest.mark.parametrize(
    ("label", "child"),
    [
        ("FAIL", "failure"),
        ("INCONCLUSIVE", "skipped"),
        ("UNTESTABLE", "skipped"),
        ("WARN", "system-out"),
        ("PASS", None),
    ],
)
def test_a_label_becomes_what_ci_systems_know(label: Label, child: str | None) -> None:
    (case,) = parsed([Finding("drift", label, "4% a year", "2% a year")]).iter("testcase")
    assert [element.tag for element in case] == ([] if child is None else [child])
    told = "".join(case.itertext()) + "".join(element.get("message", "") for element in case)
    assert ("4% a year" in told) == (child is not None)


def test_a_breached_limit_and_a_look_ahead_say_which_gate_they_fail() -> None:
    failures = {case.get("name"): case.find("failure") for case in parsed(FINDINGS).iter("testcase")}
    types = {name: failure.get("type") for name, failure in failures.items() if failure is not None}
    assert types == {"limits: max_drawdown (Cross)": "limit", "look_ahead (Cross)": "strategy", "some day": "finding"}
    limit, ahead = failures["limits: max_drawdown (Cross)"], failures["look_ahead (Cross)"]
    assert limit is not None and limit.text == "31.0% [29, 33]\nexpected: at most 20%"
    assert ahead is not None and str(ahead.text).endswith("offenders: bar 7")


def test_two_findings_of_one_name_are_two_cases() -> None:
    names = [case.get("name") for case in parsed([FINDINGS[0], FINDINGS[0], FINDINGS[1]]).iter("testcase")]
    assert names == [
        "limits: max_drawdown (Cross) #1",
        "limits: max_drawdown (Cross) #2",
        "limits: max_drawdown (Hold)",
    ]


def test_no_name_breaks_the_xml() -> None:
    nasty = '<b>&"quoted"\' \x1b[31m \ud800 \uffff ]]> \u202e\x00 ümläut\n'
    root = parsed([Finding(nasty, "FAIL", nasty, nasty, nasty, [nasty], nasty)], nasty)
    (case,) = root.iter("testcase")
    assert '<b>&"quoted"' in str(case.get("name")) and "ümläut" in str(case.get("name"))
    assert "\\x1b[31m" in str(case.get("name")) and "\\uffff" in str(case.get("name"))


def test_nothing_to_tell_is_a_file_too_and_folders_are_made(tmp_path: Path) -> None:
    write_junit(tmp_path / "new" / "junit.xml", junit_xml("empty", []))
    root = ElementTree.parse(tmp_path / "new" / "junit.xml").getroot()
    assert (root.get("tests"), len(root)) == ("0", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_junit(tmp_path / "file" / "junit.xml", b"")
