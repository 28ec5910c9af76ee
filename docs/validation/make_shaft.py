# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/shaft.md: what a short shaft below the lesser trochanter does to a femur's strength and stiffness.

    python docs/validation/make_shaft.py

Needs the real label maps (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from make_path import DATA, markdown
from scipy import ndimage

from openbct.anatomy import locate_femur
from openbct.errors import SegmentationError
from openbct.femodel import build_model
from openbct.loadcases import SidewaysFall
from openbct.materials import MATERIALS
from openbct.phantoms import BonePart, FemurShape, LabelSettings, femur_region, simulate_labels
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Step
from openbct.strength import FEMUR_TEST, measure_strength
from openbct.volume import Volume, bounding_box, canonical, crop, to_index

HERE = Path(__file__).resolve().parent
LENGTHS = (40.0, 30.0, 20.0, 10.0)
"""Shaft below the lesser trochanter [mm]."""
LONG = 90.0
"""That of the whole bone, which the shorter ones are compared with [mm]."""
VOXEL = 2.0
STRAINS = (0.001, 0.005, 0.010, 0.020, 0.030, 0.040)
SHAPES = {
    "drawn": FemurShape(),
    "drawn, neck upright and turned to the front": FemurShape(neck_shaft_angle_deg=138.0, anteversion_deg=28.0, seed=5),
    "drawn, neck level, straight": FemurShape(neck_shaft_angle_deg=117.0, anteversion_deg=3.0, offset=44.0, seed=6),
    "drawn, weak": FemurShape(
        head_density=140.0, neck_density=50.0, trochanter_density=80.0, shaft_cortex=3.0, neck_cortex=0.8, seed=7
    ),
}
PATIENTS = ("001", "002")

Array = np.ndarray

HEAD = """# Short shafts

This page is written by `python docs/validation/make_shaft.py`. A hip scan often ends soon below the lesser trochanter. That moves a strength in two ways: the shaft's axis, which
poses the bone, is measured on less of it; and the support of the shaft's end lies nearer. Femora with a long shaft are cut shorter and shorter here, as the lower edge of an image
cuts them, and go through the whole chain of the default sideways fall; beside it the same bones with the axis of their long shaft, where only the support moves.

"""


@dataclass(frozen=True)
class Femur:
    """A femur with a long shaft."""

    name: str
    side: str
    mask: Volume
    density: Volume


@dataclass(frozen=True)
class Outcome:
    """What the fall test gave."""

    strength: float
    stiffness: float
    turned: float
    """Of the shaft's axis against that of the long shaft [degrees]."""


def femora() -> list[Femur]:
    """Return four drawn femora and four real shapes, filled with density."""
    found = []
    for name, shape in SHAPES.items():
        bone = femur_region(replace(shape, shaft_length=LONG + 15.0), side="right", spacing=1.5, tilt_deg=6.0)
        found.append(Femur(name, "right", bone.mask, bone.density))
    for patient in PATIENTS:
        image = nib.load(DATA / "pelvis_labels" / f"patient_{patient}_labels.nii.gz")
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
        labels = canonical(Volume(np.asanyarray(image.dataobj).astype(np.int16), affine, "label"))
        middle = labels.shape[0] // 2
        for side, part in (("right", slice(None, middle)), ("left", slice(middle, None))):
            half = np.zeros(labels.shape, dtype=np.uint8)
            half[part] = labels.array[part] == 2
            found.append(filled(f"patient {patient}, {side}", side, labels.with_array(half, "label")))
    return found


def filled(name: str, side: str, label: Volume) -> Femur:
    """Return a label's shape with simulated density, its shaft ended like an image."""
    pieces, _ = ndimage.label(label.array)
    one = label.with_array((pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))).astype(np.uint8))
    lower, upper = bounding_box(one)
    pad = np.ceil(15.0 / one.spacing).astype(int)
    around = crop(one, [*(lower - pad)[:2].tolist(), int(lower[2])], (upper + pad).tolist())
    part = BonePart("femur", cortex=2.5)
    scan = simulate_labels(around, LabelSettings({1: part}, spacing=(1.5, 1.5, 1.5)))
    return Femur(name, side, scan.labels.volume.with_array(scan.labels.volume.array == 1, "mask"), scan.density)


def located(femur: Femur, bottom: int) -> BoneRegion:
    """Return the region of a femur whose image begins at a slice."""
    mask, density = (crop(volume, [0, 0, bottom], [*volume.shape]) for volume in (femur.mask, femur.density))
    calibrated = CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "truth"))
    return locate_femur(BoneMask(f"femur_{femur.side}", mask, "whole", 1.0, True), calibrated)


