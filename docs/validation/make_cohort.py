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

from cohort_cases import cases, run, write_rows


def compute(asked: str, folder: Path) -> None:
    """Compute ``site-first:last``, without those that are there."""
    site, _, span = asked.partition("-")
    first, last = (int(number) for number in span.split(":"))
    for case in cases(site, first, last):
        path = folder / f"{case.name}.csv"
        if not path.is_file():
            rows = run(case, folder)
            write_rows(rows, path)
            sys.stdout.write(f"{case.name}: {[(row['status'], row.get('seconds')) for row in rows]}\n")
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--compute", nargs="*", default=[])
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    for span in asked.compute:
        compute(span, asked.cache)


if __name__ == "__main__":
    main()
