"""Find artifacts by what they are, and the way back from a number to what it was measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from olivine.artifacts import Manifest
from olivine.errors import UsageError
from olivine.lineage.diff import flatten
from olivine.lineage.source import Place, Source
from olivine.lineage.trace import ancestors, descendants
from olivine.stages import DETECTION_KINDS, STAGES

_RELATIONS = {">=": float.__ge__, "<=": float.__le__, ">": float.__gt__, "<": float.__lt__, "=": float.__eq__}
_MOST_DECIMALS = 6
_TOLD = {"kind": "labels"} | {name: name for name in ("split", "fraction", "init", "method", "accuracy", "frozen")}
"""What of a summary decides a number, and the word for it: an artifact has a kind of its own."""


@dataclass(frozen=True)
class Query:
    """What to look for; empty fields ask for nothing."""

    kind: str = ""
    recipe: str = ""
    """A field and its value, as `method=olivine`, or a word that any value of the recipe is equal to."""
    drive: str = ""
    since: str = ""
    """Date or time (ISO 8601, UTC unless it says otherwise) at which a run ended, or later."""
    until: str = ""
    """Before this date or time."""
    metric: str = ""
    """A number of the summary and its bound, as `miou>=0.3`."""


@dataclass(frozen=True)
class Hit:
    """An artifact that fits, when it was finished, and the numbers of its summary."""

    manifest: Manifest
    finished: str | None
    numbers: dict[str, float]


def search(source: Source, query: Query) -> Iterator[Hit]:
    """Every artifact that fits all of the query, in the order of stages.

    Raises:
        UsageError: a metric without a bound, a date that is none, or a kind that no stage makes.
    """
    if query.metric:
        _bound(query.metric)
    since, until = _time(query.since), _time(query.until)
    kinds = {stage.makes for stage in STAGES} | set(DETECTION_KINDS)
    places = [Place(m.stage, m.id) for m in _of_drive(source, query.drive)] if query.drive else source.places()
    for place in places:
        manifest = source.manifest(place)
        if manifest is None:
            continue
        kinds.add(manifest.kind)
        if (query.kind and manifest.kind != query.kind) or not _has(manifest, query.recipe):
            continue
        numbers = numbers_of(manifest)
        if query.metric and not _within(numbers, query.metric):
            continue
        finished = (source.run(manifest) or {}).get("ended")
        ended = _time(finished or "")
        if (since and (not ended or ended < since)) or (until and (not ended or ended >= until)):
            continue
        yield Hit(manifest, finished, numbers)
    if query.kind and query.kind not in kinds:
        raise UsageError(f"{query.kind!r} is no kind of artifact: give one of {', '.join(sorted(kinds))}.")


def numbers_of(manifest: Manifest) -> dict[str, float]:
    """The numbers of a summary by dotted name."""
    flat = flatten(manifest.summary).items()
    return {
        name: float(value) for name, value in flat if isinstance(value, int | float) and not isinstance(value, bool)
    }


def explain(source: Source, number: str) -> list[dict[str, Any]]:
    """Where a number of a table can come from: every metrics artifact that has it, with its way back to the frames.

    The number is taken as it is printed: a share (`0.2713`) or per cent (`27.13`), to as many digits as it has.

    Raises:
        UsageError: not a number, or no metrics have it.
    """
    try:
        wanted, decimals = float(number), len(number.partition(".")[2])
    except ValueError as error:
        raise UsageError(f"{number!r} is no number: give one as a table shows it, as 27.13.") from error
    found = []
    for place in source.places():
        manifest = source.manifest(place)
        if manifest is None or manifest.kind != "metrics":
            continue
        for name, value in numbers_of(manifest).items():
            if wanted in (round(value, decimals), round(100 * value, min(decimals, _MOST_DECIMALS))):
                found.append({"number": name, "value": value, "way": _way(source, place)})
    if not found:
        raise UsageError(f"no metrics in {source.url} have the number {number}. Means over seeds are not stored: give "
                         "the number of one seed.")  # fmt: skip
    return found


def _way(source: Source, place: Place) -> list[dict[str, Any]]:
    """From metrics back to drives, each with what decides the number."""
    way = []
    for manifest in reversed(ancestors(source, place)):
        summary = {
            told: manifest.summary[name] for name, told in _TOLD.items() if manifest.summary.get(name) is not None
        }
        keyframes = manifest.summary.get("keyframes")
        facts = {"seed": manifest.seed, **summary, **({"labelled_keyframes": keyframes} if keyframes else {})}
        way.append(
            {"stage": manifest.stage, "kind": manifest.kind, "id": manifest.id, "counts": manifest.counts, **facts}
        )
    return way


def _of_drive(source: Source, drive: str) -> list[Manifest]:
    return descendants(source, source.holders("drive", drive))


def _has(manifest: Manifest, wanted: str) -> bool:
    if not wanted:
        return True
    flat = {name: str(value) for name, value in flatten(manifest.recipe).items()}
    name, equals, value = wanted.partition("=")
    return flat.get(name) == value if equals else wanted in flat.values()


def _time(text: str) -> datetime | None:
    """A date or time, None of an empty text; of no zone it is UTC, in which runs are recorded."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no date or time: write it as 2026-01-31 or 2026-01-31T12:00.") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _bound(metric: str) -> tuple[str, str, float]:
    for sign in _RELATIONS:
        name, found, value = metric.partition(sign)
        if found and not name.endswith(("=", "<", ">")):
            try:
                return name.strip(), sign, float(value)
            except ValueError:
                break
    raise UsageError(f"{metric!r} bounds no metric: write it as miou>=0.3.")


def _within(numbers: dict[str, float], metric: str) -> bool:
    name, sign, bound = _bound(metric)
    return name in numbers and _RELATIONS[sign](numbers[name], bound)
