"""``scenario-gen verify``: an untouched run is proved again to the last bit, and every planted edit is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.files import read_sums, write_sums
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.proof.finished import Finished, prove_files, prove_page, prove_summaries
from scenario_gen.pipeline.proof.steps import open_again, prove
from scenario_gen.progress import SilentProgress
from scenario_gen.store.certificate import ChosenPaths, Proof, canonical
from scenario_gen.store.folder import RunFolder

STRATEGIES = Path(__file__).parents[2] / "strategies"
SPEC = """
name: trial
data: {file: prices.csv, end: 2016-03-31}
bars: {context: 40, horizon: 12}
paths: {count: 20, seed: 3, block: 8, keep: paths}
generator: {kind: kronos, model: tiny, device: cpu}
checks: {facts: false, calibration: false}
broker: {fees: 0.001}
scenarios:
  - {name: base}
  - {name: gap, shocks: [{kind: gap, bar: 4, size: -0.05}]}
baselines: [bootstrap]
strategies:
  - use: buy_and_hold.py:BuyAndHold
  - {use: sma_cross.py:SmaCross, params: {fast: [3, 5], slow: 10}}
account: {target: 0.02, max_loss: 0.05}
limits: {max_drawdown: 0.08, probability_of_loss: 0.5}
"""

EVENTS = """
name: events
data: {source: sp500, end: 2016-06-30}
bars: {context: 64, horizon: 8}
paths: {count: 60, seed: 1, block: 60}
generator: {kind: fhs}
checks: {facts: false, calibration: false}
scenarios:
  - {name: base}
  - {name: bearish, reweight: base, views: [{mean: terminal_return, equals: -0.002}]}
  - name: crash
    event: {functional: max_drawdown, at_least: 0.25}
    sampler: {island: 32, islands: [8, 8], relative_error: 0.9}
  - {name: again, replay: {crisis: lehman}}
strategies: [{use: buy_and_hold.py:BuyAndHold}]
"""
BOOK = """
name: book
assets: [{name: spx, source: sp500}, {name: ndx, source: nasdaq}]
data: {end: 2016-06-30}
bars: {context: 64, horizon: 6}
paths: {count: 16, seed: 1, block: 8}
generator: {kind: fhs}
checks: {facts: false, calibration: false}
strategies: [{use: equal_weight.py:EqualWeight}]
"""


def written(folder: Path, spec: str) -> Path:
    for name in ("buy_and_hold.py", "book/equal_weight.py"):
        shutil.copy(STRATEGIES / name, folder)
    (folder / "spec.yaml").write_text(spec)
    return folder / "spec.yaml"


@dataclass(frozen=True)
class Place:
    """A folder with a spec, everything that it needs, and its finished run; edits go to copies of it."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def copied(self, to: Path) -> Place:
        return Place(Path(shutil.copytree(self.folder, to / "copy")))

    def rewrite(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Edit run.json and renew its sum, as somebody would who wants not to be seen."""
        data = json.loads((self.run / "run.json").read_text())
        edit(data)
        (self.run / "run.json").write_text(json.dumps(data, indent=1) + "\n")
        self.renew()

    def renew(self) -> None:
        write_sums(self.run, read_sums(self.run))

    def alone(self) -> dict[str, Proof]:
        """What the folder shows by itself."""
        finished = Finished.of(self.run)
        return named([*prove_files(finished), *prove_page(finished), *prove_summaries(finished)])

    def identity(self, scratch: Path) -> dict[str, Proof]:
        opened = open_again(Finished.of(self.run), RunFolder(scratch), self.folder, None, SilentProgress())
        assert (opened.study is None) == any(proof.label == "FAIL" for proof in opened.proofs)
        return named(opened.proofs)


def named(proofs: list[Proof]) -> dict[str, Proof]:
    return {proof.step: proof for proof in proofs}


def failing(proofs: dict[str, Proof]) -> list[str]:
    return [step for step, proof in proofs.items() if proof.label == "FAIL"]


def call(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, sp500: Candles, tiny_folder: Path) -> Place:
    folder = tmp_path_factory.mktemp("verified")
    sp500.split_at("2016-05-31")[0].context(400).frame().to_csv(folder / "prices.csv", index_label="date")
    shutil.copytree(tiny_folder, folder / "tiny")
    for name in ("buy_and_hold.py", "sma_cross.py"):
        shutil.copy(STRATEGIES / name, folder)
    (folder / "trial.yaml").write_text(SPEC)
    told = call("run", folder / "trial.yaml", "--folder", folder / "run", "--quiet")
    assert told.exit_code in (0, 3), told.output  # 3: a limit is breached, which is no concern of a proof
    return Place(folder)


@pytest.fixture
def copy(done: Place, tmp_path: Path) -> Place:
    return done.copied(tmp_path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs of Ed25519 keys and what is none."""
    folder = tmp_path_factory.mktemp("keys")
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    plain = serialization.NoEncryption()
    for name in ("mine", "other"):
        key = Ed25519PrivateKey.generate()
        (folder / f"{name}.pem").write_bytes(key.private_bytes(*forms, plain))
        public = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(*public))
    (folder / "curve.pem").write_bytes(generate_private_key(SECP256R1()).private_bytes(*forms, plain))
    secret = serialization.BestAvailableEncryption(b"word")
    (folder / "secret.pem").write_bytes(Ed25519PrivateKey.generate().private_bytes(*forms, secret))
    return folder


