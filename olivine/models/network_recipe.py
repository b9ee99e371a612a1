"""The 3D network as data: how points become voxels, how wide the backbone is. Shared by pretraining and downstream.

Apart from the network itself, so that reading a recipe does not load torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from olivine.recipe import StageRecipe


class NetworkRecipe(StageRecipe):
    """Voxels and backbone. Pretraining and fine-tuning must use the same one."""

    coordinates: Literal["cylindrical", "cartesian"] = "cylindrical"
    """`cylindrical` (rho, phi, z) is what all released configurations of this family use; the paper's text says
    Cartesian."""

    voxel_size: tuple[float, float, float] = (0.1, 1.0, 0.1)
    """Cylindrical: rho [m], phi [degrees], z [m]. Cartesian: x, y, z [m]."""

    voxel_feature: Literal["mean", "first"] = "mean"
    """Intensity of a voxel: the mean over its points, or that of one point as in the reference code."""

    intensity_scale: float = Field(1 / 255, gt=0)
    """Factor on the sensor's intensity (reference code: 1, raw 0..255)."""

    widths: tuple[int, ...] = (32, 32, 64, 128, 256, 256, 128, 96, 96)
    """Channels of the stem, the four encoder and the four decoder stages (paper: MinkUNet34)."""

    blocks: tuple[int, ...] = (2, 3, 4, 6, 2, 2, 2, 2)
    """Residual blocks of the eight stages."""

    backend: Literal["plain", "minkowski"] = "plain"
    """Sparse convolutions: plain PyTorch, or MinkowskiEngine 0.5.4. Parameters are interchangeable."""
