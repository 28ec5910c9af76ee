"""Rods in a scan: round, even spots that run straight along the table, found without knowing what phantom they belong to.

The image is looked at in slabs of a few millimetres. In each, a spot is where a small square differs from six patches around it
in the same sense; its outline at half the contrast must be round. Spots that follow one another on a straight line are a rod.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume

SLAB_MM = 8.0
"""Thickness over which slices are averaged: less noise, and no blur of a rod tilted by 3° [design]."""
SHORT_SLAB_MM = 5.0
"""The same for rods that may be short, inside a phantom of their own [design]."""
MANY_SLABS, MOST_SLABS = 6, 32
"""Fewer overlap by half; more are not looked at, but evenly spread [design]."""
PIXEL_MM = 0.7
"""Finer pixels are averaged in pairs [design]."""
RADII = (5.0, 7.0, 9.5, 13.0, 18.0)
"""Rods from 4 to 22 mm radius answer to one of these [mm] [design]."""
LEAST_CONTRAST = 14.0
"""Between a rod and what is around it [HU] [design]: below, a rod is not seen but read where its neighbours say it is."""
RAYS = 32
"""From the centre of a spot to its edge."""
ON_CIRCLE, ROUND = 0.5, 0.09
"""Share of the edge that must lie on a circle, and how near, root mean square over the radius [-] [design]."""
STRAIGHT_MM = 1.2
"""A rod's centres lie on a line within this, root mean square [mm] [design]."""
STEEPEST, LEANING = 0.15, 0.06
"""Sideways per length along the table: 8.5° from slab to slab, 3.4° over a gap [design]."""
GAP = 3.0
"""Slabs in which a rod may be lost by noise or gas; rods behind one another lie farther apart [design]."""
LEAST_LENGTH_MM = 12.0
"""Of a rod, or two slabs [mm] [design]."""
MOST_SPOTS = 40
"""Looked at in a slab, best first [design]."""
SOLID_HU = -300.0
"""Above is body, phantom or table; foam and air lie below [design]."""
SHELL_MM = 8.0
"""Solids thinner than this along the fall are a table's shell, not what lies on it [mm] [design]."""
UNDER_MM = 45.0
"""A phantom under the body lies this near to the lowest solid thing on the table [mm] [design]."""


@dataclass(frozen=True)
class Track:
    """A rod as found; x and y are along i and j in mm from the first voxel, z along k."""

    middle: tuple[float, float, float]
    """Middle of the part that was seen [mm]."""
    lean: tuple[float, float]
    """Of x and y per z [-]."""
    ends: tuple[float, float]
    """Along z [mm]."""
    radius: float
    """[mm]"""
    mean: float
    """Inside [HU]."""
    around: float
    """In the material around it [HU]."""
    below: float
    """From its centre down to foam or air [mm]."""

    def at(self, z: float) -> tuple[float, float]:
        """Return x and y at a height [mm]."""
        return (
            self.middle[0] + self.lean[0] * (z - self.middle[2]),
            self.middle[1] + self.lean[1] * (z - self.middle[2]),
        )


@dataclass(frozen=True)
class _Spot:
    x: float
    y: float
    z: float
    radius: float
    mean: float
    around: float
    below: float


