"""Simulated scans of hips with known truth, for hips.md: real anatomy, drawn persons, hard scans and trials.

Real anatomy is that of the label maps of two patients in ``pelvis_labels``: surfaces smoothed, a joint gap carved, femora bent by the modes of
``femur_shape_model``. Persons are the simulator's own. Scans are kept in a folder, as ``image`` [HU], ``affine`` and ``labels``: 1 pelvis,
2 left femur, 3 right femur.
"""

# ruff: noqa: E501
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from openbct.phantoms import BonePart, LabelSettings, Person, ScannerSettings, SoftPart, simulate_hip, simulate_labels, torso_of
from openbct.volume import Volume, bounding_box, crop, to_patient

DENSITIES = {"dense": (210, 300, 1.8, 1100, 6.0), "usual": (120, 220, 1.4, 950, 5.0), "low": (60, 150, 1.1, 850, 3.5),
             "porotic": (15, 90, 0.8, 750, 2.5), "bare": (-20, 20, 0.6, 600, 1.5)}  # fmt: skip
"""Trabecular and subcortical density, cortex of head and of shaft [mm], cortical density [mg/cm³ K2HPO4]. The femur of hip_crop has
160 (median) in its first millimetre, 220 below, 105 to 130 deeper than 4 mm, and 1100 to 1300 in the shaft's cortex. Bare bone is thinner than bone is:
it is for the hard scans only."""
OF_PERSONS = {"dense": (1.4, 1.2), "usual": (1.0, 1.0), "low": (0.6, 0.8), "porotic": (0.3, 0.6), "bare": (0.12, 0.4)}
"""Density of the hips and thickness of cortices of a drawn person, over the usual."""
GAPS = (1.0, 1.5, 2.0, 3.0, 4.5)
"""Least distance of the two bones in the joint [mm]."""
ABOVE, BELOW = 36.0, 135.0
"""What is drawn of real anatomy above the centre of the heads and below it [mm]."""
FIELD = 310.0
"""Of the image of a drawn person of usual height [mm]: both trochanters, not the skin at the sides."""
GROUPS = ("tuned", "anatomy", "fresh", "person", "hard", "trial")


@dataclass(frozen=True)
class HipCase:
    """One simulated scan."""

    name: str
    group: str
    patient: int
    """Whose anatomy; 0 for a drawn person."""
    density: str
    gap: float
    slice_mm: float
    kernel: str
    noise: float
    inplane: float
    modes: tuple[float, ...] = ()
    """Deviations of the first modes of the shape model."""
    left: bool = True
    """Which hip of a patient is in view; of a drawn person both are."""
    seed: int = 0
    trial: str = ""

    @property
    def femora(self) -> tuple[str, ...]:
        """What should be found."""
        return ("femur_left", "femur_right") if self.patient == 0 else ("femur_left" if self.left else "femur_right",)


def cases() -> list[HipCase]:
    """Return every scan."""
    return [*_planned(), *_fresh(), *_persons(), *_hard(), *_trials()]


def _planned() -> list[HipCase]:
    """Return 12 scans of patient 001 to tune on and 52 of patient 002."""
    found = []
    slices = (3.0, 2.0, 5.0, 3.0, 2.0, 1.0, 3.0, 2.5)
    kernels = ("standard", "soft", "sharp")
    for patient, many in ((1, 12), (2, 52)):
        draw = np.random.default_rng([7, patient])
        mixed = draw.permutation(list(product(range(4), range(len(GAPS)))) * 3)[:many]
        for n in range(many):
            density, gap = (int(v) for v in mixed[n])
            kernel = kernels[n % 3]
            noise = float(draw.uniform(10, 30)) * (1.4 if kernel == "sharp" else 1.0)
            modes = tuple(np.round(draw.normal(0, 1, 5), 2).tolist()) if n % 4 else (0.0,) * 5
            found.append(
                HipCase(
                    f"{patient:03d}-{n:02d}", "tuned" if patient == 1 else "anatomy", patient, list(DENSITIES)[density], GAPS[gap], slices[n % 8],
                    kernel, round(noise, 1), 1.1 if n % 2 else 0.9, modes, n % 4 in (0, 3), n,
                )
            )  # fmt: skip
    return found


def _fresh() -> list[HipCase]:
    """Return 8 scans of patient 002 with ten modes, five of which no other scan has."""
    draw = np.random.default_rng(20261128)
    found = []
    for n in range(8):
        kernel = ("standard", "sharp", "soft")[n % 3]
        noise = float(draw.uniform(10, 30)) * (1.4 if kernel == "sharp" else 1.0)
        found.append(
            HipCase(
                f"fresh-{n:02d}", "fresh", 2, list(DENSITIES)[n % 4], float(draw.choice(GAPS)), (1.0, 1.5, 2.0, 3.0)[int(draw.integers(4))], kernel,
                round(noise, 1), float(draw.uniform(0.7, 1.2)), tuple(np.round(draw.normal(0, 1, 10), 2).tolist()), bool(n % 2), 500 + n,
            )
        )  # fmt: skip
    return found


