"""Lineage: what made an artifact, what was made from it, and whether it is still what it was; from the store alone."""

from olivine.lineage.mirror import MirrorSource, build_mirror
from olivine.lineage.source import Source, StoreSource

__all__ = ["MirrorSource", "Source", "StoreSource", "build_mirror"]
