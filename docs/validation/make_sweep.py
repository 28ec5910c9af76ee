"""Write docs/validation/sweep.md: strength over directions of a sideways fall, on a public femur and three drawn ones.

    python docs/validation/make_sweep.py

Needs the real femur (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). About fifteen minutes of one core.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from make_presets import DATA, FEMUR, markdown

from openbct.anatomy import locate_femur
from openbct.errors import OpenBCTError
from openbct.femodel import build_model
from openbct.io import read_density, read_labels
from openbct.loadcases import SidewaysFall
from openbct.materials import KEYAK_2005
from openbct.phantoms import FemurShape, femur_region
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, FEModel, Step
from openbct.segmentation import GivenLabels
from openbct.strength import FEMUR_TEST, measure_strength
from openbct.sweep import YIELDED_SHARE, FallSweep, linear_strength, sweep_fall

HERE = Path(__file__).resolve().parent
FALL = SidewaysFall(voxel=1.5)
DENSITIES = {
    "drawn, low density": FemurShape(head_density=140.0, neck_density=50.0, trochanter_density=80.0, neck_cortex=0.8),
    "drawn, middle density": FemurShape(),
    "drawn, high density": FemurShape(head_density=300.0, neck_density=180.0, trochanter_density=240.0, neck_cortex=1.6),
}
TRIED = np.linspace(-30.0, 30.0, 5)
"""Directions in which the nonlinear test is run beside the linear criterion."""
COMPARED = ("`hip_crop`", "drawn, middle density")
"""Femora on which it is run."""

HEAD = f"""# Directions of a sideways fall

This page is written by `python docs/validation/make_sweep.py`: the femur of `hip_crop` and three drawn ones, calibrated density given, the default's law and
test, voxels of 1.5 mm. The sweep's criterion is linear: the load at which {100 * YIELDED_SHARE:g} % of the bone pass their yield stress. How
long a sweep takes: [speed](speed.md).

"""


def region_of(mask: BoneMask, density: object) -> BoneRegion:
    """A femur with its frame."""
    given = CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "Given."))  # type: ignore[arg-type]
    return locate_femur(mask, given)


def femora() -> dict[str, BoneRegion]:
    """Every femur of the page."""
    scan = read_density(DATA / "hip_crop" / "density.nii.gz", mineral="K2HPO4")
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "labels.toml"
        table.write_text(FEMUR, encoding="utf-8")
        drawn = read_labels(DATA / "hip_crop" / "labels.nii.gz", mapping=table, like=scan.image)
    found = {"`hip_crop`": region_of(GivenLabels((drawn,), ("femur_left",))(scan).bones["femur_left"], scan.image)}
    for name, shape in DENSITIES.items():
        bone = femur_region(shape)
        found[name] = region_of(BoneMask("femur_left", bone.mask, "whole", 1.0, False), bone.density)
    return found


def model(region: BoneRegion, adduction: float, rotation: float) -> FEModel:
    """The femur in one direction of fall."""
    case = replace(
        FALL, adduction_deg=FALL.adduction_deg + adduction, internal_rotation_deg=FALL.internal_rotation_deg + rotation
    )
    specimen = case.mount(region)
    return build_model(specimen, case.constrain(specimen), KEYAK_2005)


def compared(region: BoneRegion) -> tuple[str, ...]:
    """Linear criterion against the nonlinear test over directions: mean ratio, scatter, correlation, how many."""
    pairs = []
    for adduction in TRIED:
        for rotation in TRIED:
            try:
                posed = model(region, float(adduction), float(rotation))
                pairs.append((linear_strength(posed)[0], measure_strength(posed, FEMUR_TEST).strength))
            except OpenBCTError:
                continue
    linear, nonlinear = np.array(pairs).T
    ratio = linear / nonlinear
    correlation = float(np.corrcoef(linear, nonlinear)[0, 1])
    return (
        f"{len(pairs)} of {TRIED.size**2}",
        f"{ratio.mean():.2f}",
        f"{100 * ratio.std() / ratio.mean():.0f} %",
        f"{correlation:.2f}",
    )


def weakest(sweep: FallSweep) -> tuple[str, ...]:
    """Where a sweep has its minimum, and how deep it is."""
    adduction, rotation, _ = sweep.weakest
    pair = sweep.nonlinear
    share = "–" if pair is None else f"{100 * pair[1] / pair[0]:.0f} %"
    absolute = "–" if pair is None else f"{pair[0]:,.0f}"
    refused = f"{len(sweep.refused)} of {sweep.strength.size}"
    return (absolute, f"{adduction:.0f}°, {rotation:.0f}°".replace("-", "−"), f"{100 * sweep.relative:.0f} %", share, refused)


def main() -> None:
    """Write the page."""
    if not DATA.is_dir():
        raise SystemExit("no real bones here: set OPENBCT_TEST_DATA to their folder")
    regions = femora()
    sweeps = {name: sweep_fall(region, FALL, KEYAK_2005, test=FEMUR_TEST) for name, region in regions.items()}
    lines = ["## The weakest of 100 directions", "", "Over ± 30° of adduction and internal rotation around 10° and 15°.", ""]
    heads = (
        "femur",
        "default, N",
        "weakest at adduction, rotation",
        "linear, of the default",
        "nonlinear, of the default",
        "refused",
    )
    lines += markdown(heads, [(name, *weakest(sweep)) for name, sweep in sweeps.items()])
    lines += ["## The linear criterion against the nonlinear test", "", f"In {TRIED.size**2} directions of the same square.", ""]
    heads = ("femur", "directions", "mean ratio", "scatter", "correlation")
    lines += markdown(heads, [(name, *compared(regions[name])) for name in COMPARED])
    (HERE / "sweep.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
