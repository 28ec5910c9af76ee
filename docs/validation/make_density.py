# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/density.md: areal density of simulated hips against truth, regions of real bones, and a reference from a public table.

    python docs/validation/make_density.py [FOLDER]

FOLDER keeps the rows of the hips, one file a femur, and gives them back to the next run. Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about five minutes.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from make_density_hips import SHAPES, Hip, drawn, hips, measured
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
LIMIT = 0.02
"""Of the error of an areal density [g/cm²]."""
BODIES = (
    "\n".join(
        f'{number} = "vertebral_body_{level}"'
        for number, level in ((19, "T12"), (20, "L1"), (21, "L2"), (22, "L3"), (23, "L4"), (24, "L5"))
    )
    + "\n"
)
SEEN = {"L1": 113, "L2": 112, "L3": 106, "L4": 107, "L5": 111}
"""Mean of eroded bodies as the notes of the data give it [HU]."""
COUNTED = ("T12", "L1", "L2", "L3")

HEAD = """# Densities

This page is written by `python docs/validation/make_density.py` (hips: `make_density_hips.py`).

"""


def hip_page(rows: list[Hip]) -> list[str]:
    """Simulated hips against their drawing."""
    errors = np.array([[found - true for found, true in zip(row.found, row.truth)] for row in rows])
    lines = [
        "## Areal density of simulated hips",
        "",
        "Three drawn femora, in the pose in which they were drawn on slices of 1, 2 and 3 mm, and turned by 10° each way about each axis on slices of 2 mm; pixels of 0.8 mm, blur of 1 mm in the "
        "plane and 0.8 slices along the table, noise of 25 mg/cm³ per mm of slice. The label is what half-filled voxels make. The **truth** is summed from the drawing in its own frame: box of 15 mm "
        "where the drawn silhouette is narrowest, total hip to 10 mm below the drawn lesser trochanter; neither landmarks nor projection of the program have a part in it.",
        "",
        *markdown(
            ("femur", "pose", "slice, mm", "neck: truth", "error", "total hip: truth", "error"),
            [
                (row.shape, row.turn, f"{row.slice_mm:g}", f"{row.truth[0]:.3f}", f"{row.found[0] - row.truth[0]:+.3f}", f"{row.truth[1]:.3f}", f"{row.found[1] - row.truth[1]:+.3f}")
                for row in rows
            ],
        ),
        "",
        *markdown(
            ("", "mean error, g/cm²", "standard deviation", "largest", f"within ± {LIMIT:g}"),
            [
                (name, f"{errors[:, i].mean():+.3f}", f"{errors[:, i].std():.3f}", f"{errors[np.abs(errors[:, i]).argmax(), i]:+.3f}", f"{int((np.abs(errors[:, i]) <= LIMIT).sum())} of {len(rows)}")
                for i, name in enumerate(("femoral neck", "total hip"))
            ],
        ),
        "",
    ]  # fmt: skip
    turned = [spread([row for row in rows if row.shape == shape and row.slice_mm == 2.0]) for shape in SHAPES]
    lines += [
        f"Turning the leg by 10° moves the neck by at most {max(t[0] for t in turned):.3f} g/cm² and the total hip by at most {max(t[1] for t in turned):.3f} g/cm² against the pose as drawn; "
        "half a standard deviation of T is 0.06 g/cm².",
        "",
        "![Projected density of a simulated right hip with the boxes of neck, trochanteric and intertrochanteric region and Ward's square](density_hip.png)",
        "",
        "Regions as the report draws them (simulated right hip): femoral neck in orange, the parts of the total hip and Ward's square in blue.",
        "",
    ]
    return lines


def kept_hips(name: str, path: Path | None) -> list[Hip]:
    """Return the rows of a femur, from an earlier run where it kept them."""
    if path is not None and path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        return [Hip(**{**row, "truth": tuple(row["truth"]), "found": tuple(row["found"])}) for row in stored]
    rows = hips(name)
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    return rows


def spread(rows: list[Hip]) -> tuple[float, float]:
    """Return the largest change of neck and total hip from the pose as drawn [g/cm²]."""
    still = next(row for row in rows if row.turn == "as drawn")
    moved = [np.abs(np.array(row.found) - np.array(still.found)) for row in rows]
    return float(max(m[0] for m in moved)), float(max(m[1] for m in moved))


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
        f"The published value is 70.7 mg/cm³; the region behind it is not described with the data. The customary ellipse at mid-height lies {values['trabecular_vbmd'].value - 70.7:+.1f} mg/cm³ from it, the mean of all of label 1 "
        "+4.8: near the endplates and next to the cortex the label holds denser bone and partial volume.",
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
    rows, ours, eroded = [], [], []
    for level, mask in segmentation.bones.items():
        values = measure_vertebra(locate_vertebra(mask, calibrated), calibrated).values
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
        f"Phantomless calibration: {calibrated.slope:.3f} mg/cm³ per HU and {calibrated.intercept:+.1f} mg/cm³. `inner_vbmd` against the eroded bodies: {line[0]:.2f} mg/cm³ per HU over the five levels. "
        f"Mean of the ellipse over L1 to L3: {np.mean([float(row[4]) for row in rows if row[0] in COUNTED]):.0f} mg/cm³. Voxels are 3 mm, so that 4 mm of every wall are left out; single levels scatter by that.",
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
        "Two things show. On that recipe's scale 80 mg/cm³ corresponds to some 2.7 kN, where the clinical program's threshold for women is 4.5 kN: held against the published newtons, nearly everybody of this table would be fragile, which is why a "
        "provisional scale gives no class. And a few dozen patients with mixed levels are too few. How often the intervals hold the truth is tested on invented cohorts (`tests/test_strength_reference.py`: 95 % intervals in 200 cohorts of 60 persons). "
        "**No recipe of this program has a reference yet**: that needs a cohort with both numbers, which no public data gives.",
        "",
    ]  # fmt: skip


def main() -> None:
    """Write the page and the picture."""
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    rows = [row for number, name in enumerate(SHAPES) for row in kept_hips(name, kept / f"hips_{number}.json" if kept else None)]
    draw_boxes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [*hip_page(rows), *vertebra(folder), *abdomen(folder), *hip_crop(folder), *public_table()]
    (HERE / "density.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
