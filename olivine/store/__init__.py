"""Object storage: a local directory and S3 behind one class, with create-only writes and compare-and-swap refs."""

from olivine.store.pieces import Pieces
from olivine.store.store import Ref, Store, Traffic, open_store

__all__ = ["Pieces", "Ref", "Store", "Traffic", "open_store"]
