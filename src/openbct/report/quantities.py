"""What a bone is coloured by: density, and at its strength stress, displacement and plastic strain, each with its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.colors import LinearSegmentedColormap
from scipy import ndimage

from ..records import Array, BoneResult
from ..volume import Affine, Volume, to_index
from . import drawing
from .surface import Layer

DENSITY_COLOURS: Final = LinearSegmentedColormap.from_list("density", ["#1f3a63", "#3f7f9f", "#a9d3c4", "#fffbe6"])
"""Dense is bright, as in CT; brightness rises evenly, so that it reads in grey."""
STRESS_COLOURS: Final = LinearSegmentedColormap.from_list("stress", ["#ecebf1", "#b3a9d3", "#6f4fa3", "#33106b", "#14032e"])
DISPLACEMENT_COLOURS: Final = LinearSegmentedColormap.from_list(
    "displacement", ["#eaeee9", "#9fd0b8", "#3c9482", "#0c5351", "#031f24"]
)
FAILURE_COLOURS: Final = LinearSegmentedColormap.from_list("failure", ["#e9e7e0", "#f3c27a", "#d9641e", "#8d1508", "#3d0202"])
"""Much is dark in these three; brightness falls evenly, so that they read in grey."""
DENSITY_DEPTH: Final = 3.0
"""Of density and stress, a picture in three dimensions shows the mean down to here under the surface [mm] [design]."""
FAILURE_DEPTH: Final = 4.0
"""Of plastic strain, the largest value down to here [mm] [design]."""
SKIN: Final = 0.3
"""A displacement is that of the surface [mm]."""
TOP_PERCENTILE: Final = 92.0
"""Colour scales of density and plastic strain end at the next round number above this percentile; what is beyond shares the last colour [design]."""
STRESS_PERCENTILE: Final = 98.0
"""Likewise that of stress: a cortex is a small part of a bone and carries most."""
DISPLACEMENT_PERCENTILE: Final = 99.5
BLUR: Final = 1.0
"""Standard deviation of the blur of what colours a surface [mm]; at least 0.7 of a voxel [design]."""


@dataclass(frozen=True)
class Quantity:
    """What a bone is coloured by, on its surface and in its cut."""

    key: str
    """``"density"``, ``"stress"``, ``"displacement"`` or ``"failure"``."""
    surface: Layer
    cut: Volume
    order: int
    """Of the interpolation in the cut."""
    palette: LinearSegmentedColormap
    top: float
    """Where the scale ends, in the unit of ``cut``."""
    factor: float = 1.0
    """From that unit to the one that is shown."""

    @property
    def shown_top(self) -> float:
        """Where the scale ends, in the unit that is shown."""
        return self.factor * self.top


@dataclass(frozen=True)
class Moved:
    """A displacement at nodes, along the patient's axes."""

    array: Float[Array, "i1 j1 k1 3"]
    """[mm]"""
    affine: Affine
    """From a node's index to patient LPS [mm]."""

    def at(self, points: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
        """Return the displacement at patient points [mm]."""
        index = to_index(self.affine, points.reshape(-1, 3)).T
        parts = [ndimage.map_coordinates(self.array[..., axis], index, order=1, mode="nearest") for axis in range(3)]
        return np.stack(parts, axis=-1).reshape(points.shape)


def quantities_of(bone: BoneResult, mask: Volume, density: Volume, moved: Moved | None) -> tuple[Quantity, ...]:
    """Return what a bone can be coloured by, density first; what a result of an earlier version did not keep is left out."""
    top = drawing.nice_ceiling(float(np.percentile(density.array[mask.array], TOP_PERCENTILE)))
    found = [_quantity("density", _smooth(density, mask.array), top, DENSITY_DEPTH, cut=density)]
    strength, specimen = bone.strength, bone.specimen
    if strength is None or specimen is None:
        return tuple(found)
    if strength.stress is not None and strength.stress.shape == specimen.mask.shape:
        stress = Volume(strength.stress.astype(np.float32), specimen.to_patient, "MPa")
        most = drawing.nice_ceiling(max(float(np.percentile(stress.array[specimen.mask], STRESS_PERCENTILE)), 0.1))
        found.append(_quantity("stress", _smooth(stress, specimen.mask), most, DENSITY_DEPTH, cut=stress, order=0))
    if moved is not None and moved.array.any():
        length = Volume(np.linalg.norm(moved.array, axis=-1).astype(np.float32), moved.affine, "mm")
        # a few nodes of soft bone move on their own
        far = max(float(np.percentile(length.array, DISPLACEMENT_PERCENTILE)), 0.01)
        found.append(_quantity("displacement", length, drawing.nice_ceiling(far), SKIN))
    if failed_share(bone) is not None or strength.failed.any():  # a linear test has no failure to show
        yielded = strength.failed[strength.failed > 0]
        most = drawing.nice_ceiling(max(float(np.percentile(yielded, TOP_PERCENTILE)), 0.002)) if yielded.size else 0.01
        failed = Volume(np.where(specimen.mask, strength.failed, 0.0), specimen.to_patient, "strain")
        found.append(_quantity("failure", failed, most, FAILURE_DEPTH, order=0, factor=100.0))
    return tuple(found)


PALETTES: Final = {
    "density": DENSITY_COLOURS,
    "stress": STRESS_COLOURS,
    "displacement": DISPLACEMENT_COLOURS,
    "failure": FAILURE_COLOURS,
}


for palette in PALETTES.values():
    palette(0.0)  # which makes its table: two threads must not do so at once


def _quantity(
    key: str, skin: Volume, top: float, depth: float, *, cut: Volume | None = None, order: int = 1, factor: float = 1.0
) -> Quantity:
    palette = PALETTES[key]

    def colours(values: Float[Array, " n"]) -> Float[Array, "n rgb"]:
        return np.asarray(palette(np.clip(values / top, 0.0, 1.0)))[..., :3]

    layer = Layer(skin, depth, colours, average=key in ("density", "stress"))
    return Quantity(key, layer, skin if cut is None else cut, order, palette, top, factor)


def failed_share(bone: BoneResult) -> float | None:
    """Return the share of the bone that has yielded at the strength, as the test counted it; ``None`` where it does not say."""
    return bone.strength.quantities.get("failed_fraction") if bone.strength else None


def moved_of(bone: BoneResult) -> Moved | None:
    """Return the displacement of a bone at its strength, continued around it; ``None`` where no test has left one."""
    strength, specimen = bone.strength, bone.specimen
    if strength is None or specimen is None:
        return None
    if strength.displacement.shape[:3] != tuple(n + 1 for n in specimen.mask.shape):
        return None
    nodes = specimen.to_patient.copy()
    nodes[:3, 3] -= specimen.to_patient[:3, :3] @ np.full(3, 0.5)
    turn = specimen.to_patient[:3, :3] / specimen.spacing
    return Moved(_filled(strength.displacement @ turn.T, specimen.mask), nodes)


def _filled(displacement: Float[Array, "i1 j1 k1 3"], mask: Bool[Array, "i j k"]) -> Float[Array, "i1 j1 k1 3"]:
    """Return the displacement of the bone's nodes, and around the bone that of its nearest."""
    padded = np.pad(mask, 1)
    shape = mask.shape
    nodes = np.zeros([n + 1 for n in shape], dtype=bool)
    for i, j, k in np.ndindex(2, 2, 2):
        nodes |= padded[i : i + shape[0] + 1, j : j + shape[1] + 1, k : k + shape[2] + 1]
    nearest = ndimage.distance_transform_edt(~nodes, return_distances=False, return_indices=True)
    i, j, k = nearest
    return np.asarray(displacement[i, j, k])


def _smooth(values: Volume, mask: Bool[Array, "i j k"]) -> Volume:
    """Return values blurred within the bone; what lies outside does not count."""
    width = np.maximum(BLUR / values.spacing, 0.7)
    cover = ndimage.gaussian_filter(mask.astype(np.float32), width)
    summed = ndimage.gaussian_filter(np.where(mask, values.array, 0.0).astype(np.float32), width)
    return values.with_array(np.where(cover > 1e-3, summed / np.maximum(cover, 1e-3), 0.0).astype(np.float32))
