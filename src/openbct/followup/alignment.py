"""A bone of the baseline laid onto itself at another date: rigid, by the densities in and around it.

Gauss–Newton on the squared difference of two smoothed images in three passes, from coarse to fine. A line between the two (contrast and
offset) is fitted in each iteration, so that a bone that has become denser is not moved for it. Only points in the baseline's mask and close
to it count: neighbours move against the bone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import GeometryError
from ..records import Array, BoneRegion, Frame
from ..visits import Alignment, VisitBone
from ..volume import Affine, Volume, bounding_box, resample, to_index, to_patient

PASSES = ((3.0, 40), (1.5, 30), (0.8, 20))
"""Width of the smoothing [mm] and most iterations of each pass [design]."""
CLOSE = 2.5
"""Around the mask, where points still count [mm]: the bone's edge blurred, no neighbour [design]."""
MOST_POINTS = 30_000
"""More give no other answer [design]."""
DONE = 0.003
"""Movement of the bone's rim by one iteration below which a pass is done [mm] [design]."""
LEAST_OVERLAP, LEAST_CORRELATION = 0.85, 0.80
"""Of a bone that was found again, below which its own regions are taken [design; 0.97 and 0.95 or more on simulated pairs]."""
LEAST_SEEN = 0.995
"""Share of what is measured that must lie in the image of the other date [design]."""
SHAFT_ROOM = 12.0
"""Below the lesser trochanter, beyond which a femur's densities are not measured [mm]: the total hip ends 10 mm below it."""


@dataclass(frozen=True)
class _Points:
    """Points of the baseline with their smoothed density."""

    places: Float[Array, "n 3"]
    centre: Float[Array, "3"]
    reach: float
    """Of the farthest point from the centre [mm]."""


def align(baseline: VisitBone, followup: VisitBone) -> Alignment:
    """Return where the baseline's bone lies in the follow-up, and how well it was found."""
    mask, moving = baseline.region.mask, followup.surroundings
    points = _points(mask)
    transform = _between(baseline.region.frame, followup.region.frame)
    correlation = 0.0
    for width, most in PASSES:
        fixed = _smoothed(baseline.surroundings, width)
        target = _smoothed(moving, width)
        try:
            transform, correlation = _pass(fixed, target, points, transform, most)
        except GeometryError as error:
            return _unused(baseline.bone, transform, points, str(error))
    overlap = _overlap(baseline.region, followup.region, transform)
    back = np.linalg.inv(transform)
    seen = min(_seen(baseline.region, moving, transform), _seen(followup.region, baseline.surroundings, back))
    why = ""
    if seen < LEAST_SEEN:
        why = f"{100 * (1 - seen):.0f} % of it lie outside the image of the other date"
    elif overlap < LEAST_OVERLAP:
        why = f"its mask overlaps the follow-up's own by {overlap:.2f} (Dice, expected {LEAST_OVERLAP:g} or more)"
    elif correlation < LEAST_CORRELATION:
        why = f"the two densities correlate by {correlation:.2f} only (expected {LEAST_CORRELATION:g} or more)"
    turned, moved = _movement(transform, points.centre)
    return Alignment(baseline.bone, transform, turned, moved, overlap, correlation, not why, _sentence(baseline.bone, why))


def carried(region: BoneRegion, other: VisitBone, transform: Affine) -> BoneRegion:
    """Return a date's region, with its mask, frame and landmarks, filled with the density of another date.

    ``transform`` takes patient points of the region's date to those of the other [mm].
    """
    # Cubic: linear interpolation would blur the cortex more.
    density = resample(other.surroundings, region.density.shape, transform @ region.density.affine, order=3, average=False)
    return replace(region, density=region.density.with_array(density.array.astype(region.density.array.dtype)))


def _sentence(bone: str, why: str) -> str:
    if not why:
        return ""
    return (
        f"{bone}: the regions of one date could not be carried onto the other ({why}); each scan's own regions are compared, which adds "
        "what their placement differs by."
    )


def _unused(bone: str, transform: Affine, points: _Points, why: str) -> Alignment:
    turned, moved = _movement(transform, points.centre)
    return Alignment(bone, transform, turned, moved, 0.0, 0.0, False, _sentence(bone, why))


def _between(baseline: Frame, followup: Frame) -> Affine:
    """Return what takes one frame to the other."""
    transform = np.eye(4)
    transform[:3, :3] = followup.axes @ baseline.axes.T
    transform[:3, 3] = followup.origin - transform[:3, :3] @ baseline.origin
    return transform


