# ruff: noqa: E501  (the rows and sentences of a page)
"""Vertebrae found without labels, on simulated and real scans: the tables and the picture of docs/validation/spine.md.

    python docs/validation/make_spine.py --data ../shared/data --cache FOLDER [--only plain|special|real]

Simulated scans and what was found in them are kept in the folder, one file each; what is there is not made again. With ``--only`` a part of it is
made and no page is written.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib
import nibabel
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from spine_scans import CASES, Scan, case_settings, scan_of, settings_of

from openbct.anatomy import locate_vertebra
from openbct.comparison import compare
from openbct.errors import OpenBCTError
from openbct.io import read_density, read_labels, read_scan
from openbct.phantoms import TorsoSettings
from openbct.records import BoneResult, CalibratedVolume, Step
from openbct.segmentation.given import LEVELS
from openbct.segmentation.spine import find_spine
from openbct.volume import Volume, canonical, place_into

HERE = Path(__file__).resolve().parent
PLAIN, SPECIAL = 200, 400
"""Seeds of the plain spines and of those that have something about them."""
FIRST, COUNT = 5, 25
"""Plain scans: 0 to 4 of their seed were looked at while the method was made, those of seed 100 too."""
LOOKED_AT = (13, 24)
"""Plain scans of the table that were looked at too."""
FINDER = "spine 2"
"""Part of the name of what is kept; to be changed with the method."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return twice the overlap over the sum of two masks."""
    return float(2 * (a & b).sum() / max(int(a.sum() + b.sum()), 1))


def judged(image: Volume, truth: np.ndarray, names: dict[int, str]) -> dict[str, Any]:
    """Return what was found in an image, held against the truth, and what is said of it."""
    begin = time.process_time()
    found = find_spine(image, LEVELS)
    seconds = time.process_time() - begin
    rows = []
    for bone, mask in found.bones.items():
        whole = place_into(mask.mask, image, False).array
        scores = {level: dice(whole, truth == value) for value, level in names.items()}
        level = max(scores, key=lambda key: scores[key])
        volume = whole.sum() / max(int((truth == next(v for v, n in names.items() if n == level)).sum()), 1)
        rows.append({"bone": bone, "true": level, "dice": scores[level], "volume": volume, "parts": found.parts[bone]})
    whole_ones = [level for value, level in names.items() if _complete(truth == value)]
    told = said_of(found, image)
    return {
        "rows": rows, "seconds": seconds, "sentence": found.sentence.rsplit("outwards. ")[-1], "absent": dict(found.absent),
        "cautions": list(found.cautions), "told": told, "whole": whole_ones,
    }  # fmt: skip


def said_of(found: Any, image: Volume) -> dict[str, list[str]]:
    """Return what the later stages say of each body, on an image of nominal density; a refusal begins with ``refused``."""
    density = Volume((0.8 * image.array).astype(np.float32), image.affine, "mg/cm3 K2HPO4")
    calibrated = CalibratedVolume(density, "K2HPO4", "given", 0.8, 0.0, np.zeros((2, 2)), (), Step("calibration", "Nominal."))
    results, said = [], {}
    for bone, mask in found.bones.items():
        try:
            region = locate_vertebra(mask, calibrated)
            results.append(BoneResult(bone, "ok", None, region.step.cautions, (), region))
        except OpenBCTError as error:
            said[bone] = [f"refused: {error}"]
    return said | {result.bone: list(result.cautions) for result in compare(results)}


def kept(path: Path, make: Any) -> dict[str, Any]:
    """Return what is kept in a file, made first where it is not there."""
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def plain_scan(cache: Path, number: int) -> Scan:
    """Return a plain spine."""
    return scan_of(settings_of(PLAIN, number), cache / f"sim_{PLAIN}_{number}.npz")


def special_scan(cache: Path, number: int) -> Scan:
    """Return a spine that has something about it."""
    return scan_of(case_settings(SPECIAL, number), cache / f"case_{SPECIAL}_{number}.npz")


