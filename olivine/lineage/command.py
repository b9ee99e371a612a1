"""`olivine lineage`, `olivine card`, `olivine drives`: questions to a store, and answers for people or as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.signatures import read_public_keys
from olivine.artifacts.withdrawn import withdraw, withdrawals
from olivine.errors import IntegrityError
from olivine.lineage.card import write_card
from olivine.lineage.delete import delete_garbage, keys_of
from olivine.lineage.diff import diff
from olivine.lineage.export import export
from olivine.lineage.frames import count_by_drive, frame_table
from olivine.lineage.gc import Garbage, find_garbage
from olivine.lineage.impact import impact, promoted_among
from olivine.lineage.mirror import MirrorSource, build_mirror, mirror_path
from olivine.lineage.repair import repair
from olivine.lineage.search import Query, explain, search
from olivine.lineage.source import Place, Source, StoreSource, find_place
from olivine.lineage.trace import ancestors, trace
from olivine.lineage.verify import verify_lineage
from olivine.lineage.withdrawal import affected, withdrawn_behind
from olivine.progress import Progress
from olivine.registry.uses import uses_of_drive
from olivine.stages import SENSOR_KINDS
from olivine.store import Store, open_store

_MOST_SHOWN = 12


def open_source(store_url: str, mirror: bool) -> Source:
    """The store, or its mirror as it was last built."""
    store = open_store(store_url)
    return MirrorSource(mirror_path(store.url)) if mirror else StoreSource(store)


def run_trace(store_url: str, name: str, frames: bool, mirror: bool, as_json: bool) -> None:
    """Print what made an artifact; with `frames` also how many keyframes of each drive it has seen."""
    source = open_source(store_url, mirror)
    place = find_place(source, name)
    found = trace(source, place)
    store = open_store(store_url)
    counted = _frames(store, source, place) if frames else {}
    marks = withdrawn_behind(store, place)
    if as_json:
        print(json.dumps(found.as_json() | {"frames": counted, "withdrawn": marks}))
        return
    for mark in marks:
        print(f"WITHDRAWN: {mark}")
    for step in found.steps:
        counts = ", ".join(f"{value} {key}" for key, value in step.counts.items() if value)
        dirty = " (changed)" if step.dirty else ""
        print(f"{step.stage:9} {step.kind:16} {step.id[:12]}  {counts}")
        print(f"{'':9} seed {step.seed}, commit {(step.commit or 'not recorded')[:12]}{dirty}, "
              f"{(step.finished or 'no run record')[:19]}, {step.host or '-'}, {step.device or '-'}")  # fmt: skip
    print(f"drives    {_shown(found.drives)}")
    print(f"weights   {_shown(found.weights)}")
    print(f"commits   {_shown([commit[:12] for commit in found.commits])}")
    print(f"licences  {'; '.join(found.licences)}")
    for what, by_drive in counted.items():
        shown = _shown(f"{drive} {count}" for drive, count in by_drive.items())
        print(f"frames    {what}: {sum(by_drive.values())} keyframes of {len(by_drive)} drives: {shown}")


def run_impact(store_url: str, asked: str, mirror: bool, as_json: bool) -> None:
    """Print everything that was made from what `asked` names."""
    found = impact(open_source(store_url, mirror), asked)
    store = open_store(store_url)
    promoted = promoted_among(store, found)
    planned = uses_of_drive(store, found.asked, datetime.now(UTC)) if found.sort == "drive" else []
    if as_json:
        print(json.dumps(found.as_json() | {"promoted": promoted, "planned": planned}))
        return
    print(f"{found.sort} {found.asked}: {len(found.reached)} artifacts, {len(found.models)} of them models")
    if promoted:
        print(f"PROMOTED: segmenter {promoted} is in use. `olivine rollback` takes it back.")
    for sentence in planned:
        print(f"PLANNED: {sentence}")
    _print_manifests(found.reached)


def run_verify(store_url: str, name: str, keys: Path | None) -> None:
    """Hash everything behind an artifact again; with a folder of public keys, ask for signatures too.

    Raises:
        IntegrityError: something differs; the message names all of it.
    """
    store = open_store(store_url)
    place = find_place(StoreSource(store), name)
    problems = verify_lineage(store, place, read_public_keys(keys) if keys else None)
    if problems:
        raise IntegrityError("\n".join([f"{len(problems)} problems:", *problems]))
    count = len(ancestors(StoreSource(store), place))
    print(
        f"{place.stage} {place.id}: every byte, manifest, record and edge of {count} artifacts is as it was published."
    )


def run_diff(store_url: str, one: str, other: str, as_json: bool) -> None:
    """Print what differs between two artifacts and what is behind them."""
    source = StoreSource(open_store(store_url))
    found = diff(source, find_place(source, one), find_place(source, other))
    if as_json:
        print(json.dumps(found))
        return
    if not found:
        print("nothing differs")
    for group, pairs in found.items():
        print(group)
        for name, (left, right) in pairs.items():
            print(f"  {name}: {_short(left)} -> {_short(right)}")


def run_why(store_url: str, number: str, as_json: bool) -> None:
    """Print where a number of a table comes from, back to the frames."""
    found = explain(StoreSource(open_store(store_url)), number)
    if as_json:
        print(json.dumps(found))
        return
    for item in found:
        print(f"{item['number']} = {item['value']:.6f}")
        for step in item["way"]:
            facts = {name: value for name, value in step.items() if name not in ("stage", "kind", "id", "counts")}
            labelled = facts.pop("labelled_keyframes", None)
            told = ", ".join(f"{name} {value}" for name, value in facts.items())
            counts = ", ".join(f"{value} {name}" for name, value in step["counts"].items() if value)
            print(f"  {step['stage']:9} {step['kind']:16} {step['id'][:12]}  {told}; {counts}")
            if labelled:
                print(f"  {'':9} labelled keyframes: {_shown(labelled)}")


def run_search(store_url: str, query: Query, mirror: bool, as_json: bool) -> None:
    """Print the artifacts that fit a query."""
    source = open_source(store_url, mirror)
    hits = list(search(source, query))
    if as_json:
        print(json.dumps([
            {"stage": hit.manifest.stage, "kind": hit.manifest.kind, "id": hit.manifest.id, "finished": hit.finished,
             "numbers": hit.numbers} for hit in hits
        ]))  # fmt: skip
        return
    _print_manifests((hit.manifest for hit in hits), most=len(hits))
    print(f"{len(hits)} artifacts")
    if not any(True for _ in source.places()):
        print(f"note: {source.url} is empty: is --store right?", file=sys.stderr)


def run_export(store_url: str, name: str, format: str, out: Path | None) -> None:
    """Write the lineage of an artifact in another program's words."""
    store = open_store(store_url)
    text = export(store, find_place(StoreSource(store), name), format)
    _write(text, out)


