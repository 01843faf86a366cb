"""A checkpoint is data: nothing in the room can run code that somebody put into one."""

from __future__ import annotations

import ast
import pickle
import shutil
from pathlib import Path

import pytest

import scenario_gen.kronos
from scenario_gen.errors import CheckpointError
from scenario_gen.kronos import Kronos, load_checkpoint
from scenario_gen.kronos.hub import download
from tests.kronos.hub_server import MODEL, MODEL_COMMIT, LoopbackHub

ROOM = Path(scenario_gen.kronos.__file__).parent
CODE_RUNNERS = {"pickle", "dill", "joblib", "shelve", "marshal", "runpy"}


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "sprung"


@pytest.fixture
def copy(golden_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden_folder, tmp_path / "checkpoint"))


def test_the_trap_springs(mark: Path) -> None:
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(copy: Path, mark: Path) -> None:
    (copy / "model" / "model.safetensors").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
        load_checkpoint(copy)
    assert not mark.exists()


def test_a_folder_with_a_pickle_alone_has_no_weights(copy: Path, mark: Path) -> None:
    (copy / "model" / "model.safetensors").unlink()
    (copy / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        Kronos.from_pretrained(copy / "model")
    assert not mark.exists()


def test_nothing_but_configuration_and_weights_is_fetched(hub_server: LoopbackHub) -> None:
    for name in ("pytorch_model.bin", "modeling_kronos.py", "README.md"):
        hub_server.files[(MODEL, MODEL_COMMIT, name)] = b"not wanted"
    folder = download(MODEL, MODEL_COMMIT)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    asked = {path.rsplit("/", 1)[-1] for _, path, _ in hub_server.requests if not path.startswith("/store/")}
    assert asked == {"config.json", "model.safetensors"}


def _runners(source: str) -> list[str]:
    """Return imports and calls that could run code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in CODE_RUNNERS]
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in CODE_RUNNERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "eval", "exec"):
            found.append(ast.unparse(node.func))
    return found


def test_no_module_of_the_room_imports_or_calls_what_could_run_it() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted(ROOM.rglob("*.py"))}
    assert len(sources) > 15
    assert {name: found for name, source in sources.items() if (found := _runners(source))} == {}


@pytest.mark.parametrize("line", ["import pickle", "from joblib import load", "torch.load('x')", "exec('1')"])
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    assert len(_runners(line)) == 1
