"""Linear solves of real bones against ParOSol and PyAMG: CPU seconds on one thread, from arrays to the answer, at 1e-6.

Usage: python benchmarks/solver_linear.py [--problems v1,v2,v3,t200] [--parosol PYTHON] [--repeat 3] [--tolerance 1e-6]

PYTHON is the interpreter of an environment that holds ``parosol-py``; the program runs on one MPI rank, as a process of its own. Its
CPU time leaves out what it spends outside its own clock (reading the model, writing fields). PyAMG is given the assembled matrix
and the rigid modes; its time includes the assembly. The reactions must agree to six digits, or the script fails.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from solver_models import MODELS, Model, in_new_process, measure_ours, measure_parosol, table

GOALS = {"v1": 20.0, "v2": 12.0, "v3": 12.0, "t200": 10.0, "t100": 10.0}
"""Times faster than ParOSol."""
PYAMG_GOAL = 25.0
PYAMG_PROBLEMS = ("v1",)
TIGHT = {"t200": 1e-8, "t100": 1e-8}
"""At a residual of 1e-6 the reaction of slender struts has fewer digits than six: ours goes on until it has them."""
AGREE = 5e-6
"""Relative difference below which two numbers share six digits."""


def measure_pyamg(model: Model, tolerance: float) -> dict[str, Any]:
    """CPU seconds of assembly, set-up and solution with smoothed aggregation."""
    import pyamg
    from scipy import sparse

    from openbct.fe.hex8 import CORNERS, element_stiffness, isotropic_stiffness
    from openbct.fe.motions import rigid_modes

    started = time.process_time()
    elements = np.argwhere(model.modulus > 0)
    shape = tuple(n + 1 for n in model.modulus.shape)
    corners = np.ravel_multi_index(tuple((elements[:, None, :] + CORNERS).reshape(-1, 3).T), shape).reshape(-1, 8)
    nodes, numbered = np.unique(corners, return_inverse=True)
    dof = (3 * numbered.reshape(-1, 8, 1) + np.arange(3)).reshape(-1, 24)
    element = element_stiffness(isotropic_stiffness(0.3), (model.spacing,) * 3)
    values = model.modulus[model.modulus > 0][:, None, None] * element
    rows, columns = np.repeat(dof, 24, axis=1).ravel(), np.tile(dof, (1, 24)).ravel()
    matrix = sparse.csr_matrix((values.ravel(), (rows, columns)), shape=(3 * nodes.size,) * 2)
    fixed = model.fixed.reshape(-1, 3)[nodes].ravel().copy()
    u = np.where(fixed, model.displacement.reshape(-1, 3)[nodes].ravel(), 0.0)
    points = np.stack(np.unravel_index(nodes, shape), axis=1) * model.spacing
    points = points - points.mean(axis=0)
    if not fixed.reshape(-1, 3)[:, :2].any():
        # Platens that slide: two nodes far apart along i stop the three motions in the plane; nothing pushes on them.
        fixed[3 * int(points[:, 0].argmin()) + np.array([0, 1])] = True
        fixed[3 * int(points[:, 0].argmax()) + 1] = True
    free = np.flatnonzero(~fixed)
    modes = rigid_modes(points).reshape(-1, 6)[free]
    reduced = matrix[free][:, free].tocsr()
    right = -(matrix @ u)[free]
    assembled = time.process_time() - started
    level = pyamg.smoothed_aggregation_solver(reduced, B=modes, strength=("symmetric", {"theta": 0.0}), max_coarse=300)
    residuals: list[float] = []
    u[free] = level.solve(right, tol=tolerance, accel="cg", residuals=residuals, maxiter=1000)
    force = np.zeros((*shape, 3))
    force.reshape(-1, 3)[nodes] = (matrix @ u).reshape(-1, 3)
    return {
        "cpu_s": time.process_time() - started, "assembly_s": assembled, "iterations": len(residuals) - 1,
        "force": model.reaction(force),
    }  # fmt: skip


def compare(one: float, other: float) -> str:
    """Relative difference of two answers; too large a one ends the benchmark."""
    difference = abs(one / other - 1)
    if difference > AGREE:
        sys.exit(f"the answers differ by {difference:.1e}: {one:.6f} and {other:.6f} N")
    return f"{difference:.0e}"


def measure(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Ours, and what there is of ParOSol and PyAMG, on one problem."""
    model = MODELS[name]()
    own = min(chosen.tolerance, TIGHT.get(name, 1.0))

    def ours() -> dict[str, Any]:
        return in_new_process([str(Path(__file__)), "--worker", name, "--repeat", str(chosen.repeat), "--tolerance", str(own)])

    # Ours before and after the others: the machine may be shared, and its load may drift.
    runs, found = [ours()], {"model": model, "residual": own, "peer": None, "amg": None}
    if chosen.parosol:
        few = chosen.repeat if runs[0]["dof"] < 500_000 else 1
        found["peer"] = peer = measure_parosol(model, chosen.parosol, repeat=few, tolerance=chosen.tolerance)
        if "failed" in peer:
            sys.exit(f"ParOSol failed: {peer['failed']}")
    if name in PYAMG_PROBLEMS:
        solves = [measure_pyamg(model, chosen.tolerance) for _ in range(chosen.repeat)]
        found["amg"] = solves[0] | {"cpu_s": statistics.median(run["cpu_s"] for run in solves)}
    runs.append(ours())
    found |= {key: statistics.mean(run[key] for run in runs) for key in ("cpu_s", "setup_s")}
    found |= {key: runs[0][key] for key in ("dof", "iterations", "products", "force")}
    print({key: value for key, value in found.items() if key != "model"}, file=sys.stderr, flush=True)
    return found


