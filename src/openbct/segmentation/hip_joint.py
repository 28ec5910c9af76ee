"""Femoral heads: balls of bone in a bowl, found by their surface's gradients, which meet in the centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..volume import Volume, to_patient
from .workgrid import coarse

Array = np.ndarray

GRID = 3.0
"""Edge of the voxels in which heads are looked for [mm] [D]."""
RADII = np.arange(19.0, 32.1, 1.5)
"""Radii of heads that are looked for [mm]: adults have 20 to 30 [R]; a shaft has about 15."""
CLIPPED = (-50.0, 350.0)
"""What lies beyond counts as this [HU]: metal, cortex and fat would outvote everything [D]."""
LEAST_SLOPE = 8.0
"""Gradient from which a voxel has a vote [HU/mm] [D]."""
LOOKED_AT, MOVED = 40, 12
"""Places with many votes that are looked at, and the best of them that are then looked for nearby [D]."""
FULL_SLOPE = 100.0
"""Fall of HU across a surface that counts in full [HU] [D]."""
SOFT_BELOW, BONE_ABOVE = 150.0, 300.0
"""What lies outside a surface is soft tissue below the one and bone above the other [HU] [D]."""


@dataclass(frozen=True)
class HeadSeed:
    """A place where a head may be."""

    centre: Float[Array, "3"]
    """Patient LPS [mm]."""
    radius: float
    """[mm]"""
    ball: float
    """How much of the sphere's surface is an edge of bone that faces outwards, 0 to 1."""
    bowl: float
    """How much of what lies above and medial is bone again a few millimetres farther out, 0 to 1."""

    @property
    def score(self) -> float:
        """How much this looks like a hip joint, 0 to 1."""
        return float(np.sqrt(self.ball * self.bowl))


def find_heads(image: Volume, most: int = 8) -> list[HeadSeed]:
    """Return places where femoral heads may be, best first.

    Parameters
    ----------
    image
        Any scan [HU].
    most
        Candidates at most; a pelvis has two heads, but knees, shoulders and vertebrae have round parts as well.
    """
    grid = coarse(image, GRID)
    if min(grid.shape) < 8:
        return []
    smooth = ndimage.gaussian_filter(np.clip(grid.array, *CLIPPED), 0.7)
    votes = _votes(smooth)
    peaks = np.argwhere((votes == ndimage.maximum_filter(votes, 5)) & (votes > 0.25 * votes.max()))
    order = np.argsort(-votes[tuple(peaks.T)])[:LOOKED_AT]
    rays = directions(150)
    first = sorted(peaks[order].tolist(), key=lambda peak: -_shares(smooth, np.array(peak, dtype=float), rays)[0])
    looked = [_look(smooth, np.array(peak, dtype=float), rays) for peak in first[:MOVED]]
    seeds: list[HeadSeed] = []
    for centre, radius, ball, bowl in sorted(looked, key=lambda one: -one[2] * one[3]):
        place = to_patient(grid.affine, centre)
        if all(np.linalg.norm(place - other.centre) > 25.0 for other in seeds):
            seeds.append(HeadSeed(place, radius, ball, bowl))
    return seeds[:most]


def directions(count: int) -> Float[Array, "n 3"]:
    """Return unit vectors spread evenly over the sphere (a Fibonacci lattice)."""
    n = np.arange(count) + 0.5
    z = 1 - 2 * n / count
    turn = np.pi * (1 + 5**0.5) * n
    flat = np.sqrt(1 - z * z)
    return np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])


def _votes(smooth: Float[Array, "i j k"]) -> Float[Array, "i j k"]:
    """Return for each voxel the largest share of a sphere around it that votes for it, up to a factor."""
    gradient = np.stack([np.asarray(g, dtype=np.float32) / GRID for g in np.gradient(smooth)])
    slope = np.sqrt((gradient**2).sum(axis=0))
    voters = np.argwhere(slope > LEAST_SLOPE)
    unit = (gradient[:, *voters.T] / slope[tuple(voters.T)]).T
    best = np.zeros(smooth.shape, dtype=np.float32)
    for radius in RADII:
        index = np.rint(voters + unit * (radius / GRID)).astype(np.int64)
        inside = np.all((index >= 0) & (index < smooth.shape), axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), smooth.shape)
        count = np.bincount(flat, minlength=smooth.size).reshape(smooth.shape).astype(np.float32)
        share = ndimage.gaussian_filter(count, 1.2) / np.float32((radius / GRID) ** 2)
        best = np.maximum(best, share)
    return best


def _look(
    smooth: Float[Array, "i j k"], centre: Float[Array, "3"], rays: Float[Array, "n 3"]
) -> tuple[Array, float, float, float]:
    """Return the best sphere near a place: centre (index), radius [mm], and its two shares."""
    steps = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)], dtype=float)
    best = (-1.0, 0.0, 0.0, 0.0)
    for size in (1.0, 0.7):
        tried = [(*_shares(smooth, centre + size * step, rays), centre + size * step) for step in steps]
        score, found, ball, bowl, place = max(tried, key=lambda one: one[0])
        if score > best[0]:
            best, centre = (score, found, ball, bowl), place
    return centre, best[1], best[2], best[3]


def _shares(
    smooth: Float[Array, "i j k"], centre: Float[Array, "3"], rays: Float[Array, "n 3"]
) -> tuple[float, float, float, float]:
    """Return score, radius [mm], ball and bowl of the best sphere around a place."""
    at = np.arange(RADII[0] - 4.5, RADII[-1] + 13.6, 1.5)
    points = centre[:, None, None] + rays.T[:, :, None] * (at / GRID)
    profile = ndimage.map_coordinates(smooth, points, order=1, mode="constant", cval=CLIPPED[0])
    best = (-1.0, 0.0, 0.0, 0.0)
    up = rays[:, 2] > 0.2
    for radius in RADII:
        n = round((radius - at[0]) / 1.5)
        # inside against outside, over 4.5 mm each: the surface need not be a perfect sphere
        outside = profile[:, n + 1 : n + 3].min(axis=1)
        drop = profile[:, n - 2 : n + 1].max(axis=1) - outside
        ball = np.clip(drop / FULL_SLOPE, 0, 1) * np.clip((BONE_ABOVE - outside) / (BONE_ABOVE - SOFT_BELOW), 0, 1)
        rise = profile[:, n + 2 : n + 8].max(axis=1) - profile[:, n : n + 3].min(axis=1)
        bowl = np.clip(rise / FULL_SLOPE, 0, 1) * ball
        one = (float(np.mean(ball) * np.mean(bowl[up])), float(radius), float(ball.mean()), float(bowl[up].mean()))
        best = max(best, one)
    return best
