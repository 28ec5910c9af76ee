# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/simulator.md: simulated scans against published values, a slower simulation, real scans and other readers.

    python docs/validation/make_simulator.py [PART ...]

Without parts, all of them are measured; with parts (tissues water noise fan rods calibrated real cohort persons readers speed), only these, and the page keeps
what it has of the others. The part ``real`` needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the
project); the part ``readers`` needs dcm2niix and highdicom, which the test environment has.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from openbct.io import read_labels, read_scan, write_ct_series, write_enhanced_ct
from openbct.phantoms import (
    Fracture,
    Person,
    PhantomScan,
    ScannerSettings,
    TorsoSettings,
    calibration_phantom,
    calibration_phantoms,
    cohort,
    simulate_phantom,
    simulate_torso,
    torso_of,
)  # fmt: skip
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.canvas import Canvas, empty
from openbct.phantoms.cohort import neck_density, spine_density
from openbct.phantoms.column import column
from openbct.phantoms.fanbeam import FanSettings, scan_slice
from openbct.phantoms.labels import LABELS
from openbct.phantoms.rods import apatite_in_water
from openbct.phantoms.scanner import expose
from openbct.phantoms.tissues import iodinated, mix
from openbct.phantoms.torso import _around, _blank, _paint, region_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).with_name("simulator.md")
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", ROOT.parent / "shared" / "data"))
KVPS = (80.0, 100.0, 120.0, 140.0)
QUIET = ScannerSettings(noise=0.0)

HEAD = """# Simulated scans

Page written by `python docs/validation/make_simulator.py`; parts of it by `python docs/validation/make_simulator.py PART`.

What the simulator is and leaves out: [](../methods/simulator.md). It shares no constant with calibration or measurement, so that these can be
judged by it. Expected values are published ones, with their source; where the source is our memory of it, [R] says so.
"""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]


def trabecular(mineral: float, yellow: float = 0.55) -> object:
    """Cancellous bone with a mass of apatite over volume [mg/cm³]."""
    share = mineral / 1000.0 / (0.37 * 3.16)
    return mix({"bone_matrix": share, "yellow_marrow": (1 - share) * yellow, "red_marrow": (1 - share) * (1 - yellow)})


# Parts -----------------------------------------------------------------------------------------------------------


def tissues() -> list[str]:
    expected = {
        "water": "0 ± 2", "air": "−1000", "adipose": "−110 to −60", "muscle": "45 to 65", "blood": "35 to 50", "liver": "50 to 65 [R]",
        "kidney": "25 to 40 [R]", "lung": "−800 to −700 [R]", "urine": "0 to 20 [R]", "disc": "60 to 110 [R]",
    }  # fmt: skip
    rows = [
        [name, *(f"{scanner_beam(kvp).hounsfield(name):.0f}" for kvp in KVPS), published] for name, published in expected.items()
    ]
    for mineral in (50.0, 100.0, 150.0, 200.0):
        rows.append(
            [
                f"cancellous bone, {mineral:.0f} mg/cm³ of apatite",
                *(f"{scanner_beam(k).hounsfield(trabecular(mineral)):.0f}" for k in KVPS),
                "",
            ]
        )
    rows.append(["cortical tissue without pores", *(f"{scanner_beam(k).hounsfield('bone_matrix'):.0f}" for k in KVPS), ""])
    rows.append(
        [
            "1 mg/cm³ of iodine in blood",
            *(
                f"{scanner_beam(k).hounsfield(iodinated('blood', 10.0)) / 10 - scanner_beam(k).hounsfield('blood') / 10:.1f}"
                for k in KVPS
            ),
            "25 to 26 at 120 kVp [R]",
        ]
    )
    lines = [
        "HU in the effective beam, before what rays add:",
        "",
        *table(("tissue", *(f"{k:.0f} kVp" for k in KVPS), "expected"), rows),
    ]
    # The table of slopes by energy, from tabulated mass attenuation: K2HPO4 and CHA in water.
    energies = np.array([50.0, 55, 60, 65, 70, 75, 80, 90])
    salt, apatite = (
        np.array([2.24, 1.92, 1.67, 1.51, 1.37, 1.25, 1.15, 1.03]),
        np.array([2.27, 1.93, 1.66, 1.48, 1.33, 1.20, 1.09, 0.97]),
    )
    usual = {
        80.0: "54 [R]",
        100.0: "60 to 62 [R]",
        120.0: "71 (mean of a published 120 kVp spectrum), 66 to 70 [R]",
        140.0: "72 to 76 [R]",
    }
    rows = []
    for kvp in KVPS:
        beam = scanner_beam(kvp)
        at = [
            float(np.interp(-value, -known, energies))
            for value, known in ((beam.phosphate_slope, salt), (beam.apatite_slope, apatite))
        ]
        rows.append(
            (f"{kvp:.0f}", f"{beam.phosphate_slope:.3f}", f"{beam.apatite_slope:.3f}", f"{at[0]:.1f}", f"{at[1]:.1f}", usual[kvp])
        )
    lines += [
        "HU per mg/cm³, and the energy [keV] at which a monochromatic beam would have that slope, against effective energies of clinical scans:", "",
        *table(("kVp", "K₂HPO₄", "CHA", "energy by K₂HPO₄", "by CHA", "published"), rows),
    ]  # fmt: skip
    bone = [scanner_beam(k).hounsfield(trabecular(145.0)) for k in KVPS]
    lines += [
        f"A lumbar body of {bone[2]:.0f} HU at 120 kVp reads {bone[1] / bone[2]:.3f} times as much at 100 kVp and {bone[3] / bone[2]:.3f} times at "
        "140 kVp. Factors that brought the means of 16,747 clinical scans to 120 kVp correspond to 1.08 and 0.95.",
        "",
    ]
    return lines


