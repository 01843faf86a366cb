"""Has the model seen the futures that it is asked to forecast? Its training dates say, where they are recorded."""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.checks.calibration.results import Contamination


def contamination(trained_until: str | None, futures: Sequence[str]) -> Contamination:
    """Compare the end of the training data with the first bar of every future.

    Args:
        trained_until: ISO date; "" where the model does not record it, None where nothing was trained.
        futures: ISO stamps of each future's first bar.
    """
    if trained_until is None:
        return Contamination("PASS", "fitted to nothing later than each context", None, 0)
    if trained_until == "":
        return Contamination("UNTESTABLE", "the model does not record the dates of its training data", "", 0)
    seen = sum(stamp[:10] <= trained_until for stamp in futures)
    if seen == 0:
        return Contamination(
            "PASS", f"all futures are later than the training data ({trained_until})", trained_until, 0
        )
    reason = (
        f"{seen} of {len(futures)} futures lie before {trained_until}, where the model's training data end: they may "
        "flatter it"
    )
    return Contamination("WARN", reason, trained_until, seen)
