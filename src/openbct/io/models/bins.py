"""Few enough materials for a format that lists them one by one, and how far the answer can move by it.

Moduli (and yield stresses) that share a bin take one value within ``width`` of each. Where supports are prescribed displacements,
the stiffness of an elastic body rises with every modulus and is proportional to all of them together; so is the limit load to the
yield stresses. Moduli known to a factor of 1 +- width therefore give a stiffness, and yield stresses a limit load, known to the
same factor: the bound needs no solution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...records import Array
from .model import VoxelModel, element_index

WIDTH = 1e-4
"""Greatest relative change of a modulus or yield stress, and so of stiffness and limit load [design]."""


EXACT = 5000
"""So many different materials are written as they are; programs search their lists, and more cost minutes [design]."""


@dataclass(frozen=True)
class Materials:
    """The materials of a file, and which each element has."""

    youngs_modulus: Float[Array, " n"]
    poisson_ratio: Float[Array, " n"]
    yield_stress: Float[Array, " n"]
    """Infinite where the material stays elastic."""
    of_element: Int[Array, " m"]
    """Row of each element's material, elements in the order of :func:`openbct.io.models.model.element_index`."""
    caution: str
    """What the bins changed; empty where every element keeps its own values."""


def one_yield_stress(model: VoxelModel, law: str) -> tuple[str, ...]:
    """Return the caution of a law that cannot tell tension from compression; none where the model does not either."""
    if not model.plastic or model.tension_ratio == 1.0:
        return ()
    return (
        f"{law} has one yield stress: the compressive one was written, and the tensile one of {model.tension_ratio:.3g} times it left out; "
        f"the strength will be too {'high' if model.tension_ratio < 1 else 'low'}.",
    )


def gather(model: VoxelModel, width: float = WIDTH) -> Materials:
    """Return as few materials as keep every value within ``width``; up to :data:`EXACT` different ones are kept as they are."""
    place = tuple(element_index(model).T)
    modulus, ratio, strength = (array[place] for array in (model.youngs_modulus, model.poisson_ratio, model.yield_stress))
    if len(np.unique(np.stack([modulus, ratio, strength]), axis=1).T) <= EXACT:
        width = 0.0
    keys = np.stack([_bin(modulus, width), _bin(strength, width), _bin(ratio, 0.0)])
    _, of_element, counts = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    of_element = of_element.reshape(-1)

    def middle(values: Float[Array, " m"]) -> Float[Array, " n"]:
        low, high = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
        np.minimum.at(low, of_element, values)
        np.maximum.at(high, of_element, values)
        return np.where(low == high, low, 0.5 * (low + high))

    bins = Materials(middle(modulus), middle(ratio), middle(strength), of_element, "")
    moved = float(np.abs(bins.youngs_modulus[of_element] / modulus - 1).max())
    yields = np.isfinite(strength)
    if yields.any():
        moved = max(moved, float(np.abs(bins.yield_stress[of_element][yields] / strength[yields] - 1).max()))
    if moved <= 1e-12:
        return bins
    caution = (
        f"This format lists materials one by one: {len(modulus)} elements share {len(counts)} materials, each value moved by at most "
        f"{moved:.1e} of itself, which moves the stiffness and the limit load by no more than that share."
    )
    return Materials(bins.youngs_modulus, bins.poisson_ratio, bins.yield_stress, of_element, caution)


def _bin(values: Float[Array, " m"], width: float) -> Float[Array, " m"]:
    """Return a key that values share when they differ by less than twice ``width``; infinite ones share one key."""
    if width <= 0:
        return np.unique(values, return_inverse=True)[1].astype(float)
    finite = np.isfinite(values)
    keys = np.full(values.shape, -1e9)
    keys[finite] = np.floor(np.log(values[finite]) / np.log1p(2 * width))
    return keys