def water() -> list[str]:
    rows = []
    for width, depth in ((200.0, 200.0), (300.0, 200.0), (300.0, 300.0), (400.0, 300.0)):
        for kvp in (80.0, 120.0):
            found = []
            for scatter in (0.0, ScannerSettings().scatter):
                scanner = replace(QUIET, kvp=kvp, scatter=scatter)
                image = simulate_phantom(PhantomScan(None, (width, depth), (2.0, 2.0, 5.0), 10.0, scanner)).image
                x, y = (image.affine[a, 3] + image.spacing[a] * np.arange(image.shape[a]) for a in (0, 1))
                out = np.sqrt((x[:, None] / (width / 2)) ** 2 + (y[None, :] / (depth / 2)) ** 2)
                found += [image.array[:, :, 1][out < 0.3].mean(), image.array[:, :, 1][(out > 0.75) & (out < 0.88)].mean()]
            rows.append((f"{width:.0f} × {depth:.0f}", f"{kvp:.0f}", *(f"{value:+.1f}" for value in found)))
    return [
        "Mean HU of water ovals, in the middle and near the rim, noise left out (expected 0 ± 2; the scatter that is left by default darkens the "
        "middle of large bodies on purpose, as scanners do):", "",
        *table(("oval, mm", "kVp", "no scatter: middle", "rim", "default: middle", "rim"), rows),
    ]  # fmt: skip


