"""The 3D network as data: how points become its input, how wide the backbone is. Shared by pretraining and downstream.

Apart from the networks themselves, so that reading a recipe does not load torch.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from olivine.recipe import StageRecipe

_LEAST_HEIGHT_CELLS = 25
"""Fewest voxels along z that VoxelNet's four strided convolutions leave one cell of."""


class WaffleIronRecipe(StageRecipe):
    """Points, 2D grids and width of a WaffleIron. Defaults are WI-48-384 for nuScenes (WaffleIron, ICCV 2023).

    WI-48-256 of its SemanticKITTI results: width 256, cell_m 0.4, z from -3 to 2. WI-48-768 of ScaLR (CVPR 2024):
    width 768, cell_m 0.5, field of view +-64, +-64, +-8, norm layer.
    """

    width: int = Field(384, ge=1)
    """Channels of a point (reference configuration: nb_channels)."""

    depth: int = Field(48, ge=1)
    """Layers, each a spatial and a channel mixing (reference configuration: depth)."""

    field_of_view: tuple[tuple[float, float, float], tuple[float, float, float]] = (
        (-50.0, -50.0, -5.0),
        (50.0, 50.0, 5.0),
    )
    """Least x, y, z [m] and the first x, y, z [m] beyond: points outside have no row (reference: fov_xyz)."""

    cell_m: float = Field(0.6, gt=0)
    """Cell of the 2D grids [m]. As many whole cells as fit are stretched over the field of view: 166 x 166 x 16 here
    (reference: grids_size)."""

    voxel_m: float = Field(0.1, gt=0)
    """The cloud is thinned to one point a voxel of this edge [m] (reference: voxel_size)."""

    neighbours: int = Field(16, ge=1)
    """Nearest points that the embedding of a point looks at (reference: neighbors)."""

    max_points: int = Field(20_000, ge=2)
    """Points of a sweep in training, those nearest to one drawn at random; whole sweeps are predicted (reference:
    max_points)."""

    drop_path: float = Field(0.2, ge=0, lt=1)
    """Probability that a sweep skips a mixing in training, the same in all layers (reference: drop)."""

    norm: Literal["batch", "layer"] = "batch"
    """Normalisation before each mixing: over the batch, or over the channels of each point as in ScaLR."""

    @property
    def cells(self) -> tuple[int, int, int]:
        """Cells of the grids along x, y, z."""
        # A hundredth of a cell, so that 10 m over 0.1 m are a hundred cells whatever their quotient rounds to.
        sizes = [int((high - low) / self.cell_m + 0.01) for low, high in zip(*self.field_of_view, strict=True)]
        return sizes[0], sizes[1], sizes[2]

    @model_validator(mode="after")
    def _check(self) -> WaffleIronRecipe:
        if min(self.cells) < 1:
            raise ValueError(
                f"field_of_view {self.field_of_view} holds {self.cells} cells of {self.cell_m} m: it must span at "
                "least one along x, y and z"
            )
        return self


