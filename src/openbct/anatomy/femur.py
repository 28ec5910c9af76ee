"""Proximal femur: from a label to a bone with its frame, its landmarks and its doubts.

The label is judged before it is measured: a head that the image cuts, a shaft that ends at the trochanters, a nail, a second
piece, an upside-down image or one with front and back exchanged is refused, because the strength of such a bone would be a number
without a bone. The wrong side is a caution: strength is that of the mirror image.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import SegmentationError
from ..records import BoneMask, BoneRegion, CalibratedVolume, Frame, Reference, Step
from ..volume import Volume, along, bounding_box, crop, offset_in, place_into, to_patient
from .femur_landmarks import FemurGeometry, measure_geometry
from .shapes import unit

Array = np.ndarray

MARGIN = 10.0
"""Bone-free border kept around the bone [mm]; interpolation and pictures need some [D]."""
LARGEST_LOSS = 0.05
"""Share of the label outside its largest piece that is forgiven; the same share is refused again on the model grid [D]."""
METAL_DENSITY, METAL_HU = 1800.0, 2500.0
"""Denser than any cortex [mg/cm3], [HU]: the densest voxel of the public femur is 1448 mg/cm3 [C]."""
METAL_VOLUME, METAL_TRACE = 200.0, 10.0
"""Metal that refuses, and metal that cautions [mm3] [D]: a screw of 6 mm is 280 mm3 per centimetre."""
SHORTEST_SHAFT, STANDARD_SHAFT = 10.0, 40.0
"""Shaft needed, and wanted, below the lesser trochanter's apex [mm]: at least 10 in Ogo, 40 our target [S], [D]."""
KEPT_SHAFT = 90.0
"""Shaft kept below the lesser trochanter [mm]: enough for its axis and for every load case [D]."""
SHAFT_EFFECT = ((10.0, 20.0, 30.0, 40.0), (3.8, 3.1, 3.4, 2.5), (9.7, 6.2, 4.3, 4.5))
"""Shaft below the lesser trochanter [mm], and the change of strength and of stiffness in a sideways fall against a long shaft, root mean
square over eight femora [%]: docs/validation/shaft.md [C]."""
LARGEST_EFFECT = (7.0, 15.0)
"""Largest of these changes at any length, of strength and stiffness [%] [C]."""
COARSE, TOO_COARSE = 2.0, 6.0
"""Voxel edge above which blur is a doubt, and above which the bone is refused, as a vertebra is [mm] [D]."""


def locate_femur(bone_mask: BoneMask, calibrated: CalibratedVolume) -> BoneRegion:
    """Return the proximal femur of a label with its density, frame and landmarks.

    Parameters
    ----------
    bone_mask
        ``"femur_left"`` or ``"femur_right"``, on voxels of the scan. The shaft may be cut by the image.
    calibrated
        The whole scan in mineral density.

    Raises
    ------
    SegmentationError
        The label is empty, in two pieces, cut at the head or at the trochanters, too short below them, front to back,
        upside down, of impossible size, or holds metal. A bone of the other side than its label says is a caution.

    References
    ----------
    The frame and the lengths of shaft follow the published virtual fall test of Ogo (github.com/Bonelab/Ogo).
    """
    side = bone_mask.bone.removeprefix("femur_")
    if side not in ("left", "right"):
        raise SegmentationError(f"found the bone {bone_mask.bone!r}, expected femur_left or femur_right; rename the label")
    name = bone_mask.bone
    _check_voxels(name, calibrated.density)
    if not bone_mask.mask.array.any():
        raise SegmentationError(f"{name}: found an empty label, expected a femur; check the label map")
    lower, upper = bounding_box(bone_mask.mask)
    mask, cautions = _one_piece(name, crop(bone_mask.mask, lower.tolist(), upper.tolist()))
    around = _around(mask, calibrated)
    try:
        geometry, side, doubts = _measure_either_side(name, mask, side)
        _refuse_cut(name, mask, calibrated.density, geometry)
    except SegmentationError:
        # A bone that cannot be measured for another reason is still first of all a bone with a nail in it.
        _judge_metal(name, *around, calibrated)
        raise
    cautions += doubts
    cautions += geometry.cautions
    cautions += _judge_shaft(name, geometry)
    density, region_mask = _around(_keep_proximal(mask, geometry), calibrated)
    cautions += _judge_metal(name, density, region_mask, calibrated)
    if density.spacing.max() > COARSE:
        edges = " x ".join(f"{edge:.2g}" for edge in density.spacing)
        cautions.append(
            f"{name}: the voxels are {edges} mm, above {COARSE:g} mm: thin cortex is blurred; voxel size alone moves strength "
            "by 5 to 14 %."
        )
    if not np.isfinite(density.array[region_mask.array]).all():
        raise SegmentationError(f"{name}: found density that is not finite inside the label, expected numbers; check the scan")
    return BoneRegion(
        bone=name,
        kind="femur",
        side="left" if side == "left" else "right",
        density=density,
        mask=region_mask,
        frame=_frame(geometry),
        landmarks=geometry.landmarks,
        lengths={**geometry.lengths, "volume": float(region_mask.array.sum()) * region_mask.voxel_volume},
        step=_step(cautions),
    )


