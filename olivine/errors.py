"""The one tree of errors, and the exit codes that go with it.

A message says what is wrong, where (file, frame, field) and what to do. The exit code tells a user's mistake (never
worth a retry: 64, 65, 78) from a failure of the infrastructure (worth one: 74, 75), after sysexits.h.
"""

from __future__ import annotations


class OlivineError(Exception):
    """Anything olivine reports on purpose. `exit_code` is what the process returns for it."""

    exit_code = 70


class UsageError(OlivineError):
    """The call is wrong: an unknown recipe, a bad flag, a URI that is not allowed."""

    exit_code = 64


class DataError(OlivineError):
    """The data are wrong: a folder that is not nuScenes, too many bad frames, a corrupt file."""

    exit_code = 65


class IntegrityError(DataError):
    """Bytes do not have the size or digest that a manifest promises."""


class ConfigError(OlivineError):
    """The surroundings are wrong: a missing extra, weights that are not there, a denied bucket."""

    exit_code = 78


class StoreError(OlivineError):
    """The object store failed after its retries. Worth another try."""

    exit_code = 75


class PeerError(OlivineError):
    """Another process of the run is gone, never came, or hangs. Worth another try: the run goes on where it was."""

    exit_code = 75


class ClusterError(OlivineError):
    """The cluster failed after its retries, or lost a job. Worth another try."""

    exit_code = 75


class DiskFullError(StoreError):
    """No room for a write: names the path and the bytes that were needed."""

    exit_code = 74


class Interrupted(OlivineError):
    """SIGTERM arrived; progress up to the last complete part is kept."""

    exit_code = 143


USER_EXIT_CODES = frozenset({UsageError.exit_code, DataError.exit_code, ConfigError.exit_code})
