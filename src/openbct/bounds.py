"""What a plausible test looks like: outside one pair of bounds a quantity is cautioned, outside the other there is no result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import ModelError


@dataclass(frozen=True)
class Bounds:
    """Where a quantity of a plausible test lies; outside ``warn`` it is cautioned, outside ``refuse`` there is no result."""

    quantity: str
    """Key of :attr:`StrengthResult.quantities`, which names the unit."""
    words: str
    warn: tuple[float, float]
    refuse: tuple[float, float]


def refuse_bounds(bone: str, plausible: tuple[Bounds, ...], quantities: Mapping[str, float]) -> None:
    """Raise where a quantity lies where no bone's does.

    Raises
    ------
    ModelError
        With the quantity and its bounds.
    """
    for bounds in plausible:
        low, high = bounds.refuse
        if not low <= quantities[bounds.quantity] <= high:
            raise ModelError(
                f"found {bounds.words} = {quantities[bounds.quantity]:.4g} for {bone}, expected {low:g} to {high:g}: no such bone is "
                "known; check the density's unit, the mask and the image's spacing"
            )


def doubt_bounds(bone: str, plausible: tuple[Bounds, ...], quantities: Mapping[str, float]) -> list[str]:
    """Return a caution for each quantity that is unusual."""
    found = []
    for bounds in plausible:
        low, high = bounds.warn
        if not low <= quantities[bounds.quantity] <= high:
            found.append(f"{bone}: {bounds.words} is {quantities[bounds.quantity]:.3g}, expected about {low:g} to {high:g}.")
    return found
