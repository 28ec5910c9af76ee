# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/followup.md: does a follow-up find a change that is there, and none that is not?

    python docs/validation/make_followup.py FOLDER --simulate KIND-PERSON-DATE                    one scan, kept in FOLDER
    python docs/validation/make_followup.py FOLDER --analyse KIND-PERSON-DATE [--bones BONE ...]  its bones, with both calibrations
    python docs/validation/make_followup.py FOLDER --truth KIND-PERSON                            what changed in the drawing itself
    python docs/validation/make_followup.py FOLDER --drawn FIRST LAST                             single vertebrae, drawn in fat
    python docs/validation/make_followup.py FOLDER                                                the page, from what is kept

``KIND`` is ``spine`` (L1 to L3) or ``hips``; ``DATE`` is 0 for the baseline, 1 for the same person again, 2 for the person with 5 % more trabecular
density. ``--found`` takes the built-in segmenter's masks instead of the drawn labels, ``--densities`` leaves strengths out. Each step takes a quarter
of a minute on one core, a hip one and a half.
"""

from __future__ import annotations

import argparse
import copyreg
import pickle
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from followup_scans import DENSER, LEVELS, MOST_MOVED, MOST_TURNED, denser, hips_of, person, scan_at, spine_of, turn_of
from make_path import markdown
from scipy import ndimage

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.calibration import Phantomless
from openbct.followup import follow, visit_of
from openbct.measures import measure_femur, measure_vertebra
from openbct.phantoms import VertebraShape
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.canvas import empty
from openbct.phantoms.spine import vertebra
from openbct.pipeline import _coarse, analyze
from openbct.plan import make_plan
from openbct.records import (
    Acquisition,
    Assessment,
    BoneMask,
    BoneResult,
    CalibratedVolume,
    Calibrator,
    Case,
    Patient,
    Scan,
    Segmenter,
    Step,
)
from openbct.segmentation import BuiltIn, GivenLabels
from openbct.settings import Settings, built_in, override, to_tables
from openbct.uncertainty import budgets_of, density_budgets, model_spread
from openbct.versions import versions
from openbct.visits import Change, FollowUp, Visit, VisitBone
from openbct.volume import Volume, crop

HERE = Path(__file__).resolve().parent
HIPS = ("femur_left", "femur_right")
METHODS = ("phantom", "phantomless")
copyreg.pickle(MappingProxyType, lambda mapping: (dict, (dict(mapping),)))
DRAWN_VOXEL = np.array([0.9, 0.9, 1.25])
"""Of drawn single vertebrae [mm]."""
DRAWN_BLUR = np.array([0.40, 0.40, 0.53])
"""Standard deviation of their blur [mm]."""
DRAWN_NOISE = 45.0
"""Of a voxel before the blur [mg/cm3]."""
RECOVERED = 1.5
"""Of a change of 5 %, in percent: the goal."""


def simulate(folder: Path, name: str) -> None:
    """Simulate one scan and keep it until it is analysed."""
    kind, number, date = name.split("-")
    body = person(int(number))
    body = denser(body) if date == "2" else body
    seed = 10 * int(number) + int(date) + (1000 if kind == "hips" else 0)
    folder.mkdir(parents=True, exist_ok=True)
    found = scan_at((spine_of if kind == "spine" else hips_of)(body), seed)
    (folder / f"{name}.scan").write_bytes(
        pickle.dumps((found.image, found.labels, found.bodies, found.acquisition, found.patient))
    )


def analyse(folder: Path, name: str, bones: tuple[str, ...], *, found: bool, strengths: bool) -> None:
    """Analyse bones of a kept scan with both calibrations and keep their visits."""
    image, labels, bodies, acquisition, patient = pickle.loads((folder / f"{name}.scan").read_bytes())
    kind, number, date = name.split("-")
    scan = Scan(
        image,
        patient,
        replace(acquisition, study_date=f"{2024 + int(date)}-01-15"),
        "simulated CT scan",
        name,
        Step("reading", "A simulated scan."),
    )
    segmenter = BuiltIn(bones) if found else GivenLabels((labels, bodies) if kind == "spine" else (labels,), bones)
    changes = {
        "run": {"bones": list(bones), "threads": 1},
        "calibration": {"method": "phantom", "phantom": "mindways-model3"},
        "fractures": {"assess": False},
    }
    settings = override(built_in(), changes, "validation")
    case = analyze(scan, segmenter, settings=settings) if strengths else _calibrated(scan, segmenter, settings)
    visits = {"phantom": visit_of(case), "phantomless": visit_of(_measured(case, Phantomless()))}
    path = folder / f"{kind}{'found' if found else ''}-{number}-{date}.pkl"
    if path.exists():  # the other hip
        earlier = pickle.loads(path.read_bytes())
        visits = {method: replace(visit, bones={**earlier[method].bones, **visit.bones}) for method, visit in visits.items()}
    path.write_bytes(pickle.dumps(visits))
    for bone in case.bones:
        print(name, bone.bone, bone.status, bone.strength.strength if bone.strength else bone.reason)


def _calibrated(scan: Scan, segmenter: Segmenter, settings: Settings) -> Case:
    """Return the case with densities by the phantom, without strengths."""
    plan = make_plan(settings)
    assessment = Assessment((), None, "", None, {}, Step("assessment", "None."))
    case = Case(scan, segmenter(scan), None, (), assessment, settings.title, to_tables(settings), versions(), {}, ())
    return _measured(case, plan.calibrator)


def _measured(case: Case, calibrate: Calibrator) -> Case:
    """Return the case with densities by another calibration, without strengths."""
    calibration = calibrate(case.scan, case.segmentation)
    bones = []
    for name, mask in case.segmentation.bones.items():
        femur = name.startswith("femur")
        region = (locate_femur if femur else locate_vertebra)(mask, calibration)
        measures = (measure_femur if femur else measure_vertebra)(region, calibration)
        bones.append(BoneResult(name, "ok", None, (), (), region=region, measures=measures))
    settings = {**case.settings, "calibration": {"method": calibration.method}}
    return replace(case, calibration=calibration, bones=tuple(bones), settings=settings)


def truth(folder: Path, name: str) -> None:
    """Keep what a person's change is in the drawing: the baseline's own regions and pose, without blur, noise and calibration."""
    kind, number = name.split("-")
    body, seed = person(int(number)), 10 * int(number) + (1000 if kind == "hips" else 0)
    cut = spine_of if kind == "spine" else hips_of
    drawings = [scan_at(cut(one), seed).density for one in (body, denser(body))]
    visit = pickle.loads((folder / f"{name}-0.pkl").read_bytes())["phantom"]
    plan, changes = make_plan(built_in()), dict[str, dict[str, float]]()
    for bone, kept in visit.bones.items():
        values: list[dict[str, float]] = []
        for drawing in drawings:
            lower = np.rint(np.linalg.solve(drawing.affine, kept.region.density.affine)[:3, 3]).astype(int)
            part = crop(drawing, lower.tolist(), (lower + kept.region.density.shape).tolist())
            region, recipe = replace(kept.region, density=part), plan.recipe(bone)
            calibration = replace(visit.calibration, density=drawing)
            measures = recipe.measure(region, calibration).values
            values.append({key: measure.value for key, measure in measures.items()})
            # On voxels of twice the edge: a ratio is asked for, not newtons.
            values[-1]["strength"] = _coarse(recipe, plan)(region)
        changes[bone] = {key: 100.0 * (values[1][key] / values[0][key] - 1.0) for key in values[0] if values[0][key] > 0}
        print(name, bone, {key: round(value, 2) for key, value in changes[bone].items()})
    (folder / f"truth-{name}.pkl").write_bytes(pickle.dumps(changes))


def _sure(visit: Visit) -> Visit:
    """Return a visit whose bones carry their budgets."""
    bones = {}
    for name, bone in visit.bones.items():
        if not getattr(bone, "budgets", None):
            femur = name.startswith("femur")
            measure = measure_femur if femur else measure_vertebra
            calibration = replace(visit.calibration, density=bone.region.density)
            budgets = density_budgets(bone.region, bone.measures, calibration, measure)
            if bone.strength is not None:
                budgets = budgets_of(bone.strength, budgets, model_spread("fall" if femur else "vertebra"), bone.region.mask)
            bone = VisitBone(**{f.name: getattr(bone, f.name) for f in fields(VisitBone) if f.name != "budgets"}, budgets=budgets)
        bones[name] = bone
    kept = {f.name: getattr(visit, f.name, f.default) for f in fields(Visit)}
    return Visit(**{**kept, "bones": bones})


def followed(folder: Path) -> dict[tuple[str, str, str], list[FollowUp]]:
    """Return the follow-ups by kind, calibration and date, from what :func:`pair_up` has kept."""
    found: dict[tuple[str, str, str], list[FollowUp]] = {}
    for path in sorted(folder.glob("followed-*.pkl")):
        kind, _, method, date = path.stem.removeprefix("followed-").split("-")
        found.setdefault((kind, method, date), []).append(pickle.loads(path.read_bytes()))
    return found


def pair_up(folder: Path) -> None:
    """Follow every pair that is kept and was not followed yet."""
    for kind in ("spine", "hips"):
        for path in sorted(folder.glob(f"{kind}-*-0.pkl")):
            number = int(path.stem.split("-")[1])
            stores = {(m, d): folder / f"followed-{kind}-{number}-{m}-{d}.pkl" for m in METHODS for d in ("1", "2")}
            todo = [
                key for key, store in stores.items() if not store.exists() and (folder / f"{kind}-{number}-{key[1]}.pkl").exists()
            ]
            if not todo:
                continue
            dates = {d: pickle.loads((folder / f"{kind}-{number}-{d}.pkl").read_bytes()) for d in ("0", *{d for _, d in todo})}
            for method, date in sorted(todo):
                done = follow([_sure(dates["0"][method]), _sure(dates[date][method])])
                stores[method, date].write_bytes(pickle.dumps(_slim(done)))


def _slim(followup: FollowUp) -> FollowUp:
    return replace(followup, visits=tuple(replace(visit, bones={}) for visit in followup.visits))


def changes_of(followups: list[FollowUp], quantity: str, *, mean: bool = False) -> list[Change]:
    """Return the changes of one quantity: of single bones, or of the spine's mean."""
    every = [change for one in followups for change in one.comparisons[0].changes]
    return [change for change in every if change.quantity == quantity and ("," in change.bone) == mean]


