"""The site of the documentation is built without a warning and tells all there is; its notebooks still run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html import unescape
from importlib.util import find_spec
from pathlib import Path

import pytest

import scenario_gen
from scenario_gen.spec.loader import spec_schema

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
needs_kernel = pytest.mark.skipif(
    not (find_spec("nbclient") and find_spec("ipykernel")),
    reason="nbclient or ipykernel is not installed: pip install 'scenario-gen[dev]'",
)
needs_mkdocs = pytest.mark.skipif(
    not (find_spec("material") and find_spec("mkdocstrings_handlers")),
    reason="mkdocs-material or mkdocstrings-python is not installed: pip install 'scenario-gen[docs]'",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built once; --strict makes a broken link or anchor and an unknown name of the API a failure."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    answer = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder


def _rows(page: str) -> dict[str, list[str]]:
    """Return the names in the first column of the table below each heading of the spec's reference."""
    parts = re.split(r'<h2 id="([^"]+)"', page)[1:]
    return {
        heading: [unescape(name) for name in re.findall(r"<tr>\s*<td><code>([^<]+)</code></td>", body)]
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


@needs_mkdocs
def test_the_reference_of_a_spec_has_every_field_of_every_section(site: Path) -> None:
    schema = spec_schema()
    rows = _rows((site / "spec.html").read_text(encoding="utf-8"))
    assert rows["the-top-of-a-spec"] == [*schema["properties"]]
    assert rows["a-scenario"] == [*schema["properties"]["scenarios"]["items"]["properties"]]
    assert rows["an-asset"] == [*schema["properties"]["assets"]["items"]["properties"]]
    for name, model in schema["$defs"].items():
        assert rows[name.lower()] == [*model["properties"]], name


@needs_mkdocs
def test_a_field_shows_its_type_default_bounds_and_words(site: Path) -> None:
    page = (site / "spec.html").read_text(encoding="utf-8")
    row = next(row for row in page.split("<tr>") if "<td><code>block</code></td>" in row)
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)]
    assert [unescape(cell) for cell in cells] == [
        "block", "integer", "512", "≥ 1, ≤ 4,096", "paths per unit of work; part of a run's identity",
    ]  # fmt: skip


@needs_mkdocs
def test_the_schema_for_editors_is_that_of_the_models(site: Path) -> None:
    assert json.loads((site / "spec.schema.json").read_text(encoding="utf-8")) == spec_schema()


@needs_mkdocs
def test_every_public_name_stands_on_the_page_of_the_api(site: Path) -> None:
    anchors = re.findall(r'id="scenario_gen\.(\w+)"', (site / "api.html").read_text(encoding="utf-8"))
    assert {name for name in dir(scenario_gen) if not name.startswith("_")} <= {*anchors}


@needs_mkdocs
def test_every_section_of_the_readme_is_a_page(site: Path) -> None:
    prose = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = [*re.findall(r"^## (.+)$", prose, re.MULTILINE)]
    pages = [page.read_text(encoding="utf-8") for page in (site / "guide").glob("*.html")]
    titles = [unescape(re.sub(r"<[^>]+>", "", title)) for page in pages for title in re.findall(r"<h1.*?</h1>", page)]
    assert sorted(title.removesuffix("¶") for title in titles) == sorted(headings)


@needs_mkdocs
def test_the_site_asks_nothing_of_other_servers(site: Path) -> None:
    loads = re.compile(r'(?:src|<link[^>]+rel="(?:stylesheet|preconnect|preload)"[^>]+href)="((?:https?:)?//[^"]+)"')
    loaded = {page.name: loads.findall(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}
    assert len(loaded) > 30
    assert {name: addresses for name, addresses in loaded.items() if addresses} == {}


def _shown(file: Path) -> list[tuple[str, list[str]]]:
    """Return source and kinds of outputs of each cell of code; numbers may differ in the last digit on another CPU."""
    return [
        (
            "".join(cell["source"]),
            [kind for each in cell["outputs"] for kind in each.get("data", [each["output_type"]])],
        )
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


@needs_mkdocs
def test_every_notebook_is_a_page_with_its_pictures(site: Path) -> None:
    for notebook in NOTEBOOKS:
        pictures = sum("image/png" in kinds for _, kinds in _shown(notebook))
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert page.count('src="data:image/png;base64,') == pictures > 0, notebook.stem


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All notebooks with new outputs, each of a kernel of its own; one process asks them all."""
    folder = tmp_path_factory.mktemp("executed")
    command = [sys.executable, str(NOTEBOOKS[0].parent / "execute.py"), "--into", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return folder


@needs_kernel
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_raises_nothing_and_shows_what_is_stored_in_it(notebook: Path, executed: Path) -> None:
    assert _shown(executed / notebook.name) == _shown(notebook)


def test_notebooks_are_small_and_name_no_place_of_a_machine() -> None:
    assert len(NOTEBOOKS) == 3
    for notebook in NOTEBOOKS:
        text = notebook.read_text(encoding="utf-8")
        assert len(text) < 200_000, notebook.stem
        assert re.findall(r"/(?:tmp|home|root|work)/", text) == [], notebook.stem
