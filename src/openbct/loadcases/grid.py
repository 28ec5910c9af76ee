"""What every load case does on its voxel grid: keep one piece, find faces' nodes, crop, name the mineral."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import GeometryError, SegmentationError, SettingsError
from ..records import Array, BoneRegion, Mineral
from ..volume import Affine, Volume, resample

LOOSE_REFUSAL = 0.05
"""Share of the bone outside its largest face-connected piece that is refused: review limit of public FE code [SC]."""
Edge = Literal["plain", "bone"]
"""Density at the edge of a bone. ``"plain"``: interpolated from all neighbours, so that voxels half in soft tissue stay as light as the
scan shows them; ``"bone"``: from neighbours inside the mask alone."""
EDGES = {"plain": "from all neighbours", "bone": "from neighbours inside the mask"}


def check_word(case: str, name: str, word: str, known: Iterable[str]) -> None:
    """Refuse an option that a load case does not know.

    Raises
    ------
    SettingsError
        With the words that it knows.
    """
    if word not in known:
        raise SettingsError(f"found {name} = {word!r} for the {case}, expected one of {', '.join(known)}")


def density_on_grid(region: BoneRegion, shape: tuple[int, int, int], affine: Affine, edge: str) -> Float[Array, "i j k"]:
    """Return the density on the model grid, interpolated once [mg/cm3]; ``edge`` as in :data:`EDGES`."""
    if edge == "plain":
        return resample(region.density, shape, affine, order=1).array
    share = resample(region.mask, shape, affine, order=1).array
    held = region.density.with_array(np.where(region.mask.array, region.density.array, 0.0))
    weighted = resample(held, shape, affine, order=1).array
    return np.where(share >= 0.5, weighted / np.maximum(share, 0.5), 0.0)


def one_piece(bone: str, inside: Bool[Array, "i j k"]) -> tuple[Bool[Array, "i j k"], float]:
    """Return the largest face-connected piece and the share that was left out."""
    labels, count = ndimage.label(inside)
    if count == 0:
        raise SegmentationError(f"found no voxel of {bone} on the model grid, expected some; use smaller voxels")
    sizes = np.bincount(labels.ravel())[1:]
    loose = 1.0 - float(sizes.max()) / float(sizes.sum())
    if loose > LOOSE_REFUSAL:
        raise SegmentationError(
            f"found {100 * loose:.1f} % of {bone} loose on the model grid, expected at most {100 * LOOSE_REFUSAL:g} %; mend the mask"
        )
    return np.asarray(labels == 1 + int(np.argmax(sizes))), loose


def corners_of(face: Bool[Array, "i j"]) -> Bool[Array, "i1 j1"]:
    """Return the nodes of the marked voxel faces of one layer."""
    nodes = np.zeros((face.shape[0] + 1, face.shape[1] + 1), dtype=bool)
    for di in (0, 1):
        for dj in (0, 1):
            nodes[di : di + face.shape[0], dj : dj + face.shape[1]] |= face
    return nodes


def box_of(mask: Bool[Array, "i j k"]) -> tuple[slice, slice, slice]:
    """Return the smallest box around the true voxels."""
    found = ndimage.find_objects(mask.astype(np.int8))[0]
    return (found[0], found[1], found[2])


def mineral_of(density: Volume) -> Mineral:
    """Return the mineral that a density's unit names.

    Raises
    ------
    GeometryError
        The unit names neither K2HPO4 nor CHA: a law read in the wrong mineral would be wrong by some per cent, silently.
    """
    for mineral in get_args(Mineral):
        if density.unit == f"mg/cm3 {mineral}":
            found: Mineral = mineral
            return found
    raise GeometryError(
        f"found a density in {density.unit!r}, expected 'mg/cm3 K2HPO4' or 'mg/cm3 CHA'; calibrate the image, or name its mineral"
    )
