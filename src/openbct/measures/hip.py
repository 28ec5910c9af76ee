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
from jaxtyping import Bool, Float
from scipy import ndimage

from ..density import check_scale, convert_mineral, density_uncertainty
from ..errors import SegmentationError
from ..mirror import mirror_image
from ..records import Array, BoneMeasures, BoneRegion, CalibratedVolume, Measure, Reference, Step
from ..volume import Affine, Volume, mirrored, resample, to_index, to_patient
from .hip_volumes import volumes_of
from .soft_tissue import soft_tissue

PIXEL = 0.5
"""Edge of a pixel of the projection [mm]; DXA scanners have 0.5 to 1 mm [R, D]."""
DEPTH_STEP = 1.0
"""Step of the sum from front to back [mm] [D]."""
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
RIM, GROUND = 2.0, 4.0
"""Reach of the blurred surface beyond the label, and of the soft tissue that is looked at around it [mm] [D]."""
SOFT_TISSUE = 120.0
"""Density up to which a voxel outside the label is soft tissue and not the next bone [mg/cm3] [D]."""

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

Pixels = Bool[Array, "u v"]


@dataclass(frozen=True)
class _Projection:
    """Areal density and thickness of bone in a plane: u towards the patient's left, v along the shaft to proximal."""

    areal: Float[Array, "u v"]
    """[g/cm²]; in coarse voxels it spills over the silhouette."""
    gathered: Float[Array, "u v"]
    """The same, with what was spilled put back on the nearest pixel of the silhouette [g/cm²]."""
    thickness: Float[Array, "u v"]
    """[mm]"""
    affine: Affine
    """Of the picture, one voxel thick: u, depth, v."""
    depth: float
    """[mm]"""


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
    check_scale(region.density, calibrated)
    if not region.mask.array.any():
        raise SegmentationError(f"found no voxel in the mask of {region.bone}, expected a proximal femur; check the labels")
    left = region.side == "left"
    tissue = soft_tissue(region, calibrated)
    if left:
        region = mirror_image(region)
    bone_density, cautions = _mineral_density(region, calibrated)
    projection = _project(region, bone_density)
    regions, doubts = _regions(region, projection)
    values: dict[str, Measure] = {}
    for name, pixels in regions.items():
        values |= _areal_measures(name, pixels, projection, calibrated)
    values |= _volumetric_measures(region, calibrated)
    values |= {} if tissue is None else {"trochanteric_soft_tissue": tissue}
    bodies, more = volumes_of(region, regions, projection.affine, calibrated)
    values |= more
    pictures = {"projection": Volume(projection.areal[:, None, :], projection.affine, "g/cm2")}
    pictures |= {name: Volume(pixels[:, None, :], projection.affine, "mask") for name, pixels in regions.items()}
    pictures |= bodies
    if left:
        pictures = {name: mirrored(picture) for name, picture in pictures.items()}
    return BoneMeasures(region.bone, values, pictures, _describe(tuple(cautions + doubts)))


def _mineral_density(region: BoneRegion, calibrated: CalibratedVolume) -> tuple[Volume, list[str]]:
    """Return the bone's own density in K2HPO4 equivalent [mg/cm³], with what blur has carried over its surface.

    A rim around the label holds the outer part of the blurred cortex on a ground of soft tissue. Its excess over the soft
    tissue farther out belongs to the bone, as DXA would count it; without it coarse voxels lose a fifth of the mineral.
    """
    values, _, doubts = convert_mineral(region.density.array, calibrated.mineral, "K2HPO4")
    spacing = region.mask.spacing
    distance = ndimage.distance_transform_edt(~region.mask.array, sampling=spacing)
    # A voxel that touches the label by its edge still holds some of the surface.
    reach = max(RIM, 1.45 * float(spacing.max()))
    rim = (distance > 0.0) & (distance <= reach)
    ground = (distance > reach) & (distance <= reach + max(GROUND, 2.0 * float(spacing.max()))) & (values < SOFT_TISSUE)
    sigma = GROUND / spacing
    weight = ndimage.gaussian_filter(ground.astype(float), sigma)
    mean = ndimage.gaussian_filter(np.where(ground, values, 0.0), sigma) / np.maximum(weight, 1e-6)
    excess = np.where(weight > 1e-3, values - mean, 0.0)
    kept = np.where(region.mask.array, values, np.where(rim, excess, 0.0))
    return region.density.with_array(kept), [f"{region.bone}: {doubt}" for doubt in doubts]


