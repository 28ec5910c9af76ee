"""Many masks on one map: bones win over tissue, and bones must not overlap."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Shaped

from ..errors import SegmentationError
from .label_names import is_bone

Array = np.ndarray
MAX_OVERLAP = 0.001
"""Part of a structure that may lie inside another before a set of masks is refused [-] [D]."""


class Painter:
    """Paints structures into one map of numbers, a box or a plane at a time, and counts what two bones share."""

    def __init__(self, names: Mapping[int, str], shape: tuple[int, int, int]) -> None:
        self.names = dict(names)
        self.map = np.zeros(shape, dtype=np.uint8 if max(self.names, default=0) < 256 else np.int32)
        self.painted = dict.fromkeys(self.names, 0)
        self.shared: dict[tuple[int, int], int] = {}

    def add(self, box: tuple[slice | int, ...], mask: Bool[Array, "..."], number: int) -> None:
        """Add a structure's voxels inside a box of the map."""
        view = self.map[box]
        under = view[mask]
        self.painted[number] += len(under)
        name = self.names[number]
        taken = [n for n in np.unique(under).tolist() if n and is_bone(self.names[n]) and self.names[n] != name]
        if is_bone(name):
            for other in taken:
                pair = (number, other)
                self.shared[pair] = self.shared.get(pair, 0) + int(np.count_nonzero(under == other))
        view[mask] = np.where(np.isin(under, taken), under, number)

    def finish(self, what: str, advice: str) -> tuple[Shaped[Array, "i j k"], dict[int, str]]:
        """Return the map, and the names of what is there.

        Raises
        ------
        SegmentationError
            Two bones share more than a thousandth of one of them.
        """
        for (number, other), voxels in self.shared.items():
            if voxels > MAX_OVERLAP * self.painted[number]:
                raise SegmentationError(
                    f"found {self.names[number]} and {self.names[other]} sharing {voxels} voxels in one {what}, expected bones apart; {advice}"
                )
        return self.map, {number: name for number, name in self.names.items() if self.painted[number]}
