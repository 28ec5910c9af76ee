# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/confidence.md: does the confidence of a mask tell masks that overlap the bone from masks that do not?

    python docs/validation/make_confidence.py

Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes some minutes on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from make_path import DATA, markdown
from scipy import ndimage

from openbct.phantoms import SimulatedScan, TorsoSettings, simulate_hip, simulate_vertebra
from openbct.phantoms.column import Fracture
from openbct.phantoms.scanner import ScannerSettings
from openbct.segmentation.confidence import DOUBTED, weigh
from openbct.volume import Volume, bounding_box, canonical, crop

HERE = Path(__file__).resolve().parent
Array = np.ndarray
ROOM = 16.0
"""Around a bone, where its mask may be spoilt [mm]."""
GOOD = 0.90
"""Overlap that a mask should have."""

HEAD = """# Confidence

This page is written by `python docs/validation/make_confidence.py`. Right masks of simulated and real scans are spoilt in known ways, and the confidence of each ([methods](../methods/segmentation-and-anatomy.md#confidence))
is held against its overlap with the right mask (Dice). AUC is the chance that a mask with an overlap of 0.90 or more has a higher confidence than one with less. The limits of the confidence are by design, but
for the distance that a right mask is allowed (0.4 of the voxel's edge), which was set after the right masks of the real scans had been read once: no spoilt mask was looked at. The tuning rows changed nothing.

Masks are grown and shrunk by 1 to 3 mm, moved by 2 to 7 mm along each axis, cut by 10 to 40 % from each side, roughened by 1 to 4 mm, let leak into what is bright around them, and given lumps and bites.

"""


@dataclass(frozen=True)
class Case:
    """A bone in an image with its right mask."""

    name: str
    bone: str
    part: str
    image: Volume
    mask: Array
    tuned: bool = False


def simulated() -> Iterator[Case]:
    """Return vertebral bodies and femora of simulated scans."""
    wide = TorsoSettings(field_of_view=130.0, centre=(0.0, 40.0))
    plans = (
        ("L1, 1 mm", "L1", (1.0, 1.0, 1.0), 95.0, 80.0, True, False),
        ("L3, 3 mm slices", "L3", (0.9, 0.9, 3.0), 120.0, 80.0, True, False),
        ("L2, 2 mm slices, osteoporotic", "L2", (0.9, 0.9, 2.0), 45.0, 80.0, False, False),
        ("L4, 1.5 mm slices, low dose", "L4", (0.8, 0.8, 1.5), 100.0, 25.0, False, False),
        ("L2, 3 mm slices, wedge fracture", "L2", (1.0, 1.0, 3.0), 70.0, 80.0, False, True),
        ("L1, 5 mm slices", "L1", (0.9, 0.9, 5.0), 110.0, 80.0, False, False),
    )
    for n, (name, level, spacing, density, mas, tuned, broken) in enumerate(plans):
        body = replace(wide.body, fractures={level: Fracture("wedge", 0.25)}) if broken else wide.body
        made = simulate_vertebra(
            level,
            replace(
                wide, spacing=spacing, trabecular_density=density, body=body, scanner=ScannerSettings(mas=mas, seed=n), seed=n
            ),
        )
        assert made.bodies is not None
        yield of_scan(
            f"simulated {name}",
            level,
            "body",
            made,
            made.bodies.volume.array == number(made.bodies.names, f"vertebral_body_{level}"),
            tuned,
        )
    for name, spacing, x, tuned in (
        ("left femur, 1.5 mm slices", (1.0, 1.0, 1.5), 95.0, True),
        ("right femur, 1.5 mm slices", (1.0, 1.0, 1.5), -95.0, False),
        ("right femur, 3 mm slices", (0.9, 0.9, 3.0), -95.0, False),
    ):
        bone = f"femur_{name.split()[0]}"
        made = simulate_hip(TorsoSettings(spacing=spacing, field_of_view=130.0, centre=(x, 15.0)))
        yield of_scan(
            f"simulated {name}", bone, "whole", made, made.labels.volume.array == number(made.labels.names, bone), tuned
        )


def number(names: dict[int, str], wanted: str) -> int:
    """Return the number of a name."""
    return next(value for value, name in names.items() if name == wanted)


