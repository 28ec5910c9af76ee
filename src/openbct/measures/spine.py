"""Densities and sizes of a vertebral body: trabecular and integral vBMD, volume, cross-section.

The trabecular region, seen from above at mid-height (10 mm thick) and from the side::

      ___________            superior
     /  .-----.  \\             ┌──────────┐
    |  / ROI   \\  |  anterior  │ ┌────┐   │  posterior
    |  \\_______/  |            │ └────┘ v │   v: basivertebral vein, left out
     \\___  v  ___/             └──────────┘
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..density import check_scale, density_uncertainty
from ..errors import SegmentationError
from ..records import Array, BoneMeasures, BoneRegion, CalibratedVolume, Measure, Reference, Step
from ..volume import to_patient
from .shell import ASSUMED, Shell, measure_shell, shell_mask

SLAB_HALF = 5.0
"""Half the thickness of the mid-height slab [mm]: 9 to 10 mm is customary [R]."""
SLAB_SHARE = 0.25
"""The slab's half is at most this share of the height, so that a small body's endplates stay out [D]."""
INSET = 2.5
"""Distance kept from the mask's surface [mm], to which half a voxel is added for partial volume: 2-3 mm is customary [R, D]."""
FRONT, BACK = 0.02, 0.70
"""Reach of the ellipse along the inner depth of the body, from the front: the back third holds the basivertebral vein [D]."""
WIDE = 0.90
"""Width of the ellipse as a share of the inner width [D]."""
SMALL_CAUTION, SMALL_REFUSAL = 2.0, 0.5
"""Volume of the trabecular region below which a caution is due, and no value is given [cm³] [D]."""
SPOT, SPOT_CAUTION = 200.0, 0.01
"""Excess over the median that makes a voxel a dense spot [mg/cm3], and their share of the region above which a caution is due [D]."""
FEWEST_POINTS = 30
"""Points of the surface from which a mean thickness is given [D]."""
UNCALIBRATED = "given"
"""Method of a calibration that knows no HU."""

ROI_REFERENCE = Reference(
    "Elliptical trabecular region in the anterior body at mid-height, 9-10 mm thick, 2-3 mm inside the cortex: customary in spine QCT",
    "recalled",
)


@dataclass(frozen=True)
class _Region:
    trabecular: Bool[Array, "i j k"]
    inner: Bool[Array, "i j k"]
    inset: float
    """[mm]"""
    slab: float
    """Thickness [mm]."""
    slab_inner: Bool[Array, "i j k"]
    """All of ``inner`` in the slab."""
    area: float
    """Cross-section of the body in the slab [mm²]."""


