"""The published checkpoints, tensor by tensor: names, shapes and sizes, from the facts about them, not our code.

Nothing is allocated: networks are built on torch's meta device.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from scenario_gen.kronos import Kronos, KronosTokenizer, ModelConfig, TokenizerConfig
from scenario_gen.kronos.registry import KNOWN_MODELS, published_window

Shapes = dict[str, tuple[int, ...]]

# config.json of each model, as published: layers, d_model, heads, ff, dropout of ffn, attention, residual and token
MODELS = {
    "mini": (4, 256, 4, 512, 0.2, 0.0, 0.2, 0.0),
    "small": (8, 512, 8, 1024, 0.25, 0.1, 0.25, 0.1),
    "base": (12, 832, 16, 2048, 0.2, 0.0, 0.2, 0.0),
}
GROUP_SIZES = {"mini": 5, "small": 4, "base": 4}  # of the tokenizer that goes with it: 2k, base, base
PARAMETERS = {"mini": 4_108_032, "small": 24_741_376, "base": 102_310_592}
TOKENIZER_PARAMETERS = 3_958_042
BUFFERS = ("inv_freq", "basis")  # in the files, but no parameters
STAMPS = {"minute": 60, "hour": 24, "weekday": 7, "day": 32, "month": 13}


def _linear(name: str, out: int, inputs: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, inputs), **({f"{name}.bias": (out,)} if bias else {})}


def _attention(name: str, width: int, heads: int) -> Shapes:
    shapes: Shapes = {f"{name}.rotary.inv_freq": (width // heads // 2,)}
    for part in ("q", "k", "v", "out"):
        shapes |= _linear(f"{name}.{part}_proj", width, width)
    return shapes


def _block(name: str, width: int, heads: int, inner: int) -> Shapes:
    return {
        f"{name}.norm1.weight": (width,),
        **_attention(f"{name}.self_attn", width, heads),
        f"{name}.norm2.weight": (width,),
        **_linear(f"{name}.ffn.w1", inner, width, bias=False),
        **_linear(f"{name}.ffn.w3", inner, width, bias=False),
        **_linear(f"{name}.ffn.w2", width, inner, bias=False),
    }


def model_shapes(layers: int, width: int, heads: int, inner: int, bits: int, *, learned: bool = True) -> Shapes:
    """Every tensor of a model's file."""
    codes, stamp = 2**bits, "embed.weight" if learned else "embed.emb.weight"
    shapes: Shapes = {
        "embedding.emb_s1.weight": (codes, width),
        "embedding.emb_s2.weight": (codes, width),
        **_linear("embedding.fusion_proj", width, 2 * width),
        **{f"time_emb.{name}_{stamp}": (count, width) for name, count in STAMPS.items()},
        "norm.weight": (width,),
        **_attention("dep_layer.cross_attn", width, 4),
        "dep_layer.norm.weight": (width,),
        **_linear("head.proj_s1", codes, width),
        **_linear("head.proj_s2", codes, width),
    }
    for layer in range(layers):
        shapes |= _block(f"transformer.{layer}", width, heads, inner)
    return shapes


def tokenizer_shapes(d_in: int, width: int, heads: int, inner: int, layers: int, bits: int, group: int) -> Shapes:
    """Every tensor of a tokenizer's file: ``layers`` layers of encoder and decoder are one block fewer each."""
    shapes: Shapes = {
        **_linear("embed", width, d_in),
        **_linear("head", d_in, width),
        **_linear("quant_embed", 2 * bits, width),
        **_linear("post_quant_embed_pre", width, bits),
        **_linear("post_quant_embed", width, 2 * bits),
        "tokenizer.bsq.basis": (2 * bits,),
        "tokenizer.bsq.group_basis": (group,),
    }
    for side in ("encoder", "decoder"):
        for layer in range(layers - 1):
            shapes |= _block(f"{side}.{layer}", width, heads, inner)
    return shapes


def _on_meta(network: type[Kronos] | type[KronosTokenizer], config: object) -> nn.Module:
    with torch.device("meta"):
        return network(config)  # type: ignore[arg-type]