def against(found: dict[str, Any], peer: dict[str, Any], goal: float) -> list[str]:
    """Cells: ratio, goal, whether it is met, difference of the answers."""
    ratio = peer["cpu_s"] / found["cpu_s"]
    met = "met" if ratio >= goal else f"missed by {100 * (1 - ratio / goal):.0f} %"
    return [f"**{ratio:.0f}×**", f"≥ {goal:g}×", met, compare(found["force"], peer["force"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", default="v1,v2,v3,t200")
    parser.add_argument("--parosol", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--worker")
    chosen = parser.parse_args()
    if chosen.worker:
        print(json.dumps(measure_ours(MODELS[chosen.worker](), repeat=chosen.repeat, tolerance=chosen.tolerance)))
        return
    rows, others, costs = [], [], {}
    for name in chosen.problems.split(","):
        found = measure(name, chosen)
        costs[name] = found["cpu_s"] / found["dof"]
        seconds = f"{found['setup_s']:.2f} + {found['cpu_s'] - found['setup_s']:.2f}"
        row = [
            found["model"].name,
            f"{found['dof'] / 1e6:.2f} M",
            f"{found['residual']:.0e}",
            seconds,
            f"{1e6 * costs[name]:.2f}",
        ]
        row += [found["iterations"], found["products"]]
        if peer := found["peer"]:
            row += [f"{peer['cpu_s']:.1f}", f"{peer['iterations']:.0f}", *against(found, peer, GOALS[name])]
        rows.append(row)
        if amg := found["amg"]:
            cells = [
                found["model"].name,
                "smoothed aggregation with rigid modes",
                f"{amg['assembly_s']:.1f}",
                f"{amg['cpu_s']:.1f}",
            ]
            others.append([*cells, amg["iterations"], *against(found, amg, PYAMG_GOAL)])
    head = ["problem", "dof", "our residual", "set-up + solve, CPU s", "µs per dof", "iterations", "fine-grid products"]
    if chosen.parosol:
        head += ["ParOSol, CPU s", "its iterations", "ratio", "goal", "", "answers differ by"]
    table(head, rows)
    if others:
        ends = ["its assembly, CPU s", "all of it, CPU s", "iterations", "ratio", "goal", "", "answers differ by"]
        table(["problem", "PyAMG", *ends], others)
    if "v1" in costs and "v3" in costs:
        growth = costs["v3"] / costs["v1"]
        print(f"Time per degree of freedom grows {growth:.2f}× from 0.23 M to 5.7 M (goal: < 1.3×).")


if __name__ == "__main__":
    main()
