"""The heights that each vertebra had before a fracture, from its level's proportions and from the other vertebrae of the person.

A fracture lowers heights and never raises them. So each height of each vertebra, over the average adult's, is taken as one of three::

      fractured          sound           too high: a label that runs into a disc
    ────────────────────▁▂▅█▅▂▁──────────────────────▶  log(height / table)
      anywhere below     about one value, common to this person's vertebrae

The common value is the most probable one; consecutive fractures do not move it, as long as some vertebrae are sound, because they lie on one side of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..records import Array
from .proportions import LEVELS, proportions

PLACES = ("anterior", "middle", "posterior")
SPREAD = 0.05
"""By which sound vertebrae of one person differ from the table's proportions, one standard deviation [-]: 0.05 are the deviations of front
over back height in 120 healthy volunteers at T11 and T12, abstract seen; taken for all [D]."""
SHARES = (0.80, 0.17, 0.03)
"""Of sound, fractured and too high places before anything is seen [D]."""
RANGE = 0.7
"""Log heights over which fractured and too high places are spread evenly: a loss of half [D]."""
SIZE_SPREAD = 0.15
"""By which the size of a person's heights differs from that of the depths [-] [D]: weak, so that several vertebrae outweigh it."""
SHAPE_SPREAD = 0.04
"""By which a person's front and middle heights over the back height differ from the table's at all levels alike [-] [D]."""
NEAR = 2.0
"""Levels over which neighbours count more than the rest of the spine, standard deviation of a Gaussian [D]."""
FRACTURED, LOST_TOO = 0.20, 0.5
"""Where a body has lost so much at one place, its rims are taken to have lost this share of what they are lower than usual [-] [D]: an endplate does
not break in one place alone."""
WHOLE_SPINE = 0.3
"""Weight of the whole spine's size beside one sound neighbour's [D]."""


@dataclass(frozen=True)
class Body:
    """What a vertebral body shows."""

    heights: Mapping[str, float]
    """By place [mm]."""
    depth: float
    """[mm]"""
    noise: float
    """One standard deviation of a height, from the voxels [mm]."""


@dataclass(frozen=True)
class Expected:
    """What a body's heights were."""

    heights: Mapping[str, float]
    """By place [mm]."""
    spread: float
    """One standard deviation of them over themselves [-]."""
    compared: tuple[str, ...]
    """Sound vertebrae that its back height was held against, nearest first."""


def expected_heights(bodies: Mapping[str, Body], sex: Literal["F", "M"] | None) -> dict[str, Expected]:
    """Return what the heights of each body were, nothing of none; of a single body the back height is taken as it is."""
    levels = [level for level in LEVELS if level in bodies]
    if not levels:
        return {}
    table = {level: proportions(level, sex) for level in levels}
    noise = np.array([SPREAD**2 + (bodies[level].noise / bodies[level].heights["posterior"]) ** 2 for level in levels]) ** 0.5
    logs = {place: np.log([bodies[level].heights[place] for level in levels]) for place in PLACES}
    size = logs["posterior"] - np.log([table[level].posterior for level in levels])
    frame = float(np.median([np.log(bodies[level].depth / table[level].depth) for level in levels]))
    common, sound = _common(size, noise, frame, SIZE_SPREAD)
    ratios = {
        "anterior": np.log([table[level].anterior_ratio for level in levels]),
        "middle": np.log([table[level].middle_ratio / ((1 + table[level].anterior_ratio) / 2) for level in levels]),
    }
    front, _ = _common(logs["anterior"] - logs["posterior"] - ratios["anterior"], noise, 0.0, SHAPE_SPREAD)
    ends = np.log((np.exp(logs["anterior"]) + np.exp(logs["posterior"])) / 2)
    hollow, _ = _common(logs["middle"] - ends - ratios["middle"], noise, 0.0, SHAPE_SPREAD)
    found = {}
    for number, level in enumerate(levels):
        others, compared = float(size[number]), tuple[str, ...]()
        if len(levels) > 1:
            others, compared = _of_others(number, levels, size, sound, common)
        shape = float(ratios["anterior"][number] + front), float(ratios["middle"][number] + hollow)
        seen, usual = bodies[level].heights, float(np.exp(others)) * table[level].posterior
        heights = _before(seen, usual, shape, float(noise[number]), 1.0)
        if any(seen[place] < (1.0 - FRACTURED) * heights[place] for place in PLACES):
            heights = _before(seen, usual, shape, float(noise[number]), 1.0 - LOST_TOO)
        found[level] = Expected(heights, float(noise[number]), compared)
    return found


