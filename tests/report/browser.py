"""A real browser for the tests: Chromium over its own pipe (the DevTools protocol), nothing installed beside it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and answers on 4.
START = """
import os, sys
ends = [os.dup(int(number)) for number in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
    os.set_inheritable(number, True)  # a pipe that stood there already was not
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "ArrowLeft": (37, ""), "ArrowRight": (39, "")}
KEYS |= {"Home": (36, ""), "End": (35, ""), "+": (187, "+"), "-": (189, "-"), "0": (48, "0")}
PATIENCE = 60.0  # seconds for one answer
# How many canvases a page's charts have, and how many colours stand on them.
INK = """(() => {
  const canvases = [...document.querySelectorAll('.chart canvas')], seen = new Set();
  for (const canvas of canvases) {
    const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    for (let at = 0; at < pixels.length; at += 7) seen.add(pixels[at]);
  }
  return [canvases.length, seen.size];
})()"""


def chromium() -> str | None:
    """Return Chromium's program, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page of a Chromium without a window; :attr:`events` holds what it said since it was opened."""

    def __init__(self, program: str, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        whole = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, str(commands), str(answers), *whole],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._session, self._number, self._rest = "", 0, b""
        self.events: list[dict[str, Any]] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser that we started."""
        os.close(self._commands)  # the end of its pipe ends it
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], until - time.monotonic())
            assert ready, "the browser does not answer"
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser ended"
            self._rest += piece
        whole, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(whole)
        return message

    def open(
        self, page: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True
    ) -> None:
        """Show a file or an address and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.media(dark=dark)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        until = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < until
            self.events.append(self._read())

    def media(self, *, dark: bool = False, kind: str = "") -> None:
        """Set the reader's colour scheme, and whether this is ``print``."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def run(self, script: str) -> Any:
        """Return the value of an expression of the page, after the browser has drawn twice."""
        drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        whole = f"(async () => {{ await {drawn}; return ({script}); }})()"
        answer = self.call("Runtime.evaluate", expression=whole, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str) -> bool:
        """Whether an expression of the page comes true; a busy machine may take its time to draw."""
        end = time.monotonic() + PATIENCE / 4
        while not (held := self.run(script)) and time.monotonic() < end:
            time.sleep(0.05)
        return bool(held)

    def redrawn(self, before: bytes) -> bool:
        """Whether the window comes to show something else than ``before``."""
        end = time.monotonic() + PATIENCE / 4
        while self.picture() == before and time.monotonic() < end:
            self.run("0")
        return self.picture() != before

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, as a hand does."""
        code, text = KEYS[key]
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown",
            **common,
            **({"text": text} if text else {}),
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def complaints(self, *servers: str) -> list[str]:
        """Return errors, warnings and requests since the page was opened; a violation of the policy is an error.

        Requests to ``servers``, which are the beginnings of addresses, are none.
        """
        told = []
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                told.append(str(parameters["exceptionDetails"]))
            if event.get("method") == "Log.entryAdded":
                text = str(parameters["entry"]["text"])
                told += [] if "willReadFrequently" in text else [text]  # a hint on the tests' own look at the pixels
            if event.get("method") == "Runtime.consoleAPICalled":
                told.append(str(parameters["args"]))
            if event.get("method") == "Network.requestWillBeSent":
                address = parameters["request"]["url"]
                told += [] if address.startswith(("file:", "about:", *servers)) else [address]
        return told

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        import base64

        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
