"""How simulated vertebrae stand on the sacrum: lordosis, scoliosis, fractures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Float

Array = np.ndarray


@dataclass(frozen=True)
class _Level:
    width: float
    depth: float
    height: float
    wedge_deg: float
    disc: float
    """Height of the disc below [mm]."""
    disc_deg: float
    """Wedge of the disc below [degrees]."""
    reach: float


LEVELS: Mapping[str, _Level] = MappingProxyType(
    {
        "L5": _Level(50.0, 34.0, 27.0, 8.0, 10.0, 12.0, 44.0),
        "L4": _Level(48.0, 34.0, 27.5, 2.0, 11.5, 8.0, 41.0),
        "L3": _Level(46.0, 33.5, 28.0, 0.0, 10.5, 8.0, 45.0),
        "L2": _Level(44.0, 33.0, 28.0, -1.0, 9.5, 6.0, 42.0),
        "L1": _Level(42.5, 32.0, 27.5, -2.0, 8.5, 4.0, 38.0),
        "T12": _Level(41.0, 31.0, 26.0, -3.0, 7.0, 2.0, 26.0),
        "T11": _Level(39.0, 30.0, 24.5, -3.0, 6.0, 1.0, 26.0),
        "T10": _Level(37.5, 29.0, 23.5, -3.0, 5.5, 1.0, 26.0),
    }
)
"""From below; a woman's spine [D]."""
LUMBAR = 5
"""Vertebrae without ribs that are drawn unless others are asked for."""
SACRAL_ENDPLATE = (0.0, 28.0, 102.0)
"""Centre of the upper face of S1, from the midpoint between the femoral heads [mm] [D]."""
SACRAL_SLOPE_DEG = 36.0
STRAIGHTENING_DEG = 8.0
"""By how much each disc above a fracture opens in front until the trunk is as upright as before [degrees] [D]: persons with a wedged vertebra
stretch the levels above it [R]."""


@dataclass(frozen=True)
class Placed:
    """One level of the column, in patient LPS less the origin between the femoral heads."""

    level: str
    frame: Float[Array, "4 4"]
    """Own frame of the vertebra to patient."""
    disc: Float[Array, "4 4"]
    """Frame at the centre of the disc below."""
    disc_size: tuple[float, float, float]
    """Half-width, half-depth, half-height [mm]."""
    size: _Level


def _frame(centre: Array, tilt_deg: float) -> Float[Array, "4 4"]:
    """Return a frame tilted forwards about x by ``tilt_deg``."""
    c, s = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    frame = np.eye(4)
    frame[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    frame[:3, 3] = centre
    return frame


@dataclass(frozen=True)
class Fracture:
    """A vertebral fracture."""

    kind: Literal["wedge", "biconcave", "crush"]
    loss: float
    """Of height, where it is largest, as a share of the height there before [-]."""

    @property
    def losses(self) -> tuple[float, float, float]:
        """In front, in the middle, behind [-]."""
        share = {"wedge": (1.0, 0.5, 0.0), "biconcave": (0.0, 1.0, 0.0), "crush": (1.0, 1.0, 1.0)}[self.kind]
        return share[0] * self.loss, share[1] * self.loss, share[2] * self.loss


def levels_of(lumbar: int = LUMBAR) -> Mapping[str, _Level]:
    """Return the levels of a spine with 4, 5 or 6 lumbar vertebrae, from below.

    The one that is more, or less, is in the middle of the lumbar spine by its shape: the lowest is always that which fits a sacrum.
    """
    shapes = list(LEVELS.values())
    own = shapes[:3] + shapes[3:4] * (lumbar - 4) + shapes[4:]
    thoracic = [level for level in LEVELS if level.startswith("T")]
    return dict(zip([*(f"L{lumbar - number}" for number in range(lumbar)), *thoracic], own, strict=True))


def column(
    fractures: Mapping[str, Fracture] | None = None, *, cobb_deg: float = 0.0, breadth: float = 1.0, lumbar: int = LUMBAR
) -> tuple[Placed, ...]:
    """Return the levels from the lowest lumbar vertebra up to T10, standing on the sacrum with lumbar lordosis.

    Parameters
    ----------
    fractures
        By level; what stands above comes down and leans forward with them, and straightens over the discs above.
    cobb_deg
        Angle between the most tilted endplates of one curve to the left, in the coronal plane [degrees].
    breadth
        Of bodies and discs, over the drawn ones [-].
    lumbar
        How many vertebrae bear no ribs: 4, 5 or 6.
    """
    centre, tilt = np.array(SACRAL_ENDPLATE), SACRAL_SLOPE_DEG
    placed, lean = [], 0.0
    for level, size in levels_of(lumbar).items():
        opened = min(lean, STRAIGHTENING_DEG)
        lean -= opened
        centre, tilt, disc = _advance(centre, tilt, size.disc, size.disc_deg + opened)
        end, tilt, frame = _advance(centre, tilt, size.height, size.wedge_deg)
        if fractures and level in fractures:
            front, _, back = fractures[level].losses
            end = end - frame[:3, 2] * size.height * (front + back) / 2
            bent = float(np.degrees(np.arctan((front - back) * size.height / size.depth)))
            tilt, lean = tilt + bent, lean + bent
        centre = end
        half = (breadth * size.width / 2, breadth * size.depth / 2, size.disc / 2)
        placed.append(Placed(level, frame, disc, half, size))
    return tuple(placed) if cobb_deg == 0 else _bent(placed, cobb_deg, float(centre[2]))


def _bent(levels: list[Placed], cobb_deg: float, top: float) -> tuple[Placed, ...]:
    """Return the levels along one curve to the left: a wave of the length of the column, upright at both ends."""
    start = SACRAL_ENDPLATE[2]
    length = top - start
    reach = length / np.pi * np.tan(np.radians(cobb_deg / 2))

    def moved(frame: Array) -> Array:
        phase = 2 * np.pi * np.clip((frame[2, 3] - start) / length, 0, 1)
        lean = np.arctan(reach * np.pi / length * np.sin(phase))
        c, s = np.cos(lean), np.sin(lean)
        out = frame.copy()
        out[:3, :3] = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ frame[:3, :3]
        out[0, 3] += reach * (1 - np.cos(phase)) / 2
        return out

    return tuple(replace(level, frame=moved(level.frame), disc=moved(level.disc)) for level in levels)


def _advance(start: Array, tilt: float, height: float, wedge: float) -> tuple[Array, float, Float[Array, "4 4"]]:
    """Return the far end, its tilt, and the frame at the middle of a block that bends by ``wedge`` degrees."""
    middle = _frame(np.zeros(3), tilt - wedge / 2)
    up = middle[:3, 2]
    return start + up * height, tilt - wedge, _frame(start + up * height / 2, tilt - wedge / 2)
