"""What a header makes us doubt: each a full sentence with its number and its effect on the result."""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset

from ..records import Acquisition
from ..volume import Affine, Volume
from .header import stated
from .kernels import is_sharp

THICK = 3.0
"""Slices above this blur endplates and cortex [mm]: BCT protocols ask for 3 mm or less, 5 mm is tolerated in opportunistic use
[R]."""
OBLIQUE = 10.0
"""A stack whose normal is farther than this from every patient axis is called oblique [degrees] [D]."""
STRAIGHT = 0.1
"""A stated gantry tilt below this is none [degrees] [D]."""
PLANE_NAMES = ("sagittal", "coronal", "axial")


def name_orientation(affine: Affine) -> tuple[str, float]:
    """Return the plane's name of a stack (third axis = stacking direction), and its angle off that plane [degrees]."""
    normal = np.abs(affine[:3, 2] / np.linalg.norm(affine[:3, 2]))
    axis = int(normal.argmax())
    angle = math.degrees(math.acos(min(1.0, float(normal[axis]))))
    return (PLANE_NAMES[axis] if angle <= OBLIQUE else "oblique"), angle


def doubt_acquisition(acquisition: Acquisition, affine: Affine) -> tuple[str, ...]:
    """Return the cautions that a scan's header gives, ``affine`` being that of its stack before any turning."""
    cautions = [*_doubt_missing(acquisition), *_doubt_image_type(acquisition)]
    name, angle = name_orientation(affine)
    if name != "axial":
        cautions.append(
            f"the slices are {name} ({angle:.1f} degrees off), not axial: a reformatted image has been interpolated once already,"
            " which smooths density and thin cortex"
        )
    if is_sharp(acquisition.manufacturer, acquisition.kernel):
        cautions.append(
            f"the kernel {acquisition.kernel} is a sharp one: edges overshoot and noise rises; bone strength can differ by up to"
            " 20 % from a soft-tissue kernel's"
        )
    step, thickness = float(np.linalg.norm(affine[:3, 2])), acquisition.slice_thickness
    if round(max(step, thickness or 0.0), 2) > THICK:  # positions of slices 3 mm apart are rounded in their last digit
        cautions.append(
            f"slices are {max(step, thickness or 0.0):.2f} mm thick or apart, above {THICK:g} mm: endplates and cortex are blurred, and"
            " strength and density of small bones lose accuracy"
        )
    if thickness and step > 1.05 * thickness:
        cautions.append(
            f"slices lie {step:.2f} mm apart but are {thickness:.2f} mm thick: {100 * (1 - thickness / step):.0f} % of the bone between"
            " them was not imaged, or slices were left out of the export"
        )
    if acquisition.contrast:
        cautions.append(
            "the header names a contrast agent: blood is no calibration reference, and bone density can read higher than without it"
        )
    return tuple(cautions)


def doubt_geometry(header: Dataset, affine: Affine) -> tuple[str, ...]:
    """Return the cautions on what a header says of its stack and the slices' own positions deny."""
    cautions = []
    step, distance = float(np.linalg.norm(affine[:3, 2])), stated(header, "SpacingBetweenSlices", "PixelMeasuresSequence")
    if distance and abs(abs(distance) - step) > 0.05 * step:
        cautions.append(
            f"the header states slices {abs(distance):.2f} mm apart but their positions give {step:.2f} mm: the positions were used; if"
            " slices were left out of the export, bone between them is missing"
        )
    tilt = stated(header, "GantryDetectorTilt", "CTAcquisitionDetailsSequence")
    if tilt and abs(tilt) > STRAIGHT:
        cautions.append(
            f"the header states a gantry tilt of {tilt:.1f} degrees but the slices make a straight stack: if the tilt is true and the"
            " positions are not, every bone is sheared; if the image was straightened, it has been interpolated once already"
        )
    return tuple(cautions)


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
        effects.append("a sharp kernel, which changes strength by up to 20 %, cannot be excluded")
    if acquisition.slice_thickness is None:
        effects.append("thick slices cannot be told from thin overlapping ones")
    if not effects:
        effects.append("differences between scanners cannot be allowed for")
    return [f"the header does not give {', '.join(missing)}: {'; '.join(effects)}"]


def _doubt_image_type(acquisition: Acquisition) -> list[str]:
    """Return cautions on images that were processed after reconstruction."""
    words = set(acquisition.image_type)
    cautions = []
    if "DERIVED" in words:
        how = " by reformatting (MPR)" if words & {"MPR", "REFORMATTED", "CSA MPR", "CSAMPR"} else ""
        cautions.append(f"the image is derived{how}, not original: its values and resolution may have been changed before us")
    energies = sorted(words & {"VMI", "MONOENERGETIC", "MONO_E", "VNC", "VIRTUAL_NON_CONTRAST", "DET_DUAL_ENERGY", "AVERAGE"})
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
    if high in (1023.0, 1024.0) and int(np.count_nonzero(volume.array == high)) >= 20:
        cautions.append(f"HU end at {high:.0f} with many voxels there: cortex above is clipped, and strength comes out too low")
    if low > -500:
        cautions.append(f"the lowest value is {low:.0f} HU: no air in the image, so calibration cannot use it")
    if high < 200:
        cautions.append(f"the highest value is {high:.0f} HU: no cortical bone in the image, or values that are no HU")
    if lossy:
        cautions.append("the image was compressed with loss at some time: fine structure and noise have been altered")
    return tuple(cautions)
