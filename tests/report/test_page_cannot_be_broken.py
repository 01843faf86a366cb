from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

Pages = dict[str, tuple[StressRun, str]]
ALL = ("full", "mini", "hostile", "degenerate")
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "a", "div", "header", "p", "h1", "h2", "h3", "h4", "b", "span",
    "nav", "details", "summary", "ol", "ul", "li", "svg", "path", "line", "rect", "text", "main", "section", "table",
    "caption", "thead", "tbody", "tr", "th", "td", "sup", "figure", "figcaption", "dl", "dt", "dd", "code", "pre",
    "footer", "script",
}  # fmt: skip
ATTRIBUTION = "https://www.tradingview.com/"  # a link that the licence of the chart library asks for
LIBRARY = re.compile(r"<script>/\*!\n \* @license\n \* TradingView Lightweight Charts.*?</script>", re.DOTALL)


@pytest.mark.parametrize("name", ALL)
def test_only_our_own_elements_and_attributes_are_on_the_page(pages: Pages, checks: ModuleType, name: str) -> None:
    reader = checks.read(pages[name][1])
    assert {tag for tag, _ in reader.tags} <= ALLOWED
    for _, attributes in reader.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcdoc")]
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == ATTRIBUTION
    assert [attributes for tag, attributes in reader.tags if tag == "script"] == [
        {"type": "application/json", "id": "zoom-data"}, {}, {}
    ]  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_policy_inside_the_file_lets_nothing_load_and_nothing_run_but_by_its_hash(pages: Pages, name: str) -> None:
    page = pages[name][1]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].split("; ")[0] == "default-src 'none'"
    assert "unsafe" not in policy[1]
    sources = dict(directive.split(" ", 1) for directive in policy[1].split("; "))
    assert all(source.startswith("'sha256-") for source in sources["script-src"].split())
    assert page.index("Content-Security-Policy") < page.index("<title>")


@pytest.mark.parametrize("name", ["full", "mini", "degenerate"])
def test_nothing_on_the_page_points_to_the_network(pages: Pages, name: str) -> None:
    page, libraries = LIBRARY.subn("", pages[name][1])
    assert libraries == 1
    assert page.count(ATTRIBUTION) == 1
    assert re.findall(r"https?://|url\(|@import|//[a-z]+\.", page.replace(ATTRIBUTION, "")) == []


def test_hostile_names_are_shown_and_do_nothing(pages: Pages, checks: ModuleType) -> None:
    text = checks.seen(pages["hostile"][1])
    assert "</script><script>window.pwn=1</script>" in text
    assert "{{7*7}}" in text
    assert "49" not in re.findall(r"\d+", text.split("Verdict", 2)[1][:400])
    assert "${x}" in text
    assert "(unnamed)" in text


def test_characters_that_turn_text_around_are_shown_as_their_code(pages: Pages) -> None:
    page = pages["hostile"][1]
    assert "abc⟨U+202E⟩txt.exe" in page
    assert "a⟨U+0000⟩b⟨U+001B⟩c" in page
    assert not re.search("[\u0000-\u0008\u000b-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page)


def test_a_name_of_five_thousand_characters_is_cut_in_the_middle(pages: Pages, checks: ModuleType) -> None:
    heads = re.findall(r'<th scope="row">(x+…x+)', pages["hostile"][1])
    assert heads
    assert {len(head) for head in heads} == {60}


@pytest.mark.parametrize("name", ALL)
def test_ids_and_classes_never_come_from_names(pages: Pages, checks: ModuleType, name: str) -> None:
    reader = checks.read(pages[name][1])
    ids = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    words = {word for _, a in reader.tags for word in f"{a.get('class') or ''} {a.get('id') or ''}".split()}
    assert all(re.fullmatch(r"[A-Za-z][\w-]*", word) for word in words)
    assert not words & {"__proto__", "pwn"}


@pytest.mark.parametrize("name", ALL)
def test_every_picture_says_what_it_shows(pages: Pages, checks: ModuleType, name: str) -> None:
    reader = checks.read(pages[name][1])
    pictures = [attributes for tag, attributes in reader.tags if tag == "svg" and attributes.get("role") == "img"]
    assert pictures
    assert all(picture.get("aria-label") for picture in pictures)


@pytest.mark.parametrize("name", ALL)
def test_every_drawn_position_is_a_finite_number(pages: Pages, name: str) -> None:
    for d in re.findall(r' d="([^"]*)"', pages[name][1]):
        assert re.fullmatch(r"[MmLlHhVvAaCcZz0-9 .\-]*", d)


BUILD = (
    "import sys, hashlib; from scenario_gen.store.folder import RunFolder; from scenario_gen.report.page import "
    "build_page; print(hashlib.sha256(build_page(RunFolder(sys.argv[1]).read_run()).encode()).hexdigest())"
)


def test_two_processes_of_different_surroundings_write_the_same_bytes(
    mini: StressRun, pages: Pages, tmp_path: Path
) -> None:
    RunFolder(tmp_path).write_run(mini)
    (tmp_path / "matplotlibrc").write_text("path.simplify: True\nfont.size: 30\nlines.linewidth: 9\nfigure.dpi: 300\n")
    surroundings = (
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "MATPLOTLIBRC": str(tmp_path)},
        {"PYTHONHASHSEED": "77", "TZ": "America/New_York", "LC_ALL": "C.UTF-8"},
    )
    made = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", BUILD, str(tmp_path)],
            env={**os.environ, **extra}, check=True, capture_output=True, text=True,
        ).stdout.strip()
        for extra in surroundings
    ]  # fmt: skip
    assert made == [hashlib.sha256(pages["mini"][1].encode()).hexdigest()] * 2


def test_a_browser_finds_no_element_that_a_name_smuggled_in(pages: Pages, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "page.html"
    page.write_text(pages["hostile"][1], encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    dom = subprocess.run(
        [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    ).stdout.decode()  # fmt: skip
    assert dom.count("<section ") == pages["hostile"][1].count("<section ")
    assert re.findall(r"<(?:img|iframe|object|embed)\b", dom) == []
    assert re.findall(r"<script\b[^>]*>", dom) == [
        '<script type="application/json" id="zoom-data">',
        "<script>",
        "<script>",
    ]
    assert dom.count("<button ") == pages["hostile"][1].count("data-zoom=")  # ours ran
