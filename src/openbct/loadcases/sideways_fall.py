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

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import SegmentationError, SettingsError
from ..mirror import mirror_image
from ..records import Array, BoneRegion, Boundary, Reference, Specimen, Step
from ..volume import Affine, along, resample, to_patient
from .grid import box_of, corners_of, mineral_of, one_piece

STANDARD_SHAFT = 40.0
"""Shaft kept below the lesser trochanter [mm]: target of the default recipe [D]."""
VOLUME_CAUTION = 0.02
"""Change of the bone's volume by the model grid above which a caution is due [D]."""
SMALLEST_PATCH = 150.0
"""Area of a pad on the bone below which the load enters through a point [mm²] [D]; the public femur has 600 to 1100 [C]."""

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
        shape, affine = self._grid(region)
        inside, change = self._bone(region, shape, affine)
        bone, loose = one_piece(region.bone, inside)
        density = resample(region.density, shape, affine, order=1).array
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
        fixed[ground | head, 2] = True
        displacement[head, 2] = -1.0
        fixed[self._distal_nodes(specimen), :2] = True
        return Boundary(
            fixed=fixed,
            displacement=displacement,
            loaded=head,
            direction=np.array([0.0, 0.0, -1.0]),
            description=(
                "head pad moved towards the trochanter, uniformly and free across the load; trochanter pad held along the load, free "
                f"across it; the last {self.distal_support:g} mm of the shaft held across the load, free along it"
            ),
        )

    def _axes(self, region: BoneRegion) -> Float[Array, "3 3"]:
        """Return the specimen's axes as columns in patient LPS, of a right femur."""
        shaft = region.frame.axes[:, 2]
        neck = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
        medial = neck - float(neck @ shaft) * shaft
        medial = medial / np.linalg.norm(medial)
        front = np.cross(medial, shaft)
        turn, lift = np.radians(self.internal_rotation_deg), np.radians(self.adduction_deg)
        # The neck leans to the back by the rotation: what was medial and front turn about the shaft ...
        across, to_front = np.cos(turn) * medial + np.sin(turn) * front, np.cos(turn) * front - np.sin(turn) * medial
        # ... and the shaft's distal end rises to the head's side by the adduction.
        load, along = np.cos(lift) * across - np.sin(lift) * shaft, np.sin(lift) * across + np.cos(lift) * shaft
        return np.column_stack([along, to_front, load])

    def _grid(self, region: BoneRegion) -> tuple[tuple[int, int, int], Affine]:
        """Return shape and affine of a grid in the fall pose with room for the pads, voxel centres counted from the head's."""
        axes, origin = self._axes(region), region.landmarks["head_centre"]
        local = (to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float)) - origin) @ axes
        distal = (local - _local_point(region, axes)) @ self.shaft_direction
        local = local[distal >= -STANDARD_SHAFT - 5.0]
        room = float(region.mask.spacing.max()) + 2 * self.voxel + np.array([0.0, 0.0, self.pad])
        first = np.floor((local.min(axis=0) - room) / self.voxel).astype(int)
        last = np.ceil((local.max(axis=0) + room) / self.voxel).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = axes * self.voxel
        affine[:3, 3] = origin + axes @ (first * self.voxel)
        i, j, k = (int(n) for n in last - first + 1)
        return (i, j, k), affine

    def _bone(self, region: BoneRegion, shape: tuple[int, int, int], affine: Affine) -> tuple[Bool[Array, "i j k"], float]:
        """Return the bone on the model grid, cut across its shaft, and by which share its volume changed."""
        length = min(STANDARD_SHAFT, region.lengths["shaft_below_lesser_trochanter"])
        shaft = region.frame.axes[:, 2]
        bottom = float(region.landmarks["lesser_trochanter_axis"] @ shaft) - length
        inside = resample(region.mask, shape, affine, order=1).array >= 0.5
        inside &= along(shape, affine, shaft) >= bottom
        native = region.mask.array & (along(region.mask.shape, region.mask.affine, shaft) >= bottom)
        change = float(inside.sum()) * self.voxel**3 / (float(native.sum()) * region.mask.voxel_volume) - 1.0
        return inside, change

    def _pads(self, region: BoneRegion, bone: Bool[Array, "i j k"], affine: Affine) -> Bool[Array, "i j k"]:
        """Return cement between a flat outer face and the surface, where the surface is less than ``intrusion`` from its tip."""
        over, under = round(self.intrusion / self.voxel), round((self.pad - self.intrusion) / self.voxel)
        inverse = np.linalg.inv(affine)
        head = (inverse @ np.append(region.landmarks["head_centre"], 1.0))[:3]
        trochanter = (inverse @ np.append(region.landmarks["lesser_trochanter_axis"], 1.0))[:3]
        i, j = np.indices(bone.shape[:2])
        near_head = np.hypot(i - head[0], j - head[1]) * self.voxel <= region.lengths["head_radius"] + self.voxel
        pad = _pad(f"the head of {region.bone}", bone, near_head, over, under, self.voxel)
        above = i > trochanter[0]
        flipped = _pad(f"the greater trochanter of {region.bone}", bone[:, :, ::-1], above, over, under, self.voxel)
        return np.asarray(pad | flipped[:, :, ::-1])

    def _distal_nodes(self, specimen: Specimen) -> Bool[Array, "i1 j1 k1"]:
        """Return the nodes of bone within ``distal_support`` of the plane across the shaft where it was cut."""
        step = self.shaft_direction * specimen.spacing
        bone = np.argwhere(specimen.mask)
        # The plane goes through the model's lowest node, half a voxel below the lowest centre.
        cut = min(float(((bone + corner) @ step).min()) for corner in np.ndindex(2, 2, 2))
        nodes = np.zeros(tuple(n + 1 for n in specimen.mask.shape), dtype=bool)
        low = bone[bone @ step <= cut + self.distal_support + 2.0 * specimen.spacing]
        for corner in np.ndindex(2, 2, 2):
            place = low + corner
            at = place[place @ step - cut <= self.distal_support]
            nodes[at[:, 0], at[:, 1], at[:, 2]] = True
        return nodes

    def _describe(self, region: BoneRegion, *, loose: float, change: float) -> Step:
        cautions = []
        if abs(change) > VOLUME_CAUTION:
            cautions.append(
                f"{region.bone}: the model holds {100 * change:+.1f} % more bone than the label (expected within "
                f"{100 * VOLUME_CAUTION:g} %); its voxels are coarse for this shape."
            )
        if loose > 0.005:
            cautions.append(f"{region.bone}: {100 * loose:.1f} % of the bone were loose on the model grid and were left out.")
        sentence = (
            f"The femur was posed for a sideways fall ({self.adduction_deg:g} degrees adduction, {self.internal_rotation_deg:g} degrees "
            f"internal rotation; left femora mirrored), its density interpolated once to cubes of {self.voxel:g} mm, its shaft cut at most "
            f"{STANDARD_SHAFT:g} mm below the lesser trochanter; flat pads of bone cement, {self.pad:g} mm thick and up to "
            f"{self.intrusion:g} mm over the surface, lay on the head and the greater trochanter, and the last {self.distal_support:g} mm "
            "of the shaft were held across the load."
        )
        return Step("loadcase", sentence, REFERENCES, tuple(cautions))


