"""The vertebral body cut out of a whole vertebra: the arch goes at the pedicles, on the plane of the posterior wall.

Seen from above, the arch and the body enclose the canal. Rays that run from the body to the back and fall into the canal
leave the bone at the posterior wall; a plane through these points, moved back so that the wall stays whole, is the cut::

        ( body )          ── y posterior ──▶
        (      )|canal  )
        (      )|       ) spinous process
         pedicle ═══════)
                ^ cut
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import SegmentationError
from ..records import Array, Frame
from ..volume import Volume, resample
from .endplates import fit_endplates, orthonormal, padded, points_in, points_of

GRID = 1.0
"""Grid on which the canal is looked for [mm] [D]."""
CORE_SHARE = 0.55
"""Depth, as a share of the greatest, that parts the thick body from the thin arch [D]."""
ARCH_SHARE = 0.05
"""Below this share of the mask behind the body there is no arch to cut [D]."""
WALL_QUANTILE = 0.7
"""Share of the wall points that the cut keeps whole; the rest are lips at the rims and voxel noise [D]."""
MID_HEIGHT = 0.35
"""The wall is looked for within this share of the height above and below the body's centre [D]."""
FRONT_HALF = (0.10, 0.55)
"""Part of the body's depth, from the front, where no process joins it: its width there is the body's own [D]."""
SIDE_ROOM = 3.0
"""How far the back half may be wider than the front half, each side [mm]; more is a transverse process [D]."""
END_SHARE, FLAT_RATIO = 0.15, 1.1
"""Part of the depth that is the end of a body, and how much wider than the back the front must be to be the back [C, D]."""
FRONT_PART, BACK_PART, SUNK = (0.15, 0.40), (0.60, 0.85), 2 / 3
"""Parts of the depth whose heights are compared, and the share of the back's below which the front has sunk [D]."""
MIN_WALL_POINTS = 20
ROUNDS = 3


@dataclass(frozen=True)
class BodyCut:
    """What was kept of a whole vertebra."""

    body: Volume
    """Boolean, on the grid of the whole vertebra."""
    axes: Float[Array, "3 3"]
    """The body's left, posterior and superior directions in patient LPS."""
    had_arch: bool
    """``False`` where the mask held no arch and was taken as a body already."""
    point: Float[Array, "3"] | None
    """On the cut [mm]; ``None`` without an arch."""
    normal: Float[Array, "3"] | None
    """Of the cut, pointing to the back."""
    angle_deg: float
    """Between the cut and the body's own frontal plane [degrees]."""


def isolate_body(whole: Volume) -> BodyCut:
    """Return the vertebral body of a whole-vertebra mask.

    Raises
    ------
    SegmentationError
        An arch is there but no canal or no posterior wall can be found, so that nobody knows where to cut.
    """
    rough = _thick_part(whole)
    behind = whole.array & ~rough
    axes = _first_axes(whole, rough, behind)
    if behind.sum() < ARCH_SHARE * whole.array.sum() or not _has_arch(whole, rough, axes):
        return BodyCut(whole, axes, False, None, None, 0.0)
    body = rough
    normal, point = axes[:, 1], np.zeros(3)
    for _ in range(ROUNDS):
        axes = fit_endplates(whole.with_array(body), axes).frame.axes
        centre = points_of(whole.with_array(body)).mean(axis=0)
        points = _wall_points(whole, body, Frame(centre, axes))
        normal, point = _wall_plane(points, Frame(centre, axes))
        body = _in_front(whole, body, normal, point)
        body = _without_processes(whole, body, Frame(centre, axes))
    angle = float(np.degrees(np.arccos(np.clip(normal @ axes[:, 1], -1.0, 1.0))))
    return BodyCut(whole.with_array(body), axes, True, point, normal, angle)


