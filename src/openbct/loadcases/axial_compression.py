"""Axial compression of a vertebral body between two flat pads of bone cement: the default vertebral test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from ..errors import SegmentationError, SettingsError
from ..records import Array, BoneRegion, Boundary, Reference, Specimen, Step
from ..volume import Affine, resample, to_patient
from .grid import EDGES, Edge, box_of, check_word, corners_of, density_on_grid, mineral_of, one_piece

INTRUSION = 6.0
"""How far below the endplate plane a column may end and still be filled with cement [mm]: 6 of 10 mm in public code [SC]."""
VOLUME_CAUTION = 0.02
"""Change of the body's volume by the model grid above which a caution is due [D]."""
CONTACT_CAUTION, CONTACT_REFUSAL = 0.90, 0.60
"""Share of an endplate's columns that touch the pad [D; fe-methods plausibility table]."""
NUDGE = 1e-3
"""Shift of the model grid [voxels]; it breaks ties of the cut at one half [D]."""
RIM = 3.0
"""Width of the outline that is left out when contact is judged [mm] [D]."""

SUPERIOR = {
    "free": "uniformly, free to slide in its plane",
    "bonded": "uniformly, held in its plane",
    "tilting": "at its middle, free to slide in its plane and to tilt",
}
POSED = {"free": "free to slide in its plane", "bonded": "held in its plane", "tilting": "free to slide in its plane and to tilt"}
INFERIOR = {"clamped": "held in x, y, z", "sliding": "held along the load, free to slide in its plane"}

REFERENCES = (
    Reference("Axial compression of the isolated body after endplate alignment: Crawford et al. 2003 and later work", "recalled"),
    Reference(
        "Lower pad held in x, y, z and upper pad moved along z, lateral directions free, as in public voxel-FE code", "code"
    ),
)


@dataclass(frozen=True)
class AxialCompression:
    """Compresses a vertebral body along the mean normal of its endplates."""

    voxel: float = 1.0
    """Edge of the cubic elements [mm]."""
    cap: float = 5.0
    """Cement beyond the most prominent endplate voxel [mm], at least."""
    superior: Literal["free", "bonded", "tilting"] = "free"
    """Upper pad: free to slide in its plane, held there, or free to slide and to find its own tilt (linear tests only)."""
    inferior: Literal["clamped", "sliding"] = "clamped"
    """Lower pad: held in all directions, or along the load alone."""
    edge: Edge = "plain"
    """Density at the edge of the body."""

    def __post_init__(self) -> None:
        for name, value, low, high in (("voxel", self.voxel, 0.2, 4.0), ("cap", self.cap, 1.0, 30.0)):
            if not low <= value <= high:
                raise SettingsError(f"found {name} = {value:g} mm for the axial compression, expected {low:g} to {high:g} mm")
        check_word("axial compression", "superior", self.superior, SUPERIOR)
        check_word("axial compression", "inferior", self.inferior, INFERIOR)
        check_word("axial compression", "edge", self.edge, EDGES)

    @property
    def name(self) -> str:
        """Key in settings and results."""
        return "vertebra-compression"

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the body turned into its endplate frame, on cubic voxels, with a flat cement pad on each endplate.

        Raises
        ------
        SegmentationError
            The body falls into pieces on the model grid, or its endplates cannot carry a pad.
        """
        shape, affine = self._grid(region)
        inside = resample(region.mask, shape, affine, order=1).array >= 0.5
        density = density_on_grid(region, shape, affine, self.edge)
        bone, loose = one_piece(region.bone, inside)
        change = float(bone.sum()) * self.voxel**3 / (float(region.mask.array.sum()) * region.mask.voxel_volume) - 1.0
        pad, contact = _pads(region.bone, bone, voxel=self.voxel, cap=self.cap)
        box = box_of(bone | pad)
        corner = affine.copy()
        corner[:3, 3] = to_patient(affine, np.array([axis.start for axis in box], dtype=float))
        return Specimen(
            bone=region.bone,
            density=np.where(bone, density, 0.0)[box],
            mineral=mineral_of(region.density),
            mask=bone[box],
            pad=pad[box],
            spacing=self.voxel,
            to_patient=corner,
            gauge_length=region.lengths["height"],
            step=self._describe(region, loose=loose, change=change, contact=contact),
        )

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return the lower pad held, the upper pad pressed down by one millimetre per millimetre of travel."""
        layers = np.flatnonzero(specimen.pad.any(axis=(0, 1)))
        nodes = tuple(n + 1 for n in specimen.pad.shape)
        bottom, top = np.zeros(nodes, dtype=bool), np.zeros(nodes, dtype=bool)
        bottom[:, :, layers[0]] = corners_of(specimen.pad[:, :, layers[0]])
        top[:, :, layers[-1] + 1] = corners_of(specimen.pad[:, :, layers[-1]])
        fixed = np.zeros((*nodes, 3), dtype=bool)
        displacement = np.zeros((*nodes, 3))
        fixed[bottom] = self.inferior == "clamped"
        fixed[bottom, 2] = True
        fixed[top] = self.superior == "bonded"
        fixed[top, 2] = True
        displacement[top, 2] = -1.0
        rotation = "no rotation of either" if self.superior != "tilting" else "no rotation of the lower pad"
        return Boundary(
            fixed=fixed,
            displacement=displacement,
            loaded=top,
            direction=np.array([0.0, 0.0, -1.0]),
            description=f"inferior pad {INFERIOR[self.inferior]}; superior pad moved down {SUPERIOR[self.superior]}; {rotation}",
            tilts=self.superior == "tilting",
        )

    def _grid(self, region: BoneRegion) -> tuple[tuple[int, int, int], Affine]:
        """Return shape and affine of a grid in the bone's frame with room for the pads."""
        centres = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float))
        local = (centres - region.frame.origin) @ region.frame.axes
        reach = float(region.mask.spacing.max()) + 2 * self.voxel
        room = np.array([reach, reach, reach + self.cap + self.voxel])
        low, high = local.min(axis=0) - room, local.max(axis=0) + room
        # voxel centres at whole multiples from the frame's origin: the same bone always meets the same grid; the nudge decides
        # for one side where a straight wall lies midway between two centres, else both or neither would be bone
        first, last = np.floor(low / self.voxel).astype(int), np.ceil(high / self.voxel).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = region.frame.axes * self.voxel
        affine[:3, 3] = region.frame.origin + region.frame.axes @ ((first + NUDGE) * self.voxel)
        i, j, k = (int(n) for n in last - first + 1)
        return (i, j, k), affine

    def _describe(self, region: BoneRegion, *, loose: float, change: float, contact: tuple[float, float]) -> Step:
        cautions = []
        if abs(change) > VOLUME_CAUTION:
            cautions.append(
                f"{region.bone}: the model holds {100 * change:+.1f} % more bone than the mask (expected within {100 * VOLUME_CAUTION:g} %); "
                "its voxels are coarse for this shape."
            )
        if min(contact) < CONTACT_CAUTION:
            cautions.append(
                f"{region.bone}: the pads cover {100 * contact[1]:.0f} % of the upper and {100 * contact[0]:.0f} % of the lower endplate "
                f"(expected at least {100 * CONTACT_CAUTION:g} %); the load enters unevenly."
            )
        sentence = (
            f"The body was turned so that its axis is the load axis, and its density interpolated once to cubes of {self.voxel:g} mm "
            f"({EDGES[self.edge]}); bone cement filled each endplate's "
            f"concavity and made it flat {self.cap:g} mm beyond its most prominent voxel; the upper pad was "
            f"{POSED[self.superior]}. The volume of {region.bone} changed by {100 * change:+.1f} %"
            f"{f', {100 * loose:.2f} % of its voxels were loose and left out' if loose >= 5e-5 else ''}."
        )
        return Step("loadcase", sentence, REFERENCES, tuple(cautions))


