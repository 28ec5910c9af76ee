# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/fractures.md: grades of vertebral fractures, simulated with known loss and on real spines without any.

    python docs/validation/make_fractures.py [FOLDER [PART ...]]

Heights are kept in the folder, a file for each spine, and are not measured again: parts ("drawn", "found", "real") can be made one by one; without parts all are made. Needs the real
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
from make_path import DATA
from make_spine import scan_of, settings_of
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy import locate_vertebra
from openbct.errors import OpenBCTError
from openbct.fractures.proportions import LEVELS
from openbct.io import read_labels, read_scan
from openbct.phantoms import ScannerSettings, TorsoSettings, as_scan, simulate_torso
from openbct.phantoms import torso as torso_module
from openbct.phantoms.column import LEVELS as DRAWN
from openbct.phantoms.column import Fracture
from openbct.phantoms.spine import Vertebra, VertebraShape
from openbct.records import Acquisition, BoneMask, BoneRegion, CalibratedVolume, LabelMap, Patient, Scan, Segmentation, Step
from openbct.segmentation import BuiltIn, GivenLabels
from openbct.volume import Volume

torso_module.RAY_PIXEL, torso_module.RAY_SLICE = 5.0, 10.0  # a third of the time
HERE = Path(__file__).resolve().parent
KEPT = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
PARTS = sys.argv[2:] or ["drawn", "found", "real"]
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
        else:
            _real()


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


if __name__ == "__main__":
    main()
