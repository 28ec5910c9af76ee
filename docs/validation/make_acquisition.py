# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/acquisition.md: what a poor acquisition does to density and strength, and what the checks of a scan say.

    python docs/validation/make_acquisition.py --cache FOLDER [PART ...]

``FOLDER`` keeps each analysed scan, so that a broken-off run goes on where it stopped; empty it when the program has changed. Without
parts, all are made (effects rules found real centre choice); the page keeps what it has of the others. The part ``real`` needs the real scans
(``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). About an hour of one core.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from off_centre import off_centre_part
from scipy import ndimage

from openbct.acquisition import rules
from openbct.io import inspect_path, read_labels, read_scan, write_ct_series
from openbct.phantoms import Person, ScannerSettings, SimulatedScan, TorsoSettings, simulate_torso, torso_of
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.torso import as_scan, region_of
from openbct.pipeline import analyze
from openbct.quality import examine
from openbct.records import Acquisition, LabelMap, Patient, Scan, Segmentation, Step
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override
from openbct.volume import Volume

HERE = Path(__file__).resolve().parent
PAGE = HERE / "acquisition.md"
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", HERE.parents[2] / "shared" / "data"))
PERSONS = {
    "A": Person(seed=1),
    "B": Person(seed=2, age=60, height_cm=168, weight_kg=75, trabecular_density=140.0, hip_density=1.3),
}
"""One with low density, one with normal density: each variant is compared with the base of the same person."""
SITES = {"L1": (110.0, (0.0, 14.0)), "femur_left": (150.0, (100.0, 14.0))}
"""Bone to the image's field [mm] and centre; rays go through the whole body all the same."""
SPACING, HIP_SPACING = (0.8, 0.8, 1.0), (0.8, 0.8, 1.5)
BASE = ScannerSettings(mas=200.0)


@dataclass(frozen=True)
class Variant:
    """One change of the acquisition."""

    group: str
    title: str
    scanner: Mapping[str, Any] = field(default_factory=dict)
    person: Mapping[str, Any] = field(default_factory=dict)
    spacing: tuple[float, float, float] | None = None
    """``None``: that of the base."""
    change: Callable[[SimulatedScan], SimulatedScan] = lambda scan: scan
    slope_of: float | None = None
    """Tube voltage whose calibration line is used; ``None``: the scan's own."""
    sites: tuple[str, ...] = ("L1", "femur_left")


def interpolated(scan: SimulatedScan) -> SimulatedScan:
    """Move the image by half a voxel along every axis and back, with linear interpolation."""
    there = ndimage.shift(scan.image.array.astype(np.float32), 0.5, order=1, mode="nearest")
    back = ndimage.shift(there, -0.5, order=1, mode="nearest")
    return replace(scan, image=Volume(np.rint(back).astype(np.int16), scan.image.affine, "HU"))


