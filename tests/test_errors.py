from __future__ import annotations

from olivine import errors
from olivine.errors import OlivineError


def members():
    return [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, OlivineError)]


def test_every_error_is_documented_and_has_an_exit_code():
    codes = {item.__name__: item.exit_code for item in members()}
    assert codes == {
        "OlivineError": 70,
        "UsageError": 64,
        "DataError": 65,
        "IntegrityError": 65,
        "ConfigError": 78,
        "StoreError": 75,
        "PeerError": 75,
        "ClusterError": 75,
        "DiskFullError": 74,
        "Interrupted": 143,
    }
    assert all(item.__doc__ for item in members())


def test_mistakes_and_failures_are_told_apart():
    assert frozenset({64, 65, 78}) == errors.USER_EXIT_CODES
    assert not {74, 75, 143} & errors.USER_EXIT_CODES
