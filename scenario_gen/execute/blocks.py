"""Blocks of paths: the unit of work, of randomness, of resuming and of distribution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """Path ids ``start`` to ``start + size``, of which the first ``take`` are wanted.

    The last block of a run is computed whole and cut: matrix products depend on their shape, so a shorter block
    would change the last digits of its paths.
    """

    index: int
    start: int
    size: int
    take: int


def plan_blocks(count: int, size: int) -> list[Block]:
    """Cut ``count`` paths into blocks of ``size``; the last one may take fewer than it computes."""
    return [Block(index, start, size, min(size, count - start)) for index, start in enumerate(range(0, count, size))]
