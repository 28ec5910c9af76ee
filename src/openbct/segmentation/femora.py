"""The proximal femora of a scan, found without labels: heads by their balls, shafts below them, the rest between the two."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..errors import SegmentationError
from ..records import BoneMask, Reference
from ..volume import Volume, bounding_box, corners, crop, to_index
from .femur_mask import Solid, fill_femur
from .femur_neck_line import weakest_section
from .femur_shaft_line import LESSER_TROCHANTER, ShaftLine, find_shaft
from .found import FoundBones
from .given import FEMORA
from .head_surface import HeadSurface, shape_head
from .hip_joint import HeadSeed, find_heads
from .joint_plate import ALONE, head_alone, plate_cautions
from .workgrid import in_hounsfield, sample

Array = np.ndarray

KEPT = 90.0
"""Shaft kept below the apex of the lesser trochanter, which is taken to lie 2.33 head radii below the head's centre [mm]."""
NEEDED = 12.0
"""Shaft that must be in the image below that level [mm]: less cannot be supported in a test [D]."""
TRIED = 9
"""Places with the look of a head that are followed up [D]."""
PAIR_APART, PAIR_LEVEL = (120.0, 250.0), 30.0
"""Two heads of one pelvis lie so far apart sideways, and so much off level or depth at most [mm] [D]."""
LEAST_SEEN, LEAST_GAP = 0.30, 0.10
"""Share of a head's surface that must be seen, and of its upper half behind which bone follows a gap [-] [D]."""
SURE = 0.15
"""Of what was seen of a joint, the product from which no other place is looked at for a better one [-] [D]."""
METAL_HU, METAL_MM3 = 2500.0, 200.0
"""Brighter than any bone [HU], and the volume of it that refuses [mm³], as in the anatomy of a femur [D]."""
USUAL_SIZE = (5.0, 7.0, 12.5, 16.0)
"""Volume above the lesser trochanter's level over the cube of the head's radius [-]: impossible below the first and above the last; nine
femora, one of them real, have 8.5 to 11.8 [C]."""
BROKEN, THIN = 0.15, 0.30
"""Bone in the weakest section of a neck over the median of its sections [-]: less than the first is a break, less than the second a doubt. Whole
necks of simulated femora have 0.46 to 0.65, one broken with a gap of 4 mm 0.05 [C]; the limits are by design [D]."""
NONE_FOUND = "no femoral head with its socket was found in the image"
FINE, SHAFT_GRID = 1.0, 2.0
"""Edges of the voxels on which a femur is cut out and its shaft looked for [mm] [D]."""
REFERENCE = Reference(
    "Yedidia JS, Freeman WT, Weiss Y, Understanding belief propagation and its generalizations, 2003: the head's surface",
    "recalled",
)


@dataclass(frozen=True)
class Hip:
    """One side, as far as it was found."""

    head: HeadSurface
    seed: HeadSeed
    shaft: ShaftLine

    @property
    def joint(self) -> float:
        """How much of the head's surface was seen, and bone behind a gap above it, 0 to 1."""
        upper = self.head.rays[:, 2] > 0.2
        return float(self.head.seen.mean() * (self.head.gap * self.head.seen)[upper].mean())


def find_femora(image: Volume, wanted: tuple[str, ...] = FEMORA) -> FoundBones:
    """Return both proximal femora of a scan in canonical orientation, or why one is not there.

    Parameters
    ----------
    image
        [HU], or [mg/cm³].
    wanted
        The femora that are asked for; both are looked for, since each speaks for the other.
    """
    image = in_hounsfield(image)
    absent = dict.fromkeys(FEMORA, NONE_FOUND)
    bones: dict[str, BoneMask] = {}
    parts: dict[str, dict[str, float]] = {}
    hips = _best_hips(image, absent)
    for name, hip in hips.items():
        if name not in wanted:
            continue
        try:
            bones[name], parts[name] = _cut_out(name, image, hip)
            absent.pop(name, None)
        except SegmentationError as error:
            absent[name] = str(error)
    if len(bones) == 2:
        alike = _alike(hips, bones)
        parts = {name: {**own, "sides_alike": alike} for name, own in parts.items()}
    sentence = (
        "Proximal femora were found without labels: heads as balls with a socket, their surface in the joint as the best set of radii of "
        "neighbouring rays, the rest as what the cortex encloses; the edge lies where the image falls halfway to its surroundings."
    )
    return FoundBones(bones, absent, parts, sentence if bones else "", (REFERENCE,) if bones else (), plate_cautions(parts))


