"""Simulated scans of one person at several dates: lying otherwise, with other noise, with or without a change of density.

Bones are turned and the body is moved before the image is painted, as people lie otherwise on a table: no image is interpolated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from openbct.phantoms import SimulatedScan, TorsoSettings, calibration_phantom, simulate_torso
from openbct.phantoms import torso as drawing
from openbct.phantoms.column import Placed
from openbct.phantoms.column import column as drawn_column
from openbct.phantoms.femur import femur_frame as drawn_femur_frame

LEVELS = ("L1", "L2", "L3")
DENSER = 1.05
"""Factor on the trabecular density of a changed person."""
MOST_TURNED, MOST_MOVED = 4.0, 6.0
"""About each axis [degrees] and along each [mm], drawn evenly."""
FEMUR_PARTS = ("head_density", "neck_density", "trochanter_density")
"""Of a femur's drawing, those that a change of its trabecular density is made with."""


def person(number: int) -> TorsoSettings:
    """Return a person's body: density, size and texture by lot."""
    draw = np.random.default_rng(9000 + number)
    settings = TorsoSettings(
        spacing=(1.0, 1.0, 1.5), field_of_view=350.0, trabecular_density=float(draw.uniform(60.0, 150.0)), seed=number,
        calibration=calibration_phantom("mindways-model3"),
    )  # fmt: skip
    femur = float(draw.uniform(0.7, 1.2))
    body = replace(settings.body, size=float(draw.uniform(0.93, 1.05)))
    vertebra = replace(settings.vertebra, seed=100 * number + 1)
    settings = replace(settings, body=body, vertebra=vertebra)
    return with_femora(replace(settings, femur_left=replace(settings.femur_left, seed=100 * number + 50)), femur)


def with_femora(settings: TorsoSettings, factor: float) -> TorsoSettings:
    """Return the settings with the trabecular densities of both femora multiplied."""
    sides = {}
    for side in ("femur_left", "femur_right"):
        shape = getattr(settings, side)
        sides[side] = replace(shape, **{part: factor * getattr(shape, part) for part in FEMUR_PARTS if hasattr(shape, part)})
    return replace(settings, **sides)


def denser(settings: TorsoSettings) -> TorsoSettings:
    """Return the same person with 5 % more trabecular density everywhere."""
    return with_femora(replace(settings, trabecular_density=DENSER * settings.trabecular_density), DENSER)


def spine_of(settings: TorsoSettings) -> TorsoSettings:
    """Return the slices that hold L1 to L3 whole, with room to lie otherwise."""
    top = drawing.region_of(settings, "L1").top
    bottom = drawing.region_of(settings, "L3").bottom
    return replace(settings, bottom=bottom - 6.0, top=top + 6.0)


def hips_of(settings: TorsoSettings) -> TorsoSettings:
    """Return the slices that hold both femora."""
    cut = drawing.region_of(settings, "hip")
    return replace(cut, top=cut.top + 6.0, bottom=cut.bottom - 6.0)


def turn_of(seed: int) -> np.ndarray:
    """Return how the bones lie at a date: a turn about all three axes."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(np.random.default_rng(77_000 + seed).uniform(-MOST_TURNED, MOST_TURNED, 3))):
        one = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return turn


def scan_at(settings: TorsoSettings, seed: int) -> SimulatedScan:
    """Return the scan of one date: spine and thighs are turned, the body lies elsewhere in the image, and the noise is another.

    The drawing's own frames are turned, the spine about L2 and each femur about its head, so that no image is interpolated.
    """
    turn, draw = turn_of(seed), np.random.default_rng(88_000 + seed)
    shift = draw.uniform(-MOST_MOVED, MOST_MOVED, 3)
    settings = replace(
        settings, scanner=replace(settings.scanner, seed=seed), bottom=settings.bottom + shift[2], top=settings.top + shift[2],
        centre=(settings.centre[0] + shift[0], settings.centre[1] + shift[1]),
    )  # fmt: skip

    def about(frame: np.ndarray, centre: np.ndarray) -> np.ndarray:
        turned = np.eye(4)
        turned[:3, :3] = turn
        turned[:3, 3] = centre - turn @ centre
        return turned @ frame

    def column(*args: Any, **options: Any) -> tuple[Placed, ...]:
        levels = drawn_column(*args, **options)
        middle = next(level.frame[:3, 3] for level in levels if level.level == "L2")
        return tuple(replace(level, frame=about(level.frame, middle), disc=about(level.disc, middle)) for level in levels)

    def femur_frame(side: Any, centre: Any, tilt: float = 6.0) -> np.ndarray:
        frame = drawn_femur_frame(side, centre, tilt)
        return about(frame, frame[:3, 3].copy())

    with patch.object(drawing, "column", column), patch.object(drawing, "femur_frame", femur_frame):
        return simulate_torso(settings)
