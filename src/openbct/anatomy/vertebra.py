"""A vertebral body with its frame: endplates, heights, and every reason not to trust it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..errors import SegmentationError
from ..records import Array, BoneMask, BoneRegion, CalibratedVolume, Reference, Step
from ..volume import Volume, bounding_box, crop, offset_in, place_into
from .endplate_hollows import hollows
from .endplates import end_over_middle, fit_endplates, measure_body, orthonormal, padded
from .heights import HEIGHTS_REFERENCE, six_points
from .sagittal_outline import outline_of
from .vertebral_body import BodyCut, faces_front, isolate_body

MARGIN = 12.0
"""Room around the body in the sub-box [mm]: the calibrated image has to reach beyond caps and rotation [D]."""
COARSE, TOO_COARSE = 2.5, 6.0
"""Voxel edge above which a caution is due, and above which the body is refused [mm] [D]."""
TILT_CAUTION, TILT_REFUSAL = 30.0, 60.0
"""Angle between endplate normal and image axis [degrees]; the refusal is the review limit seen in public FE code [SC]."""
WEDGE_CAUTION = 15.0
"""Angle between the endplates beyond which one load axis serves neither [degrees] [D]."""
STRAY_CAUTION, STRAY_REFUSAL = 0.005, 0.05
"""Share of the mask outside its largest piece; the refusal is the review limit seen in public FE code [SC]."""
HOLE_CAUTION, HOLE_REFUSAL = 0.01, 0.10
"""Share of the body that were holes in the mask [D]."""
DENSE = 1200.0
"""Upper end of the vertebral material recipe [mg/cm3]; more is metal, cement or dense cortex [fe-methods]."""
DENSE_CAUTION, DENSE_REFUSAL = 0.005, 0.05
"""Share of the body above ``DENSE`` [D]."""
METAL, METAL_NEAR = 2200.0, 50.0
"""Denser than any bone [mg/cm3], and how much of it around a body cautions [mm3]: screws, rods, cages [D]."""
ENDS_CAUTION = 0.95
"""Density of the lighter end over the middle below which a label is doubted: eleven right labels, simulated and real, have 1.4 to 2.0, all
but two of forty that were moved along the spine by 5 to 20 mm have 0.3 to 0.9 [C]; the limit [D]."""
VOLUMES: dict[str, tuple[float, float]] = {"C": (2.0, 20.0), "T": (5.0, 65.0), "L": (15.0, 95.0)}
"""Plausible volumes of an adult's body by region [cm³]: wide, they catch wrong labels and not small persons [D]."""
GENANT = Reference(
    "Genant's semiquantitative grades: 20-25 % loss of anterior, middle or posterior height is grade 1, as tabulated in a later review",
    "seen",
)


@dataclass(frozen=True)
class _Body:
    mask: Volume
    axes: Float[Array, "3 3"]
    cut: BodyCut | None
    cautions: tuple[str, ...]


