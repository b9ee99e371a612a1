"""Any number of runs side by side: what differs in data, recipe, code, environment and cost, and their results.

A run is an artifact of any stage, or several of one arm (its seeds, its label fractions): what stands behind it says
what it is, what was scored from it says what came out.
"""

from __future__ import annotations

from collections.abc import Sequence

from olivine.artifacts import Artifact, find_artifact
from olivine.lineage.arms import Arm, metrics_of, parse_arms
from olivine.lineage.differences import find_differences
from olivine.lineage.source import Place, Source, StoreSource
from olivine.lineage.trace import union_of_ancestors
from olivine.lineage.withdrawal import withdrawn_behind
from olivine.report.compare import Comparison, arms_by_backbone, compare_results
from olivine.report.setting import caveats
from olivine.store import Store


def compare_runs(store: Store, runs: Sequence[str], everything: bool = False) -> Comparison:
    """Compare runs, each `ID` or `NAME=ID,ID,...`, with the first of them; ids may be cut to 6 or more characters.

    Results are those of the metrics that were made from a backbone or segmenter, or are given themselves. With
    `everything` facts that are equal are told too.

    Raises:
        UsageError: fewer than two runs, one that is given twice, names nothing or mixes kinds or methods; two results
            of one seed that cannot be told apart. IntegrityError: something behind a run is missing.
    """
    source = StoreSource(store)
    return _compare(store, source, parse_arms(source, runs), everything)


def compare_with_baseline(store: Store, metrics: Sequence[str], baseline: Sequence[str]) -> Comparison:
    """Compare the metrics with these ids, of any arms, with those of one baseline arm: arms are told by their backbone.

    Raises:
        UsageError: what `arms_by_backbone` and `compare_results` refuse. IntegrityError: something is missing.
    """
    found, first = ([find_artifact(store, "evaluate", id) for id in ids] for ids in (metrics, baseline))
    arms = arms_by_backbone(store, found, first)
    named = [Arm(name, tuple(Place("evaluate", item.id) for item in items)) for name, items in arms.items()]
    return _compare(store, StoreSource(store), named, everything=False)


def _compare(store: Store, source: Source, arms: Sequence[Arm], everything: bool) -> Comparison:
    scored = {arm.name: metrics_of(source, arm.places) for arm in arms}
    return Comparison(
        {arm.name: [place.id for place in arm.places] for arm in arms},
        compare_results(store, {name: [_artifact(store, place) for place in found] for name, found in scored.items()}),
        find_differences(source, arms, everything),
        _notes(store, source, [place for arm in arms for place in (*arm.places, *scored[arm.name])]),
    )


def _notes(store: Store, source: Source, places: Sequence[Place]) -> list[str]:
    """What weakens the numbers: withdrawn or synthetic drives, simulated weak labels, a stand-in for the encoder."""
    withdrawn = [f"WITHDRAWN: {sentence}" for place in places for sentence in withdrawn_behind(store, place)]
    weak = [line for manifest in union_of_ancestors(source, places) for line in caveats(manifest)]
    return list(dict.fromkeys(withdrawn + weak))


def _artifact(store: Store, place: Place) -> Artifact:
    return find_artifact(store, place.stage, place.id)
