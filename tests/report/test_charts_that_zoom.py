"""The named paths as charts that zoom: their numbers, their policy, and what a real browser makes of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenario_gen.backtest.result import NamedPath
from scenario_gen.report.drawing import zoom
from scenario_gen.report.page import build_page
from scenario_gen.store.results import StressRun
from tests.report.browser import INK

Pages = dict[str, tuple[StressRun, str]]
ROOT = Path(__file__).parents[2]
REPORT = ROOT / "scenario_gen" / "report"
VENDOR = REPORT / "vendor"
SCRIPTS = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)


def named(run: StressRun) -> list[list[NamedPath]]:
    return [strategy.named_paths for strategy in run.scenarios[0].strategies]


def block(page: str) -> Any:
    return json.loads(next(text for attributes, text in SCRIPTS.findall(page) if "application/json" in attributes))


def candles_of(columns: list[list[int]], digits: int) -> dict[str, np.ndarray]:
    """Undo the steps with cumulative sums."""
    opens, highs, lows, closes = map(np.array, columns)
    close = np.cumsum(closes)
    opened = np.concatenate([[0], close[:-1]]) + opens
    high, low = np.maximum(opened, close) + highs, np.minimum(opened, close) - lows
    columns_by_name = {"open": opened, "high": high, "low": low, "close": close}
    return {key: column / 10**digits for key, column in columns_by_name.items()}


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# --- What the page carries ---


def test_the_library_is_the_one_that_is_pinned_and_its_licence_is_beside_it():
    library = (VENDOR / zoom.LIBRARY).read_bytes()
    assert hashlib.sha256(library).hexdigest() == zoom.SHA256
    assert f"TradingView Lightweight Charts™ v{zoom.VERSION}".encode() in library[:120]
    assert "Apache License" in (VENDOR / "LICENSE").read_text()
    assert "https://www.tradingview.com/" in (VENDOR / "NOTICE").read_text(encoding="utf-8")


def test_the_library_can_stand_in_a_page_and_makes_no_code_from_text():
    library = (VENDOR / zoom.LIBRARY).read_text(encoding="utf-8")
    assert (
        re.findall(r"</script|<!--|<script|\r|\x00|\beval\(|new Function|importScripts|fetch\(|XMLHttp", library) == []
    )


def test_what_a_package_holds_names_the_library_the_script_and_the_licence():
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["scenario_gen"]
    for needed in (
        f"report/vendor/{zoom.LIBRARY}",
        "report/vendor/LICENSE",
        "report/vendor/NOTICE",
        "report/templates/zoom.js",
    ):
        assert (ROOT / "scenario_gen" / needed).is_file()
        assert any(fnmatch(needed, pattern) for pattern in patterns), needed


def test_our_script_writes_text_and_never_markup():
    script = (REPORT / "templates" / "zoom.js").read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|\.style\b|setTimeout\(|https?:"
    assert re.findall(forbidden, script) == []
    assert script.isascii()


def test_a_page_without_named_paths_carries_no_script_at_all(mini: StressRun):
    (scenario,) = mini.scenarios
    bare = [replace(strategy, named_paths=[]) for strategy in scenario.strategies]
    page = build_page(replace(mini, scenarios=[replace(scenario, strategies=bare)]))
    assert "<script" not in page
    assert "script-src" not in page
    assert "tradingview" not in page.lower()


def test_the_numbers_of_a_chart_are_those_of_the_run_to_six_digits(full: StressRun):
    data = zoom.payload(named(full), full.scenarios[0].context)
    # the anchor of some 2,500 has four digits before the point, so that two are left after it: half a unit is .005
    assert data["digits"] == 2
    for number, paths in enumerate(named(full)):
        for entry, path in enumerate(paths):
            chart = data["paths"][f"{number}-{entry}"]
            for key, values in candles_of(data["candles"][chart["candles"]], 2).items():
                np.testing.assert_allclose(values, getattr(path, key), rtol=0, atol=0.005 + 1e-9)
            equity = 100 * np.array(path.equity) / path.equity[0]
            np.testing.assert_allclose(np.cumsum(chart["equity"]) / 100, equity, rtol=0, atol=0.005 + 1e-9)
            np.testing.assert_allclose(np.cumsum(chart["exposure"]) / 1000, path.exposure, rtol=0, atol=0.0005 + 1e-9)
            assert [trade[0] for trade in chart["trades"]] == [int(trade.side == "long") for trade in path.trades]
            np.testing.assert_allclose([t[6] for t in chart["trades"]], [t.pnl for t in path.trades], rtol=1e-6)
    context = full.scenarios[0].context
    past = candles_of(data["before"]["candles"], 2)
    np.testing.assert_allclose(past["close"], context.close[-24:], rtol=0, atol=0.005 + 1e-9)


def test_a_path_that_two_strategies_name_is_kept_once(full: StressRun):
    data = zoom.payload(named(full), full.scenarios[0].context)
    ids = {path.path_id for paths in named(full) for path in paths}
    assert len(data["candles"]) == len(ids) < sum(map(len, named(full)))
    assert len(data["times"]) == 1


def test_long_paths_show_the_bars_around_their_deepest_drawdown_and_stay_light(full: StressRun):
    (path, *_), *_ = named(full)
    bars = 30_000
    equity = [100.0] * 20_000 + [50.0] * (bars - 20_000 + 1)
    long = replace(
        path, timestamps=["2019-01-01"] * bars, equity=equity, exposure=[1.0] * bars, trades=[],
        **{key: [100.0] * bars for key in ("open", "high", "low", "close")},
    )  # fmt: skip
    data = zoom.payload([[long], [long]], full.scenarios[0].context)
    chart = data["paths"]["1-0"]
    shown = len(chart["exposure"])
    assert shown == zoom.BARS_OF_ALL // 2
    assert chart["start"] <= 20_000 < chart["start"] + shown
    assert chart["bars"] == bars


def test_a_book_has_a_line_per_asset_and_of_many_the_outermost(full: StressRun):
    path = book_path(named(full)[0][0], assets=11)
    data = zoom.payload([[path]], full.scenarios[0].context)
    chart = data["paths"]["0-0"]
    names = [line["name"] for line in chart["lines"]]
    assert names == [f"a{n}" for n in (0, 1, 2, 3, 7, 8, 9, 10)]  # a0 falls most, a10 rises most
    assert chart["assets"] == 11
    first = chart["lines"][-1]
    np.testing.assert_allclose(
        np.cumsum(first["closes"]) / 10_000,
        np.array(path.closes["a10"]) / path.closes["a10"][0],
        rtol=0,
        atol=0.00005 + 1e-12,
    )
    assert chart["trades"][0][8] == "a10"


def book_path(path: NamedPath, assets: int) -> NamedPath:
    bars = len(path.exposure)
    closes = {
        f"a{n}": [100 * (1 + 0.01 * (n - assets / 2)) ** (bar / bars) for bar in range(bars)] for n in range(assets)
    }
    return replace(
        path, open=[], high=[], low=[], close=[], closes=closes,
        trades=[replace(trade, asset=f"a{assets - 1}") for trade in path.trades],
    )  # fmt: skip


def test_a_name_in_the_block_cannot_leave_it_and_cannot_turn_text_around(full: StressRun, mini: StressRun):
    (scenario,) = mini.scenarios
    hostile = "</script>\u202e"
    path = book_path(scenario.strategies[0].named_paths[0], assets=2)
    path = replace(path, closes={hostile: path.closes["a0"]}, timestamps=[hostile] * len(path.exposure))
    told = zoom.parts([[path]], scenario.context)["zoom"].data
    assert not re.search("[<>&'\u202e]", told)
    data = json.loads(told)
    assert data["paths"]["0-0"]["lines"][0]["name"].startswith("</sc")
    assert data["times"][0][0] == "</script>⟨U+202E⟩"


@pytest.mark.parametrize("name", ["full", "mini", "hostile", "degenerate"])
def test_the_policy_names_the_style_and_the_scripts_by_their_hash_and_nothing_else(pages: Pages, name: str):
    page = pages[name][1]
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert policy
    assert style
    scripts = " ".join(digest(text) for attributes, text in SCRIPTS.findall(page) if "json" not in attributes)
    assert policy[1].split("; ") == [
        "default-src 'none'", f"style-src {digest(style[1])}", f"script-src {scripts}", "base-uri 'none'",
        "form-action 'none'",
    ]  # fmt: skip
    assert scripts.count("sha256-") == 2


# --- In a real browser ---


@pytest.fixture(scope="module")
def files(pages: Pages, full: StressRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {name: folder / f"{name}.html" for name in pages}
    for name, path in written.items():
        path.write_text(pages[name][1], encoding="utf-8")
    return written


FIRST = "document.querySelector('[data-zoom]')"


def focus_opener(browser: Any) -> None:
    browser.run(f"{FIRST}.closest('details').open = true, {FIRST}.querySelector('button').focus()")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_keyboard_opens_a_chart_that_is_drawn_without_a_complaint(
    browser: Any, files: dict[str, Path], width: int, dark: bool
):
    browser.open(files["full"], width=width, dark=dark)
    focus_opener(browser)
    browser.press("Enter")
    assert browser.until(f"{INK}[0] > 3 && {INK}[1] > 5")  # canvases, and colours on them
    assert browser.run("getComputedStyle(document.querySelector('.chart').previousElementSibling).display") == "none"
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.complaints() == []


def test_keys_move_the_crosshair_zoom_and_return_to_the_picture(browser: Any, files: dict[str, Path], full: StressRun):
    path = named(full)[0][0]
    browser.open(files["full"])
    focus_opener(browser)
    browser.press("Enter")
    told = "document.querySelector('.readout').textContent"
    assert browser.run("document.activeElement.className") == "chart"
    assert browser.run(told).startswith("bar 62 · ")
    browser.press("ArrowLeft")
    browser.press("ArrowLeft", shift=True)
    text = browser.run(told)
    assert text.startswith(f"bar 51 · {path.timestamps[51]} · ")
    close = f"{path.close[51]:,.2f}".replace(",", "\u202f")
    assert f"close {close}" in text
    browser.press("Home")
    assert browser.run(told).startswith("context, 24 bars before · ")
    before = browser.picture()
    browser.press("+")
    assert browser.redrawn(before)
    browser.press("0")
    browser.press("Escape")
    assert browser.run("document.querySelectorAll('.chart, .readout').length") == 0
    assert browser.run("document.activeElement.textContent") == "Zoom into this path"
    assert browser.run(f"getComputedStyle({FIRST}.querySelector('.scroll')).display") == "block"
    assert browser.complaints() == []


def test_a_pointer_reads_bars_the_wheel_zooms_and_another_colour_scheme_draws_anew(
    browser: Any, files: dict[str, Path]
):
    browser.open(files["full"])
    focus_opener(browser)
    browser.press("Enter")
    left, top = browser.run(
        "(box => [box.x + 200, box.y + 120])(document.querySelector('.chart').getBoundingClientRect())"
    )
    told = "document.querySelector('.readout').textContent"
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left, y=top)
    here = browser.run(told)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 250, y=top)
    assert browser.until(f"{told} !== {json.dumps(here)}")
    drawn = browser.picture()
    browser.call("Input.dispatchMouseEvent", type="mouseWheel", x=left, y=top, deltaX=0, deltaY=-300)
    assert browser.redrawn(drawn)
    ground = "[...document.querySelector('.chart canvas').getContext('2d').getImageData(3, 40, 1, 1).data].join()"
    assert browser.until(f"{ground} === '255,255,255,255'")
    browser.media(dark=True)
    assert browser.until(f"{ground} === '17,23,29,255'")  # --bg: #11171d
    assert browser.complaints() == []


def test_what_a_fill_was_and_made_is_said_at_its_bar(browser: Any, files: dict[str, Path], full: StressRun):
    number, entry, trade = next(
        (number, entry, trade)
        for number, paths in enumerate(named(full))
        for entry, path in enumerate(paths)
        for trade in path.trades
        if not trade.open and trade.exit_bar > 5
    )
    holder = f"document.querySelector('[data-zoom=\"{number}-{entry}\"]')"
    browser.open(files["full"])
    browser.run(f"{holder}.closest('details').open = true, {holder}.querySelector('button').click()")
    bars = len(named(full)[number][entry].exposure)
    for _ in range(bars - 1 - trade.exit_bar):
        browser.press("ArrowLeft")
    profit = f"{trade.pnl:+,.2f}".replace(",", "\u202f").replace("-", "\u2212")
    text = browser.run("document.querySelector('.readout').textContent")
    assert f"closed {trade.side} at " in text
    assert f"profit {profit}" in text


def test_a_screen_reader_hears_the_picture_s_words_and_the_help(browser: Any, files: dict[str, Path]):
    browser.open(files["full"])
    focus_opener(browser)
    browser.press("Enter")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    chart = next(node for node in tree if node.get("role", {}).get("value") == "application")
    assert chart["name"]["value"].startswith("Candles, exposure and equity of ")
    assert "left and right move the crosshair" in chart["description"]["value"]
    buttons = {node["name"]["value"] for node in tree if node.get("role", {}).get("value") == "button"}
    assert {"Picture", "Zoom in", "Zoom out", "Whole path"} <= buttons


def test_without_scripts_and_on_paper_the_picture_is_what_is_seen(browser: Any, files: dict[str, Path]):
    browser.open(files["full"], scripts=False)
    # scripts of the page are off; that the tester may still ask is the protocol's rule
    assert browser.call("DOM.getDocument", depth=-1)["root"]
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("document.querySelectorAll('[data-zoom] button').length") == 0
    assert browser.run(f"{FIRST}.querySelector('svg').getBoundingClientRect().height") > 100
    browser.open(files["full"])
    focus_opener(browser)
    browser.press("Enter")
    browser.media(kind="print")
    assert browser.run(f"getComputedStyle({FIRST}.querySelector('.scroll')).display") == "block"
    assert browser.run("getComputedStyle(document.querySelector('.chart')).display") == "none"
    assert browser.run("getComputedStyle(document.querySelector('.tools')).display") == "none"


@pytest.mark.parametrize("name", ["mini", "hostile", "degenerate"])
def test_charts_of_every_page_open(browser: Any, files: dict[str, Path], pages: Pages, name: str):
    browser.open(files[name])
    browser.run('document.querySelectorAll(`[data-zoom$="-0"] button`).forEach(button => button.click())')
    strategies = sum(len(scenario.strategies) for scenario in pages[name][0].scenarios[:1])
    assert browser.run("document.querySelectorAll('.chart').length") == min(strategies, 8)
    assert "NaN" not in browser.run("[...document.querySelectorAll('.readout')].map(each => each.textContent).join()")
    assert browser.run("window.pwn === undefined")
    assert browser.complaints() == []


def test_a_book_s_chart_has_its_assets_as_lines(browser: Any, mini: StressRun, tmp_path: Path):
    (scenario,) = mini.scenarios
    strategy = scenario.strategies[0]
    path = book_path(strategy.named_paths[0], assets=3)
    run = replace(mini, scenarios=[replace(scenario, strategies=[replace(strategy, named_paths=[path])])])
    page = tmp_path / "book.html"
    page.write_text(build_page(run), encoding="utf-8")
    browser.open(page)
    focus_opener(browser)
    browser.press("Enter")
    assert browser.until(f"{INK}[1] > 5")
    assert "a0 \u2212" in browser.run("document.querySelector('.readout').textContent")
    assert browser.complaints() == []


def test_a_script_that_is_smuggled_in_does_not_run_and_a_changed_library_does_not_either(
    browser: Any, files: dict[str, Path], tmp_path: Path
):
    page = files["mini"].read_text(encoding="utf-8")
    smuggled = tmp_path / "smuggled.html"
    smuggled.write_text(
        page.replace("<footer>", "<script>window.pwn = 1</script><p style='color: red'></p><footer>"), encoding="utf-8"
    )
    browser.open(smuggled)
    assert browser.run("window.pwn === undefined")
    assert len([text for text in browser.complaints() if "Content Security Policy" in text]) == 2
    changed = tmp_path / "changed.html"
    changed.write_text(
        page.replace("window.LightweightCharts=", "window.pwn=window.LightweightCharts="), encoding="utf-8"
    )
    browser.open(changed)
    assert browser.run("window.LightweightCharts === undefined && window.pwn === undefined")
    assert browser.run("document.querySelectorAll('[data-zoom] button').length") == 0
