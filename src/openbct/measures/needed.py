"""Which landmarks the densities of a bone are measured from."""

from __future__ import annotations

from typing import Final

from ..records import BoneRegion

VERTEBRA: Final = ("superior_endplate", "inferior_endplate")
FEMUR: Final = (
    "head_centre", "neck_centre", "lesser_trochanter_axis", "shaft_end", "greater_trochanter_lateral", "greater_trochanter_tip",
)  # fmt: skip


def lacking_landmarks(region: BoneRegion) -> tuple[str, ...]:
    """Return the landmarks that a region would be measured from and does not have, as in results of earlier versions.

    A vertebra that is measured whole, with its arch, needs none.
    """
    return tuple(name for name in (FEMUR if region.kind == "femur" else VERTEBRA) if name not in region.landmarks)
