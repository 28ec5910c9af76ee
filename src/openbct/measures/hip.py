"""Densities of a proximal femur: areal BMD as a DXA scanner would project it, volumetric BMD, sizes.

The bone is turned until its shaft is vertical and its neck lies in the plane of the picture, soft tissue is left out, and
density is summed from front to back::

                  ___                 FN: femoral neck, 15 mm along the neck axis, where they hold the least area
         T    __/    \\                T:  trochanteric, lateral of FN, above the line from FN's lower lateral corner
        /--\\_/ FN  head|                   to the most lateral point of the greater trochanter
       |  T  /\\ \\_____/               IT: intertrochanteric, below that line, to 10 mm below the lesser trochanter
        \\--´ IT \\                     total hip = FN + T + IT
         \\      )
          |    |
          '----'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..density import check_scale, convert_mineral, density_uncertainty
from ..errors import SegmentationError
from ..mirror import mirror_image
from ..records import Array, BoneMeasures, BoneRegion, CalibratedVolume, Measure, Reference, Step
from ..volume import Volume, mirrored, to_index, to_patient
from .hip_projection import PIXEL, Pixels, Projection, project
from .hip_volumes import volumes_of
from .soft_tissue import soft_tissue

NECK_WIDTH = 15.0
"""Width of the neck region along the neck axis [mm]: Hologic's default box has 49 x 15 pixels (ISCD DXA Atlas [S]) of about 1 mm [R]."""
WARDS_EDGE = 10.0
"""Edge of Ward's square, along the neck and across it [mm]: about a square centimetre is customary [R, D]."""
WARDS_REACH = 12.0
"""How far lateral of the neck region its centre may lie [mm] [D]."""
BELOW_TROCHANTER = 10.0
"""Lower border of the total hip below the apex of the lesser trochanter [mm]: 10 pixels below (ISCD DXA Atlas [S]) of about 1 mm [R]."""
NECK_REACH = 8.0
"""How far from the narrowest section of the bone its projection is searched for the narrowest place [mm] [D]."""
NECK_STEP = 0.5
"""Step of that search [mm] [D]."""
NECK_FLAT = 1.02
"""Boxes up to this multiple of the least area draw the curve whose vertex is the place: the area is flat about its least [D]."""
REFERENCES = (
    Reference(
        "ISCD DXA Atlas, femoral neck box size and total hip region (Hologic): box of 49 x 15 pixels, lower border 10 pixels below; a box across the "
        "axis of the neck: Radiology 228:620 (2003)",
        "seen",
    ),
    Reference(
        "Projection of a calibrated CT with the shaft vertical and the neck in the picture's plane, as CTXA hip does", "recalled"
    ),
    Reference(
        "Cann CE et al. PLoS One 9:e91904 (2014): CT and DXA at the hip agree with r 0.95 to 0.97, SEE 0.044 g/cm2", "seen"
    ),
)

WARDS_STRIDE = 4
"""Every so many pixels are tried as the middle of Ward's square [D]."""


