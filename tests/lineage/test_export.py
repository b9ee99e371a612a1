"""Other programs' words: statements by their schema, Mermaid, OpenLineage events, the card."""

from __future__ import annotations

import json

import pytest
from lineage.graph import LICENCE, WEIGHTS, Graph

from olivine.artifacts import sha256_hex
from olivine.errors import UsageError
from olivine.lineage.card import write_card
from olivine.lineage.export import FORMATS, export
from olivine.lineage.source import Place

STATEMENT = {"_type": str, "subject": list, "predicateType": str, "predicate": dict}
DEFINITION = {"buildType": str, "externalParameters": dict, "internalParameters": dict, "resolvedDependencies": list}
DETAILS = {"builder": dict, "metadata": dict, "byproducts": list}
DESCRIPTOR = {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}


def place(graph: Graph, name: str = "metrics_a0") -> Place:
    return Place(graph[name].manifest.stage, graph.id(name))


def has_fields(value: dict, fields: dict[str, type]) -> bool:
    return value.keys() == fields.keys() and all(isinstance(value[name], kind) for name, kind in fields.items())


def test_statements_have_the_published_shapes(graph: Graph) -> None:
    """in-toto Statement v1 and SLSA provenance v1: fields, types, and what a resource descriptor may hold."""
    lines = [json.loads(line) for line in export(graph.store, place(graph), "intoto").splitlines()]
    assert len(lines) == 6
    for statement in lines:
        assert has_fields(statement, STATEMENT)
        assert (statement["_type"], statement["predicateType"]) == (
            "https://in-toto.io/Statement/v1",
            "https://slsa.dev/provenance/v1",
        )
        definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
        assert has_fields(definition, DEFINITION)
        assert has_fields(details, DETAILS)
        assert details["builder"].keys() == {"id", "version"}
        assert details["metadata"].keys() == {"invocationId", "startedOn", "finishedOn"}
        for subject in statement["subject"]:
            assert len(subject["digest"]["sha256"]) == 64
        for item in [*statement["subject"], *definition["resolvedDependencies"], *details["byproducts"]]:
            assert item.keys() <= DESCRIPTOR
            assert item.keys() & {"uri", "digest", "content"}


def test_a_statement_names_what_made_the_artifact(graph: Graph) -> None:
    lines = [json.loads(line) for line in export(graph.store, place(graph, "backbone_a"), "intoto").splitlines()]
    statement = lines[-1]
    manifest = graph["backbone_a"].manifest
    subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    assert subjects[manifest.key] == sha256_hex(graph.store.read(manifest.key))
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["recipe"] == manifest.recipe
    materials = {item["name"]: item for item in definition["resolvedDependencies"]}
    assert materials["weights"]["digest"] == {"sha256": WEIGHTS}
    key = graph["labels_a"].manifest.key
    assert materials["weak_labels"] == {
        "name": "weak_labels", "uri": key, "digest": {"sha256": sha256_hex(graph.store.read(key))}
    }  # fmt: skip
    assert materials["sources"]["digest"]["sha256"] == manifest.code.digest


def test_mermaid_has_every_node_and_edge(graph: Graph) -> None:
    text = export(graph.store, place(graph), "mermaid")
    assert text.startswith("flowchart LR\n")
    assert text.count('["') == 6
    assert text.count("-->|") == sum(
        len(graph[name].manifest.inputs)
        for name in ("labels_a", "weights_a", "backbone_a", "segmenter_a0", "metrics_a0")
    )


def test_openlineage_events_name_inputs_and_outputs(graph: Graph) -> None:
    events = [json.loads(line) for line in export(graph.store, place(graph), "openlineage").splitlines()]
    assert [event["job"]["name"] for event in events][-1] == "evaluate"
    for event in events:
        assert event.keys() == {"eventTime", "eventType", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
        assert event["eventType"] == "COMPLETE"
    outputs = {item["name"] for event in events for item in event["outputs"]}
    assert all(item["name"] in outputs for event in events for item in event["inputs"])


def test_an_unknown_format_is_refused(graph: Graph) -> None:
    with pytest.raises(UsageError, match="json, mermaid, intoto, openlineage, html"):
        export(graph.store, place(graph), "xml")
    assert set(FORMATS) == {"json", "mermaid", "intoto", "openlineage", "html"}


def test_a_card_is_read_off_the_records(graph: Graph) -> None:
    card = write_card(graph.store, place(graph, "backbone_a"))
    front = card.split("---\n")[1]
    assert f'license_name: "{LICENCE}"' in front
    assert "4 keyframes of 2 drives" in card
    assert "Non-commercial data are behind these weights" in card
    # Two seeds, 27.134 and 28.134 %: their mean, and an interval.
    assert "mIoU 27.63 % (" in card
    assert "2 seed(s)" in card
    assert "70.0 % of the labelled pairs are right" in card
    assert "an estimate" in card
    assert f"`{graph.id('labels_a')}`" in card
    with pytest.raises(UsageError, match=r"drives .* is no model"):
        write_card(graph.store, place(graph, "drives_a"))
