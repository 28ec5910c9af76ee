"""Where the image has an endplate, to a fraction of a slice.

A mask tells a surface to within half a voxel; the image tells more, because a voxel that a surface crosses holds a share of both sides. Along the
rulings of an outline the density is taken as::

      inside ▔▔▔▔▔╲╱╲ line      v(d) = outside + (inside - outside) F(d) + line f(d - half a plate)
                     ╲
      outside         ▁▁▁▁▁     d: depth below the surface; f: a box as thick as the voxel along the ruling, blurred; F: its integral
             ───────|──────▶

and levels, line and surface, a polygon, are fitted to the voxels of the mid-sagittal third by least squares: so thick slices are taken for what they
are. The polygon starts at the mask's and moves no farther from it than a mask that is right can be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

from ..records import Array
from ..volume import Volume, to_patient
from .sagittal_outline import Outline

KNOT = 1.6
"""Distance of the corners of the polygon [mm] [D]."""
BLUR = 0.6
"""Of the image beside the voxels', one standard deviation [mm] [D]: that of a soft to medium kernel."""
PLATEAU = 0.5
"""Part of a slice over which its profile is level; the rest of its variance is blur [-] [D]. Within a box an endplate that lies level could be anywhere; so
it is drawn to the middle of the slice that is bright."""
PLATE = 0.25
"""From the surface to the middle of the bony endplate [mm] [R]."""
REACH, REACH_SLICES = 3.0, 1.6
"""How far into the body voxels count: this and so many voxel edges along the rulings [mm], [-] [D]..."""
HALF = 0.45
"""...but no farther than this share of the body's height there [-] [D]."""
BESIDE, BESIDE_SLICES = 1.5, 0.2
"""How far into the disc they count [mm], [-]: behind it lies the next body [D]."""
ODD = 1.5
"""Deviations from the fit, over the usual one, from which a voxel counts less [-] [D]."""
ROOM, ROOM_SLICES = 0.5, 0.6
"""How far the surface may move: this and so many voxel edges along the rulings [mm], [-] [D]; a mask that is right is right to half a voxel."""
STIFF = 2.0
"""Weight, against the noise of the image, of a polygon that is straight [1/mm] [D]..."""
TRUST = 0.5
"""...and of one that stays, over its room [-] [D]."""
MEDIAN_OF_NORMAL = 0.6745
"""Median of the absolute of a normal deviation of one."""
ROUNDS, BELIEVED = 12, 4
"""Rounds of the fit, and after how many what is odd counts less: an endplate away from the mask's edge is odd at first [D]."""
SETTLED = 0.01
"""Most that the last round may move a corner [mm]."""


@dataclass(frozen=True)
class _Voxels:
    """Of the mid-sagittal third about an endplate."""

    along: Float[Array, " m"]
    """Place along the endplate [mm]."""
    out: Float[Array, " m"]
    """Height outwards [mm]."""
    value: Float[Array, " m"]


@dataclass(frozen=True)
class _Blur:
    """Of the image, about an endplate."""

    voxel: float
    """Extent of a voxel along the rulings [mm]."""
    box: float
    """Part of it over which the profile of a slice is level [mm]."""
    flat: float
    """Deviation of what blurs a level surface beside it [mm]..."""
    steep: float
    """...and what a surface with a slope of one is blurred by more [mm]."""


def on_edge(outline: Outline, density: Volume) -> tuple[Float[Array, "n 2"], Float[Array, "n 2"]]:
    """Return the upper and the lower endplate of an outline where the image has them, in the frame's millimetres (y, z)."""
    ruling = (outline.upper - outline.lower).mean(axis=0)
    out = ruling / np.linalg.norm(ruling)
    height = (outline.upper - outline.lower) @ out
    return _moved(outline, density, outline.upper, height, out), _moved(outline, density, outline.lower, height, -out)


def _moved(
    outline: Outline, density: Volume, curve: Float[Array, "n 2"], height: Float[Array, " n"], out: Float[Array, "2"]
) -> Float[Array, "n 2"]:
    """Return one endplate moved along the outward direction; ``height`` is that of the body below or above it."""
    along = np.array([out[1], -out[0]]) * np.sign(out[1])
    place, level = curve @ along, curve @ out
    blur = _blur(density, outline.frame.axes[:, 1:] @ out, outline.frame.axes[:, 1:] @ along)
    knots = np.linspace(place[0], place[-1], max(round(float(np.ptp(place)) / KNOT), 3) + 1)
    if np.any(np.diff(place) <= 0):
        return curve
    start, *_ = np.linalg.lstsq(_hats(place, knots), level, rcond=None)
    voxels = _voxels(outline, density, along, out, (place[0], place[-1]))
    depth = np.interp(voxels.along, knots, start) - voxels.out
    deepest = np.minimum(REACH + REACH_SLICES * blur.voxel, HALF * np.interp(voxels.along, place, height))
    near = (depth >= -BESIDE - BESIDE_SLICES * blur.voxel) & (depth <= deepest)
    if near.sum() < 4 * len(knots):
        return curve
    voxels = _Voxels(voxels.along[near], voxels.out[near], voxels.value[near])
    found = _fitted(voxels, knots, start, blur)
    return np.asarray(place[:, None] * along + np.interp(place, knots, found)[:, None] * out)


