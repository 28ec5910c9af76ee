"""A proximal femur as one solid: its head from the surface in the joint, the rest from what the cortex encloses, the edge from profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, special

from ..errors import SegmentationError
from ..volume import Volume, crop, to_index
from .femur_shaft_line import BONE, ShaftLine
from .head_surface import HeadSurface

Array = np.ndarray

NECK_CONE, RIM_CONE = 50.0, 75.0
"""Around the neck's axis, seen from the head's centre: within the first nothing but femur is near; beyond the second nothing but the
pelvis lies behind the head's surface [degrees] [D]."""
RIM_REACH, BOWL_REACH = 16.0, 32.0
"""How far behind the head's surface bone is taken for the pelvis, between the cones and beyond them [mm] [D]."""
MEDIAL = 5.0
"""Nothing of a proximal femur lies so far medial of its head [mm] [D]."""
CLOSED = 3.0
"""Half the width of openings in the cortex that are bridged [mm] [D]."""
BALL = ndimage.generate_binary_structure(3, 2)
"""Neighbours by faces and edges: repeated, it grows nearly round."""
PROFILE = 3.5
"""How far profiles across the surface reach [mm] [D]."""
LEAST_FALL, CLEAR_FALL = 50.0, 150.0
"""Fall across the surface from which it moves the edge, and from which the edge is clear [HU] [D]."""
MOST_MOVED = 1.5
"""Largest move of the edge at a time [mm] [D]."""


@dataclass(frozen=True)
class Solid:
    """A femur on cubes along the patient's axes."""

    distance: Volume
    """To the surface, negative inside [mm]."""
    clear: float
    """Share of the surface, away from the cut, on a clear edge of bone, 0 to 1."""
    clear_in_joint: float
    """The same of the head's surface away from the neck."""
    moved: float
    """Mean move of the edge in the last round [mm]."""


def fill_femur(image: Volume, sharp: Volume, head: HeadSurface, shaft: ShaftLine) -> Solid:
    """Return the femur as a solid.

    Parameters
    ----------
    image
        Cubes of about 1 mm that hold the proximal femur, cut at the lower end that is wanted, slightly smoothed [HU].
    sharp
        The same without smoothing, for the edge: blur moves the edge of a thin cortex outwards [HU].

    Raises
    ------
    SegmentationError
        Head and shaft are not one piece of bone.
    """
    inside, pelvis, joint = _around_head(image, head, shaft.neck)
    x = image.affine[0, 3] + image.spacing[0] * np.arange(image.shape[0])
    beyond = (head.centre[0] - x) * (1.0 if shaft.left else -1.0) > head.radius + MEDIAL
    pelvis[beyond] = True
    bone = (image.array > BONE) & ~pelvis | inside
    pieces, _ = ndimage.label(bone)
    own = int(pieces[_index(image, head.centre)])
    at_shaft = pieces[_near(image, shaft.point, 22.0)]
    if own == 0 or not (at_shaft == own).any():
        raise SegmentationError(
            "found no continuous bone between the head and the shaft, expected a neck: a fracture, or bone too thin to see"
        )
    where = ndimage.find_objects(pieces, max_label=own)[own - 1]
    box = tuple(slice(max(part.start - 8, 0), part.stop + 8) for part in where)
    image, sharp = (crop(one, [part.start for part in box], [part.stop for part in box]) for one in (image, sharp))
    inside, pelvis, joint = inside[box], pelvis[box], joint[box]
    solid = _enclosed(pieces[box] == own, float(image.spacing[0])) & ~pelvis
    solid = _largest(ndimage.binary_opening(solid, iterations=1) | inside)
    distance, told = _signed(solid), (0.0, 0.0, 0.0)
    for _ in range(3):
        distance, told = _sharpened(sharp, distance, joint)
    return Solid(image.with_array(distance.astype(np.float32), "mm"), *told)