@pytest.fixture(scope="module")
def certificate(done: Place, keys: Path) -> Path:
    path = done.folder / "certificate.json"
    told = call("verify", done.run, "--certificate", path, "--key", keys / "mine.pem", "--seed", "7", "-q")
    assert told.exit_code == 0, told.output
    return path


def test_an_untouched_run_is_proved_to_the_last_bit(done: Place, certificate: Path) -> None:
    content = json.loads(certificate.read_text())["certificate"]
    labels = {step["step"]: step["label"] for step in content["steps"]}
    assert set(labels.values()) == {"PASS", "UNTESTABLE"}
    untestable = [step for step, label in labels.items() if label == "UNTESTABLE"]
    assert untestable == ["summaries: facts.parquet", "judgements: others"]
    assert labels["judgements: look-ahead"] == "PASS"
    others = next(step for step in content["steps"] if step["step"] == "judgements: others")
    assert {"nulls", "overfitting"} <= {*others["offenders"]}  # named, since they take as long as the run
    assert others["reason"].startswith("not remade: ")
    assert {proved["scenario"] for proved in content["proved"]} == {"base", "gap", "bootstrap"}
    assert all(
        proved["exact"] and proved["blocks"] == [0, 1, 2] and proved["paths"] == 20 for proved in content["proved"]
    )
    assert content["seeds"] == {"base": 3, "gap": 3, "bootstrap": 3}
    assert content["identity"] == json.loads((done.run / "identity.json").read_text())


def test_the_folder_of_a_run_is_read_and_never_written(done: Place, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.run.rglob("*")}
    prove(done.run, ChosenPaths(1, 1), base=done.folder)
    assert {path: path.stat().st_mtime_ns for path in done.run.rglob("*")} == before


def test_one_path_by_name_is_made_again_with_its_block_in_every_scenario(done: Place) -> None:
    told = call("verify", done.run, "--path", "17", "--json")
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert [proved["blocks"] for proved in answer["proved"]] == [[2], [2], [2]]
    assert answer["choice"]["path"] == 17
    missing = call("verify", done.run, "--path", "20", "-q")
    assert missing.exit_code == 2
    assert "no scenario of the run has a path 20" in missing.output


# --- Planted edits, each on a copy ---


def test_a_number_in_run_json_with_its_sum_renewed_is_not_what_the_table_gives(copy: Place) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["scenarios"][0]["strategies"][1]["cvar"]["0.95"]["value"] = 0.0123
        data["scenarios"][0]["strategies"][2]["metrics"][0]["mean"]["value"] += 1e-15

    copy.rewrite(edit)
    proofs = copy.alone()
    assert set(failing(proofs)) <= {"summaries: metrics.parquet", "page", "page: numbers"}
    told = proofs["summaries: metrics.parquet"].offenders
    assert told == ["base: cvar of SmaCross(fast=3, slow=10)", "base: metrics of SmaCross(fast=5, slow=10)"]


def test_a_finding_that_was_softened_is_not_what_run_json_gives(copy: Place) -> None:
    def edit(data: dict[str, Any]) -> None:
        breach = next(finding for finding in data["findings"] if finding["name"].startswith("limits"))
        breach["label"] = "PASS" if breach["label"] != "PASS" else "FAIL"

    copy.rewrite(edit)
    assert "summaries: findings" in failing(copy.alone())


