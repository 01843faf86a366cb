"""The labels that a check gives."""

from __future__ import annotations

from typing import Literal

Label = Literal["PASS", "WARN", "FAIL", "INCONCLUSIVE", "UNTESTABLE", "ERROR"]
