"""Checks that hold a page against its run, written without the report's own formatting code."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from typing import Any

from scenario_gen.store.results import StressRun
from scenario_gen.values import encode

NUMBER = re.compile(
    r'<span data-v="([^"]*)" data-f="([^"]*)" data-p="([^"]*)">([^<]*)</span>'
    r'(?:<sup>.</sup>)?(?: <span class="ci">([^<]*)</span>)?'
)
SEVERITY = ["PASS", "UNTESTABLE", "INCONCLUSIVE", "WARN", "FAIL"]


class Reader(HTMLParser):
    """Collects what a reader sees, and the tags and attributes that make it."""

    VOID = ("meta", "br", "path", "line", "rect", "circle", "use")

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def seen(page: str) -> str:
    """Return the visible text and the labels that are read aloud."""
    reader = read(page)
    aloud = [value for _, attrs in reader.tags for key in ("aria-label", "data-h") if (value := attrs.get(key))]
    return " ".join([*reader.text, *aloud])


def look_up(data: Any, pointer: str) -> Any:
    for key in pointer.split("/"):
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def as_text(value: float, form: str) -> str:
    """Format a number the naive way."""
    kind, _, digits = form.partition(":")
    scale, decimals, tail = {
        "percent": (100, 1, "%"), "signed percent": (100, 1, "%"), "level": (100, 1, "%"),
        "change": (100, 2, "%"), "number": (1, int(digits or 0), ""), "count": (1, 0, ""),
        "price": (1, 0 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 4, ""),
    }[kind]  # fmt: skip
    text = f"{value * scale:,.{decimals}f}".replace("-", "\u2212").replace(",", "\u202f") + tail
    if re.fullmatch(r"\u2212[0.]+%?", text):
        text = text[1:]
    if kind in ("signed percent", "change") and value > 0 and not re.fullmatch(r"[0.]+%", text):
        text = "+" + text
    return text.replace(".0%", "%") if kind == "level" else text


def bare(value: float, form: str) -> str:
    return as_text(value, form).rstrip("%").lstrip("+")


def check_numbers(page: str, run: StressRun) -> int:
    """Hold every marked number, and the error beside it, against run.json; return how many there are."""
    data = json.loads(json.dumps(encode(run)))
    found = NUMBER.findall(page)
    assert len(found) == page.count("data-v="), "a number is marked in a way that this check cannot read"
    for value, form, pointer, text, error in found:
        stored = look_up(data, pointer)
        assert float(value) == stored, pointer
        assert html.unescape(text) in (as_text(stored, form), f"{as_text(stored, form)} of {_n(data, pointer)}"), (
            pointer
        )
        if pointer.endswith("/value") and "low" in look_up(data, pointer.removesuffix("/value")):
            _check_error(html.unescape(error), look_up(data, pointer.removesuffix("/value")), form, pointer)
    return len(found)


def _n(data: Any, pointer: str) -> str:
    if not pointer.endswith("/count"):
        return ""
    return as_text(look_up(data, pointer.removesuffix("/count"))["n"], "count")


def _check_error(error: str, estimate: dict[str, float | None], form: str, pointer: str) -> None:
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        assert error == "", pointer
        return
    assert error in (f"[{bare(low, form)}, {bare(high, form)}]", f"±{bare((high - low) / 2, form)}"), pointer


def check_accounts(page: str, run: StressRun) -> None:
    """Read the candle account of each scenario off the page and add it up."""
    terms = re.compile(r"(\d+) paths = (\d+) untouched \+ (\d+) only rounded \+ (\d+) repaired \+ (\d+) rejected")
    text = re.sub(r"\s+", " ", seen(page).replace("\u202f", ""))
    found = [tuple(int(term) for term in match) for match in terms.findall(text)]
    accounts = [scenario.candles for scenario in run.scenarios]
    assert sorted(found) == sorted((a.paths, a.untouched, a.rounded, a.repaired, a.rejected) for a in accounts)
    assert all(paths == sum(parts) for paths, *parts in found)


def expected_limit_label(run: StressRun) -> str:
    """Judge the declared limits once more, from the stored intervals."""
    if not run.limits:
        return "UNTESTABLE"
    labels = ["PASS"]
    for scenario in run.scenarios:
        for strategy in scenario.strategies if scenario.role == "scenario" else []:
            shares = [
                (dict(strategy.drawdown_beyond)[run.limits[key]], 0.05) for key in run.limits if key == "max_drawdown"
            ]
            shares += [(strategy.probability_of_loss, run.limits[key]) for key in run.limits if key != "max_drawdown"]
            for share, allowed in shares:
                assert share.low is not None
                assert share.high is not None
                labels.append("FAIL" if share.low > allowed else "PASS" if share.high <= allowed else "INCONCLUSIVE")
    judged = max(labels, key=SEVERITY.index)
    return "INCONCLUSIVE" if judged == "PASS" else judged  # calibration is never judged in these runs


def check_labels(page: str, run: StressRun) -> None:
    """Hold the cards' labels against the run, and every label's class, word and icon against each other."""
    cards = re.findall(r'<li class="card (\w+)"><h3>([^<]*)</h3><span class="v (\w+)"><svg.*?</svg>(\w+)</span>', page)
    shown = {title: label for label, title, _, _ in cards}
    assert len(cards) == 6
    assert all(outer == inner == word for outer, _, inner, word in cards)
    assert shown["Declared limits"] == expected_limit_label(run)
    candles = [scenario.candles.label for scenario in run.scenarios]
    assert shown["Candle integrity"] == max(candles, key=SEVERITY.index)
    assert shown["Generator: calibration"] == shown["Overfitting"] == "UNTESTABLE"
    icons: dict[str, set[str]] = {}
    for label, icon, word in re.findall(
        r'<span class="v (\w+)"><svg[^>]*><path[^>]* d="([^"]*)"/></svg>(\w*)</span>', page
    ):
        assert word in ("", label)
        icons.setdefault(label, set()).add(icon)
    assert all(len(kinds) == 1 for kinds in icons.values())
    assert len({next(iter(kinds)) for kinds in icons.values()}) == len(icons)