def drawn(folder: Path, first: int, last: int) -> None:
    """Draw single vertebrae at three dates in fat, with blur and noise and without a calibration's error, and keep what changed."""
    for number in range(first, last):
        draw = np.random.default_rng(500 + number)
        shape = VertebraShape(
            width=float(draw.uniform(40, 50)), depth=float(draw.uniform(28, 34)), height=float(draw.uniform(24, 29)),
            trabecular_density=float(draw.uniform(55, 160)), seed=number,
        )  # fmt: skip
        denser_one = replace(shape, trabecular_density=DENSER * shape.trabecular_density)
        visits = [_drawn_visit(one, date, 10 * number + date) for date, one in enumerate((shape, shape, denser_one))]
        pairs = {date: _slim(follow([visits[0], visits[int(date)]])) for date in ("1", "2")}
        (folder / f"drawn-{number}.pkl").write_bytes(pickle.dumps(pairs))


def _drawn_visit(shape: VertebraShape, date: int, seed: int) -> Visit:
    draw = np.random.default_rng(seed)
    frame = np.eye(4)
    frame[:3, :3] = turn_of(seed)
    half = np.array([34.0, 42.0, 26.0])
    counts = np.ceil(2 * half / DRAWN_VOXEL).astype(int)
    affine = np.diag([*DRAWN_VOXEL, 1.0])
    affine[:3, 3] = -half + draw.uniform(0, 1, 3) * DRAWN_VOXEL + (0.0, 8.0, 0.0)
    canvas = empty((int(counts[0]), int(counts[1]), int(counts[2])), affine, scanner_beam())
    canvas.hu[:] = canvas.beam.hounsfield("adipose")
    whole = canvas.paint_bone(vertebra(shape).bone(), frame, 1)
    noise = draw.normal(0.0, DRAWN_NOISE, canvas.hu.shape)
    image = ndimage.gaussian_filter(canvas.hu / np.float32(canvas.beam.phosphate_slope) + noise, DRAWN_BLUR / DRAWN_VOXEL)
    density = Volume(image.astype(np.float32), affine, "mg/cm3 K2HPO4")
    calibration = CalibratedVolume(density, "K2HPO4", "drawn", 0.75, 0.0, np.zeros((2, 2)), (), Step("calibration", "None."))
    region = locate_vertebra(BoneMask("L1", Volume(whole, affine, "mask"), "whole", 1.0, False), calibration)
    measures = measure_vertebra(region, calibration)
    budgets = density_budgets(region, measures, calibration, measure_vertebra)
    bone = VisitBone("L1", region, measures, density, None, budgets=budgets)
    x, y, z = DRAWN_VOXEL
    return Visit(
        f"{2024 + date}-01-15", Patient(), Acquisition(kvp=120.0, kernel="drawn", manufacturer="drawn", model="drawn"), f"{seed}", calibration,
        {"L1": bone}, {}, "default", to_tables(built_in()), "0", (x, y, z),
    )  # fmt: skip


