"""Large files into the Hub's cache, across interruptions.

The Hub library goes on after a short break, but when it gives up, or is stopped, it throws away what came (as of
2.x). Here a partial file stays beside the blob that it is to become, and the next attempt asks for the rest. The Hub
library then finds the blob and does everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE_MISMATCH = "Consistency check failed"  # how the Hub library begins its message on a file of another size


def fetch_blob(url: str, blob: Path, size: int, advance: Callable[[int], None]) -> None:
    """Fetch a file of the Hub to its place in the cache, where it is not there yet; its hash is the caller's to check.

    Args:
        url: of the file at a commit.
        blob: where the cache keeps it.
        size: bytes that the Hub announced.
        advance: hears of the bytes that are there already, and of those that come.

    Raises:
        Exception: of the Hub library or of the network below it.
    """
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # it exports them lazily

    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.scenario-gen.incomplete")
    with WeakFileLock(f"{part}.lock"):
        if blob.exists():
            return
        came = part.stat().st_size if part.exists() else 0
        if came > size:  # no beginning of this file
            part.unlink()
            came = 0
        try:
            with part.open("ab") as stream:
                if came == size:  # stopped after the last byte: there is nothing to ask for
                    advance(size)
                else:
                    http_get(
                        url,
                        stream,
                        resume_size=came,
                        headers=build_hf_headers(),
                        expected_size=size,
                        displayed_filename=blob.name,
                        tqdm_class=bar_that_tells(advance),
                    )
        except OSError as error:
            if str(error).startswith(SIZE_MISMATCH):  # not a part of the file: nothing to go on with
                part.unlink()
            raise
        part.replace(blob)
    Path(f"{part}.lock").unlink(missing_ok=True)


def bar_that_tells(advance: Callable[[int], None]) -> type[Any]:
    """Return the kind of progress bar that the Hub library is to make: it draws nothing and passes on its bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **{**options, "disable": True})  # type: ignore[no-untyped-call]  # theirs
            advance(int(options.get("initial") or 0))

        def update(self, n: float | None = 1) -> bool | None:
            advance(int(n or 0))
            return super().update(n)

    return Bar