def shortened(femur: Femur, long: BoneRegion, length: float) -> BoneRegion:
    """Return the region of a femur whose image ends so that about ``length`` is left, at least what the program accepts."""
    bottom = int(to_index(femur.mask.affine, long.landmarks["lesser_trochanter_axis"])[2] - length / femur.mask.spacing[2])
    refusal = None
    for slices in range(8):
        try:
            return located(femur, bottom - slices)
        except SegmentationError as error:
            refusal = error
    raise SystemExit(f"{femur.name}: {refusal}")


def tested(region: BoneRegion, long: BoneRegion) -> Outcome:
    """Return strength and stiffness in the default fall."""
    case = SidewaysFall(voxel=VOXEL)
    specimen = case.mount(region)
    model = build_model(specimen, case.constrain(specimen), MATERIALS["keyak2005"])
    result = measure_strength(model, replace(FEMUR_TEST, strains=STRAINS), threads=1)
    turned = np.degrees(np.arccos(np.clip(region.frame.axes[:, 2] @ long.frame.axes[:, 2], -1.0, 1.0)))
    return Outcome(result.strength, result.stiffness, float(turned))


def spread(values: list[float]) -> str:
    """Return mean, root mean square and range."""
    return f"{np.mean(values):+.1f} | {np.sqrt(np.mean(np.square(values))):.1f} | {min(values):+.1f} to {max(values):+.1f}"


def main() -> None:
    """Write the page."""
    if not (DATA / "pelvis_labels").is_dir():
        raise SystemExit("no real label maps here: set OPENBCT_TEST_DATA to their folder")
    whole: dict[float, list[Outcome]] = {length: [] for length in LENGTHS}
    support: dict[float, list[Outcome]] = {length: [] for length in LENGTHS}
    measured: dict[float, list[float]] = {length: [] for length in LENGTHS}
    rows, bones = [], []
    for femur in femora():
        region = located(femur, 0)
        long = tested(region, region)
        bones.append(
            (
                femur.name,
                f"{region.lengths['shaft_below_lesser_trochanter']:.0f}",
                f"{long.strength:,.0f}",
                f"{long.stiffness:,.0f}",
            )
        )
        for length in LENGTHS:
            short = shortened(femur, region, length)
            measured[length].append(short.lengths["shaft_below_lesser_trochanter"])
            near = replace(region, lengths={**region.lengths, "shaft_below_lesser_trochanter": length})
            for found, where in ((tested(short, region), whole), (tested(near, region), support)):
                where[length].append(
                    Outcome(
                        100 * (found.strength / long.strength - 1), 100 * (found.stiffness / long.stiffness - 1), found.turned
                    )
                )
            print(femur.name, length, whole[length][-1], support[length][-1], flush=True)
    for length in LENGTHS:
        turned = [one.turned for one in whole[length]]
        for what, where in (("whole chain", whole), ("support alone", support)):
            strengths, stiffnesses = ([getattr(one, key) for one in where[length]] for key in ("strength", "stiffness"))
            axis = f"{np.sqrt(np.mean(np.square(turned))):.1f} ({max(turned):.1f})" if where is whole else "0"
            rows.append(f"| {length:g} | {what} | {axis} | {spread(strengths)} | {spread(stiffnesses)} |")
    lengths = "; ".join(f"{length:g} mm: {min(values):.0f} to {max(values):.0f} mm" for length, values in measured.items())
    lines = [
        f"Eight femora: four drawn, and the four of two real label maps filled with a graded density; voxels of {VOXEL:g} mm, Keyak's law, {len(STRAINS)} load steps to 4 %. Changes are "
        f"in per cent of the same femur with {LONG:g} mm and more, of which the load case keeps 40.",
        "",
        "| shaft, mm | | axis turned by, degrees: root mean square (largest) | strength: mean | root mean square | range | stiffness: mean | root mean square | range |",
        "| ---: | --- | --- | ---: | ---: | --- | ---: | ---: | --- |",
        *rows,
        "",
        f"Where the program found less than 10 mm of shaft, and refused, the image was left longer until it did not; lengths as it measured them: {lengths}.",
        "",
        "## The femora",
        "",
        *markdown(("femur", "shaft, mm", "strength, N", "stiffness, N/mm"), bones),
    ]
    (HERE / "shaft.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
