"""The house stays easy to live in: no circles, one noun one name, functions and files that a person can take in."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "scenario_gen").rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LONGEST_FILE, LONGEST_FUNCTION = 420, 60  # lines
CLASSES_OF_ONE_NAME = 3  # pairs at most: Block of a transformer and of paths, Scale of features and of numbers
MOST_FILES = 280
MOST_IMPORTS = 0.067  # of all lines
VAGUE = {"one", "found", "told"}  # a parameter or field bears its type's noun


def module_of(path: Path) -> str:
    """Return the dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def loaded_with(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """Yield the imports that run when a module is loaded: not those in functions, nor those for type checkers."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom):
            yield node
        for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if not for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def written_in(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """Yield all imports of a file: also those in functions, and those for type checkers."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))


def imports_of(path: Path, which: Callable[[ast.Module], Iterator[ast.ImportFrom]] = loaded_with) -> set[str]:
    """Return the modules of this package that a file loads."""
    wanted = set()
    for node in which(TREES[path]):
        for name in node.names:
            whole = f"{node.module}.{name.name}"
            wanted.add(whole if whole in MODULES else str(node.module))
    return (wanted & set(MODULES)) - {module_of(path)}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def test_no_two_modules_import_each_other():
    graph = {module: imports_of(path) for module, path in MODULES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


def test_no_two_modules_know_each_other_but_a_face_its_room_and_a_section_its_engine():
    """A face lists its room's names for type checkers; a section opens its engine, when it is asked to."""
    rooms = {module for module, path in MODULES.items() if path.stem == "__init__"}
    graph = {module: imports_of(path, written_in) - rooms for module, path in MODULES.items() if module not in rooms}
    owners = ("scenario_gen.generators.", "scenario_gen.stress.")  # rooms whose sections know their engines
    engines = {module for module in graph if module.startswith(owners)}
    try:
        list(TopologicalSorter({m: w - engines if m in engines else w for m, w in graph.items()}).static_order())
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


def test_imports_are_a_small_part_of_the_text():
    lines = [path.read_text(encoding="utf-8").count("\n") for path in FILES]
    imports = [
        node.end_lineno - node.lineno + 1
        for tree in TREES.values()
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
    for path, tree in TREES.items():
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
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id in VAGUE
    ]
    assert vague == []


def test_a_planted_circle_would_be_found():
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"c"}, "c": {"a"}}).static_order())
