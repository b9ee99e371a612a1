"""The tolerant contrast against a double loop, against the published code's quantile, and its edge cases."""

import math

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses import log_partition
from olivine.losses.superpixel import superpixel_info_nce
from olivine.losses.tolerant import tolerant_info_nce


def similarity(encoder):
    """Clipped cosine, entry by entry."""
    rows = [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in encoder.tolist()]
    return [[min(1.0, max(0.0, sum(a * b for a, b in zip(one, two, strict=True)))) for two in rows] for one in rows]


def written_out(points, pixels, encoder, temperature=0.07, share=0.01, similar_from=0.5, form="zero_logit"):
    """Formula of the docstring in loops; keeps the graph of the features."""
    alike = similarity(encoder)
    num = len(alike)
    losses, votes = [], []
    for s in range(num):
        others = sorted((r for r in range(num) if r != s), key=lambda r: -alike[s][r])
        dropped = set(others[: max(0, math.ceil(share * (num - 1)) - 1)])
        terms = []
        for r in range(num):
            logit = points[s] @ pixels[r] / temperature
            if r in dropped and form == "left_out":
                continue
            terms.append(torch.exp(0 * logit if r in dropped else logit))
        losses.append(torch.log(sum(terms)) - points[s] @ pixels[s] / temperature)
        votes.append(sum(alike[s][r] for r in range(num) if alike[s][r] >= similar_from))
    spread = max(votes) - min(votes)
    weights = [1 - (vote - min(votes)) / spread if spread else 1.0 for vote in votes]
    return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)


@pytest.fixture
def segments(unit_features):
    """Points, pixels and encoder features of 14 segments; most encoder features have similar ones among them."""
    encoder = unit_features(14, dim=3, seed=2).detach() * torch.linspace(0.1, 9, 14)[:, None]
    return unit_features(14), unit_features(14, seed=1), encoder


@pytest.mark.parametrize("form", ["zero_logit", "left_out"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("similar_from", [0.5, 0.9, 2.0])
def test_equals_the_formula_and_its_gradient(segments, form, share, similar_from):
    ours = tolerant_info_nce(*segments, 0.1, dropped_share=share, similar_from=similar_from, dropped_form=form)
    expected = written_out(*segments, 0.1, share, similar_from, form)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-10)
    for mine, theirs in zip(
        torch.autograd.grad(ours, segments[:2]), torch.autograd.grad(expected, segments[:2]), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-12)


def published(points, pixels, encoder, temperature=0.07):
    """The public code's steps, quantile and all, on dense matrices."""
    unit = torch.nn.functional.normalize(encoder, dim=1)
    alike = (unit @ unit.T).clamp(0, 1)
    weight = 1 - alike
    weight.fill_diagonal_(0)
    weight = (weight >= torch.quantile(weight, 0.01, dim=1, keepdim=True)).double() * (weight != 0)
    weight.fill_diagonal_(1)
    logits = weight * (points @ pixels.T) / temperature
    losses = torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)), reduction="none")
    votes = torch.where(alike >= 0.5, alike, 0).sum(dim=1)
    votes = (votes - votes.min()) / (votes.max() - votes.min())
    return (losses * (1 - votes)).sum() / (1 - votes).sum()


@pytest.mark.parametrize("num_segments", [5, 100, 150, 330])
def test_default_is_the_published_code(unit_features, num_segments):
    points, pixels = unit_features(num_segments), unit_features(num_segments, seed=1)
    encoder = unit_features(num_segments, dim=5, seed=2).detach().abs()
    ours, expected = tolerant_info_nce(points, pixels, encoder), published(points, pixels, encoder)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-10)


def test_the_forms_differ_by_what_a_dropped_negative_adds(segments):
    """Leaving negatives out lowers the sum; with a logit of zero they still add one each."""
    forms = {
        form: tolerant_info_nce(*segments, dropped_share=0.5, dropped_form=form).item()
        for form in ("zero_logit", "left_out")
    }
    assert forms["left_out"] < forms["zero_logit"]