def found_in(cache: Path, kind: str, number: int) -> dict[str, Any]:
    """Return what was found in a simulated scan."""

    def make() -> dict[str, Any]:
        scan = (plain_scan if kind == "plain" else special_scan)(cache, number)
        return judged(scan.image, scan.bodies, scan.names)

    return kept(cache / f"{FINDER} {kind} {number}.json", make)


def _complete(mask: np.ndarray) -> bool:
    layers = np.flatnonzero(mask.any(axis=(0, 1)))
    return bool(len(layers)) and layers[0] > 0 and layers[-1] < mask.shape[2] - 1


def about(settings: TorsoSettings) -> str:
    """Return what a plain scan is."""
    body = settings.body
    words = [f"{settings.scanner.kernel}", f"{settings.scanner.kvp:g} kVp"]
    words += [body.phase] if body.phase != "none" else []
    words += [f"curve {body.cobb_deg:g}°"] if body.cobb_deg else []
    return ", ".join(words + [f"{level} {one.kind} {100 * one.loss:.0f} %" for level, one in body.fractures.items()])


def line(number: int, settings: TorsoSettings, words: str, found: dict[str, Any]) -> str:
    """Return one row of the tables of simulated scans, without what is said."""
    rows = found["rows"]
    scores = [row["dice"] for row in rows] or [0.0]
    right = sum(row["bone"] == row["true"] for row in rows)
    spacing = "x".join(f"{size:g}" for size in settings.spacing)
    return (
        f"| {number} | {spacing} | {settings.trabecular_density:.0f} | {words} | {right} of {len(found['whole'])} | {np.median(scores):.3f} | "
        f"{min(scores):.3f} |"
    )


SIGNS = {
    "metal": "above 2000 HU", "dense": "denser than", "implant near": "screws, rods or a cage", "no disc": "a disc is not seen", "fused": "fused, bridged",
    "fracture": "fracture (grade", "crush": "a crush", "porous": "second, less demanding look", "count": "The last rib was found", "few": "whole vertebrae were found",
    "light end": "one end of the labelled body", "refused": "refused",
}  # fmt: skip
"""What is said, in short, and by which words it is known."""


def signs(found: dict[str, Any]) -> str:
    """Return what is said of the bodies of a scan, in short, with the bodies."""
    told = [("", text) for text in found["cautions"]] + [(bone, text) for bone, texts in found["told"].items() for text in texts]
    out = []
    for sign, words in SIGNS.items():
        here = dict.fromkeys(bone or (text.split(":")[0] if ":" in text[:4] else "") for bone, text in told if words in text)
        if here:
            out.append(f"{sign} {' '.join(here)}".strip())
    return "; ".join(out) or "nothing"


def gallery(worst: list[tuple[float, str, Scan, str]]) -> None:
    """Draw the worst bodies from the side and from above: found in red, true in cyan."""
    figure, axes = plt.subplots(2, len(worst), figsize=(2.6 * len(worst), 5.6), squeeze=False)
    for column, (_, title, scan, bone) in zip(axes.T, worst, strict=True):
        image, truth = scan.image, scan.bodies
        mask = place_into(find_spine(image, LEVELS).bones[bone].mask, image, False).array
        i, j, k = (round(float(place)) for place in np.argwhere(mask).mean(axis=0))
        pad = (np.array([38.0, 38.0, 38.0]) / image.spacing).astype(int)
        for axis, (cut, ratio) in zip(
            column, (((i, slice(None), slice(None)), 2), ((slice(None), slice(None), k), 1)), strict=True
        ):
            other = image.spacing[ratio] / image.spacing[1 if ratio == 2 else 0]
            axis.imshow(
                image.array[cut].T, cmap="gray", vmin=-150, vmax=400, origin="lower" if ratio == 2 else "upper", aspect=other
            )
            axis.contour(mask[cut].T, [0.5], colors="red", linewidths=1.0)
            axis.contour((truth[cut] > 0).T, [0.5], colors="cyan", linewidths=0.7)
            first, second = (j, k) if ratio == 2 else (i, j)
            a, b = (pad[1], pad[2]) if ratio == 2 else (pad[0], pad[1])
            axis.set_xlim(first - a, first + a)
            axis.set_ylim((second - b, second + b) if ratio == 2 else (second + b, second - b))
            axis.set_axis_off()
        column[0].set_title(title.replace(", ", ",\n", 1), fontsize=7)
    figure.tight_layout()
    figure.savefig(HERE / "spine_worst.png", dpi=70)


