"""What `olivine gc` finds and deletes: never what is promoted, young or needed; always with a record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from chain import command_line
from lineage.graph import Graph, publish

from olivine.artifacts import begin, open_artifact
from olivine.artifacts.output import Output, put_blob
from olivine.artifacts.withdrawn import withdraw
from olivine.errors import IntegrityError, StoreError, UsageError
from olivine.lineage.delete import delete_garbage
from olivine.lineage.gc import LEFT_OVER, UNNEEDED, find_garbage
from olivine.lineage.search import Query, search
from olivine.lineage.source import StoreSource, find_place
from olivine.lineage.verify import verify_lineage
from olivine.registry.promotion import promote, roll_back

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=40)
RULE = {"days": 30, "withdrawn": False}


def promote_model(graph: Graph, name: str, at: datetime = NOW) -> None:
    metrics = graph[name.replace("segmenter", "metrics")]
    promote(graph.store, graph[name], metrics, "for a test", "test", at)


def names(graph: Graph, garbage) -> set[str]:
    by_id = {artifact.id: name for name, artifact in graph.made.items()}
    return {by_id[item.manifest.id] for item in garbage.artifacts}


def unpublished(graph: Graph, recipe: dict) -> Output:
    out = begin(graph.store, "ingest", "drives", {}, recipe, 0)
    assert isinstance(out, Output)
    return out


def test_what_is_young_stays(graph):
    found = find_garbage(graph.store, 30)
    assert (found.artifacts, found.objects, found.others, found.held) == ((), {}, (), ())
    assert found.kept == len(graph.made)


def test_old_work_goes_but_for_what_the_promoted_model_was_made_from(graph):
    promote_model(graph, "segmenter_a0")
    found = find_garbage(graph.store, 30, now=LATER)
    stays = {"drives_a", "labels_a", "weights_a", "backbone_a", "segmenter_a0", "metrics_a0"}
    assert names(graph, found) == set(graph.made) - stays
    assert {item.reason for item in found.artifacts} == {UNNEEDED}
    assert found.size_bytes == sum(found.objects.values()) > 0

    folder = delete_garbage(graph.store, found, RULE, by="the auditor")
    assert verify_lineage(graph.store, find_place(StoreSource(graph.store), graph.id("metrics_a0"))) == []
    for name, artifact in graph.made.items():
        there = open_artifact(graph.store, artifact.manifest.stage, artifact.id)
        assert (there is not None) == (name in stays)
    shared = {blob.key for name in stays for blob in graph[name].manifest.data}
    assert set(graph.store.list("blobs/sha256")) == shared
    planned, done = (json.loads(graph.store.read(f"{folder}/{name}.json")) for name in ("planned", "done"))
    assert (planned["by"], planned["rule"], done["none_is_there"]) == ("the auditor", RULE, True)
    assert set(found.objects) < set(planned["keys"])
    assert done["keys"] == len(planned["keys"])


def test_questions_after_a_collection_know_nothing_of_what_went_but_that_it_went(graph):
    promote_model(graph, "segmenter_a0")
    delete_garbage(graph.store, find_garbage(graph.store, 30, now=LATER), RULE, by="the auditor")
    source = StoreSource(graph.store)
    assert {hit.manifest.id for hit in search(source, Query(kind="segmenter"))} == {graph.id("segmenter_a0")}
    assert {place.id for place in source.holders("drive", "n015")} == {graph.id("drives_a")}
    assert [place.id for place in source.consumers(graph.id("backbone_a"))] == [graph.id("segmenter_a0")]
    for name in (graph.id("segmenter_b1"), graph.id("segmenter_b1")[:12]):
        with pytest.raises(UsageError, match=f"finetune {name[:12]} was deleted by the auditor at .*{UNNEEDED}"):
            find_place(source, name)


def test_a_rollback_still_finds_its_model(graph):
    promote_model(graph, "segmenter_b0")
    promote_model(graph, "segmenter_a0", NOW + timedelta(hours=1))
    assert "segmenter_b0" not in names(graph, find_garbage(graph.store, 0, now=LATER))
    assert roll_back(graph.store, "a test", "test", LATER).segmenter.id == graph.id("segmenter_b0")


def test_what_was_deleted_and_made_again_can_be_rolled_back_to(graph):
    promote_model(graph, "segmenter_b0")
    promote_model(graph, "segmenter_a0", NOW + timedelta(hours=1))
    b0 = graph["segmenter_b0"].manifest
    kept = graph.store.read(b0.key)
    record = {"by": "me", "at": NOW.isoformat(), "reason": "a test"}
    graph.store.create(f"records/deleted/finetune/{b0.id}/x.json", json.dumps(record).encode())
    graph.store.delete(b0.key)
    with pytest.raises(UsageError, match="was deleted by me"):
        roll_back(graph.store, "a test", "test", LATER)
    graph.store.create(b0.key, kept)
    assert roll_back(graph.store, "a test", "test", LATER).segmenter.id == b0.id


def test_withdrawn_drives_go_with_all_that_they_reached_but_for_the_promoted_model(graph):
    withdraw(graph.store, "n008", "the owner asked", "legal")
    for name in ("no key <b>", "../n015"):
        withdraw(graph.store, name, "nor is it here", "legal")
    graph.store.create("registry/files/n008/samples/a.bin", b"raw")
    graph.store.create("registry/files/other/samples/a.bin", b"raw")
    assert not find_garbage(graph.store, 30).artifacts
    found = find_garbage(graph.store, 30, withdrawn=True)
    assert names(graph, found) == {name for name in graph.made if "_a" in name}
    assert {item.reason for item in found.artifacts} == {"the drive n008 was withdrawn: the owner asked"}
    assert found.others == ("registry/files/n008/samples/a.bin",)
    assert found.held == ()

    promote_model(graph, "segmenter_a0")
    held = find_garbage(graph.store, 30, withdrawn=True)
    assert names(graph, held) == {"segmenter_a1", "metrics_a1"}
    assert held.held == (
        f"segmenter {graph.id('segmenter_a0')[:12]} is promoted, but the drive n008 was withdrawn: the owner asked. "
        "Promote another, then collect again.",
    )
    promote_model(graph, "segmenter_b0", NOW + timedelta(hours=1))
    delete_garbage(graph.store, find_garbage(graph.store, 30, withdrawn=True), RULE)
    assert not list(graph.store.list("registry/files/n008"))
    with pytest.raises(UsageError, match=r"was deleted by .* n008 was withdrawn"):
        roll_back(graph.store, "a test", "test", NOW + timedelta(hours=2))


def test_checkpoints_go_when_their_training_is_finished_or_old(graph):
    backbone = graph["backbone_a"]
    inputs = {"drives": graph["drives_a"]}
    finished = publish(graph.store, "pretrain", "checkpoint", inputs, {"checkpoint_of": backbone.id, "step": 1}, {})
    going = publish(graph.store, "pretrain", "checkpoint", inputs, {"checkpoint_of": "ee" * 32, "step": 1}, {})
    for owner, checkpoint in ((backbone.id, finished), ("ee" * 32, going)):
        graph.store.move_ref(f"runs/{owner}/checkpoint", json.dumps({"id": checkpoint.id, "step": 1}).encode(), None)
    found = find_garbage(graph.store, 30)
    assert [(item.manifest.id, item.reason) for item in found.artifacts] == [(finished.id, LEFT_OVER)]
    assert found.others == (f"refs/runs/{backbone.id}/checkpoint",)
    assert going.id in {item.manifest.id for item in find_garbage(graph.store, 30, now=LATER).artifacts}


def test_the_best_checkpoint_of_a_running_training_stays_however_old(graph, monkeypatch):
    owner, inputs = "ee" * 32, {"drives": graph["drives_a"]}
    steps = {
        step: publish(graph.store, "pretrain", "checkpoint", inputs, {"checkpoint_of": owner, "step": step}, {})
        for step in (1, 8, 9)
    }
    best, stray, last = steps[1], steps[8], steps[9]
    content = {"id": last.id, "step": 9, "older": [], "best": {"id": best.id, "step": 1}, "leaving": []}
    graph.store.move_ref(f"runs/{owner}/checkpoint", json.dumps(content).encode(), None)
    monkeypatch.setattr(
        "olivine.lineage.gc._finished",
        lambda store, manifest: (LATER if manifest.id == last.id else NOW).isoformat(),
    )
    found = find_garbage(graph.store, 30, now=LATER)
    ids = {item.manifest.id for item in found.artifacts}
    assert not ids & {best.id, last.id, graph.id("drives_a")}
    assert stray.id in ids, "no ref names it"
    assert not {blob.key for blob in best.manifest.data} & set(found.objects)
    assert found.others == ()
    # All of them are old: the training is left over, and its ref goes too.
    later = find_garbage(graph.store, 30, now=LATER + timedelta(days=40))
    assert {best.id, last.id} <= {item.manifest.id for item in later.artifacts}
    assert later.others == (f"refs/runs/{owner}/checkpoint",)


def test_checkpoints_made_from_withdrawn_drives_do_not_hold_them(graph):
    owner, inputs = "ee" * 32, {"drives": graph["drives_a"]}
    going = publish(graph.store, "pretrain", "checkpoint", inputs, {"checkpoint_of": owner, "step": 1}, {})
    other = publish(graph.store, "pretrain", "checkpoint", {"drives": graph["drives_b"]}, {"step": 1}, {})
    content = json.dumps({"id": going.id, "step": 1}).encode()
    graph.store.move_ref(f"runs/{owner}/checkpoint", content, None)
    withdraw(graph.store, "n008", "the owner asked", "legal")
    found = find_garbage(graph.store, 30, withdrawn=True)
    reasons = {item.manifest.id: item.reason for item in found.artifacts}
    assert reasons[going.id] == reasons[graph.id("drives_a")] == "the drive n008 was withdrawn: the owner asked"
    assert other.id not in reasons
    assert found.others == (f"refs/runs/{owner}/checkpoint",)


def test_objects_of_nobody_go_when_they_are_old_and_no_part_names_them(graph, monkeypatch):
    lost = put_blob(graph.store, "lost.bin", b"of nobody")
    out = unpublished(graph, {"name": "unfinished"})
    kept = out.put("kept.bin", b"of a part")
    out.save_part("first", ["kept.bin"], {})
    assert not find_garbage(graph.store, 30).objects
    assert lost.key in find_garbage(graph.store, 30, now=LATER).objects
    # A part that is as old is left over too.
    assert {lost.key, kept.key} <= set(find_garbage(graph.store, 30, now=LATER).objects)
    modified = graph.store.modified
    old = NOW - timedelta(days=60)
    monkeypatch.setattr(graph.store, "modified", lambda key: old if key.startswith("blobs") else modified(key))
    found = find_garbage(graph.store, 30)
    assert (lost.key in found.objects, kept.key in found.objects, found.others) == (True, False, ())


def test_what_a_running_stage_found_there_may_be_gone_before_it_publishes(graph):
    lost = put_blob(graph.store, "lost.bin", b"of nobody")
    out = unpublished(graph, {"name": "late"})
    out.put("again.bin", b"of nobody")
    graph.store.delete(lost.key)
    with pytest.raises(IntegrityError, match=r"again\.bin\): was deleted meanwhile"):
        out.publish({}, {}, ())
    assert open_artifact(graph.store, "ingest", out.id) is None


def test_what_cannot_be_deleted_is_named(graph, monkeypatch):
    found = find_garbage(graph.store, 30, now=LATER)
    locked = next(iter(found.objects))
    delete = graph.store.delete
    monkeypatch.setattr(graph.store, "delete", lambda key: None if key == locked else delete(key))
    with pytest.raises(StoreError, match=rf"1 of \d+ objects are still there .*{locked}"):
        delete_garbage(graph.store, found, RULE)
    assert not [key for key in graph.store.list("records/gc") if key.endswith("done.json")]


def test_a_killed_collection_is_ended_by_the_next(graph, monkeypatch):
    found = find_garbage(graph.store, 30, now=LATER)
    delete, count = graph.store.delete, iter(range(5))
    monkeypatch.setattr(graph.store, "delete", lambda key: delete(key) if next(count, None) is not None else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        delete_garbage(graph.store, found, RULE)
    monkeypatch.undo()
    again = find_garbage(graph.store, 30, now=LATER)
    assert len(again.artifacts) == len(found.artifacts) - 5
    assert again.objects == found.objects
    delete_garbage(graph.store, again, RULE)
    assert not list(graph.store.list("blobs"))


def test_the_command_shows_first_and_deletes_when_told(graph, tmp_path):
    def gc(*arguments: str):
        return command_line("gc", "--store", graph.store.url, *arguments)

    shown = gc("--days", "0")
    assert (shown.returncode, "Nothing was deleted" in shown.stdout) == (0, True), shown.stderr
    assert f"{len(graph.made)} artifacts" in shown.stdout
    assert open_artifact(graph.store, "ingest", graph.id("drives_a"))
    told = gc("--days", "0", "--delete", "--json", "--by", "me")
    answer = json.loads(told.stdout)
    assert (answer["deleted"], len(answer["artifacts"])) == (True, len(graph.made))
    assert json.loads(graph.store.read(f"{answer['record']}/done.json"))["none_is_there"]
    assert json.loads(gc("--delete", "--json").stdout)["record"] is None
    refused = gc("--days", "-1")
    assert (refused.returncode, "--days is -1" in refused.stderr) == (64, True)
