"""The ``init`` command's work: copying the templates, and never over a file that is there."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from scenario_gen.errors import ScenarioError


def write_start(what: str, name: str | None) -> str:
    """Write a spec with a strategy, or a strategy alone; return what to do next.

    Args:
        what: ``spec``, ``strategy``, or a folder (then ``name`` is None).
        name: the spec's folder (default: the current one), or the strategy's name.

    Raises:
        ScenarioError: a file is there already, or the name cannot be a class.
    """
    if what == "strategy":
        return _write_strategy(name)
    if what != "spec" and name is not None:
        raise ScenarioError(
            f"got {what!r} {name!r}",
            expected="spec [FOLDER], strategy NAME, or a folder alone",
            fix="scenario-gen init --help shows examples",
        )
    folder = Path((name or ".") if what == "spec" else what)
    spec, strategy = folder / "scenario.yaml", folder / "my_strategy.py"
    _write({spec: _template("scenario.yaml"), strategy: _template("strategy.py")})
    return f"wrote {spec} and {strategy}\nnext: scenario-gen run {spec}"


def _write_strategy(name: str | None) -> str:
    class_name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\s-]+", name or ""))
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", class_name):
        raise ScenarioError(
            f"got {name!r} as the strategy's name",
            expected="a name like MeanRevert or mean_revert",
            fix="scenario-gen init strategy MeanRevert",
        )
    file = Path(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower() + ".py")
    _write({file: _template("strategy.py").replace("MyStrategy", class_name)})
    return f"wrote {file}\nnext: name it in a spec as {file}:{class_name}"


def _template(name: str) -> str:
    return files("scenario_gen.cli").joinpath("templates", name).read_text(encoding="utf-8")


def _write(texts: dict[Path, str]) -> None:
    """Write all files or none of them."""
    for path in texts:
        if path.exists():
            raise ScenarioError(
                f"{path} is there already",
                expected="a folder without it: init overwrites nothing",
                fix="name another folder, or move the file away",
            )
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ScenarioError(
                f"{path} cannot be written: {error.strerror}", fix="name a folder that can be written"
            ) from None