def _pads(bone: str, body: Bool[Array, "i j k"], *, voxel: float, cap: float) -> tuple[Bool[Array, "i j k"], tuple[float, float]]:
    """Return the cement and the share of the lower and the upper endplate that it covers."""
    n = body.shape[2]
    footprint = np.asarray(body.any(axis=2))
    # the outline is rounded where the wall turns into the endplate: contact is asked of what lies inside it
    inner: Array = ndimage.binary_erosion(footprint, iterations=max(1, round(RIM / voxel)))
    k = np.arange(n)
    pad = np.zeros_like(body)
    covered = []
    for end in ("lower", "upper"):
        side = body if end == "upper" else body[:, :, ::-1]
        top = np.where(footprint, n - 1 - np.argmax(side[:, :, ::-1], axis=2), -1)
        plate = _endplate_columns(top, footprint, INTRUSION / voxel)
        outer = int(top[plate].max()) + int(np.ceil(cap / voxel - 1e-6))
        fill = plate[:, :, None] & (k > top[:, :, None]) & (k <= outer)
        pad |= fill if end == "upper" else fill[:, :, ::-1]
        covered.append(float(plate[inner].sum()) / max(float(inner.sum()), 1.0))
        if covered[-1] < CONTACT_REFUSAL:
            raise SegmentationError(
                f"found that a flat pad would cover {100 * covered[-1]:.0f} % of the {end} endplate of {bone}, expected at least "
                f"{100 * CONTACT_REFUSAL:g} %; the body is tilted, fractured or badly labelled"
            )
    return pad, (covered[0], covered[1])


def _endplate_columns(top: Array, footprint: Bool[Array, "i j"], depth: float) -> Bool[Array, "i j"]:
    """Return the columns that end at the endplate: not farther than ``depth`` voxels below the plane through most of them."""
    i, j = np.nonzero(footprint)
    base = np.column_stack([i, j, np.ones(len(i))]).astype(float)
    height = top[i, j].astype(float)
    # the median first: a plane through all columns would lean into a collapsed side
    keep = height - np.median(height) >= -depth
    for _ in range(3):
        plane, *_ = np.linalg.lstsq(base[keep], height[keep], rcond=None)
        keep = height - base @ plane >= -depth
    plate = np.zeros_like(footprint)
    plate[i[keep], j[keep]] = True
    return plate
