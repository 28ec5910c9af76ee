"""What a header makes us doubt or refuse: each a full sentence with its number and its effect on the result.

Limits and effects stand in the one table of rules (:mod:`openbct.acquisition`).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from pydicom.dataset import Dataset

from ..acquisition import rule
from ..errors import ScanError
from ..records import Acquisition
from ..volume import Affine, Volume
from .header import stated
from .kernels import is_sharp

PLANE_NAMES = ("sagittal", "coronal", "axial")


def name_orientation(affine: Affine, course: Float[np.ndarray, "3"] | None = None) -> tuple[str, float]:
    """Return the plane's name of a stack (third axis = normal of its planes), and its angle off that plane [degrees].

    ``course`` is the way of the table where a tilted gantry leans the planes against it: such a stack is as it was taken.
    """
    way = affine[:3, 2] if course is None else course
    normal = np.abs(way / np.linalg.norm(way))
    axis = int(normal.argmax())
    angle = math.degrees(math.acos(min(1.0, float(normal[axis]))))
    return (PLANE_NAMES[axis] if angle <= rule("not_axial").limit() else "oblique"), angle


def is_derived(acquisition: Acquisition) -> bool:
    """Tell whether the image type says that the image was made from another one."""
    return "DERIVED" in acquisition.image_type


def processed_energies(acquisition: Acquisition) -> tuple[str, ...]:
    """Return the words of the image type that name an energy which no tube has, or agent taken away."""
    known = {"VMI", "MONOENERGETIC", "MONO_E", "VNC", "VIRTUAL_NON_CONTRAST", "DET_DUAL_ENERGY", "AVERAGE"}
    return tuple(sorted(set(acquisition.image_type) & known))


def refuse_acquisition(acquisition: Acquisition, affine: Affine) -> None:
    """Refuse voxels that no bone can be measured with.

    Raises
    ------
    ScanError
        Slices or pixels beyond the limit of their rule.
    """
    pixel, step = float(np.linalg.norm(affine[:3, 0])), float(np.linalg.norm(affine[:3, 2]))
    for key, found, what in (
        ("thick_slices", max(step, acquisition.slice_thickness or 0.0), "slices {} mm thick or apart"),
        ("large_pixels", pixel, "pixels of {} mm"),
    ):
        limit = rule(key).refused
        if limit is not None and round(found, 2) > limit:
            raise ScanError(
                f"found {what.format(f'{found:.2f}')}, expected at most {limit:g} mm ({rule('thick_slices').limit():g} mm and less for slices, "
                f"{rule('large_pixels').limit():g} mm for pixels without a caution); export the thin reconstruction"
            )


def doubt_acquisition(acquisition: Acquisition, affine: Affine, course: Float[np.ndarray, "3"] | None = None) -> tuple[str, ...]:
    """Return the cautions that a scan's header gives, ``affine`` being that of its stack before any turning."""
    cautions = [*_doubt_missing(acquisition), *_doubt_image_type(acquisition)]
    name, angle = name_orientation(affine, course)
    if name != "axial":
        cautions.append(
            f"the slices are {name} ({angle:.1f} degrees off), not axial: a reformatted image has been interpolated once already,"
            f" which smooths density and thin cortex; {rule('not_axial').effect()}"
        )
    if is_sharp(acquisition.manufacturer, acquisition.kernel):
        cautions.append(
            f"the kernel {acquisition.kernel} is a sharp one: edges overshoot and noise rises; {rule('sharp_kernel').effect()};"
            " published comparisons of kernels reach 20 % of strength"
        )
    cautions += _doubt_voltage(acquisition)
    cautions += doubt_voxels(affine, acquisition.slice_thickness)
    if acquisition.contrast:
        cautions.append(
            "the header names a contrast agent: blood is no calibration reference, and bone density can read higher than without it; "
            f"{rule('stated_contrast').effect()}"
        )
    return tuple(cautions)


def doubt_voxels(affine: Affine, thickness: float | None = None) -> list[str]:
    """Return the cautions on the size of voxels: pixels, slices, and what lies between slices [mm]."""
    cautions = []
    pixel, step = (float(np.linalg.norm(affine[:3, axis])) for axis in (0, 2))
    thick, large, gap = rule("thick_slices"), rule("large_pixels"), rule("slices_apart")
    if round(pixel, 2) > large.limit():
        cautions.append(
            f"pixels are {pixel:.2f} mm, above {large.limit():g} mm: thin cortex is blurred into its surroundings; {large.effect()}"
        )
    if round(max(step, thickness or 0.0), 2) > thick.limit():  # positions of slices 3 mm apart are rounded in their last digit
        cautions.append(
            f"slices are {max(step, thickness or 0.0):.2f} mm thick or apart, above {thick.limit():g} mm: endplates and cortex are blurred;"
            f" {thick.effect()}"
        )
    if thickness and step > gap.limit() * thickness:
        cautions.append(
            f"slices lie {step:.2f} mm apart but are {thickness:.2f} mm thick: {100 * (1 - thickness / step):.0f} % of the bone between"
            " them was not imaged, or slices were left out of the export"
        )
    return cautions


