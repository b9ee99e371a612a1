"""The order of the stages and the types of their ports, declared once.

A stage's word is the name of its package, component, command, tests folder and prefix in the store.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """One stage: its word, its ports, the kind it makes, and which ports may be left empty.

    A port bears the name of the kind that it takes, but for those in PORT_KINDS.
    """

    word: str
    takes: tuple[str, ...]
    makes: str
    summary: str
    optional: tuple[str, ...] = ()


PORT_KINDS = {"start": "backbone"}
"""`start` of `pretrain`: a backbone to start from instead of random parameters, made by an earlier pretraining."""


STAGES = (
    Stage("ingest", (), "drives", "Read raw drives, project points into images, pack keyframes."),
    Stage("label", ("drives",), "weak_labels", "Give every pixel and every pair a weak category."),
    Stage("weigh", ("drives", "weak_labels"), "density_weights", "Compute a sampling weight for every pair."),
    Stage(
        "pretrain",
        ("drives", "weak_labels", "density_weights", "start"),
        "backbone",
        "Distil images into a 3D backbone.",
        optional=("start",),
    ),
    Stage(
        "finetune",
        ("drives", "backbone"),
        "segmenter",
        "Train a segmenter on a fraction of the hand labels.",
        optional=("backbone",),
    ),
    Stage("evaluate", ("drives", "segmenter"), "metrics", "Score a segmenter on the test split."),
)
WORDS = tuple(stage.word for stage in STAGES)
BY_WORD = {stage.word: stage for stage in STAGES}

DETECTION_KINDS = ("frames", "detector", "detection_metrics")
"""Kinds that `olivine.detect` makes in the stages `ingest`, `finetune` and `evaluate`, beside what these make."""

SENSOR_KINDS = ("drives", "frames")
"""Kinds that hold sensor data: what lineage finds by drive and by frame."""