def find_rods(image: Volume, *, below: bool) -> tuple[Track, ...]:
    """Return everything in a scan that looks like a rod of a phantom, longest first; bones and vessels may be among them.

    Parameters
    ----------
    image
        [HU], canonical: j runs to posterior.
    below
        Look only near the lowest solid thing on the table, where a phantom under the body is.
    """
    edge = image.spacing
    step = max(1, round((SLAB_MM if below else SHORT_SLAB_MM) / float(edge[2])))
    # Rods below a body run through the scan; inside a phantom they may be short: there the slabs overlap.
    stride = step if below and image.shape[2] >= MANY_SLABS * step else max(1, step // 2)
    starts = np.arange(0, max(image.shape[2] - step, 0) + 1, stride)
    if len(starts) > MOST_SLABS:
        starts = np.unique(np.rint(np.linspace(starts[0], starts[-1], MOST_SLABS)).astype(int))
    spots = [_spots(_slab(image, int(k), step), edge, (int(k) + (step - 1) / 2) * float(edge[2]), below) for k in starts]
    pitch = float(np.diff(starts).max()) * float(edge[2]) if len(starts) > 1 else float(step * edge[2])
    return tuple(sorted(_tracks(spots, pitch, float(step * edge[2])), key=lambda track: track.ends[0] - track.ends[1]))


def _slab(image: Volume, start: int, step: int) -> tuple[Float[Array, "i j"], int]:
    """Return the mean of a few slices, and by how many pixels it is coarser than the image."""
    flat = image.array[:, :, start : start + step].mean(axis=2, dtype=np.float32)
    if image.spacing[:2].max() >= PIXEL_MM or min(flat.shape) < 4:
        return flat, 1
    even = flat[: flat.shape[0] // 2 * 2, : flat.shape[1] // 2 * 2]
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).mean(axis=(1, 3)), 2


def _spots(slab: tuple[Float[Array, "i j"], int], edge: Array, z: float, below: bool) -> list[_Spot]:
    """Return the round, even spots of one slab."""
    flat, coarser = slab
    pixel = edge[:2] * coarser
    first, last = _near_table(flat, float(pixel[1])) if below else (0, flat.shape[1])
    if last - first < 8:
        return []
    shift = (coarser - 1) / 2 * edge[:2] + (0.0, first * pixel[1])
    flat = flat[:, first:last]
    best, size = np.zeros_like(flat), np.zeros_like(flat)
    for radius in RADII:
        score = _score(flat, radius / pixel)
        larger = score > best
        best[larger], size[larger] = score[larger], radius
    reach = np.maximum(1, np.rint(RADII[0] / pixel).astype(int))
    tops = (best == ndimage.maximum_filter(best, size=tuple(2 * reach + 1))) & (best > 0)
    places = np.argwhere(tops)
    order = np.argsort(best[tops])[::-1][:MOST_SPOTS]
    found = [_refine(flat, pixel, places[n], float(size[tuple(places[n])])) for n in order]
    kept: list[_Spot] = []
    for spot in found:
        if spot is None or any(np.hypot(spot[0] - other.x + shift[0], spot[1] - other.y + shift[1]) < 3.0 for other in kept):
            continue
        x, y, radius, mean, around = spot
        kept.append(_Spot(x + shift[0], y + shift[1], z, radius, mean, around, _to_foam(flat, pixel, x, y)))
    return kept


def _near_table(flat: Float[Array, "i j"], pixel: float) -> tuple[int, int]:
    """Return the rows between which a phantom under the body lies: from some way above the lowest solid thing to the air below it."""
    thick = ndimage.binary_opening(flat > SOLID_HU, np.ones((1, max(2, round(SHELL_MM / pixel)))))
    rows = np.flatnonzero(thick.sum(axis=0) * pixel > 3 * SHELL_MM)
    if len(rows) == 0:
        return 0, 0
    return max(0, int(rows[-1] - UNDER_MM / pixel)), min(flat.shape[1], int(rows[-1] + 25.0 / pixel))


def _score(flat: Float[Array, "i j"], radius: Float[Array, "2"]) -> Float[Array, "i j"]:
    """Return by how many of its own deviations a square differs from the least different of six patches beside it.

    The patches lie to both sides, not above and below: a slab is flat, and its edges are near.
    """
    inner = tuple(2 * max(1, round(0.5 * r)) + 1 for r in radius)
    patch = tuple(2 * max(0, round(0.2 * r)) + 1 for r in radius)
    mean = ndimage.uniform_filter(flat, inner, mode="nearest")
    spread = ndimage.uniform_filter(flat * flat, inner, mode="nearest") - mean * mean
    beside = ndimage.uniform_filter(flat, patch, mode="nearest")
    least, most = np.full_like(flat, np.inf), np.full_like(flat, -np.inf)
    for angle in (0, 38, -38, 180, 142, 218):
        shift = np.rint(1.45 * radius * (np.cos(np.radians(angle)), np.sin(np.radians(angle)))).astype(int)
        difference = mean - np.roll(beside, tuple(-shift), axis=(0, 1))
        np.minimum(least, difference, out=least)
        np.maximum(most, difference, out=most)
    contrast = np.where(least > 0, least, np.where(most < 0, -most, 0.0))
    deviation = np.sqrt(np.maximum(spread, 0.0))
    # Even inside: noise may show, a structure may not.
    contrast[(contrast < LEAST_CONTRAST) | (deviation > 0.35 * contrast + 25.0)] = 0.0
    return np.asarray(contrast / (deviation + 5.0))


def _refine(
    flat: Float[Array, "i j"], pixel: Array, place: Array, radius: float
) -> tuple[float, float, float, float, float] | None:
    """Return centre, radius [mm], mean and surroundings [HU] of a spot by a circle through its edge; ``None`` if it is not round.

    The edge is where rays from the centre pass half the contrast. A ray that finds none, towards the face of a thin slab, is left out.
    """
    reach = np.ceil(2.1 * radius / pixel).astype(int)
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, flat.shape)
    window = flat[low[0] : high[0], low[1] : high[1]]
    centre = (place - low) * pixel
    x, y = (np.arange(n) * edge for n, edge in zip(window.shape, pixel))
    around = mean = 0.0
    for _ in range(2):
        aside, up = x[:, None] - centre[0], y[None, :] - centre[1]
        away = np.hypot(aside, up)
        ring, inside = (away > 1.3 * radius) & (away < 1.7 * radius) & (np.abs(up) < 0.9 * radius), away < 0.6 * radius
        if ring.sum() < 6 or inside.sum() < 4:
            return None
        around, mean = float(np.median(window[ring])), float(window[inside].mean())
        if abs(mean - around) < LEAST_CONTRAST:
            return None
        blur = 0.6 if window[inside].std() < 0.15 * abs(mean - around) else 1.3
        relative = (ndimage.gaussian_filter(window, blur / pixel) - around) / (mean - around)
        circle = _circle(relative, pixel, centre, radius)
        if circle is None:
            return None
        centre, radius = circle
    place = centre + low * pixel
    return float(place[0]), float(place[1]), radius, mean, around


