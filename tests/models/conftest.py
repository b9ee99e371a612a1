"""The marker of the tests that need MinkowskiEngine."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Registered here, beside the tests that carry it."""
    config.addinivalue_line("markers", "minkowski: needs MinkowskiEngine (make minkowski)")