def _blur(density: Volume, out: Float[Array, "3"], along: Float[Array, "3"]) -> _Blur:
    """Return the blur about an endplate; its axes in patient LPS."""
    edges = [np.abs(density.spacing * ((density.affine[:3, :3] / density.spacing).T @ way)) for way in (out, along)]
    thick = int(edges[0].argmax())
    aside = np.delete(edges[0], thick)
    box = PLATEAU * float(edges[0][thick])
    flat = BLUR**2 + ((aside**2).sum() + edges[0][thick] ** 2 - box**2) / 12
    return _Blur(float(edges[0][thick]), box, float(np.sqrt(flat)), float(np.sqrt(BLUR**2 + (edges[1] ** 2).sum() / 12)))


def _voxels(
    outline: Outline, density: Volume, along: Float[Array, "2"], out: Float[Array, "2"], ends: tuple[float, float]
) -> _Voxels:
    """Return the voxels of the mid-sagittal third between both ends of an endplate."""
    frame = outline.frame
    index = np.stack(np.meshgrid(*(np.arange(n) for n in density.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    local = (to_patient(density.affine, index.astype(float)) - frame.origin) @ frame.axes
    s = local[:, 1:] @ along
    kept = (np.abs(local[:, 0] - outline.x) <= outline.half_width) & (s > ends[0]) & (s < ends[1])
    return _Voxels(s[kept], local[kept, 1:] @ out, density.array.reshape(-1)[kept].astype(float))


def _fitted(voxels: _Voxels, knots: Float[Array, " k"], start: Float[Array, " k"], blur: _Blur) -> Float[Array, " k"]:
    """Return the height of the surface at each knot [mm]."""
    room = ROOM + ROOM_SLICES * blur.voxel
    weights = _hats(voxels.along, knots)
    bend = STIFF * np.diff(np.eye(len(knots)), 2, axis=0)
    stay = TRUST / room * np.eye(len(knots))
    height = start.copy()
    trust = np.ones_like(voxels.value)
    for number in range(ROUNDS):
        depth = weights @ height - voxels.out
        slope = weights @ np.gradient(height, knots)
        spread = np.hypot(blur.flat, slope * blur.steep)
        inside, edge = _integral(depth, blur.box, spread), _box(depth, blur.box, spread)
        longer = np.hypot(1.0, slope)
        middle = depth - PLATE * longer
        line = longer * _box(middle, blur.box, spread)
        base = np.column_stack([np.ones_like(depth), inside, line])
        levels = _levels(base, voxels.value, trust)
        rest = voxels.value - base @ levels
        noise = max(float(np.median(np.abs(rest))) / MEDIAN_OF_NORMAL, 1e-6)
        if number >= BELIEVED:
            trust = np.sqrt(np.minimum(1.0, ODD * noise / np.maximum(np.abs(rest), 1e-6)))
        steep = levels[1] * edge + levels[2] * longer * _change(middle, blur.box, spread)
        left = np.concatenate([weights * (trust * steep / noise)[:, None], stay, bend])
        right = np.concatenate([trust * rest / noise, -stay @ (height - start), -bend @ height])
        step, *_ = np.linalg.lstsq(left, right, rcond=None)
        before = height
        height = np.clip(height + np.clip(step, -0.4 * blur.voxel - 0.3, 0.4 * blur.voxel + 0.3), start - room, start + room)
        if number > BELIEVED and float(np.abs(height - before).max()) < SETTLED:
            break
    return height


def _levels(base: Float[Array, "m 3"], values: Float[Array, " m"], trust: Float[Array, " m"]) -> Float[Array, "3"]:
    """Return outside, inside less outside, and line, which is no hollow."""
    levels, *_ = np.linalg.lstsq(base * trust[:, None], values * trust, rcond=None)
    if levels[2] < 0.0:
        two, *_ = np.linalg.lstsq(base[:, :2] * trust[:, None], values * trust, rcond=None)
        levels = np.array([two[0], two[1], 0.0])
    return np.asarray(levels)


def _integral(d: Float[Array, " m"], box: float, spread: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return the share of a blurred box that lies below a surface, its middle at depth ``d``."""

    def under(u: Array) -> Array:
        return np.asarray(u * special.ndtr(u / spread) + spread * _normal(u / spread))

    return np.asarray((under(d + box / 2) - under(d - box / 2)) / box)


def _box(d: Float[Array, " m"], box: float, spread: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return how dense a blurred box is at ``d`` from its middle [1/mm]."""
    return np.asarray((special.ndtr((d + box / 2) / spread) - special.ndtr((d - box / 2) / spread)) / box)


def _change(d: Float[Array, " m"], box: float, spread: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return the derivative of :func:`_box` [1/mm²]."""
    return np.asarray((_normal((d + box / 2) / spread) - _normal((d - box / 2) / spread)) / (box * spread))


def _normal(u: Float[Array, " m"]) -> Float[Array, " m"]:
    return np.asarray(np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi))


def _hats(s: Float[Array, " m"], knots: Float[Array, " k"]) -> Float[Array, "m k"]:
    """Return the weights with which values at knots are interpolated at places."""
    return np.stack([np.interp(s, knots, row) for row in np.eye(len(knots))], axis=1)
