"""How far the kernel is from closed forms, from CalculiX and from published stiffnesses: the numbers behind the tests.

Usage: python benchmarks/solver_accuracy.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from solver_models import DATA, largest_body, table, vertebra

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import test_fe_analytic as closed
import test_fe_calculix as outside
from openbct import fe
from solver_nonlinear import femur
from test_fe_linear_data import binned


def closed_forms() -> list[list[str]]:
    """Rows: check, measured, goal."""
    beam = [closed.cantilever(n) for n in (8, 16)]
    twist = [closed.torsion(n) for n in (8, 16)]
    sizes = np.array([32, 40, 48, 64, 80, 96, 128])
    ring = [closed.cylinder(int(n)) for n in sizes]
    graded = [closed.manufactured(n) for n in (8, 16, 32)]
    order = [np.log2(a / b) for a, b in zip(graded[1], graded[2], strict=True)]
    return [
        ["cantilever against Timoshenko, 8 and 16 elements through the depth", f"{beam[0]:+.2%}, {beam[1]:+.2%}", "< 2 % with 8, second order"],
        ["torsion of a square bar against Saint-Venant, 8 and 16 cells", f"{twist[0]:+.2%}, {twist[1]:+.2%}", "< 1 % with 16"],
        ["thick cylinder against Lamé: finest mesh, and extrapolated", f"{ring[-1]:+.2%}, {np.polyfit(1 / sizes, ring, 1)[1]:+.2%}", "< 1 % extrapolated"],
        ["manufactured solution in a graded body: order of displacement, of energy", f"{order[0]:.2f}, {order[1]:.2f}", "2, 1"],
    ]  # fmt: skip


def against_calculix() -> list[list[str]]:
    """Rows: check, measured, goal; empty where CalculiX is not installed."""
    if outside.CCX is None:
        return []
    linear, reactions, forces = [], [], []
    with tempfile.TemporaryDirectory() as name:
        for seed in range(6):
            modulus, ratio, spacing, fixed, displacement, _ = outside.random_case(seed)
            u, reaction = outside.run(Path(name), modulus, ratio, spacing, fixed, displacement)
            found = fe.solve(
                modulus, poisson_ratio=ratio, spacing=spacing, fixed=fixed, displacement=displacement, tolerance=1e-11
            )
            linear.append(np.abs(found.displacement - u[-1]).max() / np.abs(u).max())
            here = fixed & outside.active_nodes(modulus)[..., None]
            reactions.append(np.abs(found.force - reaction[-1])[here].max() / np.abs(reaction).max())
        for seed in range(3):
            expected, force = outside.plastic_curves(Path(name), seed)[:2]
            forces.append(float(np.abs(force / expected - 1).max()))
    return [
        ["CalculiX, 6 random heterogeneous bodies, linear: displacement, reaction", f"{max(linear):.0e}, {max(reactions):.0e}", "1e-6"],
        ["CalculiX, 3 random bodies, von Mises plasticity: force, worst of 8 steps", f"{max(forces):.0e}", "1e-3"],
    ]  # fmt: skip


def against_publications() -> list[list[str]]:
    """Rows: check, measured, goal."""
    rows = []
    label = np.asarray(nib.load(DATA / "vertebra_l2" / "labels.nii.gz").dataobj)
    density = np.asarray(nib.load(DATA / "vertebra_l2" / "density.nii.gz").dataobj).astype(float)
    model = vertebra(1)
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in np.nonzero(label))
    bone = ((label >= 1) & (label <= 4))[box]
    for name, published in (
        ("every bin shifted by one, as the publication's code", 12363.0),
        ("bins in their place", 10442.0),
        ("no bins", 10547.0),
    ):
        modulus = model.modulus
        if name != "no bins":
            values = binned(density[box], bone, shifted="shifted" in name)
            modulus = np.where(bone, values, modulus)
            modulus = np.where(largest_body(modulus > 0), modulus, 0.0)
        found = fe.solve(modulus, fixed=model.fixed, displacement=model.displacement)
        stiffness = model.reaction(found.force) / 0.2
        rows.append(
            [
                f"public vertebra, stiffness, {name}",
                f"{stiffness:.1f} N/mm ({stiffness / published - 1:+.3%})",
                f"{published:.0f} within 0.05 %",
            ]
        )
    hip = femur()
    found = fe.solve(hip.modulus, fixed=hip.fixed, displacement=hip.displacement)
    load = float(found.force[:, -1, :, 1].sum())
    rows.append(["public hip, reaction of the head", f"{load:.1f} N ({load / -5637.6 - 1:+.2%})", "−5637.6 N within 0.5 %"])
    return rows


def main() -> None:
    rows: list[list[Any]] = [*closed_forms(), *against_calculix(), *against_publications()]
    table(["check", "measured", "goal"], rows)


if __name__ == "__main__":
    main()