def _before(seen: Mapping[str, float], usual: float, shape: tuple[float, float], noise: float, belief: float) -> dict[str, float]:
    """Return what the heights of a body were.

    Parameters
    ----------
    usual
        Back height as the other vertebrae have it [mm].
    shape
        Logarithms of front over back, and of middle over the mean of both.
    belief
        How far a rim that is lower than usual, and probably sound, is taken as it is.
    """
    back = _rim(seen["posterior"], usual, noise, belief)
    front = back * float(np.exp(shape[0]))
    # the middle lies between front and back: where the body's own front is sound, it says better than the level where that is
    middle = (_rim(seen["anterior"], front, noise, belief) + back) / 2 * float(np.exp(shape[1]))
    return {"anterior": front, "middle": middle, "posterior": back}


def _rim(height: float, usual: float, noise: float, belief: float) -> float:
    """Return what a rim's height was: sound, or higher than usual, the body itself says it best."""
    off = float(np.log(height / usual))
    sound = 1.0 - float(_chances(np.array([off]), np.array([noise]), 0.0)[1, 0])
    return usual * float(np.exp(off * sound * (belief if off < 0 else 1.0)))


def _of_others(
    number: int, levels: list[str], size: Float[Array, " n"], sound: Float[Array, " n"], common: float
) -> tuple[float, tuple[str, ...]]:
    """Return a vertebra's size from the sound ones about it, and which these are, nearest first."""
    away = np.array([abs(LEVELS.index(level) - LEVELS.index(levels[number])) for level in levels])
    weight = sound * np.exp(-0.5 * (away / NEAR) ** 2) * (away > 0)
    mean = float((weight @ size + WHOLE_SPINE * common) / (weight.sum() + WHOLE_SPINE))
    near = [n for n in np.argsort(away, kind="stable") if away[n] > 0 and sound[n] > 0.5][:2]
    return mean, tuple(levels[n] for n in near)


def _chances(values: Float[Array, " n"], noise: Float[Array, " n"], centre: float) -> Float[Array, "3 n"]:
    """Return the chances of being sound, fractured and too high, by value."""
    off = values - centre
    normal = np.exp(-0.5 * (off / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
    flat = np.full_like(off, 1.0 / RANGE)
    parts = np.stack([SHARES[0] * normal, SHARES[1] * flat * (off < 0), SHARES[2] * flat * (off >= 0)])
    return np.asarray(parts / parts.sum(axis=0))


def _common(
    values: Float[Array, " n"], noise: Float[Array, " n"], prior: float, spread: float
) -> tuple[float, Float[Array, " n"]]:
    """Return the value that the sound ones have in common, and the chance of each to be sound."""
    grid = prior + spread * np.linspace(-4.0, 4.0, 401)
    off = values[None, :] - grid[:, None]
    normal = np.exp(-0.5 * (off / noise) ** 2) / (noise * np.sqrt(2 * np.pi))
    density = SHARES[0] * normal + np.where(off < 0, SHARES[1], SHARES[2]) / RANGE
    centre = float(grid[np.argmax(np.log(density).sum(axis=1) - 0.5 * ((grid - prior) / spread) ** 2)])
    return centre, _chances(values, noise, centre)[0]
