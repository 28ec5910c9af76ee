# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/fractures.md: grades of vertebral fractures, drawn with known loss, in simulated scans, and on real spines without any.

    python docs/validation/make_fractures.py [FOLDER [PART ...]]

Heights are kept in the folder, a file for each spine, and are not measured again: parts ("drawn", "found", "real"; "found:3" for one of them) can be made one by one; without parts all are made. Needs the real
scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about eight minutes on one core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fracture_drawings import KINDS, LOSSES, drawn_body, drawn_spines
from make_path import DATA, markdown
from spine_scans import scan_of, settings_of

from openbct.anatomy import locate_vertebra
from openbct.errors import OpenBCTError
from openbct.fractures import LIMITS, assess_fractures
from openbct.fractures.proportions import LEVELS
from openbct.io import read_labels, read_scan
from openbct.phantoms import TorsoSettings
from openbct.phantoms.column import Fracture
from openbct.records import (
    Acquisition,
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

HERE = Path(__file__).resolve().parent
KEPT = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
PARTS = sys.argv[2:] or ["drawn", "found", "real"]
"""What is measured before the page is written; "page" measures nothing."""
Array = np.ndarray
SEED, LOWEST = 2, ("L4", "L2", "L1", "T11", "T10", "T9")
"""Of the drawn spines of the tables, and the levels of their lowest bodies; the method was made on seeds 0 (L5, L3, T12) and 1."""
FOUND_SEED, N_FOUND = 800, 12
"""Persons of the simulated scans, and how many; scans of seeds 300, 400 and 600 were looked at while the method was made."""
SLICES = (1.0, 2.0, 3.0, 5.0)
N_DRAWN = len(SLICES) * len(LOSSES)
"""Persons: three bodies of each are fractured, each of the three kinds with each loss in slices of each thickness."""
FOUND_SLICES = (1.25, 2.0, 3.0, 5.0)
ASKED = ("T12", "L1", "L2", "L3", "L4")
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
        if name == "drawn":
            _drawn(only)
        elif name == "found":
            _found(only)
        elif name == "real":
            _real()
    _page()


# Bodies drawn one by one ------------------------------------------------------------------------------------------


def _drawn(only: int | None) -> None:
    """Measure the bodies of all drawn spines."""
    for slices in SLICES:
        for number, spine in enumerate(drawn_spines(SEED, slices, LOWEST)):
            path = KEPT / f"drawn_{slices:g}_{number}.json"
            if path.exists() or only not in (None, number):
                continue
            bodies: dict[str, Row] = {}
            for n, level in enumerate(spine.shapes):
                mask, line = drawn_body(level, spine, np.random.default_rng([SEED, number, n, int(slices)]))
                try:
                    bodies[level] = _kept(locate_vertebra(mask, line), 1.0)
                except OpenBCTError as error:
                    bodies[level] = {"refused": str(error)}
            true = {level: [one.kind, one.loss] for level, one in spine.fractures.items()}
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


def _found_settings(number: int) -> TorsoSettings:
    """Return one scan: a person of the cohort with two fractures of T12 to L4; kinds, losses and slices go round."""
    random = np.random.default_rng([FOUND_SEED, number, 3])
    torso = settings_of(FOUND_SEED, number)
    fractures = {}
    for n, place in enumerate(sorted(random.choice(len(ASKED), 2, replace=False))):
        loss = LOSSES[(3 * number + 4 * n + number // 8) % len(LOSSES)]
        loss += 0.0 if loss == LOSSES[1] else float(random.uniform(-0.01, 0.01))
        fractures[ASKED[place]] = Fracture(KINDS[(number + n) % 3], round(loss, 3))
    body = replace(torso.body, fractures=fractures, implants=())
    return replace(torso, spacing=(1.25, 1.25, FOUND_SLICES[number % 4]), bottom=60.0 * torso.body.size, body=body)


def _found(only: int | None) -> None:
    """Simulate, segment and measure every scan."""
    for number in range(N_FOUND):
        path = KEPT / f"found_{number}.json"
        if path.exists() or only not in (None, number):
            continue
        settings = _found_settings(number)
        made = scan_of(settings, KEPT / f"scan_{FOUND_SEED}_{number}.npz")
        scan = Scan(made.image, Patient(), Acquisition(), "simulated", "", Step("reading", "simulated"))
        true = {level: [fracture.kind, fracture.loss] for level, fracture in settings.body.fractures.items()}
        drawn = LabelMap(
            Volume(made.bodies, made.image.affine, "label"),
            {n: f"vertebral_body_{name}" for n, name in made.names.items()},
            "drawn",
        )
        row: Row = {"slices": settings.spacing[2], "kernel": settings.scanner.kernel, "true": true}
        row["bodies"] = _bodies(BuiltIn(ASKED), scan)
        row["given"] = _bodies(GivenLabels((drawn,), ASKED), scan)
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

What was asked for is 90 % right outside 3 % of a limit, for wedge, biconcave and crush fractures of 15 to 50 % in slices of 1 to 5 mm, and no false grade 2 on the real spines. With right outlines it is **met in slices up to
3 mm**, counted over fractured bodies alone; what is wrong there is mostly that a person's own vertebrae differ by some per cent. It is **not met in slices of 5 mm**: most vertebrae above L1 are not graded, and outlines found without labels hide hollows. By outlines
found without labels in slices up to 3 mm it is **not quite met**: the finder's smooth surface rounds the narrow hollow of a biconcave body off, and an endplate that lies level in a slice of 3 mm, between bone and a disc of one density, is not placed better than to half
of it. No drawn sound vertebra got a grade, no real one a grade of 2.

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
        return bool(self.kind) and min(abs(self.loss - limit) for limit in LIMITS) < NEAR - 1e-9

    @property
    def right(self) -> bool:
        """The grade is that of the drawn loss."""
        return self.found is not None and self.found.grade == sum(self.loss >= limit for limit in LIMITS)


def _judged(pattern: str, key: str) -> list[Judged]:
    """Return every vertebra of the kept spines of a part."""
    found = []
    for path in sorted(KEPT.glob(pattern), key=lambda one: [float(n) for n in one.stem.split("_")[1:]]):
        row = json.loads(path.read_text(encoding="utf-8"))
        if key not in row:
            continue
        done = _assessed(row[key])
        grades = {one.level: one for one in done.vertebrae}
        levels = [level for level in LEVELS if level in grades or level in row["true"]]
        for level in levels:
            kind, loss = row["true"].get(level, ["", 0.0])
            spine = path.stem.split("_")[-1]
            found.append(
                Judged(spine, row["slices"], level, kind, loss, grades.get(level), done.ungraded.get(level, "not found"))
            )
    return found


def _share(judged: list[Judged]) -> str:
    counted = [one for one in judged if one.found and not one.near]
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


def _by_loss(judged: list[Judged]) -> list[str]:
    """Return the table of the grades of fractured vertebrae by the loss that was drawn."""
    rows = []
    for loss in LOSSES:
        mine = [one for one in judged if one.kind and abs(one.loss - loss) < 0.0101]
        thin, thick = ([one for one in mine if (one.slices <= 3) is way] for way in (True, False))
        name = f"{100 * loss:.0f} %" + (" (near)" if loss == LOSSES[1] else "")
        grade = str(sum(loss >= limit for limit in LIMITS))
        rows.append((name, grade, _share(thin), _errors(thin), _share(thick), _errors(thick)))
    head = (
        "drawn loss",
        "grade",
        "right, slices up to 3 mm",
        "loss found less drawn, %",
        "right, 5 mm",
        "loss found less drawn, %",
    )
    return markdown(head, rows)


def _every(judged: list[Judged], all_of_them: bool) -> list[str]:
    """Return a row for every fractured vertebra, or for those only whose grade is wrong, and for every sound one that got a grade."""
    rows = []
    for one in judged:
        if not one.kind and not (one.found and one.found.grade):
            continue
        if one.kind and not all_of_them and (one.near or one.right or one.found is None):
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


def _fractured(judged: list[Judged], most: float = 9.0, least: float = 0.0) -> str:
    """Return the share of the graded fractured vertebrae whose grade is right, in slices of a range."""
    return _share([one for one in judged if one.kind and one.found and least <= one.slices <= most])


def _page() -> None:
    """Write the page of all that is kept."""
    drawn, found, given = (
        _judged("drawn_*.json", "bodies"),
        _judged("found_*.json", "bodies"),
        _judged("found_*.json", "given"),
    )
    ungraded = sum(one.found is None for one in drawn)
    text = [
        "## Bodies drawn one by one", "",
        f"Bodies of {N_DRAWN} persons, T4 to L4, six in a row of each, with the discs and the next endplates beside them; voxels of 1 mm in the plane, slices of 1, 2, 3 and 5 mm, blur of 0.6 mm, noise. "
        "In slices of each thickness every kind is drawn once with every loss; heights vary by 3 % and wedging by 1.5° from level to level, bodies lie tilted by 8°, turned and bent sideways by 3° (standard deviations). "
        "The loss is that of the drawing's formula, nothing is measured for it. Labels are the drawing's own voxels. The method was made on other persons (other seeds, one of them with other levels). "
        f"Grades right of fractured bodies: **{_fractured(drawn, 3)}** in slices up to 3 mm, {_fractured(drawn, 9, 5)} of those that are graded in slices of 5 mm; of sound ones {_share([one for one in drawn if not one.kind and one.found])}. "
        f"Fractured bodies not graded: {ungraded}, all in slices of 5 mm. {_calibrated(drawn)[:1].upper()}{_calibrated(drawn)[1:]}.", "",
        *_summary(drawn), "", *_by_loss([one for one in drawn if one.found]), "", "Wrong grades:", "", *_every(drawn, False), "",
        "## Scans segmented without labels", "",
        f"{len({one.spine for one in found})} simulated scans of persons of the cohort (1.25 mm in the plane, slices of 1.25, 2, 3 and 5 mm, three kernels, some with contrast agent or scoliosis) with two fractures each of T12 to L4, found by the built-in segmenter. "
        f"Grades right of fractured vertebrae: **{_fractured(found, 3)}** in slices up to 3 mm, {_fractured(found, 9, 5)} in slices of 5 mm; of sound ones {_share([one for one in found if not one.kind and one.found])}.", "",
        *_summary(found), "", *_every(found, True), "",
        "The same scans with the drawn bodies as labels: grades right of fractured vertebrae "
        f"**{_fractured(given, 3)}** in slices up to 3 mm, {_fractured(given, 9, 5)} in slices of 5 mm; of sound ones {_share([one for one in given if not one.kind and one.found])}.", "", *_every(given, False), "",
        "## Real spines", "",
        "Nobody has graded them; by eye they have no fracture. The thoracolumbar scan has voxels of 3 x 3 x 2.5 mm, the abdomen 3 mm, the lumbar one 0.6 mm along the spine.", "",
        *_of_real(), "",
    ]  # fmt: skip
    (HERE / "fractures.md").write_text(HEAD + "\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