SPINE, HIP = ("L1",), ("femur_left",)
VARIANTS = (
    Variant("repeat", "other noise", {"seed": 5}),
    Variant("kernel", "soft", {"kernel": "soft"}, sites=SPINE),
    Variant("kernel", "sharp", {"kernel": "sharp"}),
    Variant("kernel", "sharp, a quarter of the dose", {"kernel": "sharp", "mas": 50.0}),
    Variant("slices", "2 mm", spacing=(0.8, 0.8, 2.0), sites=SPINE),
    *(Variant("slices", f"{step:g} mm", spacing=(0.8, 0.8, step)) for step in (3.0, 5.0)),
    Variant("slices", "6 mm", spacing=(0.8, 0.8, 6.0), sites=SPINE),
    Variant("pixels", "1.2 mm", spacing=(1.2, 1.2, 1.0), sites=SPINE),
    *(Variant("pixels", f"{edge:g} mm", spacing=(edge, edge, 1.0)) for edge in (1.5, 3.0)),
    Variant("dose", "1/4", {"mas": 50.0}, sites=SPINE),
    *(Variant("dose", f"1/{200 / mas:g}", {"mas": mas}) for mas in (12.5, 3.125)),
    *(Variant("contrast agent", phase, person={"phase": phase}, sites=SPINE) for phase in ("arterial", "late")),
    *(Variant("contrast agent", phase, person={"phase": phase}) for phase in ("portal", "oral")),
    *(Variant("motion", f"{size:g} mm", {"motion_mm": size}) for size in (2.0, 4.0)),
    Variant("motion", "1 mm", {"motion_mm": 1.0}, sites=SPINE),
    Variant("metal", "screws in the next vertebra below", person={"implants": ("screws_L2",)}, sites=SPINE),
    Variant("metal", "screws two vertebrae below", person={"implants": ("screws_L3",)}, sites=SPINE),
    Variant("metal", "prosthesis of the other hip", person={"implants": ("prosthesis_right",)}, sites=HIP),
    Variant("metal", "nail of the other hip", person={"implants": ("nail_right",)}, sites=HIP),
    Variant("beam hardening", "none at all", {"hardening": False, "scatter": 0.0}),
    Variant("beam hardening", "five times the scatter", {"scatter": 0.005}),
    *(Variant("body weight", f"{weight:g} kg at 160 cm", person={"weight_kg": weight, "height_cm": 160.0}) for weight in (85.0, 110.0)),
    Variant("range of HU", "ends at 1023", {"stored": (-1024, 1023)}),
    Variant("interpolation", "there and back by half a voxel", change=interpolated),
    *(Variant("tube voltage, own line", f"{kvp:g} kVp", {"kvp": kvp}, sites=SPINE) for kvp in (80.0, 100.0, 140.0)),
    *(Variant("tube voltage, line of 120 kVp", f"{kvp:g} kVp", {"kvp": kvp}, slope_of=120.0, sites=SPINE) for kvp in (80.0, 100.0, 140.0)),
)  # fmt: skip


REPEATED = ("base", "other noise", "sharp", "5 mm", "3 mm", "1/16", "portal", "110 kg at 160 cm", "2 mm")
"""What is repeated with person B."""


def settings_of(variant: Variant, person: Person, bone: str) -> TorsoSettings:
    """Return what is simulated."""
    someone = replace(person, **variant.person)
    usual = HIP_SPACING if bone.startswith("femur") else SPACING
    torso = torso_of(someone, replace(BASE, **variant.scanner), variant.spacing or usual)
    size, (edge, centre) = torso.body.size, SITES[bone]
    torso = replace(torso, field_of_view=edge * size, centre=(centre[0] * size, centre[1] * size))
    return region_of(torso, "hip" if bone.startswith("femur") else bone)


def assess(variant: Variant, person: Person, bone: str) -> dict[str, float | str]:
    """Return density and strength of one bone in one scan, calibrated with the simulator's own line."""
    scan = variant.change(simulate_torso(settings_of(variant, person, bone)))
    slope = scan.beam.phosphate_slope
    if variant.slope_of is not None:
        other = replace(settings_of(variant, person, bone), scanner=replace(BASE, kvp=variant.slope_of))
        slope = scanner_beam(other.scanner.kvp, other.scanner.water_cm).phosphate_slope
    protocol = override(
        built_in(),
        {
            "run": {"bones": [bone], "threads": 1},
            "calibration": {"method": "fixed", "mineral": "K2HPO4", "slope_mg_cm3_per_hu": 1 / slope, "intercept_mg_cm3": 0.0},
            "femur": {"voxel_mm": 2.0},
        },
        "validation",
    )
    # The rule on noise quotes what is measured here: it must not refuse what it is measured on.
    with mock.patch.object(importlib.import_module("openbct.quality.examine"), "check_noise", return_value=[]):
        (result,) = analyze(as_scan(scan), GivenLabels((scan.labels,), (bone,)), settings=protocol).bones
    if result.strength is None or result.measures is None:
        return {"refused": result.reason or ""}
    values = {name: measure.value for name, measure in result.measures.values.items()}
    density = values["trabecular_vbmd"] if bone == "L1" else values["total_hip_abmd"]
    return {"density": density, "strength": result.strength.strength, "integral": values["integral_vbmd"]}


