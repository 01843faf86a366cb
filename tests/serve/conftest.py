from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.serve.tiny import REPOSITORY


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return what opens a client of an app over an empty root, whose jobs nobody works on unless asked."""
    from starlette.testclient import TestClient

    from scenario_gen.serve.app import ServerSettings, create_app
    from scenario_gen.serve.guard import Guard

    monkeypatch.chdir(REPOSITORY)
    with ExitStack() as opened:

        def make(headers: dict[str, str] | None = None, **changes: Any) -> TestClient:
            guard = changes.pop("guard", Guard(tmp_path, strategies=(Path("strategies"),)))
            settings = replace(ServerSettings(guard, workers=0, queue=3, burst=10_000, log=lambda **_: None), **changes)
            app = create_app(settings)
            return opened.enter_context(TestClient(app, base_url="http://127.0.0.1", headers=headers))

        yield make