class VoxelNetRecipe(StageRecipe):
    """Range, voxels and widths of a VoxelNet. Defaults are those of pretraining for detection (reference code)."""

    radius_m: float = Field(51.2, gt=0)
    """Horizontal distance [m] up to which points are kept; the grid is the square around it."""

    height_m: tuple[float, float] = (-5.0, 3.0)
    """Least and greatest z [m]."""

    voxel_size: tuple[float, float, float] = (0.1, 0.1, 0.2)
    """Edges x, y, z [m]. The bird's-eye map that comes out has cells eight times as large."""

    max_points_per_voxel: int = Field(10, ge=1)
    """Points that the mean of a voxel is over: the first ones of the sweep."""

    max_voxels: int = Field(60_000, ge=1)
    """Voxels of a sweep: the first ones; points of the others still have a row."""

    widths: tuple[int, int, int, int, int] = (16, 32, 64, 64, 128)
    """Channels of the first grid, of the three coarser ones and of the map (VoxelBackBone8x of OpenPCDet)."""

    @property
    def cells(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        spans = (2 * self.radius_m, 2 * self.radius_m, self.height_m[1] - self.height_m[0])
        sizes = [round(span / size) for span, size in zip(spans, self.voxel_size, strict=True)]
        return sizes[0], sizes[1], sizes[2]

    @model_validator(mode="after")
    def _check(self) -> VoxelNetRecipe:
        if min(*self.voxel_size, *self.widths) <= 0:
            raise ValueError("voxel_size and widths must be above zero")
        if min(self.cells[:2]) < 1 or self.cells[2] < _LEAST_HEIGHT_CELLS:
            raise ValueError(
                f"the range has {self.cells} voxels: the strided convolutions need at least one along x and y and "
                f"{_LEAST_HEIGHT_CELLS} along z. Choose smaller voxels or a larger range"
            )
        return self


class IntensityRecipe(StageRecipe):
    """How the intensities of another sensor become numbers like those that `intensity_scale` is for."""

    scale: float = Field(gt=0)
    """Factor on the intensity as the drives hold it."""

    offset: float = 0.0
    """What is added then."""

    for_max: float | None = Field(None, gt=0)
    """Greatest intensity of the drives that it is for; null: of drives whose table states none. Others are refused."""


class NetworkRecipe(StageRecipe):
    """Input and backbone. Pretraining and fine-tuning must use the same one."""

    kind: Literal["minkunet", "voxelnet", "waffleiron"] = "minkunet"
    """Which backbone: MinkUNet for segmentation, VoxelNet for detection, WaffleIron for segmentation without sparse
    convolutions (paper, tables 1, 4 and 7). The fields below up to `backend` are MinkUNet's, except for
    `intensity_scale`."""

    coordinates: Literal["cylindrical", "cartesian"] = "cylindrical"
    """`cylindrical` (rho, phi, z) is what all released configurations of this family use; the paper's text says
    Cartesian."""

    voxel_size: tuple[float, float, float] = (0.1, 1.0, 0.1)
    """Cylindrical: rho [m], phi [degrees], z [m]. Cartesian: x, y, z [m]."""

    voxel_feature: Literal["mean", "first"] = "mean"
    """Intensity of a voxel: the mean over its points, or that of one point as in the reference code."""

    intensity_scale: float = Field(1 / 255, gt=0)
    """Factor on the sensor's intensity, for every kind (reference code: 1, raw 0..255)."""

    intensity: IntensityRecipe | None = None
    """For drives whose intensities are not 0..255: what is done to them before `intensity_scale`. Without it, drives of
    another range are refused, with it those of another range than its `for_max`. It belongs to the data and may differ
    from pretraining. Reference code for SemanticKITTI, which has 0..1: plus 1, no factor."""

    widths: tuple[int, ...] = (32, 32, 64, 128, 256, 256, 128, 96, 96)
    """Channels of the stem, the four encoder and the four decoder stages (paper: MinkUNet34)."""

    blocks: tuple[int, ...] = (2, 3, 4, 6, 2, 2, 2, 2)
    """Residual blocks of the eight stages."""

    backend: Literal["plain", "minkowski"] = "plain"
    """Sparse convolutions: plain PyTorch, or MinkowskiEngine 0.5.4. Parameters are interchangeable. VoxelNet has the
    plain ones alone: `minkowski` is refused."""

    voxelnet: VoxelNetRecipe = VoxelNetRecipe()
    """Read when `kind` is voxelnet."""

    waffleiron: WaffleIronRecipe = WaffleIronRecipe()
    """Read when `kind` is waffleiron."""

    @model_validator(mode="after")
    def _check(self) -> NetworkRecipe:
        if self.kind != "minkunet" and self.backend != "plain":
            raise ValueError(f"backend {self.backend} has no {self.kind}: choose backend plain")
        return self
