"""One-legged stance of a proximal femur: the head is loaded from above, the shaft is clamped.

The load leans from the shaft by an angle in the plane of shaft and neck, as the hip's reaction does in walking: it points to distal
and lateral. Specimen axis 2 is the load axis (up), axis 0 points to lateral and axis 1 to the front of a right femur; left
femora are mirrored, so that their specimen is that of the right femur which is their mirror image::

      axis 2 (against the load)
        ^        ____ pad on the head: moves down
        |      (      )
        |       \\ head )___
        |        ‾‾‾--.    ‾\\    greater trochanter
        |              \\    )
        |               |  |     shaft: leans by load_angle_deg
        |               [held]   its end is clamped
        +-------------------------> axis 0 (lateral)

"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..errors import SettingsError
from ..mirror import mirror_image
from ..records import Array, BoneRegion, Boundary, Reference, Specimen, Step
from ..volume import to_patient
from .femur_grid import (
    STANDARD_SHAFT,
    columns_near_head,
    cut_bone,
    doubts_of_grid,
    flat_pad,
    neck_shaft_axes,
    posed_grid,
    shaft_end_nodes,
)
from .grid import EDGES, Edge, box_of, check_word, corners_of, density_on_grid, mineral_of, one_piece

REFERENCES = (
    Reference(
        "Load on the head at 20 degrees to the shaft in the frontal plane, pointing lateral and distal, shaft's end fixed: Keyak and "
        "co-workers",
        "recalled",
    ),
    Reference("Head in a stiff cup, distal block held, as in the stance-like test of Sas et al. 2020, public code", "code"),
    Reference("Cup of cement that reaches half a radius over the head, free across the load", "design"),
)


@dataclass(frozen=True)
class Stance:
    """Presses on a femur's head along a line that leans from its clamped shaft."""

    voxel: float = 1.0
    """Edge of the cubic elements [mm]."""
    load_angle_deg: float = 20.0
    """Between load and shaft, in the plane of shaft and neck [degrees]; positive points to lateral and distal [R]."""
    head: Literal["free", "bonded"] = "free"
    """The cup across the load: free to slide with the head [D], or held as a cup on a guided ram."""
    pad: float = 16.0
    """Thickness of the cup along the load [mm] [D]."""
    intrusion: float = 12.0
    """Part of it that may reach over the head [mm]: half its radius, so that it is a cup and not a stamp [D]; 6 to 22 mm are worth 8 %
    of the strength on the public femur and move its failure from the top of the head to below it [C]."""
    distal_support: float = 6.0
    """Length of the shaft's end that is clamped [mm] [D]."""
    edge: Edge = "plain"
    """Density at the edge of the bone."""

    def __post_init__(self) -> None:
        limits = (
            ("voxel", self.voxel, 0.2, 4.0, "mm"),
            ("load_angle_deg", self.load_angle_deg, -30.0, 60.0, "degrees"),
            ("pad", self.pad, 2.0, 40.0, "mm"),
            ("intrusion", self.intrusion, 1.0, self.pad - 1.0, "mm"),
            ("distal_support", self.distal_support, self.voxel, 30.0, "mm"),
        )
        for name, value, low, high, unit in limits:
            if not low <= value <= high:
                raise SettingsError(f"found {name} = {value:g} for the stance, expected {low:g} to {high:g} {unit}")
        check_word("stance", "head", self.head, ("free", "bonded"))
        check_word("stance", "edge", self.edge, EDGES)

    @property
    def name(self) -> str:
        """Key in settings and results."""
        return "femur-stance"

    @property
    def shaft_direction(self) -> Float[Array, "3"]:
        """Unit vector of the shaft to proximal, in specimen axes."""
        angle = np.radians(self.load_angle_deg)
        return np.array([np.sin(angle), 0.0, np.cos(angle)])

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the femur with its load axis upright on cubic voxels, cut at standard length, with a cup on its head.

        The gauge length is the distance along the load from the outer face of the cup to the middle of the clamped plane.

        Raises
        ------
        SegmentationError
            The bone falls into pieces on the model grid, or the cup finds too little bone to lie on.
        """
        left = region.side == "left"
        if left:
            region = mirror_image(region)
        shape, affine = posed_grid(region, self._axes(region), self.voxel, self.pad)
        inside, change = cut_bone(region, shape, affine, self.voxel)
        bone, loose = one_piece(region.bone, inside)
        density = density_on_grid(region, shape, affine, self.edge)
        over, under = round(self.intrusion / self.voxel), round((self.pad - self.intrusion) / self.voxel)
        allowed = columns_near_head(region, bone.shape, affine, self.voxel)
        pad = flat_pad(f"the head of {region.bone}", bone, allowed, over, under, self.voxel)
        box = box_of(bone | pad)
        corner = affine.copy()
        corner[:3, 3] = to_patient(affine, np.array([axis.start for axis in box], dtype=float))
        face = float(np.flatnonzero(pad[box].any(axis=(0, 1)))[-1]) + 0.5
        length = face * self.voxel - self._height_of_cut(region, corner)
        if left:
            corner[0] *= -1.0
        return Specimen(
            bone=region.bone,
            density=np.where(bone, density, 0.0)[box],
            mineral=mineral_of(region.density),
            mask=bone[box],
            pad=pad[box],
            spacing=self.voxel,
            to_patient=corner,
            gauge_length=length,
            step=self._describe(region, loose=loose, change=change),
        )

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return the cup pressed down by one millimetre per millimetre of travel, and the shaft's end clamped."""
        layers = np.flatnonzero(specimen.pad.any(axis=(0, 1)))
        nodes = tuple(n + 1 for n in specimen.pad.shape)
        cup = np.zeros(nodes, dtype=bool)
        cup[:, :, layers[-1] + 1] = corners_of(specimen.pad[:, :, layers[-1]])
        fixed = np.zeros((*nodes, 3), dtype=bool)
        displacement = np.zeros((*nodes, 3))
        fixed[shaft_end_nodes(specimen, self.shaft_direction, self.distal_support)] = True
        fixed[cup] = (False, False, True) if self.head == "free" else (True, True, True)
        displacement[cup, 2] = -1.0
        across = "free across the load" if self.head == "free" else "held across the load"
        return Boundary(
            fixed=fixed,
            displacement=displacement,
            loaded=cup,
            direction=np.array([0.0, 0.0, -1.0]),
            description=(
                f"cup on the head moved uniformly along a line {self.load_angle_deg:g} degrees from the shaft in the plane of shaft and "
                f"neck, {across}; the last {self.distal_support:g} mm of the shaft clamped in x, y, z; no rotation of either"
            ),
        )

    def _axes(self, region: BoneRegion) -> Float[Array, "3 3"]:
        """Return the specimen's axes as columns in patient LPS, of a right femur."""
        medial, front, shaft = neck_shaft_axes(region)
        lean = np.radians(self.load_angle_deg)
        up = np.cos(lean) * shaft + np.sin(lean) * medial
        return np.column_stack([np.cross(front, up), front, up])

    def _height_of_cut(self, region: BoneRegion, corner: Array) -> float:
        """Return where the shaft's axis meets the plane at which it was cut, along the load from the first voxel's centre [mm]."""
        length = min(STANDARD_SHAFT, region.lengths["shaft_below_lesser_trochanter"])
        cut = region.landmarks["lesser_trochanter_axis"] - length * region.frame.axes[:, 2]
        return float((cut - corner[:3, 3]) @ corner[:3, 2]) / self.voxel

    def _describe(self, region: BoneRegion, *, loose: float, change: float) -> Step:
        sentence = (
            f"The femur was posed for stance (load on the head {self.load_angle_deg:g} degrees from the shaft, to distal and lateral; left "
            f"femora mirrored), its density interpolated once to cubes of {self.voxel:g} mm ({EDGES[self.edge]}), its shaft cut at most {STANDARD_SHAFT:g} mm "
            f"below the lesser trochanter; a flat-topped cup of bone cement, {self.pad:g} mm thick and up to {self.intrusion:g} mm over the "
            f"surface, lay on the head, and the last {self.distal_support:g} mm of the shaft were clamped."
        )
        return Step("loadcase", sentence, REFERENCES, doubts_of_grid(region.bone, change=change, loose=loose))
