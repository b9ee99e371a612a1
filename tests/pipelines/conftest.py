"""The pipelines and components are no part of the package: tests import them from the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("kfp", reason="no kfp: the extra olivine[pipeline] is not installed")

# In front: this folder's own name is `pipelines` too.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