def softened(place: Place, name: str) -> None:
    """Make every finding of a name milder in run.json, and renew the sums."""

    def edit(data: dict[str, Any]) -> None:
        for finding in data["findings"]:
            if finding["name"] == name:
                finding["measured"] = f"nearly {finding['measured']}"

    place.rewrite(edit)


def test_a_judgement_of_look_ahead_that_was_softened_is_not_what_the_strategy_gives(copy: Place) -> None:
    softened(copy, "look_ahead")
    told = call("verify", copy.run, "-q", "--paths", "1", "--base", copy.folder)
    assert told.exit_code == 4
    assert "FAIL        judgements: look-ahead: not what the paths give: look_ahead base BuyAndHold" in told.output


def test_a_strategy_that_was_left_out_of_run_json_is_missed(copy: Place) -> None:
    def edit(data: dict[str, Any]) -> None:
        for scenario in data["scenarios"]:
            scenario["strategies"] = [each for each in scenario["strategies"] if "BuyAndHold" not in each["name"]]
        data["findings"] = [finding for finding in data["findings"] if "BuyAndHold" not in finding["strategy"]]

    copy.rewrite(edit)
    told = named(prove(copy.run, ChosenPaths(1, 1, 17), base=copy.folder).steps)
    (strategy,) = {each for each in told["summaries: metrics.parquet"].offenders if each.startswith("base")}
    assert strategy == "base: BuyAndHold is in the table alone"
    three = ["BuyAndHold", "SmaCross(fast=3, slow=10)", "SmaCross(fast=5, slow=10)"]
    assert told["paths: base"].offenders == [f"run.json base: strategies {three[1:]} where {three} ran"]


def test_a_scenario_that_was_left_out_of_run_json_is_missed(copy: Place) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["scenarios"] = [each for each in data["scenarios"] if each["name"] != "gap"]
        data["findings"] = [finding for finding in data["findings"] if finding["scenario"] != "gap"]

    copy.rewrite(edit)
    told = named(prove(copy.run, ChosenPaths(1, 1, 17), base=copy.folder).steps)
    assert told["run.json: whole"].offenders == ["gap of the spec is not there"]
    assert told["paths: gap"].offenders == ["run.json gap: not there"]


def test_a_limit_that_was_moved_in_run_json_is_not_that_of_the_spec(copy: Place) -> None:
    copy.rewrite(lambda data: data["limits"].update(max_drawdown=0.5))
    assert copy.alone()["run.json: whole"].offenders == ["its limits are not those of the spec"]


def test_a_number_that_contradicts_others_of_run_json_fails_at_once(copy: Place) -> None:
    copy.rewrite(lambda data: data["scenarios"][0]["candles"].update(untouched=1))
    told = call("verify", copy.run, "-q")
    assert told.exit_code == 4
    assert "FAIL        run.json: run.json contradicts itself at scenarios/0/candles" in told.output


def test_a_swapped_block_is_not_at_its_address(copy: Place) -> None:
    blocks = copy.run / "blocks" / "base"
    (blocks / "000000").rename(blocks / "kept")
    (blocks / "000001").rename(blocks / "000000")
    (blocks / "kept").rename(blocks / "000001")
    proofs = copy.alone()
    assert failing(proofs) == ["blocks"]
    assert proofs["blocks"].offenders == ["base 0", "base 1"]


def test_a_truncated_block_is_not_whole(copy: Place) -> None:
    arrays = copy.run / "blocks" / "bootstrap" / "000002" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    proofs = copy.alone()
    assert failing(proofs) == ["blocks"]
    assert proofs["blocks"].offenders == ["bootstrap 2"]


def test_an_edited_number_of_the_page_is_named_by_its_place_in_run_json(copy: Place) -> None:
    page = copy.run / "index.html"
    text = page.read_text()
    at = text.index('data-p="scenarios/0/strategies/0/probability_of_loss')
    start = text.index(">", at) + 1
    page.write_text(text[:start] + "9" + text[start:])
    proofs = copy.alone()
    assert failing(proofs) == ["page: numbers", "page"]
    assert proofs["page: numbers"].offenders[0].startswith("scenarios/0/strategies/0/probability_of_loss")


