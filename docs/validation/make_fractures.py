# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/fractures.md: grades of vertebral fractures, simulated with known loss and on real spines without any.

    python docs/validation/make_fractures.py [FOLDER [PART ...]]

Heights are kept in the folder, a file for each spine, and are not measured again: parts ("drawn", "found", "cohort", "real"; "drawn:3" for one of them) can be made one by one; without parts all but the cohort are made. Needs the real
scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about an hour on one core, most of it to simulate and segment scans.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from make_path import DATA, markdown
from make_spine import scan_of, settings_of
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_vertebra
from openbct.errors import OpenBCTError
from openbct.fractures import LIMITS, assess_fractures
from openbct.fractures.proportions import LEVELS
from openbct.io import read_labels, read_scan
from openbct.phantoms import ScannerSettings, TorsoSettings, as_scan, simulate_torso
from openbct.phantoms import torso as torso_module
from openbct.phantoms.column import LEVELS as DRAWN
from openbct.phantoms.column import Fracture
from openbct.phantoms.spine import Vertebra, VertebraShape
from openbct.records import (
    Acquisition,
    BoneMask,
    BoneRegion,
    CalibratedVolume,
    FractureAssessment,
    Frame,
    LabelMap,
    Patient,
    Scan,
    Segmentation,
    Step,
    VertebraGrade,
)
from openbct.segmentation import BuiltIn, GivenLabels
from openbct.volume import Volume

torso_module.RAY_PIXEL, torso_module.RAY_SLICE = 5.0, 10.0  # a third of the time
HERE = Path(__file__).resolve().parent
KEPT = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
PARTS = sys.argv[2:] or ["drawn", "found", "real"]
"""What is measured before the page is written; "page" measures nothing."""
Array = np.ndarray
TUNED, SHOWN = 0, 1
"""Seeds: spines that served to choose limits, and those of the tables."""
SLICES = (1.0, 2.0, 3.0, 5.0)
N_DRAWN = 8
ABOVE = {"T9": (36.0, 28.0, 22.5, 3.0), "T8": (34.5, 27.0, 21.8, 3.0), "T7": (33.0, 26.0, 21.0, 3.0)}
"""Levels above the simulator's: width, depth, height [mm], lower in front [degrees] [D]."""
KINDS = ("wedge", "biconcave", "crush")
NEAR = 0.03
"""Of a limit between grades: there the grade is a matter of chance."""
Row = dict[str, Any]


def main() -> None:
    """Measure what is asked for, and write the page of all that is kept."""
    KEPT.mkdir(parents=True, exist_ok=True)
    if not DATA.is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    for part in PARTS:
        name, _, number = part.partition(":")
        only = int(number) if number else None
        if name in ("tuned", "drawn"):
            _drawn(TUNED if name == "tuned" else SHOWN, only)
        elif name == "cohort":
            _cohort(only)
        elif name == "found":
            _found(only)
        elif name == "real":
            _real()
    _page()


# Bodies drawn without a scan ------------------------------------------------------------------------------------


def _person(seed: int, number: int) -> tuple[dict[str, VertebraShape], dict[str, Fracture]]:
    """Return one person's bodies from T7 to L5, sound, and the fractures: in every fourth spine three in a row."""
    random = np.random.default_rng([seed, number, 11])
    sizes = {level: (s.width, s.depth, s.height, s.wedge_deg) for level, s in DRAWN.items() if level in LEVELS}
    sizes |= {level: (w, d, h, -wedge) for level, (w, d, h, wedge) in ABOVE.items()}
    scale, concavity = random.uniform(0.9, 1.12), random.uniform(1.2, 2.4)
    shapes = {}
    for level in sorted(sizes, key=LEVELS.index):
        width, depth, height, wedge = sizes[level]
        shapes[level] = VertebraShape(
            width=scale * width, depth=scale * depth, height=scale * height * (1 + random.normal(0, 0.03)),
            wedge_deg=wedge + random.normal(0, 1.5), concavity=scale * concavity * height / 27.5 + random.normal(0, 0.15),
        )  # fmt: skip
    broken = list(shapes)[:-1]  # L5 is left sound
    if number % 4 == 3:
        start = int(random.integers(0, len(broken) - 2))
        where = broken[start : start + 3]
    else:
        where = [str(level) for level in random.choice(broken, 1 + number % 4, replace=False)]
    return shapes, {
        level: Fracture(KINDS[(number + n) % 3], float(random.uniform(0.12, 0.52)))
        for n, level in enumerate(where)  # type: ignore[arg-type]
    }


