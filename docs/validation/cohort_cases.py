"""Simulated persons through the whole chain, one row a bone, for cohort.md.

A person of the simulator's cohort generator lies on a phantom in a simulated scanner; the built-in segmenter finds the bone, the scan is
calibrated without and with the phantom, and the default recipe gives densities and strength. The truth is the same recipe on the drawn
density, before blur and noise, with the drawn mask.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from openbct import analyze
from openbct.calibration import Phantom
from openbct.errors import OpenBCTError
from openbct.phantoms import Person, ScannerSettings, SimulatedScan, as_scan, calibration_phantom, simulate_torso, torso_of
from openbct.phantoms.cohort import cohort
from openbct.pipeline import analyze_bone
from openbct.plan import Plan, make_plan
from openbct.records import BoneMask, BoneRegion, BoneResult, CalibratedVolume, Case, Step
from openbct.segmentation.builtin import BuiltIn
from openbct.settings import built_in, override, with_bones
from openbct.volume import Volume, bounding_box, crop, place_into

PHANTOM = "mindways-model3"
SPACING = (1.2, 1.2, 2.0)
"""Of the images [mm]: thin slices of a clinic in the field of a whole body."""
SPINE, HIP = (190.0, 325.0), (-118.0, 62.0)
"""What is scanned of a drawn body [mm]: T12 to L2, with ribs to count from; both hips to below the lesser trochanters."""
AGES = {"spine": (45.0, 88.0), "hip": (22.0, 88.0)}
"""Where the published densities that persons are drawn from begin and end."""
SEEDS = {"spine": 91, "hip": 92}
VOLTAGES = (100.0, 120.0, 120.0, 120.0, 140.0)
"""Tube voltages, in turn [kV]."""
DRAWN_VOXEL = 1.5
"""Of the model of a femur that is drawn and not scanned [mm]: a third of the time of the protocol's 1 mm, on which scanned femora are solved."""
FINE_DRAWN = 6
"""So many drawn femora are solved on both."""
DIRECT = 8
"""Every so many persons the strength with the phantom is solved; between them it is read off the power of density."""
DENSITIES = ("trabecular_vbmd", "integral_vbmd", "femoral_neck_abmd", "total_hip_abmd")


@dataclass(frozen=True)
class CohortCase:
    """One person's scan."""

    site: str
    """``"spine"`` or ``"hip"``."""
    number: int
    person: Person
    kvp: float

    @property
    def name(self) -> str:
        """As in the table: ``"spine-007"``."""
        return f"{self.site}-{self.number:03d}"


def cases(site: str, first: int, last: int) -> Iterator[CohortCase]:
    """Yield the persons ``first`` to ``last`` - 1 of a site; thin and broad ones that cannot be drawn are yielded too."""
    for number, person in enumerate(cohort(last, seed=SEEDS[site], ages=AGES[site])):
        if number >= first:
            yield CohortCase(site, number, person, VOLTAGES[number % len(VOLTAGES)])


