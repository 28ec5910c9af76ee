"""The dark band between the hips: what is left of beam hardening and scatter where both hips shade each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..acquisition import rule
from ..records import BoneMask, Check
from ..volume import Volume, to_index
from .checks import check

Array = np.ndarray
HEAD_MM = 40.0
"""Of the femur's upper end, what its head lies in [mm] [D]."""
APART = (100.0, 260.0)
"""Heads of one person are this far apart [mm] [D]."""
CLEAR_MM = 36.0
"""From a head's centre to beyond its socket, towards the midline [mm] [D]."""
BAND_MM, SHIFT_MM = 12.0, 45.0
"""Half the depth of the band, and how far behind it lies what it is compared with [mm] [D]."""
SOFT_HU = (0.0, 90.0)
"""Muscle and organs; fat and bone are left out [HU] [D]."""
FEWEST = 2000.0
"""Soft tissue in either place [mm³] [D]."""


def check_hardening(image: Volume, bones: Mapping[str, BoneMask]) -> list[Check]:
    """Return how much darker muscle between the heads is than behind them; none where one hip is missing."""
    value = dark_band(image, bones)
    if value is None:
        return []
    said = (
        f"Soft tissue between the hips reads {value:.0f} HU less than behind them, more than {rule('dark_band').limit():g} HU: beam hardening "
        f"and scatter between the hips were not fully corrected; {rule('dark_band').effect()}."
    )
    return [check("dark_band", value, said)]


def dark_band(image: Volume, bones: Mapping[str, BoneMask]) -> float | None:
    """Return by how much soft tissue between the heads is darker than behind them [HU]; ``None`` where it cannot be measured."""
    heads = [_head(bones[name].mask) for name in ("femur_left", "femur_right") if name in bones]
    if len(heads) != 2:
        return None
    ends = to_index(image.affine, np.array(heads))
    spacing = image.spacing
    apart = float(abs(ends[0, 0] - ends[1, 0]) * spacing[0])
    if not APART[0] <= apart <= APART[1]:
        return None
    middle, height, depth = ends[:, 0].mean(), ends[:, 2].mean(), ends[:, 1].mean()
    reach = apart / 2 - CLEAR_MM
    columns = slice(max(0, round(middle - reach / spacing[0])), round(middle + reach / spacing[0]) + 1)
    planes = slice(max(0, round(height - 10.0 / spacing[2])), round(height + 10.0 / spacing[2]) + 1)
    means = []
    for shift in (0.0, SHIFT_MM):
        centre = depth + shift / spacing[1]
        rows = slice(max(0, round(centre - BAND_MM / spacing[1])), max(0, round(centre + BAND_MM / spacing[1]) + 1))
        part = image.array[columns, rows, planes]
        soft = part[(part > SOFT_HU[0]) & (part < SOFT_HU[1])]
        if soft.size * image.voxel_volume < FEWEST:
            return None
        means.append(float(np.mean(soft)))
    return means[1] - means[0]


def _head(mask: Volume) -> Array:
    """Return the middle of a femur's upper end in patient LPS [mm]."""
    index = np.argwhere(mask.array)
    top = index[index[:, 2] > index[:, 2].max() - HEAD_MM / mask.spacing[2]]
    # The head is the inner part of the upper end; the trochanter lies farther out and ends below.
    return np.asarray(mask.affine[:3, :3] @ top.mean(axis=0) + mask.affine[:3, 3])