def test_a_word_of_the_page_that_carries_no_number_is_caught_by_making_the_page_again(copy: Place) -> None:
    page = copy.run / "index.html"
    page.write_text(page.read_text().replace("INCONCLUSIVE", "PASS"))
    assert failing(copy.alone()) == ["page"]


@pytest.mark.parametrize("file", ["metrics", "candles"])
def test_an_edited_table_with_its_sum_renewed_does_not_give_run_json(copy: Place, file: str) -> None:
    table = pd.read_parquet(copy.run / f"{file}.parquet")
    column = "total_return" if file == "metrics" else "bad_bars"
    table.loc[5, column] = table.loc[5, column] + 1
    table.to_parquet(copy.run / f"{file}.parquet", index=False)
    copy.renew()
    assert failing(copy.alone()) == [f"summaries: {file}.parquet"]


def test_a_table_run_json_and_sums_that_were_edited_together_are_not_what_the_paths_give(copy: Place) -> None:
    frame = pd.read_parquet(copy.run / "paths" / "base.parquet")
    frame.loc[30, "close"] *= np.float32(1.01)
    frame.to_parquet(copy.run / "paths" / "base.parquet", index=False)
    table = pd.read_parquet(copy.run / "metrics.parquet")
    table["fees"] *= 0.5
    table.to_parquet(copy.run / "metrics.parquet", index=False)
    copy.renew()
    proofs = named(prove(copy.run, ChosenPaths(1, 50), base=copy.folder).steps)
    assert {"paths: base", "paths: gap", "paths: bootstrap"} <= set(failing(proofs))
    assert "metrics.parquet base: fees" in proofs["paths: base"].offenders
    assert "kept paths base: close" in proofs["paths: base"].offenders


def test_another_model_file_is_told_by_its_hash(copy: Place, tmp_path: Path) -> None:
    model = next(path for path in (copy.folder / "tiny").rglob("*.safetensors"))
    content = bytearray(model.read_bytes())
    content[-1] ^= 1  # the last bit of the last weight
    model.write_bytes(bytes(content))
    for sums in (copy.folder / "tiny").rglob("SHA256SUMS"):
        write_sums(sums.parent, read_sums(sums.parent))
    proofs = copy.identity(tmp_path / "again")
    assert failing(proofs) == ["identity: weights"]
    assert "sha256" in proofs["identity: weights"].reason


def test_an_edited_data_file_is_told_with_the_scenarios_whose_context_differs(copy: Place, tmp_path: Path) -> None:
    rows = (copy.folder / "prices.csv").read_text().splitlines()
    moved = next(at for at, row in enumerate(rows) if row.startswith("2016-03-15"))
    stamp, *values = rows[moved].split(",")
    rows[moved] = ",".join([stamp, *(str(float(value) * 1.001) for value in values)])
    (copy.folder / "prices.csv").write_text("\n".join(rows) + "\n")
    proofs = copy.identity(tmp_path / "again")
    assert "identity: data" in failing(proofs)
    assert proofs["identity: data"].offenders == ["base", "gap", "bootstrap"]


def test_an_edited_strategy_is_told(copy: Place, tmp_path: Path) -> None:
    file = copy.folder / "sma_cross.py"
    file.write_text(file.read_text() + "\n# a comment more\n")
    assert failing(copy.identity(tmp_path / "again")) == ["identity: strategies"]


def test_another_seed_in_the_text_of_the_spec_is_not_the_run(copy: Place, tmp_path: Path) -> None:
    copy.rewrite(lambda data: data.update(spec_text=data["spec_text"].replace("seed: 3", "seed: 4")))
    proofs = copy.identity(tmp_path / "again")
    assert failing(proofs) == ["identity: spec"]
    told = call("verify", copy.run, "-q", "--base", copy.folder)
    assert told.exit_code == 4
    assert "UNTESTABLE  paths: not made again" in told.output


def test_a_run_whose_blocks_were_cleaned_away_is_proved_by_its_tables(copy: Place) -> None:
    shutil.rmtree(copy.run / "blocks")
    proofs = named(prove(copy.run, ChosenPaths(1, 1), base=copy.folder).steps)
    assert failing(proofs) == []
    assert proofs["blocks"].label == "UNTESTABLE"
    passed = [proof.reason for step, proof in proofs.items() if step.startswith("paths: ") and proof.label == "PASS"]
    assert len(passed) == 1  # one path was drawn, of one scenario
    assert "candles.parquet, kept paths" in passed[0]


