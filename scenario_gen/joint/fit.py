"""From real bars of several assets to a coupling of their random numbers, and what is known of it.

Each real bar of the common time is held against the generator's own forecast of it: between which uniforms would it
have been drawn? The ranks of these cells are what hangs together across assets. What the decoded bars lose of it, a
token being wider than a price, is made up for: the correlation of the uniforms is raised until pilot paths have the
correlation that is aimed at, or as near as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Generator, OrderedGenerator, Wrapper
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupling, Dated, Independent
from scenario_gen.joint.notes import MET, ORDERED, notes_of_dated, notes_of_paths
from scenario_gen.joint.pilot import BookAsset, BookPilot, run_pilot
from scenario_gen.joint.results import CouplingReport
from scenario_gen.joint.section import ENOUGH_FOR_RANKS, Joint
from scenario_gen.stats.copula import CLOSEST, COARSE, RankCells, correlation_shift, fit_tails, floored, shrunk

Floats = NDArray[np.float64]

MOST_PILOTS = 5
FEWEST_CELLS = 200  # of the 250 common bars that there are at least, the first only seed forecasts
SLOPES = (0.3, 2.0)  # what a step of the uniforms' correlation is taken to do to that of the returns, at least and most
WARM_UP = 512  # bars before the first that is held against a forecast: a context of our own checkpoints


@dataclass(frozen=True, eq=False)
class Fit:
    """A coupling, the generators that draw by it, and what is known of it."""

    coupling: Coupling
    generators: Mapping[str, Generator]  # asset to its generator, its uniforms in order where that matters
    report: CouplingReport


def fit_coupling(members: Mapping[str, BookAsset], joint: Joint, seed: int, correlation: Floats | None = None) -> Fit:
    """Couple the assets of a book.

    Args:
        members: asset to what is known of it, in the book's order.
        joint: of the spec.
        seed: of the book, for pilot paths.
        correlation: to be aimed at, instead of that of the common bars [asset, asset].

    Returns:
        The coupling. Generators that draw dated bars of history draw the same dates, whatever copula is asked for: that
        is how their bars hang together.

    Raises:
        DataError: too few bars could be held against a forecast, or an asset does not move in them.
    """
    every = list(members.values())
    returns = np.stack([member.returns for member in every], axis=-1)
    _refuse_still(members)
    seen = np.asarray(np.corrcoef(returns[np.isfinite(returns).all(axis=1)].T), dtype=np.float64)
    np.fill_diagonal(seen, 1.0)  # but for rounding
    aim = correlation_shift(seen if correlation is None else correlation, joint.correlation_shift)
    stamps = every[0].history.timestamps[every[0].rows]
    blank = CouplingReport(
        assets=list(members),
        copula="independent",
        bars=len(stamps),
        start=stamps[0].isoformat(),
        end=stamps[-1].isoformat(),
        target=lists(aim),
    )
    plain = {asset: member.generator for asset, member in members.items()}
    if joint.copula == "independent":
        return _told(Independent(), plain, blank, members, run_pilot(every, Independent(), seed))
    if not all(is_ordered(generator) for generator in plain.values()):
        notes = notes_of_dated(members, joint, given=correlation is not None)
        dated = replace(blank, copula="dated", target=lists(seen), notes=notes)
        return _told(Dated(), plain, dated, members, run_pilot(every, Dated(), seed))
    return _fitted(members, joint, seed, blank, seen)


def _refuse_still(members: Mapping[str, BookAsset]) -> None:
    """Refuse bars in which the close of an asset stays where it is: it has no correlation with anything.

    A coin of constant price, or a feed that hung: without this its correlations are no numbers.
    """
    still = [asset for asset, member in members.items() if not np.any(member.returns[np.isfinite(member.returns)])]
    if still:
        member = members[still[0]]
        first, last = (stamp.date() for stamp in member.history.timestamps[member.rows[[0, -1]]])
        raise DataError(
            f"the close of {', '.join(still)} does not move in the {len(member.rows):,} common bars from {first} to "
            f"{last} that dependence is read from",
            expected="prices that change: what stands still hangs together with nothing",
            fix=f"correct the history of {still[0]}, leave it out, or read other bars (joint.calibrate)",
        )


def lists(matrix: Floats) -> list[list[float]]:
    """Return a matrix as JSON holds it."""
    return [[float(value) for value in row] for row in matrix]


def is_ordered(generator: Generator) -> bool:
    """Return whether a generator's uniforms can be put in order: its own, or those of the generator inside it."""
    innermost = generator
    while isinstance(innermost, Wrapper):
        innermost = innermost.inner
    return isinstance(generator, OrderedGenerator) and isinstance(innermost, OrderedGenerator)


