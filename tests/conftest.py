"""Fixtures for all rooms: miniature checkpoints, real contexts from arch's built-in history, a Hub on loopback."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils import close_session

from scenario_gen.kronos import (
    Checkpoint,
    Kronos,
    KronosTokenizer,
    ModelConfig,
    TokenizerConfig,
    registry,
    save_checkpoint,
)
from scenario_gen.kronos.registry import KNOWN_MODELS, KnownModel
from scenario_gen.kronos.representation import Increments
from scenario_gen.market import Candles, load_candles
from tests.kronos.hub_server import MODEL, MODEL_COMMIT, TOKENIZER, TOKENIZER_COMMIT, LoopbackHub, files_of
from tests.report.browser import Browser, chromium

GOLDEN = Path(__file__).parent / "kronos" / "golden"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search for no garbage while all is imported, and leave what came in out of every later search: it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Checkpoint:
    """A random checkpoint of our own kind: increments, training form, cell volumes."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tokenizer = KronosTokenizer(TokenizerConfig(5, 16, 4, 32, 2, 2, 4, 4, 4)).eval()
        model = Kronos(ModelConfig(2, 32, 4, 64, 4, 4)).eval()
        volumes = torch.randn(16)
    model.requires_grad_(False)
    tokenizer.requires_grad_(False)
    return Checkpoint("tiny", model, tokenizer, Increments(), 64, "train", volumes)


@pytest.fixture(scope="session")
def tiny_folder(tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature checkpoint on disk, for specs that name a folder."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    save_checkpoint(tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium without a window."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on this machine")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def sp500() -> Candles:
    """The real S&P 500, daily, 1999-2018."""
    return load_candles("sp500")


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The miniature published checkpoint with upstream's own numbers."""
    return GOLDEN


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache of this test alone."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    return tmp_path / "cache"


@pytest.fixture
def hub_server(hub_cache: Path, golden_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """The golden checkpoint as two repositories of a Hub that the code is pointed at."""
    del hub_cache
    close_session()  # a client that an earlier test left open knows other proxies
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    running = LoopbackHub()
    monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
    running.publish(MODEL, MODEL_COMMIT, files_of(golden_folder / "model"))
    running.publish(TOKENIZER, TOKENIZER_COMMIT, files_of(golden_folder / "tokenizer"))
    yield running
    running.close()
    close_session()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A known model of a made-up name whose repositories are on the loopback Hub."""
    known = KnownModel("stand-in", MODEL, MODEL_COMMIT, TOKENIZER, TOKENIZER_COMMIT, 35_744, 43_024, 33, "of the tests")
    monkeypatch.setattr(registry, "KNOWN_MODELS", (*KNOWN_MODELS, known))
    return known
