"""Three hundred hostile requests, made at a fixed seed: paths, specs, bodies and headers that mean harm."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

TINY = """\
name: tiny
data: {source: sp500, end: 2017-06-30}
bars: {context: 64, horizon: 5}
paths: {count: 4, seed: 7, block: 2}
generator: {kind: bootstrap}
checks: {facts: false, calibration: false}
strategies:
  - use: strategies/buy_and_hold.py:BuyAndHold
"""
NAMES = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e", ".jobs", ".jobs/keys.json", "%00", "a%0d%0ab",
    "~root", "con", "' or 1=1 --", "\u202e", "x" * 3000, "..\\..\\windows", "/etc/passwd", "$(id)", "{{7*7}}",
    "<script>",
)  # fmt: skip
ROUTES = (
    "/api/jobs/{}", "/api/jobs/{}/events", "/api/jobs/{}/report", "/api/runs/{}/report", "/api/runs/{}/result",
    "/api/runs/x/files/{}", "/{}", "/web/{}",
)  # fmt: skip
SPECS = (
    "", "{", "- 1", "a: *b", "!!python/object/apply:os.system ['id']", "[" * 500, "x: " + "9" * 5000, "\x00",
    "---\n---\n", "&a [*a]", TINY.replace("strategies/buy_and_hold.py", "/etc/passwd"),
    TINY.replace("sp500", "yahoo, symbol: SPY"),
    TINY.replace("source: sp500", "file: ../../etc/shadow"), TINY.replace("bootstrap", "kronos, model: /etc"),
    TINY.replace("count: 4", "count: 99999999999999999999"), TINY + "execute: {kind: ray}\n",
    TINY.replace("source: sp500, end: 2017-06-30", "sql: select 1"), TINY.replace("name: tiny", "name: ../x"),
)  # fmt: skip
BODIES = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'{"spec": 1}',
    b'{"spec": "a", "more": 1}',
    b"{" * 5000,
    b'{"spec": "\\ud800"}',
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


def requests(count: int = 300, seed: int = 20) -> Iterator[dict[str, Any]]:
    """Yield requests as httpx takes them; none of them is one that a server may serve."""
    random_ = random.Random(seed)
    for number in range(count):
        kind = number % 4
        if kind == 0:
            yield {"method": "GET", "url": random_.choice(ROUTES).format(random_.choice(NAMES))}
        elif kind == 1:
            text = json.dumps({"spec": random_.choice(SPECS)}).encode()
            yield {"method": "POST", "url": "/api/jobs", "content": text}
        elif kind == 2:
            yield {"method": "POST", "url": random_.choice(("/api/jobs", "/api/validate", "/api/draft")), "content":
                   random_.choice(BODIES)}  # fmt: skip
        else:
            headers = random_.choice(({"Host": "evil"}, {"Origin": "null"}, {"Authorization": "Bearer \x7f"}))
            path = random_.choice(ROUTES).format(random_.choice(NAMES))
            yield {"method": random_.choice(METHODS[1:]), "url": path, "headers": headers}