def cached(folder: Path, key: str, work: Callable[[], Any]) -> Any:
    """Return a result that was kept, or keep it."""
    path = folder / f"{key}.json"
    if not path.exists():
        path.write_text(json.dumps(work()))
    return json.loads(path.read_text())


def run_effects(folder: Path) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Return every analysed scan by group, title, person and bone; the base has no group."""
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    base = Variant("", "base")
    for name, bone in (("A", "L1"), ("A", "femur_left"), ("B", "L1")):
        for variant in (base, *VARIANTS):
            if bone in variant.sites and (name == "A" or variant.title in REPEATED):
                key = f"{variant.group}_{variant.title}_{name}_{bone}".replace(" ", "-").replace("/", "over").replace(",", "")
                found[variant.group, variant.title, name, bone] = cached(
                    folder, key, lambda variant=variant, name=name, bone=bone: assess(variant, PERSONS[name], bone)
                )
    return found


RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "not_axial": ("interpolation", ("there and back by half a voxel",)),
    "derived": ("interpolation", ("there and back by half a voxel",)),
    "sharp_kernel": ("kernel", ("sharp", "sharp, a quarter of the dose")),
    "thick_slices": ("slices", ("5 mm", "6 mm")),
    "large_pixels": ("pixels", ("1.5 mm", "3 mm")),
    "unusual_kvp": ("tube voltage, own line", ("80 kVp", "140 kVp")),
    "stated_contrast": ("contrast agent", ("arterial", "portal", "late")),
    "clipped_hu": ("range of HU", ("ends at 1023",)),
    "body_size": ("body weight", ("110 kg at 160 cm",)),
    "noise": ("dose", ("1/16",)),
    "motion": ("motion", ("2 mm", "4 mm")),
    "metal_beside": ("metal", ("prosthesis of the other hip", "nail of the other hip")),
    "streaks": ("metal", ("prosthesis of the other hip",)),
    "contrast_in_blood": ("contrast agent", ("arterial", "portal", "late")),
    "contrast_in_kidneys": ("contrast agent", ("arterial", "portal", "late")),
    "oral_contrast": ("contrast agent", ("oral",)),
    "dark_band": ("beam hardening", ("five times the scatter",)),
}
"""Rule to the variants whose largest change it quotes."""
COLUMNS = (("A", "L1"), ("B", "L1"), ("A", "femur_left"))
Effects = dict[tuple[str, str, str, str], dict[str, Any]]


def change(found: Effects, group: str, title: str, name: str, bone: str, key: str) -> float | None:
    """Return a change against the base of the same person [%]; ``None`` where the bone was refused or not asked for."""
    base, value = found["", "base", name, bone], found.get((group, title, name, bone), {})
    return 100 * (value[key] / base[key] - 1) if key in value else None


def largest(found: Effects, rule_key: str, key: str) -> float:
    """Return the largest change that a rule's variants made [%]."""
    group, titles = RULES[rule_key]
    values = [change(found, group, title, *column, key) for title in titles for column in COLUMNS]
    return max(abs(value) for value in values if value is not None)


def quoted(value: float) -> float:
    """Return a change as rules quote it: rounded up to a whole percent."""
    return float(np.ceil(value - 1e-9))


