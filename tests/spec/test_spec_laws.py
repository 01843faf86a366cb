"""Laws that hold for any input: a spec is either refused with a SpecError, or it is a spec."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from scenario_gen.errors import SpecError
from scenario_gen.spec import LoadedSpec, parse_spec, spec_from_dict
from scenario_gen.spec.loader import KEYS
from scenario_gen.spec.models import ScenarioSpec

FIELDS = [
    "kind", "model", "temperature", "top_p", "top_k", "mean_block", "fit_bars", "decay", "drift",
    "context", "horizon", "count", "seed", "block",
    "keep", "source", "file", "end", "start", "timezone", "use", "params", "folder", "fees", "cash", "fill",
]  # fmt: skip
WORDS = [
    "sp500", "prices.csv", "kronos", "bootstrap", "garch", "fhs", "auto", "neutral",
    "nano", "small", "a/b@c", "2017-06-30", "2017-06-30T12:00",
    "base", "strategies/trend.py:SmaCross", "strategies/trend.py:Plain", "strategies/broken.py:X", "UTC", "~x", "../..",
]  # fmt: skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 600)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
keys = st.sampled_from([*KEYS, *FIELDS]) | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def right_spec() -> dict[str, Any]:
    return {
        "name": "demo",
        "data": {"source": "sp500", "end": "2017-06-30"},
        "bars": {"context": 64, "horizon": 5},
        "paths": {"count": 8, "seed": 1, "block": 4, "keep": "metrics"},
        "generator": {"kind": "kronos", "model": "nano", "temperature": 1.0},
        "checks": {"on_invalid": "reject"},
        "broker": {"cash": 1000, "fees": 0.001},
        "scenarios": [{"name": "a"}, {"name": "b", "generator": {"temperature": 2.0}}],
        "baselines": ["bootstrap"],
        "strategies": [{"use": "strategies/trend.py:SmaCross", "params": {"fast": [5, 6]}, "name": "mine"}],
        "limits": {"max_drawdown": 0.2},
        "report": {"folder": "out", "title": "A title"},
    }


def places(value: Any, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return every place in a spec that a value stands at."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [where, *(place for key, below in inner for place in places(below, (*where, key)))]


def refused_or_a_spec(mapping: Any, folder: Path) -> LoadedSpec | None:
    """Return the spec, or None if it was refused with a message; any other exception escapes."""
    try:
        loaded = spec_from_dict(mapping, base=folder)
    except SpecError as error:
        assert str(error).strip()
        return None
    assert loaded.spec.scenarios
    assert loaded.spec.strategies
    return loaded


def test_the_spec_that_the_laws_start_from_is_right(folder: Path) -> None:
    assert refused_or_a_spec(right_spec(), folder) is not None


@quick
@given(mapping=st.dictionaries(keys, values, max_size=8))
def test_any_mapping_is_refused_or_is_a_spec(folder: Path, mapping: dict[str, Any]) -> None:
    refused_or_a_spec(mapping, folder)


@quick
@given(place=st.sampled_from(places(right_spec())[1:]), value=values)
def test_a_right_spec_with_any_value_anywhere_is_refused_or_is_a_spec(
    folder: Path, place: tuple[str | int, ...], value: Any
) -> None:
    spec: Any = right_spec()
    section = spec
    for part in place[:-1]:
        section = section[part]
    section[place[-1]] = value
    loaded = refused_or_a_spec(spec, folder)
    if loaded is not None:  # what was accepted survives being written and read, as YAML and as JSON
        assert parse_spec(loaded.text, folder).spec == loaded.spec
        assert ScenarioSpec.model_validate(json.loads(loaded.spec.model_dump_json())) == loaded.spec


@quick
@given(text=st.text(max_size=200) | st.text(alphabet="ab:-[]{}&*!#|>'\"\n \t,?%@`1.", max_size=60))
def test_any_text_is_refused_or_is_a_spec(folder: Path, text: str) -> None:
    with pytest.raises(SpecError):  # no text of this alphabet names data and strategies
        parse_spec(text, folder)


@quick
@given(data=st.data())
def test_a_misspelt_key_is_always_refused(folder: Path, data: st.DataObject) -> None:
    spec = right_spec()
    section = data.draw(st.sampled_from([spec, *(part for part in spec.values() if isinstance(part, dict))]))
    key = data.draw(st.sampled_from(sorted(section)))
    section[key + data.draw(st.sampled_from(["s", "_", "X"]))] = section.pop(key)
    with pytest.raises(SpecError, match=r"unknown key|is missing"):
        spec_from_dict(spec, base=folder)
