"""How much water a body is worth to the beam: what hardens it."""

from __future__ import annotations

import numpy as np

from .outline import Outline

CUT_SHARE = 0.1
"""Share of slices in which the body reaches the image's edge, above which its size is not known [design]."""


def water_equivalent(outline: Outline) -> tuple[float, bool]:
    """Return the diameter of the water disc that attenuates like the body's slices, their median [cm], and whether the body is whole.

    A body that the field of view cuts is larger than it looks.

    References
    ----------
    Water-equivalent diameter: AAPM Report 220 (2014) [recalled].
    """
    inside = ~outline.outside & ~outline.painted
    present = outline.body.any(axis=(0, 1))
    if not present.any():
        return 0.0, False
    area = float(outline.spacing[0] * outline.spacing[1]) / 100.0
    water = np.clip(outline.mean / 1000.0 + 1.0, 0.0, None)
    worth = (water * inside).sum(axis=(0, 1))[present] * area
    rim = np.concatenate([outline.body[0], outline.body[-1], outline.body[:, 0], outline.body[:, -1]])
    edges = np.asarray(rim.any(axis=0))[present]
    return float(2.0 * np.sqrt(np.median(worth) / np.pi)), bool(edges.mean() <= CUT_SHARE)
