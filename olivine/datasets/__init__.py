"""Labelled LiDAR data sets in the style of SemanticKITTI, each a table: layout, classes, splits. No torch."""

from olivine.datasets.scans import (
    Scan,
    every_nth,
    files_of_sequences,
    find_scans,
    read_labels,
    read_points,
    read_raw_labels,
    write_prediction,
)
from olivine.datasets.table import DataSetTable, known_tables, load_table

__all__ = [
    "DataSetTable",
    "Scan",
    "every_nth",
    "files_of_sequences",
    "find_scans",
    "known_tables",
    "load_table",
    "read_labels",
    "read_points",
    "read_raw_labels",
    "write_prediction",
]