def run_mirror(store_url: str) -> None:
    """Build the local mirror anew and print where it is."""
    store = open_store(store_url)
    path = mirror_path(store.url)
    with Progress("lineage mirror", 0, "artifacts") as progress:
        count = build_mirror(store, path, progress.advance)
    print(f"{path}: {count} artifacts")


def run_repair(store_url: str) -> None:
    """Add records that are missing."""
    counts = repair(open_store(store_url))
    print(
        f"{counts['artifacts']} artifacts, {counts['statements']} statements written, "
        f"{counts['without_record']} without a run record"
    )


def run_card(store_url: str, name: str, out: Path | None) -> None:
    """Write the model card."""
    store = open_store(store_url)
    _write(write_card(store, find_place(StoreSource(store), name)), out)


def run_withdraw(store_url: str, drive: str, reason: str, by: str) -> None:
    """Withdraw a drive, and print what it has reached."""
    store = open_store(store_url)
    record = withdraw(store, drive, reason, by)
    reached = affected(store, drive)
    print(f"{record.drive} is withdrawn by {record.by} at {record.at[:19]}: {record.reason}")
    print(f"It has reached {len(reached)} artifacts. Nothing was deleted; nothing more is made from it.")
    if not reached:
        told = f"note: {store.url} holds nothing made from a drive of this name"
        print(f"{told}: is it spelt as in `olivine lineage trace`?", file=sys.stderr)
    _print_manifests(reached)