def _check_voxels(name: str, image: Volume) -> None:
    """Refuse voxels in which neither neck nor cortex can be seen."""
    coarsest = float(image.spacing.max())
    if coarsest > TOO_COARSE:
        raise SegmentationError(
            f"found voxels of {coarsest:.1f} mm, expected at most {TOO_COARSE:g} mm to shape the neck of {name}; use a thinner reconstruction"
        )


def _measure_either_side(name: str, mask: Volume, side: str) -> tuple[FemurGeometry, str, list[str]]:
    """Return the geometry, the side that the image shows, and the doubt where the label calls it the other one.

    A whole femur has a hand: the head medial, the lesser trochanter behind. Where both agree on the other side, the label or the
    header is wrong; the bone is measured and mounted as what the image shows, because its strength is that of its mirror image.
    """
    try:
        return measure_geometry(name, mask, left=side == "left"), side, []
    except SegmentationError as error:
        other = "right" if side == "left" else "left"
        try:
            geometry = measure_geometry(name, mask, left=other == "left")
        except SegmentationError:
            raise error from None
        doubt = (
            f"{name}: by the image's orientation this is a {other} femur (its head lies to the patient's {side} of the shaft, its lesser "
            f"trochanter behind), but its label calls it {side}: the label has the wrong side or the image is mirrored. Density and strength "
            "do not depend on it; which hip this is must be settled before the result is used."
        )
        return geometry, other, [doubt]


def _around(mask: Volume, calibrated: CalibratedVolume) -> tuple[Volume, Volume]:
    """Return density and mask in the scan's box around the bone, with its margin; ``mask`` is a sub-box of the scan."""
    lower, upper = bounding_box(mask)
    bone = crop(mask, lower.tolist(), upper.tolist())
    start = offset_in(bone, calibrated.density)
    pad = np.ceil(MARGIN / mask.spacing).astype(int)
    density = crop(calibrated.density, (start - pad).tolist(), (start + np.array(bone.shape) + pad).tolist())
    return density, place_into(bone, density, fill=False)


def _one_piece(name: str, mask: Volume) -> tuple[Volume, list[str]]:
    """Return the largest face-connected piece, its cavities filled, and what was changed."""
    array = mask.array.astype(bool)
    labels, count = ndimage.label(array)
    sizes = np.bincount(labels.ravel())[1:]
    lost = 1.0 - sizes.max() / sizes.sum()
    if lost > LARGEST_LOSS:
        raise SegmentationError(
            f"{name}: found {count} separate pieces, the largest with {100 * (1 - lost):.0f} % of the label, expected one bone "
            f"(at least {100 * (1 - LARGEST_LOSS):.0f} %); a fracture, two femora in one label, or a poor segmentation: correct it"
        )
    piece = labels == int(np.argmax(sizes)) + 1
    filled = ndimage.binary_fill_holes(piece)
    # The marrow canal is open where the image cuts the shaft: it is closed slice by slice.
    filled = np.stack([ndimage.binary_fill_holes(filled[:, :, k]) for k in range(filled.shape[2])], axis=2)
    added = float(filled.sum() - piece.sum()) / float(piece.sum())
    cautions = []
    if lost > 0.005:
        cautions.append(f"{name}: {100 * lost:.1f} % of the label lay outside its largest piece and was left out.")
    if added > 0.01:
        cautions.append(
            f"{name}: cavities worth {100 * added:.1f} % of the label were filled, so that marrow belongs to the bone."
        )
    return mask.with_array(filled, "mask"), cautions


