import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "vectorbt", "pandas", "matplotlib", "arch", "pyarrow", "scipy", "exchange_calendars", "numpy")

PROBE = f"""
import sys
from scenario_gen.cli import main
sys.argv = ["scenario-gen", "validate", "scenarios/quickstart.yaml"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print("HEAVY", [name for name in {HEAVY!r} if name in sys.modules])
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_validate_imports_nothing_heavy() -> None:
    result = python("-c", PROBE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "scenarios/quickstart.yaml: valid (quickstart)"
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_a_wrong_spec_leaves_the_process_with_2_and_nothing_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nname: y\n")
    result = python("-c", "from scenario_gen.cli import main; main()", "validate", str(tmp_path / "bad.yaml"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "bad.yaml:2: column 1: key 'name' is there twice (first on line 1)" in result.stderr
    assert "Traceback" not in result.stderr


def test_python_runs_the_package_as_the_command() -> None:
    result = python("-m", "scenario_gen", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("scenario-gen ")
