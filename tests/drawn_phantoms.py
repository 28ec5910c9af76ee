"""Scans with a calibration phantom, drawn for the tests by hand: a body, a slab with rods below it, a table. No part of the simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openbct.records import Acquisition, Patient, Scan, Segmentation, Step
from openbct.volume import Volume

STEP = Step("test", "made for a test")
NOTHING = Segmentation({}, {}, STEP)
MIDDLE, DEPTH = 150.0, 152.0
"""Of the row of rods: along i, and along j [mm]."""


def reading(value: float, water: float | None, rise: float = 1.40, zero: float = 4.0) -> float:
    """Return what a rod reads [HU] by the maker's equation turned around."""
    if water is None:
        return rise * value + zero
    return water + (rise + 0.2174) * value + zero - 999.6


def draw_scan(
    rods: Sequence[float],
    *,
    spacing: float = 45.0,
    radius: float = 9.0,
    slices: int = 8,
    step: float = 3.0,
    slab: float | None = 0.0,
    lean: float = 0.0,
    roll_deg: float = 0.0,
    noise: float = 12.0,
    seed: int = 0,
    kvp: float | None = 120.0,
    partial: tuple[int, int] | None = None,
    body: bool = True,
    bubble: tuple[int, int] | None = None,
    blur: float = 0.7,
) -> tuple[Scan, np.ndarray]:
    """Return a scan of 1 x 1 x ``step`` mm and the axes of its rods in the middle slice, along i and j [mm].

    ``slab`` None: the rods lie in the body itself. ``partial``: slices that hold the slab and its rods. ``bubble``: rod and slice with gas.
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    x, y = np.arange(300.0)[:, None], np.arange(190.0)[None, :]
    image = np.empty((300, 190, slices), dtype=np.float32)
    turn = np.radians(roll_deg)
    number = np.arange(len(rods)) - (len(rods) - 1) / 2
    row = np.column_stack([MIDDLE + spacing * number * np.cos(turn), DEPTH + spacing * number * np.sin(turn)])
    if slab is None:
        row[:, 1] -= 82.0
    for k in range(slices):
        flat = np.full((300, 190), -1000.0, dtype=np.float32)
        flat[(np.abs(x - MIDDLE) < 140) & (np.abs(y - 170) < 1.5)] = 100.0  # shell of the table
        if body:
            oval = ((x - MIDDLE) / 135) ** 2 + ((y - 70.0) / 66) ** 2 < 1
            flat[oval] = -90.0
            flat[((x - MIDDLE) / 120) ** 2 + ((y - 70.0) / 52) ** 2 < 1] = 45.0
            flat[(x - MIDDLE) ** 2 + (y - 95.0) ** 2 < 20**2] = 160.0 if slab is not None else 45.0  # a vertebral body
        if partial is None or partial[0] <= k < partial[1]:
            if slab is not None:
                aside, down = (
                    (x - MIDDLE) * np.cos(turn) + (y - DEPTH) * np.sin(turn),
                    (y - DEPTH) * np.cos(turn) - (x - MIDDLE) * np.sin(turn),
                )
                flat[(np.abs(aside) < 135) & (np.abs(down) < radius + 4)] = slab
            for n, (place, hu) in enumerate(zip(row, rods)):
                at = place + lean * (k - (slices - 1) / 2) * step
                flat[(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2] = hu
                if bubble == (n, k):
                    flat[(x - at[0]) ** 2 + (y - at[1] + 0.5 * radius) ** 2 < (0.4 * radius) ** 2] = -1000.0
        image[:, :, k] = ndimage.gaussian_filter(flat, blur) + rng.normal(0, noise, flat.shape)
    affine = np.diag([1.0, 1.0, step, 1.0])
    stored = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return Scan(Volume(stored, affine, "HU"), Patient(), Acquisition(kvp=kvp), "drawing", "0", STEP), row