def _shapes_of(network: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _parameters_in(shapes: Shapes) -> int:
    counted = [shape for name, shape in shapes.items() if not name.endswith(BUFFERS)]
    return sum(int(torch.Size(shape).numel()) for shape in counted)


def _stored(path: Path) -> Shapes:
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # not a dict


def test_the_lists_are_those_of_the_file_that_upstreams_code_wrote(golden_folder: Path) -> None:
    assert _stored(golden_folder / "model" / "model.safetensors") == model_shapes(2, 32, 4, 64, 5)
    written = _stored(golden_folder / "tokenizer" / "model.safetensors")
    assert written == tokenizer_shapes(6, 32, 4, 64, 3, 5, 5)


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_has_exactly_these_tensors(name: str) -> None:
    layers, width, heads, inner, *dropout = MODELS[name]
    config = ModelConfig(layers, width, heads, inner, 10, 10, *dropout)
    network = _on_meta(Kronos, config)
    expected = model_shapes(layers, width, heads, inner, 10)  # type: ignore[arg-type]
    assert _shapes_of(network) == expected
    assert _parameters_in(expected) == sum(p.numel() for p in network.parameters()) == PARAMETERS[name]
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize("group", sorted(set(GROUP_SIZES.values())))
def test_a_published_tokenizer_has_exactly_these_tensors(group: int) -> None:
    network = _on_meta(KronosTokenizer, TokenizerConfig(6, 256, 4, 512, 4, 4, 10, 10, group))
    expected = tokenizer_shapes(6, 256, 4, 512, 4, 10, group)
    assert _shapes_of(network) == expected
    assert _parameters_in(expected) == sum(p.numel() for p in network.parameters()) == TOKENIZER_PARAMETERS


def test_index_buffers_keep_the_type_of_the_published_files(golden_folder: Path) -> None:
    tokenizer = KronosTokenizer.from_pretrained(golden_folder / "tokenizer").state_dict()
    types = {name: tensor.dtype for name, tensor in tokenizer.items() if name.endswith("basis")}
    assert types == {"tokenizer.bsq.basis": torch.int64, "tokenizer.bsq.group_basis": torch.int64}


def test_fixed_time_embeddings_are_sines_and_cosines_under_their_own_names() -> None:
    network = Kronos(ModelConfig(1, 32, 4, 64, 5, 5, learn_te=False))
    assert _shapes_of(network) == model_shapes(1, 32, 4, 64, 5, learned=False)
    table = network.state_dict()["time_emb.minute_embed.emb.weight"].double()
    position, pair = torch.arange(60.0, dtype=torch.float64)[:, None], torch.arange(16.0, dtype=torch.float64)
    angles = position / 10_000 ** (2 * pair / 32)
    torch.testing.assert_close(table[:, 0::2], angles.sin(), atol=1e-5, rtol=0)  # float32 angles of up to 59
    torch.testing.assert_close(table[:, 1::2], angles.cos(), atol=1e-5, rtol=0)
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert not [name for name in trained if name.startswith("time_emb")]


@pytest.mark.parametrize("name", MODELS)
def test_the_registry_tells_the_published_sizes(name: str) -> None:
    known = next(known for known in KNOWN_MODELS if known.name == name)
    assert (known.parameters, known.tokenizer_parameters) == (PARAMETERS[name], TOKENIZER_PARAMETERS)
    assert known.context == {"mini": 2048, "small": 512, "base": 512}[name]
    assert published_window(PARAMETERS[name]) == known.context
    assert published_window(PARAMETERS[name] + 1) is None


def test_the_revisions_are_those_that_upstreams_own_test_pins() -> None:
    small = next(known for known in KNOWN_MODELS if known.name == "small")
    assert small.revision == "901c26c1332695a2a8f243eb2f37243a37bea320"
    assert small.tokenizer_revision == "0e0117387f39004a9016484a186a908917e22426"


@pytest.mark.parametrize(("part", "network"), [("model", Kronos), ("tokenizer", KronosTokenizer)])
def test_what_is_saved_is_the_published_layout_again(
    golden_folder: Path, tmp_path: Path, part: str, network: type[Kronos] | type[KronosTokenizer]
) -> None:
    """config.json key for key and model.safetensors tensor for tensor: upstream can read what we write."""
    network.from_pretrained(golden_folder / part).save_pretrained(tmp_path / part)
    config, again = (json.loads((folder / part / "config.json").read_text()) for folder in (golden_folder, tmp_path))
    assert again == config
    for folder in (golden_folder, tmp_path):
        assert sorted(path.name for path in (folder / part).iterdir()) == ["config.json", "model.safetensors"]
    with (
        safe_open(golden_folder / part / "model.safetensors", "pt") as old,
        safe_open(tmp_path / part / "model.safetensors", "pt") as new,
    ):
        assert set(new.keys()) == set(old.keys())
        for name in old.keys():  # noqa: SIM118  # not a dict
            assert new.get_tensor(name).dtype == old.get_tensor(name).dtype
            assert torch.equal(new.get_tensor(name), old.get_tensor(name)), name
