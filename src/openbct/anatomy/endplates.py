"""The two endplates of a vertebral body, read off its mask: where they lie, how they are inclined, how far apart they are.

The body is sampled as columns along a trial axis; planes fitted to the ends of the central columns give the next axis::

          z superior
          │   ___upper(x, y)___
          │  (                 )     height(x, y) = upper - lower
          │   )   columns     (      central columns: the innermost share of the footprint by area
          │  (___lower(x, y)___)
          └────────── x left, y posterior
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..records import Array, Frame
from ..volume import Volume, resample, to_index, to_patient

FIT_SHARE = 0.6
"""Innermost share of the footprint that the endplate planes are fitted to [D; fe-methods recipe]."""
HEIGHT_SHARE = 0.5
"""Innermost share of the footprint over which the endplate distance is averaged [D; fe-methods recipe]."""
COLUMN_STEP = 1.0
"""Distance between columns [mm] [D]."""
HEIGHT_STEP = 0.5
"""Sampling along a column [mm]; its ends are interpolated in between [D]."""
SETTLED_DEG = 0.1
MAX_ROUNDS = 12
"""The axis is refined until it moves less than ``SETTLED_DEG``, at most ``MAX_ROUNDS`` times [D]."""


@dataclass(frozen=True)
class Columns:
    """A body as columns along the z axis of a frame, in that frame's millimetres."""

    x: Float[Array, " nx"]
    y: Float[Array, " ny"]
    lower: Float[Array, "nx ny"]
    """Height of the lower end [mm]; NaN beside the body."""
    upper: Float[Array, "nx ny"]

    @property
    def footprint(self) -> Bool[Array, "nx ny"]:
        """Columns that hold bone."""
        return np.asarray(np.isfinite(self.upper))


@dataclass(frozen=True)
class Endplates:
    """Both endplates and the frame that they define."""

    frame: Frame
    columns: Columns
    superior_normal: Float[Array, "3"]
    inferior_normal: Float[Array, "3"]
    """Unit normals in patient LPS, both pointing superior."""

    @property
    def wedge_deg(self) -> float:
        """Angle between the endplates [degrees]."""
        cosine = float(np.clip(self.superior_normal @ self.inferior_normal, -1.0, 1.0))
        return float(np.degrees(np.arccos(cosine)))


