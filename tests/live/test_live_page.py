"""The page of a live forecast: what stands on it, that nothing foreign can, and what a real browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.live.page import live_page, payload
from scenario_gen.live.results import LiveReport
from tests.live.test_live import step_at
from tests.report.browser import INK

SCRIPTS = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LiveReport]:
    """The folder of a live forecast, and its report."""
    folder = tmp_path_factory.mktemp("live")
    return folder / "out", step_at(folder, 300)


def test_a_step_leaves_a_page_whose_numbers_are_the_forecasts(written: tuple[Path, LiveReport]) -> None:
    folder, report = written
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page == live_page(report)
    drawn = json.loads(next(text for attributes, text in SCRIPTS.findall(page) if "application/json" in attributes))
    assert drawn == json.loads(json.dumps(payload(report)))
    assert [bar["close"] for bar in drawn["candles"]] == report.context_bars["close"]
    assert [point["value"] for point in drawn["bands"]["q95"]][1:] == report.forecast.bands["close"]["0.95"]
    assert (drawn["candles"][-1]["time"], drawn["bands"]["median"][-1]["time"]) == (0, 6)
    assert len(drawn["stamps"]) == 64 + 6
    assert f"{100 * report.forecast.rise.value:.1f}%" in page
    assert report.findings[0].measured in page
    assert '<span class="v UNTESTABLE">' in page


def test_the_page_runs_what_its_policy_names_by_hash_and_asks_nobody(written: tuple[Path, LiveReport]) -> None:
    page = live_page(written[1])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    runs = [text for attributes, text in SCRIPTS.findall(page) if not attributes]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in runs}
    assert len(runs) == 2
    assert hashes == set(re.findall(r"'sha256-([^']+)'", policy[1].split("script-src ")[1].split(";")[0]))
    assert not re.search(r"(?:src|srcset|action)=[\"']?https?:", page)
    assert len(page.encode()) < 1_500_000


def test_words_from_elsewhere_stay_words(written: tuple[Path, LiveReport]) -> None:
    report = replace(written[1], name=HOSTILE, source=HOSTILE, generator=HOSTILE, notes=[HOSTILE])
    stamped = replace(report, context_stamps=[HOSTILE] * len(report.context_stamps))
    page = live_page(stamped)
    assert "<img" not in page
    assert len(SCRIPTS.findall(page)) == 3


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_a_browser_draws_the_chart_and_keys_read_it(
    browser: Any, written: tuple[Path, LiveReport], width: int, dark: bool
) -> None:
    folder, report = written
    browser.open(folder / "index.html", width=width, dark=dark)
    assert browser.until(f"{INK}[0] > 1 && {INK}[1] > 5")  # canvases, and colours on them
    assert browser.run("getComputedStyle(document.querySelector('#live-chart .scroll')).display") == "none"
    assert browser.run("document.documentElement.scrollWidth") == width
    told = "document.querySelector('.readout').textContent"
    browser.run("document.querySelector('.chart').focus()")
    assert browser.run(told).startswith("the last bar · ")
    browser.press("ArrowRight")
    digits = payload(report)["digits"]
    assert f"median {report.forecast.bands['close']['0.5'][0]:,.{digits}f}" in browser.run(told)
    browser.press("ArrowLeft", shift=True)
    assert browser.run(told).startswith("9 bars before the last · ")
    assert browser.complaints() == []
