"""Whether the plate of the acetabulum was taken with the head: two plates with a closed gap between them are more bone than one.

The edge of a head holds one plate of bone. Where the bowl stands before the head it should hold as much as where nothing does::

    nothing before it:  marrow | plate | soft tissue
    the bowl before it: marrow | plate | gap | plate of the bowl | marrow of the pelvis
                                       ^ here the mask should end; where the gap is closed it ends behind the second plate
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..volume import Volume, to_index
from .head_surface import BARE, HeadSurface
from .workgrid import sample

Array = np.ndarray

ALONE = "head_alone"
"""Name of the part of a femur's confidence that tells it."""
LIMIT = 1.25
"""Bone at the edge under the bowl, over that of the rest of the head, from which a second plate is in it [C]: of 19 simulated femora that it was
chosen with, ten with 3 to 10 % of bowl in the mask had 1.4 to 2.1, nine with less than 2 % 0.9 to 1.1."""
LEAST_BRIGHT = 50.0
"""An edge that stands less above the marrow is none, and nothing is told [HU] [D]."""
UNDER_BOWL = 0.5
"""Share of a full rise behind the surface from which a ray stands under the bowl [-] [D]."""
OFF_NECK = 60.0
"""Rays nearer to the neck's axis end in no surface [degrees] [D]."""
LEAST = 30
"""Rays that each of the two groups needs, of 700 [D]."""
EDGE, MARROW, STEP = (-6.0, 0.0), (-12.0, -8.0), 0.5
"""Where along a ray, from the surface, the edge lies, where the marrow is read, and the step [mm] [D]."""
BLUR, FINE, BOX = 0.6, 1.0, 46.0
"""As the head's surface is read: voxels smoothed by, their edge [mm], and half the box around the centre [mm] [D]."""


def head_alone(image: Volume, head: HeadSurface, neck: Float[Array, "3"]) -> float:
    """Return 1 where the edge of a head holds about as much bone under the bowl as elsewhere, or else the second over the first.

    Bone is told by the brightest of the edge above the marrow (a gap that is blurred away) and by the sum along the ray (two plates): the
    geometric mean of both. It is 1 too where nothing can be told.

    Parameters
    ----------
    image
        The scan [HU].
    neck
        Direction from the head's centre along the neck, patient LPS.
    """
    box = sample(image, head.centre - BOX, head.centre + BOX, FINE)
    smooth = ndimage.gaussian_filter(box.array, BLUR)
    along = np.arange(MARROW[0], EDGE[1] + STEP / 2, STEP)
    points = head.centre + head.rays[:, None, :] * (head.radii[:, None] + along)[:, :, None]
    profile = ndimage.map_coordinates(smooth, np.moveaxis(to_index(box.affine, points), -1, 0), order=1, mode="nearest")
    told = head.seen & (head.rays @ neck < np.cos(np.radians(OFF_NECK)))
    under, bare = told & (head.gap > UNDER_BOWL), told & (head.gap < BARE)
    if min(int(under.sum()), int(bare.sum())) < LEAST:
        return 1.0
    marrow = float(np.median(profile[told][:, along <= MARROW[1]]))
    above = np.clip(profile[:, along >= EDGE[0]] - marrow, 0.0, None)
    bright, summed = above.max(axis=1), above.sum(axis=1)
    if float(np.median(bright[bare])) < LEAST_BRIGHT:
        return 1.0
    ratios = [float(np.median(one[bare])) / max(float(np.median(one[under])), 1.0) for one in (bright, summed)]
    share = float(np.sqrt(ratios[0] * ratios[1]))
    return 1.0 if share > 1.0 / LIMIT else share


def plate_cautions(parts: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Return a sentence for each femur whose head may hold a part of its bowl, by its parts of confidence."""
    return tuple(
        f"{name}: under the acetabulum the edge of the head holds {1.0 / max(own[ALONE], 0.1):.1f} times the bone of where no bone faces it "
        f"(expected less than {LIMIT:g}): the joint space is closed in the image and the plate of the acetabulum may be in the mask "
        "(up to 10 % of simulated femora); look at the outline of the head."
        for name, own in parts.items()
        if own.get(ALONE, 1.0) < 1.0
    )