def measure_femur(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
    """Return DXA-equivalent and volumetric densities of a proximal femur.

    ``"femoral_neck_abmd"``, ``"trochanteric_abmd"``, ``"intertrochanteric_abmd"``, ``"total_hip_abmd"``, ``"wards_abmd"`` [g/cm² of K2HPO4
    equivalent], each with ``..._bmc`` [g] and ``..._area`` [cm²]; ``"integral_vbmd"`` [mg/cm³] and ``"volume"`` [cm³] of the bone
    from the head to the lower border of the total hip. Of neck, trochanter and intertrochanteric region also ``..._vbmd`` and
    ``..._cortex_thickness`` [mm]: see :mod:`.hip_volumes`. ``regions`` holds the pictures, and the bone's voxels of each region under
    ``"volume_..."``. Not compared with DXA: that needs a site's own calibration line.

    Raises
    ------
    SegmentationError
        The projected neck or trochanters cannot be delimited.
    SettingsError
        Region and calibration are on different density scales.
    """
    tissue = soft_tissue(region, calibrated)
    left, region = region.side == "left", _as_right(region, calibrated)
    seen = _see(region, calibrated)
    wards = _wards(seen)
    regions = seen.regions | ({"wards": wards} if wards is not None else {})
    values = dict(_densities(region, calibrated, seen.projection, regions))
    values |= {} if tissue is None else {"trochanteric_soft_tissue": tissue}
    affine = seen.projection.affine
    bodies, more = volumes_of(region, regions, affine, calibrated)
    values |= more
    pictures = {"projection": Volume(seen.projection.areal[:, None, :], affine, "g/cm2")}
    pictures |= {name: Volume(pixels[:, None, :], affine, "mask") for name, pixels in regions.items()}
    pictures |= bodies
    if left:
        pictures = {name: mirrored(picture) for name, picture in pictures.items()}
    return BoneMeasures(region.bone, values, pictures, _describe(seen.doubts))


def femoral_densities(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
    """Return what :func:`measure_femur` reads of areal and integral density, without the rest and its pictures: half the time.

    Raises
    ------
    SegmentationError
        The projected neck or trochanters cannot be delimited.
    SettingsError
        Region and calibration are on different density scales.
    """
    region = _as_right(region, calibrated)
    seen = _see(region, calibrated)
    return BoneMeasures(region.bone, _densities(region, calibrated, seen.projection, seen.regions), {}, _describe(seen.doubts))


@dataclass(frozen=True)
class _Seen:
    """A projected bone with its regions."""

    projection: Projection
    regions: dict[str, Pixels]
    along: Float[Array, "u v"]
    """From the middle of the neck region towards the head [mm]."""
    across: Float[Array, "u v"]
    """From the neck's axis, down the shaft positive [mm]."""
    doubts: tuple[str, ...]


def _as_right(region: BoneRegion, calibrated: CalibratedVolume) -> BoneRegion:
    """Return the bone as a right one, once it is known that it can be measured."""
    check_scale(region.density, calibrated)
    if not region.mask.array.any():
        raise SegmentationError(f"found no voxel in the mask of {region.bone}, expected a proximal femur; check the labels")
    return mirror_image(region) if region.side == "left" else region


def _densities(
    region: BoneRegion, calibrated: CalibratedVolume, projection: Projection, regions: Mapping[str, Pixels]
) -> Mapping[str, Measure]:
    values: dict[str, Measure] = {}
    for name, pixels in regions.items():
        values |= _areal_measures(name, pixels, projection, calibrated)
    return values | dict(_volumetric_measures(region, calibrated))


def _see(region: BoneRegion, calibrated: CalibratedVolume) -> _Seen:
    """Return the projection with the pixels of neck, trochanter, intertrochanteric region and total hip."""
    projection, doubts = project(region, calibrated)
    bone = projection.thickness > 0.0
    u, v = (grid * PIXEL for grid in np.indices(bone.shape))
    place = {name: to_index(projection.affine, point)[[0, 2]] * PIXEL for name, point in region.landmarks.items()}
    centre, head = place["neck_centre"], place["head_centre"]
    along = (head - centre) / np.linalg.norm(head - centre)
    down = np.array([-along[1], along[0]])
    down = -down if down[1] > 0 else down
    t = (u - centre[0]) * along[0] + (v - centre[1]) * along[1]
    across = (u - centre[0]) * down[0] + (v - centre[1]) * down[1]
    move = _narrowest(bone & (np.abs(across) <= float(region.lengths["neck_height"])), t)
    t, centre = t - move, centre + move * along
    neck = _piece_at(region.bone, bone & (np.abs(t) <= NECK_WIDTH / 2), centre)
    lateral_edge = neck & (t < -NECK_WIDTH / 2 + 2 * PIXEL)
    if not lateral_edge.any():
        raise SegmentationError(
            f"{region.bone}: found no bone lateral of the neck in the projection, expected the trochanters; check the label"
        )
    corner = centre - NECK_WIDTH / 2 * along + float(across[lateral_edge].max()) * down
    lowest = float(place["lesser_trochanter_axis"][1]) - BELOW_TROCHANTER
    end = float(place["shaft_end"][1])
    if end > lowest:
        doubts.append(
            f"{region.bone}: the image ends {end - lowest:.0f} mm above the lower border of the total hip; its dense shaft is missing there, "
            "so that the total-hip aBMD is too low."
        )
    body = bone & (t < -NECK_WIDTH / 2) & (v >= max(lowest, end))
    outer = place["greater_trochanter_lateral"]
    border = outer - corner
    # The side of the line on which the tip of the trochanter lies, whichever way the picture is turned.
    side = border[0] * (v - corner[1]) - border[1] * (u - corner[0])
    tip = place["greater_trochanter_tip"]
    above = side * (border[0] * (tip[1] - corner[1]) - border[1] * (tip[0] - corner[0])) > 0
    trochanteric, intertrochanteric = body & above, body & ~above
    if not trochanteric.any() or not intertrochanteric.any():
        raise SegmentationError(
            f"{region.bone}: found {int(trochanteric.sum())} pixels of trochanter and {int(intertrochanteric.sum())} below it, expected both; "
            "the label is no whole proximal femur: check it in three planes"
        )
    regions = {
        "femoral_neck": neck,
        "trochanteric": trochanteric,
        "intertrochanteric": intertrochanteric,
        "total_hip": neck | body,
    }
    return _Seen(projection, regions, t, across, tuple(doubts))


def _narrowest(bone: Pixels, t: Float[Array, "u v"]) -> float:
    """Return where along the neck [mm] a box of its width holds the least area of bone, as an operator of DXA sees it."""
    places = np.arange(-NECK_REACH, NECK_REACH + NECK_STEP / 2, NECK_STEP)
    reach = np.sort(t[bone])
    if len(reach) == 0:
        return 0.0
    # Pixels count by the share of them that lies in the box: whole ones would make steps.
    count = np.arange(len(reach), dtype=float)
    areas = np.interp(places + NECK_WIDTH / 2, reach, count) - np.interp(places - NECK_WIDTH / 2, reach, count)
    flat = areas <= NECK_FLAT * areas.min()
    least = float(places[int(np.argmin(areas))])
    if flat.sum() < 4:
        return least
    curve = np.polyfit(places[flat], areas[flat], 2)
    return float(np.clip(-curve[1] / (2.0 * curve[0]), places[flat][0], places[flat][-1])) if curve[0] > 0.0 else least


def _wards(seen: _Seen) -> Pixels | None:
    """Return the square of least density, all of it on the bone, its centre in or near the neck region; ``None`` where none fits."""
    projection, t, across = seen.projection, seen.along, seen.across
    bone, reach = projection.thickness > 0.0, int(np.ceil(WARDS_EDGE / np.sqrt(2.0) / PIXEL)) + 1
    best: tuple[float, Pixels] | None = None
    for i, j in np.argwhere(seen.regions["total_hip"] & (t >= -NECK_WIDTH / 2 - WARDS_REACH))[::WARDS_STRIDE]:
        near = (slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1))
        square = (np.abs(t[near] - t[i, j]) <= WARDS_EDGE / 2) & (np.abs(across[near] - across[i, j]) <= WARDS_EDGE / 2)
        if not bone[near][square].all():
            continue
        mean = float(projection.gathered[near][square].mean())
        if best is None or mean < best[0]:
            whole = np.zeros(bone.shape, dtype=bool)
            whole[near] = square
            best = (mean, whole)
    return None if best is None else best[1]


def _piece_at(bone: str, pixels: Pixels, place: Float[Array, "2"]) -> Pixels:
    """Return the connected pixels that hold a place [mm from the first pixel]."""
    labels, _ = ndimage.label(pixels)
    i, j = np.clip(np.rint(place / PIXEL).astype(int), 0, np.array(pixels.shape) - 1)
    if labels[i, j] == 0:
        raise SegmentationError(f"{bone}: found no bone at the centre of the projected neck, expected some; check the label")
    return np.asarray(labels == labels[i, j])


def _areal_measures(name: str, pixels: Pixels, projection: Projection, calibrated: CalibratedVolume) -> Mapping[str, Measure]:
    """Return areal density, mineral content and area of one region."""
    words = f"{name.replace('_', ' ')}, projected from front to back"
    area = float(pixels.sum()) * PIXEL**2 / 100.0
    content = float(projection.gathered[pixels].sum()) * PIXEL**2 / 100.0
    thickness = float(projection.thickness[pixels].mean())
    # The calibration's line is on its own mineral scale, the areal density on that of K2HPO4: there, and with the answer back.
    scale = float(convert_mineral(np.ones(1), calibrated.mineral, "K2HPO4")[0][0])
    deviation = density_uncertainty(calibrated, content / area * 1e4 / thickness / scale)
    areal_deviation = None if deviation is None else deviation * scale * thickness / 1e4
    return {
        f"{name}_abmd": Measure(content / area, "g/cm2", words, areal_deviation),
        f"{name}_bmc": Measure(content, "g", words, None if areal_deviation is None else areal_deviation * area),
        f"{name}_area": Measure(area, "cm2", words),
    }


def _volumetric_measures(region: BoneRegion, calibrated: CalibratedVolume) -> Mapping[str, Measure]:
    """Return volume and mean density from the head to the lower border of the total hip."""
    shaft = region.frame.axes[:, 2]
    points = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float))
    above = (points - region.landmarks["lesser_trochanter_axis"]) @ shaft >= -BELOW_TROCHANTER
    mean = float(region.density.array[region.mask.array][above].mean())
    words = f"whole bone from the head to {BELOW_TROCHANTER:g} mm below the lesser trochanter"
    return {
        "integral_vbmd": Measure(mean, f"mg/cm3 {calibrated.mineral}", words, density_uncertainty(calibrated, mean)),
        "volume": Measure(float(above.sum()) * region.mask.voxel_volume / 1000.0, "cm3", words),
    }


def _describe(cautions: tuple[str, ...]) -> Step:
    return Step(
        "measures",
        "Areal BMD of the hip was computed as a DXA scanner would project it: the femur was turned until its shaft was vertical and its "
        f"neck in the plane of projection, and density was summed from front to back inside the bone; femoral neck {NECK_WIDTH:g} mm "
        f"wide where they hold the least projected area, total hip to {BELOW_TROCHANTER:g} mm below the lesser trochanter. It was not compared with DXA.",
        REFERENCES,
        cautions,
    )