def _refuse_cut(name: str, mask: Volume, image: Volume, geometry: FemurGeometry) -> None:
    """Raise where the border of the image, other than its lower end, cuts the bone above the shaft that is needed."""
    index = np.argwhere(mask.array)
    place, last = index + offset_in(mask, image), np.array(image.shape) - 1
    edge = (place[:, :2] <= 0).any(axis=1) | (place >= last).any(axis=1)
    points = to_patient(mask.affine, index[edge].astype(float))
    heights = (points - geometry.landmarks["lesser_trochanter_axis"]) @ geometry.axis
    cut = int((heights > -min(STANDARD_SHAFT, geometry.lengths["shaft_below_lesser_trochanter"])).sum())
    if cut:
        raise SegmentationError(
            f"{name}: found {cut} voxels of bone on the border of the image at or above the proximal shaft, expected none; the "
            "femur is cut by the field of view: use a reconstruction that holds the whole proximal femur"
        )


def _judge_shaft(name: str, geometry: FemurGeometry) -> list[str]:
    """Return the doubt of a short shaft, or refuse one that cannot be supported."""
    length = geometry.lengths["shaft_below_lesser_trochanter"]
    if length < SHORTEST_SHAFT:
        raise SegmentationError(
            f"{name}: found {max(length, 0.0):.0f} mm of shaft below the lesser trochanter, expected at least "
            f"{SHORTEST_SHAFT:.0f} mm (better {STANDARD_SHAFT:.0f} mm); extend the scan or the label downwards"
        )
    if length >= STANDARD_SHAFT:
        return []
    lengths, strengths, stiffnesses = SHAFT_EFFECT
    return [
        f"{name}: only {length:.0f} mm of shaft lie below the lesser trochanter (standard {STANDARD_SHAFT:.0f} mm): its direction is "
        f"uncertain by about {geometry.axis_uncertainty:.0f} degrees and its support lies nearer, which is worth about "
        f"{np.interp(length, lengths, strengths):.0f} % of the strength in a sideways fall (at most {LARGEST_EFFECT[0]:.0f} % in eight femora) and "
        f"{np.interp(length, lengths, stiffnesses):.0f} % of the stiffness ({LARGEST_EFFECT[1]:.0f} %)."
    ]


def _judge_metal(name: str, density: Volume, mask: Volume, calibrated: CalibratedVolume) -> list[str]:
    """Return the doubt of a trace of metal in or on the bone, or refuse an implant."""
    reach = np.maximum(1, np.rint(3.0 / mask.spacing)).astype(int)
    near = ndimage.binary_dilation(mask.array, np.ones(2 * reach + 1, dtype=bool))
    limit = min(METAL_DENSITY, calibrated.slope * METAL_HU + calibrated.intercept)
    limit = METAL_DENSITY if limit < 1200.0 else limit  # a flat line of calibration must not turn cortex into metal
    volume = float((near & (density.array > limit)).sum()) * mask.voxel_volume
    if volume > METAL_VOLUME:
        raise SegmentationError(
            f"{name}: found {volume / 1000:.1f} cm3 denser than {limit:.0f} mg/cm3 in or at the bone, expected none above "
            f"{METAL_VOLUME / 1000:g} cm3; metal (nail, screw, prosthesis) carries load and spoils the image: assess the other hip"
        )
    if volume > METAL_TRACE:
        return [
            f"{name}: {volume:.0f} mm3 in or at the bone are denser than {limit:.0f} mg/cm3: metal or its streaks may raise the "
            "strength."
        ]
    return []


def _keep_proximal(mask: Volume, geometry: FemurGeometry) -> Volume:
    """Return the mask without the shaft far below the trochanters."""
    bottom = geometry.landmarks["lesser_trochanter_axis"] - KEPT_SHAFT * geometry.axis
    heights = along(mask.shape, mask.affine, geometry.axis) - float(bottom @ geometry.axis)
    return mask.with_array(mask.array & (heights >= 0.0), "mask")


def _frame(geometry: FemurGeometry) -> Frame:
    """Return z along the shaft, y as posterior as it can be, x to the left, at the head centre."""
    back = np.array([0.0, 1.0, 0.0])
    y = unit(back - float(back @ geometry.axis) * geometry.axis)
    x = np.cross(y, geometry.axis)
    return Frame(geometry.landmarks["head_centre"], np.column_stack([x, y, geometry.axis]))


def _step(cautions: list[str]) -> Step:
    """Return what was done, in one sentence that is the same for both sides."""
    return Step(
        "anatomy",
        "The femoral head was fitted by a sphere, the neck axis drawn from its centre through the centroid of the narrowest "
        "section across it, and the shaft axis fitted to circles in sections below the lesser trochanter.",
        references=(Reference("Ogo, Bonelab, github.com/Bonelab/Ogo: length of shaft and clean-up of the label", "code"),),
        cautions=tuple(cautions),
    )