def faces_front(body: Volume, axes: Float[Array, "3 3"]) -> bool:
    """Tell whether a body's flat wall lies in front, so that front and back of the image are exchanged.

    At mid-height the back of a body ends in a wall nearly as wide as the body, its front in a bow: on real lumbar bodies the
    outermost sixth of the depth is 0.5 to 0.8 times as wide in front as in the back [C]. A front that has sunk by a third is spread out
    and its outline says nothing: such a body faces as the image says.
    """
    local = points_of(body) @ axes
    y = (local[:, 1] - local[:, 1].min()) / float(np.ptp(local[:, 1]))
    height = local[:, 2] - local[:, 2].mean()
    low, high = (_range(height[(y >= begin) & (y <= end)]) for begin, end in (FRONT_PART, BACK_PART))
    middle = np.abs(height) < 0.3 * min(low, high)
    if not middle.any() or low < SUNK * high:  # two slices are no body to judge
        return False
    local = local[middle]
    y = (local[:, 1] - local[:, 1].min()) / float(np.ptp(local[:, 1]))
    front, back = (float(np.ptp(local[end, 0])) for end in (y <= END_SHARE, y >= 1.0 - END_SHARE))
    return front > FLAT_RATIO * back


def _range(values: Float[Array, " n"]) -> float:
    return float(np.ptp(values)) if len(values) else 0.0


def _thick_part(whole: Volume) -> Bool[Array, "i j k"]:
    """Return the part of the mask that a ball of about half its greatest depth can reach: the body without its arch."""
    padded = np.pad(whole.array, 1)
    depth = ndimage.distance_transform_edt(padded, sampling=whole.spacing)
    radius = CORE_SHARE * float(depth.max())
    core = _largest(depth >= radius)
    near = ndimage.distance_transform_edt(~core, sampling=whole.spacing) < radius
    return np.asarray((near & padded)[1:-1, 1:-1, 1:-1])


def _largest(mask: Bool[Array, "i j k"]) -> Bool[Array, "i j k"]:
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _first_axes(whole: Volume, rough: Bool[Array, "i j k"], behind: Bool[Array, "i j k"]) -> Float[Array, "3 3"]:
    """Return axes with z up the image and y from the body to its arch; y to the patient's back where there is no arch."""
    up = np.array([0.0, 0.0, 1.0])
    back = np.array([0.0, 1.0, 0.0])
    if behind.any():
        step = whole.affine[:3, :3] @ (np.argwhere(behind).mean(axis=0) - np.argwhere(rough).mean(axis=0))
        step[2] = 0.0
        # the bone is believed before the header: images with front and back exchanged are in circulation
        if np.linalg.norm(step) > 5.0:
            back = step / np.linalg.norm(step)
    return orthonormal(up, np.cross(back, up))


def _has_arch(whole: Volume, rough: Bool[Array, "i j k"], axes: Float[Array, "3 3"]) -> bool:
    """Tell whether the mask reaches well behind the body: more than half the body's own depth."""
    y_body = points_of(whole.with_array(rough)) @ axes[:, 1]
    y_whole = points_of(whole) @ axes[:, 1]
    return bool(y_whole.max() - y_body.max() > 0.25 * np.ptp(y_body))


def _wall_points(whole: Volume, body: Bool[Array, "i j k"], frame: Frame) -> Float[Array, "n 3"]:
    """Return points of the posterior wall, in the frame's millimetres: where rays to the back fall into the canal."""
    local = points_in(whole, frame)
    inside = points_in(whole.with_array(body), frame)
    low, high = local.min(axis=0) - 3.0, local.max(axis=0) + 3.0
    shape = np.ceil((high - low) / GRID).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = frame.axes * GRID
    affine[:3, 3] = frame.origin + frame.axes @ low
    bone = resample(padded(whole), shape.tolist(), affine, order=1).array >= 0.5
    x, y, z = (low[axis] + np.arange(shape[axis]) * GRID for axis in range(3))
    canal = _canal(bone, x, y, depth=float(inside[:, 1].max()))
    height = float(np.ptp(inside[:, 2]))
    level = np.flatnonzero(np.abs(z) < MID_HEIGHT * height)
    start = int(np.argmin(np.abs(y)))
    points = []
    for i in np.flatnonzero(canal.any(axis=1)):
        last = int(np.flatnonzero(canal[i])[-1])
        for k in level:
            ray = bone[i, start:, k]
            # the ray must start in bone and leave it before the canal ends
            if ray[0] and not ray.all():
                gap = start + int(np.argmin(ray))
                if gap <= last:
                    points.append((x[i], y[gap] - GRID / 2, z[k]))
    if len(points) < MIN_WALL_POINTS:
        raise SegmentationError(
            f"found {len(points)} points of a posterior wall in the whole-vertebra mask, expected at least {MIN_WALL_POINTS}: "
            "the canal is closed or missing in the labels; give a label of the vertebral body, or mend the mask"
        )
    return np.array(points)


