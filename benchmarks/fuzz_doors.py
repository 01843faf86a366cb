"""What comes through the doors: thousands of damaged specs, configs, files, checkpoints and run folders.

    python -m benchmarks.fuzz_doors                      1,000 inputs at each door
    python -m benchmarks.fuzz_doors --door histories --inputs 200 --seconds 60

Every input is a good one with a few things done to it that its format knows (a value of another kind, a key twice, a
stamp moved, a byte turned, a column of bytes ...), drawn from the seed, the door and its own number, so that one
failure is made again alone: ``--door specs --only 17``. A door may refuse or accept. It fails where it raises anything
but an error of ours, takes over 60 s, brings the process over 2 GB, lets a number through that cannot be right, prints
what a terminal would obey, or refuses without a word on what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import io
import json
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from scenario_gen.backtest.broker import Broker
from scenario_gen.candles.check import mend_paths
from scenario_gen.cli.specs import summary
from scenario_gen.errors import ScenarioError, printable
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.market import load_candles
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles, columns_of, invalid
from scenario_gen.pipeline.given.backtest import given_paths
from scenario_gen.spec.loader import load_spec
from scenario_gen.store.folder import RunFolder
from scenario_gen.training.config import load_config

ROOT = Path(__file__).parent.parent
LONGEST, LARGEST = 60.0, 2e9  # seconds and bytes that one input may take
TELLS = re.compile(
    r"expected|to do:|unknown key|did you mean|missing|twice|give |keep |lower |write |remove |taken by|It has:"
)

Rng: TypeAlias = np.random.Generator
# Values that somebody, some day, writes in a field's place.
ODD: tuple[Any, ...] = (
    None, True, "", " ", "t\n", "x" * 5000, "\x1b[31mred\x1b[0m", "\x9b2J", "\u202eabc", "~no-such-user/x", "../../etc",
    "a\0b", "nan", "1e999", -1, 0, 1, 2**63, 10**400, -0.0, 1e-320, 1e38, 1e308, float("nan"), float("inf"), [],
    {}, [[]], {"a": {"b": {}}}, "1500-01-01", "9999-12-31", "2018-13-45", "2018-12-31T25:00", "x2", "2bp", "XPAR",
    "24/7", "CON", [1] * 300, "\u6e2c\u8a66", "yes", "null", "1:30", "010", "!!python/object:x", "*a", "&a b", "nano",
    "sp500",
)  # fmt: skip


# --- What is done to an input ---


def choose(rng: Rng, listed: Any) -> Any:
    """Return an entry of a list."""
    return listed[int(rng.integers(len(listed)))]


def times(rng: Rng) -> int:
    """Return how many things are done to an input: one as a rule, so that what stands behind the door is met too."""
    return int(choose(rng, [0, 1, 1, 1, 1, 2, 3]))


def shaken(rng: Rng, values: Any, count: int) -> Any:
    """Return plain values with some entries replaced, dropped, moved or deepened."""
    changed = json.loads(json.dumps(values))
    for _ in range(count):
        places = list(_places(changed))
        if not places:
            return deepcopy(choose(rng, ODD))
        parent, key = choose(rng, places)
        act = int(rng.integers(7))
        if act <= 3:
            parent[key] = deepcopy(choose(rng, ODD))
        elif act == 4:
            del parent[key]
        elif act == 5 and isinstance(parent, dict):
            parent[str(choose(rng, ["", "x", "kind", "name", "file", "end", str(key).upper(), f"{key} "]))] = parent[
                key
            ]
        else:
            other, at = choose(rng, list(_places(changed)))
            parent[key] = json.loads(json.dumps(other[at]))
    return changed


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield values, key
        yield from _places(values[key])


def turned(rng: Rng, raw: bytes) -> bytes:
    """Return bytes with some turned, cut, doubled or put in."""
    changed = bytearray(raw)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(len(changed) + 1))
        act = int(rng.integers(5))
        if act == 0 and at < len(changed):
            changed[at] ^= 1 << int(rng.integers(8))
        elif act == 1:
            del changed[at : at + int(rng.integers(1, 200))]
        elif act == 2:
            changed[at:at] = changed[max(0, at - 100) : at] * int(rng.integers(1, 4))
        elif act == 3:
            changed[at:at] = choose(
                rng, [b"\0", b"\xff\xfe", b"\x1b[2J", b"\xed\xa0\x80", b"[" * 3000, b"\n\n", b'"', b",", b"\r"]
            )
        else:
            del changed[at:]
    return bytes(changed)


def in_yaml(rng: Rng, values: Any) -> str:
    """Return values as YAML, in one of the ways in which people and programs write it."""
    import yaml

    way = int(rng.integers(3))
    if way == 0:
        return json.dumps(values)  # JSON is YAML, NaN and escapes included
    text = yaml.safe_dump(values, allow_unicode=bool(rng.integers(2)), default_flow_style=way == 1, sort_keys=False)
    return turned(rng, text.encode()).decode("utf-8", "replace") if rng.random() < 0.2 else text


# --- The doors: a good input, what is done to it, and what is asked of what is let in ---


def specs(rng: Rng, folder: Path) -> str:
    """Read, judge and sum up a spec, as ``validate`` does."""
    values = {
        "name": "x",
        "data": {"source": "sp500", "end": "2018-06-29", "start": "2010-01-04"},
        "bars": {"context": 256, "horizon": 63},
        "paths": {"count": 512, "seed": 1, "block": 256, "keep": "metrics"},
        "generator": {"kind": "kronos", "model": "nano", "temperature": 1.0, "top_p": 0.9},
        "scenarios": [{"name": "base"}, {"name": "dear", "broker": {"fees": "x3", "slippage": "5bp"}}],
        "baselines": ["bootstrap", "garch"],
        "checks": {"on_invalid": "repair", "calibration": {"origins": 30, "paths": 49}},
        "broker": {"cash": 100000, "fees": 0.0005, "slippage": "2bp", "fill": "next_open", "leverage": 2},
        "market": {"tick_size": 0.01, "lot_size": 1, "price_limit": 0.1},
        "strategies": [{"use": f"{ROOT}/strategies/sma_cross.py:SmaCross", "params": {"fast": [10, 20], "slow": 50}}],
        "limits": {"max_drawdown": 0.25, "probability_of_loss": 0.4},
        "report": {"folder": "reports/x", "title": "x"},
    }
    path = folder / str(choose(rng, ["spec.yaml", "s\x1b[31m.yaml", "\u6e2c.yaml"]))
    path.write_text(in_yaml(rng, shaken(rng, values, times(rng))), encoding="utf-8", errors="surrogatepass")
    return summary(load_spec(path))


def configs(rng: Rng, folder: Path) -> str:
    """Read a training config."""
    shape = {"d_model": 32, "n_heads": 2, "ff_dim": 64, "s1_bits": 4, "s2_bits": 4}
    values = {
        "name": "x",
        "seed": 1,
        "representation": "increments",
        "data": {"source": "sp500", "start": "2000-01-01", "end": "2018-01-01", "emphasis": {"index": 2.0}},
        "window": {"bars": 128, "context_min": 64, "context_max": 96, "coarser": [2, 3]},
        "tokenizer": {"steps": 2, "shape": {**shape, "d_in": 5, "n_enc_layers": 2, "n_dec_layers": 2, "group_size": 4}},
        "model": {"steps": 2, "shape": {**shape, "n_layers": 1}, "learning_rate": 0.001},
    }
    path = folder / "config.yaml"
    path.write_text(in_yaml(rng, shaken(rng, values, times(rng))), encoding="utf-8", errors="surrogatepass")
    config, _ = load_config(path)
    if not re.fullmatch(r"[\w][\w .-]*", config.name):
        raise AssertionError(f"the name {config.name!r} would be a folder's")
    return f"{config.name}: {config.trained}"


def _table(rng: Rng, bars: int) -> pd.DataFrame:
    stamps = choose(
        rng, [pd.bdate_range("2020-01-01", periods=bars), pd.date_range("2020-01-01", periods=bars, freq="5min")]
    )
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(bars)))
    opened = np.append(100.0, close[:-1])
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    volume = rng.integers(1, 10_000, bars).astype(float)
    return pd.DataFrame({"date": stamps, "open": opened, "high": high, "low": low, "close": close, "volume": volume})


NAMES = (
    "date",
    "time",
    "Open",
    "HIGH",
    "<VOL>",
    "Adj Close",
    "symbol",
    "path",
    "",
    "\x1b[31m",
    "amount",
    "x" * 300,
    "\u6536\u76d8",
)


def _bent(rng: Rng, table: pd.DataFrame) -> pd.DataFrame:  # noqa: PLR0911  a return per kind of damage
    """Return a table with something done to a column, a row or a few cells."""
    table = table.copy()
    column = str(choose(rng, list(table.columns)))
    act = int(rng.integers(10))
    if act == 0:
        return table.rename(columns={column: choose(rng, NAMES)})
    if act == 1:
        return table.drop(columns=column)
    if act == 2:
        return table.sample(frac=1.0, random_state=int(rng.integers(2**31)))
    if act == 3:
        return pd.concat([table, table.iloc[: int(rng.integers(1, len(table)))]])
    if list(table.columns).count(column) == 1 and act == 4 and table[column].dtype == float:
        return table.assign(**{column: table[column] * 10.0 ** int(rng.integers(-320, 309))})
    if act == 5:
        stamps = pd.Series(range(len(table)), index=table.index) * int(10 ** rng.integers(0, 12)) + int(
            10 ** rng.integers(0, 19)
        )
        return table.assign(date=stamps)
    if act == 6 and list(table.columns).count(column) == 1:
        return table.assign(**{str(choose(rng, NAMES)): table[column]})
    if act == 7:
        return table.assign(
            date=table["date"].astype(str) + str(choose(rng, ["Z", "+01:00", " 25:00", "\x1b[2J", "\u0660"]))
        )
    if list(table.columns).count(column) > 1:
        return table
    cells = table[column].astype(object)
    for at in rng.integers(len(table), size=int(rng.integers(1, 4))):
        cells.iloc[int(at)] = choose(rng, [v for v in ODD if not isinstance(v, list | dict)])
    return table.assign(**{column: cells})


def _written(rng: Rng, table: pd.DataFrame, folder: Path, name: str) -> Path:
    """Write a table as CSV, packed CSV or Parquet, sometimes with bytes turned."""
    ending = str(choose(rng, [".csv", ".csv", ".csv.gz", ".parquet"]))
    path = folder / f"{name}{ending}"
    if ending == ".parquet":
        try:
            if rng.random() < 0.3 and "date" in table:
                table = table.set_index("date")
            table.to_parquet(path)
        except (
            ValueError,
            TypeError,
            OverflowError,
            OSError,
            pa.ArrowException,
        ):  # what no library writes: cells of several kinds
            table.reset_index(drop=True).astype(str).set_axis(
                [f"{n}" for n in range(table.shape[1])], axis=1
            ).to_parquet(path)
    else:
        text = table.to_csv(index=False, sep=str(choose(rng, [",", ",", ";", "\t"])))
        raw = text.encode("utf-8", "surrogatepass")
        path.write_bytes(gzip.compress(raw) if ending == ".csv.gz" else raw)
    if rng.random() < 0.15:
        path.write_bytes(turned(rng, path.read_bytes()))
    return path


def histories(rng: Rng, folder: Path) -> str:
    """Load a history, and resample it where it is let in."""
    table = _table(rng, int(rng.integers(60, 300)))
    for _ in range(times(rng)):
        table = _bent(rng, table) if len(table) and "date" in table else table
    path = _written(rng, table, folder, str(choose(rng, ["bars", "b\x1b[31m", "\u6e2c"])))
    asked: dict[str, Any] = {}
    if rng.random() < 0.3:
        asked = {
            choose(rng, ["start", "end", "timezone", "calendar", "symbol"]): choose(
                rng, [v for v in ODD if isinstance(v, str)]
            )
        }
    candles = load_candles(path, **asked)
    _require(not invalid(columns_of(candles.values, candles.fields)).any(), "candles that break the contract")
    _require(bool((np.diff(candles.timestamps.asi8) > 0).all()), "stamps that do not rise")
    told = [candles.name, *candles.flag_texts()]
    if len(candles) >= 40:
        _resampled(candles)
    return "\n".join(printable(text) for text in told)


def _resampled(candles: Candles) -> None:
    stamps = BarCalendar.infer(candles.timestamps, candles.calendar).future(8)
    _require(stamps[0] > candles.timestamps[-1], "future stamps before the end")
    paths = StationaryBootstrap().sample(candles.context(min(len(candles), 256)), stamps, Draws.block(0, 0, 4))
    kept = mend_paths(paths)
    _require(bool(np.isfinite(kept.values).all()), "paths that are not finite")


def path_tables(rng: Rng, folder: Path) -> str:
    """Read a table of paths and make it ready to be traded, with a context or without."""
    history = _table(rng, 120)
    count, bars = int(rng.integers(1, 6)), int(rng.integers(2, 20))
    ahead = BarCalendar.infer(pd.DatetimeIndex(history["date"])).future(bars)
    parts = [_table(rng, bars).assign(date=ahead, path=number) for number in range(count)]
    table = pd.concat(parts, ignore_index=True)
    for _ in range(times(rng)):
        table = _bent(rng, table) if len(table) and "date" in table else table
    path = _written(rng, table, folder, "paths")
    context = None if rng.random() < 0.5 else history
    end = None if rng.random() < 0.8 else str(choose(rng, [v for v in ODD if isinstance(v, str)]))
    ready = given_paths(path, context, context_end=end if context is not None else None, broker=Broker())
    _require(bool(np.isfinite(ready.paths.values).all()), "paths that are not finite")
    _require(bool((ready.paths.values[..., :4] > 0).all()), "prices that are not positive")
    _require(np.isfinite(ready.bars_per_year), "a year of infinitely many bars")
    return "\n".join([ready.candles.measured, *ready.notes])


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"let in: {what}")


def checkpoints(rng: Rng, folder: Path) -> str:
    """Verify a checkpoint folder, open it and sample from it."""
    from scenario_gen.generators.kronos import KronosPaths
    from scenario_gen.kronos.checkpoint import open_checkpoint, verify_model
    from scenario_gen.kronos.sampling import SamplingRule

    mine = folder / "mine"
    shutil.copytree(_tiny(), mine)
    (mine / "SHA256SUMS").unlink()
    files = ("scenario_gen.json", "scenario_gen.json", "model/config.json", "tokenizer/config.json")
    name = str(choose(rng, [*files, "model/model.safetensors"]))
    if name.endswith(".json") and rng.random() < 0.8:
        raw = json.loads((mine / name).read_text())
        (mine / name).write_text(json.dumps(shaken(rng, raw, times(rng))))
    else:
        (mine / name).write_bytes(turned(rng, (mine / name).read_bytes()))
    found = verify_model(str(mine))
    try:
        checkpoint = open_checkpoint(str(mine))
    except ScenarioError as error:
        raise AssertionError(f"whole when verified, refused when opened: {error}") from error
    generator = KronosPaths.of(checkpoint, SamplingRule())
    str(generator.trained_until)
    context = _context()
    stamps = BarCalendar.infer(context.timestamps).future(2)
    paths = mend_paths(generator.sample(context, stamps, Draws.block(0, 0, 2)))
    _require(bool(np.isfinite(paths.values).all()), "paths that are not finite")
    return f"{checkpoint.name}: {found.hashed}"


@functools.cache
def _context() -> Candles:
    return load_candles("sp500").context(64)


_MADE: dict[str, Path] = {}


def _tiny() -> Path:
    """Return the folder of a miniature checkpoint, made once."""
    if "tiny" not in _MADE:
        import torch

        from scenario_gen.kronos.checkpoint import Checkpoint, save_checkpoint
        from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
        from scenario_gen.kronos.model import Kronos
        from scenario_gen.kronos.representation import Increments
        from scenario_gen.kronos.tokenizer import KronosTokenizer

        torch.manual_seed(0)
        tokenizer, model = (
            KronosTokenizer(TokenizerConfig(5, 16, 4, 32, 2, 2, 4, 4, 4)),
            Kronos(ModelConfig(2, 32, 4, 64, 4, 4)),
        )
        record = {"trained_on": [{"class": "index", "frequency": "daily", "last": "2017-12-29", "bars": 10}]}
        made = Checkpoint("tiny", model, tokenizer, Increments(), 128, "train", torch.zeros(16), record)
        _MADE["tiny"] = Path(tempfile.mkdtemp()) / "tiny"
        save_checkpoint(made, _MADE["tiny"])
    return _MADE["tiny"]


def run_folders(rng: Rng, folder: Path) -> str:
    """Read a run folder and draw its page."""
    from scenario_gen.report.page import build_page

    mine = folder / "run"
    shutil.copytree(_run(), mine, ignore=shutil.ignore_patterns("blocks", "index.html"))
    name = str(choose(rng, ["run.json", "run.json", "run.json", "metrics.parquet", "identity.json"]))
    if not (mine / name).is_file():
        name = "run.json"
    if name.endswith(".json") and rng.random() < 0.8:
        raw = json.loads((mine / name).read_text())
        (mine / name).write_text(json.dumps(shaken(rng, raw, 1)))
    else:
        (mine / name).write_bytes(turned(rng, (mine / name).read_bytes()))
    store = RunFolder(mine)
    store.identity()
    store.read_metrics()
    page = build_page(store.read_run())
    _require("nan" not in re.sub(r"<[^>]*>", " ", page).lower().split(), "a page that shows nan")
    return store.read_run().name


def _run() -> Path:
    """Return the folder of a small run, made once."""
    if "run" not in _MADE:
        from scenario_gen.pipeline import run as run_spec

        place = Path(tempfile.mkdtemp()) / "run"
        run_spec(
            {
                "name": "small",
                "data": {"source": "sp500", "end": "2018-06-29"},
                "bars": {"context": 64, "horizon": 8},
                "paths": {"count": 32},
                "generator": {"kind": "bootstrap"},
                "checks": {"facts": False, "calibration": False},
                "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
                "report": {"folder": str(place)},
            }
        )
        _MADE["run"] = place
    return _MADE["run"]


DOORS: dict[str, Callable[[Rng, Path], str]] = {
    "specs": specs,
    "configs": configs,
    "histories": histories,
    "path tables": path_tables,
    "checkpoints": checkpoints,
    "run folders": run_folders,
}


def _ready() -> None:
    _tiny(), _context()


READY: dict[str, Callable[[], object]] = {"checkpoints": _ready, "run folders": _run}


# --- The judge ---


class HangError(Exception):
    """An input took longer than it may."""


@dataclass
class Tally:
    """What came of the inputs at one door."""

    door: str
    refused: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return self.refused + self.accepted + len(self.failures)


def knock(door: str, number: int, seed: int) -> tuple[str, str]:
    """Try one input; return ``refused``, ``accepted`` or ``failed``, and why it failed."""
    rng = np.random.default_rng([seed, list(DOORS).index(door), number])
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    spoken = io.StringIO()
    try:
        with contextlib.redirect_stdout(spoken), contextlib.redirect_stderr(spoken), _in_time():
            said = printable(DOORS[door](rng, folder))
        outcome = "accepted"
    except ScenarioError as error:
        said, outcome = str(error), "refused"
        if not (error.fix or error.expected or TELLS.search(said)):
            return "failed", f"no word on what to do: {said[:300]!r}"
    except HangError:
        return "failed", f"over {LONGEST:.0f} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        inside = [f for f in traceback.extract_tb(error.__traceback__) if "scenario_gen" in f.filename]
        place = f"{Path(inside[-1].filename).name}:{inside[-1].lineno}" if inside else ""
        return (
            "failed",
            f"{type(error).__name__} at {place} ({Path(last.filename).name}:{last.lineno}): {str(error)[:200]!r}",
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    printed = said + spoken.getvalue()
    if printable(printed) != printed:
        return "failed", f"a terminal would obey: {printed[:200]!r}"
    if len(said) > 20_000:
        return "failed", f"{len(said):,} characters of message"
    return outcome, ""


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak() -> float:
    """Return the most memory that this process had, in bytes; 0 where that is not told."""
    with contextlib.suppress(OSError):
        return 1024.0 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return 0.0


def fuzz(door: str, inputs: int, seed: int = 0, seconds: float = 1e9, only: int | None = None) -> Tally:
    """Try inputs at a door until there were enough, or the time is up."""
    if door in READY:
        READY[door]()  # what is made and imported once is no input's doing
    tally, began = Tally(door), time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a raw warning is no message
        for number in range(inputs) if only is None else [only]:
            start = time.monotonic()
            high = peak()
            outcome, why = knock(door, number, seed)
            tally.slowest = max(tally.slowest, time.monotonic() - start)
            if not why and high < LARGEST <= peak():
                outcome, why = "failed", f"the process took {peak() / 1e9:.1f} GB"
            if why:
                tally.failures.append(f"{door} {number}: {why}")
            else:
                setattr(tally, outcome, getattr(tally, outcome) + 1)
            if time.monotonic() - began > seconds:
                break
    tally.seconds = time.monotonic() - began
    return tally


def main() -> int:
    """Fuzz the doors that were asked for; return 1 where one failed."""
    parser = argparse.ArgumentParser(description="Fuzz the doors of scenario-gen.")
    parser.add_argument("--door", choices=[*DOORS], action="append")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1800.0, help="budget of each door")
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--only", type=int, help="the number of one input")
    asked = parser.parse_args()
    failures: list[str] = []
    for door in asked.door or DOORS:
        tally = fuzz(door, asked.inputs, asked.seed, asked.seconds, asked.only)
        failures += tally.failures
        print(
            f"{door}: {tally.inputs} inputs, {tally.accepted} let in, {tally.refused} refused, "
            f"{len(tally.failures)} failures, slowest {tally.slowest:.1f} s, {tally.seconds:.0f} s, "
            f"peak of the process {peak() / 1e9:.2f} GB",
            flush=True,
        )
    kinds = Counter(re.sub(r"^[a-z ]+ \d+: ", "", failure)[:110] for failure in failures)
    for kind, count in kinds.most_common():
        print(f"  {count:4d}  {printable(kind)}")
    for failure in failures[:200]:
        print(printable(failure))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