def _best_hips(image: Volume, absent: dict[str, str]) -> dict[str, Hip]:
    """Return the best hip of each side; reasons of a pair that cannot be used go to ``absent``."""
    hips: dict[str, Hip] = {}
    for seed, left in _ordered(find_heads(image)):
        if all(name in hips and hips[name].joint > SURE for name in FEMORA):
            break
        known = [hip for hip in hips.values() if hip.joint > SURE]
        if any(np.linalg.norm(seed.centre - hip.head.centre) < PAIR_APART[0] for hip in known):
            continue
        found = _follow(image, seed, left)
        if isinstance(found, str):
            name = FEMORA[0 if left else 1]
            if left is not None and absent[name] == NONE_FOUND:
                absent[name] = found
            continue
        name = FEMORA[0 if found.shaft.left else 1]
        if name not in hips or found.joint > hips[name].joint:
            hips[name] = found
    if len(hips) == 2 and np.linalg.norm(np.subtract(*(hip.head.centre for hip in hips.values()))) < PAIR_APART[0]:
        hips.pop(min(hips, key=lambda name: hips[name].joint))
    return hips


def find_femur_in(image: Volume, centre: Float[Array, "3"], radius: float) -> FoundBones:
    """Return the femur whose head lies about a place, as :func:`find_femora` does: for an image that shows one hip in part.

    Parameters
    ----------
    image
        [HU], or [mg/cm³].
    centre, radius
        Of the head, to some millimetres: patient LPS [mm], [mm].
    """
    image = in_hounsfield(image)
    found = _follow(image, HeadSeed(np.asarray(centre, dtype=float), radius, 1.0, 1.0), None)
    if isinstance(found, str):
        return FoundBones({}, dict.fromkeys(FEMORA, found), {})
    name = FEMORA[0 if found.shaft.left else 1]
    try:
        bone, parts = _cut_out(name, image, found)
    except SegmentationError as error:
        return FoundBones({}, {name: str(error)}, {})
    return FoundBones({name: bone}, {}, {name: parts}, cautions=plate_cautions({name: parts}))


def _ordered(seeds: list[HeadSeed]) -> list[tuple[HeadSeed, bool | None]]:
    """Return the seeds in the order in which they are followed, with the side where a pair tells it: left or not."""
    pairs = []
    for a, b in combinations(seeds, 2):
        right, left = sorted((a, b), key=lambda one: float(one.centre[0]))
        apart = left.centre - right.centre
        if PAIR_APART[0] < apart[0] < PAIR_APART[1] and np.abs(apart[1:]).max() < PAIR_LEVEL:
            pairs.append((a.score + b.score, right, left))
    if not pairs:
        return [(seed, None) for seed in seeds[:TRIED]]
    _, right, left = max(pairs, key=lambda one: one[0])
    others = [(seed, None) for seed in seeds if seed is not right and seed is not left]
    return [(right, False), (left, True), *others[: TRIED - 2]]