def _voxels(shape: VertebraShape, slices: float, random: np.random.Generator) -> Volume:
    """Return the label of a body that lies turned, true where a voxel's centre is inside."""
    angles = random.normal(0, (14.0, 3.0, 3.0))
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    half = np.array([shape.width, shape.depth, 1.15 * shape.height]) / 2 + 4.0
    reach = np.abs(turn) @ half
    spacing = np.array([0.8, 0.8, slices])
    first = -reach - random.uniform(0, 1, 3) * spacing
    size = np.ceil(2 * reach / spacing).astype(int) + 3
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, z = ((index * spacing + first) @ turn).T.astype(np.float32)
    bone = Vertebra(shape, np.zeros((1, 1, 1)))  # a label needs no texture
    distance = np.maximum(bone.body((x, y, z))[0], y - np.float32(shape.depth / 2 - 0.5)).reshape(size)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = first
    return Volume(distance < 0, affine, "mask")


def _filled(mask: Volume) -> CalibratedVolume:
    """Return an image in which the label is dense, and denser at its ends, as bodies are."""
    depth = ndimage.distance_transform_edt(mask.array, sampling=mask.spacing)
    density = np.where(mask.array, np.where(depth < 3.0, 400.0, 200.0), 0.0).astype(np.float32)
    return CalibratedVolume(
        mask.with_array(density, "mg/cm3 K2HPO4"), "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given")
    )


def _drawn(seed: int, only: int | None) -> None:
    """Measure the bodies of all drawn spines."""
    for number in range(N_DRAWN):
        if only not in (None, number):
            continue
        shapes, fractures = _person(seed, number)
        for slices in SLICES:
            path = KEPT / f"drawn_{seed}_{number}_{slices:g}.json"
            if path.exists():
                continue
            random = np.random.default_rng([seed, number, int(10 * slices)])
            bodies, true = {}, {}
            for level, shape in shapes.items():
                fracture = fractures.get(level)
                broken = replace(shape, losses=fracture.losses) if fracture else shape
                mask = _voxels(broken, slices, random)
                try:
                    bodies[level] = _kept(locate_vertebra(BoneMask(level, mask, "body", 1.0, False), _filled(mask)), 1.0)
                except OpenBCTError as error:
                    bodies[level] = {"refused": str(error)}
                true[level] = [fracture.kind, fracture.loss] if fracture else ["", 0.0]
            _write(path, {"slices": slices, "true": true, "bodies": bodies})


def _kept(region: BoneRegion, confidence: float) -> Row:
    """Return what the stage needs of a body, as plain numbers."""
    return {
        "lengths": dict(region.lengths),
        "landmarks": {name: point.tolist() for name, point in region.landmarks.items()},
        "axes": region.frame.axes.tolist(),
        "affine": region.mask.affine.tolist(),
        "confidence": confidence,
    }


def _write(path: Path, content: Row) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)


# Scans, segmented without labels --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One simulated scan."""

    fractures: Mapping[str, Fracture]
    slices: float
    density: float


