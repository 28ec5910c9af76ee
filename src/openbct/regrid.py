"""Labels onto another grid: voxels moved where they fit, shapes carried over by the distance from their surface where they do not."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import ndimage

from .errors import GeometryError
from .volume import Volume, bounding_box, corners, crop, same_grid, to_index, to_patient

Array = np.ndarray
ALIGNED = 0.05
"""Two grids share their voxels where these lie nearer to each other than this, in voxels [D]."""
COARSER = 1.25
"""Label spacing over scan spacing from which shapes are carried over by distance, not voxel by voxel [-] [D]: a voxel that is repeated
makes stairs of its own size."""
LOST = 0.001
"""Share of the labelled voxels beyond the scan that is told [-] [D]."""


def onto(labels: Volume, image: Volume, shapes: tuple[int, ...]) -> tuple[Volume, tuple[str, ...], bool]:
    """Return labels on the grid of an image, what that may have moved, and whether voxels were made anew.

    Parameters
    ----------
    labels
        Integers; 0 is background.
    image
        The grid to bring them to, in the same patient coordinates.
    shapes
        Labels whose surface matters (bones): on a coarser grid they are carried over by the signed distance from it; other labels
        are taken from the nearest voxel.

    Raises
    ------
    GeometryError
        No labelled voxel lies inside the image.
    """
    if same_grid(labels, image):
        return labels, (), False
    lost = _beyond(labels, image)
    if lost >= 1.0:
        raise GeometryError(
            f"found labels in the box {_box(labels, True)} mm, expected them inside the scan's, {_box(image, False)} mm: they were made from another "
            "scan, or one of the two headers lost its place; give the label map made from this scan"
        )
    cautions = _lost_caution(lost)
    placed = _moved(labels, image)
    if placed is not None:
        return placed, cautions, False
    ratio = float((labels.spacing[_axes(labels, image)] / image.spacing).max())
    array = _nearest(labels, image)
    words = "by nearest neighbour"
    if ratio > COARSER:
        words = "by the distance from each bone's surface"
        for number in shapes:
            _carry(labels, number, array, image)
    spacing, own = (" x ".join(f"{s:.2f}" for s in one.spacing) for one in (labels, image))
    told = (
        f"The labels lie on another grid ({spacing} mm voxels) than the scan ({own} mm) and were brought onto it {words}; edges may have moved by "
        f"up to {labels.spacing.max() / 2:.1f} mm, half a voxel of the labels, and volumes, densities and strengths with them.",
        *cautions,
    )
    return Volume(array, image.affine, labels.unit), told, True


def _lost_caution(lost: float) -> tuple[str, ...]:
    if lost < LOST:
        return ()
    return (f"{100 * lost:.1f} % of the labelled voxels lie beyond the scan and were left out: bones there are cut.",)


def _axes(labels: Volume, image: Volume) -> Array:
    """Return which axis of the labels runs along each axis of the image."""
    turn = np.abs((image.affine[:3, :3] / image.spacing).T @ (labels.affine[:3, :3] / labels.spacing))
    return np.asarray(np.argmax(turn, axis=1))


def _beyond(labels: Volume, image: Volume) -> float:
    """Return the share of labelled voxels whose centre lies outside the image; sampled where there are many."""
    found = np.flatnonzero(labels.array)
    if len(found) == 0:
        return 0.0
    found = found[:: max(len(found) // 200_000, 1)]
    index = np.stack(np.unravel_index(found, labels.shape), axis=1).astype(float)
    at = to_index(image.affine, to_patient(labels.affine, index))
    inside = np.all((at > -0.5) & (at < np.array(image.shape) - 0.5), axis=1)
    return 1.0 - float(np.mean(inside))


def _box(volume: Volume, labelled: bool) -> str:
    """Return the patient box of the voxels, or of the labelled ones, in mm."""
    if labelled and volume.array.any():
        low, high = bounding_box(volume.with_array(volume.array > 0))
        volume = crop(volume, low.tolist(), high.tolist())
    points = corners(volume)
    return " x ".join(f"{low:.0f} to {high:.0f}" for low, high in zip(points.min(axis=0), points.max(axis=0)))


def _moved(labels: Volume, image: Volume) -> Volume | None:
    """Return the labels on the image where both share their voxels: a box cut out of it, or reaching beyond it."""
    steps = np.linalg.inv(image.affine[:3, :3]) @ labels.affine[:3, :3]
    start = to_index(image.affine, labels.affine[:3, 3])
    drift = np.abs(steps - np.eye(3)) @ np.array(labels.shape, dtype=float)
    lower = np.rint(start).astype(int)
    if drift.max() > ALIGNED or np.abs(start - lower).max() > ALIGNED:
        return None
    array = np.zeros(image.shape, dtype=labels.array.dtype)
    low, high = np.maximum(lower, 0), np.minimum(lower + np.array(labels.shape), image.shape)
    target = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    source = tuple(slice(int(a), int(b)) for a, b in zip(low - lower, high - lower))
    array[target] = labels.array[source]
    return Volume(array, image.affine, labels.unit)


def _nearest(labels: Volume, image: Volume) -> Shaped[Array, "i j k"]:
    """Return each voxel's nearest label."""
    to_labels = np.linalg.inv(labels.affine) @ image.affine
    return np.asarray(
        ndimage.affine_transform(
            labels.array, to_labels[:3, :3], offset=to_labels[:3, 3], output_shape=image.shape, order=0, mode="constant", cval=0
        )
    )


def _carry(labels: Volume, number: int, array: Shaped[Array, "i j k"], image: Volume) -> None:
    """Draw one label into ``array`` by its signed distance; where two labels meet, the one drawn by its nearest voxel stays."""
    mask = labels.array == number
    if not mask.any():
        return
    margin = 2.0 * float(labels.spacing.max())
    low, high = bounding_box(labels.with_array(mask, "mask"), margin)
    part = crop(labels.with_array(mask, "mask"), low.tolist(), high.tolist())
    depth = _depth(np.pad(part.array, 2), part.spacing)
    grown = part.affine.copy()
    grown[:3, 3] = to_patient(part.affine, np.array([-2.0, -2.0, -2.0]))
    at = to_index(image.affine, corners(Volume(depth, grown, "mm")))
    first = np.maximum(np.floor(at.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(at.max(axis=0)).astype(int) + 1, image.shape)
    if np.any(last <= first):
        return
    to_part = np.linalg.inv(grown) @ image.affine
    offset = to_part[:3, 3] + to_part[:3, :3] @ first
    shape = tuple(int(n) for n in last - first)
    fine = ndimage.affine_transform(
        depth, to_part[:3, :3], offset=offset, output_shape=shape, order=1, mode="constant", cval=float(depth.min())
    )
    view = array[tuple(slice(int(a), int(b)) for a, b in zip(first, last))]
    inside = fine > 0
    view[(view == number) & ~inside] = 0
    view[inside & (view == 0)] = number


def _depth(mask: Bool[Array, "i j k"], spacing: Float[Array, "3"]) -> Float[Array, "i j k"]:
    """Return the signed distance from the surface [mm], positive inside; the surface lies half way between two voxel centres."""
    half = 0.5 * float(spacing.min())
    inside, outside = (
        ndimage.distance_transform_edt(mask, sampling=spacing),
        ndimage.distance_transform_edt(~mask, sampling=spacing),
    )
    return np.asarray(np.where(mask, inside - half, half - outside))