def table(header: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def effects(folder: Path) -> list[str]:
    found = run_effects(folder)
    header = ("what", "which", "A, L1: trab. vBMD", "strength", "B, L1: trab. vBMD", "strength", "A, hip: total aBMD", "strength")
    rows = []
    for variant in VARIANTS:
        cells = []
        for name, bone in COLUMNS:
            entry = found.get((variant.group, variant.title, name, bone))
            if entry is None:
                cells += ["", ""]
            elif "refused" in entry:
                cells += ["refused", "refused"]
            else:
                cells += [
                    f"{change(found, variant.group, variant.title, name, bone, key):+.1f}" for key in ("density", "strength")
                ]
        rows.append([variant.group, variant.title, *cells])
    base = {column: found["", "base", *column] for column in COLUMNS}
    sizes = ", ".join(
        f"{name} {bone}: {values['density']:.3g} {'mg/cm³' if bone == 'L1' else 'g/cm²'}, {values['strength']:.0f} N"
        for (name, bone), values in base.items()
    )
    return [
        "Change [%] of density and strength of one bone against the base: 120 kVp, 200 mAs in a slice of 1 mm, standard kernel, pixels of 0.8 mm, slices of "
        "1 mm (hip 1.5 mm), with the simulator's own calibration line, so that this is what the image alone does. What the calibration makes of it "
        "stands on its own page. Labels are the true ones on each grid. Vertebrae in voxels of 1 mm, femora of 2 mm.",
        "",
        f"Base: {sizes}. A is 72 years with low density, B 60 years with normal density.",
        "",
        *table(header, rows),
        "Refused: 1/64 of the dose leaves more than a fifth of the vertebra's voxels without bone, and makes voxels of the hip as bright as metal: other checks stop these.",
        "Screws beside L1 lie in other slices than L1; metal in the same slices is that of the other hip. Motion is a periodic movement of the whole body with double contours.",
        "",
    ]  # fmt: skip


def rules_part(folder: Path) -> list[str]:
    found = run_effects(folder)
    rows, wrong = [], []
    for key, one in rules().items():
        effect = ""
        if key in RULES:
            values = [quoted(largest(found, key, what)) for what in ("density", "strength")]
            if values != [one.density_percent, one.strength_percent]:
                wrong.append(f"{key}: the table says {one.density_percent}, {one.strength_percent}; measured {values}")
            effect = f"density {values[0]:.0f}, strength {values[1]:.0f}"
        limits = [f"{limit:g}" if limit is not None else "" for limit in (one.caution, one.refused)]
        if one.low is not None:
            limits[0] = f"below {one.low:g}, above {limits[0]}"
        module, _, constant = one.where.partition(":")
        if constant:
            limits[one.outcome == "refused"] = f"{getattr(importlib.import_module(module), constant):g}"
        where = module.removeprefix("openbct.")
        rows.append(
            [one.title, one.judges, *limits, one.unit, effect, f"`{where}`", f"{one.reference.text} [{one.reference.mark}]"]
        )
    if wrong:
        raise SystemExit("\n".join(wrong))
    header = ("rule", "looks at", "caution", "refused", "unit", "largest change measured [%]", "applied in", "source")
    return [
        "The table of rules (`src/openbct/data/acquisition.toml`). A limit is passed when the value lies above it, unless it says otherwise. The change is the "
        "largest of the bones and variants above that the rule stands for; sentences in reports quote it. Where it is empty, nothing was measured.",
        "",
        *table(header, rows),
    ]  # fmt: skip


USUAL = ScannerSettings(mas=150.0)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "usual": ({}, {}),
    "arterial phase": ({"phase": "arterial"}, {}),
    "portal phase": ({"phase": "portal"}, {}),
    "oral contrast agent": ({"phase": "oral"}, {}),
    "110 kg at 160 cm": ({"weight_kg": 110.0}, {}),
    "a fifteenth of the dose": ({}, {"mas": 10.0}),
    "motion of 2 mm": ({}, {"motion_mm": 2.0}),
    "motion of 4 mm": ({}, {"motion_mm": 4.0}),
    "no beam hardening, no scatter": ({}, {"hardening": False, "scatter": 0.0}),
    "right prosthesis, screws in L3": ({"implants": ("prosthesis_right", "screws_L3")}, {}),
}
"""Simulated scans of one person on which the checks of the image were tried."""
LOOKED_AT = ("L1", "L2", "L4", "femur_left", "femur_right")


def checks_of(image: Volume, labels: LabelMap) -> list[dict[str, Any]]:
    """Return the checks of one simulated scan as plain tables."""
    scan = Scan(image, Patient(), Acquisition(), "simulated", "", Step("input", "Simulated."))
    return [asdict(one) for one in examine(scan, GivenLabels((labels,), LOOKED_AT)(scan)).checks]


