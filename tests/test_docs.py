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