def _circle(relative: Float[Array, "i j"], pixel: Array, centre: Array, radius: float) -> tuple[Array, float] | None:
    """Return centre and radius [mm] of the circle through the edge of a spot, or ``None`` if too little of the edge lies on one."""
    angles = np.radians(np.arange(0.0, 360.0, 360.0 / RAYS))
    ways = np.column_stack([np.cos(angles), np.sin(angles)])
    lengths = np.arange(0.3 * radius, 1.7 * radius, 0.2)
    points = (centre + lengths[:, None, None] * ways) / pixel
    values = ndimage.map_coordinates(relative, points.transpose(2, 0, 1), order=1, mode="nearest")
    outside = values < 0.5
    crossed = outside.any(axis=0) & (values[0] > 0.5)
    edge = (centre + lengths[outside.argmax(axis=0)][:, None] * ways)[crossed]
    for _ in range(3):
        if len(edge) < ON_CIRCLE * RAYS:
            return None
        design = np.column_stack([2 * edge, np.ones(len(edge))])
        solved = np.linalg.lstsq(design, (edge**2).sum(axis=1), rcond=None)[0]
        middle, found = solved[:2], float(np.sqrt(max(solved[2] + solved[:2] @ solved[:2], 0.0)))
        off = np.hypot(*(edge - middle).T) - found
        near = np.abs(off) < max(0.8, 2.5 * float(np.median(np.abs(off))))
        edge = edge[near]
    good = 3.5 < found < 24.0 and float(np.sqrt(np.mean(off[near] ** 2))) < ROUND * found and np.hypot(*(middle - centre)) < found
    return (middle, found) if good and len(edge) >= ON_CIRCLE * RAYS else None


