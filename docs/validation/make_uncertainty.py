# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/uncertainty.md: a strength's interval by the linear sum and by solutions on coarse voxels.

    python docs/validation/make_uncertainty.py

Drawn bones, no real scans. Takes three minutes of one core.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from openbct.phantoms import femur_region, vertebra_region
from openbct.pipeline import analyze_bone
from openbct.plan import make_plan
from openbct.records import BoneMask, CalibratedVolume, Step
from openbct.settings import built_in
from openbct.volume import Volume

SAMPLES = 40
SPREAD = np.diag([0.03**2, 6.0**2])
"""Covariance of a calibration line of 0.72 mg/cm³ per HU: about 7 mg/cm³ at 80, as with a phantom below a body."""


def row(bone: str, density: Volume, mask: Volume) -> str:
    """Return one bone's line of the table."""
    calibrated = CalibratedVolume(density, "K2HPO4", "fixed", 0.72, -3.0, SPREAD, (), Step("calibration", "given"))
    part = "whole" if bone.startswith("femur") else "body"
    plan = replace(make_plan(built_in()), threads=1, samples=SAMPLES)
    begin = time.process_time()
    result = analyze_bone(
        BoneMask(bone, mask, part, 1.0, part == "whole"), calibrated, plan.recipe(bone), plan=plan, observe=lambda stage, name: None  # type: ignore[arg-type]
    )  # fmt: skip
    budget = result.budgets["strength"]
    linear = float(np.sqrt(sum(part.sd**2 for part in budget.parts)))
    ends = (f"{100 * (end / budget.value - 1):+.0f}".replace("-", "−") for end in budget.interval)
    straight = 196 * linear / budget.value
    return (
        f"| {bone} | {100 * linear / budget.value:.1f} % | {100 * budget.sd / budget.value:.1f} % | ± {straight:.0f} % | {' to '.join(ends)} % | "
        f"{result.seconds['uncertainty']:.1f} s | {result.seconds['resampling']:.0f} s | {time.process_time() - begin:.0f} s |"
    )


def main() -> None:
    made = vertebra_region(spacing=1.0)
    thigh = femur_region(side="left", spacing=1.2)
    rows = [row("L1", made.density, made.mask), row("femur_left", thigh.density, thigh.mask)]
    lines = [
        "# A strength's interval, added and drawn", "",
        "This page is written by `python docs/validation/make_uncertainty.py`. Drawn bones of the usual shape, the default recipe, a calibration with a standard deviation of about 7 mg/cm³ at 80 mg/cm³. The linear sum of the "
        f"sources beside {SAMPLES} solutions on voxels of twice the edge, each with another calibration, edge and pose ([how](../methods/uncertainty.md)).", "",
        "| bone | SD, linear | SD, drawn | 95 %, linear | 95 %, drawn | wall time, budgets of densities | wall time, draws | CPU time, the whole bone |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |", *rows, "",
        f"A standard deviation from {SAMPLES} draws is itself sure to {100 / np.sqrt(2 * (SAMPLES - 1)):.0f} %. Modelling choices are drawn as a factor with the study's spread: the two agree in them by construction, and differ in what "
        "calibration, edge and pose do to this very bone.", "",
    ]  # fmt: skip
    Path(__file__).with_name("uncertainty.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
