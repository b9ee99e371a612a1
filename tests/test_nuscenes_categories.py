"""The category tables are the devkit's."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from olivine.nuscenes_categories import (
    CATEGORY_COLORS,
    CATEGORY_NAMES,
    IGNORE_CATEGORY,
    NUM_CATEGORIES,
    RAW_CATEGORY_NAMES,
    RAW_TO_CATEGORY,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def mapper():
    utils = pytest.importorskip("nuscenes.eval.lidarseg.utils")

    names = SimpleNamespace(lidarseg_name2idx_mapping={name: raw for raw, name in enumerate(RAW_CATEGORY_NAMES)})
    return utils.LidarsegClassMapper(names)


def test_raw_names_are_those_of_the_devkit_in_order():
    colormap = pytest.importorskip("nuscenes.utils.color_map").get_colormap()

    assert tuple(colormap) == RAW_CATEGORY_NAMES


def test_lookup_table_is_the_devkits(mapper):
    expected = [mapper.fine_idx_2_coarse_idx_mapping[raw] for raw in range(len(RAW_CATEGORY_NAMES))]

    np.testing.assert_array_equal(RAW_TO_CATEGORY, expected)


def test_names_and_colours_are_the_devkits(mapper):
    index_of = mapper.coarse_name_2_coarse_idx_mapping

    assert index_of == {"ignore": IGNORE_CATEGORY} | {name: i for i, name in enumerate(CATEGORY_NAMES, start=1)}
    assert tuple(mapper.coarse_colormap[name] for name in CATEGORY_NAMES) == CATEGORY_COLORS
    assert NUM_CATEGORIES == len(CATEGORY_NAMES) == 16


def test_lookup_table_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        RAW_TO_CATEGORY[0] = 1