def _canal(bone: Bool[Array, "i j k"], x: Array, y: Array, *, depth: float) -> Bool[Array, "i j"]:
    """Return the canal seen along z: the hole between body and arch, or the trough between the pedicles of an open arch."""
    shadow = np.asarray(bone.any(axis=2))
    holes = ndimage.binary_fill_holes(shadow) & ~shadow
    labels, count = ndimage.label(holes)
    behind = [
        (int((labels == n).sum()), n)
        for n in range(1, count + 1)
        if y[np.argwhere(labels == n)[:, 1]].mean() > 0.5 * depth and abs(x[np.argwhere(labels == n)[:, 0]].mean()) < 12.0
    ]
    if behind and max(behind)[0] * GRID**2 >= 40.0:
        return np.asarray(labels == max(behind)[1])
    trough = np.zeros_like(shadow)
    for j in np.flatnonzero(y > 0.5 * depth):
        row = np.flatnonzero(shadow[:, j])
        left, right = row[x[row] > 0], row[x[row] < 0]
        if len(left) and len(right) and y[j] < depth + 20.0:
            trough[right[-1] + 1 : left[0], j] = True
    return trough & ~shadow


def _wall_plane(points: Float[Array, "n 3"], frame: Frame) -> tuple[Array, Array]:
    """Return normal and point, in patient LPS, of the plane behind the wall: fitted robustly, then moved back."""
    keep = np.ones(len(points), dtype=bool)
    coefficients = np.zeros(3)
    base = np.column_stack([points[:, 0], points[:, 2], np.ones(len(points))])
    for _ in range(4):
        coefficients, *_ = np.linalg.lstsq(base[keep], points[keep, 1], rcond=None)
        residual = points[:, 1] - base @ coefficients
        keep = np.abs(residual) <= max(2.5 * float(np.median(np.abs(residual))), 1.0)
    shift = float(np.quantile(points[keep, 1] - base[keep] @ coefficients, WALL_QUANTILE))
    normal = np.array([-coefficients[0], 1.0, -coefficients[1]])
    normal /= np.linalg.norm(normal)
    point = np.array([0.0, coefficients[2] + shift, 0.0])
    return frame.axes @ normal, frame.origin + frame.axes @ point


def _in_front(whole: Volume, body: Bool[Array, "i j k"], normal: Array, point: Array) -> Bool[Array, "i j k"]:
    """Return the piece of the mask in front of the cut that holds the body; a voxel goes by its centre."""
    index = np.argwhere(whole.array)
    front = (points_of(whole) - point) @ normal <= 0.0
    kept = np.zeros(whole.shape, dtype=bool)
    kept[tuple(index[front].T)] = True
    if not (body & kept).any():
        raise SegmentationError("found no bone in front of the posterior wall, expected the vertebral body; check the labels")
    return _piece_with(kept, body)


def _without_processes(whole: Volume, body: Bool[Array, "i j k"], frame: Frame) -> Bool[Array, "i j k"]:
    """Return the body without the roots of transverse processes, which at L5 spring from its sides."""
    index = np.argwhere(body)
    local = points_in(whole.with_array(body), frame)
    front, depth = float(local[:, 1].min()), float(np.ptp(local[:, 1]))
    share = (local[:, 1] - front) / depth
    own = local[(share >= FRONT_HALF[0]) & (share <= FRONT_HALF[1]), 0]
    if own.size == 0:
        return body
    kept = np.zeros(whole.shape, dtype=bool)
    narrow = (local[:, 0] >= own.min() - SIDE_ROOM) & (local[:, 0] <= own.max() + SIDE_ROOM)
    kept[tuple(index[narrow].T)] = True
    return _piece_with(kept, body)


def _piece_with(kept: Bool[Array, "i j k"], body: Bool[Array, "i j k"]) -> Bool[Array, "i j k"]:
    """Return the piece of ``kept`` that holds most of ``body``."""
    labels, _ = ndimage.label(kept)
    return np.asarray(labels == int(np.bincount(labels[body & kept]).argmax()))