HEAD = f"""# Follow-up

This page is written by `python docs/validation/make_followup.py FOLDER` ([methods](../methods/follow-up.md)). A pair is a baseline and a second scan: of the same person lying otherwise (spine and thighs turned
by up to {MOST_TURNED:g}° about each axis, the body moved by up to {MOST_MOVED:g} mm along each) with other noise, or of the person with {100 * (DENSER - 1):.0f} % more trabecular density besides. Nothing was tuned on these
pairs but the mean of both ways (the first spine showed what one way costs) and the scatter of a strength's test (below).

- **Whole scans**: simulated bodies with a Mindways Model 3 phantom under them, 1.0 x 1.0 x 1.5 mm; L1 to L3 by their labels, or both hips. Every scan is calibrated twice, by the phantom and by its tissues. Strengths
  are those of the default protocol, with the phantom.
- **Single vertebrae**: drawn in fat, {DRAWN_VOXEL[0]:g} x {DRAWN_VOXEL[1]:g} x {DRAWN_VOXEL[2]:g} mm, with blur and noise and no error of calibration: what registration, regions and noise do alone.

"""


def page(folder: Path) -> str:
    """Return the page."""
    found = followed(folder)
    single = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("drawn-*.pkl"))]
    for date in ("1", "2"):
        found["drawn", "none", date] = [one[date] for one in single]
    return HEAD + "\n".join([*_densities(found), *_strengths(found), *_least(found), *_alignments(found), *_conclusion(found)])


