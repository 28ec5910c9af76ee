# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/confidence.md: does the confidence of a mask tell masks that overlap the bone from masks that do not?

    python docs/validation/make_confidence.py FOLDER --spine SPINE --hips HIPS [--only SET ...]

``SPINE`` and ``HIPS`` hold the simulated scans of make_spine.py and make_hips.py (their caches). What is measured is kept in ``FOLDER``, and sets can be
made one by one. Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from make_confidence_trials import trials
from make_path import DATA, markdown
from scipy import ndimage

from openbct.records import BoneMask
from openbct.segmentation.builtin import of_finder
from openbct.segmentation.confidence import DOUBTED, kept_of, weigh
from openbct.segmentation.likeness import compared
from openbct.segmentation.spine import find_spine
from openbct.settings import built_in
from openbct.volume import Volume, bounding_box, canonical, crop, place_into

HERE = Path(__file__).resolve().parent
Array = np.ndarray
ROOM = 16.0
"""Around a bone, where its mask may be spoilt [mm]."""
GOOD = 0.90
"""Overlap that a mask should have."""
REFUSED = built_in().segmentation.least_confidence
LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")

HEAD = f"""# Confidence

This page is written by `python docs/validation/make_confidence.py FOLDER --spine SPINE --hips HIPS`, of which the last two hold the simulated scans of `make_spine.py` and `make_hips.py`. Right masks are spoilt in
known ways, and the confidence of each ([methods](../methods/segmentation-and-anatomy.md#confidence)) is held against its overlap with the right mask (Dice). AUC is the chance that a mask with an overlap of 0.90 or more has a
higher confidence than one with less; the issue that asked for it wants 0.80. Below {DOUBTED:g} a mask carries a caution, below {REFUSED:g} (a setting) its bone is refused.

**Tuned on**: five simulated persons of the spine's tuning seeds and the hips of patient 001. On them the distance that a right mask is allowed, the radius of the ball, the usual volume of a neighbour and the limit of the caution
were chosen. **Reported**: simulated persons of seed 200 (not looked at for this), hips of patient 002, and the real scans. Their spoilt masks had been measured once with the confidence as it was before (AUC 0.79 simulated, 0.82 real); no
number was chosen on them.

Masks are grown and shrunk by 1 to 3 mm, moved by 2 to 7 mm along each axis, cut by 10 to 40 % from each side (a femur not from below: a shorter shaft is no fault), roughened by 1 to 4 mm, let leak into what is bright around them, and given
lumps and bites. The masks of the neighbours are the right ones, where the scan holds them.

"""


@dataclass(frozen=True)
class Case:
    """A bone in an image with its right mask."""

    name: str
    bone: str
    part: str
    image: Volume
    mask: Array
    others: Mapping[str, Array] = field(default_factory=dict)
    """Right masks of the other bones, those whole in the image."""


def persons(folder: Path, seeds: tuple[int, ...], numbers: range, many: int) -> Iterator[Case]:
    """Return vertebral bodies of simulated persons, chosen by lot."""
    for seed in seeds:
        for number in numbers:
            if not (folder / f"sim_{seed}_{number}.npz").exists():
                continue
            image, bodies, names = person(folder, seed, number)
            whole = {}
            for value, level in names.items():
                used = np.flatnonzero((bodies == value).any(axis=(0, 1)))
                if len(used) and used[0] > 0 and used[-1] < image.shape[2] - 1 and level in LEVELS:
                    whole[level] = bodies == value
            drawn = np.random.default_rng([seed, number]).permutation(sorted(whole))[:many]
            for level in drawn:
                others = {name: mask for name, mask in whole.items() if name != level}
                name = f"person {seed}-{number}, {level}, slices of {image.spacing[2]:g} mm"
                yield Case(name, str(level), "body", image, whole[str(level)], others)


def person(folder: Path, seed: int, number: int) -> tuple[Volume, Array, dict[int, str]]:
    """Return a scan of make_spine.py, its bodies and their levels."""
    with np.load(folder / f"sim_{seed}_{number}.npz", allow_pickle=True) as kept:
        names = {int(value): str(name).removeprefix("vertebral_body_") for value, name in kept["names"]}
        return Volume(kept["image"].astype(np.float32), kept["affine"], "HU"), kept["bodies"], names


def hips(folder: Path, patient: str, most: int) -> Iterator[Case]:
    """Return femora of make_hips.py's scans."""
    for file in sorted(folder.glob(f"{patient}-*.npz"))[:most]:
        with np.load(file) as kept:
            image = Volume(kept["image"].astype(np.float32), kept["affine"], "HU")
            femora = kept["labels"]
        truth = femora == min(value for value in (2, 3) if (femora == value).any())
        # the confidence is the same for both sides
        yield Case(f"hip {file.stem}, slices of {image.spacing[2]:g} mm", "femur_left", "whole", image, truth)


