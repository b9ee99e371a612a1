"""Ray casting: the only file that knows embreex.

Embree works in float32; map coordinates of a scene stay below a kilometre, which leaves errors under a tenth of a
millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from olivine.errors import ConfigError
from olivine.synth.arrays import F32, I32, Bool

try:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene
except ImportError as error:  # pragma: no cover
    raise ConfigError(
        "synthetic drives need the ray caster embreex, which is not installed: pip install 'olivine[synth]'"
    ) from error


@dataclass(frozen=True)
class Hits:
    """First hits of N rays: triangle number (-1: nothing), distance in metres, barycentric u and v."""

    triangle_N: I32
    distance_N: F32
    u_N: F32
    v_N: F32


class RayCaster:
    """A bounding-volume hierarchy over one scene's triangles [T, 3, 3]."""

    def __init__(self, triangles_T33: F32) -> None:
        self._scene = EmbreeScene()
        # The mesh object must live as long as the scene.
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(triangles_T33))

    def cast(self, origin_3: F32, directions_N3: F32) -> Hits:
        """First hits of rays from one point along unit directions [N, 3]."""
        origins = np.repeat(origin_3.astype(np.float32)[None], len(directions_N3), axis=0)
        found = self._scene.run(origins, directions_N3, query="INTERSECT", output=True)
        return Hits(found["primID"], found["tfar"], found["u"], found["v"])

    def is_blocked(self, origins_N3: F32, direction_3: F32) -> Bool:
        """Whether anything lies on the rays from points [N, 3] along one direction (shadow rays)."""
        directions = np.repeat(direction_3.astype(np.float32)[None], len(origins_N3), axis=0)
        blocked: Bool = self._scene.run(origins_N3, directions, query="OCCLUDED") >= 0
        return blocked
