"""Write docs/validation/hips.md: femora found in simulated scans of real anatomy, against what is true.

    python docs/validation/make_hips.py --data ../shared/data --cache FOLDER [--draw]

Scans are drawn from the label maps of two patients in ``pelvis_labels``: surfaces smoothed, a joint gap carved, femora varied with the
modes of ``femur_shape_model``. They are kept in the cache; ``--draw`` stops there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from openbct.phantoms import BonePart, LabelSettings, ScannerSettings, SoftPart, simulate_labels
from openbct.volume import Volume, to_patient

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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--cache", type=Path, required=True)
    arguments.add_argument("--draw", action="store_true")
    arguments.add_argument("--only", nargs="*")
    arguments.add_argument("--reverse", action="store_true")
    asked = arguments.parse_args()
    every = cases()[::-1] if asked.reverse else cases()
    for case in every:
        if not asked.only or any(case.name.startswith(one) for one in asked.only):
            draw(case, asked.data, asked.cache)
            print(case, flush=True)


if __name__ == "__main__":
    main()