def run_gc(store_url: str, days: int, withdrawn: bool, delete: bool, by: str, as_json: bool) -> None:
    """Print what nothing needs any more; with `delete` remove it."""
    store = open_store(store_url)
    garbage = find_garbage(store, days, withdrawn=withdrawn)
    rule = {"days": days, "withdrawn": withdrawn}
    folder = _delete(store, garbage, rule, by) if delete else None
    if as_json:
        print(json.dumps(garbage.as_json() | {"deleted": delete, "record": folder}))
        return
    for sentence in garbage.held:
        print(f"HELD: {sentence}")
    for item in garbage.artifacts:
        manifest = item.manifest
        print(f"{manifest.stage:9} {manifest.kind:16} {manifest.id[:12]}  {(item.finished or '')[:19]}  {item.reason}")
    objects = f"{len(garbage.objects)} data objects ({_readable(garbage.size_bytes)})"
    others = f"{len(garbage.others)} other keys"
    print(f"{len(garbage.artifacts)} artifacts, {objects} and {others}; {garbage.kept} artifacts stay.")
    print(f"Deleted; the record is {folder}." if folder else "Nothing was deleted: --delete does it.")


def _delete(store: Store, garbage: Garbage, rule: dict[str, Any], by: str) -> str | None:
    """Remove garbage, where there is any."""
    keys = keys_of(garbage)
    if not keys:
        return None
    with Progress("gc", len(keys), "keys") as progress:
        return delete_garbage(store, garbage, rule, by=by, on_key=progress.advance)


def _readable(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


def run_drives(store_url: str, as_json: bool) -> None:
    """List withdrawn drives."""
    found = withdrawals(open_store(store_url))
    if as_json:
        print(json.dumps({drive: [record.as_json() for record in records] for drive, records in found.items()}))
        return
    for drive, records in found.items():
        for record in records:
            print(f"{drive}  {record.at[:19]}  {record.by}: {record.reason}")
    print(f"{len(found)} withdrawn")


def _frames(store: Store, source: Source, place: Place) -> dict[str, dict[str, int]]:
    """Keyframes by drive: of the drives, and of those whose hand labels were read."""
    behind = ancestors(source, place)
    counted: dict[str, dict[str, int]] = {}
    tables = {item.id: frame_table(store, item) for item in behind if item.kind in SENSOR_KINDS}
    for item in behind:
        if item.id in tables:
            counted[f"{item.kind} {item.id[:12]}"] = count_by_drive(tables[item.id])
    for item in behind:
        ref = item.inputs.get("frames") or item.inputs.get("drives")
        if ref is None or ref.id not in tables:
            continue
        if item.kind == "detector":
            counted[f"{item.kind} {item.id[:12]}"] = count_by_drive(tables[ref.id], item.recipe["split"])
        if item.kind == "segmenter":
            keyframes = item.summary.get("keyframes", [])
            counted[f"hand labels of {item.kind} {item.id[:12]}"] = count_by_drive(tables[ref.id], None, keyframes)
        if item.kind == "backbone" and item.recipe.get("splits"):
            counted[f"{item.kind} {item.id[:12]}"] = count_by_drive(tables[ref.id], item.recipe["splits"])
    return counted


def _print_manifests(manifests: Iterable[Manifest], most: int = _MOST_SHOWN) -> None:
    listed = list(manifests)
    for manifest in listed[:most]:
        name = manifest.summary.get("method") or manifest.summary.get("init") or ""
        print(f"{manifest.stage:9} {manifest.kind:16} {manifest.id}  {name}".rstrip())
    if len(listed) > most:
        kinds = Counter(manifest.kind for manifest in listed[most:])
        print(f"and {', '.join(f'{count} {kind}' for kind, count in kinds.items())} (--json lists all)")


def _shown(values: Iterable[str]) -> str:
    listed = list(values)
    more = f" and {len(listed) - _MOST_SHOWN} more" if len(listed) > _MOST_SHOWN else ""
    return (", ".join(listed[:_MOST_SHOWN]) or "none") + more


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _write(text: str, out: Path | None) -> None:
    if out is None:
        print(text, end="")
        return
    out.write_text(text)
    print(out)
