"""Write docs/validation/acquisition.md: what a poor acquisition does to density and strength, and what the checks of a scan say.

    python docs/validation/make_acquisition.py --cache FOLDER [PART ...]

``FOLDER`` keeps each analysed scan, so that a broken-off run goes on where it stopped; empty it when the program has changed. Without
parts, all are made (effects choice found real rules); the page keeps what it has of the others. The part ``real`` needs the real scans
(``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). About an hour of one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from openbct.phantoms import Person, ScannerSettings, SimulatedScan, TorsoSettings, simulate_torso, torso_of
from openbct.phantoms.torso import as_scan, region_of
from openbct.pipeline import analyze
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override
from openbct.volume import Volume

HERE = Path(__file__).resolve().parent
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
        from openbct.phantoms.beam import scanner_beam

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
            if bone in variant.sites:
                key = f"{variant.group}_{variant.title}_{name}_{bone}".replace(" ", "-").replace("/", "over").replace(",", "")
                found[variant.group, variant.title, name, bone] = cached(
                    folder, key, lambda variant=variant, name=name, bone=bone: assess(variant, PERSONS[name], bone)
                )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for key, value in run_effects(arguments.cache).items():
        print(key, value)
