"""Input that cannot be meant, told before it costs time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError

LARGEST_MODULUS = 1e7
"""Young's modulus that no solid has [MPa]: diamond has about 1.1e6 [R]. Above it, the unit is wrong."""


def check_model(youngs_modulus: ArrayLike, spacing: Sequence[float], tolerance: float) -> NDArray[np.floating]:
    """The modulus as a floating-point array, if it, the spacing and the tolerance make sense.

    Raises
    ------
    ModelError
        Not three axes, not finite, not in MPa, or a spacing or tolerance out of range.
    """
    modulus = np.asarray(youngs_modulus)
    if modulus.ndim != 3 or modulus.size == 0:
        raise ModelError(f"youngs_modulus has the shape {modulus.shape}; expected three axes (i j k), none of them empty.")
    if not np.issubdtype(modulus.dtype, np.floating):
        modulus = modulus.astype(float)
    largest, smallest = float(modulus.max()), float(modulus.min())
    if not (np.isfinite(largest) and np.isfinite(smallest)):
        bad = int(np.count_nonzero(~np.isfinite(modulus)))
        raise ModelError(f"youngs_modulus has {bad} values that are not finite; expected numbers. Set void voxels to 0.")
    if largest > LARGEST_MODULUS:
        raise ModelError(
            f"the largest modulus is {largest:.3g} MPa; expected at most {LARGEST_MODULUS:.0e}. Moduli in Pa must be divided by 1e6."
        )
    lengths = np.asarray(spacing, dtype=float)
    if lengths.shape != (3,) or not np.all(np.isfinite(lengths)) or lengths.min() <= 0:
        raise ModelError(f"spacing is {tuple(np.ravel(lengths).tolist())}; expected three positive lengths in mm.")
    if not 1e-14 < tolerance < 1:
        raise ModelError(f"tolerance is {tolerance:g}; expected between 1e-14 and 1, for example 1e-6.")
    return modulus


def _broadcast(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.generic]:
    array = np.asarray(values)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ModelError(
            f"{name} has the shape {array.shape}; expected the node array {shape} (one node more than voxels along each axis, "
            "three components), or something that broadcasts to it."
        ) from None


def check_nodal(
    voxels: tuple[int, ...], fixed: ArrayLike, displacement: ArrayLike, force: ArrayLike | None
) -> tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic] | None]:
    """``fixed``, ``displacement`` and ``force`` as node arrays, without copying them.

    Raises
    ------
    ModelError
        A wrong shape, or a value that is read and not finite.
    """
    shape = (*(n + 1 for n in voxels), 3)
    marked = _broadcast("fixed", fixed, shape)
    if marked.dtype != bool:
        raise ModelError(f"fixed has the type {marked.dtype}; expected booleans. Write `fixed != 0` if that is meant.")
    held = np.asarray(marked, dtype=bool)
    values = _broadcast("displacement", displacement, shape)
    used = values[held] if values.size else values
    if not np.all(np.isfinite(used)):
        bad = int(np.count_nonzero(~np.isfinite(used)))
        raise ModelError(f"displacement is not finite at {bad} fixed degrees of freedom; expected numbers in mm.")
    if force is None:
        return held, values, None
    load = _broadcast("force", force, shape)
    bad = int(np.count_nonzero(~np.isfinite(load) & ~held))
    if bad:
        raise ModelError(f"force is not finite at {bad} free degrees of freedom; expected numbers in N.")
    return held, values, load if np.any((load != 0) & ~held) else None


def check_load_lands(modulus: NDArray[np.floating], held: NDArray[np.generic], load: NDArray[np.generic]) -> None:
    """Raise where a force acts on a node without any element: it would be dropped.

    Raises
    ------
    ModelError
        A force in the void.
    """
    nodes = np.argwhere(np.any((load != 0) & ~np.asarray(held, dtype=bool), axis=-1))
    carried = np.zeros(len(nodes), dtype=bool)
    shape = np.array(modulus.shape)
    for corner in np.ndindex(2, 2, 2):
        element = nodes - np.array(corner)
        inside = np.all((element >= 0) & (element < shape), axis=1)
        carried[inside] |= modulus[tuple(element[inside].T)] > 0
    if not carried.all():
        at = tuple(int(n) for n in nodes[~carried][0])
        raise ModelError(
            f"found a force on {int((~carried).sum())} nodes without an element, the first at {at}; expected forces on nodes of the body: "
            "check the index, or the voxels that are void."
        )
