"""Whether bone goes on along a femoral neck: a break is a plane across it in which there is next to none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Array = np.ndarray

FROM, TO = 0.8, 2.1
"""Between these distances from the head's centre, along the neck, sections are looked at, in head radii [D]."""
NEAR = 1.2
"""What lies so far from the neck's axis belongs to it, in head radii [D]."""
TILTS = np.tan(np.radians([-40.0, -30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0]))
"""A break may lie so oblique to the neck, up and down and back and forth [D]."""
NOT_BONE, DENSE = 100.0, 500.0
"""Below the first soft tissue or marrow; what is denser than the second counts no more [HU] [D]."""
STEP, WIDTH = 0.5, 3
"""Distance of sections [mm], and how many are taken together [D]."""


def weakest_section(
    away: Float[Array, "n 3"], image: Float[Array, " n"], neck: Float[Array, "3"], radius: float
) -> tuple[float, float]:
    """Return the least bone of a plane section over the median of all, and how far from the head's centre it lies [mm].

    Parameters
    ----------
    away
        Voxels of a femur, from the head's centre [mm].
    image
        Of each voxel [HU].
    neck, radius
        Unit vector from the head's centre along the neck, and radius of the head [mm].
    """
    along = away @ neck
    aside = np.linalg.norm(away - along[:, None] * neck, axis=1)
    own = (aside < NEAR * radius) & (along > (FROM - 1.0) * radius) & (along < (TO + 1.0) * radius)
    away, bone = away[own], np.clip(image[own] - NOT_BONE, 0.0, DENSE - NOT_BONE)
    across = np.cross(neck, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    third = np.cross(neck, across)
    count = int((TO - FROM) * radius / STEP)
    best = (1.0, 0.0)
    for up in TILTS:
        for forth in TILTS:
            place = away @ (neck + up * across + forth * third)
            bins = np.floor((place - FROM * radius) / STEP).astype(int)
            inside = (bins >= 0) & (bins < count)
            held = np.convolve(np.bincount(bins[inside], bone[inside], minlength=count), np.ones(WIDTH), mode="valid")
            middle = float(np.median(held))
            weakest = int(np.argmin(held))
            if middle > 0 and held[weakest] / middle < best[0]:
                best = (float(held[weakest]) / middle, FROM * radius + (weakest + WIDTH / 2) * STEP)
    return best
