"""Compression of a vertebra as it was scanned, between cement that was drawn with it: the public benchmark's test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SegmentationError
from ..records import BoneRegion, Boundary, Reference, Specimen, Step
from .axial_compression import AxialCompression
from .grid import box_of, mineral_of, one_piece

WALLE_2025 = Reference(
    "Walle M, Matheson BE, Boyd SK. GigaScience giaf094 (2025): whole vertebra between drawn caps, each held along the load alone",
    "code",
)


@dataclass(frozen=True)
class AsScanned:
    """Presses the upper cement down; both pads slide in their planes."""

    @property
    def name(self) -> str:
        """Key in settings and results."""
        return "vertebra-as-scanned"

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the vertebra on the image's own voxels, with the cement that came with it.

        Raises
        ------
        SegmentationError
            There is none, or the bone falls into pieces.
        """
        if region.pads is None:
            raise SegmentationError(f"found no cement with {region.bone}, expected a region with pads on both sides")
        bone, loose = one_piece(region.bone, region.mask.array)
        pad = np.asarray((region.pads[0].array | region.pads[1].array) & ~bone)
        box = box_of(bone | pad)
        corner = region.mask.affine.copy()
        corner[:3, 3] += corner[:3, :3] @ np.array([axis.start for axis in box], dtype=float)
        sentence = (
            "The vertebra was loaded as it lies in the image, on the image's own voxels; the cement drawn on both ends was held along the "
            f"load and free to slide in its plane."
            f"{f' In {region.bone} {100 * loose:.2f} % of the voxels were loose and left out.' if loose >= 5e-5 else ''}"
        )
        return Specimen(
            bone=region.bone,
            density=np.where(bone, region.density.array, 0.0)[box],
            mineral=mineral_of(region.density),
            mask=bone[box],
            pad=pad[box],
            spacing=float(region.mask.spacing.mean()),
            to_patient=corner,
            gauge_length=region.lengths["height"],
            step=Step("loadcase", sentence, (WALLE_2025,)),
        )

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return the outer face of the lower cement held along the load, and that of the upper one pressed down."""
        return AxialCompression(inferior="sliding").constrain(specimen)