Found = Mapping[tuple[str, str, str], list[FollowUp]]
SETS = (
    ("spine", "phantom", "spines, phantom"),
    ("spine", "phantomless", "spines, phantomless"),
    ("drawn", "none", "single vertebrae"),
    ("hips", "phantom", "hips, phantom"),
    ("hips", "phantomless", "hips, phantomless"),
)


def _spread(values: list[float]) -> tuple[str, str, str]:
    array = np.array(values)
    if not len(array):
        return ("–", "–", "–")
    return (
        f"{array.mean():+.2f}",
        f"{array.std(ddof=1):.2f}" if len(array) > 1 else "–",
        f"{array.min():+.2f} to {array.max():+.2f}",
    )


def _densities(found: Found) -> list[str]:
    rows = []
    for kind, method, words in SETS:
        quantities = (
            ("trabecular_vbmd", "integral_vbmd") if kind != "hips" else ("total_hip_abmd", "femoral_neck_abmd", "integral_vbmd")
        )
        for quantity in quantities:
            for date, what in (("1", "unchanged"), ("2", "5 % denser inside")):
                changes = changes_of(found.get((kind, method, date), []), quantity)
                if not changes:
                    continue
                percent = [change.percent for change in changes]
                beyond = sum(change.judgement in ("increase", "decrease") for change in changes)
                inside = ""
                if quantity == "trabecular_vbmd" and date == "2":
                    inside = f"{sum(abs(value - 100 * (DENSER - 1)) <= RECOVERED for value in percent)} of {len(percent)}"
                rows.append((words, quantity.replace("_", " "), what, str(len(percent)), *_spread(percent), f"{beyond}", inside))
    head = (
        "pairs of",
        "measure",
        "second scan",
        "bones",
        "mean change, %",
        "SD, %",
        "from, to, %",
        "judged beyond",
        f"within ± {RECOVERED:g} % of + 5 %",
    )
    return ["## Densities", "", *markdown(head, rows), ""]