def run(case: CohortCase, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each bone of a case and keep what was measured on in ``folder``; a refusal is a row with its reason."""
    begin = time.process_time()
    bones = ("L1",) if case.site == "spine" else ("femur_left",)
    known = {
        "case": case.name, "site": case.site, "sex": case.person.sex, "age": case.person.age, "height_cm": case.person.height_cm,
        "weight_kg": case.person.weight_kg, "kvp": case.kvp, "drawn_density": case.person.trabecular_density,
        "drawn_hip": case.person.hip_density, "fractured": "L1" in case.person.fractures,
    }  # fmt: skip
    try:
        scan = simulated(case)
        plan = _plan()
        settings = with_bones(built_in(), bones)
        without = analyze(as_scan(scan), BuiltIn(bones), settings=settings, plan=plan)
        rows = [known | row for row in _rows(case, scan, without, plan, folder)]
    except OpenBCTError as error:
        rows = [known | {"bone": bones[0], "status": "refused", "reason": str(error)}]
    seconds = round((time.process_time() - begin) / len(rows), 1)
    return [row | {"seconds": seconds} for row in rows]


def drawn(case: CohortCase) -> list[dict[str, Any]]:
    """Return the row of a bone that was drawn and never scanned: the recipe on its density, by its mask."""
    begin, bone = time.process_time(), "L1" if case.site == "spine" else "femur_left"
    torso = torso_of(case.person, ScannerSettings(hardening=False, scatter=0.0), SPACING)
    size = torso.body.size
    place = {"spine": ((0.0, 14.0), 160.0, 225.0, 300.0), "hip": ((95.0, 5.0), 190.0, *HIP)}[case.site]
    (x, y), field, low, high = place
    small = replace(torso, centre=(x * size, y * size), field_of_view=field * size, bottom=low * size, top=high * size)
    row: dict[str, Any] = {
        "case": f"drawn-{case.name}", "site": f"drawn-{case.site}", "sex": case.person.sex, "age": case.person.age, "bone": bone, "status": "ok",
        "fractured": "L1" in case.person.fractures,
    }  # fmt: skip
    try:
        scan = simulate_torso(small)
        row |= _of(_ideal(scan, bone, _plan(None if bone == "L1" else DRAWN_VOXEL)), "true")
        if bone != "L1" and case.number < FINE_DRAWN:
            row["fine_true_strength"] = _of(_ideal(scan, bone, _plan()), "true").get("true_strength", "")
    except OpenBCTError as error:
        row |= {"status": "refused", "reason": str(error)}
    return [row | {"seconds": round(time.process_time() - begin, 1)}]


def corrected(case: CohortCase) -> list[dict[str, Any]]:
    """Return the densities of a scan whose hardening in bone was taken off before it was calibrated."""
    begin, bone = time.process_time(), "L1" if case.site == "spine" else "femur_left"
    plan = make_plan(override(built_in(), {"calibration": {"hardening": "correct"}}, "cohort"))
    row: dict[str, Any] = {
        "case": f"corrected-{case.name}",
        "site": f"corrected-{case.site}",
        "of": case.name,
        "bone": bone,
        "status": "ok",
    }
    try:
        scan = as_scan(simulated(case))
        found = BuiltIn((bone,))(scan)
        calibration = plan.calibrator(scan, found)
        recipe = plan.recipe(bone)
        measures = recipe.measure(recipe.locate(found.bones[bone], calibration), calibration)
        row |= _of(BoneResult(bone, "ok", None, (), (), measures=measures), "pl")
    except OpenBCTError as error:
        row |= {"status": "refused", "reason": str(error)}
    return [row | {"seconds": round(time.process_time() - begin, 1)}]


def simulated(case: CohortCase) -> SimulatedScan:
    """Return the scan of a person, on the phantom."""
    scanner = ScannerSettings(kvp=case.kvp)
    torso = torso_of(case.person, scanner, SPACING)
    low, high = (case_range * torso.body.size for case_range in (SPINE if case.site == "spine" else HIP))
    return simulate_torso(replace(torso, bottom=low, top=high, calibration=calibration_phantom(PHANTOM)))


def _plan(voxel: float | None = None) -> Plan:
    """Return the default recipe; the femur's on larger voxels where asked, with the same share for modelling choices."""
    plan = make_plan(built_in())
    if voxel is not None:
        spread = plan.femur.spread
        plan = make_plan(override(built_in(), {"femur": {"voxel_mm": voxel}}, "cohort"))
        plan = replace(plan, femur=replace(plan.femur, spread=spread))
    return replace(plan, threads=1, fractures=None)


def _rows(case: CohortCase, scan: SimulatedScan, without: Case, plan: Plan, folder: Path) -> Iterator[dict[str, Any]]:
    try:
        rods: CalibratedVolume | None = Phantom(PHANTOM)(without.scan, without.segmentation)
    except OpenBCTError:
        rods = None
    for result in without.bones:
        row: dict[str, Any] = {
            "bone": result.bone,
            "status": result.status,
            "reason": result.reason,
            "pl_said": " | ".join(without.cautions),
        }
        mask = true_mask(scan, result.bone)
        row |= _of(_ideal(scan, result.bone, plan), "true")
        found = without.segmentation.bones.get(result.bone)
        if found is not None:
            row |= _overlap(found, mask, scan.image)
        if result.region is not None and without.calibration is not None:
            row |= _of(result, "pl") | _line(without.calibration, "pl")
            row |= _edges(result.region, without.calibration, plan)
            _keep(case, result, without.calibration, rods, folder)
            if rods is not None:
                row |= _line(rods, "ph") | _with_rods(case, result, without.calibration, rods, plan)
        yield row


def true_mask(scan: SimulatedScan, bone: str) -> BoneMask:
    """Return a bone as it was drawn."""
    labels, name = (scan.bodies, f"vertebral_body_{bone}") if bone.startswith(("T", "L")) else (scan.labels, bone)
    assert labels is not None
    number = next(value for value, title in labels.names.items() if title == name)
    drawn = labels.volume.with_array(labels.volume.array == number, "mask")
    return BoneMask(
        bone,
        crop(drawn, *bounding_box(drawn, 4.0)),
        "whole" if bone.startswith("femur") else "body",
        1.0,
        bone.startswith("femur"),
    )


def _ideal(scan: SimulatedScan, bone: str, plan: Plan) -> BoneResult:
    """Return what the recipe makes of the truth: the drawn density in the drawn mask."""
    density = replace(scan.density, unit="mg/cm3 K2HPO4")
    ideal = CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "drawn"))
    return analyze_bone(true_mask(scan, bone), ideal, plan.recipe(bone), plan=plan, observe=lambda stage, name: None)


