"""The house stays easy to live in: no circles, one noun one name, functions and files that a person can take in."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "scenario_gen").rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 420, 60  # lines
MOST_IN_A_ROOM = {"pipeline": 10}  # files beside its rooms: the story of a run stays on one screen
CLASSES_OF_ONE_NAME = 3  # pairs at most: Block of a transformer and of paths, Scale of features and of numbers
MOST_FILES = 400
MOST_IMPORTS = 0.07  # of all lines
VAGUE = {"one", "found", "told"}  # a parameter or field bears its type's noun


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the parsed files: once it is asked, and not wherever tests are collected."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Iterator[None]:
    """Let go of a million nodes after these tests: every later search for garbage would walk over them."""
    yield
    trees.cache_clear()


def module_of(path: Path) -> str:
    """Return the dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports_of(path: Path) -> set[str]:
    """Return the modules of this package that a file knows: also those in functions, and those for type checkers."""
    wanted = set()
    for node in ast.walk(trees()[path]):
        for name in node.names if isinstance(node, ast.ImportFrom) else ():
            whole = f"{node.module}.{name.name}"
            wanted.add(whole if whole in MODULES else str(node.module))
    return (wanted & set(MODULES)) - {module_of(path)}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_no_two_modules_know_each_other():
    graph = {module: imports_of(path) for module, path in MODULES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


def test_the_story_of_a_run_stays_on_one_screen():
    rooms = {room: len([*(ROOT / "scenario_gen" / room).glob("*.py")]) for room in MOST_IN_A_ROOM}
    assert all(rooms[room] <= most for room, most in MOST_IN_A_ROOM.items()), rooms


def test_imports_are_a_small_part_of_the_text():
    lines = [path.read_text(encoding="utf-8").count("\n") for path in FILES]
    imports = [
        node.end_lineno - node.lineno + 1
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert sum(imports) <= MOST_IMPORTS * sum(lines)


def test_files_and_functions_can_be_taken_in():
    assert len(FILES) <= MOST_FILES
    sizes = {path: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert [f"{path.relative_to(ROOT)}: {size}" for path, size in sizes.items() if size > LONGEST_FILE] == []
    lengths = {where: node.end_lineno - node.lineno + 1 for where, node in functions()}
    assert [f"{where}: {length}" for where, length in lengths.items() if length > LONGEST_FUNCTION] == []


def test_a_class_name_stands_once():
    homes = defaultdict(list)
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(ROOT)))
    twice = {name: places for name, places in homes.items() if len(places) > 1}
    assert len(twice) <= CLASSES_OF_ONE_NAME, twice


def test_parameters_and_fields_bear_their_nouns():
    vague = [
        f"{where}({argument.arg})"
        for where, node in functions()
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.arg in VAGUE
    ]
    vague += [
        f"{path.relative_to(ROOT)}:{field.lineno} {node.name}.{field.target.id}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id in VAGUE
    ]
    assert vague == []


def test_a_planted_circle_would_be_found():
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())
