"""The mirror image of a bone: left femora are measured and mounted as the right femora that they mirror."""

from __future__ import annotations

from dataclasses import replace

from .records import BoneRegion, Frame
from .volume import MIRROR, mirrored


def mirror_image(region: BoneRegion) -> BoneRegion:
    """Return the bone of the other side that is the mirror image of a region, voxel by voxel."""
    return replace(
        region,
        side=None if region.side is None else "right" if region.side == "left" else "left",
        density=mirrored(region.density),
        mask=mirrored(region.mask),
        # The frame's x still points to the left: its mirror image would point to the right.
        frame=Frame(region.frame.origin * MIRROR, MIRROR[:, None] * region.frame.axes * MIRROR),
        landmarks={name: point * MIRROR for name, point in region.landmarks.items()},
    )