def noise() -> list[str]:
    def deviation(edge: float = 200.0, spacing: tuple[float, float, float] = (1.0, 1.0, 5.0), **scanner: object) -> float:
        settings = replace(ScannerSettings(mas=200.0, stored=(-8000, 8000)), **scanner)  # type: ignore[arg-type]
        image = simulate_phantom(PhantomScan(None, (edge, edge), spacing, 40.0, settings)).image
        i, j = (n // 2 for n in image.shape[:2])
        half = int(25 / spacing[0])
        return float(image.array[i - half : i + half, j - half : j + half].std())

    base = deviation()
    doses = (12.5, 50.0, 200.0, 800.0)
    dose = [deviation(mas=mas) for mas in doses]
    sizes = (150.0, 200.0, 250.0, 300.0, 350.0)
    size = [deviation(edge) for edge in sizes]
    slices = (1.25, 2.5, 5.0, 10.0)
    thick = [deviation(spacing=(1.0, 1.0, step), slice_fwhm=0.0) for step in slices]
    power = [float(np.polyfit(np.log(a), np.log(b), 1)[0]) for a, b in ((doses, dose), (slices, thick))]
    growth = float(np.polyfit(np.array(sizes[1:]) / 10.0, np.log(size[1:]), 1)[0])
    attenuation = scanner_beam().water * 10.0
    kernels = {name: deviation(spacing=(0.5, 0.5, 5.0), kernel=name) for name in ("soft", "standard", "sharp")}
    tube = {kvp: deviation(kvp=kvp) for kvp in KVPS}
    rows = [
        ("20 cm of water, 120 kVp, 200 mAs, 5 mm, standard kernel", f"{base:.1f} HU", "about 5 HU [R]"),
        (f"exponent of dose over {doses[0]:g} to {doses[-1]:g} mAs", f"{power[0]:+.2f}", "−0.5 (counting)"),
        (f"exponent of slice over {slices[0]:g} to {slices[-1]:g} mm", f"{power[1]:+.2f}", "−0.5 (counting)"),
        (
            "growth of log noise per cm of water, 20 to 35 cm",
            f"{growth:.3f}",
            f"μ/2 = {attenuation / 2:.3f} and up to 0.02 more: the noise of FBP grows with size as well",
        ),
        ("150 mm disc over 350 mm", f"{size[0]:.1f} and {size[-1]:.1f} HU", ""),
        (
            "soft, standard, sharp kernel",
            ", ".join(f"{value:.1f}" for value in kernels.values()) + " HU",
            "sharp kernels 2 to 4 times standard [R]",
        ),
        (
            "80, 100, 120, 140 kVp at the same mAs",
            ", ".join(f"{value:.1f}" for value in tube.values()) + " HU",
            "output grows as kVp² to kVp³ [R]",
        ),
    ]
    return [*table(("what", "measured", "expected"), rows)]


def fan() -> list[str]:
    lines = []
    for title, bottom, names in (
        ("hips", -12.0, ("gluteus_maximus_left", "gluteus_medius_right", "urinary_bladder", "femur_left")),
        ("L3", 205.0, ("autochthon_left", "iliopsoas_right", "kidney_left", "aorta", "vertebrae_L3")),
    ):
        settings = TorsoSettings(spacing=(1.5, 1.5, 3.0), bottom=bottom, top=bottom + 9.0, field_of_view=480.0, scanner=QUIET)
        canvas, around = _blank(settings), _blank(_around(settings))
        _paint(canvas, settings, {})
        _paint(around, settings, {})
        rows = []
        plain = replace(QUIET, hardening=False, scatter=0.0)
        noisy = replace(QUIET, noise=None)
        geometry = FanSettings(n_views=720)
        fast = {s: expose(canvas, s, around)[:, :, 1].astype(float) for s in (plain, QUIET, noisy)}
        slow = {s: scan_slice(canvas, 1, s, geometry) for s in (plain, QUIET, noisy)}
        for name in names:
            mask = _core(canvas, name)
            rows.append(
                (name, *(f"{what:+.1f}" for what in (
                    canvas.hu[:, :, 1][mask].mean(), (fast[plain] - slow[plain])[mask].mean(), (fast[QUIET] - fast[plain])[mask].mean(),
                    (slow[QUIET] - slow[plain])[mask].mean())), *(
                    f"{(with_noise[noisy] - with_noise[QUIET])[mask].std():.1f}" for with_noise in (fast, slow)))
            )  # fmt: skip
        lines += [
            f"Slice through the {title}, 120 kVp, 80 mAs, 3 mm:", "",
            *table(("structure", "drawn, HU", "fast − fan without hardening", "hardening and scatter: fast", "fan", "noise: fast", "fan"), rows),
        ]  # fmt: skip
    return [
        "The fast way adds errors and noise to the drawn image, from parallel rays through coarse voxels. The slow way projects the "
        "same image along a fan of rays from a point source over a full turn, counts quanta, corrects for water and reconstructs with the kernel in the filter. Means and deviations in HU, a "
        "pixel away from edges.", "", *lines,
        "What the fast way lacks: streaks finer than its 3 mm voxels, cone and fan geometry, aliasing of few views. The slow way starts from the pixels of the "
        "image and so blurs a little more at edges.", "",
    ]  # fmt: skip


def _core(canvas: Canvas, name: str) -> np.ndarray:
    from scipy import ndimage

    mask = canvas.labels[:, :, 1] == LABELS[name]
    return np.asarray(ndimage.binary_erosion(mask, iterations=2))


def rods() -> list[str]:
    rows = []
    for name, phantom in calibration_phantoms().items():
        ideal = simulate_phantom(PhantomScan(phantom, length=15.0, scanner=replace(QUIET, hardening=False, scatter=0.0)))
        real = simulate_phantom(PhantomScan(phantom, length=15.0, scanner=QUIET))
        read = [[_rod(found, rod) for rod in found.rods] for found in (ideal, real)]
        drawn = [rod.hu for rod in ideal.rods]
        rows.append((name, phantom.unit, ", ".join(f"{value:.0f}" for value in drawn), f"{max(abs(a - b) for a, b in zip(read[0], drawn)):.1f}",
                     ", ".join(f"{b - a:+.0f}" for a, b in zip(*read))))  # fmt: skip
    beam = scanner_beam()
    phantom = calibration_phantom("mindways-model3")
    hu = [beam.hounsfield(phantom.material(number)) for number in range(5)]
    slope, offset = np.polyfit(list(phantom.rods.values()), np.array(hu) - phantom.water, 1)
    return [
        *table(("phantom", "unit", "HU of the rods", "largest error of a noise-free reading without hardening", "change by hardening and scatter"), rows),
        f"The maker's equation on the rods of `mindways-model3` gives a slope of {slope - 0.2174:.4f} HU per mg/cm³ and an offset of {offset + 999.6:+.1f} HU; aqueous K₂HPO₄ "
        f"itself has {beam.phosphate_slope:.4f} in this beam.", "",
    ]  # fmt: skip


def _rod(found: object, rod: object) -> float:
    image = found.image  # type: ignore[attr-defined]
    x, y, z = (image.affine[a, 3] + image.spacing[a] * np.arange(n) for a, n in enumerate(image.shape))
    near = np.hypot(x[:, None] - rod.start[0], y[None, :] - rod.start[1]) < 0.6 * rod.radius  # type: ignore[attr-defined]
    middle, half = (rod.start[2] + rod.end[2]) / 2, 0.3 * (rod.end[2] - rod.start[2])  # type: ignore[attr-defined]
    return float(image.array[near][:, np.abs(z - middle) < half].mean())


def _thorax() -> tuple[float, float]:
    """Mean HU of a 200 mg/cm³ apatite rod and of the water-like insert around it, in a drawn thorax phantom."""

    def oval(points: object, x: float, y: float, a: float, b: float) -> np.ndarray:
        px, py, pz = points  # type: ignore[misc]
        out = np.sqrt(((px - np.float32(x)) / np.float32(a)) ** 2 + ((py - np.float32(y)) / np.float32(b)) ** 2)
        return np.asarray((out - 1) * np.float32(min(a, b)) + 0 * pz)

    def draw(pixel: float, edge: float, step: float) -> Canvas:
        n = round(edge / pixel)
        affine = np.diag([pixel, pixel, step, 1.0])
        affine[:2, 3] = -pixel * (n - 1) / 2
        canvas = empty((n, n, 3), affine, scanner_beam())
        for x, y, a, b, tissue, mineral in (
            (0, 0, 150, 100, "water", 0.0), (-82, -2, 58, 72, "lung", 0.0), (82, -2, 58, 72, "lung", 0.0), (0, -15, 53, 53, "water", 0.0),
            (0, 65, 19, 19, apatite_in_water(400.0), 400.0), (0, 65, 15, 15, apatite_in_water(100.0), 100.0),
            (0, -15, 10, 10, apatite_in_water(200.0), 200.0),
        ):  # fmt: skip
            bounds = (np.array([x - a - 5, y - b - 5, -99.0]), np.array([x + a + 5, y + b + 5, 99.0]))
            canvas.paint(partial(oval, x=x, y=y, a=a, b=b), bounds, (0.0, tissue, 0), mineral=mineral)  # type: ignore[arg-type]
        return canvas

    canvas = draw(1.0, 320.0, 3.0)
    image = expose(canvas, QUIET, draw(2.0, 500.0, 3.0))[:, :, 1]
    x = canvas.affine[0, 3] + np.arange(image.shape[0])
    radius = np.hypot(x[:, None], x[None, :] + 15)
    return float(image[radius < 6].mean()), float(image[(radius > 16) & (radius < 30)].mean())


def _calibrated_row(kvp: float, *, real_rays: bool, phase: str = "none") -> list[str]:
    """Errors of one simulated scan, read through its rods and without a phantom; the truth is that without contrast agent."""
    from openbct.calibration import Phantomless
    from openbct.density import density_uncertainty
    from openbct.phantoms import as_scan
    from openbct.segmentation import GivenLabels
    from openbct.volume import place_into

    phantom = calibration_phantom("mindways-model3")
    scanner = ScannerSettings(kvp=kvp, hardening=real_rays, scatter=ScannerSettings().scatter if real_rays else 0.0)
    settings = TorsoSettings(spacing=(2.0, 2.0, 4.0), scanner=scanner, calibration=phantom)
    plain = simulate_torso(settings)
    found = plain if phase == "none" else simulate_torso(replace(settings, body=replace(settings.body, phase=phase)))
    scan = as_scan(found)
    segmentation = GivenLabels((found.labels, found.bodies))(scan)  # type: ignore[arg-type]
    calibration = Phantomless()(scan, segmentation)
    x, y = (found.image.affine[a, 3] + found.image.spacing[a] * np.arange(found.image.shape[a]) for a in (0, 1))
    near = [np.hypot(x[:, None] - rod.start[0], y[None, :] - rod.start[1]) < 0.6 * rod.radius for rod in found.rods]
    errors: dict[str, list[tuple[float, float]]] = {"spine": [], "hip": []}
    covered = True
    for name, bone in segmentation.bones.items():
        inside = place_into(bone.mask, scan.image, fill=False).array
        slices = np.flatnonzero(inside.any(axis=(0, 1)))
        rods_hu = np.array([found.image.array[mask][:, slices].mean() for mask in near])
        slope, offset = np.polyfit(list(phantom.rods.values()), rods_hu - phantom.water, 1)
        read = (found.image.array[inside].mean() - (offset + 999.6)) / (slope - 0.2174)
        truth, without = float(plain.density.array[inside].mean()), float(calibration.density.array[inside].mean())
        errors["hip" if "femur" in name else "spine"].append((read / truth - 1, without / truth - 1))
        spread = density_uncertainty(calibration, without)
        covered &= spread is not None and abs(without - truth) < 1.96 * spread
    ranges = [
        f"{100 * min(e[way] for e in errors[site]):+.1f} to {100 * max(e[way] for e in errors[site]):+.1f} %"
        for site in ("spine", "hip") for way in (0, 1)
    ]  # fmt: skip
    rays = "hardening and scatter" if real_rays else "ideal"
    return [f"{kvp:.0f}", rays if phase == "none" else f"{rays}, {phase} phase", *ranges, "all" if covered else "not all"]


def calibrated() -> list[str]:
    """Vertebral bodies and femora read with the rods below the body, and without a phantom, against the truth."""
    rows = [_calibrated_row(kvp, real_rays=real_rays) for kvp in KVPS for real_rays in (False, True)]
    rows.append(_calibrated_row(120.0, real_rays=True, phase="portal"))
    return [
        "Error of the mean density of T12 to L4 (bodies) and of both femora, read through the five rods of a `mindways-model3` below the body with its maker's equation, slice by slice, "
        "and by the phantomless calibration of OpenBCT, which knows nothing of the simulator. Truth is the reading of an ideal calibration in the same beam without contrast agent.", "",
        *table(("kVp", "rays", "spine: rods", "spine: phantomless", "hip: rods", "hip: phantomless", "within its stated 95 % interval"), rows),
        "With ideal rays the rods give the truth back. With real ones any calibration reads low inside bone. Beyond that, phantomless calibration errs as far as the drawn tissues differ from those "
        "that its references were measured in: the drawn adipose tissue reads 12 HU more than people's. With contrast agent marrow reads more. Two hundred bodies whose tissues differ: "
        "[](phantomless.md).", "",
    ]  # fmt: skip


def real() -> list[str]:
    scan = read_scan(DATA / "qrm_phantom_dicom").image
    low = slice(31, 34)
    values = [float(scan.array[c - 4 : c + 5, r - 4 : r + 5, low].mean()) for c, r in ((258, 218), (241, 177))]
    ours = _thorax()
    lines = [
        f"Rod of 200 mg/cm³ of hydroxyapatite in a thorax phantom (`qrm_phantom_dicom`): {values[0]:.0f} HU, water rod {values[1]:.0f} HU, difference "
        f"{values[0] - values[1]:.0f} HU; in a drawn thorax of the same kind (oval of 300 × 200 mm, lungs, insert, spine) {ours[0] - ours[1]:.0f} HU.", "",
        "What the calibration stage finds as reference tissues and grain, in real scans without contrast and in simulated ones (HU, mean and deviation within the sample):", "",
    ]  # fmt: skip
    from openbct.calibration import Phantomless
    from openbct.phantoms import as_scan
    from openbct.segmentation import GivenLabels

    rows = []
    given = read_scan(DATA / "abdomen_pelvis" / "ct.nii.gz")
    labels = read_labels(DATA / "abdomen_pelvis" / "labels_vertebrae.nii.gz", like=given.image)
    candidates = [("real, `abdomen_pelvis`", given, labels)]
    for title, person in (
        ("simulated, 62 kg", Person()),
        ("simulated, 95 kg", Person(weight_kg=95.0)),
        ("simulated man, 85 kg", Person(sex="M", height_cm=178, weight_kg=85)),
    ):
        made_scan = simulate_torso(replace(torso_of(person, spacing=(1.0, 1.0, 3.0)), bottom=-60.0))
        candidates.append((title, as_scan(made_scan), made_scan.labels))
    for title, one, drawn in candidates:
        calibrated = Phantomless()(one, GivenLabels((drawn,), None)(one))
        found = {sample.name: f"{sample.mean:.0f} ({sample.deviation:.0f})" for sample in calibrated.samples}
        rows.append(
            (title, *(found.get(name, "not used") for name in ("air", "fat", "muscle", "blood")), f"{calibrated.slope:.3f}")
        )
    names = ("air", "fat", "muscle", "blood")
    return [*lines, *table(("scan", *names, "slope, mg/cm³ per HU"), rows)]


def cohorts() -> list[str]:
    people = list(cohort(6000, seed=1))
    rows = []
    for sex in ("F", "M"):
        for low in (50, 60, 70, 80):
            group = [p for p in people if p.sex == sex and low <= p.age < min(low + 10, 85)]
            middle = float(np.mean([p.age for p in group]))
            spine = [p.trabecular_density for p in group]
            wanted, spread = spine_density(sex, middle, 0.0), spine_density(sex, middle, 1.0) - spine_density(sex, middle, 0.0)  # type: ignore[arg-type]
            rows.append((sex, f"{low} to {min(low + 10, 85)}", len(group), f"{np.mean(spine):.0f} ± {np.std(spine):.0f}", f"{wanted:.0f} ± {spread:.0f}",
                         f"{neck_density(sex, middle, 0.0):.3f}", f"{np.mean([p.hip_density for p in group]):.2f}",  # type: ignore[arg-type]
                         f"{np.mean([p.height_cm for p in group]):.0f}", f"{np.mean([p.weight_kg / (p.height_cm / 100) ** 2 for p in group]):.1f}",
                         f"{100 * np.mean([bool(p.fractures) for p in group]):.0f} %"))  # fmt: skip
    return [
        f"{len(people)} persons. Spine: trabecular density [mg/cm³] against the MESA norms at the group's mean age. Hip: the NHANES III mean of the neck [g/cm²] and the factor on the drawn "
        "femur's density that stands for it, mean of the group.", "",
        *table(("sex", "age", "n", "spine", "MESA", "neck, NHANES", "hip factor", "height, cm", "kg/m²", "with a fracture"), rows),
    ]  # fmt: skip


def persons() -> list[str]:
    rows = []
    for title, person in (
        ("as drawn", Person()), ("150 cm, 45 kg", Person(height_cm=150, weight_kg=45)), ("man, 180 cm, 90 kg", Person(sex="M", height_cm=180, weight_kg=90)),
        ("95 kg", Person(weight_kg=95)), ("density 50", Person(trabecular_density=50)), ("L3 wedge 0.3", Person(fractures={"L3": Fracture("wedge", 0.3)})),
    ):  # fmt: skip
        settings = region_of(torso_of(person, replace(QUIET, hardening=False, scatter=0.0), (1.0, 1.0, 1.0)), "L3")
        found = simulate_torso(settings)
        body = found.bodies.volume.array == 22  # type: ignore[union-attr]
        marks = found.landmarks
        heights = [
            np.linalg.norm(marks[f"L3_{p}_superior"] - marks[f"L3_{p}_inferior"]) for p in ("anterior", "middle", "posterior")
        ]
        image = found.image.array[:, :, found.image.shape[2] // 2]
        y = found.image.affine[1, 3] + np.arange(image.shape[1])
        back = settings.body.size * settings.body.girth.back
        width = float((image[:, y < back] > -300).sum()) / 100.0
        centre = np.linalg.inv(found.density.affine) @ [*marks["L3_centre"], 1.0]
        i, j, k = np.rint(centre[:3]).astype(int)
        core = found.density.array[i - 8 : i + 9, j - 7 : j + 4, k - 5 : k + 6].mean()
        rows.append((title, f"{body.sum() / 1000:.1f}", " / ".join(f"{h:.1f}" for h in heights), f"{core:.0f}", f"{width:.0f}"))
    asked = (10.0, 20.0, 30.0)
    cobb = []
    for angle in asked:
        lean = [np.degrees(np.arctan2(level.frame[0, 2], level.frame[2, 2])) for level in column(cobb_deg=angle)]
        cobb.append(f"{max(lean) - min(lean):.1f}")
    return [
        *table(("person", "body of L3, cm³", "its heights in front / middle / behind, mm", "density at its centre, mg/cm³", "cross-section of the belly, cm²"), rows),
        f"Cobb angle between levels: {', '.join(cobb)} degrees for {', '.join(f'{a:g}' for a in asked)} asked.", "",
    ]  # fmt: skip


def readers() -> list[str]:
    import highdicom
    import nibabel as nib
    import pydicom

    from openbct.volume import Volume, canonical

    program = shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or shutil.which("dcm2niix")
    assert program, "dcm2niix is needed: install the test extra"
    found = simulate_torso(region_of(torso_of(Person(), spacing=(1.5, 1.5, 3.0)), "L3"))
    known = {"patient": found.patient, "acquisition": found.acquisition}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for kind in ("classic", "enhanced"):
            for header in ("complete", "poor", "wrong"):
                folder = Path(temporary) / kind / header
                if kind == "classic":
                    files = write_ct_series(found.image, folder, header=header, **known)  # type: ignore[arg-type]
                else:
                    files = [write_enhanced_ct(found.image, folder / "scan.dcm", header=header, **known)]  # type: ignore[arg-type]
                own = read_scan(folder)
                out = folder.with_name(f"{header}-out")
                out.mkdir()
                subprocess.run(
                    [program, "-b", "n", "-m", "y", "-z", "n", "-f", "x", "-o", out, folder], check=True, capture_output=True
                )
                image = nib.load(next(out.glob("*.nii")))
                other = canonical(Volume(np.asanyarray(image.dataobj), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine, "HU"))
                try:
                    if kind == "classic":
                        volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in files])
                    else:
                        volume = highdicom.imread(files[0]).get_volume()
                    # highdicom's axes are slice, row, column.
                    turned = Volume(volume.array.transpose(2, 1, 0), volume.affine[:, [2, 1, 0, 3]], "HU")
                    third = canonical(turned).array
                    theirs = (
                        "same"
                        if np.array_equal(third, found.image.array)
                        else f"differs by up to {np.abs(third - found.image.array).max():.0f}"
                    )
                except Exception as error:  # whatever the other program says is the result
                    theirs = f"refused ({type(error).__name__})"
                same = np.array_equal(other.array, found.image.array)
                step = float(other.spacing[2])
                rows.append((kind, header, "same" if np.array_equal(own.image.array, found.image.array) else "other", len(own.step.cautions),
                             f"{'same' if same else 'other'} voxels, {step:.2f} mm apart", theirs))  # fmt: skip
    return [
        *table(("file", "header", "OpenBCT", "its cautions", "dcm2niix", "highdicom"), rows),
        "Slices are 3 mm apart; the wrong header says 4.5.",
        "",
    ]


