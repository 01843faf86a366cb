"""Execute the notebooks beside this file and store what they show.

    python docs/notebooks/execute.py [--into FOLDER] [NAME ...]

Stored is what a page shows: of an output the table or the picture where there is one, pictures with few colours, and no
counts of executions and no times, so that a second execution changes nothing that did not change.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
COLOURS = 48  # of a stored picture: lines, bands and the edges of letters


def executed(file: Path) -> Any:
    """Return a notebook with new outputs, from a kernel of its own that knows this checkout.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    book = nbformat.read(file, as_version=4)
    paths = [str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", record_timing=False, resources={"metadata": {"path": str(HERE)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)})
    for cell in book.cells:
        cell.get("metadata", {}).pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = shortened(output["data"])
    return book


def shortened(data: dict[str, str]) -> dict[str, str]:
    """Return one form of an output: its picture, table or text."""
    if "image/png" in data:
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB").quantize(COLOURS)
        stored = io.BytesIO()
        picture.save(stored, "PNG", optimize=True)
        return {"image/png": base64.b64encode(stored.getvalue()).decode()}
    kind = "text/html" if "text/html" in data else "text/plain"
    return {kind: data[kind]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Execute notebooks and store what they show.")
    parser.add_argument("names", nargs="*", help="without .ipynb; all where none is named")
    parser.add_argument("--into", type=Path, default=HERE, help="folder to store them in; default: where they are")
    asked = parser.parse_args()
    for notebook in sorted(HERE.glob("*.ipynb")):
        if not asked.names or notebook.stem in asked.names:
            nbformat.write(executed(notebook), asked.into / notebook.name)
