"""Where the spine lies in a scan, from the bone alone: what other tissues are looked for beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .outline import Outline

BONE_HU = 200.0
MIN_BONE = 40
"""Blocks of bone that make a spine [design]."""


@dataclass(frozen=True)
class Spine:
    """Distances from the spine's bone, by block and slice."""

    leftwards: Float[np.ndarray, "i k"]
    """From the midline to the patient's left [mm]."""
    behind: Float[np.ndarray, "j k"]
    """Behind the middle of the bone [mm]; negative in front."""

    @property
    def sideways(self) -> Float[np.ndarray, "i k"]:
        """Distance from the midline [mm]."""
        return np.asarray(np.abs(self.leftwards))


def locate_spine(outline: Outline) -> Spine | None:
    """Return where the spine's bone lies in each slice, from bone in the body's rear half; ``None`` without a spine.

    The median position of bone near the midline is smoothed along the body, so that a slice through a disc or a rib
    borrows from its neighbours.
    """
    if not outline.body.any():
        return None
    depth = np.flatnonzero(outline.body.any(axis=(0, 2)))
    bone = outline.body & (outline.mean > BONE_HU)
    bone[:, : int(0.5 * (depth[0] + depth[-1])), :] = False
    i, j, k = np.nonzero(bone)
    if i.size < MIN_BONE:
        return None
    near = np.abs(i - np.median(i)) * outline.spacing[0] <= 30.0
    i, j, k = i[near], j[near], k[near]
    n_slices, reach = bone.shape[2], max(1, round(15.0 / float(outline.spacing[2])))
    rows = [np.abs(k - at) <= reach for at in range(n_slices)]
    full = np.array([at for at in range(n_slices) if rows[at].sum() >= 5])
    if full.size == 0:
        return None
    every = np.arange(n_slices)
    middle = np.interp(every, full, [np.median(i[rows[at]]) for at in full])
    back = np.interp(every, full, [np.median(j[rows[at]]) for at in full])
    side = 1.0 if outline.image.affine[0, 0] >= 0 else -1.0
    columns, lines = np.arange(bone.shape[0]), np.arange(bone.shape[1])
    return Spine(
        side * (columns[:, None] - middle[None, :]) * outline.spacing[0], (lines[:, None] - back[None, :]) * outline.spacing[1]
    )