def _follow(image: Volume, seed: HeadSeed, left: bool | None) -> Hip | str:
    """Return the hip at a seed, or why there is none that can be used."""
    box = sample(image, seed.centre - 46.0, seed.centre + 46.0, FINE)
    head = shape_head(box.with_array(ndimage.gaussian_filter(box.array, 0.7)), seed.centre, seed.radius)
    upper = head.rays[:, 2] > 0.2
    if head.seen.mean() < LEAST_SEEN or float((head.gap * head.seen)[upper].mean()) < LEAST_GAP:
        return NONE_FOUND
    bright = np.argwhere(box.array > METAL_HU) * FINE + box.affine[:3, 3]
    in_head = float((np.linalg.norm(bright - head.centre, axis=1) < 1.3 * head.radius).sum()) * FINE**3
    if in_head > METAL_MM3:
        return _metal(in_head)
    lowest = float(corners(image)[:, 2].min())
    needed = head.centre[2] - LESSER_TROCHANTER * head.radius - NEEDED
    if lowest > needed:
        return (
            f"the scan ends {max(head.centre[2] - lowest, 0.0):.0f} mm below the centre of the femoral head, expected at least "
            f"{LESSER_TROCHANTER * head.radius + NEEDED:.0f} mm: trochanters and shaft are cut by the image"
        )
    cut = _cut_level(image, head)
    low, high = head.centre + [-100.0, -85.0, 0.0], head.centre + [100.0, 85.0, 0.0]
    low[2] = cut
    around = sample(image, low, high, SHAFT_GRID)
    shaft = find_shaft(around, head.centre, head.radius, left)
    if shaft is None:
        return "a femoral head was found, but no shaft below it"
    return Hip(head, seed, shaft)


def _cut_level(image: Volume, head: HeadSurface) -> float:
    """Return how far down a femur is kept: patient z [mm]."""
    lowest = float(corners(image)[:, 2].min()) - 0.5 * float(image.spacing[2])
    return max(lowest, float(head.centre[2]) - LESSER_TROCHANTER * head.radius - KEPT)


def _cut_out(name: str, image: Volume, hip: Hip) -> tuple[BoneMask, dict[str, float]]:
    """Return the mask of a femur on the scan's voxels, and what speaks for it."""
    head, shaft = hip.head, hip.shaft
    cut = _cut_level(image, head)
    reaches = ((head.centre, 42.0), (shaft.at(cut), 38.0), (shaft.point, 38.0))
    ends = np.array([place + by for place, reach in reaches for by in (-reach, reach)])
    side = 1.0 if shaft.left else -1.0
    trochanter = head.centre + [side * 92.0, 0.0, 0.0]
    ends = np.vstack([ends, trochanter])
    low, high = ends.min(axis=0), ends.max(axis=0)
    low[1], high[1] = min(low[1], head.centre[1] - 55.0), max(high[1], head.centre[1] + 60.0)
    low[2], high[2] = cut, head.centre[2] + head.radius + 28.0
    grid = sample(image, low, high, FINE)
    _refuse_metal(grid, head, shaft)
    smooth = grid.with_array(ndimage.gaussian_filter(grid.array, 0.6))
    solid = fill_femur(smooth, grid, head, shaft)
    whole = _neck_goes_on(solid, grid, head, shaft)
    mask = _on_scan(solid, image, cut)
    lower, upper = bounding_box(mask)
    tight = crop(mask, lower.tolist(), upper.tolist())
    at = np.rint(to_index(image.affine, tight.affine[:3, 3])).astype(int)
    touches = bool((at <= 0).any() or (at + tight.shape >= image.shape).any())
    parts = _parts(hip, solid) | {"neck_whole": float(np.clip((whole - BROKEN) / (THIN - BROKEN), 0, 1))}
    confidence = float(np.prod([max(v, 1e-3) for v in parts.values()]) ** (1 / len(parts)))
    parts[ALONE] = head_alone(image, head, shaft.neck)
    return BoneMask(name, tight, "whole", min(confidence, parts[ALONE]), touches), parts


def _neck_goes_on(solid: Solid, grid: Volume, head: HeadSurface, shaft: ShaftLine) -> float:
    """Return the least bone of a section of the neck over the median of all, or raise where it is broken."""
    at = np.rint(to_index(grid.affine, solid.distance.affine[:3, 3])).astype(int)
    image = grid.array[tuple(slice(int(a), int(a) + n) for a, n in zip(at, solid.distance.shape))]
    inside = np.argwhere(solid.distance.array < 0)
    away = inside * FINE + solid.distance.affine[:3, 3] - head.centre
    share, where = weakest_section(away, image[tuple(inside.T)], shaft.neck, head.radius)
    if share < BROKEN:
        raise SegmentationError(
            f"found next to no bone in a plane across the neck, {where:.0f} mm from the centre of the head ({100 * share:.0f} % of what its other "
            f"sections hold, expected at least {100 * BROKEN:.0f} %): a fracture"
        )
    return share