def speed() -> list[str]:
    rows = []
    code = (
        "import time\nfrom dataclasses import replace\nfrom openbct.phantoms import *\n"
        "t=time.perf_counter();c=time.process_time()\ns=torso_of(Person(),spacing={spacing})\n{cut}\nx=simulate_torso(s)\n"
        "print(x.image.shape,time.perf_counter()-t,time.process_time()-c,int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])/1e6,sep='|')"
    )
    cases = (
        (
            "512 × 512 × 400",
            "(0.7421875, 0.7421875, 1.0)",
            "s=replace(s,field_of_view=380.0,bottom=-100.0,top=300.0)",
            "3 min, 6 GB",
        ),
        ("the default (1 × 1 × 2 mm)", "(1.0, 1.0, 2.0)", "", ""),
        ("low resolution (2 × 2 × 5 mm)", "(2.0, 2.0, 5.0)", "", "20 s"),
    )
    for title, spacing, cut, goal in cases:
        said = subprocess.run(
            [sys.executable, "-c", code.format(spacing=spacing, cut=cut)], capture_output=True, text=True, check=True
        ).stdout
        shape, wall, cpu, memory = said.strip().split("|")
        rows.append((f"{title}: {shape}", f"{float(wall):.0f} s", f"{float(cpu):.0f} s", f"{float(memory):.1f} GB", goal))
    with tempfile.TemporaryDirectory() as temporary:
        same = []
        for name in ("a", "b"):
            begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-m", "openbct", "simulate", Path(temporary) / name, "--low-resolution"],
                check=True,
                capture_output=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            same.append(b"".join(path.read_bytes() for path in sorted(Path(temporary, name).rglob("*")) if path.is_file()))
        wall = time.perf_counter() - begin
    rows.append(("`openbct simulate --low-resolution`, files included", f"{wall:.0f} s", f"{spent:.0f} s", "", "20 s"))
    assert same[0] == same[1], "the same seed gave other files"
    return [
        *table(("scan", "wall", "CPU", "memory", "goal"), rows),
        "Two cores, shared with other work. Two runs with the same seed gave the same bytes in every file.",
        "",
    ]


PARTS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "tissues": ("Tissues and mineral by tube voltage", tissues),
    "water": ("Water", water),
    "noise": ("Noise", noise),
    "fan": ("The fast way against projection and reconstruction", fan),
    "rods": ("Calibration phantoms", rods),
    "calibrated": ("Calibrated back", calibrated),
    "real": ("Against real scans", real),
    "persons": ("Persons", persons),
    "cohort": ("Cohort", cohorts),
    "readers": ("Other readers", readers),
    "speed": ("Speed and memory", speed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART")
    chosen = parser.parse_args().parts or list(PARTS)
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    kept = dict(re.findall(r"<!-- part (\w+) -->\n(.*?)<!-- end -->", old, flags=re.DOTALL))
    for name in chosen:
        begin = time.perf_counter()
        kept[name] = "\n".join(PARTS[name][1]())
        print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        sections = [f"## {PARTS[part][0]}\n\n<!-- part {part} -->\n{kept[part]}<!-- end -->\n" for part in PARTS if part in kept]
        PAGE.write_text(HEAD + "\n" + "\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