def _project(region: BoneRegion, density: Volume) -> _Projection:
    """Return the bone summed from front to back, in the pose of a DXA scan."""
    axes, origin = _pose(region), region.landmarks["head_centre"]
    local = (to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float)) - origin) @ axes
    room = float(region.mask.spacing.max()) + 2.0
    edges = np.array([PIXEL, DEPTH_STEP, PIXEL])
    first = np.floor((local.min(axis=0) - room) / edges).astype(int)
    count = np.ceil((local.max(axis=0) + room) / edges).astype(int) - first + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * edges
    affine[:3, 3] = origin + axes @ (first * edges)
    shape = (int(count[0]), int(count[1]), int(count[2]))
    areal = resample(density, shape, affine, order=1).array.sum(axis=1) * DEPTH_STEP / 1e4
    thickness = (resample(region.mask, shape, affine, order=1).array >= 0.5).sum(axis=1) * DEPTH_STEP
    depth = float(count[1]) * DEPTH_STEP
    flat = affine.copy()
    flat[:3, 1] = axes[:, 1] * depth
    flat[:3, 3] = affine[:3, 3] + axes[:, 1] * (depth - DEPTH_STEP) / 2
    _, nearest = ndimage.distance_transform_edt(thickness <= 0.0, return_indices=True)
    gathered = np.zeros_like(areal)
    np.add.at(gathered, tuple(nearest), areal)
    return _Projection(areal, gathered, thickness, flat, depth)


def _pose(region: BoneRegion) -> Float[Array, "3 3"]:
    """Return the picture's axes as columns: u in the plane of shaft and neck towards the left, depth to the back, v up the shaft."""
    shaft = region.frame.axes[:, 2]
    neck = region.landmarks["head_centre"] - region.landmarks["neck_centre"]
    across = neck - float(neck @ shaft) * shaft
    across = across / np.linalg.norm(across)
    return np.column_stack([across, np.cross(shaft, across), shaft])


def _regions(region: BoneRegion, projection: _Projection) -> tuple[dict[str, Pixels], list[str]]:
    """Return the pixels of neck, trochanter, intertrochanteric region and total hip."""
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
    doubts = []
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
    wards = _wards((neck | body) & (t >= -NECK_WIDTH / 2 - WARDS_REACH), projection, (t, across))
    return regions | ({"wards": wards} if wards is not None else {}), doubts


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


def _wards(where: Pixels, projection: _Projection, place: tuple[Float[Array, "u v"], Float[Array, "u v"]]) -> Pixels | None:
    """Return the square of least density, all of it on the bone, its centre among the given pixels; ``None`` where none fits."""
    bone = projection.thickness > 0.0
    t, across = place
    best: tuple[float, Pixels] | None = None
    for i, j in np.argwhere(where)[::WARDS_STRIDE]:
        square = (np.abs(t - t[i, j]) <= WARDS_EDGE / 2) & (np.abs(across - across[i, j]) <= WARDS_EDGE / 2)
        if not bone[square].all():
            continue
        mean = float(projection.gathered[square].mean())
        if best is None or mean < best[0]:
            best = (mean, square)
    return None if best is None else best[1]


def _piece_at(bone: str, pixels: Pixels, place: Float[Array, "2"]) -> Pixels:
    """Return the connected pixels that hold a place [mm from the first pixel]."""
    labels, _ = ndimage.label(pixels)
    i, j = np.clip(np.rint(place / PIXEL).astype(int), 0, np.array(pixels.shape) - 1)
    if labels[i, j] == 0:
        raise SegmentationError(f"{bone}: found no bone at the centre of the projected neck, expected some; check the label")
    return np.asarray(labels == labels[i, j])


def _areal_measures(name: str, pixels: Pixels, projection: _Projection, calibrated: CalibratedVolume) -> Mapping[str, Measure]:
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
