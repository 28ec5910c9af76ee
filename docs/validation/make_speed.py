# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/speed.md: how long the chain from density and mask to a strength takes on one core.

    python docs/validation/make_speed.py [--runs 3]

Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about six minutes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from make_path import DATA, FEMUR, VERTEBRA, markdown

from openbct.io import read_density, read_labels
from openbct.pipeline import analyze, sweep_femora
from openbct.plan import make_plan
from openbct.segmentation import GivenLabels
from openbct.settings import Settings, built_in, override

HERE = Path(__file__).resolve().parent
BONES = {"L2": ("vertebra_l2", VERTEBRA, 15.0), "femur_left": ("hip_crop", FEMUR, 45.0)}
"""Bone, folder, table of its labels, and the goal of the project [s]."""
SWEEP_GOAL = 180.0
SWEEP_VOXEL = 1.5
STAGES = ("anatomy", "measures", "mount", "model", "strength")

Clock = Callable[[], float]

HEAD = """# The speed of the chain

This page is written by `python docs/validation/make_speed.py`: from a calibrated density and a label, both read, to the strength of the default protocol (1 mm, elastic-plastic load
history), on one thread. CPU seconds are what is compared; wall seconds depend on what else the machine did, and on it others were at work. The time of the kernel alone, and beside
other programs: [the kernel](kernel.md).

"""


def settings_for(bone: str) -> Settings:
    """Return the default protocol on one thread."""
    return override(built_in(), {"calibration": {"method": "given"}, "run": {"bones": [bone], "threads": 1}}, "validation")


def timed(bone: str, folder: Path) -> tuple[dict[str, float], float, str]:
    """Return CPU seconds by stage, wall seconds of all, and what was solved."""
    data, table, _ = BONES[bone]
    (folder / "table.toml").write_text(table)
    scan = read_density(DATA / data / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / data / "labels.nii.gz", mapping=folder / "table.toml", like=scan.image)
    begun: list[tuple[str, float]] = []
    wall, cpu = time.perf_counter(), time.process_time()
    case = analyze(
        scan,
        GivenLabels((labels,), (bone,)),
        settings=settings_for(bone),
        observe=lambda stage, _: begun.append((stage, time.process_time())),
    )
    end, wall = time.process_time(), time.perf_counter() - wall
    result = case.bones[0].strength
    if result is None:
        raise SystemExit(f"{bone}: {case.bones[0].reason}")
    ends = [at for _, at in begun[1:]] + [end]
    seconds = {stage: after - before for (stage, before), after in zip(begun, ends, strict=True)}
    found = {stage: seconds.get(stage, 0.0) for stage in STAGES}
    found["the rest"] = end - cpu - sum(found.values())
    found["all"] = end - cpu
    return found, wall, f"{int(result.mesh['n_elements']):,} elements, {int(result.mesh['n_dof']):,} degrees of freedom"


def swept(folder: Path) -> tuple[float, float, int]:
    """Return CPU and wall seconds of a linear sweep of the real hip, and its directions."""
    data, table, _ = BONES["femur_left"]
    (folder / "table.toml").write_text(table)
    scan = read_density(DATA / data / "density.nii.gz", mineral="K2HPO4")
    labels = read_labels(DATA / data / "labels.nii.gz", mapping=folder / "table.toml", like=scan.image)
    plan = make_plan(settings_for("femur_left"))
    loadcase = replace(plan.femur.loadcase, voxel=SWEEP_VOXEL)  # type: ignore[type-var]
    plan = replace(plan, femur=replace(plan.femur, loadcase=loadcase))
    wall, cpu = time.perf_counter(), time.process_time()
    found, _ = sweep_femora(
        scan, GivenLabels((labels,), ("femur_left",)), plan=plan, span_deg=30.0, directions=10, nonlinear=False
    )
    one = found["femur_left"]
    if isinstance(one, str):
        raise SystemExit(one)
    return time.process_time() - cpu, time.perf_counter() - wall, one.strength.size


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    if not (DATA / "hip_crop").is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    rows, totals = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timed("L2", folder)  # compiled code is loaded
        for bone, (data, _, goal) in BONES.items():
            found = [timed(bone, folder) for _ in range(runs)]
            median = {stage: statistics.median(seconds[stage] for seconds, _, _ in found) for stage in found[0][0]}
            rows.append((f"`{data}` {bone}", *(f"{median[stage]:.2f}" for stage in median)))
            wall = statistics.median(wall for _, wall, _ in found)
            totals.append((f"`{data}`: {bone}, {found[0][2]}", f"{median['all']:.1f}", f"{wall:.1f}", f"{goal:g}"))
        cpu, wall, directions = swept(folder)
    totals.append(
        (
            f"`hip_crop`: {directions} directions of a fall, linear, {SWEEP_VOXEL:g} mm",
            f"{cpu:.0f}",
            f"{wall:.0f}",
            f"{SWEEP_GOAL:g}",
        )
    )
    lines = [
        *markdown(("chain", "CPU, s", "wall, s", "goal, s"), totals),
        "",
        f"By stage, CPU seconds, medians of {runs}:",
        "",
        *markdown(("bone", *STAGES, "the rest", "all"), rows),
    ]
    (HERE / "speed.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