def simulated_checks(name: str) -> list[dict[str, Any]]:
    person, scanner = CASES[name]
    scan = simulate_torso(torso_of(replace(PERSONS["A"], **person), replace(USUAL, **scanner), (1.6, 1.6, 3.0)))
    return checks_of(scan.image, scan.labels)


def check_rows(listed: Mapping[str, list[dict[str, Any]]]) -> list[list[str]]:
    """Return one row for each scan: the range of each rule's values, in bold where it was doubted."""
    rows = []
    for name, checks in listed.items():
        cells = []
        for key in IMAGE_RULES:
            mine = [one for one in checks if one["rule"] == key]
            values = [one["value"] for one in mine]
            text = (
                "" if not mine else f"{min(values):.3g}" if len(set(values)) == 1 else f"{min(values):.3g} to {max(values):.3g}"
            )
            cells.append(f"**{text}**" if any(one["outcome"] != "ok" for one in mine) else text)
        rows.append([name, *cells])
    return rows


IMAGE_RULES = tuple(key for key, one in rules().items() if one.judges == "image")


def image_header() -> tuple[str, ...]:
    """Return the heads of a table of checks."""
    return ("scan", *(f"{rules()[key].title} [{rules()[key].unit}]" for key in IMAGE_RULES))


def found_part(folder: Path) -> list[str]:
    listed = {
        name: cached(folder, f"checks_{name}".replace(" ", "-").replace(",", ""), lambda name=name: simulated_checks(name))
        for name in CASES
    }
    return [
        "Simulated scans of person A from T11 to the femora, pixels of 1.6 mm, slices of 3 mm, 150 mAs, with true labels; the checks looked at L1, L2, L4 and both "
        "femora. Bold: a caution or a refusal. Empty: there was nothing to measure, or nothing bright enough.",
        "",
        *table(image_header(), check_rows(listed)),
    ]  # fmt: skip


REAL = {
    "abdomen_pelvis": ("ct.nii.gz", "labels_vertebrae.nii.gz"),
    "abdomen_small": ("ct.nii.gz", "segmentations"),
    "thoracolumbar_dicom": ("", ""),
    "lumbar_sagittal_dicom": ("", ""),
    "abdomen_jpeg2000_contrast_dicom": ("", ""),
    "qrm_phantom_dicom": ("", ""),
}


def real_part(folder: Path) -> list[str]:
    listed, said = {}, []
    for name, (image, labels) in REAL.items():
        scan = read_scan(DATA / name / image)
        drawn = (read_labels(DATA / name / labels, like=scan.image),) if labels else ()
        segmentation = GivenLabels(drawn, None)(scan) if drawn else Segmentation({}, {}, Step("segmentation", "None."))
        examination = examine(scan, segmentation)
        listed[name] = [asdict(one) for one in examination.checks]
        said += [f"**{name}**", "", *(f"- {caution}" for caution in (*scan.step.cautions, *examination.step.cautions)), ""]
    return [
        "Real scans, with labels where there are any; without them only the scan as a whole is judged. Nobody knows the truth about their noise or movement; "
        "what can be told by eye agrees: no metal or movement near the bones, contrast agent in one scan alone.",
        "",
        *table(image_header(), check_rows(listed)),
        "What is said of each:",
        "",
        *said,
    ]  # fmt: skip


STUDY: dict[str, dict[str, Any]] = {
    "1": {"step": 5.0, "count": 20},
    "2": {"step": 1.0, "count": 100, "contrast": "agent"},
    "3": {"step": 1.0, "count": 100},
    "4": {"step": 1.0, "count": 100, "kernel": "Br64f"},
    "5": {"step": 2.0, "count": 50, "types": ("DERIVED", "SECONDARY", "MPR")},
    "6": {"step": 1.0, "count": 40},
    "7": {"step": 10.0, "count": 10},
    "8": {"step": 3.0, "count": 33},
}
"""A study of eight series, by number: distance of slices [mm] and how many, and what is unusual."""


