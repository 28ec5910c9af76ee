"""Write docs/validation/hips.md: femora found in simulated scans of real anatomy, against what is true.

    python docs/validation/make_hips.py --data ../shared/data --cache FOLDER --page

Scans are drawn from the label maps of two patients in ``pelvis_labels``: surfaces smoothed, a joint gap carved, femora varied with the
modes of ``femur_shape_model``. Scans and what was found are kept in the cache.
"""

# ruff: noqa: E501
from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from openbct.phantoms import BonePart, LabelSettings, ScannerSettings, SoftPart, simulate_labels
from openbct.segmentation.builtin import combined
from openbct.segmentation.femora import find_femora, find_femur_in
from openbct.volume import Volume, canonical, place_into, to_patient

DENSITIES = {"dense": (210, 300, 1.8, 1100, 6.0), "usual": (120, 220, 1.4, 950, 5.0), "low": (60, 150, 1.1, 850, 3.5),
             "porotic": (15, 90, 0.8, 750, 2.5)}  # fmt: skip
"""Trabecular and subcortical density, cortex of head and of shaft [mm], cortical density [mg/cm³ K2HPO4]. The femur of hip_crop has
160 (median) in its first millimetre, 220 below, 105 to 130 deeper than 4 mm, and 1100 to 1300 in the shaft's cortex."""
GAPS = (1.0, 1.5, 2.0, 3.0, 4.5)
"""Least distance of the two bones in the joint [mm]."""
ABOVE, BELOW = 36.0, 135.0
"""What is drawn above the centre of the heads and below it [mm]."""


@dataclass(frozen=True)
class HipCase:
    """One simulated scan."""

    number: int
    patient: int
    density: str
    gap: float
    slice_mm: float
    kernel: str
    noise: float
    inplane: float
    modes: tuple[float, ...]
    """Deviations of the first modes of the shape model."""
    left: bool
    """Which hip is in view."""

    @property
    def name(self) -> str:
        return f"{self.patient:03d}-{self.number:02d}"


def cases() -> list[HipCase]:
    """Return every scan: 12 of patient 001 to tune on, 52 of patient 002 to report."""
    found = []
    slices = (3.0, 2.0, 5.0, 3.0, 2.0, 1.0, 3.0, 2.5)
    kernels = ("standard", "soft", "sharp")
    for patient, many in ((1, 12), (2, 52)):
        draw = np.random.default_rng([7, patient])
        mixed = draw.permutation(list(product(range(len(DENSITIES)), range(len(GAPS)))) * 3)[:many]
        for n in range(many):
            density, gap = (int(v) for v in mixed[n])
            thick, kernel = slices[n % len(slices)], kernels[n % 3]
            noise = float(draw.uniform(10, 30)) * (1.4 if kernel == "sharp" else 1.0)
            modes = tuple(np.round(draw.normal(0, 1, 5), 2).tolist()) if n % 4 else (0.0,) * 5
            inplane = 1.1 if n % 2 else 0.9
            found.append(
                HipCase(
                    n,
                    patient,
                    list(DENSITIES)[density],
                    GAPS[gap],
                    thick,
                    kernel,
                    round(noise, 1),
                    inplane,
                    modes,
                    n % 4 in (0, 3),
                )
            )
    return found


