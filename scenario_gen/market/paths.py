"""PathSet: many possible futures of one context, or real history cut into windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scenario_gen.errors import DataError
from scenario_gen.lazy import lent
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.stats.weights import Weights

Floats = NDArray[np.float64]

# Entries of ``PathSet.counts`` that say whom a path belongs to: no sum of theirs means anything.
BELONGS = ("island", "root")


@dataclass(frozen=True, eq=False)
class TradingTerms:
    """On which terms paths are traded where the broker's alone do not hold; None for what is as usual."""

    seen: NDArray[np.float32] | None = (
        None  # float32 [path, bar, field]: bars as strategies see them, errors of data too
    )
    cost_times: NDArray[np.float64] | None = None  # float64 [path, bar]: what the costs of an order are multiplied by
    slippage: NDArray[np.float64] | None = None  # float64 [path, bar]: share of the price, on top of the broker's
    ceiling: NDArray[np.float64] | None = None  # float64 [path, bar]: at this price and above nothing is bought
    floor: NDArray[np.float64] | None = None  # float64 [path, bar]: at this price and below nothing is sold
    missed: NDArray[np.bool_] | None = None  # bool [path, bar]: an entry then is lost, and no weight is changed
    opens: NDArray[np.bool_] | None = None  # bool [path, bar]: opens a session, which decides what T+1 holds back

    def rows(self, rows: list[int] | slice) -> TradingTerms:
        """Return the terms of some paths."""
        return TradingTerms(**{name: values[rows] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is not as usual, by name."""
        return {name: values for name, values in vars(self).items() if values is not None}

    def banded(self, floor: NDArray[np.float64], ceiling: NDArray[np.float64]) -> TradingTerms:
        """Return these terms with a floor and a ceiling more, [path, bar]: the closer ones hold."""
        return replace(
            self,
            floor=floor if self.floor is None else np.maximum(self.floor, floor),
            ceiling=ceiling if self.ceiling is None else np.minimum(self.ceiling, ceiling),
        )

    @classmethod
    def joined(cls, parts: Sequence[TradingTerms]) -> TradingTerms:
        """Return the terms of paths of several blocks, which differ from what is usual in the same ways."""
        every = [part.arrays() for part in parts]
        return cls(**{name: np.concatenate([arrays[name] for arrays in every]) for name in every[0]})


@dataclass(frozen=True)
class PathSet:
    """Candles with one more dimension: the path."""

    values: NDArray[np.float32]  # float32 [path, bar, field], fields in the order of ``fields``
    fields: tuple[str, ...]  # open, high, low, close and then volume and amount where the history has them
    timestamps: pd.DatetimeIndex  # [bar] stamps of the generated bars
    path_ids: NDArray[np.int64]  # int64 [path]; path 17 is the same path in every block of the same run
    anchor_close: float  # the context's last close: the price from which every path sets out
    # what made the paths (generator, model, temperature, seed, ...); the sums of ``counts`` are added
    provenance: Mapping[str, Any] = field(default_factory=dict)
    # int64 [path] by name: what happened to each path, such as its bars at the edge of the model's range; or whom it
    # belongs to, see ``BELONGS``: ``island``, sampled independently of the others, and ``root``, its first ancestor
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    # float64 [path]: how much each path stands for, relative to the others; None where all stand for as much
    weights: NDArray[np.float64] | None = None
    # float64 [path, number]: numbers whose weighted means are given and not estimated, such as those of views
    held: NDArray[np.float64] | None = None
    terms: TradingTerms | None = None  # on which they are traded; None for the broker's

    def __post_init__(self) -> None:
        paths, bars, fields = self.values.shape
        if (paths, bars, fields) != (len(self.path_ids), len(self.timestamps), len(self.fields)):
            raise ValueError(
                f"values {self.values.shape} do not match {len(self.path_ids)} path ids, "
                f"{len(self.timestamps)} timestamps and fields {self.fields}"
            )
        if wrong := [name for name, count in self.counts.items() if count.shape != (paths,)]:
            raise ValueError(f"counts of {', '.join(wrong)} are not one number per path")
        if self.weights is not None and self.weights.shape != (paths,):
            raise ValueError(f"weights {self.weights.shape} are not one number for each of {paths} paths")
        lengths = () if self.terms is None else [len(values) for values in self.terms.arrays().values()]
        if any(length != paths for length in lengths):
            raise ValueError(f"terms of {lengths} paths do not match {paths} paths")
        sums = {name: int(count.sum()) for name, count in self.counts.items() if name not in BELONGS}
        object.__setattr__(self, "provenance", {**self.provenance, **sums})

    def __len__(self) -> int:
        return len(self.path_ids)

    @property
    def weighting(self) -> Weights | None:
        """What each path counts, of sum 1, with islands and roots; None where all count alike.

        Raises:
            ValueError: a weight is negative or no number, or all are zero.
        """
        return Weights.of(self.weights, self.counts.get("island"), self.counts.get("root"), self.held)

    @property
    def horizon(self) -> int:
        """Bars per path."""
        return len(self.timestamps)

    def column(self, name: str) -> NDArray[np.float32]:
        """Return one field as float32 [path, bar]."""
        return self.values[:, :, self.fields.index(name)]

    @property
    def close(self) -> NDArray[np.float32]:
        """Closing prices, float32 [path, bar]."""
        return self.column("close")

    @property
    def as_seen(self) -> PathSet:
        """The paths as strategies see them: with errors of data where their terms have some."""
        if self.terms is None or self.terms.seen is None:
            return self
        return replace(self, values=self.terms.seen, terms=None)

    @property
    def closes(self) -> NDArray[np.float64]:
        """The last close before the paths and then their own, float64 [path, bar + 1]."""
        start = np.full((len(self), 1), self.anchor_close)
        return np.concatenate((start, self.close.astype(np.float64)), axis=1)

    def select(self, path_ids: NDArray[np.int64]) -> PathSet:
        """Return the paths with these ids, in this order."""
        where = {int(path_id): row for row, path_id in enumerate(self.path_ids)}
        return self._rows([where[int(path_id)] for path_id in path_ids])

    def first(self, most: int) -> PathSet:
        """Return the first paths, at most so many."""
        return self._rows(slice(most))

    def _rows(self, rows: list[int] | slice) -> PathSet:
        counts = {name: count[rows] for name, count in self.counts.items()}
        weights, held = (None if each is None else each[rows] for each in (self.weights, self.held))
        terms = None if self.terms is None else self.terms.rows(rows)
        values, ids = self.values[rows], self.path_ids[rows]
        return replace(self, values=values, path_ids=ids, counts=counts, weights=weights, held=held, terms=terms)

    def frame(self, path_id: int) -> pd.DataFrame:
        """Return one path as a data frame indexed by timestamp."""
        row = int(np.flatnonzero(self.path_ids == path_id)[0])
        return pd.DataFrame(self.values[row], index=self.timestamps, columns=list(self.fields))

    def to_pandas(self) -> pd.DataFrame:
        """Return a row per path and bar: path_id, bar (from 0), timestamp, a column per field, and weight where any.

        The form that ``scenario_gen.check`` and ``backtest_paths`` read, from a frame or a file.
        """
        count, bars = len(self), self.horizon
        columns: dict[str, Any] = {
            "path_id": np.repeat(self.path_ids, bars),
            "bar": np.tile(np.arange(bars, dtype=np.int32), count),
            "timestamp": np.tile(self.timestamps.to_numpy(), count),
        }
        columns |= {name: self.column(name).reshape(-1) for name in self.fields}
        if self.weights is not None:
            columns["weight"] = np.repeat(self.weights, bars)
        return pd.DataFrame(columns)

    def to_vectorbt(self, field: str = "close") -> pd.DataFrame:
        """Return one field as vectorbt takes prices: float64 [bar, path], indexed by stamp, path ids as columns.

        Such as ``vbt.Portfolio.from_signals(paths.to_vectorbt(), entries, exits, open=paths.to_vectorbt("open"))``.

        Raises:
            DataError: the paths have no such field.
        """
        if field not in self.fields:
            raise DataError(f"the paths have no {field!r}", expected=" or ".join(self.fields))
        columns = pd.Index(self.path_ids, name="path_id")
        return pd.DataFrame(self.column(field).T.astype(np.float64), index=self.timestamps, columns=columns)

    def to_xarray(self) -> Any:
        """Return an xarray Dataset: a variable [path, bar] per field; coordinates path_id, timestamp, weight if any.

        Stamps with a time zone are UTC there, as xarray knows no zones; ``attrs`` has the zone.

        Raises:
            DataError: xarray is not installed.
        """
        try:
            import xarray as xr
        except ModuleNotFoundError as error:
            raise DataError(
                "paths for xarray need xarray, which is not installed", fix="pip install 'scenario-gen[notebook]'"
            ) from error
        zone = self.timestamps.tz
        stamps = self.timestamps if zone is None else self.timestamps.tz_convert("UTC").tz_localize(None)
        places: dict[str, Any] = {"path_id": ("path", self.path_ids), "timestamp": ("bar", stamps)}
        if self.weights is not None:
            places["weight"] = ("path", self.weights)
        values = {name: (("path", "bar"), self.column(name)) for name in self.fields}
        told = {"anchor_close": self.anchor_close, "timezone": "" if zone is None else str(zone)}
        return xr.Dataset(values, places, told)

    @lent("scenario_gen.report.notebook:plot_paths")
    def plot(self, *, field: str = "close", ax: Any = None) -> Any:
        """Draw median, bands and some paths of a field, and return the matplotlib axes."""

    @lent("scenario_gen.report.notebook:html_of_paths")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return what they are, and quantiles of the close at some bars."""

    @classmethod
    def of_arrays(
        cls,
        open: ArrayLike,  # noqa: A002 - the field's name
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike | None = None,
        *,
        timestamps: pd.DatetimeIndex,
        anchor_close: float,
    ) -> PathSet:
        """Build a path set from plain arrays, [path, bar] each, as another generator gives them.

        Args:
            open: opening prices, in quote currency.
            high: highest prices.
            low: lowest prices.
            close: closing prices.
            volume: traded volume, where there is one.
            timestamps: stamps of the bars.
            anchor_close: the last close before the paths.

        Raises:
            ValueError: the arrays are not of one shape [path, bar], or do not fit the stamps.
        """
        columns = [np.asarray(x, dtype=np.float32) for x in (open, high, low, close, volume) if x is not None]
        shapes = {column.shape for column in columns}
        if len(shapes) > 1 or columns[0].ndim != 2:
            raise ValueError(f"arrays of shapes {sorted(shapes)}, expected one shape [path, bar]")
        return cls(
            values=np.stack(columns, axis=-1),
            fields=(*PRICE_FIELDS, "volume")[: len(columns)],
            timestamps=timestamps,
            path_ids=np.arange(len(columns[0]), dtype=np.int64),
            anchor_close=anchor_close,
        )

    @classmethod
    def from_history(cls, bars: Candles, anchor_close: float) -> PathSet:
        """View a stretch of real history as a path set with one path (id 0)."""
        return cls(
            values=bars.values[None].astype(np.float32),
            fields=bars.fields,
            timestamps=bars.timestamps,
            path_ids=np.zeros(1, dtype=np.int64),
            anchor_close=anchor_close,
            provenance={"generator": "history", "source": bars.source},
        )


def joined(parts: Sequence[PathSet]) -> PathSet:
    """Return the paths of blocks of one scenario as one set."""
    values, ids = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "path_ids"))
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in parts[0].counts}
    weights = [part.weights for part in parts if part.weights is not None]
    held = [part.held for part in parts if part.held is not None]
    terms = [part.terms for part in parts if part.terms is not None]
    return replace(
        parts[0],
        values=values,
        path_ids=ids,
        counts=counts,
        weights=np.concatenate(weights) if weights else None,
        held=np.concatenate(held) if held else None,
        terms=TradingTerms.joined(terms) if terms else None,
    )