def _refuse_metal(grid: Volume, head: HeadSurface, shaft: ShaftLine) -> None:
    """Raise where metal lies in or near the femur."""
    bright = np.argwhere(grid.array > METAL_HU)
    if len(bright) == 0:
        return
    points = bright * FINE + grid.affine[:3, 3]
    line = shaft.point + (points[:, 2:3] - shaft.point[2]) * shaft.axis / shaft.axis[2]
    near = (np.linalg.norm(points - head.centre, axis=1) < 1.3 * head.radius) | (
        np.linalg.norm((points - line)[:, :2], axis=1) < 45.0
    )
    volume = float(near.sum()) * FINE**3
    if volume > METAL_MM3:
        raise SegmentationError(_metal(volume))


def _metal(volume: float) -> str:
    """Return the reason for refusing a volume of metal [mm³]."""
    return (
        f"found {volume / 1000:.1f} cm³ brighter than {METAL_HU:.0f} HU in or at the femur, expected none: metal (nail, screw, prosthesis) "
        "carries load and spoils the image"
    )


def _on_scan(solid: Solid, image: Volume, cut: float) -> Volume:
    """Return where a solid lies, on a box of the scan's own voxels."""
    ends = corners(solid.distance)
    index = to_index(image.affine, ends)
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(image.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low + 1, image.shape)
    box = crop(image, low.tolist(), high.tolist())
    to_work = np.linalg.inv(solid.distance.affine) @ box.affine
    distance = ndimage.affine_transform(
        solid.distance.array, to_work[:3, :3], offset=to_work[:3, 3], output_shape=box.shape, order=1, mode="nearest"
    )
    k = np.arange(box.shape[2])
    z = box.affine[2, 3] + box.affine[2, 2] * k  # oblique scans: the cut follows their slices
    inside: Bool[Array, "i j k"] = (distance < 0) & (z >= cut - 1e-6)[None, None, :]
    return box.with_array(inside, "mask")


def _parts(hip: Hip, solid: Solid) -> dict[str, float]:
    """Return what speaks for a femur, each 0 to 1."""
    head = hip.head
    off = np.abs(head.radii - head.radius)[head.seen]
    upper = head.rays[:, 2] > 0.2
    return {
        "head_round": float(np.clip(1.35 - np.median(off) / 1.5, 0, 1)) if len(off) else 0.0,
        "head_seen": float(np.clip(head.seen.mean() / 0.6, 0, 1)),
        "joint_seen": float(np.clip(((head.gap * head.seen)[upper].mean() - LEAST_GAP) / 0.15, 0, 1)),
        "shaft_seen": hip.shaft.share,
        "edge_clear": float(np.clip((solid.clear - 0.5) / 0.4, 0, 1)),
        "joint_clear": float(np.clip((solid.clear_in_joint - 0.4) / 0.4, 0, 1)),
        "size_fits_head": _size_fits(solid, head),
        "edge_settled": float(np.clip(1.6 - solid.moved / 0.3, 0, 1)),
    }


def _size_fits(solid: Solid, head: HeadSurface) -> float:
    """Return how usual the volume above the lesser trochanter's level is for the head, 0 to 1."""
    z = solid.distance.affine[2, 3] + FINE * np.arange(solid.distance.shape[2])
    upper = solid.distance.array[:, :, z > head.centre[2] - LESSER_TROCHANTER * head.radius] < 0
    ratio = float(upper.sum()) * FINE**3 / head.radius**3
    return float(np.interp(ratio, USUAL_SIZE, (0.0, 1.0, 1.0, 0.0)))


def _alike(hips: dict[str, Hip], bones: dict[str, BoneMask]) -> float:
    """Return how alike both sides are: radii of the heads, and volumes above the same level."""
    a, b = (hips[name] for name in bones)
    radii = abs(a.head.radius - b.head.radius) / (a.head.radius + b.head.radius)
    volumes = [float(bone.mask.array.sum()) * bone.mask.voxel_volume for bone in bones.values()]
    uneven = abs(volumes[0] - volumes[1]) / sum(volumes)
    return float(np.clip(1.3 - radii / 0.05 - uneven / 0.15, 0, 1))
