from __future__ import annotations

import pytest

pytest.importorskip("embreex")

from olivine.synth import SynthRecipe, write_drives

TINY = SynthRecipe(
    seed=3,
    num_select_scenes=1,
    train_keyframes_per_scene=1,
    select_keyframes_per_scene=1,
    test_keyframes_per_scene=2,
    image_width=192,
    image_height=108,
    num_columns=180,
)


@pytest.fixture(scope="session")
def tiny_recipe():
    return TINY


@pytest.fixture(scope="session")
def tiny_drives(tmp_path_factory):
    """A small data set, written by two workers."""
    root = tmp_path_factory.mktemp("synth") / "drives"
    write_drives(root, TINY, num_workers=2)
    return root