def _around_head(
    image: Volume, head: HeadSurface, neck: Float[Array, "3"]
) -> tuple[Bool[Array, "i j k"], Bool[Array, "i j k"], Bool[Array, "i j k"]]:
    """Return what is surely head, what is not femur though it may be bone, and the head's neighbourhood away from the neck."""
    reach = float(head.radii.max()) + BOWL_REACH
    low = np.clip(np.floor(to_index(image.affine, head.centre - reach)).astype(int), 0, np.array(image.shape) - 1)
    high = np.clip(np.ceil(to_index(image.affine, head.centre + reach)).astype(int) + 1, low + 1, image.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    near = crop(image, low.tolist(), high.tolist())
    axes = [near.affine[a, 3] + near.spacing[a] * np.arange(near.shape[a]) - head.centre[a] for a in range(3)]
    offsets = np.stack([one.ravel() for one in np.meshgrid(*axes, indexing="ij")]).astype(np.float32)
    away = np.linalg.norm(offsets, axis=0).reshape(near.shape)
    cosine = (neck.astype(np.float32) @ offsets).reshape(near.shape) / np.maximum(away, 1e-3)
    surface = head.at(offsets).reshape(near.shape)
    off_neck = cosine < np.cos(np.radians(NECK_CONE))
    behind = np.where(cosine < np.cos(np.radians(RIM_CONE)), BOWL_REACH, RIM_REACH)
    found = []
    for part in (
        np.where(off_neck, away <= surface, away <= 0.75 * head.radius),
        off_neck & (away > surface) & (away < surface + behind),
        off_neck & (away < surface + 6.0),
    ):
        whole = np.zeros(image.shape, dtype=bool)
        whole[box] = part
        found.append(whole)
    return found[0], found[1], found[2]


def _index(image: Volume, point: Float[Array, "3"]) -> tuple[int, int, int]:
    i, j, k = np.clip(np.rint(to_index(image.affine, point)).astype(int), 0, np.array(image.shape) - 1)
    return int(i), int(j), int(k)


def _near(image: Volume, point: Float[Array, "3"], reach: float) -> tuple[slice, slice, slice]:
    """Return a flat box around a point."""
    i, j, k = _index(image, point)
    n = int(reach / image.spacing[0])
    return slice(max(i - n, 0), i + n + 1), slice(max(j - n, 0), j + n + 1), slice(max(k - 1, 0), k + 2)


def _enclosed(bone: Bool[Array, "i j k"], edge: float) -> Bool[Array, "i j k"]:
    """Return a bone with all that its cortex encloses, openings up to a width bridged."""
    steps = max(1, round(CLOSED / edge))
    wide = np.pad(bone, ((steps + 1,) * 2, (steps + 1,) * 2, (0, steps + 1)))
    # below the image the bone goes on as it ends
    wide = np.pad(wide, ((0, 0), (0, 0), (steps + 1, 0)), mode="edge")
    grown = ndimage.binary_dilation(wide, BALL, iterations=steps)
    # marrow is enclosed slice by slice too: the canal is open where the image ends
    grown = np.stack([ndimage.binary_fill_holes(grown[:, :, k]) for k in range(grown.shape[2])], axis=2)
    grown = ndimage.binary_fill_holes(grown)
    shrunk = ndimage.binary_erosion(grown, BALL, iterations=steps, border_value=1)
    return np.asarray(shrunk[steps + 1 : -steps - 1, steps + 1 : -steps - 1, steps + 1 : -steps - 1] | bone)


def _largest(mask: Bool[Array, "i j k"]) -> Bool[Array, "i j k"]:
    labels, count = ndimage.label(mask)
    return mask if count < 2 else np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def _signed(mask: Bool[Array, "i j k"]) -> Float[Array, "i j k"]:
    """Return the smoothed signed distance in voxels, negative inside, known to about three; the lower end counts as open.

    A mask blurred by a Gaussian is, near a flat face, the normal distribution of the distance to it.
    """
    share = ndimage.gaussian_filter(mask.astype(np.float32), 1.0, mode="nearest")
    return np.asarray(-special.ndtri(np.clip(share, 1e-4, 1 - 1e-4)), dtype=np.float32)


def _sharpened(
    image: Volume, distance: Float[Array, "i j k"], joint: Bool[Array, "i j k"]
) -> tuple[Float[Array, "i j k"], tuple[float, float, float]]:
    """Return the distance with its surface moved to where the image falls halfway from bone to what is outside, and how clear and
    settled that is: the last three of :class:`Solid`."""
    edge = float(image.spacing[0])
    where = np.argwhere(np.abs(distance) < 0.9)
    normal = np.stack([np.gradient(distance, axis=a)[tuple(where.T)] for a in range(3)], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    start = where - distance[tuple(where.T)][:, None] * normal
    steps = np.arange(-PROFILE, PROFILE + 0.01, 0.5)
    points = start[:, None, :] + normal[:, None, :] * (steps[None, :, None] / edge)
    profile = ndimage.map_coordinates(image.array, np.moveaxis(points, -1, 0), order=1, mode="nearest")
    middle = len(steps) // 2
    move, fall = _half_fall(profile, steps, middle)
    # between head and acetabulum the surface was found with its neighbours' help: it may move, but not far
    most = np.where(joint[tuple(where.T)], 0.75, MOST_MOVED)
    weight = np.clip((fall - LEAST_FALL) / (CLEAR_FALL - LEAST_FALL), 0, 1).astype(np.float32)
    moves, weights = np.zeros(distance.shape, dtype=np.float32), np.zeros(distance.shape, dtype=np.float32)
    moves[tuple(where.T)] = weight * np.clip(move, -most, most)
    weights[tuple(where.T)] = weight + 0.05
    total = ndimage.gaussian_filter(weights, 1.2)
    shift = ndimage.gaussian_filter(moves, 1.2) / np.maximum(total, 1e-4)
    # far from the surface the old distance will do
    rough = np.where(np.abs(distance) < 4, distance - shift / edge, distance)
    kept = where[:, 2] > 4
    in_joint = joint[tuple(where.T)] & kept
    clear = float(weight[kept].mean()) if kept.any() else 0.0
    return rough, (clear, float(weight[in_joint].mean()) if in_joint.any() else 0.0, float(np.abs(move * weight)[kept].mean()))


def _half_fall(
    profile: Float[Array, "n m"], steps: Float[Array, " m"], middle: int
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Return where each profile falls halfway, from the surface outwards [mm], and by how much it falls [HU]."""
    inner = profile[:, : middle + 2]
    peak = np.argmax(inner, axis=1)
    rows = np.arange(len(profile))
    top = inner[rows, peak]
    beyond = np.where(np.arange(profile.shape[1])[None, :] > peak[:, None], profile, np.inf)
    # the first low behind the peak, within 3 mm: farther out another bone may stand
    near = np.arange(profile.shape[1])[None, :] <= peak[:, None] + 6
    low = np.where(near, beyond, np.inf).min(axis=1)
    level = (top + low) / 2
    under = (beyond < level[:, None]) & near
    first = np.where(under.any(axis=1), under.argmax(axis=1), middle)
    before = np.maximum(first - 1, 0)
    a, b = profile[rows, before], profile[rows, first]
    part = np.clip((a - level) / np.where(np.abs(a - b) > 1e-3, a - b, 1.0), 0, 1)
    return steps[before] + part * (steps[first] - steps[before]), np.asarray(top - low)
