"""Classes from manifests: what is stated, what older manifests mean, and who is refused because of it."""

from __future__ import annotations

import pytest

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.drives.classes import class_colours, class_names, intensity_max
from olivine.errors import UsageError
from olivine.evaluate.load import load_segmenter, require_fit
from olivine.nuscenes_categories import CATEGORY_COLORS, CATEGORY_NAMES
from olivine.report.colours import CATEGORIES, hand_classes


def restated(artifact, **summary):
    """The artifact with other facts in its summary; None takes one away."""
    changed = {name: value for name, value in (artifact.manifest.summary | summary).items() if value is not None}
    return Artifact(artifact.store, artifact.manifest.model_copy(update={"summary": changed}))


def test_every_artifact_of_a_chain_states_its_classes(chain):
    for word in ("ingest", "finetune", "evaluate"):
        assert chain.made[word].manifest.summary["class_names"] == list(CATEGORY_NAMES)
    assert chain.made["finetune"].manifest.summary["intensity_max"] == 255.0
    assert (chain.drives.class_names, chain.drives.num_ids) == (CATEGORY_NAMES, 17)
    assert tuple(hand_classes(chain.made["ingest"])) == CATEGORIES


def test_what_was_published_before_is_of_nuscenes(chain):
    old = restated(chain.made["ingest"], class_names=None, class_colours=None, intensity_max=None).manifest
    assert (class_names(old), class_colours(old), intensity_max(old)) == (CATEGORY_NAMES, CATEGORY_COLORS, 255.0)
    before = restated(chain.made["finetune"], class_names=None, intensity_max=None)
    assert load_segmenter(before)[0].num_ids == 17
    require_fit(before, chain.made["ingest"])


def test_the_head_is_as_wide_as_the_classes_are_many(chain):
    with pytest.raises(RuntimeError, match="size mismatch for head"):
        load_segmenter(restated(chain.made["finetune"], class_names=["car", "road"]))


def test_other_classes_and_another_sensor_are_refused(chain):
    drives, segmenter = chain.made["ingest"], chain.made["finetune"]
    names = [*CATEGORY_NAMES[:-1], "lamp"]
    with pytest.raises(UsageError, match=r"on other classes than those .* \(16 and 16; vegetation is one difference"):
        require_fit(segmenter, restated(drives, class_names=names))
    with pytest.raises(UsageError, match="their order is one difference"):
        require_fit(segmenter, restated(drives, class_names=list(reversed(CATEGORY_NAMES))))
    with pytest.raises(UsageError, match=r"trained on intensities up to 255.0, .* go up to 1.0"):
        require_fit(segmenter, restated(drives, intensity_max=1.0))


def test_classes_without_colours_get_different_ones(chain):
    names = [f"class {number}" for number in range(60)]
    drives = restated(chain.made["ingest"], class_names=names, class_colours=[None] * 60)
    swatches = hand_classes(drives)
    assert [swatch.name for swatch in swatches] == names
    assert len({swatch.rgb for swatch in swatches}) == 60
    assert Drives(drives).num_ids == 61
