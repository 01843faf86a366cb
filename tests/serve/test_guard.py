from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scenario_gen.errors import SpecError, StoreError, StrategyError
from scenario_gen.serve.guard import HUB, Forbidden, Guard
from scenario_gen.serve.keys import Keys
from tests.serve.tiny import REPOSITORY, TINY

OUTSIDE = "not among the (strategies|data|models) that this server lets specs name"


@pytest.fixture
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """A guard of a folder with strategies and data, beside secrets that no spec may reach."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "buy_and_hold.py").write_bytes(
        (REPOSITORY / "strategies" / "buy_and_hold.py").read_bytes()
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.csv").write_text("a,b\n")
    (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
    return Guard(tmp_path / "runs", strategies=(Path("strategies"),), data=(Path("data"),))


def test_a_spec_of_allowed_things_is_read_as_on_the_command_line(guard: Guard) -> None:
    assert guard.read(TINY).spec.name == "tiny"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("strategies/buy_and_hold.py", "/etc/passwd", OUTSIDE),
        ("strategies/buy_and_hold.py", "strategies/../secret.py", OUTSIDE),
        ("strategies/buy_and_hold.py", "~/secret.py", OUTSIDE),
        ("strategies/buy_and_hold.py", "'strategies/a\\0b.py", "spec.yaml"),
        ("source: sp500, end: 2017-06-30", "file: secret.csv", OUTSIDE),
        ("source: sp500, end: 2017-06-30", "file: data/link.csv", OUTSIDE),
        ("source: sp500, end: 2017-06-30", "file: runs/.jobs/jobs.sqlite", OUTSIDE),
        ("source: sp500, end: 2017-06-30", "sql: select * from 'x.csv'", "takes none over the wire"),
        ("source: sp500, end: 2017-06-30", "source: yahoo, symbol: SPY", "may not ask"),
        ("source: sp500, end: 2017-06-30", "source: qlib, symbol: A, provider_uri: /etc", OUTSIDE),
        ("kind: bootstrap", "kind: kronos, model: /etc", OUTSIDE),
        ("kind: bootstrap", "kind: kronos, model: ../models", OUTSIDE),
        ("kind: bootstrap", "kind: kronos, model: org/name", "fetches no models"),
        ("kind: bootstrap", "kind: kronos, model: org/name@main, tokenizer: /etc/ssl", OUTSIDE),
        ("name: tiny", "name: tiny\nexecute: {kind: ray, address: 'ray://10.0.0.1:1'}", "this server decides"),
        ("name: tiny", "name: tiny\njoint: {correlation: /etc/passwd}", OUTSIDE),
        ("count: 4", "count: 1000000", "in all"),
        ("horizon: 5", "horizon: five", "spec.yaml:3: bars.horizon: got 'five', expected a whole number"),
    ],
)  # fmt: skip
def test_what_a_spec_may_not_name_is_refused_with_its_line(guard: Guard, old: str, new: str, words: str) -> None:
    assert old in TINY
    text = TINY.replace(old, new).replace("horizon: 5}", "horizon: 500}" if "1000000" in new else "horizon: 5}")
    with pytest.raises(SpecError, match=words) as caught:
        guard.read(text)
    assert "spec.yaml" in str(caught.value)


def test_no_answer_tells_whether_a_file_outside_is_there(guard: Guard) -> None:
    answers = set()
    for name in ("/etc/passwd", "/etc/nothing"):
        with pytest.raises(SpecError) as caught:
            guard.read(TINY.replace("strategies/buy_and_hold.py", name))
        answers.add(re.sub(r"got '\S+'", "", str(caught.value)))
    assert len(answers) == 1


def test_what_the_server_was_started_with_may_be_named(guard: Guard, tmp_path: Path) -> None:
    asked = TINY.replace("source: sp500, end: 2017-06-30", "source: yahoo, symbol: SPY")
    opened = Guard(guard.root, guard.strategies, guard.data, network=frozenset({"yahoo", HUB}))
    assert opened.read(asked).spec.scenarios[0].data.source == "yahoo"
    assert opened.read(TINY.replace("kind: bootstrap", "kind: kronos, model: org/name")).spec.name == "tiny"
    with pytest.raises(SpecError, match="yaho"):
        Guard(tmp_path, network=frozenset({"yaho"}))


@pytest.mark.parametrize(
    "text",
    ["", "[", "a: *b", "- 1", "!!python/object/apply:os.system ['true']", "{" * 100, "x: " + "9" * 4000, "---\n---\n",
     "a: &a [x]\nb: [" + ", ".join(["*a"] * 30_000) + "]", "name: \x00", "#" * 1_000_001],
)  # fmt: skip
def test_hostile_yaml_is_a_mistake_of_the_spec(guard: Guard, text: str) -> None:
    with pytest.raises(SpecError):
        guard.read(text)


def test_code_is_taken_only_where_a_folder_is_named_for_it(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match="takes no strategy code"):
        guard.take_code("mine.py", b"x = 1")
    opened = Guard(guard.root, code=tmp_path / "sent")
    source = (tmp_path / "strategies" / "buy_and_hold.py").read_bytes()
    assert opened.take_code("mine.py", source).parent == tmp_path / "sent"
    text = TINY.replace("strategies/buy_and_hold.py", "sent/mine.py")
    assert opened.read(text).spec.strategies[0].use == "sent/mine.py:BuyAndHold"
    for name, sent in (("../mine.py", b""), ("mine.sh", b""), ("mine.py", b"def ("), ("mine.py", b" " * 200_001)):
        with pytest.raises(StrategyError):
            opened.take_code(name, sent)


def test_only_tables_of_runs_leave_the_root(guard: Guard, tmp_path: Path) -> None:
    run = guard.root / "mine"
    (run / "paths").mkdir(parents=True)
    for name in ("run.json", "metrics.parquet", "identity.json", "paths/base.parquet"):
        (run / name).write_text("{}")
    (run / "candles.parquet").symlink_to(tmp_path / "secret.csv")
    (guard.root / "linked").symlink_to(tmp_path)
    assert guard.run_file("mine", "paths/base.parquet").is_file()
    for folder, file in (
        ("mine", "identity.json"), ("mine", "../mine/metrics.parquet"), ("mine", "candles.parquet"),
        ("..", "metrics.parquet"), (".jobs", "metrics.parquet"), ("linked", "metrics.parquet"), ("", "metrics.parquet"),
    ):  # fmt: skip
        with pytest.raises(StoreError, match=r"there is no run|has no file"):
            guard.run_file(folder, file)


def test_a_key_is_kept_as_its_hash_and_known_again(tmp_path: Path) -> None:
    key = Keys(tmp_path).make("ci", ["run", "read"])
    kept = Keys(tmp_path).path
    assert key not in kept.read_text()
    assert [entry["name"] for entry in json.loads(kept.read_text())] == ["ci"]
    caller = Keys(tmp_path).caller(key)
    assert caller is not None
    assert caller.scopes == ("read", "run")
    assert Keys(tmp_path).caller(key + "x") is None
    again = Keys(tmp_path).make("ci", ["read"])
    assert Keys(tmp_path).caller(again) is not None
    assert Keys(tmp_path).caller(key) is None  # a new key of that name ended it
    with pytest.raises(SpecError, match="did you mean 'read'"):
        Keys(tmp_path).make("ci", ["reed"])