def locate_vertebra(bone_mask: BoneMask, calibrated: CalibratedVolume) -> BoneRegion:
    """Return a vertebral body with its frame, landmarks and heights.

    A whole vertebra is cut at the posterior wall first. ``lengths`` holds ``"height"`` (mean endplate distance over the central
    half of the footprint), ``"anterior_height"``, ``"middle_height"``, ``"posterior_height"`` (at 15 and 85 % of the
    depth and the least between, :mod:`.heights`), ``"width"``, ``"depth"`` [mm], ``"mean_area"`` (volume over height) [mm²], ``"tilt_deg"`` (between load axis
    and image axis), ``"wedge_deg"`` (between the endplates), ``"superior_hollow"`` and ``"inferior_hollow"`` (deepest spot of an endplate) [mm] and
    ``"end_density_ratio"`` (lighter end over middle) [-].

    Raises
    ------
    SegmentationError
        The body is cut by the image, in pieces, full of holes, filled with metal, of an impossible size or pose, or its voxels
        are too coarse.
    GeometryError
        The mask is not made of voxels of the calibrated image.
    """
    bone = bone_mask.bone
    _check_voxels(bone, calibrated.density)
    body = _body(bone_mask)
    _check_border(bone_mask, body, calibrated.density)
    body = _repair(bone, body)
    endplates = fit_endplates(body.mask, body.axes)
    lower, upper = _box_in(calibrated.density, body.mask)
    density = crop(calibrated.density, lower, upper)
    first, last = bounding_box(body.mask)
    mask = place_into(crop(body.mask, first.tolist(), last.tolist()), density, fill=False)
    landmarks, lengths = measure_body(endplates, mask)
    points, heights = six_points(outline_of(padded(body.mask), endplates.frame, endplates.columns), density)
    landmarks |= points
    lengths |= {f"{place}_height": height for place, height in heights.items()}
    lengths |= hollows(endplates.columns)
    lengths["end_density_ratio"] = end_over_middle(endplates, density)
    cautions = (
        *body.cautions,
        *_voxel_cautions(bone, calibrated.density),
        *_shape_cautions(bone, mask, lengths),
        *_density_cautions(bone, density, mask),
        *_end_cautions(bone, lengths["end_density_ratio"]),
    )
    return BoneRegion(
        bone=bone,
        kind="vertebra",
        side=None,
        density=density,
        mask=mask,
        frame=endplates.frame,
        landmarks=landmarks,
        lengths=lengths,
        step=_describe(bone, body.cut, lengths, cautions),
    )


def _check_voxels(bone: str, image: Volume) -> None:
    coarsest = float(image.spacing.max())
    if coarsest > TOO_COARSE:
        raise SegmentationError(
            f"found voxels of {coarsest:.1f} mm, expected at most {TOO_COARSE:g} mm to shape the endplates of {bone}; use a thinner reconstruction"
        )


def _body(bone_mask: BoneMask) -> _Body:
    """Return the body of the mask on a box with a margin of empty voxels, and where its left, back and top are."""
    bone = bone_mask.bone
    if not bone_mask.mask.array.any():
        raise SegmentationError(f"found no voxel in the mask of {bone}, expected a vertebra; check the labels")
    if bone_mask.part == "body":
        return _given_body(bone_mask)
    cut = isolate_body(bone_mask.mask)
    cautions: list[str] = []
    if not cut.had_arch:
        cautions.append(f"{bone}: the label holds no vertebral arch and was taken as a body already.")
    elif cut.axes[1, 1] < 0.5:
        cautions.append(
            f"{bone}: its arch does not point to the patient's back as the image orientation has it; the header's orientation is "
            "doubtful, left and right may be exchanged."
        )
    if cut.had_arch and float(bone_mask.mask.spacing.max()) > COARSE:
        # Seen on one real scan of 3 mm voxels with both labels (docs/validation/path.md) [C].
        cautions.append(
            f"{bone}: the body was cut from the whole vertebra at the posterior wall in coarse voxels; where a label of the body itself was "
            "given for such a scan its volume was 13 to 15 % smaller and its strength 9 to 14 % lower."
        )
    if cut.angle_deg > 20.0:
        cautions.append(
            f"{bone}: the cut at the posterior wall is {cut.angle_deg:.0f}° off the body's frontal plane (expected below 20°); look at the mask."
        )
    return _Body(cut.body, cut.axes, cut, tuple(cautions))


