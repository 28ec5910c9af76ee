"""The dark band between the hips: what is left of beam hardening and scatter where both hips shade each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, to_index
from .checks import check
from .coarse import Look

Array = np.ndarray
HEAD_MM = 40.0
"""Of the femur's upper end, what its head lies in [mm] [D]."""
APART = (100.0, 260.0)
"""Heads of one person are this far apart [mm] [D]."""
CLEAR_MM = 36.0
"""From a head's centre to beyond its socket, towards the midline [mm] [D]."""
BAND_MM, SHIFT_MM = 12.0, 45.0
"""Half the depth and height of the band, and how far behind it lies what it is compared with [mm] [D]."""
SOFT_HU = (-20.0, 100.0)
"""Block means of muscle, organs and urine; fat and bone are left out [HU] [D]."""
FEWEST = 2000.0
"""Soft tissue in either place [mm³] [D]."""


def check_hardening(image: Volume, look: Look, bones: Mapping[str, BoneMask]) -> list[Check]:
    """Return how much darker soft tissue between the heads is than behind them; none where one hip is missing."""
    value = dark_band(image, look, bones)
    if value is None:
        return []
    said = (
        f"Soft tissue between the hips reads {value:.0f} HU less than behind them, more than the {rule('dark_band').limit():g} HU: beam hardening "
        f"and scatter between the hips were not fully corrected; {rule('dark_band').effect()}."
    )
    return [check("dark_band", value, said)]


def dark_band(image: Volume, look: Look, bones: Mapping[str, BoneMask]) -> float | None:
    """Return by how much soft tissue between the heads is darker than behind them [HU]; ``None`` where it cannot be measured."""
    heads = [_head(bones[name].mask) for name in ("femur_left", "femur_right") if name in bones]
    if len(heads) != 2:
        return None
    ends = to_index(image.affine, np.array(heads)) / np.array(look.step)
    apart = float(abs(ends[0, 0] - ends[1, 0]) * look.spacing[0])
    if not APART[0] <= apart <= APART[1]:
        return None
    x, y, z = ((np.arange(n) - at) * edge for n, at, edge in zip(look.mean.shape, ends.mean(axis=0), look.spacing))
    medians = []
    for shift in (0.0, SHIFT_MM):
        place = np.ix_(np.abs(x) < apart / 2 - CLEAR_MM, np.abs(y - shift) < BAND_MM, np.abs(z) < BAND_MM)
        part = look.mean[place]
        soft = part[(part > SOFT_HU[0]) & (part < SOFT_HU[1])]
        if soft.size * float(np.prod(look.spacing)) < FEWEST:
            return None
        medians.append(float(np.median(soft)))
    return medians[1] - medians[0]


def _head(mask: Volume) -> Array:
    """Return the middle of a femur's upper end in patient LPS [mm]."""
    index = np.argwhere(mask.array)
    top = index[index[:, 2] > index[:, 2].max() - HEAD_MM / mask.spacing[2]]
    # The head is the inner part of the upper end; the trochanter lies farther out and ends below.
    return np.asarray(mask.affine[:3, :3] @ top.mean(axis=0) + mask.affine[:3, 3])