def doubt_geometry(header: Dataset, affine: Affine, tilt_deg: float = 0.0) -> tuple[str, ...]:
    """Return the cautions on what a header says of its stack and the slices' own positions deny; ``tilt_deg`` was taken out of it."""
    cautions = []
    step, distance = float(np.linalg.norm(affine[:3, 2])), stated(header, "SpacingBetweenSlices", "PixelMeasuresSequence")
    along_table = step / math.cos(math.radians(tilt_deg))  # of tilted slices, headers state either distance
    if distance and min(abs(abs(distance) - step), abs(abs(distance) - along_table)) > rule("stated_step").limit() / 100 * step:
        cautions.append(
            f"the header states slices {abs(distance):.2f} mm apart but their positions give {step:.2f} mm: the positions were used; if"
            " slices were left out of the export, bone between them is missing"
        )
    tilt = stated(header, "GantryDetectorTilt", "CTAcquisitionDetailsSequence")
    if tilt and abs(tilt) > rule("stated_tilt").limit() and not tilt_deg:
        cautions.append(
            f"the header states a gantry tilt of {tilt:.1f} degrees but the slices make a straight stack: if the tilt is true and the"
            " positions are not, every bone is sheared; if the image was straightened, it has been interpolated once already"
        )
    return tuple(cautions)


def _doubt_voltage(acquisition: Acquisition) -> list[str]:
    """Return the caution on a tube voltage that density measurement is not done with."""
    usual, kvp = rule("unusual_kvp"), acquisition.kvp
    low, high = usual.low, usual.limit()
    if kvp is None or low is None or low <= kvp <= high:
        return []
    return [
        f"the tube voltage is {kvp:g} kV, outside the {low:g} to {high:g} kV that density is usually measured at: noise and beam hardening"
        f" differ from those of the published thresholds; with the line of its own voltage, {usual.effect()}"
    ]


def _doubt_missing(acquisition: Acquisition) -> list[str]:
    """Return one caution on everything the header leaves out."""
    silent = {
        "tube voltage (kVp)": acquisition.kvp is None,
        "kernel": acquisition.kernel is None,
        "slice thickness": acquisition.slice_thickness is None,
        "manufacturer": acquisition.manufacturer is None,
        "scanner model": acquisition.model is None,
    }
    missing = [name for name, absent in silent.items() if absent]
    if not missing:
        return []
    effects = []
    if acquisition.kvp is None:
        effects.append("density cannot be checked against the voltage")
    if acquisition.kernel is None:
        effects.append("a sharp kernel, for which changes of strength by up to 20 % are published, cannot be excluded")
    if acquisition.slice_thickness is None:
        effects.append("thick slices cannot be told from thin overlapping ones")
    if not effects:
        effects.append("differences between scanners cannot be allowed for")
    return [f"the header does not give {', '.join(missing)}: {'; '.join(effects)}"]


def _doubt_image_type(acquisition: Acquisition) -> list[str]:
    """Return cautions on images that were processed after reconstruction."""
    cautions = []
    if is_derived(acquisition):
        reformatted = set(acquisition.image_type) & {"MPR", "REFORMATTED", "CSA MPR", "CSAMPR"}
        how = " by reformatting (MPR)" if reformatted else ""
        cautions.append(
            f"the image is derived{how}, not original: its values and resolution may have been changed before us; if it was interpolated"
            f" twice, {rule('derived').effect()}"
        )
    energies = processed_energies(acquisition)
    if energies:
        cautions.append(
            f"the image type names processing ({', '.join(energies)}): its HU are not those of a plain single-energy scan, for which"
            " calibration and laws are made"
        )
    return cautions


def doubt_values(volume: Volume, *, lossy: bool = False) -> tuple[str, ...]:
    """Return the cautions that the HU themselves give."""
    cautions = []
    low, high = float(volume.array.min()), float(volume.array.max())
    clipped = rule("clipped_hu")
    if high in (1023.0, 1024.0) and int(np.count_nonzero(volume.array == high)) >= clipped.limit():
        cautions.append(
            f"HU end at {high:.0f} with many voxels there: cortex above is clipped, and strength comes out too low; {clipped.effect()}"
        )
    if low > rule("no_air").limit():
        cautions.append(f"the lowest value is {low:.0f} HU: no air in the image, so calibration cannot use it")
    if high < rule("no_bone").limit():
        cautions.append(f"the highest value is {high:.0f} HU: no cortical bone in the image, or values that are no HU")
    if lossy:
        cautions.append("the image was compressed with loss at some time: fine structure and noise have been altered")
    return tuple(cautions)
