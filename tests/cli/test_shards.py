"""``scenario-gen run --shard`` and ``scenario-gen merge``: parts make up the run, and nothing else passes for one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.files import locked
from scenario_gen.pipeline import open_study
from scenario_gen.pipeline.blocks.shards import Shard, dealt
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import load_spec
from scenario_gen.store.folder import RunFolder

RULE = """
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Rule:
    def weights(self, bars):
        return (bars.close > bars.close.rolling(5).mean()) * float((Path(__file__).parent / "lever.txt").read_text())
"""
SPEC = """
name: parts
data: {source: sp500, end: 2016-03-31}
bars: {context: 40, horizon: 8}
paths: {count: 70, seed: 3, block: 16, keep: paths}
generator: {kind: bootstrap}
checks: {facts: false, calibration: false}
scenarios:
  - {name: base}
  - {name: gap, shocks: [{kind: gap, bar: 3, size: -0.1}]}
  - {name: calm, bars: {horizon: 5}}
baselines: [gbm]
strategies: [{use: rule.py:Rule}]
report: {folder: FOLDER}
"""
PAST = ("created", "command", "seconds")  # of a run, which no two runs share


def command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "rule.py").write_text(RULE)
    (folder / "lever.txt").write_text("0.5")
    (folder / "parts.yaml").write_text(SPEC.replace("FOLDER", str(folder / "out")))
    return folder / "parts.yaml"


@pytest.fixture(scope="module")
def whole(spec: Path) -> Path:
    folder = spec.parent / "whole"
    assert command("run", spec, "--folder", folder, "-q").exit_code == 0
    return folder


@pytest.fixture(scope="module")
def made(spec: Path) -> tuple[Path, list[str]]:
    """Three shards below one folder, and what each said."""
    told = []
    for number in (3, 1, 2):  # in any order
        result = command("run", spec, "--shard", f"{number}/3", "--folder", spec.parent / "made")
        assert result.exit_code == 0, result.output
        told.append(result.stdout)
    return spec.parent / "made", told


@pytest.fixture
def parts(made: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """The same, of this test alone."""
    return Path(shutil.copytree(made[0], tmp_path / "made"))


def shard(parts: Path, number: int) -> Path:
    return parts / "shards" / f"{number}-of-3"


def content(folder: Path) -> dict[str, Any]:
    """Everything that two runs of one spec share: run.json, page, tables and kept paths, to the bit."""
    run = json.loads((folder / "run.json").read_text())
    page = (folder / "index.html").read_text(encoding="utf-8")
    for part in (run["created"], run["command"]):
        page = page.replace(part, "")
    page = re.sub(r"<dt>Seconds</dt><dd>[^<]*</dd>", "", page)
    tables = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*.parquet")}
    kept = {path.name: path.read_bytes() for path in (folder / "paths").glob("*.parquet")}
    return {"run": {key: value for key, value in run.items() if key not in PAST}, "page": page, **tables, **kept}


def test_three_shards_put_together_are_one_run_to_the_bit(
    whole: Path, made: tuple[Path, list[str]], parts: Path
) -> None:
    place, told = made
    # 5 blocks each of base, calm and gbm are dealt round; what shocks base goes with it
    assert "shard 3 of 3: 6 blocks (base: 2; calm: 0, 3; gbm: 1, 4; gap: 2), no report yet" in told[0]
    assert f"when all shards are done: scenario-gen merge {place}" in told[0]
    assert not (parts / "run.json").exists()
    result = command("merge", parts)
    assert result.exit_code == 0
    assert "20 blocks of 3 shards put together" in result.stderr
    assert f"report: {parts / 'index.html'}" in result.stdout
    assert content(parts) == content(whole)
    assert json.loads((parts / "run.json").read_text())["command"] == f"scenario-gen merge {parts}"
    for path in (shard(parts, 1) / "blocks").rglob("*.npz"):  # none was computed a second time
        assert path.samefile(parts / "blocks" / path.relative_to(shard(parts, 1) / "blocks"))


def test_shards_of_folders_of_their_own_go_where_the_spec_says_and_missing_ones_are_computed_if_asked(
    whole: Path, parts: Path, spec: Path
) -> None:
    for number in (1, 3):
        shard(parts, number).rename(parts.parent / f"part{number}")
    folders = [parts.parent / "part3", parts.parent / "part1"]
    (folders[1] / "blocks" / "calm" / "000001" / "done.json").unlink()  # as a kill leaves it
    refused = command("merge", *folders)
    assert refused.exit_code == 2
    assert (
        "the shards do not make up the run: shard 2 of 3; shard 1 of 3: block 1 of calm, never fini" in refused.stderr
    )
    assert f"scenario-gen run {spec} --shard NUMBER/3 --folder" in refused.stderr
    assert not (spec.parent / "out").exists()
    result = command("merge", *folders, "--compute-missing", "-q")
    assert result.exit_code == 0, result.output
    assert "computed here: shard 2 of 3" in result.stderr
    assert content(spec.parent / "out") == content(whole)


def test_a_shard_counts_its_own_blocks_alone(spec: Path, tmp_path: Path) -> None:
    told = command("run", spec, "--shard", "1/3", "--folder", tmp_path / "run").stderr
    # of base blocks 0 and 3, of calm 1 and 4, of gbm 2: four of 16 paths and one of 6
    assert "3 scenarios: sampling 70 paths" in told
    assert "gap: backtesting: 2 of 2" in told


def test_a_shard_that_was_killed_goes_on(parts: Path, spec: Path) -> None:
    lost = shard(parts, 2) / "blocks" / "base" / "000001"
    kept = shard(parts, 2) / "blocks" / "base" / "000004" / "arrays.npz"
    before = kept.stat().st_mtime_ns
    shutil.rmtree(lost)
    assert command("run", spec, "--shard", "2/3", "--folder", parts, "-q").exit_code == 0
    assert (lost / "done.json").exists()
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["9/8", "0/8", "a/b", "2", "1/0", "-1/2", "1/8/2", "1/999999"])
def test_a_shard_that_there_is_none_of_is_refused(text: str, spec: Path) -> None:
    result = command("run", spec, f"--shard={text}")
    assert result.exit_code == 2
    assert f"got the shard '{text}'" in result.stderr
    assert "expected: NUMBER/COUNT, such as 2/8" in result.stderr


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def another_run(parts: Path) -> list[Path]:
    edit(shard(parts, 2) / "identity.json", data="f" * 64, spec="e" * 64)
    return [parts]


def another_split(parts: Path) -> list[Path]:
    edit(shard(parts, 2) / "shard.json", of=4)
    return [parts]


def twice(parts: Path) -> list[Path]:
    shutil.copytree(shard(parts, 2), parts.parent / "copy")
    return [parts, parts.parent / "copy"]


def edited_block(parts: Path) -> list[Path]:
    path = shard(parts, 3) / "blocks" / "base" / "000002" / "metrics.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])
    return [parts]


def swapped_blocks(parts: Path) -> list[Path]:
    calm = shard(parts, 3) / "blocks" / "calm"
    shutil.rmtree(calm / "000003")
    shutil.copytree(calm / "000000", calm / "000003")
    return [parts]


def edited_note(parts: Path) -> list[Path]:
    edit(shard(parts, 3) / "shard.json", due={"base": "all"})
    return [parts]


def changed_spec(parts: Path) -> list[Path]:
    spec = Path(json.loads((shard(parts, 1) / "shard.json").read_text())["spec"])
    (parts.parent / "rule.py").write_text(RULE)
    (parts.parent / "changed.yaml").write_text(spec.read_text().replace("seed: 3", "seed: 4"))
    return [parts, Path("--spec"), parts.parent / "changed.yaml"]


def lost_spec(parts: Path) -> list[Path]:
    for number in (1, 2, 3):
        edit(shard(parts, number) / "shard.json", spec="/nowhere/parts.yaml")
    return [parts]


def changed_rule(parts: Path) -> list[Path]:
    spec = Path(json.loads((shard(parts, 1) / "shard.json").read_text())["spec"])
    (parts.parent / "rule.py").write_text(RULE.replace("rolling(5)", "rolling(6)"))
    (parts.parent / "lever.txt").write_text("0.5")
    (parts.parent / "same.yaml").write_text(spec.read_text())
    return [parts, Path("--spec"), parts.parent / "same.yaml"]


def foreign_folder(parts: Path) -> list[Path]:
    (parts.parent / "theirs").mkdir()
    (parts.parent / "theirs" / "run.json").write_text("{}")
    return [parts, Path("--folder"), parts.parent / "theirs"]


BAD: dict[str, tuple[Callable[[Path], list[Path]], str]] = {
    "no folder": (lambda parts: [parts / "nothing"], "made/nothing is no folder"),
    "a folder without shards": (lambda parts: [parts / "shards"], "holds no shard: there is no shards/*/shard.json"),
    "another run": (another_run, "are shards of two runs; they differ in data (283da1efdbd7, ffffffffffff), spec ("),
    "another split": (another_split, "is shard 1 of 3, and "),
    "a shard twice": (twice, "shard 2 of 3 is there twice: "),
    "an edited block": (edited_block, "block 2 of base, whose metrics.parquet is not what was written"),
    "a block in another's place": (swapped_blocks, "block 3 of calm, whose done.json is not what was written"),
    "an edited note": (edited_note, "shards/3-of-3/shard.json is not what a shard writes"),
    "a changed spec": (changed_spec, "changed.yaml is not what shard 1 of 3 in "),
    "a lost spec": (lost_spec, "/nowhere/parts.yaml: no such file"),
    "a changed strategy": (changed_rule, "holds another run; it differs in strategies ("),
    "a folder of somebody else": (foreign_folder, "theirs already holds run.json, but no identity.json"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_does_not_make_up_one_run_is_refused_in_words(bad: str, parts: Path) -> None:
    spoil, words = BAD[bad]
    result = command("merge", *spoil(parts))
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "to do:" in result.stderr
    assert not (parts / "run.json").exists()


def test_a_whole_run_is_no_shard(whole: Path) -> None:
    result = command("merge", whole)
    assert result.exit_code == 2
    assert "whole is a run of its own, and holds no shard" in result.stderr


def test_a_shard_that_is_at_work_is_not_put_together_and_not_run_twice(parts: Path, spec: Path) -> None:
    with locked(shard(parts, 2), "a run", "choose another folder"):
        for words in (("merge", parts), ("run", spec, "--shard", "2/3", "--folder", parts)):
            result = command(*words)
            assert result.exit_code == 2
            assert f"{shard(parts, 2)} is in use" in result.stderr
        assert command("run", spec, "--shard", "1/3", "--folder", parts, "-q").exit_code == 0  # beside it


def test_more_shards_than_blocks_leave_some_without_work_that_nobody_misses(spec: Path, tmp_path: Path) -> None:
    few = ("--paths", "16", "--folder", tmp_path / "few")
    for number in (1, 2, 3):  # a block each of base, calm and gbm
        assert command("run", spec, "--shard", f"{number}/5", *few, "-q").exit_code == 0
    result = command("run", spec, "--shard", "5/5", *few)
    assert "shard 5 of 5: 0 blocks, no report yet" in result.stdout
    assert command("merge", tmp_path / "few", "-q").exit_code == 0
    run = RunFolder(tmp_path / "few").read_run()
    assert [scenario.paths for scenario in run.scenarios] == [16, 16, 16, 16]


def test_views_and_events_are_left_to_the_merge_and_every_other_block_is_dealt_once(tmp_path: Path) -> None:
    text = SPEC.replace("FOLDER", str(tmp_path / "out")).replace(
        "  - {name: calm",
        "  - {name: rare, event: {functional: max_drawdown, at_least: 0.2}}\n"
        "  - {name: bearish, reweight: base, views: [{mean: terminal_return, equals: -0.01}]}\n  - {name: calm",
    )
    (tmp_path / "rule.py").write_text(RULE)
    (tmp_path / "lever.txt").write_text("1")
    (tmp_path / "spec.yaml").write_text(text)
    store = RunFolder(tmp_path / "out")
    loaded = load_spec(tmp_path / "spec.yaml")
    study = open_study(loaded, store, SilentProgress(), device=None, paths=None, overwrite=False)
    assert [*dict(dealt(study.grounds))] == ["base", "calm", "gbm"]
    due = [Shard(number, 4).due(study.grounds) for number in range(1, 5)]
    assert {name for part in due for name in part} == {"base", "gap", "calm", "gbm"}
    for name in ("base", "gap", "calm", "gbm"):
        assert sorted(index for part in due for index in part.get(name, [])) == [0, 1, 2, 3, 4]
    assert all(part.get("gap") == part.get("base") for part in due)