def _of(result: BoneResult, prefix: str) -> dict[str, Any]:
    """Return densities with their standard deviations, and the strength."""
    row: dict[str, Any] = {}
    values = result.measures.values if result.measures else {}
    for name in DENSITIES:
        if name in values:
            row[f"{prefix}_{name}"] = values[name].value
            row[f"{prefix}_{name}_sd"] = values[name].uncertainty
    if result.strength is not None:
        row |= {
            f"{prefix}_strength": result.strength.strength,
            f"{prefix}_strength_sd": result.strength.uncertainty,
            f"{prefix}_stiffness": result.strength.stiffness,
        }
    if result.status == "refused":
        row[f"{prefix}_reason"] = result.reason
    return row


def _line(calibrated: CalibratedVolume, prefix: str) -> dict[str, Any]:
    one, two = calibrated.covariance, np.sqrt(np.diag(calibrated.covariance))
    return {
        f"{prefix}_slope": calibrated.slope, f"{prefix}_intercept": calibrated.intercept, f"{prefix}_slope_sd": two[0],
        f"{prefix}_intercept_sd": two[1], f"{prefix}_covariance": one[0, 1],
    }  # fmt: skip


def _overlap(found: BoneMask, true: BoneMask, image: Volume) -> dict[str, Any]:
    """Return volume over true volume, and Dice's overlap; both masks lie on the scan's own voxels."""
    one, two = (place_into(mask.mask, image, False).array for mask in (found, true))
    common, both = float((one & two).sum()), float(one.sum() + two.sum())
    return {
        "dice": 2 * common / both,
        "volume_ratio": float(found.mask.array.sum()) / float(true.mask.array.sum()),
        "confidence": found.confidence,
    }


def _edges(region: BoneRegion, calibrated: CalibratedVolume, plan: Plan) -> dict[str, Any]:
    """Return every density with the mask one voxel smaller and larger all round."""
    row: dict[str, Any] = {}
    for word, change in (("less", ndimage.binary_erosion), ("plus", ndimage.binary_dilation)):
        try:
            values = (
                plan.recipe(region.bone)
                .measure(replace(region, mask=region.mask.with_array(change(region.mask.array))), calibrated)
                .values
            )
        except OpenBCTError:
            continue
        row |= {f"{word}_{name}": values[name].value for name in DENSITIES if name in values}
    return row


def _moved(region: BoneRegion, old: CalibratedVolume, new: CalibratedVolume) -> BoneRegion:
    """Return the region as the other calibration reads it."""
    factor = new.slope / old.slope
    array = region.density.array * factor + (new.intercept - factor * old.intercept)
    return replace(region, density=replace(region.density, array=array, unit=f"mg/cm3 {new.mineral}"))


def _with_rods(case: CohortCase, result: BoneResult, old: CalibratedVolume, rods: CalibratedVolume, plan: Plan) -> dict[str, Any]:
    """Return what the phantom reads in the same mask."""
    assert result.region is not None
    recipe = plan.recipe(result.bone)
    region = _moved(result.region, old, rods)
    if case.number % DIRECT == 0:
        recipe = replace(recipe, locate=lambda mask, calibrated: region)
        mask = BoneMask(result.bone, region.mask, "body", 1.0, False)
        return _of(analyze_bone(mask, rods, recipe, plan=plan, observe=lambda stage, bone: None), "ph")
    values = recipe.measure(region, rods)
    return _of(BoneResult(result.bone, "ok", None, (), (), measures=values), "ph")


def _keep(case: CohortCase, result: BoneResult, old: CalibratedVolume, rods: CalibratedVolume | None, folder: Path) -> None:
    """Keep density and mask, so that an interval can be computed again without simulating."""
    region = result.region
    assert region is not None
    np.savez_compressed(
        folder / f"{case.name}_{result.bone}.npz", density=region.density.array.astype(np.float16), mask=region.mask.array, affine=region.density.affine,
        pl=np.array([old.slope, old.intercept]), pl_covariance=old.covariance,
        ph=np.array([rods.slope, rods.intercept]) if rods else np.zeros(2), ph_covariance=rods.covariance if rods else np.zeros((2, 2)),
    )  # fmt: skip


def table(folder: Path) -> list[dict[str, str]]:
    """Return the rows that are there."""
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found += list(csv.DictReader(stream))
    return found


def write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows of one case."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, keys)
        writer.writeheader()
        writer.writerows(rows)