def _local_point(region: BoneRegion, axes: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Return the shaft axis at the lesser trochanter from the head centre, in specimen axes."""
    return np.asarray((region.landmarks["lesser_trochanter_axis"] - region.landmarks["head_centre"]) @ axes)


def _pad(
    place: str, bone: Bool[Array, "i j k"], allowed: Bool[Array, "i j"], over: int, under: int, voxel: float
) -> Bool[Array, "i j k"]:
    """Return a pad above the bone's highest layer in the allowed columns; ``over`` and ``under`` in voxels."""
    n = bone.shape[2]
    footprint = bone.any(axis=2) & allowed
    top = np.where(footprint, n - 1 - np.argmax(bone[:, :, ::-1], axis=2), -1)
    tip = int(top.max())
    # Whiskers and slits at the rim of the patch are staircases of the voxels, not contact.
    patch = ndimage.binary_fill_holes(ndimage.binary_opening(top > tip - over)) & footprint
    labels, _ = ndimage.label(patch)
    patch = (labels > 0) & (labels == labels[np.unravel_index(int(np.argmax(top)), top.shape)])
    area = float(patch.sum()) * voxel**2
    if tip < 0 or area < SMALLEST_PATCH:
        raise SegmentationError(
            f"found {max(area, 0.0):.0f} mm² of bone under the pad on {place}, expected at least {SMALLEST_PATCH:g} mm²; the label "
            "has a spike there or the pose is wrong: check it in three planes"
        )
    k = np.arange(n)
    return np.asarray(patch[:, :, None] & (k > top[:, :, None]) & (k <= tip + under))
