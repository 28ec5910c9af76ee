"""What both tests of a femur do on the voxel grid: pose it, cut its shaft, lay cement on it, find the nodes of its end."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import SegmentationError
from ..records import Array, BoneRegion, Specimen
from ..volume import Affine, along, resample, to_patient

STANDARD_SHAFT = 40.0
"""Shaft kept below the lesser trochanter [mm]: target of the default recipe [D]."""
VOLUME_CAUTION = 0.02
"""Change of the bone's volume by the model grid above which a caution is due [D]."""
SMALLEST_PATCH = 150.0
"""Area of a pad on the bone below which the load enters through a point [mm²] [D]; the public femur has 600 to 1100 [C]."""


def neck_shaft_axes(region: BoneRegion) -> tuple[Float[Array, "3"], Float[Array, "3"], Float[Array, "3"]]:
    """Return medial (the neck's direction across the shaft), front of a right femur, and the shaft to proximal, in patient LPS."""
    shaft = region.frame.axes[:, 2]
    neck = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    medial = neck - float(neck @ shaft) * shaft
    medial = medial / np.linalg.norm(medial)
    return medial, np.cross(medial, shaft), shaft


def posed_grid(region: BoneRegion, axes: Float[Array, "3 3"], voxel: float, pad: float) -> tuple[tuple[int, int, int], Affine]:
    """Return shape and affine of a grid along ``axes`` with room for pads along the load, voxel centres counted from the head's."""
    origin, trochanter = region.landmarks["head_centre"], region.landmarks["lesser_trochanter_axis"]
    points = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float))
    points = points[(points - trochanter) @ region.frame.axes[:, 2] >= -STANDARD_SHAFT - 5.0]
    local = (points - origin) @ axes
    room = float(region.mask.spacing.max()) + 2 * voxel + np.array([0.0, 0.0, pad])
    first = np.floor((local.min(axis=0) - room) / voxel).astype(int)
    last = np.ceil((local.max(axis=0) + room) / voxel).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * voxel
    affine[:3, 3] = origin + axes @ (first * voxel)
    i, j, k = (int(n) for n in last - first + 1)
    return (i, j, k), affine


def cut_bone(region: BoneRegion, shape: tuple[int, int, int], affine: Affine, voxel: float) -> tuple[Bool[Array, "i j k"], float]:
    """Return the bone on the model grid, cut across its shaft at standard length, and by which share its volume changed."""
    length = min(STANDARD_SHAFT, region.lengths["shaft_below_lesser_trochanter"])
    shaft = region.frame.axes[:, 2]
    bottom = float(region.landmarks["lesser_trochanter_axis"] @ shaft) - length
    inside = resample(region.mask, shape, affine, order=1).array >= 0.5
    inside &= along(shape, affine, shaft) >= bottom
    native = region.mask.array & (along(region.mask.shape, region.mask.affine, shaft) >= bottom)
    change = float(inside.sum()) * voxel**3 / (float(native.sum()) * region.mask.voxel_volume) - 1.0
    return inside, change


def doubts_of_grid(bone: str, *, change: float, loose: float) -> tuple[str, ...]:
    """Return the cautions that the model grid deserves."""
    cautions = []
    if abs(change) > VOLUME_CAUTION:
        cautions.append(
            f"{bone}: the model holds {100 * change:+.1f} % more bone than the label (expected within "
            f"{100 * VOLUME_CAUTION:g} %); its voxels are coarse for this shape."
        )
    if loose > 0.005:
        cautions.append(f"{bone}: {100 * loose:.1f} % of the bone were loose on the model grid and were left out.")
    return tuple(cautions)


def flat_pad(
    place: str, bone: Bool[Array, "i j k"], allowed: Bool[Array, "i j"], over: int, under: int, voxel: float
) -> Bool[Array, "i j k"]:
    """Return a pad above the bone's highest layer in the allowed columns; ``over`` and ``under`` in voxels.

    Raises
    ------
    SegmentationError
        Too little bone to lie on.
    """
    n = bone.shape[2]
    footprint = bone.any(axis=2) & allowed
    top = np.where(footprint, n - 1 - np.argmax(bone[:, :, ::-1], axis=2), -1)
    tip = int(top.max())
    # Whiskers and slits at the rim of the patch are staircases of the voxels, not contact.
    patch = ndimage.binary_fill_holes(ndimage.binary_opening(top > tip - over)) & footprint
    labels, _ = ndimage.label(patch)
    patch = (labels > 0) & (labels == labels[np.unravel_index(int(np.argmax(top)), top.shape)])
    area = float(patch.sum()) * voxel**2
    if tip < 0 or area < SMALLEST_PATCH:
        raise SegmentationError(
            f"found {max(area, 0.0):.0f} mm² of bone under the pad on {place}, expected at least {SMALLEST_PATCH:g} mm²; the label "
            "has a spike there or the pose is wrong: check it in three planes"
        )
    k = np.arange(n)
    return np.asarray(patch[:, :, None] & (k > top[:, :, None]) & (k <= tip + under))


def columns_near_head(region: BoneRegion, shape: tuple[int, ...], affine: Affine, voxel: float) -> Bool[Array, "i j"]:
    """Return the columns along the load that meet the head's sphere."""
    head = (np.linalg.inv(affine) @ np.append(region.landmarks["head_centre"], 1.0))[:3]
    i, j = np.indices(shape[:2])
    return np.asarray(np.hypot(i - head[0], j - head[1]) * voxel <= region.lengths["head_radius"] + voxel)


def shaft_end_nodes(specimen: Specimen, shaft: Float[Array, "3"], depth: float) -> Bool[Array, "i1 j1 k1"]:
    """Return the nodes of bone within ``depth`` [mm] of the plane across the shaft where it was cut; ``shaft`` in specimen axes."""
    step = shaft * specimen.spacing
    bone = np.argwhere(specimen.mask)
    # The plane goes through the model's lowest node, half a voxel below the lowest centre.
    cut = min(float(((bone + corner) @ step).min()) for corner in np.ndindex(2, 2, 2))
    nodes = np.zeros(tuple(n + 1 for n in specimen.mask.shape), dtype=bool)
    low = bone[bone @ step <= cut + depth + 2.0 * specimen.spacing]
    for corner in np.ndindex(2, 2, 2):
        place = low + corner
        at = place[place @ step - cut <= depth]
        nodes[at[:, 0], at[:, 1], at[:, 2]] = True
    return nodes
