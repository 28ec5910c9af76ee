"""Write docs/validation/report-speed.md: how long the report of a two-bone case and all its objects take.

    openbct demo -o RESULT
    python docs/validation/make_report_speed.py RESULT [--runs 3] [--also NAME=SOURCE=RESULT ...]

Each run is the command as a user gives it, from the start of the interpreter. ``--also`` times the two commands of another version, whose
sources lie in ``SOURCE``, turn about with this one's: on a machine with others at work only such pairs can be compared.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOAL = 10.0
"""Of the project, on two cores [s]."""
TOGETHER = (("report", "--objects"),)
APART = (("report",), ("export",))

HEAD = """# The speed of the report

This page is written by `python docs/validation/make_report_speed.py RESULT`, with the result of `openbct demo` (a vertebra and a femur; a
scan of 400 × 400 × 227 voxels): `report.html`, `report.pdf` and every object of `openbct export` (DICOM PDF, SR, SEG and pictures, FHIR, CSV).
Medians of {runs} runs (least to largest), each from the start of the interpreter. Processor seconds are those of all threads; they grow too where other
programs share a core. Load when the runs began and ended: {load} on {cores} cores. With a load above the number of cores the wall time is that of a
queue and says nothing of the goal.

"""


def measured(source: Path, result: Path, commands: tuple[tuple[str, ...], ...]) -> tuple[float, float]:
    """Return wall and processor seconds of some commands on a result."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for name, *options in commands:
        subprocess.run(
            [sys.executable, "-m", "openbct", name, str(result), *options],
            check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(source)},
        )  # fmt: skip
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - begin
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(name: str, runs: list[tuple[float, float]]) -> str:
    """Return a row of the table."""
    cells = [
        f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
        for values in ([run[kind] for run in runs] for kind in (0, 1))
    ]
    return f"| {name} | {cells[0]} | {cells[1]} | {GOAL:g} |"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--also", nargs="*", default=[])
    given = parser.parse_args()
    asked = [("`openbct report OUT --objects`", HERE.parents[1] / "src", given.result, TOGETHER)]
    for name, source, result in (one.split("=") for one in given.also):
        asked.append((f"`openbct report OUT`, then `openbct export OUT`, {name}", Path(source), Path(result), APART))
    load = [os.getloadavg()[0]]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in asked}
    for _ in range(given.runs):
        for name, source, result, commands in asked:
            found[name].append(measured(source, result, commands))
    load.append(os.getloadavg()[0])
    head = HEAD.format(runs=given.runs, load=" and ".join(f"{one:.1f}" for one in load), cores=os.cpu_count())
    lines = [
        "| what | wall, s | processor, s | goal, wall, s |",
        "| --- | --- | --- | --- |",
        *(row(name, runs) for name, runs in found.items()),
    ]
    (HERE / "report-speed.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
