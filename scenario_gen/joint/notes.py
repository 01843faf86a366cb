"""What a coupling does not reproduce, in words for a reader: each with the numbers that show it.

Knows no fit: it is given what was aimed at and what pilot paths have.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.joint.coupling import Coupling, Dated, Independent
from scenario_gen.joint.pilot import BookAsset, BookPilot, range_correlation
from scenario_gen.joint.section import Joint

Floats = NDArray[np.float64]

MET = 2.0  # standard errors of a pilot within which a correlation is the one that is aimed at
ORDERED = 0.8  # Spearman's rho of the first uniform and the return below which uniforms are in no order
LOST = 0.1  # correlation of ranges that paths may lack without a word
SHOWN = 3  # pairs or assets that a note names


def notes_of_paths(members: Mapping[str, BookAsset], coupling: Coupling, pilot: BookPilot, aim: Floats) -> list[str]:
    """Return what pilot paths lack of what the assets have in common.

    Args:
        members: asset to what is known of it.
        coupling: of their uniforms.
        pilot: of their paths.
        aim: correlation of log returns [asset, asset].
    """
    if isinstance(coupling, Independent):
        return ["assets are sampled independently: nothing of what they have in common is reproduced"]
    if isinstance(coupling, Dated):
        return ["assets draw the same dated bars: they hang together as those bars did, which no target moves"]
    names = list(members)
    return [
        *_off_the_aim(names, pilot, aim),
        *_out_of_order(names, pilot),
        *_ranges(list(members.values()), pilot),
        "what is joint is joint on one date: a fall of one asset does not lead another's, and raises its volatility "
        "only through bars of the same date",
    ]


def notes_of_dated(members: Mapping[str, BookAsset], joint: Joint, *, given: bool) -> list[str]:
    """Return what of a spec does not reach generators that draw dated bars of history.

    Args:
        members: asset to what is known of it.
        joint: of the spec.
        given: whether it gives a correlation.
    """
    asked = [
        *([f"copula {joint.copula}"] if joint.copula is not None else []),
        *(["correlation_shift"] if joint.correlation_shift else []),
        *(["correlation"] if given else []),
    ]
    notes = []
    if asked:
        reach = "does not reach" if len(asked) == 1 else "do not reach"
        notes.append(f"{', '.join(asked)} {reach} this generator: all assets draw the same dated bars of history")
    first, *others = (member.context.timestamps for member in members.values())
    if any(not stamps.equals(first) for stamps in others):
        notes.append(
            "the contexts hold bars of different dates, so bars that are drawn together are not of one date: say "
            "joint: {calendar: intersection}"
        )
    return notes


def _off_the_aim(names: list[str], pilot: BookPilot, aim: Floats) -> list[str]:
    pairs = list(combinations(range(len(names)), 2))
    missed = [pair for pair in pairs if abs(aim[pair] - pilot.reached[pair]) > MET * pilot.error[pair]]
    missed.sort(key=lambda pair: -abs(aim[pair] - pilot.reached[pair]))
    if not missed:
        return []
    worst = ", ".join(
        f"{names[i]} and {names[j]} have {pilot.reached[i, j]:.2f}, "
        f"{'above' if pilot.reached[i, j] > aim[i, j] else 'below'} {aim[i, j]:.2f}"
        for i, j in missed[:SHOWN]
    )
    return [
        f"the correlation of returns lies more than {MET:g} errors from the one aimed at in {len(missed)} of "
        f"{len(pairs)} pairs: {worst}"
    ]


def _out_of_order(names: list[str], pilot: BookPilot) -> list[str]:
    apart = [f"{name} {rank:.2f}" for name, rank in zip(names, pilot.order_rank, strict=True) if rank < ORDERED]
    if not apart:
        return []
    return [
        f"a higher uniform is no higher return in {', '.join(apart[:SHOWN])} (rank correlation, at least {ORDERED:g} "
        "expected): couplings cannot reach them"
    ]


def _ranges(members: list[BookAsset], pilot: BookPilot) -> list[str]:
    upper = np.triu_indices(len(members), 1)
    real, ours = (float(np.mean(matrix[upper])) for matrix in (range_correlation(members), pilot.ranges))
    if real - ours < LOST:
        return []
    return [
        f"ranges hang together less than in history: their logs have a mean correlation of {ours:.2f}, in history "
        f"{real:.2f}; so do volumes"
    ]