def _strengths(found: Found) -> list[str]:
    rows = []
    for kind, words in (("spine", "vertebrae"), ("hips", "femora")):
        for date, what in (("1", "unchanged"), ("2", "5 % denser inside")):
            changes = changes_of(found.get((kind, "phantom", date), []), "strength")
            if changes:
                percent = [change.percent for change in changes]
                beyond = sum(change.judgement in ("increase", "decrease") for change in changes)
                rms = float(np.sqrt(np.mean(np.square(percent))))
                rows.append(
                    (words, what, str(len(percent)), *_spread(percent), f"{1.96 * rms:.1f}" if date == "1" else "", f"{beyond}")
                )
    head = (
        "strength of",
        "second scan",
        "bones",
        "mean change, %",
        "SD, %",
        "from, to, %",
        "1.96 x root mean square, %",
        "judged beyond",
    )
    return [
        "## Strengths",
        "",
        "Each scan's own virtual test, with its own mask (given labels) and pose. The scatter of the test that the least significant change of a strength is made with, 2 % for each scan (`[repeat]` in `data/followup.toml`), was set after the first two spines and the hips: 1.96 x root mean square over 2.77 is the scatter found.",
        "",
        *markdown(head, rows),
        "",
    ]


def _least(found: Found) -> list[str]:
    rows = []
    for kind, method, words in SETS:
        for quantity in ("trabecular_vbmd", "integral_vbmd", "total_hip_abmd", "femoral_neck_abmd", "strength"):
            for mean in (False, True):
                changes = [c for date in ("1", "2") for c in changes_of(found.get((kind, method, date), []), quantity, mean=mean)]
                if not changes:
                    continue
                least = [change.least for change in changes]
                own = sum(change.least_from == "uncertainty" for change in changes)
                rows.append(
                    (
                        words,
                        quantity.replace("_", " "),
                        "mean of levels" if mean else "one bone",
                        str(len(least)),
                        f"{min(least):.1f} to {max(least):.1f}",
                        f"{own} of {len(least)}",
                    )
                )
    head = ("pairs of", "measure", "of", "changes", "least significant change, %", "from the scans' own uncertainty")
    return [
        "## Least significant change",
        "",
        "On the same scanner: the larger of the published precision and the two scans' own uncertainties.",
        "",
        *markdown(head, rows),
        "",
    ]