def _fitted(members: Mapping[str, BookAsset], joint: Joint, seed: int, blank: CouplingReport, seen: Floats) -> Fit:
    """Return the copula of generators whose uniforms have an order."""
    ordered = {asset: replace(member, generator=in_order(member, joint)) for asset, member in members.items()}
    every, aim = list(ordered.values()), np.array(blank.target)
    law = CellLaw.of([cells_of(member) for member in every], joint.copula)
    moved = law.moved(np.arctanh(_within(aim)) - np.arctanh(_within(seen)))
    law, pilot = compensated(moved, aim, lambda coupling: run_pilot(every, coupling, seed))
    report = replace(
        blank,
        copula=law.kind,
        bars=law.bars,
        used=lists(law.correlation[0]),
        degrees=law.degrees,
        order=joint.order,
        notes=law.notes,
    )
    generators: dict[str, Generator] = {asset: member.generator for asset, member in ordered.items()}
    return _told(law.coupling, generators, report, ordered, pilot)


def _told(
    coupling: Coupling,
    generators: Mapping[str, Generator],
    report: CouplingReport,
    members: Mapping[str, BookAsset],
    pilot: BookPilot,
) -> Fit:
    """Return the fit with what pilot paths have of it."""
    ranks = dict(zip(members, map(float, pilot.order_rank), strict=True)) if report.order else {}
    notes = [*report.notes, *notes_of_paths(members, coupling, pilot, np.array(report.target))]
    reached, error = lists(pilot.reached), lists(pilot.error)
    whole = replace(report, reached=reached, reached_error=error, order_rank=ranks, notes=notes)
    return Fit(coupling, generators, whole)


def in_order(member: BookAsset, joint: Joint) -> OrderedGenerator:
    """Return a member's generator with its uniforms in order."""
    assert isinstance(member.generator, OrderedGenerator)
    return member.generator.in_order(joint.order)


def cells_of(member: BookAsset) -> Floats:
    """Return between which uniforms each bar would have been drawn that dependence is read from [bar, uniform, 2]."""
    assert isinstance(member.generator, OrderedGenerator)
    start = max(0, int(member.rows[0]) - WARM_UP)
    stop = int(member.rows[-1]) + 1
    return np.asarray(member.generator.cell_bounds(member.history.rows(start, stop))[member.rows - start])


def _within(correlation: Floats) -> Floats:
    """Return correlations that have a Fisher z; the diagonal has none and is left at 0."""
    return np.clip(correlation, -CLOSEST, CLOSEST) * (1 - np.eye(len(correlation)))


# --- The law of the uniforms ---


