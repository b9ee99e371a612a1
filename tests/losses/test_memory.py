"""Extra memory of the contrastive losses at 16 384 pairs, forward and backward, each in a process of its own."""

import subprocess
import sys

import pytest

NUM_PAIRS = 16_384
# One dense float32 matrix of the pairs, which no loss may build.
DENSE_MIB = NUM_PAIRS**2 * 4 / 2**20

SCRIPT = """
import sys
import torch
from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.point_pixel import point_pixel_info_nce
from olivine.losses.temporal import temporal_info_nce
from olivine.losses.tolerant import tolerant_info_nce

def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

def losses(points, pixels):
    each = torch.arange(len(points))
    ones = torch.ones_like(each)
    return {
        "point_pixel": lambda: point_pixel_info_nce(points, pixels),
        "category_aware": lambda: category_aware_contrastive(points, pixels, each % 17),
        "tolerant": lambda: tolerant_info_nce(points, pixels, pixels.detach()[:, :16]),
        "temporal": lambda: temporal_info_nce(points, each, pixels, ones),
    }[sys.argv[1]]

torch.set_num_threads(1)
torch.manual_seed(0)
points, pixels = (torch.nn.functional.normalize(torch.randn(16384, 64), dim=1).requires_grad_() for _ in range(2))
losses(points[:64], pixels[:64])().backward()
points.grad = pixels.grad = None
baseline = peak_mib()
losses(points, pixels)().backward()
print(peak_mib() - baseline)
"""


@pytest.mark.parametrize("loss", ["point_pixel", "category_aware", "tolerant", "temporal"])
def test_16384_pairs_need_a_quarter_of_a_dense_matrix_at_most(loss):
    done = subprocess.run([sys.executable, "-c", SCRIPT, loss], capture_output=True, text=True, check=True)
    assert float(done.stdout) < DENSE_MIB / 4
