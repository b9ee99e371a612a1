"""The labelers, each on the chain's drives."""

from __future__ import annotations

import io

import numpy as np
import pytest
from chain import damage
from PIL import Image

from olivine.drives import CAMERAS, Drives
from olivine.errors import ConfigError, DataError, IntegrityError, UsageError
from olivine.label.labelers import ImportLabeler, SimulatedLabeler, TruthLabeler, pair_labels
from olivine.label.recipe import LabelRecipe
from olivine.packs import Pack, bytes_array


@pytest.fixture
def drives(chain):
    return chain.drives


@pytest.fixture
def folder(chain, drives, tmp_path):
    """The simulated masks, laid out as images are: what someone else's labeler would deliver."""
    labels = Pack(chain.made["label"])
    for token in drives.tokens():
        members = labels.whole(token)
        for camera in drives.meta(token)["cameras"]:
            path = tmp_path / "camseg" / camera["file"].removeprefix("samples/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".png").write_bytes(members[f"{camera['name']}.png"])
    return tmp_path / "camseg"


def importer(folder, **changes):
    return ImportLabeler(LabelRecipe(labeler="import", folder=str(folder), **changes))


def test_imported_masks_give_the_same_pair_labels(chain, drives, folder):
    labels = Pack(chain.made["label"])
    for token in drives.tokens()[:4]:
        found = importer(folder).label(drives, drives.keyframe(token))
        head = labels.whole(token)
        assert np.array_equal(found.pair_label_M, bytes_array(head["pair_label.npy"]))
        for camera, mask_HW in zip(CAMERAS, found.masks, strict=True):
            with Image.open(io.BytesIO(head[f"{camera}.png"])) as image:
                assert np.array_equal(mask_HW, np.asarray(image))


def test_palette_images_are_read_by_index(drives, folder):
    token = drives.tokens()[0]
    before = importer(folder).label(drives, drives.keyframe(token))
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            painted = Image.fromarray(np.asarray(image))
        painted.putpalette([number // 3 for number in range(768)])
        assert painted.mode == "P"
        painted.save(path)
    assert np.array_equal(importer(folder).label(drives, drives.keyframe(token)).pair_label_M, before.pair_label_M)


def one_mask(drives, folder):
    token = drives.tokens()[0]
    return drives.keyframe(token), folder / "CAM_BACK" / f"{stem_of(drives, token)}.png"


def stem_of(drives, token):
    camera = next(camera for camera in drives.meta(token)["cameras"] if camera["name"] == "CAM_BACK")
    return camera["file"].rpartition("/")[2].removesuffix(".jpg")


def write_array(path, array):
    Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no readable mask"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "no readable mask"),
        (lambda path: path.write_bytes(b""), "no readable mask"),
        (
            lambda path: write_array(path, np.zeros((54, 96), np.uint8)),
            r"L \(96, 54\), but an 8-bit mask of \(192, 108\)",
        ),
        (lambda path: write_array(path, np.zeros((108, 192, 3), np.uint8)), r"RGB \(192, 108\), but an 8-bit mask"),
        (
            lambda path: write_array(path, np.full((108, 192), 13, np.uint8)),
            r"ids \[13\] are not in class list 'grounded_sam'",
        ),
    ],
)
def test_bad_masks_are_named(drives, folder, spoil, message):
    keyframe, path = one_mask(drives, folder)
    spoil(path)
    with pytest.raises(DataError, match=rf"{path}: {message}"):
        importer(folder).label(drives, keyframe)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (None, r"say where, --set label.folder=FOLDER, or take another one, --set label.labeler=grounded_sam"),
        ("/nowhere/at/all", r"/nowhere/at/all is not a folder. Give the folder of the PNG masks"),
    ],
)
def test_import_without_a_folder(folder, message):
    with pytest.raises(UsageError, match=message):
        ImportLabeler(LabelRecipe(labeler="import", folder=folder))


def test_the_id_with_two_meanings_is_a_class_or_nothing(drives, folder):
    token = drives.tokens()[0]
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            mask_HW = np.asarray(image)
        write_array(path, np.where(mask_HW == 255, 0, mask_HW))
    as_class, ignored = (
        importer(folder, classes="seem", trap=trap).label(drives, drives.keyframe(token))
        for trap in ("class", "ignore")
    )
    zero_M = as_class.pair_label_M == 0
    assert 0 < zero_M.sum() < len(zero_M)
    assert (as_class.pair_label_M != 255).all()
    assert np.array_equal(ignored.pair_label_M == 255, zero_M)
    assert np.array_equal(ignored.pair_label_M[~zero_M], as_class.pair_label_M[~zero_M])
    for one, other in zip(as_class.masks, ignored.masks, strict=True):
        assert np.array_equal(np.where(one == 0, 255, one), other)
    with pytest.raises(UsageError, match="class list 'grounded_sam' has no id with two meanings"):
        importer(folder, trap="ignore")


def test_truth_is_the_lidarseg_of_the_pair(drives):
    labeler = TruthLabeler(LabelRecipe(labeler="truth", classes="nuscenes16"))
    keyframe = drives.keyframe(drives.tokens()[1])
    found = labeler.label(drives, keyframe)
    truth_M = drives.lidarseg(keyframe.token)[keyframe.pair_point_M].astype(int) - 1
    truth_M[truth_M < 0] = 255
    assert np.array_equal(found.pair_label_M, truth_M)
    assert found.masks is None


def test_simulated_labels_never_open_a_hand_label(own_chain):
    drives = Drives(own_chain.made["ingest"])
    assert damage(own_chain, own_chain.made["ingest"], "lidarseg")
    token = drives.tokens()[0]
    found = SimulatedLabeler(LabelRecipe(labeler="simulated")).label(drives, drives.keyframe(token))
    before = bytes_array(Pack(own_chain.made["label"]).head(token)["pair_label.npy"])
    assert np.array_equal(found.pair_label_M, before)


def test_pair_labels_read_row_and_column_of_their_image(drives):
    keyframe = drives.keyframe(drives.tokens()[0])
    rng = np.random.default_rng(0)
    masks = list(rng.integers(0, 255, (6, 108, 192), dtype=np.uint8))
    expected = [masks[image][row, column] for image, row, column in keyframe.pair_pixel_M3.tolist()]
    assert pair_labels(masks, keyframe).tolist() == expected


def test_simulated_on_real_drives_is_refused(own_root, tmp_path):
    from chain import VERSION

    from olivine.ingest.recipe import IngestRecipe
    from olivine.ingest.stage import run
    from olivine.store import open_store

    (own_root / "synth_truth").rename(tmp_path / "elsewhere")
    drives = Drives(run(own_root, open_store(str(tmp_path / "store")), IngestRecipe(version=VERSION)))
    with pytest.raises(ConfigError, match="labeler simulated works on synthetic drives alone"):
        SimulatedLabeler(LabelRecipe(labeler="simulated")).label(drives, drives.keyframe(drives.tokens()[0]))


def test_a_damaged_store_is_not_taken_for_real_drives(own_chain):
    drives = Drives(own_chain.made["ingest"])
    damage(own_chain, own_chain.made["ingest"], "simulation/")
    with pytest.raises(IntegrityError, match="are not those that were written"):
        SimulatedLabeler(LabelRecipe(labeler="simulated")).label(drives, drives.keyframe(drives.tokens()[0]))
