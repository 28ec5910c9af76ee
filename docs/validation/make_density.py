# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/density.md: which regions of real bones give which density, and a reference from a public table.

    python docs/validation/make_density.py

Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes a minute.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
from make_density_hips import SHAPES, drawn, measured
from make_path import DATA, FEMUR, VERTEBRA, markdown
from scipy import ndimage

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.calibration import Given, Phantomless
from openbct.errors import InputError
from openbct.io import read_density, read_label_image, read_labels, read_scan
from openbct.measures import measure_femur, measure_vertebra
from openbct.records import BoneResult
from openbct.reference_building import Observation, build_thresholds
from openbct.report.projection import projection
from openbct.segmentation import GivenLabels
from openbct.volume import place_into

HERE = Path(__file__).resolve().parent
BODIES = (
    "\n".join(
        f'{number} = "vertebral_body_{level}"'
        for number, level in ((19, "T12"), (20, "L1"), (21, "L2"), (22, "L3"), (23, "L4"), (24, "L5"))
    )
    + "\n"
)
PUBLISHED = 70.7
"""Density of the L2 of ``vertebra_l2`` in the table of its source [mg/cm³]."""
SEEN = {"L1": 113, "L2": 112, "L3": 106, "L4": 107, "L5": 111}
"""Mean of eroded bodies as the notes of the data give it [HU]."""
COUNTED = ("T12", "L1", "L2", "L3")

HEAD = """# Densities

This page is written by `python docs/validation/make_density.py`. Simulated hips with known areal density: [their own page](density-hips.md).

"""


PICTURE = (
    "![Projected density of a simulated right hip with the boxes of neck, trochanteric and intertrochanteric region and Ward's square](density_hip.png)",
    "",
    "Regions as the report draws them (simulated right hip): femoral neck in orange, the parts of the total hip and Ward's square in blue.",
    "",
)


def draw_boxes() -> None:
    """Write the picture of the regions."""
    density, mask, _ = drawn(SHAPES["usual"])
    drawing = projection(BoneResult("femur_right", "ok", None, (), (), measures=measured(density, mask)), share=0.5, height=90.0)
    assert drawing is not None
    (HERE / "density_hip.png").write_bytes(drawing[0])


def hip_crop(folder: Path) -> list[str]:
    """Real hip: numbers, no class."""
    (folder / "femur.toml").write_text(FEMUR)
    scan = read_density(DATA / "hip_crop" / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / "hip_crop" / "labels.nii.gz", mapping=folder / "femur.toml", like=scan.image)
    segmentation = GivenLabels((labels,), ("femur_left",))(scan)
    calibrated = Given(mineral="K2HPO4")(scan, segmentation)
    measures = measure_femur(locate_femur(segmentation.bones["femur_left"], calibrated), calibrated)
    names = ("femoral_neck", "trochanteric", "intertrochanteric", "total_hip", "wards")
    values = measures.values
    rows = [
        (
            name.replace("_", " "),
            f"{values[f'{name}_area'].value:.2f}",
            f"{values[f'{name}_bmc'].value:.2f}",
            f"{values[f'{name}_abmd'].value:.3f}",
        )
        for name in names
    ]
    tissue = values.get("trochanteric_soft_tissue")
    said = f"{tissue.value:.0f} mm" if tissue is not None else "not given: the crop ends before the skin"
    return [
        "## `hip_crop` (real left hip, calibrated density)",
        "",
        *markdown(("region", "area, cm²", "mineral, g", "aBMD, g/cm²"), rows),
        "",
        f"Soft tissue over the trochanter: {said}. Age and sex are not known: numbers, no T-score, no class (`tests/test_assessment.py`). The strength stands on [the path](path.md).",
        *[f"Caution: {caution}" for caution in measures.step.cautions],
        "",
    ]  # fmt: skip


def vertebra(folder: Path) -> list[str]:
    """Which region of a real vertebra gives which density."""
    (folder / "vertebra.toml").write_text(VERTEBRA)
    scan = read_density(DATA / "vertebra_l2" / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / "vertebra_l2" / "labels.nii.gz", mapping=folder / "vertebra.toml", like=scan.image)
    segmentation = GivenLabels((labels,), ("L2",))(scan)
    calibrated = Given(mineral="K2HPO4")(scan, segmentation)
    values = measure_vertebra(locate_vertebra(segmentation.bones["L2"], calibrated), calibrated).values
    parts, density = read_label_image(DATA / "vertebra_l2" / "labels.nii.gz").array, scan.image.array
    one = parts == 1
    rows = [("all of label 1 (trabecular body as drawn by the source)", float(density[one].mean()))]
    for margin in (1, 2, 3):
        rows.append(
            (f"label 1, {margin} mm inside its surface", float(density[ndimage.distance_transform_edt(one) > margin].mean()))
        )
    rows.append(("labels 1 and 2 (body with cortex)", float(density[np.isin(parts, (1, 2))].mean())))
    rows += [
        (f"`{name}`: {values[name].region}", values[name].value)
        for name in ("trabecular_vbmd", "slab_vbmd", "inner_vbmd", "peripheral_vbmd", "integral_vbmd")
    ]
    return [
        "## `vertebra_l2` (real L2, calibrated density): which region gives which number",
        "",
        *markdown(("region", "mg/cm³"), [(name, f"{value:.1f}") for name, value in rows]),
        "",
        f"The published value is {PUBLISHED:g} mg/cm³; the region behind it is not described with the data. The customary ellipse at mid-height lies {values['trabecular_vbmd'].value - PUBLISHED:+.1f} mg/cm³ from it, the mean of all of label 1 "
        f"{rows[0][1] - PUBLISHED:+.1f}: near the endplates and next to the cortex the label holds denser bone and partial volume.",
        "",
    ]


