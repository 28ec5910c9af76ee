"""A proximal femur summed from front to back, in the pose of a DXA scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from ..density import convert_mineral
from ..records import Array, BoneRegion, CalibratedVolume
from ..volume import Affine, Volume, resample, to_patient

PIXEL = 0.5
"""Edge of a pixel of the projection [mm]; DXA scanners have 0.5 to 1 mm [R, D]."""
DEPTH_STEP = 1.0
"""Step of the sum from front to back [mm] [D]."""
RIM, GROUND = 2.0, 4.0
"""Reach of the blurred surface beyond the label, and of the soft tissue that is looked at around it [mm] [D]."""
LAYER = 32
"""Pixels along the shaft that are projected at once."""
SOFT_TISSUE = 120.0
"""Density up to which a voxel outside the label is soft tissue and not the next bone [mg/cm3] [D]."""

Pixels = Bool[Array, "u v"]
"""Of a projection."""


@dataclass(frozen=True)
class Projection:
    """Areal density and thickness of bone in a plane: u towards the patient's left, v along the shaft to proximal."""

    areal: Float[Array, "u v"]
    """[g/cm²]; in coarse voxels it spills over the silhouette."""
    gathered: Float[Array, "u v"]
    """The same, with what was spilled put back on the nearest pixel of the silhouette [g/cm²]."""
    thickness: Float[Array, "u v"]
    """[mm]"""
    affine: Affine
    """Of the picture, one voxel thick: u, depth, v."""
    depth: float
    """[mm]"""


def project(region: BoneRegion, calibrated: CalibratedVolume) -> tuple[Projection, list[str]]:
    """Return the bone summed from front to back, in the pose of a DXA scan, and what is doubtful of its density."""
    density, doubts = _mineral_density(region, calibrated)
    axes, origin = _pose(region), region.landmarks["head_centre"]
    local = (to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float)) - origin) @ axes
    room = float(region.mask.spacing.max()) + 2.0
    edges = np.array([PIXEL, DEPTH_STEP, PIXEL])
    first = np.floor((local.min(axis=0) - room) / edges).astype(int)
    count = np.ceil((local.max(axis=0) + room) / edges).astype(int) - first + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * edges
    affine[:3, 3] = origin + axes @ (first * edges)
    areal, thickness = np.zeros((count[0], count[2])), np.zeros((count[0], count[2]))
    for part in _parts(local / edges - first, float(region.mask.spacing.max()) / edges, count):
        low = [piece.start for piece in part]
        shape = (part[0].stop - low[0], part[1].stop - low[1], part[2].stop - low[2])
        there = affine.copy()
        there[:3, 3] += affine[:3, :3] @ low
        pixels = part[0], part[2]
        areal[pixels] = resample(density, shape, there, order=1).array.sum(axis=1) * DEPTH_STEP / 1e4
        thickness[pixels] = (resample(region.mask, shape, there, order=1).array >= 0.5).sum(axis=1) * DEPTH_STEP
    depth = float(count[1]) * DEPTH_STEP
    flat = affine.copy()
    flat[:3, 1] = axes[:, 1] * depth
    flat[:3, 3] = affine[:3, 3] + axes[:, 1] * (depth - DEPTH_STEP) / 2
    _, nearest = ndimage.distance_transform_edt(thickness <= 0.0, return_indices=True)
    gathered = np.zeros_like(areal)
    np.add.at(gathered, tuple(nearest), areal)
    return Projection(areal, gathered, thickness, flat, depth), doubts


def _parts(places: Float[Array, "n 3"], voxel: Float[Array, "3"], count: Int[Array, "3"]) -> Iterator[tuple[slice, slice, slice]]:
    """Yield boxes of the grid, one for each layer along the shaft, that hold all the bone in it: most of the whole box is empty.

    ``places`` are those of the bone's voxels on the grid, ``voxel`` is the edge of a voxel on it.
    """
    room = np.ceil(2.5 * voxel + RIM / PIXEL).astype(int)  # the blurred rim, and the voxel beyond that it is drawn from
    for bottom in range(0, int(count[2]), LAYER):
        top = min(bottom + LAYER, int(count[2]))
        inside = places[(places[:, 2] >= bottom - room[2]) & (places[:, 2] <= top + room[2])]
        if len(inside):
            low = np.maximum(np.floor(inside.min(axis=0)).astype(int) - room, 0)
            high = np.minimum(np.ceil(inside.max(axis=0)).astype(int) + room + 1, count)
            yield slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(bottom, top)


def _pose(region: BoneRegion) -> Float[Array, "3 3"]:
    """Return the picture's axes as columns: u in the plane of shaft and neck towards the left, depth to the back, v up the shaft."""
    shaft = region.frame.axes[:, 2]
    neck = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    across = neck - float(neck @ shaft) * shaft
    across = across / np.linalg.norm(across)
    return np.column_stack([across, np.cross(shaft, across), shaft])


def _mineral_density(region: BoneRegion, calibrated: CalibratedVolume) -> tuple[Volume, list[str]]:
    """Return the bone's own density in K2HPO4 equivalent [mg/cm³], with what blur has carried over its surface.

    A rim around the label holds the outer part of the blurred cortex on a ground of soft tissue. Its excess over the soft
    tissue farther out belongs to the bone, as DXA would count it; without it coarse voxels lose a fifth of the mineral.
    """
    values, _, doubts = convert_mineral(region.density.array, calibrated.mineral, "K2HPO4")
    spacing = region.mask.spacing
    distance = ndimage.distance_transform_edt(~region.mask.array, sampling=spacing)
    # A voxel that touches the label by its edge still holds some of the surface.
    reach = max(RIM, 1.45 * float(spacing.max()))
    rim = (distance > 0.0) & (distance <= reach)
    ground = (distance > reach) & (distance <= reach + max(GROUND, 2.0 * float(spacing.max()))) & (values < SOFT_TISSUE)
    sigma = GROUND / spacing
    weight = ndimage.gaussian_filter(ground.astype(float), sigma)
    mean = ndimage.gaussian_filter(np.where(ground, values, 0.0), sigma) / np.maximum(weight, 1e-6)
    excess = np.where(weight > 1e-3, values - mean, 0.0)
    kept = np.where(region.mask.array, values, np.where(rim, excess, 0.0))
    return region.density.with_array(kept), [f"{region.bone}: {doubt}" for doubt in doubts]