def real(data: Path) -> list[str]:
    """Return the table of the real scans."""
    scan = read_scan(data / "abdomen_pelvis" / "ct.nii.gz")
    labels = read_labels(data / "abdomen_pelvis" / "labels_vertebral_bodies.nii.gz", mapping=None, like=scan.image)
    found = judged(scan.image, labels.volume.array, {19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"})
    told = ", ".join(f"{row['bone']} {row['dice']:.3f}" for row in found["rows"] if row["bone"] == row["true"])
    cut = f"{found['absent'].get('T12', '')}; {found['absent'].get('T11', '')}"
    lines = [f"| abdomen_pelvis | {told} | {found['sentence']} {cut} | {found['seconds']:.1f} |"]
    for name in ("thoracolumbar_dicom", "lumbar_sagittal_dicom"):
        image = read_scan(data / name).image
        begin = time.process_time()
        bones = find_spine(image, LEVELS)
        lines.append(
            f"| {name} | {', '.join(bones.bones)} | {bones.sentence.rsplit('outwards. ')[-1]} | {time.process_time() - begin:.1f} |"
        )
    image = read_density(data / "vertebra_l2" / "density.nii.gz", mineral="K2HPO4").image
    stored = nibabel.load(data / "vertebra_l2" / "labels.nii.gz")
    array = np.isin(np.asarray(stored.dataobj), (1, 2))
    truth = canonical(Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]) @ stored.affine, "label")).array
    begin = time.process_time()
    only = find_spine(image, ("L2",))
    seconds = time.process_time() - begin
    score = dice(place_into(only.bones["L2"].mask, image, False).array, truth)
    return [*lines, f"| vertebra_l2 | L2 {score:.3f} | {only.cautions[0]} | {seconds:.1f} |"]