def anatomy(data: Path, patient: int, left: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels (muscles united), body and affine (LPS) of one hip of a patient."""
    folder = data / "pelvis_labels"
    image = nibabel.load(folder / f"patient_{patient:03d}_labels.nii.gz")
    labels = np.asarray(image.dataobj)
    body = np.asarray(nibabel.load(folder / f"patient_{patient:03d}_body.nii.gz").dataobj) > 0
    affine = image.affine.copy()
    affine[:2] *= -1
    half = np.arange(labels.shape[0]) > np.argwhere(labels == 3)[:, 0].mean()
    half = half if (affine[0, 0] > 0) == left else ~half
    femur = np.argwhere((labels == 2) & half[:, None, None])
    low, high = femur.min(axis=0), femur.max(axis=0)
    top = int(high[2]) - 8  # a head's radius of 24 mm below its top
    first = max(0, int(top - BELOW / 3))
    # what is medial of the head: its socket, not the other hip
    box = (slice(low[0] - 25, high[0] + 25), slice(low[1] - 30, high[1] + 30), slice(first, int(top + ABOVE / 3)))
    affine[:3, 3] = to_patient(affine, np.array([box[0].start, box[1].start, first], dtype=float))
    part = labels[box]
    return np.where(part >= 5, 5, part).astype(np.uint8), body[box], affine


def varied(labels: np.ndarray, affine: np.ndarray, data: Path, modes: tuple[float, ...]) -> np.ndarray:
    """Return the labels bent so that both femora change as the shape model's modes say."""
    if not any(modes):
        return labels
    model = np.load(data / "femur_shape_model" / "femur_modes.npz")
    mean = model["mean"].reshape(-1, 3)
    move = (model["modes"][:, : len(modes)] * np.sqrt(model["weights"][: len(modes)])) @ np.array(modes)
    move = move.reshape(-1, 3)
    pieces, _ = ndimage.label(labels == 2)
    largest = np.argsort(np.bincount(pieces.ravel())[1:])[::-1][:1] + 1
    points, moves = [], []
    for piece in largest:
        mask = pieces == piece
        surface = to_patient(affine, np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(float))
        turn, shift, mirror, used = _register(mean, surface)
        points.append((mean[used] * mirror) @ turn.T + shift)
        moved = (move[used] * mirror) @ turn.T
        top = points[-1][:, 2] > points[-1][:, 2].max() - 40
        points[-1], moved = points[-1][::6], moved[::6] - moved[top].mean(axis=0)
        moves.append(moved)
    where, moved = np.concatenate(points), np.concatenate(moves)
    grid = np.moveaxis(np.indices(labels.shape)[:, ::6, ::6, ::2], 0, -1).reshape(-1, 3).astype(float)
    distance, near = cKDTree(where).query(to_patient(affine, grid), k=40)
    weight = np.exp(-((distance / 15.0) ** 2)) + 1e-12
    field = (weight[..., None] * moved[near]).sum(axis=1) / weight.sum(axis=1)[:, None]
    field *= np.exp(-((np.maximum(distance[:, :1] - 10, 0) / 30.0) ** 2))
    coarse = (field / np.diag(affine)[:3]).reshape(*labels[::6, ::6, ::2].shape, 3)
    index = np.indices(labels.shape).astype(np.float32)
    at = index / np.array([6, 6, 2], dtype=np.float32)[:, None, None, None]
    back = [ndimage.map_coordinates(coarse[..., a], at, order=1, mode="nearest") for a in range(3)]
    return ndimage.map_coordinates(labels, index - np.stack(back), order=0, mode="nearest")


def _register(mean: np.ndarray, surface: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return rotation (with scale), shift and mirror that lay the model's upper end on a femur's surface, and the vertices used."""
    best = None
    span = surface[:, 2].max() - surface[:, 2].min()
    used = np.flatnonzero(mean[:, 2] > mean[:, 2].max() - 0.95 * span)
    tree = cKDTree(surface)
    for mirror in (np.array([1.0, 1.0, 1.0]), np.array([-1.0, 1.0, 1.0])):
        for angle in (0.0, np.pi):
            points = mean[used][::24] * mirror
            flip = np.diag([np.cos(angle), np.cos(angle), 1.0])
            turn, shift = flip, surface.mean(axis=0) - flip @ points.mean(axis=0)
            for _ in range(20):
                placed = points @ turn.T + shift
                distance, near = tree.query(placed)
                keep = distance <= np.quantile(distance, 0.85)
                a, b = points[keep], surface[near[keep]]
                u, s, v = np.linalg.svd((b - b.mean(axis=0)).T @ (a - a.mean(axis=0)))
                sign = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
                scale = (s * np.diag(sign)).sum() / ((a - a.mean(axis=0)) ** 2).sum()
                turn = np.clip(scale, 0.8, 1.2) * u @ sign @ v
                shift = b.mean(axis=0) - turn @ a.mean(axis=0)
            score = float(np.mean(np.sort(distance)[: int(0.85 * len(distance))]))
            if best is None or score < best[0]:
                best = (score, turn, shift, mirror)
    assert best is not None
    return best[1], best[2], best[3], used


def settings(case: HipCase, labels: np.ndarray, affine: np.ndarray) -> LabelSettings:
    trabecular, below, cortex, compact, shaft = DENSITIES[case.density]
    top = to_patient(affine, np.array([0, 0, np.flatnonzero((labels == 2).any(axis=(0, 1)))[-1]], dtype=float))[2]
    parts: dict[int, BonePart | SoftPart] = {5: SoftPart("muscle", "muscle")}
    for value, name in ((1, "pelvis"), (2, "femora"), (3, "sacrum"), (4, "spine")):
        if (labels == value).any():
            end = {"shaft_cortex": shaft, "shaft_top": float(top) - 45.0} if value == 2 else {}
            parts[value] = BonePart(name, trabecular, below, 8.0, 25.0, cortex, compact, **end)
    scanner = ScannerSettings(kernel=case.kernel, noise=case.noise, hardening=False, scatter=0.0, seed=case.number)
    return LabelSettings(
        parts, (case.inplane, case.inplane, case.slice_mm), joint_gap=case.gap, scanner=scanner, seed=case.number
    )


def draw(case: HipCase, data: Path, cache: Path) -> None:
    """Draw a scan into the cache, where it is not there yet."""
    target = cache / f"{case.name}.npz"
    part = cache / f"{case.name}.part.npz"
    if target.exists() or part.exists():
        return
    part.touch()
    labels, body, affine = anatomy(data, case.patient, case.left)
    labels = varied(labels, affine, data, case.modes)
    made = simulate_labels(Volume(labels, affine, "label"), settings(case, labels, affine), Volume(body, affine, "mask"))
    truth = made.labels.volume.array == 2
    np.savez_compressed(part, image=made.image.array, affine=made.image.affine, truth=truth)
    part.rename(target)


def measure(case: HipCase, cache: Path) -> dict[str, object]:
    """Return what was found in a drawn scan, against what is true there."""
    drawn = np.load(cache / f"{case.name}.npz")
    image, truth = Volume(drawn["image"], drawn["affine"], "HU"), drawn["truth"]
    begun = time.process_time()
    found = find_femora(image)
    row: dict[str, object] = {**asdict(case), "seconds": time.process_time() - begun, "absent": dict(found.absent)}
    mine = "femur_left" if case.left else "femur_right"
    row["others"] = [name for name in found.bones if name != mine]
    if mine not in found.bones:
        return row
    bone, parts = found.bones[mine], dict(found.parts[mine])
    whole = place_into(bone.mask, image).array
    truth = truth.copy()
    truth[:, :, : int(np.flatnonzero(whole.any(axis=(0, 1)))[0])] = False
    away = [ndimage.distance_transform_edt(~one, sampling=image.spacing) for one in (truth, whole)]
    edges = [one & ~ndimage.binary_erosion(one, border_value=1) for one in (truth, whole)]
    to_edge = [ndimage.distance_transform_edt(~one, sampling=image.spacing) for one in edges]
    gaps = np.concatenate([to_edge[0][edges[1]], to_edge[1][edges[0]]])
    upper = np.zeros(truth.shape, dtype=bool)
    top = int(np.flatnonzero(truth.any(axis=(0, 1)))[-1])
    upper[:, :, top - round(55 / image.spacing[2]) :] = True
    beyond = float(max(1.0, 0.5 * image.spacing[2]))
    return row | {
        "dice": 2.0 * float((whole & truth).sum()) / float(whole.sum() + truth.sum()),
        "surface_mm": float((to_edge[0][edges[1]].mean() + to_edge[1][edges[0]].mean()) / 2),
        "worst_mm": float(np.percentile(gaps, 99)),
        "over": float((whole & ~truth).sum() / truth.sum()),
        "under": float((truth & ~whole).sum() / truth.sum()),
        "leak": float((whole & (away[0] > beyond) & upper).sum() / truth.sum()),
        "confidence": combined(parts.values()),
        "parts": parts,
    }


def real_scans(data: Path) -> list[str]:
    """Return what is found in the two real scans that show hips, as lines of the page."""
    found = {}
    for name, unit in (("density", "mg/cm3 K2HPO4"), ("labels", "label")):
        file = nibabel.load(data / "hip_crop" / f"{name}.nii.gz")
        found[name] = canonical(Volume(np.asanyarray(file.dataobj), np.diag([-1.0, -1.0, 1.0, 1.0]) @ file.affine, unit))
    truth = found["labels"].array == 2
    ends = [
        to_patient(found["labels"].affine, end.astype(float)) for end in (np.argwhere(truth).min(0), np.argwhere(truth).max(0))
    ]
    head = np.array([ends[1][0] - 24.0, (ends[0][1] + ends[1][1]) / 2 - 8.0, ends[1][2] - 24.0])
    (bone,) = find_femur_in(found["density"], head, 24.0).bones.values()
    whole = place_into(bone.mask, found["density"]).array
    dice = 2.0 * float((whole & truth).sum()) / float(whole.sum() + truth.sum())
    file = nibabel.load(data / "abdomen_pelvis" / "ct.nii.gz")
    cut = find_femora(canonical(Volume(np.asanyarray(file.dataobj), np.diag([-1.0, -1.0, 1.0, 1.0]) @ file.affine, "HU")))
    return [
        f"- `hip_crop` (real density, part of the acetabulum in view; the head's place taken from the femur's box): Dice {dice:.3f}, over "
        f"{100 * float((whole & ~truth).sum()) / float(truth.sum()):.1f} %, under {100 * float((truth & ~whole).sum()) / float(truth.sum()):.1f} %. "
        "The box is needed: the crop shows too little of the bowl for the search of heads.",
        *(
            f"- `abdomen_pelvis`, {name}: refused. {reason[0].upper()}{reason[1:]}."
            for name, reason in sorted(cut.absent.items())
        ),
        *(f"- `abdomen_pelvis`, {name}: found, though it should be refused." for name in cut.bones),
    ]


def separation(low: list[float], rest: list[float]) -> str:
    """Return the area under the curve by which a value is lower in one group, or why there is none."""
    if not low or not rest:
        return "no such scan" if not low else "all scans"
    return f"{np.mean([(a < b) + 0.5 * (a == b) for a in low for b in rest]):.2f}"


def summary(rows: list[dict[str, Any]], name: str) -> str:
    """Return one line of a table about some scans."""
    good = [row for row in rows if "dice" in row]
    if not good:
        return f"| {name} | {len(rows)} | 0 | | | | | |"
    dice = [row["dice"] for row in good]
    return (
        f"| {name} | {len(rows)} | {len(good)} | {np.median(dice):.3f} | {min(dice):.3f} | {np.median([row['surface_mm'] for row in good]):.2f} "
        f"| {max(row['surface_mm'] for row in good):.2f} | {100 * max(row['leak'] for row in good):.1f} |"
    )


TABLE = (
    "| scans | drawn | found | Dice, median | worst | mean surface distance, median [mm] | worst [mm] | leak, worst [%] |\n| --- |"
    + " --- |" * 7
)


def write_page(cache: Path, data: Path) -> None:
    """Write the page from the results in the cache."""
    every = cases()
    rows = [json.loads((cache / f"{case.name}.json").read_text()) for case in every if (cache / f"{case.name}.json").exists()]
    told = [row for row in rows if row["patient"] == 2]
    thin = [row for row in told if row["slice_mm"] <= 3.0]
    groups = [("all", told), ("slices up to 3 mm", thin), ("tuned on: patient 001", [row for row in rows if row["patient"] == 1])]
    for key, unit in (("slice_mm", "mm slices"), ("density", "bone"), ("gap", "mm gap"), ("kernel", "kernel")):
        groups += [
            (f"{value} {unit}", [row for row in told if row[key] == value]) for value in sorted({row[key] for row in told})
        ]
    found = [row for row in rows if "dice" in row]
    low = [row for row in found if row["dice"] < 0.95]
    parts = sorted({name for row in found for name in row["parts"]})
    lines = [
        "# Femora found without labels", "",
        "Made by `python docs/validation/make_hips.py --data ../shared/data --cache FOLDER --page`. Method: "
        "[](../methods/segmentation-and-anatomy.md).", "",
        "## Scans", "",
        f"{len(rows)} simulated scans of one hip each ({len(every)} are planned; those that were drawn when the page was made are all reported), from "
        "label maps of two real patients (1 x 1 x 3 mm; surfaces smoothed by 1.5 mm, a gap carved where femur and pelvis touch). Each femur is bent by five modes "
        "of a statistical shape model, deviations drawn from a normal distribution, in three scans of four. Four kinds of bone from dense to very porous, five joint gaps, three kernels, noise "
        "of 10 to 42 HU, slices of 1 to 5 mm, pixels of 0.9 or 1.1 mm. The method was tuned on patient 001, on the simulator's own drawn person and on two real scans; patient 002 is reported: of its scans eleven had been seen when two rules were mended (of two balls in one joint the inner is the head), for a fault of the drawn person, and were measured again. No parameter "
        "belongs to a scan. A scan holds one hip and about 70 mm of shaft, so the side is told by the shaft and not by the pair.", "",
        "Beam hardening and scatter are not simulated here, the anatomy is that of two patients (in patient 001 the thighs are flexed by about 30 degrees), and the labels have no osteophytes.", "",
        "Leak: volume of the mask within 55 mm of the top of the head that lies more than 1 mm (or half a slice) outside the true femur, over the femur's volume: all that "
        "could be acetabulum.", "",
        "## Results", "", TABLE, *(summary(one, name) for name, one in groups), "",
        f"Time: {np.median([row['seconds'] for row in rows]):.1f} s of one core per scan (median), worst {max(row['seconds'] for row in rows):.1f} s.", "",
        "Masks are larger than the truth rather than smaller "
        f"(over {100 * np.median([row['over'] for row in found]):.1f} %, under {100 * np.median([row['under'] for row in found]):.1f} %, medians): a cortex thinner than the blur "
        "has its half fall outside of its surface.", "",
        "## Real scans", "", *real_scans(data), "",
        "## Confidence", "",
        "Each femur comes with parts between 0 and 1; the confidence is their geometric mean. How well each separates scans with a Dice below 0.95 and below 0.90 "
        "from the others (area under the curve; 1 separates, 0.5 tells nothing), both patients:", "",
        "| part | Dice < 0.95 | Dice < 0.90 |", "| --- | --- | --- |",
    ]  # fmt: skip
    for name in ("confidence", *parts):
        values = [(row["dice"], row["confidence"] if name == "confidence" else row["parts"].get(name, 1.0)) for row in found]
        cells = [separation([v for d, v in values if d < limit], [v for d, v in values if d >= limit]) for limit in (0.95, 0.90)]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    lines += ["", f"{len(low)} of {len(found)} found femora have a Dice below 0.95, {sum(row['dice'] < 0.9 for row in found)} below 0.90.", "",
              "## What goes wrong", ""]  # fmt: skip
    missed = [row for row in rows if "dice" not in row or row["others"]]
    for row in missed:
        mine = "femur_left" if row["left"] else "femur_right"
        said = row["absent"].get(mine, "")
        also = f"; {', '.join(row['others'])} was reported where there is none" if row["others"] else ""
        lines.append(
            f"- {row['patient']:03d}-{row['number']:02d} ({row['density']} bone, {row['gap']:g} mm gap, {row['slice_mm']:g} mm slices, {row['kernel']}): {said or 'found'}{also}."
        )
    if not missed:
        lines.append("No hip was missed, and none was reported where there is none.")
    lines += ["", "The worst of those that were found:", ""]
    for row in sorted(found, key=lambda one: one["dice"])[:6]:
        lines.append(
            f"- {row['patient']:03d}-{row['number']:02d}: Dice {row['dice']:.3f}, over {100 * row['over']:.1f} %, under {100 * row['under']:.1f} %, leak {100 * row['leak']:.1f} %, "
            f"99 % of the surface within {row['worst_mm']:.1f} mm; confidence {row['confidence']:.2f} ({row['density']} bone, {row['gap']:g} mm gap, {row['slice_mm']:g} mm slices)."
        )
    lines += ["", "## Every scan", "", "| scan | bone | gap | slice | pixel | kernel | noise [HU] | modes | Dice | surface [mm] | 99 % [mm] | over [%] | under [%] | leak [%] | confidence |",
              "| --- |" + " --- |" * 14]  # fmt: skip
    for row in rows:
        head = (
            f"| {row['patient']:03d}-{row['number']:02d} | {row['density']} | {row['gap']:g} | {row['slice_mm']:g} | {row['inplane']:g} | {row['kernel']} | {row['noise']:g} "
            f"| {' '.join(f'{mode:g}' for mode in row['modes'])} "
        )
        lines.append(
            head + "| not found | | | | | | |" if "dice" not in row else head
            + f"| {row['dice']:.3f} | {row['surface_mm']:.2f} | {row['worst_mm']:.1f} | {100 * row['over']:.1f} | {100 * row['under']:.1f} | {100 * row['leak']:.1f} "
            f"| {row['confidence']:.2f} |"
        )  # fmt: skip
    Path(__file__).with_name("hips.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--cache", type=Path, required=True)
    arguments.add_argument("--only", nargs="*", help="beginnings of names of scans")
    arguments.add_argument("--until", type=float, default=np.inf, help="stop beginning scans after so many seconds")
    arguments.add_argument("--page", action="store_true", help="write the page from what the cache holds")
    asked = arguments.parse_args()
    begun = time.monotonic()
    for case in cases():
        target = asked.cache / f"{case.name}.json"
        wanted = not asked.only or any(case.name.startswith(one) for one in asked.only)
        if not wanted or target.exists() or time.monotonic() - begun > asked.until:
            continue
        draw(case, asked.data, asked.cache)
        row = measure(case, asked.cache)
        target.write_text(json.dumps(row))
        print(case.name, row.get("dice"), row.get("confidence"), row["absent"], row["seconds"], flush=True)
    if asked.page:
        write_page(asked.cache, asked.data)


if __name__ == "__main__":
    main()
