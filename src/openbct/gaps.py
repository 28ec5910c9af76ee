"""What lies in a gap of the scan: bones that reach into one are refused, tissues lose that part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from .records import Gap, Scan, Segmentation
from .volume import Volume

Array = np.ndarray
ROUNDING = 0.01
"""Of positions in headers [mm]."""


def bones_in_gaps(scan: Scan, segmentation: Segmentation) -> Mapping[str, str]:
    """Return the bones that reach a gap of the scan, each with the reason for which it is refused.

    A bone that ends at the last plane before a gap counts: nothing shows that it ends there.
    """
    refusals = {}
    for name, bone in segmentation.bones.items():
        for gap in scan.gaps:
            if np.any(bone.mask.array & in_gap(bone.mask, gap)):
                refusals[name] = (
                    f"{name} reaches into a gap of {gap.upper - gap.lower:.2f} mm between two slices of the scan, where there is no data;"
                    " expected the whole bone; fetch the missing slices"
                )
                break
    return refusals


def without_gaps(scan: Scan, segmentation: Segmentation) -> Segmentation:
    """Return the segmentation with tissues where the scan has data only: what was interpolated is no sample."""
    if not scan.gaps:
        return segmentation
    tissues = {}
    for name, mask in segmentation.tissues.items():
        array = mask.array.astype(bool)
        for gap in scan.gaps:
            array &= ~in_gap(mask, gap)
        tissues[name] = mask.with_array(array)
    return replace(segmentation, tissues=tissues)


def in_gap(box: Volume, gap: Gap) -> Bool[Array, "i j k"]:
    """Return which voxels of a sub-box lie in a gap, its border planes among them."""
    along = np.zeros(box.shape)
    for axis, count in enumerate(box.shape):
        shape = [1, 1, 1]
        shape[axis] = count
        along = along + (np.arange(count) * float(box.affine[:3, axis] @ gap.normal)).reshape(shape)
    along += float(box.affine[:3, 3] @ gap.normal)
    return np.asarray((along >= gap.lower - ROUNDING) & (along <= gap.upper + ROUNDING))