PAGE = """# Vertebrae found without labels

Written by `docs/validation/make_spine.py --cache FOLDER`. How it works: [methods](../methods/segmentation-and-anatomy.md).

## Simulated persons

Persons {first} to {last} of the simulator's cohort with seed {seed}; persons 0 to 4 of it and five of seed 100 were looked at while the method
was made, these were not, except no. 13 (its canal was once lost in the joints of one side: directions with bone within 3.6 mm no longer count)
and no. 24 (23 mg/cm³, nothing was found: a second look now asks for less bone around the canal). A field of 190 mm around the spine; kernel, voltage, dose,
contrast phase, voxels and the lower end of the field go round with the number; no setting is made for a scan. Every scan is in the table. A body counts
as whole where its true mask does not touch the first or the last slice; the topmost of these (T10) is refused as cut where the column cannot be followed
above its upper endplate.

| scan | voxels [mm] | true density [mg/cm³] | about | named right | median Dice | lowest Dice |
| --- | --- | --- | --- | --- | --- | --- |
{plain}

{plain_summary}

## Spines with something about them

{cases} persons of seed {special_seed}, one for each thing that a spine can have; the method was changed with {tuned} scans of seed 300 in view. None of these was looked at
before the table had been made once; then the limit above which a voxel is taken for metal was raised from 1500 to 2000 HU, because with sharp kernels the hip bones' cortex was taken away and the sacrum with it, and case 23 gave the reason for the caution *few*. Nothing else was changed after it. What the tool says of the bodies, in short, is the last column: *metal* and *no disc* are said by the finder, *count* where ribs and sacrum disagree, *porous*
after a second look, *few* where the canal was lost, the others by the later stages, on an image whose density is 0.8 times its HU. Where persons have four or six lumbar vertebrae the true names go
from L1 below the last rib to L4 or L6; with the sacrum in view names are counted from it and are then one off, which is said.

| scan | voxels [mm] | true density [mg/cm³] | about | named right | median Dice | lowest Dice | what is said |
| --- | --- | --- | --- | --- | --- | --- | --- |
{special}

{special_summary}

{told}

## What a finder says of its work

From 0 to 1, over all bodies above; the chance that a body with a Dice below 0.90 has the lower value:

| part | mean | AUC |
| --- | --- | --- |
{parts}

## Real scans

`abdomen_pelvis` was looked at while the method was made; its Dice is with the bodies that a learned program drew at 3 mm. `vertebra_l2` is a bone that was cut out of its scan along its label, in a box;
its Dice is with labels 1 and 2. Of the 5056 voxels that the label has more (15 %), 3945 are its outermost layer: the image ends there without a blur, and half the fall from its bright rim lies within that layer. A body 0.5 mm larger
all round has 0.942.

| scan | found | naming and refusals | CPU time [s] |
| --- | --- | --- | --- |
{real}

## The worst

The six bodies with the lowest Dice of all simulated scans above: found in red, true in cyan.

![The worst bodies](spine_worst.png)

## What still goes wrong

{wrong}
"""
WRONG = """- Slices of 5 mm: a body's end is known to about a slice; endplates that curve are cut straight. Every plain body below 0.90 but one, L5 of no. 24, comes from such a scan.
- Three levels grown together (19): bodies are lost and names go one off; it is said, but with bodies at 0.04 to 0.59 nothing of it is of use. Two levels are found.
- Below 25 mg/cm³ (23) the canal can be lost for most of the spine; the two bodies that are left were named from a rib, one off;
  that few were found is said since this was seen.
- A curve of 45° (11): the column is lost below L3, and L3, which is said to be doubtful, has 0.55. With one of 40° the last rib seems to be at L2, because simulated ribs stay where they are: a caution.
- Four or six lumbar vertebrae: with the sacrum in view names are one off by our count and the caution says so; without it (7) a sixth lumbar vertebra is not known of.
- Metal and cement: bodies are found, their walls are less sure (L3 of 15 has 0.86), and the bodies with them are refused later.
- Osteophytes: the wall goes along with lips of 3 mm, and takes some tenths of a millimetre of those of 6 mm away.
- Not tried: transitional vertebrae that are half of one kind and half of the other, persons below 20 years, screws with rods. Simulated persons have ribs on T10 to T12."""


def summed(bodies: list[dict[str, Any]]) -> str:
    """Return a sentence of how good the bodies are."""
    scores = np.array([row["dice"] for row in bodies])
    wrong = [row for row in bodies if row["bone"] != row["true"]]
    return (
        f"{len(scores)} bodies: Dice median {np.median(scores):.3f}, worst {scores.min():.3f}, {int((scores < 0.9).sum())} below 0.90; "
        f"{len(wrong)} named wrong; volume over the true one, median {np.median([row['volume'] for row in bodies]):.3f}."
    )


def parts_table(bodies: list[dict[str, Any]]) -> str:
    """Return how well each part of the confidence tells bad bodies."""
    bad = [bool(row["dice"] < 0.9) for row in bodies]
    keys = list(bodies[0]["parts"])
    whole = [float(np.exp(np.mean([np.log(max(row["parts"][key], 1e-6)) for key in keys]))) for row in bodies]
    return "\n".join(
        f"| {key.replace('_', ' ')} | {np.mean(values):.2f} | {auc(values, bad):.2f} |"
        for key, values in [*((key, [row["parts"][key] for row in bodies]) for key in keys), ("geometric mean", whole)]
    )


