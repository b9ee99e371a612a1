"""The two implementations of Grounding DINO and of SAM give the same on the same random parameters.

Full-size Grounding DINO; SAM with its real geometry (1024 pixels, 64 x 64 embeddings) and two narrow layers.
"""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pytest
import torch
from foundation import bert, grounding_dino, photo, sam, write_tokenizer
from foundation_names import original_grounding_dino, original_sam

from olivine.errors import DataError, IntegrityError
from olivine.models.vfm.grounding_dino import GroundingDino
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.vfm.sam import Sam

pytest.importorskip("groundingdino")
pytest.importorskip("segment_anything")
CPU = torch.device("cpu")
PROMPTS = ["car", "traffic cone", "construction vehicle", "road"]


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    """Both implementations with the same parameters; the original one from a checkpoint as its authors write it."""
    from olivine.models.vfm import grounding_dino_original, grounding_dino_transformers

    folder = tmp_path_factory.mktemp("bert")
    write_tokenizer(folder)
    bert().save_pretrained(folder)
    model = grounding_dino(tiny=False)
    tensors = original_grounding_dino(dict(model.state_dict()))
    # In the authors' file too, but of no effect.
    tensors |= {"bert.pooler.dense.weight": torch.zeros(768, 768), "bert.pooler.dense.bias": torch.zeros(768)}
    tensors |= {"label_enc.weight": torch.zeros(1), "bert.embeddings.position_ids": torch.arange(512)[None]}
    path = folder / "checkpoint.pth"
    torch.save({"model": {f"module.{name}": tensor for name, tensor in tensors.items()}}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        original = grounding_dino_original.load(path, sha256, folder, CPU)
    tokenizer = grounding_dino_transformers.load_tokenizer(folder)
    networks = {
        "original": original,
        "transformers": grounding_dino_transformers.TransformersGroundingDino(model, tokenizer, CPU),
    }
    recipe = DetectorRecipe(short_side_px=192, long_side_px=384, keep_score=0.0, max_boxes=900)
    return {name: GroundingDino(network, PROMPTS, recipe, CPU, 1) for name, network in networks.items()}


def test_grounding_dino(detectors):
    images = [photo(144, 256, seed) for seed in range(2)]
    found = {name: detector.detect(images) for name, detector in detectors.items()}
    for one, other in zip(found["original"], found["transformers"], strict=True):
        assert len(one.score_K) == len(other.score_K) > 100
        np.testing.assert_allclose(one.score_K, other.score_K, atol=1e-4)
        # Queries of nearly equal score may have changed places.
        assert np.mean(one.prompt_K == other.prompt_K) > 0.99
        near_K = np.abs(one.box_K4 - other.box_K4).max(axis=1) < 0.1
        assert near_K.mean() > 0.98
        assert one.score_K.std() > 1e-3, "scores that are all the same would agree anyhow"


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    from olivine.models.vfm import grounding_dino_original, sam_original

    path = tmp_path / "other.pth"
    torch.save({"model": {"weight": torch.zeros(3)}}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="weights of another model: it holds no Grounding DINO"):
        grounding_dino_original.load(path, sha256, tmp_path, CPU)
    with pytest.raises(DataError, match="weights of another model: it holds no image encoder of SAM"):
        sam_original.load(path, sha256, CPU)
    with pytest.raises(IntegrityError, match="refused"):
        sam_original.load(path, "0" * 64, CPU)


@pytest.fixture(scope="module")
def segmenters():
    from segment_anything.build_sam import _build_sam

    from olivine.models.vfm.sam_original import OriginalSam
    from olivine.models.vfm.sam_transformers import TransformersSam

    model = sam(narrow=True)
    modules = _build_sam(encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[1])
    modules.load_state_dict(original_sam(dict(model.state_dict())), strict=True)
    return {"original": OriginalSam(modules, CPU), "transformers": TransformersSam(model, CPU)}


BOXES = np.array([[10, 20, 120, 90], [200, 5, 310, 170], [0, 0, 320, 180], [40.5, 30.25, 60, 50]], np.float32)


def test_sam(segmenters):
    image = photo(180, 320)
    found = {}
    for name, network in segmenters.items():
        segmenter = Sam(network, SegmenterRecipe(name="mobile_sam"), CPU, 1)
        found[name] = segmenter.segment(segmenter.embed([image])[0], (180, 320), BOXES)
    one, other = found["original"], found["transformers"]
    np.testing.assert_allclose(one.quality_K, other.quality_K, atol=2e-3)
    assert np.mean(one.mask_KHW == other.mask_KHW) > 0.998
    assert 0.01 < one.mask_KHW.mean() < 0.99


def test_sam_at_points(segmenters):
    image, point_K2 = photo(180, 320), torch.tensor([[100.0, 50.0], [800.0, 400.0], [512.0, 288.0]])
    found = {}
    for name, network in segmenters.items():
        segmenter = Sam(network, SegmenterRecipe(), CPU, 1)
        embedding = segmenter.embed([image])[0]
        found[name] = segmenter.decode_points(embedding, point_K2, -10.0)
        middle = float(found[name][1].median())
        logits_Mss, quality_M = segmenter.decode_points(embedding, point_K2, middle)
        above_M = found[name][1] > middle
        assert len(quality_M) == above_M.sum() == 4
        torch.testing.assert_close(logits_Mss, found[name][0][above_M], atol=1e-4, rtol=1e-4)
    (one_Mss, one_M), (other_Mss, other_M) = found["original"], found["transformers"]
    assert one_Mss.shape == (9, 256, 256)
    torch.testing.assert_close(one_M, other_M, atol=2e-3, rtol=0)
    assert ((one_Mss > 0) == (other_Mss > 0)).float().mean() > 0.998
    assert 0.01 < (one_Mss > 0).float().mean() < 0.99


def test_what_is_done_around_the_network_is_what_its_authors_do(segmenters):
    from segment_anything import SamPredictor

    image, network = photo(180, 320), segmenters["original"]
    segmenter = Sam(network, SegmenterRecipe(), CPU, 1)
    found = segmenter.segment(segmenter.embed([image])[0], (180, 320), BOXES)
    predictor = SamPredictor(network.modules)
    predictor.set_image(image)
    for box_4, mask_HW, quality in zip(BOXES, found.mask_KHW, found.quality_K, strict=True):
        masks, qualities, _ = predictor.predict(box=box_4, multimask_output=False)
        # They decode one box, we all of them together.
        assert np.mean(masks[0] == mask_HW) > 0.999
        assert quality == pytest.approx(float(qualities[0]), abs=1e-4)


def test_another_text_encoder_is_refused(tmp_path):
    from olivine.models.vfm.load import load_detector

    (tmp_path / "bert").mkdir()
    write_tokenizer(tmp_path / "bert")
    path = tmp_path / "dino.pth"
    torch.save({"model": {"weight": torch.zeros(3)}}, path)
    given = {"weights": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    given |= {"backend": "original", "text_encoder": str(tmp_path / "bert")}
    with pytest.raises(
        IntegrityError, match=r"bert has sha256 .*, label\.detector\.text_encoder_sha256 is 0+: refused"
    ):
        load_detector(DetectorRecipe(**given, text_encoder_sha256="0" * 64), PROMPTS, "cpu", 1)
    with pytest.raises(ValueError, match="text_encoder and text_encoder_sha256 go together"):
        DetectorRecipe(**given)
