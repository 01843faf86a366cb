"""The model card: what a checkpoint was trained on and with, and what it was worth on bars it had not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenario_gen.files import write_bytes
from scenario_gen.kronos.checkpoint import Checkpoint

NOT_EVALUATED = "Not evaluated yet beyond the likelihood above."


def write_card(folder: Path, checkpoint: Checkpoint, evaluation: str = "") -> Path:
    """Write MODEL_CARD.md beside the weights and return its path.

    Args:
        folder: the checkpoint's folder.
        checkpoint: as trained or loaded from there.
        evaluation: Markdown with held-out figures, if they were computed.

    Raises:
        StoreError: the disk refuses.
    """
    path = folder / "MODEL_CARD.md"
    write_bytes(path, card_text(checkpoint, evaluation).encode(), "folder")
    return path


def card_text(checkpoint: Checkpoint, evaluation: str = "") -> str:
    """Return the card as Markdown."""
    record = checkpoint.provenance
    parts = [
        f"# Kronos checkpoint `{checkpoint.name}`",
        _shape(checkpoint),
        "## Training data",
        _data_table(record.get("trained_on", [])),
        "The last share of every series and the held-out instruments were not trained on; between the two lies an "
        "embargo of one window. Units (volatility, volume) of every sample come from its context rows alone.",
        *_mixed(record),
        "## Training",
        *_start(record),
        _settings(record),
        "## Held-out likelihood",
        _nats(record.get("held_out_nats", {}), record.get("held_out_nats_before", {})),
        "## Held-out paths",
        evaluation or NOT_EVALUATED,
    ]
    return "\n\n".join(parts) + "\n"


def _shape(checkpoint: Checkpoint) -> str:
    model, tokenizer = checkpoint.model.config, checkpoint.tokenizer.config
    parameters = [sum(p.numel() for p in net.parameters()) for net in (checkpoint.model, checkpoint.tokenizer)]
    return (
        f"Representation `{checkpoint.representation.kind}`; {model.s1_bits}+{model.s2_bits} bits; model "
        f"{model.n_layers} layers, d_model {model.d_model}, {parameters[0]:,} parameters; tokenizer d_model "
        f"{tokenizer.d_model}, {parameters[1]:,} parameters; window {checkpoint.max_context} bars; dependency layer in "
        f"its {checkpoint.dependency_form} form, in training and sampling alike. float32 safetensors."
    )


def _data_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Not recorded."
    lines = [
        "| asset class | frequency | series | held-out series | bars trained on | from | to |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['class']} | {r['frequency']} | {r['series']} | {r['held_out_series']} | {r['bars']:,} "
        f"| {r['first']} | {r['last']} |"
        for r in rows
    ]
    total = sum(r["bars"] for r in rows)
    return "\n".join([*lines, f"| all | | {sum(r['series'] for r in rows)} | | {total:,} | | |"])


def _mixed(record: dict[str, Any]) -> list[str]:
    """Return what was mixed in, of which nothing was held out."""
    told = [f"{one['from']} ({one['share']:.0%} of the samples)" for one in record.get("mix", [])]
    return [f"Mixed in, with nothing of it held out: {', '.join(told)}."] if told else []


def _start(record: dict[str, Any]) -> list[str]:
    """Return what the checkpoint was trained on from, and what that had seen."""
    init = record.get("init")
    if not init:
        return []
    where = f" ({init['repository']}@{init['revision'][:12]})" if "repository" in init else ""
    seen = init.get("trained_on", [])
    bars = f"; it had been trained on {sum(r['bars'] for r in seen):,} bars up to {_last(seen)}" if seen else ""
    stages = " and ".join(record.get("stages", []))
    return [f"Trained on from `{init['name']}`{where}: {stages}{bars}. The table above is what came on top."]


def _last(rows: list[dict[str, Any]]) -> str:
    return max(str(row["last"]) for row in rows)


def _settings(record: dict[str, Any]) -> str:
    hours = [record.get(f"{stage}_cpu_seconds", 0) / 3600 for stage in ("tokenizer", "model")]
    data = f"data sha256 `{record['data_sha256']}`, " if "data_sha256" in record else ""
    return (
        f"`config.yaml` beside the weights, sha256 `{record.get('config_sha256', 'not recorded')}`, {data}seed "
        f"{record.get('seed', 'not recorded')}. Processor time: tokenizer {hours[0]:.2f} core-hours, model "
        f"{hours[1]:.2f} core-hours. Learning curves: `metrics.jsonl`. {record.get('remarks', '')}".rstrip()
    )


def _nats(nats: dict[str, float], before: dict[str, float]) -> str:
    if not nats:
        return "Not recorded."
    names = {
        "later": "later bars of seen instruments",
        "unseen": "instruments never seen",
        "uniform": "a uniform guess",
    }
    told = [f"{text} {nats[key]:.2f}{_from(before, key)}" for key, text in names.items() if key in nats]
    return f"Nats per bar of both tokens, on windows that were not trained on: {', '.join(told)}."


def _from(before: dict[str, float], part: str) -> str:
    return f" ({before[part]:.2f} before)" if part in before and part != "uniform" else ""