@dataclass(frozen=True, eq=False)
class CellLaw:
    """How the uniforms of several assets hang together, as read off cells and moved since."""

    scores: Floats  # normal scores of the bars' ranks [bar, asset, uniform]
    read: Floats  # correlation as read [uniform, asset, asset]
    correlation: Floats  # as used [uniform, asset, asset]
    kind: str  # empirical, t or gaussian
    degrees: float | None
    notes: list[str]

    @classmethod
    def of(cls, cells: list[Floats], asked: str | None) -> CellLaw:
        """Read it off the cells of each asset [bar, uniform, 2].

        Raises:
            DataError: fewer than 200 bars have cells in every asset.
        """
        every = np.stack(cells, axis=1)  # [bar, asset, uniform, 2]
        whole = every[np.isfinite(every).all(axis=(1, 2, 3))]
        if len(whole) < FEWEST_CELLS:
            raise DataError(
                f"{len(whole)} common bars could be held against a forecast from the bars before them",
                expected=f"at least {FEWEST_CELLS} bars",
                fix="bring longer histories, or raise joint.calibrate.bars",
            )
        levels = [RankCells.of(whole[:, :, level]) for level in range(whole.shape[2])]
        read = np.stack([floored(shrunk(ranks.correlation(), ranks.scores)) for ranks in levels])
        kind = asked or ("empirical" if len(whole) >= ENOUGH_FOR_RANKS else "t")
        degrees, notes = None, []
        if kind == "t":
            tails = fit_tails(levels[0].middle, read[0])
            degrees = tails.degrees
            if degrees is None:
                notes = [f"joint tails no heavier than Gaussian: t gains {tails.gain:.1f} in log likelihood"]
        scores = np.stack([ndtri(_inside(ranks).clip(1e-9, 1 - 1e-9)) for ranks in levels], axis=-1)
        return cls(scores, read, read, kind, degrees, notes)

    @property
    def bars(self) -> int:
        """Bars that it was read from."""
        return len(self.scores)

    def moved(self, by: Floats) -> CellLaw:
        """Return the law with the correlations of every uniform moved by so much in Fisher's z [asset, asset]."""
        if not by.any():
            return self
        out = np.stack([np.tanh(np.arctanh(_within(matrix)) + by) for matrix in self.correlation])
        out = np.clip(out, -CLOSEST, CLOSEST) * (1 - np.eye(len(by))) + np.eye(len(by))
        return replace(self, correlation=np.stack([floored(matrix) for matrix in out]))

    @property
    def coupling(self) -> Coupling:
        """What draws by it."""
        if self.kind != "empirical":
            return CopulaCoupling(self.correlation, self.degrees)
        scores = self.scores
        if (
            self.correlation is not self.read
        ):  # turned so that their correlation moves from what was read to what is used
            turned = [
                scores[..., level] @ _root(before, -0.5) @ _root(after, 0.5)
                for level, (before, after) in enumerate(zip(self.read, self.correlation, strict=True))
            ]
            scores = np.stack(turned, axis=-1)
        return RankBootstrap.of(ndtr(scores))


def _inside(ranks: RankCells) -> Floats:
    """Return one rank within each cell [bar, asset]: its middle, or a random one where cells are so wide as to tie."""
    if ranks.shown.min() >= COARSE:
        return ranks.middle
    place = np.random.default_rng(0).random(ranks.lower.shape)
    return np.asarray(ranks.lower + place * (ranks.upper - ranks.lower))


def _root(matrix: Floats, power: float) -> Floats:
    """Return a power of a positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * values**power) @ vectors.T)


def compensated(law: CellLaw, aim: Floats, run: Callable[[Coupling], BookPilot]) -> tuple[CellLaw, BookPilot]:
    """Return the law whose pilot comes nearest to a correlation of returns, moved pair by pair along secants.

    Args:
        law: as read.
        aim: correlation of log returns [asset, asset].
        run: makes a pilot of a coupling.
    """
    tried: list[tuple[CellLaw, BookPilot]] = []
    for _ in range(MOST_PILOTS):
        tried.append((law, run(law.coupling)))
        pilot = tried[-1][1]
        off = aim - pilot.reached
        open_pairs = (np.abs(off) > MET * pilot.error) & ~np.eye(len(aim), dtype=bool)
        if not open_pairs.any() or pilot.order_rank.min() < ORDERED:  # of no order nothing can be made up for
            break
        used = law.correlation[0]
        goal = np.clip(used + np.where(open_pairs, off / _slopes(tried), 0.0), -CLOSEST, CLOSEST)
        after = law.moved(np.arctanh(_within(goal)) - np.arctanh(_within(used)))
        if np.abs(after.correlation - law.correlation).max() < 1e-4:  # at the end of what correlations can be
            break
        law = after
    return min(tried, key=lambda each: _away(each[1], aim))


def _slopes(tried: list[tuple[CellLaw, BookPilot]]) -> Floats:
    """Return how the correlation of returns answers to that of the uniforms, from the last two pilots [pair]."""
    (law, pilot), size = tried[-1], len(tried[-1][1].reached)
    now = law.correlation[0]
    slope = np.where(np.abs(now) > 0.1, pilot.reached / np.where(np.abs(now) > 0.1, now, 1.0), 1.0)
    if len(tried) > 1:
        before, past = tried[-2]
        step = now - before.correlation[0]
        wide = np.abs(step) > 0.01
        slope = np.where(wide, (pilot.reached - past.reached) / np.where(wide, step, 1.0), slope)
    return np.clip(slope, *SLOPES) + np.eye(size)


def _away(pilot: BookPilot, aim: Floats) -> float:
    """Return how far the correlations of a pilot are from those aimed at, in standard errors beyond what is met."""
    off = np.abs(aim - pilot.reached)[np.triu_indices(len(aim), 1)]
    return float(off.max())
