"""Time of each stage of the demo and of the real vertebra, as shares of the whole.

    python benchmarks/stages.py [--runs 3] [--bones L1,femur_left]

The real vertebra is left out where the test data is absent (see README). Shares, not seconds, are what later work is judged by:
machines differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from openbct.io import read_density, read_labels, read_scan, write_case, write_ct_series, write_label_map
from openbct.phantoms import TorsoSettings, simulate_torso
from openbct.pipeline import analyze
from openbct.records import Case
from openbct.report import make_report, to_html, to_pdf
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override

DATA = Path(os.environ.get("OPENBCT_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
VERTEBRA_TABLE = '1 = "vertebral_body_L2"\n2 = "vertebral_body_L2"\n3 = "vertebrae_L2"\n4 = "vertebrae_L2"\n'

Times = dict[str, float]


def timed(times: Times, name: str, function: Callable[[], object]) -> object:
    begin = time.perf_counter()
    result = function()
    times[name] = times.get(name, 0.0) + time.perf_counter() - begin
    return result


def finish(case: Case, times: Times, folder: Path) -> None:
    """Add the stages that the case timed itself, then write and report."""
    for stage, seconds in case.seconds.items():
        times[stage] = seconds
    for bone in case.bones:
        for stage, seconds in bone.seconds.items():
            times[f"{bone.bone} {stage}"] = seconds
    timed(times, "write", lambda: write_case(case, folder))
    report = timed(times, "report content and pictures", lambda: make_report(case))
    timed(times, "report HTML", lambda: to_html(report))  # type: ignore[arg-type]
    timed(times, "report PDF", lambda: to_pdf(report))  # type: ignore[arg-type]


def demo(bones: str) -> Times:
    times: Times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated = simulate_torso(TorsoSettings())
        write_ct_series(simulated.image, folder / "scan", patient=simulated.patient, acquisition=simulated.acquisition)
        table = write_label_map(simulated.labels, folder / "labels.nii.gz")
        scan = timed(times, "read scan", lambda: read_scan(folder / "scan"))
        labels = timed(times, "read labels", lambda: read_labels(folder / "labels.nii.gz", mapping=table, like=scan.image))  # type: ignore[attr-defined]
        segmenter = GivenLabels((labels,), tuple(bones.split(",")))  # type: ignore[arg-type]
        case = analyze(scan, segmenter, settings=override(built_in(), {"run": {"bones": bones.split(",")}}, "benchmark"))  # type: ignore[arg-type]
        finish(case, times, folder / "out")
    return times


def vertebra() -> Times:
    times: Times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "table.toml"
        table.write_text(VERTEBRA_TABLE)
        scan = timed(times, "read scan", lambda: read_density(DATA / "vertebra_l2" / "density.nii.gz", mineral="K2HPO4"))
        labels = timed(times, "read labels", lambda: read_labels(DATA / "vertebra_l2" / "labels.nii.gz", mapping=table))
        settings = override(built_in(), {"calibration": {"method": "given"}, "run": {"bones": ["L2"]}}, "benchmark")
        case = analyze(scan, GivenLabels((labels,), ("L2",)), settings=settings)  # type: ignore[arg-type]
        finish(case, times, folder / "out")
    return times


def show(title: str, runs: list[Times]) -> None:
    names = list(runs[0])
    medians = {name: statistics.median(run[name] for run in runs) for name in names}
    total = sum(medians.values())
    print(f"\n{title}: {total:.1f} s in all (median of {len(runs)})\n")
    print("| stage | seconds | share |\n| --- | ---: | ---: |")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds:.2f} | {100 * seconds / total:.1f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bones", default="L1,femur_left")
    arguments = parser.parse_args()
    demo("L1")  # warm: compiled kernels are loaded, files are cached
    show(f"demo ({arguments.bones})", [demo(arguments.bones) for _ in range(arguments.runs)])
    if (DATA / "vertebra_l2").is_dir():
        show("real vertebra L2", [vertebra() for _ in range(arguments.runs)])
    else:
        print("\nreal vertebra: no test data here")


if __name__ == "__main__":
    main()
