"""Thickness of the soft tissue over the greater trochanter, from the bone sideways to the skin, as the patient lies in the scanner."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..records import BoneRegion, CalibratedVolume, Measure
from ..volume import to_index

AIR = -400.0
"""Attenuation below which there is no tissue [HU]: half way between fat and air [D]."""
AIR_GIVEN = -300.0
"""The same in an image of density whose HU nobody knows [mg/cm³] [D]."""
STEP = 0.5
"""Along a ray [mm]."""
FARTHEST = 250.0
"""Length of a ray [mm] [D]."""
AIR_RUN = 5.0
"""So much air in a row is outside, and no gas or crease [mm] [D]."""
PATCH = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Offsets of the rays, backwards and upwards, from the most lateral point of the trochanter [mm] [D]."""
LEAST = 2.0
"""Thinner than skin is no soft tissue [mm] [D]."""


def soft_tissue(region: BoneRegion, calibrated: CalibratedVolume) -> Measure | None:
    """Return the thickness [mm] beside a femur's greater trochanter; ``None`` where the image ends before the skin.

    The median over rays that leave the plane of the most lateral point sideways, towards the outside of that leg.
    """
    start = region.landmarks.get("greater_trochanter_lateral")
    if start is None or region.side is None:
        return None
    outwards = np.array([1.0 if region.side == "left" else -1.0, 0.0, 0.0])
    image = calibrated.density
    if calibrated.method == "given" or calibrated.slope <= 0:
        limit = AIR_GIVEN
    else:
        limit = calibrated.intercept + calibrated.slope * AIR
    along = np.arange(0.0, FARTHEST, STEP)
    found = []
    for back in PATCH:
        for up in PATCH:
            points = start + np.array([0.0, back, up]) + along[:, None] * outwards
            index = to_index(image.affine, points)
            inside = np.asarray(((index >= 0) & (index <= np.array(image.shape) - 1)).all(axis=1))
            reach = int(inside.argmin()) if not inside.all() else len(inside)
            values = ndimage.map_coordinates(image.array, index[:reach].T, order=1, output=np.float32)
            skin = _first_run(np.asarray(values < limit), round(AIR_RUN / STEP))
            if skin is not None:
                found.append(skin * STEP)
    if len(found) <= len(PATCH) ** 2 / 2 or float(np.median(found)) < LEAST:
        return None
    return Measure(
        float(np.median(found)), "mm", "from the most lateral point of the greater trochanter sideways to the skin, lying"
    )


def _first_run(flags: np.ndarray, length: int) -> int | None:
    """Return where the first run of so many true values begins."""
    if flags.size < length:
        return None
    together = np.convolve(flags.astype(int), np.ones(length, dtype=int), mode="valid")
    places = np.flatnonzero(together == length)
    return int(places[0]) if len(places) else None