def _given_body(bone_mask: BoneMask) -> _Body:
    """Return a body as labelled, its front where the bone has it."""
    axes = orthonormal(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    turned = fit_endplates(bone_mask.mask, axes).frame.axes
    if not faces_front(bone_mask.mask, turned):
        return _Body(bone_mask.mask, axes, None, ())
    caution = (
        f"{bone_mask.bone}: the body's flat wall lies in front as the image orientation has it, so front and back were exchanged here; "
        "the header's orientation is doubtful, left and right may be exchanged."
    )
    return _Body(bone_mask.mask, axes * np.array([-1.0, -1.0, 1.0]), None, (caution,))


def _check_border(bone_mask: BoneMask, body: _Body, image: Volume) -> None:
    """Refuse a body that reaches the outermost voxels of the image."""
    lower, upper = _box_in(image, body.mask, margin=0.0)
    sides = [
        name
        for axis, (low_name, high_name) in enumerate((("right", "left"), ("front", "back"), ("lower", "upper")))
        for name, cut in ((low_name, lower[axis] <= 0), (high_name, upper[axis] >= image.shape[axis]))
        if cut
    ]
    if sides or (bone_mask.part == "body" and bone_mask.touches_edge):
        where = " and ".join(sides) if sides else "image"
        raise SegmentationError(
            f"{bone_mask.bone} is cut by the {where} edge of the image: a complete vertebral body is needed; choose another level or a "
            "scan that reaches farther"
        )


def _repair(bone: str, body: _Body) -> _Body:
    """Return the body as one piece without holes; say what was done, refuse where it was much."""
    cautions = list(body.cautions)
    labels, count = ndimage.label(body.mask.array)
    sizes = np.bincount(labels.ravel())[1:]
    stray = 1.0 - float(sizes.max()) / float(sizes.sum())
    if stray > STRAY_REFUSAL:
        raise SegmentationError(
            f"found {bone} in {count} pieces with {100 * stray:.1f} % of it outside the largest, expected one piece "
            f"(at most {100 * STRAY_REFUSAL:g} % loose); mend the mask"
        )
    one = labels == 1 + int(np.argmax(sizes))
    full = ndimage.binary_fill_holes(np.pad(one, 1))[1:-1, 1:-1, 1:-1]
    holes = 1.0 - float(one.sum()) / float(full.sum())
    if holes > HOLE_REFUSAL:
        raise SegmentationError(
            f"found holes of {100 * holes:.0f} % in the mask of {bone}, expected a filled body (at most {100 * HOLE_REFUSAL:g} %); mend the mask"
        )
    if stray > STRAY_CAUTION:
        cautions.append(f"{bone}: {100 * stray:.1f} % of the mask lay apart from the body and was left out.")
    if holes > HOLE_CAUTION:
        cautions.append(f"{bone}: holes of {100 * holes:.1f} % in the mask were filled.")
    return replace(body, mask=body.mask.with_array(full), cautions=tuple(cautions))


def _box_in(image: Volume, part: Volume, margin: float = MARGIN) -> tuple[list[int], list[int]]:
    """Return the box of ``image``'s voxels around the true voxels of ``part``."""
    lower, upper = bounding_box(part)
    offset = offset_in(part, image)
    pad = np.ceil(margin / image.spacing).astype(int)
    return np.maximum(offset + lower - pad, 0).tolist(), np.minimum(offset + upper + pad, image.shape).tolist()


def _voxel_cautions(bone: str, image: Volume) -> list[str]:
    coarsest = float(image.spacing.max())
    if coarsest <= COARSE:
        return []
    return [
        f"{bone}: voxels of {coarsest:.1f} mm blur endplates and cortex; strengths from 1 and 2 mm models of one bone differ by about 14 %, "
        "expect no better here."
    ]


def _shape_cautions(bone: str, mask: Volume, lengths: dict[str, float]) -> list[str]:
    """Refuse what cannot be a vertebral body; caution what is unusual."""
    found: list[str] = []
    volume = float(mask.array.sum()) * mask.voxel_volume / 1000.0
    low, high = VOLUMES.get(bone[0], (2.0, 95.0))
    if not low / 3 <= volume <= high * 1.5:
        raise SegmentationError(
            f"found a body of {volume:.1f} cm³ for {bone}, expected {low:g} to {high:g} cm³; the label is wrong, incomplete or holds two bones"
        )
    if not low <= volume <= high:
        found.append(f"{bone}: its volume of {volume:.1f} cm³ is unusual (expected {low:g} to {high:g} cm³); check the mask.")
    tilt, wedge = lengths["tilt_deg"], lengths["wedge_deg"]
    if tilt > TILT_REFUSAL:
        raise SegmentationError(
            f"found the endplates of {bone} tilted by {tilt:.0f}° against the image axis, expected at most {TILT_REFUSAL:g}°; "
            "check the orientation of image and labels"
        )
    if tilt > TILT_CAUTION:
        found.append(
            f"{bone}: its endplates are tilted by {tilt:.0f}° against the image axis; the body was turned into the load axis."
        )
    if wedge > WEDGE_CAUTION:
        found.append(f"{bone}: its endplates enclose {wedge:.0f}°; one load axis serves neither exactly.")
    return found


def _density_cautions(bone: str, density: Volume, mask: Volume) -> list[str]:
    """Refuse metal and masks that do not lie on bone."""
    inside = density.array[mask.array]
    dense = float((inside > DENSE).mean())
    if dense > DENSE_REFUSAL:
        raise SegmentationError(
            f"found {100 * dense:.0f} % of {bone} denser than {DENSE:g} mg/cm³, expected below {100 * DENSE_REFUSAL:g} %: metal or cement; "
            "choose another level"
        )
    away = ndimage.distance_transform_edt(~mask.array, sampling=mask.spacing)
    around = density.array[(away > 2.0) & (away <= 2.0 + 2 * float(mask.spacing.max()))]
    if around.size and inside.mean() <= np.median(around):
        raise SegmentationError(
            f"found {inside.mean():.0f} mg/cm³ inside the mask of {bone} and {np.median(around):.0f} around it, expected bone to be denser; "
            "the labels lie beside the bone or are flipped"
        )
    found = []
    if dense > DENSE_CAUTION:
        found.append(
            f"{bone}: {100 * dense:.1f} % of the body is denser than {DENSE:g} mg/cm³; metal, cement or sclerosis raise strength and density."
        )
    metal = float(((density.array > METAL) & ~mask.array).sum()) * mask.voxel_volume
    if metal > METAL_NEAR:
        found.append(
            f"{bone}: {metal / 1000:.2f} cm³ within {MARGIN:g} mm of the body are denser than {METAL:g} mg/cm³: screws, rods or a cage; their streaks "
            "change the density of the body, and a level that is held by them does not stand for the spine."
        )
    return found


def _end_cautions(bone: str, share: float) -> list[str]:
    if share >= ENDS_CAUTION:
        return []
    return [
        f"{bone}: one end of the labelled body is lighter than its middle ({share:.2f} of its density, expected 1.4 to 2.0, at least "
        f"{ENDS_CAUTION:g}): the label holds part of a disc, because it lies too high or too low along the spine or is upside down, or an endplate "
        "is broken. A label that was 12 mm off lowered the strength of a simulated body by a quarter; look at it from the side."
    ]


def _describe(bone: str, cut: BodyCut | None, lengths: dict[str, float], cautions: tuple[str, ...]) -> Step:
    start = "The vertebral body was taken as labelled"
    if cut is not None and cut.had_arch:
        start = "The vertebral body was cut from the whole vertebra on the plane of the posterior wall"
    sentence = (
        f"{start}; its axis is the mean normal of planes through both endplates (innermost 60 % of the footprint), its height the "
        f"mean endplate distance over the innermost half. {bone}: height {lengths['height']:.1f} mm, mean cross-section "
        f"{lengths['mean_area']:.0f} mm², axis {lengths['tilt_deg']:.0f}° off the image axis. "
        "Heights were compared within the body alone: a crush of all of them together is not seen without neighbours."
    )
    return Step("anatomy", sentence, (HEIGHTS_REFERENCE, GENANT), cautions)