def real() -> Iterator[Case]:
    """Return the labelled bones of the real scans."""

    def read(path: Path, kind: type) -> Volume:
        stored = nib.load(path)
        return canonical(
            Volume(np.asanyarray(stored.dataobj).astype(kind), np.diag([-1.0, -1.0, 1.0, 1.0]) @ stored.affine, "HU")
        )

    labels = read(DATA / "hip_crop" / "labels.nii.gz", int).array
    yield Case(
        "real right femur, 0.9 mm (hip_crop)",
        "femur_right",
        "whole",
        read(DATA / "hip_crop" / "density.nii.gz", np.float32),
        labels == 2,
    )
    labels = read(DATA / "vertebra_l2" / "labels.nii.gz", int).array
    yield Case(
        "real L2, 1 mm (vertebra_l2)",
        "L2",
        "body",
        read(DATA / "vertebra_l2" / "density.nii.gz", np.float32),
        np.isin(labels, (1, 2)),
    )
    image, labels = (
        read(DATA / "abdomen_pelvis" / "ct.nii.gz", np.float32),
        read(DATA / "abdomen_pelvis" / "labels_vertebral_bodies.nii.gz", int).array,
    )
    bodies = {level: labels == value for value, level in zip(range(20, 25), ("L1", "L2", "L3", "L4", "L5"))}
    for level, mask in bodies.items():
        others = {name: other for name, other in bodies.items() if name != level}
        yield Case(f"real {level}, 3 mm (abdomen_pelvis)", level, "body", image, mask, others)