def _cases() -> Iterator[Case]:
    """Yield the scans: every kind, slice and density with one to three fractures of 15 to 50 % of T12 to L4."""
    random = np.random.default_rng(5)
    levels = ("T12", "L1", "L2", "L3", "L4")
    for number in range(12):
        count = (2, 3, 1)[number // 4]
        start = int(random.integers(0, len(levels) - count + 1))
        where = levels[start : start + count] if number % 5 == 4 else tuple(random.choice(levels, count, replace=False))
        fractures = {
            str(level): Fracture(KINDS[(number + n) % 3], round(float(random.uniform(0.15, 0.50)), 2))  # type: ignore[arg-type]
            for n, level in enumerate(where)
        }
        yield Case(fractures, SLICES[number % 4], (60.0, 100.0)[number // 2 % 2])


def _found(only: int | None) -> None:
    """Simulate, segment and measure every scan."""
    for number, case in enumerate(_cases()):
        if only not in (None, number):
            continue
        path = KEPT / f"found_{number}.json"
        if path.exists():
            continue
        settings = TorsoSettings(
            spacing=(1.5, 1.5, case.slices), field_of_view=190.0, centre=(0.0, 55.0), bottom=40.0, top=346.0,
            trabecular_density=case.density, scanner=ScannerSettings(seed=number),
        )  # fmt: skip
        settings = replace(settings, body=replace(settings.body, fractures=dict(case.fractures)))
        simulated = simulate_torso(settings)
        true = {level: [fracture.kind, fracture.loss] for level, fracture in case.fractures.items()}
        row: Row = {"slices": case.slices, "density": case.density, "true": true}
        scan = as_scan(simulated)
        row["bodies"] = _bodies(BuiltIn(("T12", "L1", "L2", "L3", "L4")), scan)
        assert simulated.bodies is not None
        row["given"] = _bodies(GivenLabels((simulated.bodies,), ("T12", "L1", "L2", "L3", "L4")), scan)
        _write(path, row)


def _bodies(segmenter: BuiltIn | GivenLabels, scan: Scan) -> dict[str, Row]:
    """Return what is measured of every vertebra that is whole in a scan."""
    try:
        found = segmenter(scan)
    except OpenBCTError as error:
        return {"all": {"refused": str(error)}}
    return _measured(found, scan)


def _measured(found: Segmentation, scan: Scan) -> dict[str, Row]:
    image = scan.image.with_array(scan.image.array.astype(np.float32), "mg/cm3 K2HPO4")
    line = CalibratedVolume(image, "K2HPO4", "fixed", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "none"))
    bodies: dict[str, Row] = {}
    for level, mask in {**found.bones, **found.others}.items():
        if level not in LEVELS:
            continue
        try:
            bodies[level] = _kept(locate_vertebra(mask, line), mask.confidence)
        except OpenBCTError as error:
            bodies[level] = {"refused": str(error)}
    bodies |= {level: {"refused": reason} for level, reason in found.absent.items() if level in LEVELS}
    return bodies


def _cohort(only: int | None) -> None:
    """Segment and measure the scans of docs/validation/spine.md that were not looked at; some of their persons have fractures."""
    for number in range(5, 30):
        path = KEPT / f"cohort_{number}.json"
        if path.exists() or number == 13 or only not in (None, number):
            continue
        body, (image, truth, names) = settings_of(200, number).body, scan_of(200, number, KEPT)
        scan = Scan(image, Patient(), Acquisition(), "simulated", "", Step("reading", "simulated"))
        true = {level: [fracture.kind, fracture.loss] for level, fracture in body.fractures.items()}
        row: Row = {"slices": float(image.spacing[2]), "true": true, "metal": sorted(body.implants)}
        drawn = LabelMap(
            Volume(truth, image.affine, "label"), {n: f"vertebral_body_{name}" for n, name in names.items()}, "drawn"
        )
        segmenters = {"bodies": BuiltIn(("T12", "L1", "L2", "L3", "L4")), "given": GivenLabels((drawn,), ("L1", "L2", "L3"))}
        _write(path, row | {key: _bodies(segmenter, scan) for key, segmenter in segmenters.items()})


# Real spines -----------------------------------------------------------------------------------------------------


def _real() -> None:
    """Measure the real spines, by labels where there are any and without."""
    vertebrae = tuple(level for level in LEVELS)
    for name, folder in (
        ("thoracolumbar", "thoracolumbar_dicom"),
        ("lumbar_sagittal", "lumbar_sagittal_dicom"),
        ("abdomen_pelvis", "abdomen_pelvis/ct.nii.gz"),
        ("abdomen_small", "abdomen_small/ct.nii.gz"),
    ):
        path = KEPT / f"real_{name}.json"
        if not path.exists():
            scan = read_scan(DATA / folder)
            _write(path, {"bodies": _bodies(BuiltIn(vertebrae), scan)})
    for name, labels in (
        ("labels of bodies", "labels_vertebral_bodies.nii.gz"),
        ("labels of vertebrae", "labels_vertebrae.nii.gz"),
    ):
        path = KEPT / f"real_abdomen_pelvis, {name}.json"
        if not path.exists():
            scan = read_scan(DATA / "abdomen_pelvis" / "ct.nii.gz")
            _write(
                path,
                {
                    "bodies": _bodies(
                        GivenLabels((read_labels(DATA / "abdomen_pelvis" / labels),), ("L1", "L2", "L3", "L4", "L5")), scan
                    )
                },
            )


# The page ---------------------------------------------------------------------------------------------------------


HEAD = """# Vertebral fractures

This page is written by `python docs/validation/make_fractures.py`. Losses are those that were drawn, of the height before; a grade is right where it is the grade of the drawn loss. **Near**: the drawn loss lies within
3 % of a limit between grades (20, 25, 40 %), where the grade is a matter of chance; such cases stand in the tables and are not counted. `±` is what the stage says of its own uncertainty.

What was asked for, 90 % right outside 3 % of a limit, is met by right outlines only where sound vertebrae are counted with the fractured ones. It **is not met for fractures alone**, nor by outlines found without labels. Fractures are read too mild rather than too severe: the middle of
a biconcave body and the front of a small, strongly wedged one come out too high by 3 to 9 % of the height, with slices of 5 mm by more. With slices of 5 mm, outlines found without labels smooth fractures away.

"""


def _region(level: str, row: Row) -> BoneRegion:
    """Return what the stage needs of a body again."""
    mask = Volume(np.ones((1, 1, 1), dtype=bool), np.array(row["affine"]), "mask")
    points = {name: np.array(point) for name, point in row["landmarks"].items()}
    frame = Frame(np.zeros(3), np.array(row["axes"]))
    return BoneRegion(level, "vertebra", None, mask, mask, frame, points, row["lengths"], Step("anatomy", "kept"))


def _assessed(bodies: Mapping[str, Row]) -> FractureAssessment:
    """Return the stage's result on kept bodies; the sex is left unknown."""
    regions = {level: _region(level, row) for level, row in bodies.items() if "refused" not in row}
    refused = {level: row["refused"] for level, row in bodies.items() if "refused" in row}
    confidence = {level: bodies[level]["confidence"] for level in regions}
    return assess_fractures(regions, ungraded=refused, confidence=confidence)


@dataclass(frozen=True)
class Judged:
    """One vertebra: drawn and found."""

    spine: str
    slices: float
    level: str
    kind: str
    loss: float
    found: VertebraGrade | None
    """``None``: not graded."""
    why: str = ""

    @property
    def near(self) -> bool:
        """Within 3 % of a limit."""
        return min(abs(self.loss - limit) for limit in LIMITS) <= NEAR

    @property
    def right(self) -> bool:
        """The grade is that of the drawn loss."""
        return self.found is not None and self.found.grade == sum(self.loss >= limit for limit in LIMITS)


def _judged(pattern: str, key: str) -> list[Judged]:
    """Return every vertebra of the kept spines of a part."""
    found = []
    for path in sorted(KEPT.glob(pattern), key=lambda one: [int(n) for n in one.stem.split("_")[1:]]):
        row = json.loads(path.read_text(encoding="utf-8"))
        if key not in row:
            continue
        done = _assessed(row[key])
        grades = {one.level: one for one in done.vertebrae}
        levels = [level for level in LEVELS if level in grades or level in row["true"]]
        for level in levels:
            kind, loss = row["true"].get(level, ["", 0.0])
            spine = path.stem.split("_")[2 if pattern.startswith("drawn") else 1]
            found.append(
                Judged(spine, row["slices"], level, kind, loss, grades.get(level), done.ungraded.get(level, "not found"))
            )
    return found


def _share(judged: list[Judged]) -> str:
    counted = [one for one in judged if not one.near]
    right = sum(one.right for one in counted)
    return f"{right} of {len(counted)} ({100 * right / len(counted):.0f} %)" if counted else "–"


def _errors(judged: list[Judged]) -> str:
    errors = np.array([100 * (one.found.loss - one.loss) for one in judged if one.found])
    return f"{errors.mean():+.1f} ± {errors.std():.1f} ({np.abs(errors).max():.1f})" if len(errors) else "–"


def _summary(judged: list[Judged]) -> list[str]:
    """Return the table by kind and slices."""
    rows = []
    for kind in (*KINDS, ""):
        for slices in sorted({one.slices for one in judged}):
            mine = [one for one in judged if one.kind == kind and one.slices == slices]
            if not mine:
                continue
            graded = [one for one in mine if one.found]
            shapes = sum(one.found.shape == kind for one in graded if one.found and one.found.grade and kind)
            broken = sum(bool(one.found and one.found.grade) for one in graded)
            high = sum(bool(one.found and one.found.grade >= 2) for one in graded)
            rows.append(
                (kind or "sound", f"{slices:g}", str(len(mine)), str(len(mine) - len(graded)), _share(mine), _errors(mine) if kind else "–",
                 f"{shapes} of {broken}" if kind else f"{broken} of grade 1, {high} of 2 or 3" if not high else f"{broken - high} of grade 1, {high} of 2 or 3")
            )  # fmt: skip
    head = (
        "fracture",
        "slices, mm",
        "vertebrae",
        "not graded",
        "grade right",
        "loss found less drawn, % of height (largest)",
        "shape right; of sound ones: false",
    )
    return markdown(head, rows)


def _every(judged: list[Judged]) -> list[str]:
    """Return a row for every fractured vertebra, and for every sound one that got a grade."""
    rows = []
    for one in judged:
        if not one.kind and not (one.found and one.found.grade):
            continue
        drawn = f"{one.kind} {100 * one.loss:.0f} %" if one.kind else "sound"
        if one.found is None:
            rows.append((one.spine, f"{one.slices:g}", one.level, drawn, f"not graded: {one.why}", ""))
            continue
        losses = " / ".join(f"{100 * one.found.losses[place]:.0f}" for place in ("anterior", "middle", "posterior"))
        told = f"{one.found.grade}{f' {one.found.shape}' if one.found.shape else ''} ({100 * one.found.loss:.0f} ± {100 * one.found.loss_sd:.0f} %)"
        rows.append(
            (
                one.spine,
                f"{one.slices:g}",
                one.level,
                drawn,
                f"{told}; {losses}",
                "near" if one.near else "right" if one.right else "**wrong**",
            )
        )
    return markdown(("spine", "slices, mm", "level", "drawn", "grade found (loss); front / middle / back, %", ""), rows)


def _calibrated(judged: list[Judged]) -> str:
    """Return how often the grade was the drawn one where the stage was that sure."""
    sure = [(max(one.found.chances), one.right) for one in judged if one.found and one.kind]
    parts = []
    for low, high in ((0.0, 0.6), (0.6, 0.9), (0.9, 1.01)):
        mine = [right for chance, right in sure if low <= chance < high]
        if mine:
            parts.append(f"chance {100 * low:.0f} to {min(100 * high, 100):.0f} %: {sum(mine)} of {len(mine)} right")
    return "; ".join(parts)


def _of_real() -> list[str]:
    rows = []
    for path in sorted(KEPT.glob("real_*.json")):
        done = _assessed(json.loads(path.read_text(encoding="utf-8"))["bodies"])
        greatest = max(done.vertebrae, key=lambda one: one.loss)
        levels = f"{done.vertebrae[0].level} to {done.vertebrae[-1].level}"
        name = path.stem.removeprefix("real_").replace("_", " ")
        grades = ", ".join(f"{one.level} {one.grade}" for one in done.vertebrae if one.grade) or "none"
        every = ", ".join(f"{one.level} {100 * one.loss:.0f}" for one in done.vertebrae)
        rows.append((name, f"{len(done.vertebrae)} ({levels})", grades, f"{100 * greatest.loss:.0f} % ({greatest.level})", every))
    return markdown(("scan", "graded", "grade 1 or more", "greatest loss", "loss by level, %"), rows)


def _page() -> None:
    """Write the page of all that is kept."""
    drawn, found, given = _judged("drawn_1_*.json", "bodies"), _judged("found_*.json", "bodies"), _judged("found_*.json", "given")
    cohort = _judged("cohort_*.json", "bodies")
    text = [
        "## Bodies drawn without a scan", "",
        f"{len({one.spine for one in drawn})} spines from T7 to L5, each cut into slices of 1, 2, 3 and 5 mm (0.8 mm in the plane): heights vary by 3 % (standard deviation) and wedging by 1.5° from level to level, bodies lie tilted by 14°, and turned and bent "
        "sideways by 3° (standard deviations). One to three fractures of 12 to 52 %, in every fourth spine three in a row. The masks are right: this is the stage alone. Density plays no part. "
        f"Grades right outside the 3 %: **{_share(drawn)}** of all, {_share([one for one in drawn if one.kind])} of the fractured ones, "
        f"{_share([one for one in drawn if one.kind and one.slices <= 3])} with slices up to 3 mm. {_calibrated(drawn)[:1].upper()}{_calibrated(drawn)[1:]}.", "",
        *_summary(drawn), "", *_every(drawn), "",
        "## Scans segmented without labels", "",
        f"{len({one.spine for one in found})} simulated scans (1.5 mm in the plane, trabecular density of L1 60 or 100 mg/cm³) with one to three fractures of T12 to L4, found by the built-in segmenter. "
        f"Grades right: **{_share(found)}** of all, {_share([one for one in found if one.kind])} of the fractured ones.", "",
        *_summary(found), "", *_every(found), "",
        "The same scans with the drawn bodies as labels:", "",
        f"Grades right: **{_share(given)}** of all, {_share([one for one in given if one.kind])} of the fractured ones.", "", *_summary(given), "", *_every(given), "",
    ]  # fmt: skip
    if cohort:
        false = sum(bool(one.found and one.found.grade) for one in cohort if not one.kind)
        text += [
            f"{len({one.spine for one in cohort})} scans of persons of the simulated cohort without fractures ([spine](spine.md)): {false} of {len(cohort)} vertebrae got a grade.",
            "",
        ]
    text += [
        "## Real spines",
        "",
        "Nobody has graded them; by eye they have no fracture. The thoracolumbar scan has voxels of 3 x 3 x 2.5 mm, the abdomen 3 mm, the lumbar one 0.6 mm along the spine.",
        "",
        *_of_real(),
        "",
    ]
    (HERE / "fractures.md").write_text(HEAD + "\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