def _to_foam(flat: Float[Array, "i j"], pixel: Array, x: float, y: float) -> float:
    """Return how far it is down to foam or air [mm]; as far as the image goes where there is none."""
    i, j = (min(max(round(at / edge), 0), count - 1) for at, edge, count in zip((x, y), pixel, flat.shape))
    half = max(1, round(2.0 / pixel[0]))
    column = flat[max(i - half, 0) : i + half + 1, j:].mean(axis=0)
    empty = np.flatnonzero(column < SOLID_HU)
    return float((empty[0] if len(empty) else len(column)) * pixel[1])


def _tracks(slabs: list[list[_Spot]], pitch: float, thick: float) -> list[Track]:
    """Link spots of successive slabs into straight rods; one slab may miss."""
    chains: list[list[_Spot]] = []
    for spots in slabs:
        free = list(spots)
        for chain in sorted(chains, key=len, reverse=True):
            last = chain[-1]
            near = [spot for spot in free if _follows(last, spot, pitch)]
            if near:
                nearest = min(near, key=lambda spot: float(np.hypot(spot.x - last.x, spot.y - last.y)))
                chain.append(nearest)
                free.remove(nearest)
        chains += [[spot] for spot in free]
    tracks = [_track(chain, thick) for chain in _joined(chains, GAP * thick) if len(chain) >= 2]
    return [track for track in tracks if track is not None]


def _joined(chains: list[list[_Spot]], gap: float) -> list[list[_Spot]]:
    """Join chains that are one rod, lost on the way by noise or gas: one after the other on one line, and alike."""
    joined: list[list[_Spot]] = []
    for chain in sorted(chains, key=lambda chain: chain[0].z):
        for other in joined:
            last, first = other[-1], chain[0]
            away = float(np.hypot(first.x - last.x, first.y - last.y))
            if 0 < first.z - last.z <= gap and away < 1.5 + LEANING * (first.z - last.z) and _alike(last, first):
                other += chain
                break
        else:
            joined.append(list(chain))
    return joined


def _follows(last: _Spot, spot: _Spot, pitch: float) -> bool:
    """Tell whether a spot can be the same rod, one or two slabs on."""
    step = spot.z - last.z
    away = float(np.hypot(spot.x - last.x, spot.y - last.y))
    return 0 < step <= 2.2 * pitch and away < 1.5 + STEEPEST * step and _alike(last, spot)


def _alike(one: _Spot, other: _Spot) -> bool:
    contrast, its = one.mean - one.around, other.mean - other.around
    return abs(other.radius / one.radius - 1.0) < 0.3 and abs(its - contrast) < max(15.0, 0.3 * abs(contrast))


def _track(chain: list[_Spot], thick: float) -> Track | None:
    z = np.array([spot.z for spot in chain])
    if z[-1] - z[0] + thick < LEAST_LENGTH_MM:
        return None
    design = np.column_stack([np.ones_like(z), z - z.mean()])
    places = np.array([(spot.x, spot.y) for spot in chain])
    line = np.linalg.lstsq(design, places, rcond=None)[0]
    off = np.sqrt(np.mean(np.sum((places - design @ line) ** 2, axis=1)))
    if off > STRAIGHT_MM or np.abs(line[1]).max() > STEEPEST:
        return None
    # Its ends may be blurred, or have lids: what it is worth is seen in its middle.
    inner = [spot for spot in chain if abs(spot.z - (z[0] + z[-1]) / 2) <= max((z[-1] - z[0]) / 4, 1e-3)] or chain
    return Track(
        middle=(float(line[0, 0]), float(line[0, 1]), float(z.mean())),
        lean=(float(line[1, 0]), float(line[1, 1])),
        ends=(float(z[0] - thick / 2), float(z[-1] + thick / 2)),
        radius=float(np.median([spot.radius for spot in chain])),
        mean=float(np.median([spot.mean for spot in inner])),
        around=float(np.median([spot.around for spot in inner])),
        below=float(np.median([spot.below for spot in chain])),
    )
