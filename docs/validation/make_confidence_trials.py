# ruff: noqa: E501  (the rows and sentences of a page)
"""Trials of docs/validation/confidence.md: metal, cement, broken and fused bones, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from make_path import markdown

from openbct.calibration import Fixed
from openbct.comparison import compare
from openbct.errors import OpenBCTError
from openbct.gaps import bones_in_gaps
from openbct.phantoms import Fracture, SimulatedScan, TorsoSettings, simulate_hip, simulate_torso
from openbct.plan import make_plan
from openbct.plausibility import judged, too_doubtful
from openbct.quality import examine
from openbct.records import Acquisition, BoneResult, LabelMap, Scan, Segmentation, Step
from openbct.segmentation import BuiltIn, GivenLabels
from openbct.settings import built_in

SPINE = TorsoSettings(spacing=(1.0, 1.0, 1.5), field_of_view=130.0, centre=(0.0, 40.0), bottom=168.0, top=284.0)
"""Of L3 to L1 all, with the discs above and below."""
HIP = TorsoSettings(spacing=(1.0, 1.0, 2.0), field_of_view=130.0, centre=(95.0, 15.0))

HEAD = (
    "## Metal, cement, fractures, fused bones",
    "",
    "Simulated slabs of L1 to L3 (1 x 1 x 1.5 mm) and of one hip (2 mm), fixed calibration. Each bone is taken once from its true label and once found by the built-in segmenter; what the acquisition checks, the anatomy, the "
    "comparison and the confidence say of it is shortened. The slabs are hard for the built-in segmenter: no sacrum and no rib is in view, so that nothing is named unless three whole bodies are seen, and L1 and L3 lie at the edges, "
    "where its masks were poor and were refused for their confidence. In most slabs L1 is cut by the upper edge. Sound bones stand there to show what is said without cause.",
    "",
)


def spine(**changes: object) -> SimulatedScan:
    """Return L1 to L3 of a person with these changes of the body."""
    return simulate_torso(replace(SPINE, body=replace(SPINE.body, **changes)))  # type: ignore[arg-type]


def fused() -> SimulatedScan:
    """Return L1 to L3 with bone instead of the disc between L2 and L3."""
    made = spine()
    assert made.bodies is not None
    numbers = {name: value for value, name in made.bodies.names.items()}
    labels, image = made.bodies.volume.array, made.image.array.copy()
    upper, lower = (labels == numbers[f"vertebral_body_{level}"] for level in ("L2", "L3"))
    bottom, top = (np.where(mask.any(axis=2), find(mask), 0) for mask, find in ((upper, _first), (lower, _last)))
    inside = upper.any(axis=2) & lower.any(axis=2)
    z = np.arange(image.shape[2])
    between = inside[:, :, None] & (z > top[:, :, None]) & (z < bottom[:, :, None])
    image[between] = np.maximum(image[between], 330.0)
    return replace(made, image=made.image.with_array(image))


def _first(mask: np.ndarray) -> np.ndarray:
    return np.argmax(mask, axis=2)


def _last(mask: np.ndarray) -> np.ndarray:
    return mask.shape[2] - 1 - np.argmax(mask[:, :, ::-1], axis=2)


def hip(*implants: str) -> SimulatedScan:
    """Return the left hip with metal."""
    return simulate_hip(replace(HIP, body=replace(HIP.body, implants=implants)))


TRIALS: dict[str, tuple[Callable[[], SimulatedScan], tuple[str, ...]]] = {
    "nothing": (spine, ("L1", "L2", "L3")),
    "pedicle screws in L2": (lambda: spine(implants=("screws_L2",)), ("L1", "L2", "L3")),
    "cement in L2": (lambda: spine(implants=("cement_L2",)), ("L1", "L2", "L3")),
    "wedge of 25 % in L2": (lambda: spine(fractures={"L2": Fracture("wedge", 0.25)}), ("L1", "L2", "L3")),
    "wedge of 40 % in L2": (lambda: spine(fractures={"L2": Fracture("wedge", 0.40)}), ("L1", "L2", "L3")),
    "crush of 30 % in L2": (lambda: spine(fractures={"L2": Fracture("crush", 0.30)}), ("L1", "L2", "L3")),
    "L2 and L3 fused": (fused, ("L1", "L2", "L3")),
    "a sound hip": (hip, ("femur_left",)),
    "a nail": (lambda: hip("nail_left"), ("femur_left",)),
    "a prosthesis": (lambda: hip("prosthesis_left"), ("femur_left",)),
}


def said_of(made: SimulatedScan, bones: tuple[str, ...]) -> dict[str, dict[str, list[str]]]:
    """Return what is said of each bone, from its label and by the built-in segmenter."""
    scan = Scan(made.image, made.patient, Acquisition(kvp=120.0), "simulated", "", Step("reading", "simulated"))
    # of the spine the bodies alone: of T12, which the image cuts, only pieces of the arch would be there
    maps = (made.bodies,) if isinstance(made.bodies, LabelMap) and "L2" in bones else (made.labels,)
    found: dict[str, dict[str, list[str]]] = {bone: {} for bone in bones}
    for name, segmenter in (("label", GivenLabels(maps, bones)), ("built in", BuiltIn(bones))):
        try:
            segmentation = segmenter(scan)
        except OpenBCTError as error:
            for bone in bones:
                found[bone][name] = ["not found: " + str(error)]
            continue
        for result in results_of(scan, segmentation):
            found[result.bone][name] = ["refused: " + str(result.reason)] if result.status == "refused" else list(result.cautions)
        for bone in bones:
            doubts = [text for text in segmentation.step.cautions if bone in text]
            found[bone].setdefault(name, ["not found: " + segmentation.absent.get(bone, "")])
            found[bone][name] += doubts
    return found


def results_of(scan: Scan, segmentation: Segmentation) -> list[BoneResult]:
    """Return each bone as far as it can be judged without a virtual test."""
    settings = built_in()
    plan, calibrated = make_plan(settings), Fixed(slope=0.75, intercept=-3.0)(scan, segmentation)
    examination = examine(scan, segmentation)
    assert not bones_in_gaps(scan, segmentation)
    found = []
    for name, mask in segmentation.bones.items():
        step = examination.bones.get(name)
        cautions = step.cautions if step else ()
        reason = examination.refused.get(name) or too_doubtful(mask, plan.least_confidence)
        try:
            if reason:
                found.append(BoneResult(name, "refused", reason, cautions, ()))
                continue
            region = plan.recipe(name).locate(mask, calibrated)
            measures = plan.recipe(name).measure(region, calibrated)
            told = (*cautions, *region.step.cautions, *measures.step.cautions)
            found.append(BoneResult(name, "caution" if told else "ok", None, told, (), region=region, measures=measures))
        except OpenBCTError as error:
            found.append(BoneResult(name, "refused", str(error), cautions, ()))
    return compare(judged(found, scan.patient))


def short(texts: list[str], bone: str) -> str:
    """Return what is said of a bone, a few words of each; what is said of the scan or of another bone is left out."""
    cut = []
    for text in dict.fromkeys(texts):
        if text.startswith("The vertebrae in view cannot be counted") or (text[:3] in ("L1:", "L2:", "L3:") and text[:2] != bone):
            continue
        if text.startswith("not found") and "cannot be counted" in text:
            text = "not found: the vertebrae in view cannot be counted"
        plain = text.removeprefix(f"{bone}: ").replace(f"refused: {bone}: ", "refused: ")
        cut.append(plain if len(plain) <= 110 else plain[:110].rsplit(" ", 1)[0] + " …")
    return "; ".join(cut).replace("|", "/") or "nothing"


def trials(folder: Path, only: list[str]) -> list[str]:
    """Return the section of the page, of the trials that were made now or before."""
    rows = []
    for name, (make, bones) in TRIALS.items():
        file = folder / f"trial {name}.json"
        if not file.exists() and (not only or "trials" in only or name in only):
            file.write_text(json.dumps(said_of(make(), bones)), encoding="utf-8")
        if file.exists():
            for bone, said in json.loads(file.read_text(encoding="utf-8")).items():
                rows.append((name, bone, short(said.get("label", []), bone), short(said.get("built in", []), bone)))
    return [*HEAD, *markdown(("trial", "bone", "from its label", "built in"), rows)] if rows else []
