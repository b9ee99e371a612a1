"""Where files are kept that can be had again: weights, mirrors of lineage."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "OLIVINE_CACHE"
"""Environment variable that names the folder."""


def cache_root() -> Path:
    """`${OLIVINE_CACHE:-~/.cache/olivine}`, whether it exists or not."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "olivine"