def of_scan(name: str, bone: str, part: str, made: SimulatedScan, mask: Array, tuned: bool) -> Case:
    """Return a simulated scan as a case."""
    return Case(name, bone, part, made.image, mask, tuned)


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
    for value, level in zip(range(20, 25), ("L1", "L2", "L3", "L4", "L5")):
        yield Case(f"real {level}, 3 mm (abdomen_pelvis)", level, "body", image, labels == value)


def spoilt(mask: Array, image: Volume, random: np.random.Generator) -> Iterator[tuple[str, Array]]:
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
            np.moveaxis(cut, axis, 0)[: int(used[0] + share * len(used))] = False
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
    found = []
    for kind, mask in spoilt(right, image, random):
        if mask.any():
            overlap = 2.0 * float((mask & right).sum()) / float(mask.sum() + right.sum())
            found.append((kind, overlap, weigh(case.bone, case.part, image.with_array(mask, "mask"), image).confidence))
    return found


def auc(found: list[tuple[str, float, float]]) -> float:
    """Return the chance that a good mask has a higher confidence than a bad one; NaN where one kind is missing."""
    good, bad = (np.array([c for _, overlap, c in found if (overlap >= GOOD) is wanted]) for wanted in (True, False))
    if not len(good) or not len(bad):
        return float("nan")
    return float((good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean())


def rows_of(title: str, found: list[tuple[str, float, float]]) -> tuple[str, ...]:
    """Return a row of the table."""
    overlaps, values = np.array([f[1] for f in found]), np.array([f[2] for f in found])
    doubted = values < DOUBTED
    rights = [f"{f[2]:.2f}" for f in found if f[0] == "right"]
    bad = overlaps < GOOD
    return (
        title, f"{len(found)} / {int(bad.sum())}", rights[0] if len(rights) == 1 else f"{min(rights)} to {max(rights)}", f"{auc(found):.2f}", f"{np.corrcoef(overlaps, values)[0, 1]:.2f}",
        f"{np.abs(values - overlaps).mean():.2f}", f"{100 * doubted[overlaps < 0.8].mean():.0f} %" if (overlaps < 0.8).any() else "–", f"{100 * doubted[~bad].mean():.0f} %",
    )  # fmt: skip


def kinds(found: list[tuple[str, float, float]]) -> list[tuple[str, ...]]:
    """Return rows of overlap and confidence by kind of fault."""
    rows = []
    for kind in dict.fromkeys(f[0] for f in found):
        own = [f for f in found if f[0] == kind]
        bad = [f for f in own if f[1] < GOOD]
        passed = [f for f in bad if f[2] >= GOOD]
        rows.append(
            (
                kind,
                str(len(own)),
                f"{np.mean([f[1] for f in own]):.2f}",
                f"{np.mean([f[2] for f in own]):.2f}",
                str(len(bad)),
                str(len(passed)),
            )
        )
    return rows


def main() -> None:
    """Write the page."""
    if not DATA.is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    rows, pools = [], {"tuning": [], "simulated": [], "real": []}  # type: ignore[var-annotated]
    for cases in (simulated(), real()):
        for case in cases:
            found = judged(case)
            pool = "tuning" if case.tuned else case.name.split()[0]
            pools[pool] += found
            rows.append(rows_of(f"{case.name}{' (tuning)' if case.tuned else ''}", found))
            print(rows[-1], flush=True)
    titles = {"tuning": "all simulated, tuning", "simulated": "**all simulated, report**", "real": "**all real**"}
    rows += [rows_of(titles[name], found) for name, found in pools.items()]
    head = (
        "bone",
        "masks / below 0.90",
        "confidence of the right mask",
        "AUC",
        "correlation with Dice",
        "mean difference from Dice",
        f"doubted (below {DOUBTED:g}) of Dice < 0.8",
        "doubted of Dice ≥ 0.9",
    )
    lines = [
        *markdown(head, rows),
        "",
        "## By kind of fault",
        "",
        "Report rows, simulated and real. The last column counts bad masks that would pass for good ones.",
        "",
        *markdown(
            ("fault", "masks", "mean Dice", "mean confidence", "Dice below 0.90", "of these, confidence 0.90 or more"),
            kinds(pools["simulated"] + pools["real"]),
        ),
        "",
        "In 3 mm voxels the right label itself lies a voxel beside the edges here and there, and a mask that leaks into the next bone ends at that bone's edge, where the image confirms it: "
        "a leak is told by its volume or not at all.",
    ]
    (HERE / "confidence.md").write_text(HEAD + "\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