def _persons() -> list[HipCase]:
    """Return 6 drawn persons, both hips each; two of them in slices of 1 mm."""
    draw = np.random.default_rng(20261129)
    found = []
    for n in range(6):
        kernel = ("soft", "standard", "sharp")[n % 3]
        noise = float(draw.uniform(10, 30)) * (1.4 if kernel == "sharp" else 1.0)
        found.append(
            HipCase(
                f"person-{n:02d}", "person", 0, list(DENSITIES)[int(draw.integers(4))], float(draw.choice(GAPS)), (1.0, 2.0, 3.0)[int(draw.integers(3))] if n % 3 else 1.0,
                kernel, round(noise, 1), float(draw.choice([0.9, 1.0])), seed=700 + n,
            )
        )  # fmt: skip
    return found


def _hard() -> list[HipCase]:
    """Return 14 scans in which femora should be hard to find: thick slices, bare bone, noise, no joint space."""
    draw = np.random.default_rng(20261130)
    found = []
    for n in range(14):
        kernel = ("sharp", "soft")[n % 2]
        patient = (1, 2, 2, 0)[n % 4]
        gap = float(draw.choice([0.0, 0.5, 1.0])) if patient else 1.0
        found.append(
            HipCase(
                f"hard-{n:02d}", "hard", patient, str(draw.choice(["bare", "bare", "porotic"])), gap, float(draw.choice([3.0, 5.0, 6.0])), kernel,
                float(draw.choice([30.0, 60.0, 90.0])), float(draw.choice([0.9, 1.3])), tuple(np.round(draw.normal(0, 1.5, 5), 2).tolist()) if patient else (),
                bool(n % 3), 900 + n,
            )
        )  # fmt: skip
    return found


def _trials() -> list[HipCase]:
    """Return what a clinic will send sooner or later: usual bone in slices of 2 mm."""
    hip = HipCase("", "trial", 2, "usual", 2.0, 2.0, "standard", 20.0, 0.9, (), True, 41)
    person = HipCase("", "trial", 0, "usual", 3.0, 2.0, "standard", 20.0, 0.9, (), True, 801)
    found = [
        replace(hip, trial=trial, gap=gap)
        for trial, gap in (("no joint space (0 mm)", 0.0), ("joint space of 0.5 mm", 0.5), ("joint space of 1 mm", 1.0))
    ]
    found += [replace(hip, trial=trial) for trial in (
        "neck fracture, displaced", "neck fracture, impacted", "pelvis not in the image (label left out)", "image ends 12 mm around the femur")]  # fmt: skip
    found += [replace(person, trial=trial) for trial in (
        "contrast agent, arterial", "prosthesis on the left", "nail on the right", "nothing special", "prone, header says supine",
        "feet first, header says head first", "image ends between the trochanters", "only the left half in the image")]  # fmt: skip
    return [replace(case, name=f"trial-{n:02d}") for n, case in enumerate(found)]


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
    """Return what the labels of a patient are, and the scanner."""
    trabecular, below, cortex, compact, shaft = DENSITIES[case.density]
    top = to_patient(affine, np.array([0, 0, np.flatnonzero((labels == 2).any(axis=(0, 1)))[-1]], dtype=float))[2]
    parts: dict[int, BonePart | SoftPart] = {5: SoftPart("muscle", "muscle")}
    for value, name in ((1, "pelvis"), (2, "femora"), (3, "sacrum"), (4, "spine")):
        if (labels == value).any():
            end = {"shaft_cortex": shaft, "shaft_top": float(top) - 45.0} if value == 2 else {}
            parts[value] = BonePart(name, trabecular, below, 8.0, 25.0, cortex, compact, **end)
    scanner = ScannerSettings(kernel=case.kernel, noise=case.noise, hardening=False, scatter=0.0, seed=case.seed)
    return LabelSettings(parts, (case.inplane, case.inplane, case.slice_mm), joint_gap=case.gap, scanner=scanner, seed=case.seed)


def broken(labels: np.ndarray, affine: np.ndarray, left: bool, displaced: bool) -> np.ndarray:
    """Return the labels with the neck broken: the shaft 12 mm up and a gap of 4 mm, or driven 5 mm into the head."""
    femur = labels == 2
    points = to_patient(affine, np.argwhere(femur).astype(float))
    lateral = np.array([1.0 if left else -1.0, 0.0, 0.0])
    upper = points[points[:, 2] > points[:, 2].max() - 45.0]
    near = upper[upper @ lateral < (upper @ lateral).min() + 45.0]
    head = near.mean(axis=0)
    neck = 0.77 * lateral + np.array([0.0, 0.0, -0.64])
    along = (
        (to_patient(affine, np.moveaxis(np.indices(labels.shape), 0, -1).reshape(-1, 3).astype(float)) - head) @ neck
    ).reshape(labels.shape)
    cut = 25.0
    piece, rest = femur & (along < cut - (2.0 if displaced else 0.0)), femur & (along > cut + (2.0 if displaced else 0.0))
    move = np.array([0.0, 0.0, 12.0]) if displaced else -5.0 * neck
    steps = np.rint(move / np.diag(affine)[:3]).astype(int)
    moved = np.roll(rest, steps.tolist(), axis=(0, 1, 2))
    if steps[2] > 0:
        moved[:, :, : steps[2]] = rest[:, :, : steps[2]]
    out = labels.copy()
    out[femur] = 5
    out[moved & (along > cut + 2.0 if displaced else moved) & (out != 1)] = 2
    out[piece] = 2
    return out


