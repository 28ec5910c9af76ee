"""Thickness of the cortical shell, point by point on a bone's surface, from the density along its normals.

A clinical CT does not show a shell of half a millimetre: it shows its mass, spread over the blur. Three densities in a row, soft tissue,
cortex and what lies inside, are blurred and fitted to each profile; the cortex's own density is held fixed, because a thin shell tells
its mass alone (the idea is that of Treece et al., Med Image Anal 14:276, 2010, recalled)::

      density                ______ cortex
                            /      \\
                           /        `------- inside
      soft tissue  -------'
                    -3    0    t            depth under the surface, mm
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, spatial, special

from ..records import Array, Reference
from ..volume import Volume, to_index, to_patient

TREECE = Reference(
    "Treece GM et al., Med Image Anal 14:276 (2010): cortical thickness from blurred profiles, the cortex's density held fixed",
    "recalled",
)
DEPTHS = np.arange(-3.0, 8.01, 0.5)
"""Where a profile is read, from the label's surface inwards [mm] [D]."""
THICKNESSES = np.concatenate([np.arange(0.1, 2.0, 0.1), np.arange(2.0, 6.01, 0.25)])
OFFSETS = np.arange(-1.5, 1.51, 0.25)
"""Thicknesses tried, and places of the true surface from the label's [mm] [D]."""
BLURS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8)
"""Deviations of the blur tried; one holds for all of a bone [mm] [D]."""
MOST = 2000
"""Points of the surface that are measured, about [D]."""
PROBED = 400
"""Of them, those that choose the blur [D]."""
NEIGHBOUR = 250.0
"""Density outside the bone from which another bone is too near to measure [mg/cm3] [D]."""
RESOLVED = 2.0
"""A shell of this many deviations of the blur shows its own density; below, only its mass is known [D]."""
DENSITIES = (700.0, 1300.0)
"""Range of the cortex's density [mg/cm3] [D]: 1448 is the densest voxel of a public femur [C]."""
ASSUMED = 1000.0
"""Density of a cortex that is nowhere thick enough to show its own [mg/cm3] [D]."""
DENSEST = 98.0
"""Percentile of a femur's density that stands for its cortex: the shaft holds a tenth of the bone as thick cortex [D]."""

CHUNK = 512
"""Profiles fitted at a time, which bounds the memory [D]."""


@dataclass(frozen=True)
class Shell:
    """A cortex, point by point."""

    points: Float[Array, "n 3"]
    """On the label's surface, patient LPS [mm]."""
    inwards: Float[Array, "n 3"]
    """Unit vectors into the bone, patient LPS."""
    thickness: Float[Array, " n"]
    """[mm]; NaN where another bone is too near."""
    density: float
    """That the cortex was held to have [mg/cm3]."""
    blur: float
    """Standard deviation that fits the profiles best [mm]."""

    def mean(self, where: Bool[Array, " n"] | None = None) -> tuple[float, float, int]:
        """Return the mean thickness [mm], the share of it that is resolved [-], and the number of points; NaN where there is none."""
        chosen = self.thickness if where is None else self.thickness[where]
        chosen = chosen[np.isfinite(chosen)]
        if len(chosen) == 0:
            return float("nan"), float("nan"), 0
        return float(chosen.mean()), float((chosen >= RESOLVED * self.blur).mean()), len(chosen)