def auc(values: list[float], bad: list[bool]) -> float:
    """Return the chance that a bad one has the lower value."""
    low = [value for value, one in zip(values, bad, strict=True) if one]
    high = [value for value, one in zip(values, bad, strict=True) if not one]
    if not low or not high:
        return float("nan")
    return float(np.mean([(a < b) + 0.5 * (a == b) for a in low for b in high]))


def of_bad(special: dict[int, dict[str, Any]]) -> str:
    """Return how many of the bodies that are bad, or named wrong, carry a word of doubt."""

    def doubted(found: dict[str, Any], bone: str) -> bool:
        own = any(text.startswith(f"{bone}:") for text in found["cautions"]) or bool(found["told"].get(bone))
        return own or any(
            words in text for text in found["cautions"] for words in (SIGNS["porous"], SIGNS["count"], SIGNS["few"])
        )

    every = [(found, row) for found in special.values() for row in found["rows"]]
    bad = [(found, row) for found, row in every if row["dice"] < 0.9]
    wrong = [(found, row) for found, row in every if row["bone"] != row["true"]]
    good = [(found, row) for found, row in every if row["dice"] >= 0.9 and row["bone"] == row["true"]]
    counts = [f"{sum(doubted(found, row['bone']) for found, row in some)} of {len(some)}" for some in (bad, wrong, good)]
    return f"A caution or a refusal stands with {counts[0]} bodies below 0.90, with {counts[1]} that are named wrong, and with {counts[2]} others."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", choices=("plain", "special", "real"))
    asked = parser.parse_args()
    plain = {n: found_in(asked.cache, "plain", n) for n in range(FIRST, FIRST + COUNT)} if asked.only in (None, "plain") else {}
    special = {n: found_in(asked.cache, "special", n) for n in range(len(CASES))} if asked.only in (None, "special") else {}
    told = kept(asked.cache / f"{FINDER} real.json", lambda: {"lines": real(asked.data)}) if asked.only in (None, "real") else {}
    if asked.only:
        return
    bodies = [row for found in (*plain.values(), *special.values()) for row in found["rows"]]
    ranked = sorted(
        (
            (row["dice"], kind, n, row)
            for kind, some in (("plain", plain), ("special", special))
            for n, found in some.items()
            for row in found["rows"]
        ),
        key=lambda item: item[0],
    )[:6]
    gallery(
        [
            (
                score, f"{CASES[n][0] if kind == 'special' else f'scan {n}'}, {row['bone']} (true {row['true']}), Dice {score:.2f}",
                (plain_scan if kind == "plain" else special_scan)(asked.cache, n), row["bone"],
            )
            for score, kind, n, row in ranked
        ]
    )  # fmt: skip
    settings = {n: settings_of(PLAIN, n) for n in plain}
    plain_bodies = {n: found["rows"] for n, found in plain.items()}
    page = PAGE.format(
        first=FIRST, last=FIRST + COUNT - 1, seed=PLAIN, special_seed=SPECIAL, cases=len(CASES), tuned=10,
        plain="\n".join(line(n, settings[n], about(settings[n]), found) for n, found in plain.items()),
        plain_summary=f"All: {summed([row for rows in plain_bodies.values() for row in rows])}\n\nWithout no. {' and '.join(map(str, LOOKED_AT))}: "
        + summed([row for n, rows in plain_bodies.items() if n not in LOOKED_AT for row in rows]),
        special="\n".join(f"{line(n, case_settings(SPECIAL, n), CASES[n][0], found)} {signs(found)} |" for n, found in special.items()),
        special_summary=summed([row for found in special.values() for row in found["rows"]]),
        told=of_bad(special), parts=parts_table(bodies), real="\n".join(told["lines"]), wrong=WRONG,
    )  # fmt: skip
    (HERE / "spine.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
