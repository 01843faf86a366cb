"""What a check of paths of several assets found, as frozen values. Computes no statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scenario_gen.checks.inference import FactsReport
from scenario_gen.finding import Label, worst
from scenario_gen.pipeline.check_results import CheckReport, compared_in, failed_in

CROSS_ASSET = "cross_asset"


@dataclass(frozen=True)
class AssetsReport:
    """What was found about given paths of several assets: each asset alone, and how they move together.

    Attributes:
        verdicts: group to the worst label over the assets; and ``cross_asset``.
        reasons: group to the assets with that label and the reason of the first.
        assets: asset to its own report.
        cross_asset: facts of several assets, with the mode and sizes of their comparison.
        notes: what else a reader must know of the assets together.
    """

    verdicts: dict[str, Label]
    reasons: dict[str, str]
    assets: dict[str, CheckReport]
    cross_asset: FactsReport
    notes: list[str]

    @property
    def failed(self) -> list[str]:
        """Groups that fail in any asset, or between them: with any of them the command leaves with 4."""
        return failed_in(self.verdicts)

    @property
    def compared(self) -> bool:
        """Whether any fact or score of any asset could be judged at all."""
        return compared_in(self.verdicts)

    @property
    def obstacle(self) -> str:
        """What kept most facts from being judged, in words; "" where nothing did."""
        return next((one.obstacle for one in self.assets.values() if one.obstacle), "")


def assets_report(assets: Mapping[str, CheckReport], together: FactsReport, notes: list[str]) -> AssetsReport:
    """Put the reports together: a group carries the worst label of its assets."""
    groups = list(dict.fromkeys(group for one in assets.values() for group in one.verdicts))
    verdicts: dict[str, Label] = {}
    reasons: dict[str, str] = {}
    for group in groups:
        labels = {name: one.verdicts[group] for name, one in assets.items() if group in one.verdicts}
        verdicts[group] = worst(labels.values(), "UNTESTABLE")
        alike = [name for name, label in labels.items() if label == verdicts[group]]
        reasons[group] = f"{', '.join(alike)}: {assets[alike[0]].reasons[group]}"
    verdicts[CROSS_ASSET] = together.groups.get(CROSS_ASSET, "UNTESTABLE")
    reasons[CROSS_ASSET] = _why(together, verdicts[CROSS_ASSET])
    return AssetsReport(verdicts, reasons, dict(assets), together, notes)


def _why(together: FactsReport, label: Label) -> str:
    alike = [fact for fact in together.facts if fact.group == CROSS_ASSET and fact.label == label]
    if not alike:
        return "nothing of it could be computed"
    others = ", ".join(fact.fact for fact in alike[1:])
    return f"{alike[0].fact}: {alike[0].reason}" + (f"; also {others}" if others else "")