def orthonormal(superior: Float[Array, "3"], left: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Return right-handed axes (columns x left, y posterior, z superior) with z exact and x as near to ``left`` as can be."""
    z = superior / np.linalg.norm(superior)
    x = left - (left @ z) * z
    x = x / np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])


def padded(mask: Volume, n: int = 1) -> Volume:
    """Return a mask with ``n`` empty voxels on every side, so that interpolation sees where it ends."""
    affine = mask.affine.copy()
    affine[:3, 3] = to_patient(mask.affine, np.full(3, -float(n)))
    return Volume(np.pad(mask.array, n), affine, mask.unit)


def points_of(mask: Volume) -> Float[Array, "n 3"]:
    """Return the centres of a mask's voxels in patient LPS [mm]."""
    return to_patient(mask.affine, np.argwhere(mask.array).astype(float))


def points_in(mask: Volume, frame: Frame) -> Float[Array, "n 3"]:
    """Return the centres of a mask's voxels in a frame [mm]."""
    return np.asarray((points_of(mask) - frame.origin) @ frame.axes)


def sample_columns(mask: Volume, frame: Frame) -> Columns:
    """Return the body as columns along the frame's z axis; the 0/1 field, empty at its border, is interpolated and cut at one half."""
    local = points_in(mask, frame)
    reach = float(mask.spacing.max()) + COLUMN_STEP
    low, high = local.min(axis=0) - reach, local.max(axis=0) + reach
    steps = np.array([COLUMN_STEP, COLUMN_STEP, HEIGHT_STEP])
    shape = np.ceil((high - low) / steps).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = frame.axes * steps
    affine[:3, 3] = frame.origin + frame.axes @ low
    share = resample(mask, shape.tolist(), affine, order=1).array
    footprint = (share >= 0.5).any(axis=2)
    return Columns(
        x=low[0] + np.arange(shape[0]) * COLUMN_STEP,
        y=low[1] + np.arange(shape[1]) * COLUMN_STEP,
        lower=np.where(footprint, low[2] + (shape[2] - 1 - _last_crossing(share[:, :, ::-1])) * HEIGHT_STEP, np.nan),
        upper=np.where(footprint, low[2] + _last_crossing(share) * HEIGHT_STEP, np.nan),
    )


def _last_crossing(share: Float[Array, "nx ny nz"]) -> Float[Array, "nx ny"]:
    """Return the fractional index where each column falls below one half for the last time; 0 where it never reaches it."""
    n = share.shape[2]
    inside = share >= 0.5
    last = np.where(inside.any(axis=2), n - 1 - np.argmax(inside[:, :, ::-1], axis=2), 0)
    here = np.take_along_axis(share, last[:, :, None], axis=2)[:, :, 0]
    after = np.take_along_axis(share, np.minimum(last + 1, n - 1)[:, :, None], axis=2)[:, :, 0]
    return np.asarray(last + (here - 0.5) / np.maximum(here - after, 1e-6))


def central(footprint: Bool[Array, "nx ny"], share: float) -> Bool[Array, "nx ny"]:
    """Return the innermost ``share`` of a footprint by area: the columns farthest from its outline."""
    depth = ndimage.distance_transform_edt(np.pad(ndimage.binary_fill_holes(footprint), 1))[1:-1, 1:-1]
    depth = np.where(footprint, depth, 0.0)
    inside = depth[footprint]
    return np.asarray(footprint & (depth >= np.quantile(inside, 1.0 - share)))


def fit_endplates(mask: Volume, axes: Float[Array, "3 3"]) -> Endplates:
    """Return the endplates of a vertebral body and the frame whose z is the mean of their unit normals.

    Parameters
    ----------
    axes
        Where to start: z within some tens of degrees of the body's axis; x is kept as near to its start as z allows.
    """
    mask = padded(mask)
    centre = points_of(mask).mean(axis=0)
    left = axes[:, 0]
    frame = Frame(centre, axes)
    upper = lower = axes[:, 2]
    columns = sample_columns(mask, frame)
    for _ in range(MAX_ROUNDS):
        upper, lower = _normals(columns, frame)
        turned = Frame(centre, orthonormal(upper + lower, left))
        moved = np.degrees(np.arccos(np.clip(turned.axes[:, 2] @ frame.axes[:, 2], -1.0, 1.0)))
        frame = turned
        columns = sample_columns(mask, frame)
        if moved < SETTLED_DEG:
            break
    return Endplates(frame, columns, upper, lower)


def _normals(columns: Columns, frame: Frame) -> tuple[Array, Array]:
    """Return the unit normals, in patient LPS, of planes through the upper and the lower ends of the central columns."""
    inner = central(columns.footprint, FIT_SHARE)
    x, y = np.meshgrid(columns.x, columns.y, indexing="ij")
    base = np.column_stack([x[inner], y[inner], np.ones(int(inner.sum()))])
    normals = []
    for heights in (columns.upper, columns.lower):
        (a, b, _), *_ = np.linalg.lstsq(base, heights[inner], rcond=None)
        normal = frame.axes @ np.array([-a, -b, 1.0])
        normals.append(normal / np.linalg.norm(normal))
    return normals[0], normals[1]


def measure_body(endplates: Endplates, mask: Volume) -> tuple[dict[str, Array], dict[str, float]]:
    """Return landmarks in patient LPS [mm] and lengths of a body: see :func:`openbct.anatomy.locate_vertebra` for their names."""
    columns, frame = endplates.columns, endplates.frame
    inner = central(columns.footprint, HEIGHT_SHARE)
    height = float((columns.upper - columns.lower)[inner].mean())
    x, y = np.meshgrid(columns.x, columns.y, indexing="ij")
    at = (float(x[inner].mean()), float(y[inner].mean()))
    points = {
        "body_centre": np.zeros(3),
        "superior_endplate": np.array([*at, float(columns.upper[inner].mean())]),
        "inferior_endplate": np.array([*at, float(columns.lower[inner].mean())]),
    }
    points["mid_plane"] = (points["superior_endplate"] + points["inferior_endplate"]) / 2
    lengths = {"height": height}
    front, back = _midline(columns)
    for name, normal in (("superior", endplates.superior_normal), ("inferior", endplates.inferior_normal)):
        slope = -(frame.axes.T @ normal)[1] / (frame.axes.T @ normal)[2]
        for end, y in (("front", front), ("back", back)):
            z = points[f"{name}_endplate"][2] + slope * (y - at[1])
            points[f"{name}_plane_{end}"] = np.array([at[0], y, float(z)])
    across = columns.x[columns.footprint.any(axis=1)]
    lengths["width"] = float(np.ptp(across))
    lengths["depth"] = back - front
    lengths["mean_area"] = float(mask.array.sum()) * mask.voxel_volume / height
    lengths["tilt_deg"] = float(np.degrees(np.arccos(np.clip(frame.axes[2, 2], -1.0, 1.0))))
    lengths["wedge_deg"] = endplates.wedge_deg
    return {name: frame.origin + frame.axes @ point for name, point in points.items()}, lengths


def end_over_middle(endplates: Endplates, density: Volume) -> float:
    """Return the density of the lighter of a body's two ends over that of its middle [-].

    The density is averaged over the central columns in layers from endplate to endplate; each end counts with the densest layer of its
    outer 15 %, the middle with the densest of its inner half. Endplates are denser than what they enclose: a share below one
    says that a disc is taken for an end, or that an endplate lies within.
    """
    columns, frame = endplates.columns, endplates.frame
    inner = central(columns.footprint, FIT_SHARE)
    x, y = (grid[inner] for grid in np.meshgrid(columns.x, columns.y, indexing="ij"))
    place = np.linspace(0.0, 1.0, 21)
    z = columns.lower[inner] + place[:, None] * (columns.upper - columns.lower)[inner]
    points = np.stack([np.broadcast_to(x, z.shape), np.broadcast_to(y, z.shape), z], axis=-1) @ frame.axes.T + frame.origin
    index = np.moveaxis(to_index(density.affine, points), -1, 0)
    layers = ndimage.map_coordinates(density.array, index, order=1, mode="nearest").mean(axis=1)
    ends = min(float(layers[place <= 0.15].max()), float(layers[place >= 0.85].max()))
    return ends / max(float(layers[(place >= 0.25) & (place <= 0.75)].max()), 1.0)


def _midline(columns: Columns) -> tuple[float, float]:
    """Return front and back of the body on its midline [mm in the frame]."""
    across = columns.x[columns.footprint.any(axis=1)]
    middle = float(across.mean())
    strip = np.abs(columns.x - middle) <= 0.1 * float(np.ptp(across)) + 0.5
    along = columns.y[columns.footprint[strip].any(axis=0)]
    return float(along[0]), float(along[-1])
