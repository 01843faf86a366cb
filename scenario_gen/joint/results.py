"""What is known of a coupling, as frozen values: numbers, strings and lists, nothing that JSON cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CouplingReport:
    """How the assets of one scenario hang together: what was aimed at, what was used, what came out."""

    assets: list[str]
    copula: str  # empirical, t, gaussian, independent, or dated where all draw the same bars of history
    bars: int  # common bars that it was read from
    start: str = ""  # first and last of them, ISO; empty where nothing was read
    end: str = ""
    target: list[list[float]] = field(default_factory=list)  # correlation of log returns [asset][asset] of those bars
    used: list[list[float]] = field(default_factory=list)  # of the uniforms' normal scores, after compensation
    reached: list[list[float]] = field(default_factory=list)  # of the paths' log returns bar by bar
    reached_error: list[list[float]] = field(default_factory=list)  # its standard errors
    degrees: float | None = None  # of freedom of a t copula
    order: str = ""  # of tokens
    order_rank: dict[str, float] = field(default_factory=dict)  # asset to Spearman's rho of order and decoded return
    notes: list[str] = field(default_factory=list)  # what was left out, and what is not reproduced