def choice_part(folder: Path) -> list[str]:
    uid = "1.2.826.0.1.3680043.8.498.1"
    image = np.full((24, 24, 1), -1000, dtype=np.int16)
    image[6:18, 6:18] = 50
    image[10:14, 12:16] = 400
    with tempfile.TemporaryDirectory() as place:
        for number, one in STUDY.items():
            volume = Volume(np.repeat(image, one["count"], axis=2), np.diag([0.8, 0.8, one["step"], 1.0]), "HU")
            made = Acquisition(
                kvp=120.0, kernel=one.get("kernel", "Br38f"), slice_thickness=one["step"], manufacturer="SIEMENS", model="Some CT",
                contrast=one.get("contrast"), image_type=one.get("types", ("ORIGINAL", "PRIMARY", "AXIAL")), study_uid=uid,
                series_uid=f"{uid}.{number}", study_date="2024-01-15",
            )  # fmt: skip
            write_ct_series(volume, Path(place) / number, patient=Patient(), acquisition=made, extra={"SeriesNumber": number})
        entries = inspect_path(place)
        sentence = read_scan(place).step.sentence
    rows = [[entry.name, entry.use, entry.why] for entry in sorted(entries, key=lambda entry: entry.name)]
    return [
        "A study of eight small series, as `openbct inspect` judges them:",
        "",
        *table(("series", "verdict", "why"), rows),
        f"What the report's methods say then: “{sentence[sentence.index('Of ') :]}”",
        "",
    ]


def centre_part(folder: Path) -> list[str]:
    """A body above or below the axis of rotation."""
    head, rows = off_centre_part()
    return [
        "A usual body (62 kg) moved up or down in the scanner, 120 kVp, without noise and scatter: a fan beam behind a shaped filter that makes up for 0.6 of the water that outer rays miss in a centred "
        "cylinder of 30 cm. What is read in the centre [HU], and the change off it, on two scanners: one that corrects every channel for water in its own beam, and one that was set up on one centred "
        "cylinder of water, as the worst.", "",
        *table(head, rows),
        "On the first scanner soft tissue stays and bone reads up to 2 % lower 60 mm off the centre, because more filter hardens the beam. On the second everything moves by several HU, as in measurements: an anthropomorphic phantom "
        "changed by more than 20 HU at some places 100 mm off the centre, and of 20 316 patients' abdominal scans 1.9 % were more than 40 mm off and 0.3 % more than 60 mm (Variation in CT number and image noise uniformity "
        "according to patient positioning in MDCT [abstract seen]). It is not judged: few headers say where the axis was, and neither the border of the image nor the table's height does. A phantom below the "
        "body moves with it, and the tissues of the phantomless calibration too.", "",
    ]  # fmt: skip


PARTS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "effects": ("What the acquisition does to density and strength", effects),
    "rules": ("Every rule", rules_part),
    "found": ("What the checks find in simulated scans", found_part),
    "real": ("What they say of real scans", real_part),
    "centre": ("Off the centre of the scanner", centre_part),
    "choice": ("Choosing a series", choice_part),
}
HEAD = """# Acquisition

Page written by `python docs/validation/make_acquisition.py --cache FOLDER`; parts of it with `PART` behind it.

How a scan is judged and a series chosen: [](../methods/acquisition.md).
"""


def write_page(folder: Path, wanted: list[str]) -> None:
    """Write the page: the wanted parts anew, the others as they are."""
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    text = [HEAD]
    for name, (title, make) in PARTS.items():
        kept = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", old, flags=re.S | re.M)
        if name in wanted:
            body = "\n".join(make(folder)).strip()
        elif kept is not None:
            body = kept.group(1).strip()
        else:
            continue
        text.append(f"## {title}\n\n{body}\n")
    PAGE.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("parts", nargs="*", default=list(PARTS), choices=[*PARTS, []])
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    write_page(arguments.cache, list(arguments.parts))
