"""The shaft of a femur below a head that was found: which side it is, and where the neck goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..volume import Volume

Array = np.ndarray

BONE = 150.0
"""From here on a voxel is bone [HU]: muscle has 60, blood with contrast agent up to 300, thin cortex at 3 mm still 200 [D]."""
LESSER_TROCHANTER = 2.33
"""Apex of the lesser trochanter below the head's centre, in head radii: mean of five public femora, 2.13 to 2.50 [C]."""
AREAS = (250.0, 2600.0)
"""Cross-section of a filled shaft [mm²] [D]."""
LATERAL, FORWARD = (-20.0, 95.0), 75.0
"""Where a shaft may lie from the head's centre, sideways and back or forth [mm] [D]."""
STRAY = 9.0
"""How far a shaft's centre may move from slice to slice of 2 mm [mm] [D]."""
LEAST_SHARE = 0.6
"""Share of the slices below the trochanters in which a shaft must be seen: it goes down to the edge of the image without a break, which
the wing of an ilium or a rib beside a vertebra does not. Drawn and simulated femora have 0.89 to 1.0, those once invented on a spine 0.11 to
0.27 [C]; the limit between is by design [D]."""
NECK_AT = 1.15
"""How far below the head's centre the section through neck and trochanters is taken for the neck's foot, in head radii [D]."""
BROADEST, CLIMB = 4200.0, 14.0
"""Largest section between shaft and head [mm²], and how far its centre may move from slice to slice [mm] [D]."""


@dataclass(frozen=True)
class ShaftLine:
    """A straight line through the upper shaft."""

    point: Float[Array, "3"]
    """Patient LPS [mm], at the upper end of what was followed."""
    axis: Float[Array, "3"]
    """Unit vector to proximal."""
    length: float
    """What was followed [mm]."""
    left: bool
    """It lies to the left of its head: a left femur."""
    share: float
    """Share of the slices in which it was seen, 0 to 1."""
    neck: Float[Array, "3"]
    """Unit vector from the head's centre to the neck's foot between the trochanters."""

    def at(self, z: float) -> Float[Array, "3"]:
        """Return the point of the line at a height [mm]."""
        return np.asarray(self.point + self.axis * ((z - self.point[2]) / self.axis[2]))


def find_shaft(image: Volume, centre: Float[Array, "3"], radius: float, left: bool | None) -> ShaftLine | None:
    """Return the shaft that belongs to a head, or ``None``.

    Parameters
    ----------
    image
        Cubes of 2 mm along the patient's axes around the head, down to the end of what is looked at [HU].
    centre, radius
        Of the head: patient LPS [mm], [mm].
    left
        Which side it must be; ``None`` where only the shaft can tell.
    """
    edge, origin = float(image.spacing[0]), image.affine[:3, 3]
    highest = int((centre[2] - LESSER_TROCHANTER * radius - 4.0 - origin[2]) / edge)
    chains: list[list[Array]] = []
    for k in range(min(highest, image.shape[2] - 1) + 1):
        _prolong(chains, _sections(image.array[:, :, k] > BONE, origin, edge, k, AREAS[1]), k)
    best: tuple[float, ShaftLine, Array] | None = None
    for chain in chains:
        line = _line(np.array(chain), centre, edge, highest + 1)
        if line is None or (left is not None and line.left != left):
            continue
        if best is None or line.share * min(line.length, 60.0) > best[0]:
            best = (line.share * min(line.length, 60.0), line, chain[-1])
    if best is None:
        return None
    foot = best[2]
    for k in range(highest + 1, int((centre[2] - NECK_AT * radius - origin[2]) / edge) + 1):
        spots = _sections(image.array[:, :, k] > BONE, origin, edge, k, BROADEST)
        away = np.hypot(spots[:, 0] - foot[0], spots[:, 1] - foot[1])
        if len(away) and away.min() < CLIMB:
            foot = spots[int(np.argmin(away))]
    along = foot[:3] - centre
    return replace(best[1], neck=along / np.linalg.norm(along))


def _sections(bone: Bool[Array, "i j"], origin: Float[Array, "3"], edge: float, k: int, largest: float) -> Float[Array, "n 4"]:
    """Return centre (x, y, z) and area of each filled piece of bone in a slice that could be a shaft."""
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(bone, iterations=1))
    labels, count = ndimage.label(filled)
    if count == 0:
        return np.zeros((0, 4))
    areas = np.bincount(labels.ravel())[1:] * edge**2
    middles = np.array(ndimage.center_of_mass(filled, labels, np.arange(1, count + 1)))
    fit = (areas > AREAS[0]) & (areas < largest)
    z = np.full(int(fit.sum()), origin[2] + k * edge)
    return np.column_stack([origin[:2] + middles[fit] * edge, z, areas[fit]])


def _prolong(chains: list[list[Array]], spots: Float[Array, "n 4"], k: int) -> None:
    """Add each section to the chain that ended near it, or begin one."""
    free = list(range(len(spots)))
    for chain in chains:
        last = chain[-1]
        near = [(float(np.hypot(*(spots[n] - last)[:2])), n) for n in free if spots[n][2] - last[2] < 9.0]
        if near and min(near)[0] < STRAY:
            chain.append(spots[min(near)[1]])
            free.remove(min(near)[1])
    chains.extend([spots[n]] for n in free)


def _line(chain: Float[Array, "n 4"], centre: Float[Array, "3"], edge: float, slices: int) -> ShaftLine | None:
    """Return the line through a chain of sections, or ``None`` where it cannot be the head's shaft."""
    if len(chain) < 4:
        return None
    upper = chain[-min(len(chain), int(50.0 / edge)) :, :3]
    slope = np.polyfit(upper[:, 2], upper[:, :2], 1) if len(upper) > 5 else np.vstack([np.zeros(2), upper[:, :2].mean(axis=0)])
    axis = np.array([*slope[0], 1.0])
    axis /= np.linalg.norm(axis)
    top = np.array([*(slope[0] * upper[-1, 2] + slope[1]), upper[-1, 2]])
    aside = top - centre
    left = bool(aside[0] > 0)
    outwards = abs(float(aside[0]))
    if axis[2] < 0.7 or outwards > LATERAL[1] or outwards < 8.0 or abs(aside[1]) > FORWARD:
        return None
    length = float(chain[-1, 2] - chain[0, 2])
    share = min(1.0, len(chain) / max(slices, 1))
    return ShaftLine(top, axis, length, left, share, axis * 0.0) if share >= LEAST_SHARE else None