def abdomen(folder: Path) -> list[str]:
    """Levels of a real scan against their HU."""
    (folder / "bodies.toml").write_text(BODIES)
    scan = read_scan(DATA / "abdomen_pelvis" / "ct.nii.gz")
    labels = read_labels(
        DATA / "abdomen_pelvis" / "labels_vertebral_bodies.nii.gz", mapping=folder / "bodies.toml", like=scan.image
    )
    segmentation = GivenLabels((labels,), tuple(SEEN))(scan)
    calibrated = Phantomless()(scan, segmentation)
    rows, ours, eroded, doubts = [], [], [], []
    for level, mask in segmentation.bones.items():
        measured_here = measure_vertebra(locate_vertebra(mask, calibrated), calibrated)
        values = measured_here.values
        doubts += [f"Caution: {caution}" for caution in measured_here.step.cautions]
        inside = ndimage.distance_transform_edt(np.pad(mask.mask.array, 1), sampling=mask.mask.spacing)[1:-1, 1:-1, 1:-1] > 4.5
        hu = float(scan.image.array[place_into(mask.mask.with_array(inside), scan.image, False).array].mean())
        rows.append(
            (
                level,
                str(SEEN[level]),
                f"{hu:.0f}",
                f"{values['trabecular_hu'].value:.0f}",
                f"{values['trabecular_vbmd'].value:.1f}",
                f"{values['inner_vbmd'].value:.1f}",
                f"{values['integral_vbmd'].value:.1f}",
            )
        )
        ours.append(values["inner_vbmd"].value)
        eroded.append(hu)
    line = np.polyfit(eroded, ours, 1)
    return [
        "## `abdomen_pelvis` (real scan, man of 55, no contrast): level by level",
        "",
        *markdown(("level", "eroded body as noted with the data, HU", "eroded by 4.5 mm here, HU", "ellipse, HU", "ellipse, mg/cm³", "inner, mg/cm³", "integral, mg/cm³"), rows),
        "",
        f"Phantomless calibration: {calibrated.slope:.3f} mg/cm³ per HU and {calibrated.intercept:+.1f} mg/cm³. `inner_vbmd` against the eroded bodies: {line[0]:.2f} mg/cm³ per HU over the five levels, which span only 8 HU. "
        f"Mean of the ellipse over L1 to L3: {np.mean([float(row[4]) for row in rows if row[0] in COUNTED]):.0f} mg/cm³. Voxels are 3 mm, so that 4 mm of every wall are left out; single levels scatter by that.",
        "",
        *doubts,
        "",
    ]  # fmt: skip


def public_table() -> list[str]:
    """A reference from the published table of another recipe's strengths: scales are not one another's."""
    (path,) = (DATA / "vertebra_l2").glob("*.csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    used = [
        row
        for row in rows
        if row["target_vertebra"] in COUNTED and row["Contrast Enhancement"] == "ce-no" and row["Foreign Material"] == "False"
    ]
    people: dict[str, dict[str, str]] = {row["subject_ID"]: row for row in reversed(used)}
    mine = [
        Observation(
            "vertebra",
            row["Sex"],
            1000.0 * float(row["F.Load (nonlinear) [kN]"]),
            float(row["Phantomless Calibration vBMD [mg/cc]"]),
        )
        for row in people.values()
        if row["Sex"] in ("F", "M")
    ]
    cuts = {"F": 4500.0, "M": 6500.0}
    fragile = sum(one.strength <= cuts[one.sex] for one in mine)
    poor = sum(one.density <= 80.0 for one in mine)
    try:
        built = build_thresholds(mine)
        said = [f"{row.sex}: fragile at {row.fragile_n:.0f} N, normal at {row.normal_n:.0f} N." for row in built.thresholds]
    except InputError as error:
        said = [f"It is **refused**: {error}."]
    return [
        "## A strength reference from a public table: refused",
        "",
        f"Density and nonlinear strength of one vertebra of T12 to L3 each, {len(mine)} persons without contrast agent and metal, as published for another recipe (Walle et al., GigaScience 2025). `openbct reference build` "
        "would do this with these numbers:",
        "",
        *said,
        "",
        f"Two things show. On that recipe's scale 80 mg/cm³ corresponds to some 2.7 kN, where the clinical program's threshold for women is 4.5 kN: held against the published newtons {fragile} of {len(mine)} would be fragile, where {poor} have 80 mg/cm³ or less. That is why a "
        "provisional scale gives no class. And a few dozen patients with mixed levels are too few. How often the intervals hold the truth is tested on invented cohorts (`tests/test_strength_reference.py`: 95 % intervals in 200 cohorts of 60 persons). "
        "**No recipe of this program has a reference yet**: that needs a cohort with both numbers, which no public data gives.",
        "",
    ]  # fmt: skip


def main() -> None:
    """Write the page and the picture."""
    draw_boxes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [*PICTURE, *vertebra(folder), *abdomen(folder), *hip_crop(folder), *public_table()]
    (HERE / "density.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
