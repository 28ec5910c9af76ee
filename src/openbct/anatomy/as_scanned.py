"""A whole vertebra as it lies in the image, between cement that was drawn with it: nothing is cut, turned or interpolated."""

from __future__ import annotations

import numpy as np

from ..errors import SegmentationError
from ..records import BoneMask, BoneRegion, CalibratedVolume, Frame, Step
from ..volume import Volume, bounding_box, crop, offset_in, place_into, to_patient

CUBIC = 0.01
"""Largest difference between a voxel's edges that still makes it a cube, as a share [D]."""


def take_vertebra(bone_mask: BoneMask, calibrated: CalibratedVolume) -> BoneRegion:
    """Return a vertebra with its arch and the cement above and below it, on the image's own voxels.

    ``lengths`` holds ``"height"``, the distance between the middles of the two layers of cement, and ``"mean_area"``, the bone's volume
    over that height. The public benchmark measures between the centroids of two node sets that are not published; this distance is
    the published 29 mm on its one public sample [C].

    Raises
    ------
    SegmentationError
        No cement was labelled, or the voxels are no cubes.
    """
    bone, image = bone_mask.bone, calibrated.density
    if bone_mask.pads is None:
        raise SegmentationError(
            f"found no cement drawn with {bone}, expected labels cement_inferior_{bone} and cement_superior_{bone}: this protocol takes a "
            "vertebra as it was scanned and posed; use another protocol, or add the labels"
        )
    spacing = image.spacing
    if float(np.ptp(spacing)) > CUBIC * float(spacing.min()):
        raise SegmentationError(
            f"found voxels of {' x '.join(f'{size:.3f}' for size in spacing)} mm, expected cubes: this protocol does not resample; resample the "
            "image and its labels first, or use another protocol"
        )
    parts = (bone_mask.mask, *bone_mask.pads)
    boxes = [tuple(offset_in(part, image) + end for end in bounding_box(part)) for part in parts]
    low = np.min([box[0] for box in boxes], axis=0).tolist()
    high = np.max([box[1] for box in boxes], axis=0).tolist()
    density = crop(image, low, high)
    mask, inferior, superior = (place_into(_trimmed(part), density, fill=False) for part in parts)
    middles = [float(np.flatnonzero(pad.array.any(axis=(0, 1)))[[0, -1]].mean()) for pad in (inferior, superior)]
    height = (middles[1] - middles[0]) * float(spacing[2])
    if height <= 0:
        raise SegmentationError(f"found the superior cement of {bone} below the inferior one; exchange their labels")
    points = to_patient(mask.affine, np.argwhere(mask.array).astype(float))
    lengths = {"height": height, "mean_area": float(mask.array.sum()) * mask.voxel_volume / height}
    axes = mask.affine[:3, :3] / np.linalg.norm(mask.affine[:3, :3], axis=0)
    sentence = (
        f"The vertebra was taken whole, with its arch, as it lies in the image, with the cement that was drawn on it. {bone}: {height:.1f} mm "
        "between the middles of its layers of cement."
    )
    return BoneRegion(
        bone=bone,
        kind="vertebra",
        side=None,
        density=density,
        mask=mask,
        frame=Frame(points.mean(axis=0), axes),
        landmarks={},
        lengths=lengths,
        step=Step("anatomy", sentence),
        pads=(inferior, superior),
    )


def _trimmed(part: Volume) -> Volume:
    """Return a part on the smallest box that holds it."""
    first, last = bounding_box(part)
    return crop(part, first.tolist(), last.tolist())
