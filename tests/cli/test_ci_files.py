"""The workflow that other repositories call, and what README tells of CI: their commands exist, with every option."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "scenario.yml"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = README.partition("### In CI\n")[2].partition("\n## ")[0]


def loaded(text: str) -> dict[Any, Any]:
    """Return YAML of a workflow, whose key ``on`` is the word for yes in YAML 1.1."""
    values: dict[Any, Any] = yaml.safe_load(text)
    return {"on" if key is True else key: value for key, value in values.items()}


FLOW = loaded(WORKFLOW.read_text(encoding="utf-8"))
INPUTS = FLOW["on"]["workflow_call"]["inputs"]
(JOB,) = FLOW["jobs"].values()
SCRIPTS = {step["name"]: step["run"] for step in JOB["steps"] if "run" in step}
BLOCKS = [loaded(text) for text in re.findall(r"```yaml\n(.*?)```", CI, re.DOTALL)]


def commands() -> Iterator[list[str]]:
    """Yield the words of every command of ours in the workflow and in README's section."""
    gitlab = [line for block in BLOCKS for job in block.values() if "script" in job for line in job["script"]]
    prose = re.findall(r"`(scenario-gen [^`]+)`", CI)
    for script in (*SCRIPTS.values(), *gitlab, *prose):
        for line in script.splitlines():
            words = shlex.split(re.sub(r"\$\{\w+:\+(.*?)\}", r"\1", line))  # ${PATHS:+...} as if given
            if words[:1] == ["scenario-gen"]:
                yield words[1:]


def test_every_command_has_its_options(invoke: Callable[..., Any]) -> None:
    asked = list(commands())
    assert {words[0] for words in asked} == {"--version", "validate", "run", "clean", "diff"}
    for words in asked:
        if not words[0].startswith("--"):
            told = invoke(words[0], "--help")
            assert told.exit_code == 0
            missing = [word for word in words if word.startswith("--") and word not in told.stdout]
            assert missing == [], words


def test_inputs_are_all_used_and_used_ones_are_declared() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", WORKFLOW.read_text(encoding="utf-8")))
    assert used == {*INPUTS}
    assert [name for name, about in INPUTS.items() if "default" not in about] == ["spec", "package"]
    assert all(about["description"] and about["type"] == "string" for about in INPUTS.values())


def test_no_input_is_a_part_of_a_shells_text() -> None:
    """A spec named ``"; curl ..."`` would run what it says if its name were pasted into the script."""
    assert [name for name, script in SCRIPTS.items() if "${{" in script] == []
    assert FLOW["permissions"] == {"contents": "read"}


def test_the_callers_example_gives_every_input_that_has_no_default() -> None:
    (call,) = [job for block in BLOCKS for job in block.get("jobs", {}).values()]
    assert call["uses"].partition("@")[0].endswith(WORKFLOW.relative_to(ROOT).as_posix())
    assert {"spec", "package"} <= {*call["with"]} <= {*INPUTS}


def test_what_is_kept_is_what_the_run_wrote() -> None:
    kept = JOB["steps"][-1]
    assert kept["with"]["path"].split() == [JOB["env"]["FOLDER"], JOB["env"]["JUNIT"]]
    assert "!cancelled()" in kept["if"]
    (gitlab,) = [block["scenario"] for block in BLOCKS if "scenario" in block]
    script = " ".join(gitlab["script"])
    assert f"--folder {gitlab['artifacts']['paths'][0]} " in script
    assert f"--junit {gitlab['artifacts']['reports']['junit']}" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="the workflow's shell is bash")
def test_the_scripts_are_scripts_and_the_summary_names_what_failed(tmp_path: Path) -> None:
    for script in SCRIPTS.values():
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    from scenario_gen.finding import LIMITS
    from scenario_gen.report.junit import junit_xml

    breached = LIMITS.finding("FAIL", "31%", part="max_drawdown", scenario="base", strategy="Cross")
    (tmp_path / "junit.xml").write_bytes(junit_xml("nightly", [breached]))
    places = {"JUNIT": str(tmp_path / "junit.xml"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    script = SCRIPTS["Tell what failed"].replace("python -", f"{shlex.quote(sys.executable)} -")
    subprocess.run(["bash", "-e"], input=script, text=True, check=True, env=places)
    assert (tmp_path / "summary.md").read_text() == (
        "### nightly: 1 of 1 findings fail\n\n    nightly.base.limits: limits: max_drawdown (Cross): 31%\n"
    )