def spoilt(mask: Array, image: Volume, random: np.random.Generator, *, femur: bool = False) -> Iterator[tuple[str, Array]]:
    """Return masks that are worse and worse, each with its kind."""
    spacing = image.spacing
    deep, far = (ndimage.distance_transform_edt(part, sampling=spacing) for part in (mask, ~mask))
    signed = np.where(mask, spacing.min() / 2 - deep, far - spacing.min() / 2)
    yield "right", mask
    for by in (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0):
        yield "grown" if by > 0 else "shrunk", signed < by
    for axis in range(3):
        for by in (2.0, 4.0, 7.0):
            yield "moved", np.roll(mask, max(1, round(by / spacing[axis])), axis=axis)
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        for share in (0.1, 0.25, 0.4):
            cut = mask.copy()
            layers = np.moveaxis(cut, axis, 0)
            if femur and axis == 2:  # a shorter shaft is no fault
                layers[int(used[-1] + 1 - share * len(used)) :] = False
            else:
                layers[: int(used[0] + share * len(used))] = False
            yield "cut", cut
    for by in (1.0, 2.0, 3.0, 4.0):
        rough = ndimage.gaussian_filter(random.standard_normal(mask.shape), 6.0 / spacing)
        yield "roughened", signed + by * rough / rough.std() < 0
    for above, within in ((150.0, 8.0), (150.0, 14.0), (80.0, 14.0)):
        yield "leaking", mask | ((image.array > above) & (far <= within))
    rim = np.argwhere(ndimage.binary_dilation(mask) & ~mask)
    for radius in (8.0, 14.0):
        index = np.stack(np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij"), axis=-1)
        ball = np.linalg.norm((index - rim[random.integers(len(rim))]) * spacing, axis=-1) < radius
        yield "lump", mask | ball
        yield "bite", mask & ~ball


def judged(case: Case) -> list[tuple[str, float, float]]:
    """Return kind, overlap and confidence of every spoilt mask."""
    random = np.random.default_rng(1)
    low, high = bounding_box(Volume(case.mask, case.image.affine, "mask"), ROOM)
    image = crop(case.image, low.tolist(), high.tolist())
    right = crop(case.image.with_array(case.mask, "mask"), low.tolist(), high.tolist()).array
    others = {name: BoneMask(name, case.image.with_array(mask, "mask"), "body", 1.0, False) for name, mask in case.others.items()}
    found = []
    for kind, mask in spoilt(right, image, random, femur=case.part == "whole"):
        if mask.any():
            overlap = 2.0 * float((mask & right).sum()) / float(mask.sum() + right.sum())
            part = "body" if case.part == "body" else "whole"
            volume = image.with_array(mask, "mask")
            bone = BoneMask(case.bone, volume, part, weigh(case.bone, case.part, volume, image).confidence, False)  # type: ignore[arg-type]
            found.append((kind, overlap, compared({**others, case.bone: bone})[0][case.bone].confidence))
    return found


def own_spines(folder: Path, numbers: tuple[int, ...]) -> list[tuple[str, float, float]]:
    """Return what the built-in segmenter itself finds of simulated persons: scan and bone, overlap, confidence without the likeness."""
    rows = []
    for number in numbers:
        if not (folder / f"sim_200_{number}.npz").exists():
            continue
        image, bodies, names = person(folder, 200, number)
        values = {level: value for value, level in names.items()}
        found = find_spine(image, LEVELS)
        for bone, mask in found.bones.items():
            truth = bodies == values.get(bone, -1)
            if truth.any() and kept_of(bone, mask.touches_edge) == 1.0:
                confidence = of_finder(found.parts[bone]) * weigh(bone, "body", mask.mask, image).confidence
                rows.append((f"{number} {bone}", dice(place_into(mask.mask, image, False).array, truth), confidence))
    return rows


def own_hips(folder: Path) -> list[tuple[str, float, float]]:
    """Return what it finds of the hips of patient 002 and of the hard scans, as make_hips.py has measured them; its trials are on its own page."""
    rows = []
    for file in sorted(folder.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8")):
            if "dice" in row and not row["trial"] and not row["name"].startswith("001"):
                rows.append((str(row["name"]), float(row["dice"]), of_finder(row["parts"]) * float(row["image"])))
    return rows


def dice(a: Array, b: Array) -> float:
    """Return the overlap of two masks."""
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def auc(found: list[tuple[str, float, float]]) -> float:
    """Return the chance that a good mask has a higher confidence than a bad one; NaN where one kind is missing."""
    good, bad = (np.array([c for _, overlap, c in found if (overlap >= GOOD) is wanted]) for wanted in (True, False))
    if not len(good) or not len(bad):
        return float("nan")
    return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


COLUMNS = (
    "set",
    "masks / below 0.90",
    "right masks",
    "AUC",
    "correlation",
    "mean difference",
    f"caution (below {DOUBTED:g}): of Dice < 0.8 / 0.8 to 0.9 / ≥ 0.9",
    f"refused (below {REFUSED:g}): of Dice < 0.7 / < 0.8 / ≥ 0.9",
)


def row_of(title: str, found: list[tuple[str, float, float]]) -> tuple[str, ...]:
    """Return a row of the table."""
    overlaps, values = np.array([f[1] for f in found]), np.array([f[2] for f in found])
    rights = [f"{f[2]:.2f}" for f in found if f[0] == "right"]
    told = "–" if not rights else rights[0] if len(rights) == 1 else f"{min(rights)} to {max(rights)}"

    def share(chosen: Array, limit: float) -> str:
        return f"{100 * float((values[chosen] < limit).mean()):.0f} %" if chosen.any() else "–"

    return (
        title, f"{len(found)} / {int((overlaps < GOOD).sum())}", told, f"{auc(found):.2f}", f"{np.corrcoef(overlaps, values)[0, 1]:.2f}",
        f"{np.abs(values - overlaps).mean():.2f}",
        f"{share(overlaps < 0.8, DOUBTED)} / {share((overlaps >= 0.8) & (overlaps < GOOD), DOUBTED)} / {share(overlaps >= GOOD, DOUBTED)}",
        f"{share(overlaps < 0.7, REFUSED)} / {share(overlaps < 0.8, REFUSED)} / {share(overlaps >= GOOD, REFUSED)}",
    )  # fmt: skip


def kinds(found: list[tuple[str, float, float]]) -> list[tuple[str, ...]]:
    """Return rows of overlap and confidence by kind of fault."""
    rows = []
    for kind in dict.fromkeys(f[0] for f in found):
        own = [f for f in found if f[0] == kind]
        bad = [f for f in own if f[1] < GOOD]
        means = (f"{np.mean([f[1] for f in own]):.2f}", f"{np.mean([f[2] for f in own]):.2f}")
        rows.append((kind, str(len(own)), *means, str(len(bad)), str(sum(f[2] >= GOOD for f in bad))))
    return rows


def kept(
    folder: Path, name: str, make: Callable[[], list[tuple[str, float, float]]], only: list[str]
) -> list[tuple[str, float, float]]:
    """Return a set, measured now or before."""
    file = folder / f"{name}.json"
    if not file.exists() and (not only or name in only):
        file.write_text(json.dumps(make()), encoding="utf-8")
    return [(str(a), float(b), float(c)) for a, b, c in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def measured(cases: Iterator[Case]) -> list[tuple[str, float, float]]:
    """Return all spoilt masks of some bones."""
    return [row for case in cases for row in judged(case)]


def main() -> None:
    """Write the page of the sets that are there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spine", type=Path, required=True)
    parser.add_argument("--tuning", type=Path, help="the spine's scans of the tuning seeds, where they lie elsewhere")
    parser.add_argument("--hips", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="sets to be measured")
    asked = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    asked.folder.mkdir(parents=True, exist_ok=True)

    def thick(numbers: tuple[int, ...]) -> list[tuple[str, float, float]]:
        return [row for number in numbers for row in measured(persons(asked.spine, (200,), range(number, number + 1), 1))]

    sets: dict[str, tuple[str, Callable[[], list[tuple[str, float, float]]]]] = {
        "tuned bodies": ("bodies, tuned on", lambda: measured(persons(asked.tuning or asked.spine, (99, 100), range(6), 2))),
        "tuned hips": ("femora, tuned on", lambda: measured(hips(asked.hips, "001", 1))),
        "thin": ("simulated bodies, slices up to 2 mm", lambda: thick((6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28))),
        "middle": ("simulated bodies, slices of 2.5 and 3 mm", lambda: thick((5, 7, 11, 13, 17, 19, 23, 25, 29))),
        "thick": ("simulated bodies, slices of 5 mm", lambda: thick((9, 15, 21, 27))),
        "hips": ("simulated femora, slices of 1 to 5 mm", lambda: measured(hips(asked.hips, "002", 3))),
        "real femur": ("real femur, 0.9 mm (hip_crop)", lambda: measured(one for one in real() if "femur" in one.name)),
        "real L2": ("real L2, 1 mm (vertebra_l2)", lambda: measured(one for one in real() if "vertebra_l2" in one.name)),
        "real bodies": ("real L1 to L5, 3 mm (abdomen_pelvis)", lambda: measured(one for one in real() if "abdomen" in one.name)),
    }  # fmt: skip
    found = {name: kept(asked.folder, name, make, asked.only) for name, (_, make) in sets.items()}
    own = {
        "bodies": kept(asked.folder, "own bodies", lambda: own_spines(asked.spine, (9, 19, 27)), asked.only),
        "femora": kept(asked.folder, "own femora", lambda: own_hips(asked.hips), asked.only),
    }
    rows = [row_of(title, found[name]) for name, (title, _) in sets.items() if found[name]]
    simulated = [row for name in ("thin", "middle", "thick", "hips") for row in found[name]]
    real_ones = [row for name in ("real femur", "real L2", "real bodies") for row in found[name]]
    for title, pool in (("**all simulated, report**", simulated), ("**all real**", real_ones)):
        if pool:
            rows.append(row_of(title, pool))
    lines = [
        *markdown(COLUMNS, rows),
        "",
        "## By kind of fault",
        "",
        "Report rows, simulated and real. The last column counts bad masks that would pass for good ones.",
        "",
    ]
    lines += markdown(
        ("fault", "masks", "mean Dice", "mean confidence", "Dice below 0.90", "of these, confidence 0.90 or more"),
        kinds(simulated + real_ones),
    )
    lines += ["", *OWN, "", *own_table(own), "", *trials(asked.folder, asked.only)]
    (HERE / "confidence.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


OWN = (
    "## The built-in segmenter's own masks",
    "",
    "What it finds by itself: bodies of three of the reported persons (two with slices of 5 mm, where it is weakest), femora of `make_hips.py` (patient 002, unseen variants, hard scans, the simulator's persons; "
    "its trials stand on [its own page](hips.md)). Its confidence is the one above, without the likeness, less up to 15 % of its finder's doubts; that share was set after these bodies had been seen.",
)


def own_table(own: Mapping[str, list[tuple[str, float, float]]]) -> list[str]:
    """Return a table of the segmenter's own masks, and the worst of them."""
    rows, worst = [], []
    for kind, found in own.items():
        if not found:
            continue
        overlaps, values = np.array([f[1] for f in found]), np.array([f[2] for f in found])
        bad = overlaps < GOOD
        separated = f"{auc(found):.2f}" if bad.any() and not bad.all() else "no such mask" if not bad.any() else "–"
        rows.append((
            kind, f"{len(found)} / {int(bad.sum())}", f"{np.median(overlaps):.3f} / {overlaps.min():.3f}", f"{np.median(values):.2f} / {values.min():.2f}",
            separated, f"{int((values[~bad] < DOUBTED).sum())} of {int((~bad).sum())}", f"{int((values[~bad] < REFUSED).sum())} of {int((~bad).sum())}",
        ))  # fmt: skip
        worst += [
            f"{kind} {name}: Dice {overlap:.2f}, confidence {value:.2f}"
            for name, overlap, value in sorted(found, key=lambda f: f[1])[:4]
        ]
    head = (
        "",
        "masks / below 0.90",
        "Dice, median / worst",
        "confidence, median / least",
        "AUC",
        "good ones with a caution",
        "good ones refused",
    )
    return [*markdown(head, rows), "", f"The worst: {'; '.join(worst)}."]


if __name__ == "__main__":
    main()
