"""Sideways fall of a proximal femur on its greater trochanter: the default hip test.

The pose of the published bench test: the shaft is adducted 10 degrees and the neck internally rotated 15 degrees, so that the
trochanter meets the ground on its posterolateral side. Specimen axis 2 is the load axis; axis 0 follows the shaft and axis 1
points to the front of a right femur (with x, y, z of the usual drawing: axis 0 = z, axis 1 = x, axis 2 = y, a cyclic change that
keeps hands). Left femora are mirrored, so that their specimen is that of the right femur which is their mirror image::

      axis 2 (load, trochanter to head)          axis 2
        ^                                          ^
        |            ===== head pad: moves down    |     neck, seen along the shaft
        |   distal  (     )  by the travel         |    /  leans 15 degrees
        |  __----___/ head |                       |   /   towards the back (-axis 1)
        | [ held   __     /                        |  (
        |  --__---    \\__/                         |   \\
        |              \\ _| trochanter             |
        |             =====  pad: held along 2     |
        +-------------------------> axis 0         +-----------> axis 1 (front)
            distal             proximal

The head is on the high-index side of axis 2, the trochanter on the low-index side; proximal is the high-index side of axis 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from ..errors import SettingsError
from ..mirror import mirror_image
from ..records import Array, BoneRegion, Boundary, Reference, Specimen, Step
from ..volume import Affine, to_patient
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

ACROSS = {"free": "free", "bonded": "held"}
"""A pad across the load, in words."""

REFERENCES = (
    Reference(
        "Sideways fall at 10 degrees adduction and 15 degrees internal rotation: Courtney et al. 1994 and later work", "recalled"
    ),
    Reference(
        "Pads of 10 mm that reach up to 6 mm over the surface, each held along the load alone, distal shaft held across it: "
        "Ogo and parosol-py, public code",
        "code",
    ),
)


@dataclass(frozen=True)
class SidewaysFall:
    """Presses a femur between a pad on its head and a pad on its greater trochanter."""

    voxel: float = 1.0
    """Edge of the cubic elements [mm]."""
    adduction_deg: float = 10.0
    """Of the shaft to the ground [degrees]; positive raises the distal end on the side of the head."""
    internal_rotation_deg: float = 15.0
    """Of the neck about the shaft [degrees]; positive turns the head to the back."""
    pad: float = 10.0
    """Thickness of each pad along the load [mm]."""
    intrusion: float = 6.0
    """Part of it that may reach over the surface of the bone [mm]."""
    distal_support: float = 6.0
    """Length of the shaft's end that is held [mm]."""
    head: Literal["free", "bonded"] = "free"
    """The head's pad across the load: free to slide, or held."""
    trochanter: Literal["free", "bonded"] = "free"
    """The same for the trochanter's."""
    edge: Edge = "plain"
    """Density at the edge of the bone."""

    def __post_init__(self) -> None:
        limits = (
            ("voxel", self.voxel, 0.2, 4.0, "mm"),
            ("adduction_deg", self.adduction_deg, -60.0, 60.0, "degrees"),
            ("internal_rotation_deg", self.internal_rotation_deg, -90.0, 90.0, "degrees"),
            ("pad", self.pad, 2.0, 40.0, "mm"),
            ("intrusion", self.intrusion, 1.0, self.pad - 1.0, "mm"),
            ("distal_support", self.distal_support, self.voxel, 30.0, "mm"),
        )
        for name, value, low, high, unit in limits:
            if not low <= value <= high:
                raise SettingsError(f"found {name} = {value:g} for the sideways fall, expected {low:g} to {high:g} {unit}")
        check_word("sideways fall", "head", self.head, ACROSS)
        check_word("sideways fall", "trochanter", self.trochanter, ACROSS)
        check_word("sideways fall", "edge", self.edge, EDGES)

    @property
    def name(self) -> str:
        """Key in settings and results."""
        return "femur-sideways-fall"

    @property
    def shaft_direction(self) -> Float[Array, "3"]:
        """Unit vector of the shaft to proximal, in specimen axes."""
        angle = np.radians(self.adduction_deg)
        return np.array([np.cos(angle), 0.0, -np.sin(angle)])

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the femur in its fall pose on cubic voxels, cut at standard length, with a flat pad on head and trochanter.

        Raises
        ------
        SegmentationError
            The bone falls into pieces on the model grid, or a pad finds too little bone to lie on.
        """
        left = region.side == "left"
        if left:
            region = mirror_image(region)
        shape, affine = posed_grid(region, self._axes(region), self.voxel, self.pad)
        inside, change = cut_bone(region, shape, affine, self.voxel)
        bone, loose = one_piece(region.bone, inside)
        density = density_on_grid(region, shape, affine, self.edge)
        pad = self._pads(region, bone, affine)
        box = box_of(bone | pad)
        corner = affine.copy()
        corner[:3, 3] = to_patient(affine, np.array([axis.start for axis in box], dtype=float))
        if left:
            corner[0] *= -1.0
        layers = np.flatnonzero(pad.any(axis=(0, 1)))
        return Specimen(
            bone=region.bone,
            density=np.where(bone, density, 0.0)[box],
            mineral=mineral_of(region.density),
            mask=bone[box],
            pad=pad[box],
            spacing=self.voxel,
            to_patient=corner,
            gauge_length=float(layers[-1] - layers[0] + 1) * self.voxel,
            step=self._describe(region, loose=loose, change=change),
        )

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return the head pad pressed towards the trochanter pad by one millimetre per millimetre, and the shaft's end guided."""
        layers = np.flatnonzero(specimen.pad.any(axis=(0, 1)))
        nodes = tuple(n + 1 for n in specimen.pad.shape)
        ground, head = np.zeros(nodes, dtype=bool), np.zeros(nodes, dtype=bool)
        ground[:, :, layers[0]] = corners_of(specimen.pad[:, :, layers[0]])
        head[:, :, layers[-1] + 1] = corners_of(specimen.pad[:, :, layers[-1]])
        fixed = np.zeros((*nodes, 3), dtype=bool)
        displacement = np.zeros((*nodes, 3))
        fixed[head, :2] = self.head == "bonded"
        fixed[ground, :2] = self.trochanter == "bonded"
        fixed[ground | head, 2] = True
        displacement[head, 2] = -1.0
        fixed[shaft_end_nodes(specimen, self.shaft_direction, self.distal_support), :2] = True
        return Boundary(
            fixed=fixed,
            displacement=displacement,
            loaded=head,
            direction=np.array([0.0, 0.0, -1.0]),
            description=(
                f"head pad moved towards the trochanter, uniformly and {ACROSS[self.head]} across the load; trochanter pad held along the load, "
                f"{ACROSS[self.trochanter]} across it; the last {self.distal_support:g} mm of the shaft held across the load, free along it"
            ),
        )

    def _axes(self, region: BoneRegion) -> Float[Array, "3 3"]:
        """Return the specimen's axes as columns in patient LPS, of a right femur."""
        medial, front, shaft = neck_shaft_axes(region)
        turn, lift = np.radians(self.internal_rotation_deg), np.radians(self.adduction_deg)
        # The neck leans to the back by the rotation: what was medial and front turn about the shaft ...
        across, to_front = np.cos(turn) * medial + np.sin(turn) * front, np.cos(turn) * front - np.sin(turn) * medial
        # ... and the shaft's distal end rises to the head's side by the adduction.
        load, along = np.cos(lift) * across - np.sin(lift) * shaft, np.sin(lift) * across + np.cos(lift) * shaft
        return np.column_stack([along, to_front, load])

    def _pads(self, region: BoneRegion, bone: Bool[Array, "i j k"], affine: Affine) -> Bool[Array, "i j k"]:
        """Return cement between a flat outer face and the surface, where the surface is less than ``intrusion`` from its tip."""
        over, under = round(self.intrusion / self.voxel), round((self.pad - self.intrusion) / self.voxel)
        inverse = np.linalg.inv(affine)
        trochanter = (inverse @ np.append(region.landmarks["lesser_trochanter_axis"], 1.0))[:3]
        i, _ = np.indices(bone.shape[:2])
        near_head = columns_near_head(region, bone.shape, affine, self.voxel)
        pad = flat_pad(f"the head of {region.bone}", bone, near_head, over, under, self.voxel)
        above = i > trochanter[0]
        flipped = flat_pad(f"the greater trochanter of {region.bone}", bone[:, :, ::-1], above, over, under, self.voxel)
        return np.asarray(pad | flipped[:, :, ::-1])

    def _describe(self, region: BoneRegion, *, loose: float, change: float) -> Step:
        sentence = (
            f"The femur was posed for a sideways fall ({self.adduction_deg:g} degrees adduction, {self.internal_rotation_deg:g} degrees "
            f"internal rotation; left femora mirrored), its density interpolated once to cubes of {self.voxel:g} mm "
            f"({EDGES[self.edge]}), its shaft cut at most {STANDARD_SHAFT:g} mm below the lesser trochanter; flat pads of bone cement, "
            f"{self.pad:g} mm thick and up to {self.intrusion:g} mm over the surface, lay on the head and the greater trochanter, "
            f"and the last {self.distal_support:g} mm of the shaft were held across the load."
        )
        return Step("loadcase", sentence, REFERENCES, doubts_of_grid(region.bone, change=change, loose=loose))