def measure_shell(mask: Volume, density: Volume, cortical: float) -> Shell:
    """Return the thickness of the cortex over a bone's surface.

    Parameters
    ----------
    mask
        The bone, boolean.
    density
        On the same grid, with some soft tissue around the bone [mg/cm3].
    cortical
        Density that the cortex is held to have [mg/cm3]; the thickness goes with its inverse.
    """
    points, inwards = surface(mask)
    index = to_index(density.affine, points[:, None, :] + DEPTHS[:, None] * inwards[:, None, :])
    profiles = ndimage.map_coordinates(density.array.astype(np.float32), index.reshape(-1, 3).T, order=1, mode="nearest").reshape(
        len(points), len(DEPTHS)
    )
    clear = profiles[:, DEPTHS <= -2.0].max(axis=1, initial=-np.inf) < NEIGHBOUR
    thickness = np.full(len(points), np.nan)
    if not clear.any():
        return Shell(points, inwards, thickness, cortical, float("nan"))
    clean = profiles[clear]
    probed = clean[:: max(1, len(clean) // PROBED)]
    blur = _best_blur(probed, cortical)
    thickness[clear] = _fit(clean, cortical, blur)[0]
    return Shell(points, inwards, thickness, cortical, blur)


def _best_blur(profiles: Float[Array, "n d"], cortical: float) -> float:
    """Return the blur with the smallest median misfit [mm], between those tried by a parabola.

    The median: a profile through a vessel or a neighbour must not choose.
    """
    misfits = np.array([float(np.median(_fit(profiles, cortical, blur)[1])) for blur in BLURS])
    best = int(np.argmin(misfits))
    if best in (0, len(BLURS) - 1):
        return BLURS[best]
    curve = np.polyfit(BLURS[best - 1 : best + 2], misfits[best - 1 : best + 2], 2)
    return float(-curve[1] / (2.0 * curve[0])) if curve[0] > 0.0 else BLURS[best]


def surface(mask: Volume) -> tuple[Float[Array, "n 3"], Float[Array, "n 3"]]:
    """Return points on the surface of a mask, patient LPS [mm], and unit vectors into it; on a cut by the box there are none."""
    spacing = mask.spacing
    inside = np.pad(mask.array, 1, mode="edge")  # the image's border is no surface
    field = ndimage.gaussian_filter(inside.astype(np.float32), 1.0 / spacing)
    rim = inside & ~ndimage.binary_erosion(inside, border_value=1)
    rim[[0, -1]] = rim[:, [0, -1]] = rim[:, :, [0, -1]] = False
    index = np.argwhere(rim)
    index = index[:: max(1, len(index) // MOST)]
    if len(index) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    slopes = [np.gradient(field, axis=axis)[tuple(index.T)] / spacing[axis] for axis in range(3)]
    gradient = np.stack(slopes, axis=1)
    steep = np.maximum(np.linalg.norm(gradient, axis=1), 1e-6)
    inwards = gradient / steep[:, None]
    away = np.clip((0.5 - field[tuple(index.T)]) / steep, -1.5, 1.5)
    place = (index - 1) * spacing + away[:, None] * inwards
    turn = mask.affine[:3, :3] / spacing
    return to_patient(mask.affine, place / spacing), np.asarray(inwards @ turn.T)


def shell_mask(mask: Volume, shell: Shell) -> Bool[Array, "i j k"]:
    """Return the voxels of the bone that lie in its cortex: no deeper under the surface than the cortex is thick there, and at least the
    surface's own voxels, which hold a thinner shell together with what lies beside it."""
    known = np.isfinite(shell.thickness)
    depth = ndimage.distance_transform_edt(np.pad(mask.array, 1, mode="edge"), sampling=mask.spacing)[1:-1, 1:-1, 1:-1]
    # the distance is to the nearest outer voxel's centre: the surface lies half a voxel nearer
    depth = depth - float(mask.spacing.max()) / 2
    index = np.argwhere(mask.array)
    nearest = _nearest_values(shell, known, to_patient(mask.affine, index.astype(float)))
    inside = depth[tuple(index.T)] <= np.maximum(nearest, 0.51 * float(mask.spacing.max()))
    found = np.zeros(mask.shape, dtype=bool)
    found[tuple(index[inside].T)] = True
    return found


def _nearest_values(shell: Shell, known: Bool[Array, " n"], points: Float[Array, "m 3"]) -> Float[Array, " m"]:
    """Return the thickness at the measured points that are nearest [mm]."""
    if not known.any() or len(points) == 0:
        return np.zeros(len(points))
    _, nearest = spatial.cKDTree(shell.points[known]).query(points)
    return np.asarray(shell.thickness[known][nearest])


def _fit(profiles: Float[Array, "n d"], cortical: float, blur: float) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Return the thickness of each profile's cortex [mm] and the mean square of its misfit, for one blur.

    Thickness and place of the surface are tried on a grid; for each pair the densities outside and inside follow by least squares.
    """
    pairs = np.array([(offset, offset + thickness) for thickness in THICKNESSES for offset in OFFSETS])
    outer, inner = (special.ndtr((DEPTHS - edge[:, None]) / blur) for edge in pairs.T)
    span = np.linalg.qr(np.stack([1.0 - outer, inner], axis=-1))[0]
    target = cortical * (outer - inner)
    along = np.einsum("kd,kdm->km", target, span)
    chosen, best = np.zeros(len(profiles)), np.zeros(len(profiles))
    for begin in range(0, len(profiles), CHUNK):
        some = profiles[begin : begin + CHUNK].astype(float)
        square = (some**2).sum(axis=1)[:, None] - 2.0 * some @ target.T + (target**2).sum(axis=1)
        misfit = square - ((np.tensordot(some, span, axes=(1, 1)) - along) ** 2).sum(axis=-1)
        least = misfit.argmin(axis=1)
        chosen[begin : begin + CHUNK] = (pairs[:, 1] - pairs[:, 0])[least]
        best[begin : begin + CHUNK] = misfit[np.arange(len(some)), least] / len(DEPTHS)
    return chosen, best