def _draw_patient(case: HipCase, data: Path) -> tuple[Volume, np.ndarray]:
    labels, body, affine = anatomy(data, case.patient, case.left)
    labels = varied(labels, affine, data, case.modes)
    if "fracture" in case.trial:
        labels = broken(labels, affine, case.left, "displaced" in case.trial)
    if "label left out" in case.trial:
        labels = np.where(np.isin(labels, (1, 3, 4)), 5, labels).astype(np.uint8)
    made = simulate_labels(Volume(labels, affine, "label"), settings(case, labels, affine), Volume(body, affine, "mask"))
    drawn = made.labels.volume.array
    return made.image, np.where(drawn == 1, 1, np.where(drawn == 2, 2 if case.left else 3, 0)).astype(np.uint8)


def person_of(case: HipCase) -> Person:
    """Return the drawn person of a case: who it is follows from the seed."""
    draw = np.random.default_rng([31, case.seed])
    sex = "FM"[int(draw.integers(2))]
    height = float(draw.normal(175.0 if sex == "M" else 162.0, 6.0))
    weight = float(np.clip(draw.normal(25.0, 3.5), 19.0, 33.0) * (height / 100.0) ** 2)
    hip, cortex = OF_PERSONS[case.density]
    device = {"prosthesis on the left": ("prosthesis_left",), "nail on the right": ("nail_right",)}.get(case.trial, ())
    phase = case.trial.rsplit(" ", 1)[-1] if case.trial.startswith("contrast") else "none"
    return Person(
        sex, float(draw.uniform(50, 85)), height, weight, 90.0, hip, cortex, float(draw.uniform(117, 136)), float(draw.uniform(0, 28)),
        float(draw.uniform(0.88, 1.12)), case.gap, phase=phase, implants=device, seed=case.seed,
    )  # fmt: skip


def _draw_person(case: HipCase) -> tuple[Volume, np.ndarray]:
    return _person_scan(replace(case, name="", trial=case.trial if "contrast" in case.trial or " on the " in case.trial else ""))


@lru_cache(maxsize=1)
def _person_scan(case: HipCase) -> tuple[Volume, np.ndarray]:
    scanner = ScannerSettings(kernel=case.kernel, noise=case.noise, seed=case.seed)
    torso = torso_of(person_of(case), scanner, (case.inplane, case.inplane, case.slice_mm))
    made = simulate_hip(replace(torso, field_of_view=FIELD * torso.body.size))
    names = {name: value for value, name in made.labels.names.items()}
    labels = np.zeros(made.image.shape, dtype=np.uint8)
    for target, own in ((1, "hip_left"), (1, "hip_right"), (2, "femur_left"), (3, "femur_right")):
        labels[made.labels.volume.array == names[own]] = target
    return made.image, labels


def _as_sent(case: HipCase, image: Volume, labels: np.ndarray) -> tuple[Volume, np.ndarray]:
    """Return the scan as the trial has it: turned under another header, or cut."""
    # a patient who lies otherwise has the same image in the patient's own axes: only how it is stored differs, which canonical() undoes
    turn = {"prone, header says supine": (0, 1), "feet first, header says head first": (0, 2)}.get(case.trial)
    if turn is not None:
        labels = np.flip(labels, turn)
        if 0 in turn:  # by that header the right femur is the left one
            labels = np.array([0, 1, 3, 2], dtype=np.uint8)[labels]
        return image.with_array(np.flip(image.array, turn)), labels
    low, high = np.zeros(3, dtype=int), np.array(image.shape)
    if "12 mm around" in case.trial:
        first, last = bounding_box(Volume(labels > 1, image.affine, "mask"))
        pad = np.ceil(12.0 / image.spacing).astype(int)
        low, high = np.maximum(first - pad, 0), np.minimum(last + pad, image.shape)
    elif "between the trochanters" in case.trial:
        low[2] = int(np.argwhere(labels > 1)[:, 2].max() - 70.0 / image.spacing[2])
    elif "left half" in case.trial:
        low[0] = image.shape[0] // 2
    cut = crop(image, low.tolist(), high.tolist())
    return cut, labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]


def draw(case: HipCase, data: Path, folder: Path) -> None:
    """Draw a scan into a folder, where it is not there yet."""
    target, part = folder / f"{case.name}.npz", folder / f"{case.name}.part.npz"
    if target.exists():
        return
    image, labels = _draw_patient(case, data) if case.patient else _draw_person(case)
    image, labels = _as_sent(case, image, labels)
    np.savez_compressed(part, image=image.array, affine=image.affine, labels=labels)
    part.rename(target)
