"""The sum of log-partitions against torch.logsumexp, its gradient, and its memory in a process of its own."""

import subprocess
import sys

import pytest
import torch

from olivine.errors import UsageError
from olivine.losses import log_partition
from olivine.losses.log_partition import require_temperature, sum_log_partition, zero_with_graph

MEMORY_SCRIPT = """
import torch
from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.point_pixel import point_pixel_info_nce

def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

torch.set_num_threads(1)
def features(seed):
    torch.manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(16384, 16), dim=1).requires_grad_()

points, pixels, categories = features(0), features(1), torch.arange(16384) % 17
point_pixel_info_nce(points[:64], pixels[:64]).backward()
baseline = peak_mib()
(point_pixel_info_nce(points, pixels) + category_aware_contrastive(points, pixels, categories)).backward()
print(peak_mib() - baseline)
"""


def dense(anchors, candidates, temperature):
    return torch.logsumexp(anchors @ candidates.T / temperature, dim=1).sum()


@pytest.mark.parametrize("chunk", [1, 7, 40, 10**6])
def test_value_and_gradient_equal_the_dense_form_for_any_chunk(unit_features, monkeypatch, chunk):
    monkeypatch.setattr(log_partition, "CHUNK_ELEMENTS", chunk)
    anchors, candidates = unit_features(11), unit_features(6, seed=1)
    ours, expected = sum_log_partition(anchors, candidates, 0.07), dense(anchors, candidates, 0.07)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(3 * ours, [anchors, candidates]),
        torch.autograd.grad(3 * expected, [anchors, candidates]),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_gradcheck(unit_features):
    inputs = (unit_features(5, dim=3), unit_features(4, dim=3, seed=1))
    assert torch.autograd.gradcheck(lambda anchors, candidates: sum_log_partition(anchors, candidates, 0.2), inputs)


@pytest.mark.parametrize("which", [0, 1])
def test_gradient_of_one_input_alone(unit_features, which):
    inputs = [unit_features(5).detach(), unit_features(4, seed=1).detach()]
    inputs[which].requires_grad_()
    (ours,) = torch.autograd.grad(sum_log_partition(*inputs, 0.1), inputs[which])
    (expected,) = torch.autograd.grad(dense(*inputs, 0.1), inputs[which])
    torch.testing.assert_close(ours, expected)


def test_value_without_a_graph(unit_features):
    with torch.no_grad():
        total = sum_log_partition(unit_features(5), unit_features(4, seed=1), 0.1)
    assert not total.requires_grad


def test_half_precision_is_widened_also_under_autocast(unit_features):
    anchors, candidates = unit_features(9).detach(), unit_features(9, seed=1).detach()
    expected = dense(anchors.bfloat16().double(), candidates.bfloat16().double(), 0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = sum_log_partition(anchors.bfloat16(), candidates.bfloat16(), 0.01)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -0.07, float("nan")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(UsageError, match="temperature"):
        require_temperature(temperature)


def test_zero_with_graph_is_zero_and_passes_zeros_back():
    broken = torch.full((2, 3), float("inf"), dtype=torch.float16, requires_grad=True)
    zero = zero_with_graph(broken, torch.zeros(0, 3))
    zero.backward()
    assert zero.item() == 0
    assert broken.grad.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_16384_pairs_need_less_than_a_quarter_gib():
    """One dense float32 matrix of the pairs alone would be 1 GiB."""
    done = subprocess.run([sys.executable, "-c", MEMORY_SCRIPT], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 256