def _points(mask: Volume) -> _Points:
    """Return voxel centres in and close to the mask, thinned evenly."""
    lower, upper = bounding_box(mask, CLOSE + float(mask.spacing.max()))
    box = tuple(slice(int(a), int(b)) for a, b in zip(lower, upper))
    near: Bool[Array, "i j k"] = ndimage.distance_transform_edt(~mask.array[box], sampling=mask.spacing) <= CLOSE
    index = np.argwhere(near)
    index = index[:: max(1, len(index) // MOST_POINTS)] + lower
    places = to_patient(mask.affine, index.astype(float))
    centre = places.mean(axis=0)
    return _Points(places, centre, float(np.linalg.norm(places - centre, axis=1).max()))


def _smoothed(image: Volume, width: float) -> Volume:
    return image.with_array(ndimage.gaussian_filter(image.array.astype(np.float32), width / image.spacing))


def _pass(fixed: Volume, moving: Volume, points: _Points, transform: Affine, most: int) -> tuple[Affine, float]:
    """Return a better transform and the correlation of the densities under it.

    Raises
    ------
    GeometryError
        Too few of the points lie in the moving image.
    """
    wanted = _at(fixed.array, to_index(fixed.affine, points.places))
    slopes = [component.astype(np.float32) for component in np.gradient(moving.array)]
    inverse = np.linalg.inv(moving.affine[:3, :3])
    correlation = 0.0
    for _ in range(most):
        placed = to_patient(transform, points.places)
        index = to_index(moving.affine, placed)
        inside = ((index >= 1) & (index <= np.array(moving.shape) - 2)).all(axis=1)
        if inside.mean() < 0.5:
            raise GeometryError("most of it lies outside the follow-up's image")
        index, here, target = index[inside], placed[inside], wanted[inside]
        found = _at(moving.array, index)
        gradient = np.stack([_at(component, index) for component in slopes], axis=1) @ inverse
        about = here - to_patient(transform, points.centre[None])[0]
        # Unknowns: contrast, offset, three shifts, three turns about the bone's centre.
        columns = np.column_stack([found, np.ones(len(found)), gradient, np.cross(about, gradient)])
        contrast = float(np.cov(found, target)[0, 1] / max(float(found.var()), 1e-9))
        correlation = float(np.corrcoef(found, target)[0, 1])
        if contrast <= 0 or not np.isfinite(correlation):
            raise GeometryError("the two densities there do not resemble each other")
        columns[:, 2:] *= contrast
        solution = np.linalg.lstsq(columns.T @ columns, columns.T @ target, rcond=1e-12)[0]
        shift, turn = solution[2:5], solution[5:8]
        transform = _moved(transform, points.centre, shift, turn)
        if np.linalg.norm(shift) + points.reach * np.linalg.norm(turn) < DONE:
            break
    return transform, correlation


def _at(array: Array, index: Array) -> Float[Array, " n"]:
    return np.asarray(ndimage.map_coordinates(array, index.T, order=1, output=np.float64, mode="nearest"))


def _moved(transform: Affine, centre: Array, shift: Array, turn: Array) -> Affine:
    """Return the transform followed by a small turn about the bone's centre and a shift."""
    angle = float(np.linalg.norm(turn))
    axis = turn / angle if angle > 1e-12 else np.zeros(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    about = to_patient(transform, centre[None])[0]
    step = np.eye(4)
    step[:3, :3] = rotation
    step[:3, 3] = about + shift - rotation @ about
    return np.asarray(step @ transform)


def _movement(transform: Affine, centre: Array) -> tuple[float, float]:
    cosine = (float(np.trace(transform[:3, :3])) - 1.0) / 2.0
    moved = float(np.linalg.norm(to_patient(transform, centre[None])[0] - centre))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))), moved


def _overlap(baseline: BoneRegion, followup: BoneRegion, transform: Affine) -> float:
    """Return Dice of both masks on the baseline's grid; of a femur above the higher of the two lower ends."""
    onto = transform @ baseline.mask.affine
    own = resample(followup.mask, baseline.mask.shape, onto, order=1, average=False).array >= 0.5
    mask = baseline.mask.array
    if baseline.kind == "femur":
        shaft = baseline.frame.axes[:, 2]
        heights = to_patient(baseline.mask.affine, np.argwhere(np.ones(mask.shape, dtype=bool)).astype(float)) @ shaft
        heights = heights.reshape(mask.shape)
        if not own.any():
            return 0.0
        common = heights >= max(heights[mask].min(), heights[own].min()) + 2.0 * float(baseline.mask.spacing.max())
        own, mask = own & common, mask & common
    return float(2.0 * (own & mask).sum() / max(1, own.sum() + mask.sum()))


def _seen(region: BoneRegion, image: Volume, transform: Affine) -> float:
    """Return the share of what is measured of a bone that lies in an image; of a femur's shaft nothing is."""
    places = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float))
    if region.kind == "femur" and "lesser_trochanter_axis" in region.landmarks:
        below = (places - region.landmarks["lesser_trochanter_axis"]) @ region.frame.axes[:, 2]
        places = places[below >= -SHAFT_ROOM]
    index = to_index(image.affine, to_patient(transform, places))
    return float(((index >= 0) & (index <= np.array(image.shape) - 1)).all(axis=1).mean())
