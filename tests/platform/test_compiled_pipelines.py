"""The pipelines that the package carries, and values for their parameters."""

from __future__ import annotations

from typing import Any

import pytest

from olivine.errors import UsageError
from olivine.platform.compiled_pipelines import (
    CompiledPipeline,
    Parameter,
    check_parameters,
    load_pipeline,
    pipeline_names,
)

TYPES = ("STRING", "LIST", "STRUCT", "BOOLEAN", "NUMBER_INTEGER", "NUMBER_DOUBLE")
PIPELINE = CompiledPipeline("some", "", {kind: Parameter(kind, kind, "Text.", required=False) for kind in TYPES}, {})


def test_the_package_carries_the_full_pipeline() -> None:
    assert pipeline_names() == ["compare_recipes", "evaluate_only", "full", "relabel", "retrain_on_new_drives"]
    full = load_pipeline("full")
    nodes = {"num_nodes", "gpus_per_node", "cpu_per_node", "memory_per_node", "node_selector", "namespace", "image"}
    own = {"drives", "store", "version", "recipe", "settings", "seeds", "title", "label_groups"}
    assert set(full.parameters) == own | nodes
    assert {name for name, item in full.parameters.items() if item.required} == {"drives", "store"}
    words = {"ingest", "groups", "share", "label", "weigh", "pretrain", "finetune", "evaluate", "report", "close"}
    assert full.retries == dict.fromkeys(words, 2)


@pytest.mark.parametrize("name", ["", "FULL", "../compiled/full", "full.yaml"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="choose one of compare_recipes, evaluate_only, full"):
        load_pipeline(name)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("STRING", "[1]", "[1]"),
        ("LIST", "0,1,2", [0, 1, 2]),
        ("LIST", ' ["a", "b"]', ["a", "b"]),
        ("LIST", "", []),
        ("LIST", [3], [3]),
        ("STRUCT", '{"a": 1}', {"a": 1}),
        ("BOOLEAN", "true", True),
        ("NUMBER_INTEGER", "3", 3),
        ("NUMBER_DOUBLE", "0.5", 0.5),
        ("NUMBER_DOUBLE", 1, 1),
    ],
)
def test_texts_are_read_as_the_type_asks(kind: str, given: Any, expected: Any) -> None:
    assert check_parameters(PIPELINE, {kind: given}) == {kind: expected}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("STRING", 1),
        ("LIST", "[1"),
        ("LIST", "a"),
        ("LIST", {"a": 1}),
        ("STRUCT", "[]"),
        ("BOOLEAN", "yes"),
        ("BOOLEAN", 1),
        ("NUMBER_INTEGER", "1.5"),
        ("NUMBER_INTEGER", True),
        ("NUMBER_DOUBLE", "much"),
    ],
)
def test_other_values_are_refused_by_name_and_type(kind: str, given: Any) -> None:
    with pytest.raises(UsageError) as caught:
        check_parameters(PIPELINE, {kind: given})
    example = {"LIST": """, as in '["a","b"]' or 1,2""", "STRUCT": """, as in '{"a":"b"}'"""}.get(kind, "")
    assert str(caught.value) == f"{kind} = {given!r}: {kind.lower()} expected{example}. Text."