def measure_vertebra(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
    """Return density and size of a vertebral body.

    ``"trabecular_vbmd"`` [mg/cm³] is the mean of an ellipse in the front of the body, in a slab at mid-height, inside the
    cortex; ``"slab_vbmd"`` [mg/cm³] of all that is inside the cortex in that slab, the vein too; ``"inner_vbmd"`` [mg/cm³] of the whole
    body that far inside its surface; ``"peripheral_vbmd"`` [mg/cm³] of the outer layer that it leaves out; ``"integral_vbmd"`` [mg/cm³]
    of all its voxels. ``"trabecular_hu"`` [HU] is the first before calibration; ``"dense_share"`` [%] its part that is far denser than
    its median. ``"volume"`` [cm³]; ``"mean_area"`` and ``"mid_area"`` [mm²], the latter at mid-height; ``"cortex_thickness"`` and
    ``"endplate_thickness"`` [mm], equivalents of a given density: see :mod:`.shell`.

    Raises
    ------
    SegmentationError
        The mask holds no voxel.
    SettingsError
        Region and calibration are on different density scales.
    """
    roi = _trabecular_region(region, calibrated)
    values, cautions = _densities(region, roi, calibrated)
    mask = region.mask
    values["mid_area"] = Measure(roi.area, "mm2", f"cross-section of the body, mean over the {roi.slab:.0f} mm at mid-height")
    values["mean_area"] = Measure(region.lengths["mean_area"], "mm2", "volume of the body over its height")
    shell = measure_shell(mask, region.density, ASSUMED)
    values |= _thickness(region, shell)
    regions = {
        "body": mask,
        "trabecular": mask.with_array(roi.trabecular),
        "inner": mask.with_array(roi.inner),
        "cortex": mask.with_array(shell_mask(mask, shell)),
    }
    return BoneMeasures(region.bone, values, regions, _describe(region, values, cautions))


def vertebral_densities(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
    """Return what :func:`measure_vertebra` reads of density, and the volume, without its shell: a fifth of the time.

    Raises
    ------
    SegmentationError
        The mask holds no voxel.
    SettingsError
        Region and calibration are on different density scales.
    """
    values, cautions = _densities(region, _trabecular_region(region, calibrated), calibrated)
    return BoneMeasures(region.bone, values, {}, _describe(region, values, cautions))


def _densities(region: BoneRegion, roi: _Region, calibrated: CalibratedVolume) -> tuple[dict[str, Measure], tuple[str, ...]]:
    """Return the densities and the volume, and what is doubtful of them."""
    mask = region.mask
    unit = f"mg/cm3 {calibrated.mineral}"
    values: dict[str, Measure] = {}
    cautions: list[str] = []

    def add_density(name: str, where: Bool[Array, "i j k"], words: str) -> None:
        mean = float(region.density.array[where].mean())
        values[name] = Measure(mean, unit, words, density_uncertainty(calibrated, mean))

    volume = float(roi.trabecular.sum()) * mask.voxel_volume / 1000.0
    if volume < SMALL_REFUSAL:
        cautions.append(
            f"{region.bone}: the trabecular region holds {volume:.2f} cm³ (expected at least {SMALL_REFUSAL:g} cm³); no trabecular density is given."
        )
    else:
        words = f"ellipse in the front of the body, {roi.slab:.0f} mm slab at mid-height, {roi.inset:.1f} mm inside the surface"
        add_density("trabecular_vbmd", roi.trabecular, words)
        if calibrated.method != UNCALIBRATED:
            density = values["trabecular_vbmd"].value
            values["trabecular_hu"] = Measure((density - calibrated.intercept) / calibrated.slope, "HU", words)
        share, doubts = _dense_spots(region, roi.trabecular)
        values["dense_share"] = Measure(
            100.0 * share, "%", f"of the trabecular region, more than {SPOT:g} mg/cm³ above its median"
        )
        cautions += doubts
        if volume < SMALL_CAUTION:
            cautions.append(
                f"{region.bone}: the trabecular region holds only {volume:.1f} cm³ (expected {SMALL_CAUTION:g} cm³ or more); its density is noisy."
            )
    if roi.inner.any():
        add_density("inner_vbmd", roi.inner, f"whole body, {roi.inset:.1f} mm inside the surface")
        if (roi.slab_inner).any():
            add_density(
                "slab_vbmd", roi.slab_inner, f"all inside the cortex in the {roi.slab:.0f} mm slab at mid-height, vein included"
            )
        outer = mask.array & ~roi.inner
        add_density("peripheral_vbmd", outer, f"outer {roi.inset:.1f} mm of the body, cortex and endplates included")
    add_density("integral_vbmd", mask.array, "whole body with its cortex")
    values["volume"] = Measure(float(mask.array.sum()) * mask.voxel_volume / 1000.0, "cm3", "vertebral body")
    return values, tuple(cautions)


def _thickness(region: BoneRegion, shell: Shell) -> dict[str, Measure]:
    """Return the mean thickness of the wall, front and sides, and of the endplates; the back, where the arch was cut off, stays out."""
    along = np.abs(shell.inwards @ region.frame.axes[:, 2])
    places = {
        "cortex_thickness": ("front and sides of the body", (along < 0.5) & (shell.inwards @ region.frame.axes[:, 1] > -0.5)),
        "endplate_thickness": ("both endplates", along > 0.8),
    }
    found = {}
    for name, (words, where) in places.items():
        thickness, _, count = shell.mean(where)
        if count >= FEWEST_POINTS:
            found[name] = Measure(
                thickness, "mm", f"{words}, mean over the surface, as if of {shell.density:g} mg/cm³: its mass over that density"
            )
    return found


def measure_whole_vertebra(region: BoneRegion, calibrated: CalibratedVolume) -> BoneMeasures:
    """Return ``"whole_vbmd"`` [mg/cm³] and ``"volume"`` [cm³] of a vertebra with its arch: no body, no trabecular region."""
    check_scale(region.density, calibrated)
    mask, unit = region.mask, f"mg/cm3 {calibrated.mineral}"
    mean, words = float(region.density.array[mask.array].mean()), "whole vertebra with its arch"
    volume = float(mask.array.sum()) * mask.voxel_volume / 1000.0
    values = {
        "whole_vbmd": Measure(mean, unit, words, density_uncertainty(calibrated, mean)),
        "volume": Measure(volume, "cm3", words),
    }
    sentence = (
        f"Density is the mean of the whole vertebra with its arch. {region.bone}: {mean:.0f} {unit}, volume {volume:.1f} cm³."
    )
    return BoneMeasures(region.bone, values, {"vertebra": mask}, Step("measures", sentence))


def _trabecular_region(region: BoneRegion, calibrated: CalibratedVolume) -> _Region:
    """Return the ellipse in the mid-height slab and the inner body, on the grid of the region, once it is known that it can be measured."""
    check_scale(region.density, calibrated)
    mask, frame = region.mask, region.frame
    if not mask.array.any():
        raise SegmentationError(f"found no voxel in the mask of {region.bone}, expected a vertebral body; check the labels")
    coarsest = float(mask.spacing.max())
    inset = INSET + coarsest / 2
    depth = ndimage.distance_transform_edt(np.pad(mask.array, 1), sampling=mask.spacing)[1:-1, 1:-1, 1:-1]
    # the distance is to the nearest outer voxel's centre: its surface lies half a voxel nearer
    inner = np.asarray(mask.array & (depth - coarsest / 2 >= inset))
    index = np.argwhere(inner)
    local = (to_patient(mask.affine, index.astype(float)) - frame.origin) @ frame.axes
    height = region.lengths["height"]
    half = min(SLAB_HALF, SLAB_SHARE * height)
    slab = np.abs(local[:, 2] - _mid_height(region)) <= half
    trabecular, whole = np.zeros(mask.shape, dtype=bool), np.zeros(mask.shape, dtype=bool)
    trabecular[tuple(index[_in_ellipse(local, slab)].T)] = True
    whole[tuple(index[slab].T)] = True
    body = (to_patient(mask.affine, np.argwhere(mask.array).astype(float)) - frame.origin) @ frame.axes
    # Voxels are counted by their centres: a slab of this height holds their volume, less what its faces cut on average.
    count = int((np.abs(body[:, 2] - _mid_height(region)) <= half).sum())
    return _Region(trabecular, inner, inset, 2 * half, whole, count * mask.voxel_volume / (2 * half))


def _dense_spots(region: BoneRegion, where: Bool[Array, "i j k"]) -> tuple[float, list[str]]:
    """Return the share of dense spots, and a caution where sclerosis, a bone island or cement raises the trabecular mean."""
    density = region.density.array[where]
    spots = density > np.median(density) + SPOT
    share = float(spots.mean())
    if share <= SPOT_CAUTION:
        return share, []
    return share, [
        f"{region.bone}: {100 * share:.0f} % of the trabecular region is more than {SPOT:g} mg/cm³ above its median (bone island, "
        f"sclerosis or cement); without these voxels its density is {float(density[~spots].mean()):.0f} instead of {float(density.mean()):.0f} mg/cm³."
    ]


def _mid_height(region: BoneRegion) -> float:
    """Return the level half-way between the endplates, in the frame [mm]."""
    middle = (region.landmarks["superior_endplate"] + region.landmarks["inferior_endplate"]) / 2
    return float((middle - region.frame.origin) @ region.frame.axes[:, 2])


def _in_ellipse(local: Float[Array, "n 3"], slab: Bool[Array, " n"]) -> Bool[Array, " n"]:
    """Return which points of the slab lie in the ellipse inscribed in the front of its outline."""
    if not slab.any():
        return slab
    x, y = local[:, 0], local[:, 1]
    left, right = np.quantile(x[slab], (0.005, 0.995))
    front, back = np.quantile(y[slab], (0.005, 0.995))
    first, last = front + FRONT * (back - front), front + BACK * (back - front)
    semi = max(WIDE * (right - left) / 2, 1e-6), max((last - first) / 2, 1e-6)
    away = ((x - (left + right) / 2) / semi[0]) ** 2 + ((y - (first + last) / 2) / semi[1]) ** 2
    return np.asarray(slab & (away <= 1.0))


def _describe(region: BoneRegion, values: dict[str, Measure], cautions: tuple[str, ...]) -> Step:
    found = values.get("trabecular_vbmd")
    reading = "no trabecular density could be taken" if found is None else f"trabecular {found.value:.0f} {found.unit}"
    sentence = (
        "Trabecular density is the mean of an elliptical region in the front of the body at mid-height, inside the cortex and clear of "
        f"the basivertebral vein; integral density is that of the whole body. {region.bone}: {reading}, integral "
        f"{values['integral_vbmd'].value:.0f} {values['integral_vbmd'].unit}, volume {values['volume'].value:.1f} cm³."
    )
    return Step("measures", sentence, (ROI_REFERENCE,), cautions)
