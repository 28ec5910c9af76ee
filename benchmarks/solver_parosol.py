"""Run ParOSol on a saved model; started by the solver benchmarks with the Python of ParOSol's own environment.

Usage: PAROSOL_PYTHON solver_parosol.py FOLDER TOLERANCE linear|nonlinear

Prints one JSON object. ``process_cpu_s`` is the CPU time of the whole program on one rank; ``cpu_s`` is the part of it that the
program's own clock gives to set-up and solution, so without reading the model and writing fields.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
from parosol_py.hdf5_io import write_parosol_input
from parosol_py.nonlinear import DensityNonlinearMaterialMap, NonlinearSolverOptions
from parosol_py.runner import build_parosol_command, mpi_runtime_environment, packaged_executable

NO_MOTION = 1e-16
"""The program takes 0 for free: its own boundary conditions write this instead [mm]."""


def number(pattern: str, text: str, default: float = float("nan")) -> float:
    found = re.findall(pattern, text)
    return float(found[-1]) if found else default


def main() -> None:
    folder, tolerance, kind = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    model = np.load(folder / "model.npz")
    modulus, fixed = np.maximum(model["modulus"], 0.0), model["fixed"]
    values = model["displacement"][fixed]
    nonlinear: dict[str, object] = {}
    if kind == "nonlinear":
        strength = np.where(modulus > 0, model["strength"], 0.0)
        nonlinear["nonlinear_material"] = DensityNonlinearMaterialMap(
            modulus, 0.3, strength, strength, strength, (modulus > 0).astype(np.uint16), {"preset": "manual"}
        )
        nonlinear["nonlinear_solver"] = NonlinearSolverOptions(maximum_plastic_iterations=3000)
    path = folder / "input.h5"
    write_parosol_input(
        path, stiffness_gpa_xyz=modulus / 1000.0, fixed_displacement_coordinates=np.argwhere(fixed).astype(np.uint16),
        fixed_displacement_values=np.where(values == 0, NO_MOTION, values), voxel_size_mm=float(model["spacing"]), poisson_ratio=0.3,
        **nonlinear,
    )  # fmt: skip
    command = build_parosol_command(executable=packaged_executable(), input_file=path.name, outputs=(), tolerance=tolerance)
    started = time.time()
    done = subprocess.run(command, cwd=folder, env=mpi_runtime_environment(command), capture_output=True, text=True)
    wall, used = time.time() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"ParOSol ended with {done.returncode}: {done.stderr[-300:]}")
    (folder / "log.txt").write_text(done.stdout)
    log = SimpleNamespace(
        iterations=number(r"Nr of It:\s+(\S+)", done.stdout), overall=number(r"Overall:\s+(\S+)", done.stdout, wall),
        residual=number(r"Relative residuum:\s+(\S+)", done.stdout),
    )  # fmt: skip
    with h5py.File(path) as file:
        place = np.rint(file["Mesh/Coordinates"][:] / float(model["spacing"])).astype(int)
        force = file["Solution/force"][:]
        extra = {key: np.asarray(value).tolist() for key, value in file["Solution"].attrs.items()}
        if "Nonlinear" in file:
            extra |= {key: str(value) for key, value in file["Nonlinear"].attrs.items()}
    loaded = model["loaded"][tuple(place.T)]
    cpu = used.ru_utime + used.ru_stime
    print(
        json.dumps(
            {
                "process_cpu_s": cpu, "cpu_s": cpu * min(log.overall / wall, 1.0), "wall_s": wall, "iterations": log.iterations,
                "residual": log.residual, "force": -float(force[loaded][:, 2].sum()), "peak_mb": used.ru_maxrss / 1024,
                "tail": done.stdout[-1500:] if kind == "nonlinear" else "", "extra": extra,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