def test_scenarios_that_keep_nothing_are_no_fault_of_a_run_whose_others_keep_their_tables(tmp_path: Path) -> None:
    spec = EVENTS.partition("scenarios:")[0].replace("facts: false", "facts: true")
    spec += "scenarios: [{name: base}, {name: other, paths: {keep: none}}]\n"
    spec += "strategies: [{use: buy_and_hold.py:BuyAndHold}]\n"
    run = tmp_path / "run"
    assert call("run", written(tmp_path, spec), "--folder", run, "-q").exit_code == 0
    told = call("verify", run, "-q", "--seed", "1")
    assert told.exit_code == 0, told.output
    assert "PASS        paths: other" in told.output  # the paths that the page shows bar by bar
    assert re.search(r"PASS        judgements: facts: \d+ judgements \(drift, facts\) of base, passed", told.output)
    (run / "facts.parquet").unlink()
    told = call("verify", run, "-q", "--seed", "1")
    assert told.exit_code == 4
    assert "FAIL        summaries: facts.parquet: facts.parquet is missing" in told.output
    assert call("run", tmp_path / "spec.yaml", "--folder", run, "-q").exit_code == 0
    assert set(pd.read_parquet(run / "facts.parquet")["scenario"]) == {"base"}
    softened(Place(tmp_path), "drift")
    told = call("verify", run, "-q", "--seed", "1")
    assert told.exit_code == 4
    assert "FAIL        judgements: facts: not what the paths give: drift base" in told.output


def test_on_a_machine_without_the_data_no_path_is_proved_and_that_is_no_pass(copy: Place) -> None:
    (copy.folder / "prices.csv").unlink()
    told = call("verify", copy.run, "-q", "--base", copy.folder)
    assert told.exit_code == 2
    assert "not one path could be made again" in told.output
    assert "UNTESTABLE  identity: data" in told.output


def test_elsewhere_paths_are_held_to_roundings_of_float32(done: Place, copy: Place) -> None:
    told = call("verify", done.run, "--elsewhere", "--path", "3", "-q")
    assert told.exit_code == 0
    assert "0 of them depart by more than 2e-05" in told.output
    table = pd.read_parquet(copy.run / "metrics.parquet")
    table["total_return"] += 0.01
    table.to_parquet(copy.run / "metrics.parquet", index=False)
    copy.renew()
    told = call("verify", copy.run, "--elsewhere", "--path", "3", "-q", "--base", copy.folder)
    assert "FAIL        paths: base" in told.output


def test_islands_weighed_paths_and_replays_are_made_again(tmp_path: Path) -> None:
    told = call("run", written(tmp_path, EVENTS), "--folder", tmp_path / "run", "--quiet")
    assert told.exit_code == 0, told.output
    proofs = named(prove(tmp_path / "run", ChosenPaths(1, 3), base=tmp_path).steps)
    assert failing(proofs) == []
    passed = [step for step, proof in proofs.items() if proof.label == "PASS"]
    assert {"paths: base", "paths: crash", "paths: bearish", "replays"} <= {*passed}


def test_a_book_is_sampled_asset_by_asset_and_traded_again_together(tmp_path: Path) -> None:
    told = call("run", written(tmp_path, BOOK), "--folder", tmp_path / "run", "--quiet")
    assert told.exit_code == 0, told.output
    proofs = named(prove(tmp_path / "run", ChosenPaths(1, 1), base=tmp_path).steps)
    assert failing(proofs) == []
    assert "what its strategies made of them" in proofs["paths: base"].reason


# --- Certificates ---


def test_a_certificate_is_checked_alone_and_beside_its_run(done: Place, certificate: Path, keys: Path) -> None:
    alone = call("verify", "--certificate", certificate, "--public", keys / "mine.pub")
    assert alone.exit_code == 0, alone.output
    assert "PASS        certificate: signature: signed with the key" in alone.output
    beside = call("verify", done.run, "--certificate", certificate, "--json")
    assert beside.exit_code == 0
    assert json.loads(beside.stdout)["choice"] == json.loads(certificate.read_text())["certificate"]["choice"]


