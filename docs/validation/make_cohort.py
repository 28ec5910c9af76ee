# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/cohort.md: what a simulated cohort says of intervals, classes, age and the cut-points of the default recipe.

    python docs/validation/make_cohort.py --cache FOLDER --compute spine-0:120 hip-0:40
    python docs/validation/make_cohort.py --cache FOLDER

``FOLDER`` keeps one table for each scan, so that a broken-off run goes on where it stopped; empty it when the program has changed. The
first form computes scans that are not there, the second writes the page. A spine takes half a minute of one core, a pair of hips a minute.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cohort_page
from cohort_cases import cases, drawn, run, table, write_rows


def compute(asked: str, folder: Path) -> None:
    """Compute ``site-first:last`` or ``drawn-site-first:last``, without those that are there."""
    kind, _, span = asked.rpartition("-")
    first, last = (int(number) for number in span.split(":"))
    for case in cases(kind.removeprefix("drawn-"), first, last):
        path = folder / f"{kind}-{case.number:03d}.csv"
        if not path.is_file():
            rows = drawn(case) if kind.startswith("drawn-") else run(case, folder)
            write_rows(rows, path)
            sys.stdout.write(f"{path.stem}: {[(row['status'], row.get('seconds')) for row in rows]}\n")
            sys.stdout.flush()


HEAD = """# A simulated cohort

This page is written by `python docs/validation/make_cohort.py --cache FOLDER` from scans that `--compute` made. Persons come from the simulator's cohort generator (densities of the spine
from MESA, of the hip from NHANES III, sizes and shapes from published spreads, marks in `src/openbct/phantoms/cohort.py`). Each lies on a phantom in a simulated scanner (100, 120 or 140 kV, hardening and
scatter by traced rays, noise; voxels of 1.2 x 1.2 x 2 mm); the built-in segmenter finds L1, or both femora; the scan is calibrated without and with the phantom; the default recipe gives densities and strength.
**The truth** is the same recipe on the drawn density, before blur and noise, with the drawn mask. Nothing was tuned on these scans.

"""
AFTER = """**What a simulated cohort is good for.** It tests the method. It makes no recipe "mapped" for patients: density and strength of these persons are tied by how their bones were drawn, not by how people's bones are
built, so that newtons of a reference built here would be thresholds of the drawing. Recipes stay provisional by default.

"""


def page(rows: list[dict[str, str]]) -> str:
    """Return the page."""
    counts = {
        site: len({row["case"] for row in rows if row["site"] == site}) for site in ("spine", "hip", "drawn-spine", "drawn-hip")
    }
    lines = [
        f"Here: {counts['spine']} scans of spines, {counts['hip']} of both hips; and {counts['drawn-spine']} vertebrae and {counts['drawn-hip']} femora of the same generator that were drawn and solved and not "
        "scanned. The issue asks for 200 scans: **that is not reached**; the script goes on where it stopped. Hips were computed before the neck box of areal density was laid anew (CHANGELOG, Numbers).", "",
        "## The chain", "", *cohort_page.chain(rows),
        "## Do the intervals hold the truth?", "",
        "Goals: the truth in at least 90 % of the stated 95 % intervals, and a median half-width of at most 8 % (density) and 15 % (strength). The intervals hold calibration and edge, and for strength pose and model; "
        "noise (below 1 %) is left out here. The column before the last says how wide an interval these simulated errors would have needed.", "",
        *cohort_page.intervals(rows), *INTERVALS,
        "## Femora on larger voxels", "",
        "Femora of this page are solved on voxels of 1.5 mm, both as read and as true. **The ratio of read over true is not shown equal on the two**: it differs by up to a tenth, so that the femoral strengths here hold an error of the "
        "larger voxels.", "",
        *cohort_page.voxels(rows),
        "## Classes of density", "", "By the thresholds of the default recipe, as if every person were old enough for a class; hips by the lowest T-score of both.", "",
        *cohort_page.classes(rows),
        "## Strength, density and age", "", "Published for people: r of femoral strength with areal density 0.8 to 0.95; over adulthood femoral strength falls by 55 % in women and 39 % in men.", "",
        "### Vertebra", "", *cohort_page.against(rows, "spine", {"drawn-spine": "drawn|true", "spine": "scanned, phantomless|pl"}),
        "### Femur", "", *cohort_page.against(rows, "hip", {"drawn-hip": "drawn|true", "hip": "scanned, phantomless|pl"}), *AGE,
        "## Cut-points of the default recipe", "",
        "By the rule of `openbct reference build`: strength on density, read at 80 and 120 mg/cm³ and at T −2.5 and −1.0. As they come out, unfitted.", "",
        *cohort_page.cuts(rows, {"drawn-spine": "drawn vertebrae|true", "spine": "scanned vertebrae, phantomless|pl"}),
        *cohort_page.cuts(rows, {"drawn-hip": "drawn femora (1.5 mm voxels)|true", "hip": "scanned femora, phantomless|pl"}),
    ]  # fmt: skip
    return (HEAD + "\n".join(lines) + "\n" + AFTER).rstrip() + "\n"


INTERVALS = (
    "Every interval holds its truth and is wider than the goal. Without a phantom the width is the 18 mg/cm³ (one standard deviation, least) by which phantomless calibrations of real scans scatter: simulated scans know no other "
    "protocols, people and scanners, and need less. With the phantom it is the 6 % for the softer beam below a body. Densities are read too low by some per cent in both ways, for the most part the same for all persons: hardening and "
    "scatter that neither calibration takes off, and blur. A fall's width is the 28 % of its modelling choices.",
    "",
)
AGE = ("Rows need 8 persons of a sex; where there are none, too few were computed.", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--compute", nargs="*", default=[])
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    for span in asked.compute:
        compute(span, asked.cache)
    if not asked.compute:
        (Path(__file__).with_name("cohort.md")).write_text(page(table(asked.cache)), encoding="utf-8")


if __name__ == "__main__":
    main()
