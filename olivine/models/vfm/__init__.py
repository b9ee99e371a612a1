"""Visual foundation models: detectors that take text, segmenters that take boxes. Frozen, read from local files."""