def test_an_edited_certificate_is_caught_by_its_sum_and_with_the_sum_renewed_by_its_signature(
    certificate: Path, keys: Path, tmp_path: Path
) -> None:
    import hashlib

    whole = json.loads(certificate.read_text())
    whole["certificate"]["versions"]["numpy"] = "1.0"
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(whole))
    told = call("verify", "--certificate", edited)
    assert told.exit_code == 4
    assert "FAIL        certificate: sum" in told.output
    assert "FAIL        certificate: signature" in told.output
    whole["sum"] = hashlib.sha256(canonical(whole["certificate"])).hexdigest()
    edited.write_text(json.dumps(whole))
    told = call("verify", "--certificate", edited)
    assert "PASS        certificate: sum" in told.output
    assert told.exit_code == 4
    whole["signature"] = None
    edited.write_text(json.dumps(whole))
    assert call("verify", "--certificate", edited).exit_code == 0
    assert call("verify", "--certificate", edited, "--public", keys / "mine.pub").exit_code == 4


@pytest.mark.parametrize("written", ["NaN", "-Infinity", "1e999"])
def test_a_certificate_with_a_number_that_json_does_not_know_is_refused(
    certificate: Path, tmp_path: Path, written: str
) -> None:
    edited = tmp_path / "edited.json"
    edited.write_text(certificate.read_text().replace('"base": 3', f'"base": {written}'))
    told = call("verify", "--certificate", edited)
    assert (told.exit_code, "holds a number that is not finite" in told.output) == (2, True)


def test_another_key_and_another_run_are_told(certificate: Path, keys: Path, copy: Place) -> None:
    told = call("verify", "--certificate", certificate, "--public", keys / "other.pub")
    assert told.exit_code == 4
    assert "not with the key given" in told.output
    copy.rewrite(lambda data: data.update(created="2020-01-01T00:00:00+00:00"))
    told = call("verify", copy.run, "--certificate", certificate, "-q", "--paths", "1", "--base", copy.folder)
    assert told.exit_code == 4
    assert "FAIL        certificate: of this run: run.json is not the file that was proved" in told.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verify"], "name the folder of a run"),
        (["verify", "{run}", "--key", "{keys}/mine.pem"], "--certificate FILE"),
        (["verify", "{keys}"], "is no folder of a finished run"),
        (["verify", "--certificate", "{keys}/none.json"], "there is no such file"),
        (["verify", "--certificate", "{run}/identity.json"], "holds no certificate"),
        (["verify", "--certificate", "{run}/index.html"], "is not valid JSON"),
        (["verify", "{run}", "--certificate", "{keys}/c.json", "--key", "{keys}/curve.pem"], "of another kind"),
        (["verify", "{run}", "--certificate", "{keys}/c.json", "--key", "{keys}/secret.pem"], "a password"),
        (["verify", "{run}", "--certificate", "{keys}/c.json", "--key", "{keys}/mine.pub"], "no private key"),
        (["verify", "{run}", "--certificate", "{run}/run.json", "--key", "{keys}/mine.pem"], "is there already"),
        (["verify", "{run}", "--certificate", "{keys}/c.json", "--key", "{keys}/no.pem"], "check the path of the key"),
        (["verify", "{run}", "--certificate", "/proc/none/c.json", "--paths", "99"], "cannot write"),  # nothing is made
        (["verify", "{run}", "--path", "3", "--paths", "4"], "give either"),
        (["verify", "{run}", "--path", "3", "--seed", "4"], "give either"),
        (["verify", "{run}", "--public", "{keys}/mine.pub"], "name the certificate that it must have signed"),
        (["verify", "{run}", "--certificate", "{keys}/c.json", "--public", "{keys}/mine.pub"], "no certificate"),
        (["verify", "--certificate", "{keys}/c.json", "--base", "{run}"], "name the run's folder too"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(done: Place, keys: Path, words: list[str], told: str) -> None:
    answer = call(*(word.format(run=done.run, keys=keys) for word in words))
    assert answer.exit_code == 2
    assert told in " ".join(answer.output.replace("│", " ").split())


def test_without_the_package_that_signs_the_extra_is_named(
    done: Place, keys: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    for name in [name for name in sys.modules if name.startswith("cryptography.")]:
        monkeypatch.setitem(sys.modules, name, None)
    told = call("verify", done.run, "--certificate", keys / "c.json", "--key", keys / "mine.pem")
    assert told.exit_code == 2
    assert "scenario-gen[sign]" in told.output
    told = call("verify", "--certificate", certificate)
    assert told.exit_code == 0
    assert "UNTESTABLE  certificate: signature: it is signed, and nothing here can check that" in told.output