def test_dropped_negatives_get_no_gradient(unit_features):
    """One of two negatives is dropped by each: the first two segments drop each other, the third its nearer one."""
    points, pixels = unit_features(3), unit_features(3, seed=1)
    encoder = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    loss = tolerant_info_nce(points, pixels, encoder, dropped_share=0.9, dropped_form="left_out", similar_from=2.0)
    gradient = torch.autograd.grad(loss, pixels)[0]
    scores = torch.exp(points @ pixels.T / 0.07)
    kept = torch.tensor([[1, 0, 1], [0, 1, 1], [1, 0, 1]])
    chance = scores * kept / (scores * kept).sum(dim=1, keepdim=True) - torch.eye(3)
    torch.testing.assert_close(gradient, chance.T @ points / 0.07 / 3, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 29, 10**6])
def test_chunks_change_nothing(segments, monkeypatch, chunk):
    expected = tolerant_info_nce(*segments, dropped_share=0.3)
    wanted = torch.autograd.grad(expected, segments[:2])
    monkeypatch.setitem(log_partition.CHUNK_ELEMENTS, "cpu", chunk)
    ours = tolerant_info_nce(*segments, dropped_share=0.3)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(torch.autograd.grad(ours, segments[:2]), wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_nothing_alike_is_the_plain_contrast(unit_features):
    points, pixels = unit_features(6), unit_features(6, seed=1)
    expected = superpixel_info_nce(points, pixels).item()
    assert tolerant_info_nce(points, pixels, torch.eye(6)).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("form", ["zero_logit", "left_out"])
def test_an_anchor_never_drops_itself(unit_features, form):
    """Opposite and orthogonal encoder features: nothing else is more alike, and all but one of it is dropped."""
    encoder = torch.cat([torch.eye(3), -torch.eye(3)])
    points = unit_features(6)
    loss = tolerant_info_nce(points, points, encoder, dropped_share=0.99, dropped_form=form)
    assert 0 <= loss.item() < 0.1


def test_segments_without_encoder_features_take_no_part(segments):
    points, pixels, encoder = segments
    kept = torch.arange(14) % 3 > 0
    ours = tolerant_info_nce(points, pixels, encoder * kept[:, None])
    expected = written_out(points[kept], pixels[kept], encoder[kept])
    assert ours.item() == pytest.approx(expected.item(), rel=1e-10)
    assert torch.autograd.grad(ours, points)[0][~kept].count_nonzero() == 0


@pytest.mark.parametrize("form", ["zero_logit", "left_out"])
def test_gradcheck(unit_features, form):
    encoder = unit_features(6, dim=2, seed=2).detach().abs()
    inputs = (unit_features(6, dim=3), unit_features(6, dim=3, seed=1))
    assert torch.autograd.gradcheck(
        lambda *means: tolerant_info_nce(*means, encoder, 0.3, dropped_share=0.5, dropped_form=form), inputs
    )


@pytest.mark.parametrize("form", ["zero_logit", "left_out"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_logits_of_100_also_under_autocast(unit_features, dtype, form):
    points, encoder = unit_features(120, dtype=dtype), unit_features(120, dim=5, seed=2, dtype=dtype).detach().abs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = tolerant_info_nce(points, -points.detach(), encoder, 0.01, dropped_form=form)
    loss.backward()
    wide = points.detach().double()
    exact = tolerant_info_nce(wide, -wide, encoder.double(), 0.01, dropped_form=form)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert loss.item() > 100
    assert points.grad.isfinite().all()


@pytest.mark.parametrize("num_segments", [0, 3], ids=["no segment", "no encoder feature"])
def test_nothing_to_compare_is_zero_with_a_graph(unit_features, num_segments):
    points, pixels = unit_features(num_segments), unit_features(num_segments, seed=1)
    loss = tolerant_info_nce(points, pixels, torch.zeros(num_segments, 4))
    loss.backward()
    assert loss.item() == 0
    assert points.grad.count_nonzero() == pixels.grad.count_nonzero() == 0


def test_one_segment_has_nothing_to_contrast_with(unit_features):
    loss = tolerant_info_nce(unit_features(1), unit_features(1, seed=1), torch.ones(1, 4))
    assert loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"dropped_share": 1.0}, "dropped_share"),
        ({"dropped_share": -0.1}, "dropped_share"),
        ({"similar_from": 0.0}, "similar_from"),
        ({"dropped_form": "gone"}, "dropped_form"),
    ],
)
def test_wrong_settings_are_refused(segments, options, message):
    with pytest.raises(UsageError, match=message):
        tolerant_info_nce(*segments, **options)