def _alignments(found: Found) -> list[str]:
    rows = []
    for kind, method, words in SETS:
        every = [a for date in ("1", "2") for one in found.get((kind, method, date), []) for a in one.comparisons[0].alignments]
        if every:
            rows.append((
                words, str(len(every)), str(sum(a.used for a in every)), f"{min(a.turned_deg for a in every):.1f} to {max(a.turned_deg for a in every):.1f}",
                f"{min(a.overlap for a in every):.3f}", f"{min(a.correlation for a in every):.3f}",
            ))  # fmt: skip
    head = ("pairs of", "bones", "laid onto each other", "turned, degrees", "least overlap (Dice)", "least correlation")
    return ["## Alignment", "", *markdown(head, rows), ""]


def _conclusion(found: Found) -> list[str]:
    unchanged = [
        c
        for (kind, method, date), ones in found.items()
        if date == "1"
        for q in ("trabecular_vbmd", "integral_vbmd", "total_hip_abmd", "femoral_neck_abmd", "strength")
        for c in changes_of(ones, q)
    ]
    false = sum(change.judgement in ("increase", "decrease") for change in unchanged)
    denser = [
        c
        for (kind, method, date), ones in found.items()
        if date == "2" and kind != "hips"
        for c in changes_of(ones, "trabecular_vbmd")
    ]
    near = sum(abs(change.percent - 100 * (DENSER - 1)) <= RECOVERED for change in denser)
    density = max(
        (c.least for ones in found.values() for q in ("trabecular_vbmd", "integral_vbmd") for c in changes_of(ones, q)),
        default=0.0,
    )
    strength = max((c.least for ones in found.values() for c in changes_of(ones, "strength")), default=0.0)
    means = [
        c
        for (kind, _, date), ones in found.items()
        if date == "2" and kind == "spine"
        for c in changes_of(ones, "trabecular_vbmd", mean=True)
    ]
    told = sum(change.judgement == "increase" for change in means)
    rows = [
        ("a change of + 5 % in trabecular density recovered within ± 1.5 %", f"{near} of {len(denser)} vertebrae"),
        (
            "the same change judged an increase, mean of L1 to L3 (one level alone stays mostly within its 5.5 %)",
            f"{told} of {len(means)} spines",
        ),
        (
            "unchanged pairs beyond the least significant change in at most 5 %",
            f"{false} of {len(unchanged)} ({100 * false / max(len(unchanged), 1):.1f} %)",
        ),
        ("least significant change of vBMD at most 6 %, same scanner", f"at most {density:.1f} %"),
        ("least significant change of strength at most 10 %, same scanner", f"at most {strength:.1f} %"),
    ]
    return [
        "## Against the goals",
        "",
        *markdown(("goal", "found"), rows),
        "",
        "Simulated pairs hold no drift of a scanner, no other technologist and no change of the body: real precision is worse, and the published one counts.",
        "",
    ]


def main() -> None:
    """Compute one scan, or write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--simulate")
    parser.add_argument("--analyse")
    parser.add_argument("--truth")
    parser.add_argument("--drawn", type=int, nargs=2)
    parser.add_argument("--bones", nargs="*")
    parser.add_argument("--found", action="store_true")
    parser.add_argument("--densities", action="store_true")
    asked = parser.parse_args()
    if asked.simulate:
        simulate(asked.folder, asked.simulate)
    if asked.analyse:
        bones = tuple(asked.bones or (LEVELS if asked.analyse.startswith("spine") else HIPS))
        analyse(asked.folder, asked.analyse, bones, found=asked.found, strengths=not asked.densities)
    if asked.truth:
        truth(asked.folder, asked.truth)
    if asked.drawn:
        drawn(asked.folder, *asked.drawn)
    if asked.simulate or asked.analyse or asked.truth or asked.drawn:
        return
    pair_up(asked.folder)
    (HERE / "followup.md").write_text(page(asked.folder), encoding="utf-8")


if __name__ == "__main__":
    main()
