"""Models that the solver benchmarks share: real bones as arrays, and the program that they are compared with.

Data: the folder OPENBCT_TEST_DATA, else ../shared/data beside the repository.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", HERE.parents[1] / "shared" / "data"))
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A voxel body between two platens."""

    name: str
    modulus: FloatArray
    """[MPa]"""
    strength: FloatArray
    """Yield stress [MPa]."""
    fixed: NDArray[np.bool_]
    displacement: FloatArray
    """[mm]"""
    loaded: NDArray[np.bool_]
    """Nodes of the moving platen."""
    spacing: float
    """[mm]"""

    def reaction(self, force: FloatArray) -> float:
        """Load on the moving platen [N]."""
        return -float(force[self.loaded][:, 2].sum())

    def save(self, path: Path) -> None:
        """Keep for a program that runs elsewhere."""
        np.savez(
            path, modulus=self.modulus, strength=self.strength, fixed=self.fixed, displacement=self.displacement, loaded=self.loaded,
            spacing=self.spacing,
        )  # fmt: skip


def node_mask(voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes of the marked voxels."""
    out = np.zeros([n + 1 for n in voxels.shape], bool)
    for a in (0, 1):
        for b in (0, 1):
            for c in (0, 1):
                out[a : a + voxels.shape[0], b : b + voxels.shape[1], c : c + voxels.shape[2]] |= voxels
    return out


def largest_body(solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest body whose voxels share faces."""
    label, _ = ndimage.label(solid)
    return np.asarray(label == np.bincount(label[label > 0]).argmax())


def vertebra(split: int = 1) -> Model:
    """The public L2 vertebra at 1 mm, every voxel with its own modulus, each voxel cut into ``split`` cubed.

    The caps move and stay along z only: three rigid motions are left, as in the publication (Walle, Matheson & Boyd 2025).
    """
    labels = np.asarray(nib.load(DATA / "vertebra_l2" / "labels.nii.gz").dataobj).astype(int)
    density = np.asarray(nib.load(DATA / "vertebra_l2" / "density.nii.gz").dataobj).astype(float)
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in np.nonzero(labels))
    labels, density = labels[box], density[box]
    labels = np.where(largest_body(labels > 0), labels, 0)
    rho = np.maximum(density, 0.0) / 1000.0
    bone, cap = np.isin(labels, (1, 2, 3, 4)), np.isin(labels, (5, 6))
    modulus = np.where(bone, np.maximum(2980.0 * rho**1.05, 1e-4), np.where(cap, 2500.0, 0.0))
    strength = np.where(bone, np.maximum(37.4 * rho**1.39, 1e-4), 70.0)
    labels, modulus, strength = (np.kron(a, np.ones((split,) * 3, dtype=a.dtype)) for a in (labels, modulus, strength))
    shape = tuple(n + 1 for n in labels.shape)
    fixed, displacement, loaded = np.zeros((*shape, 3), bool), np.zeros((*shape, 3)), np.zeros(shape, bool)
    for label, top in ((5, False), (6, True)):
        layers = np.flatnonzero((labels == label).any(axis=(0, 1)))
        layer = int(layers[-1 if top else 0])
        face = node_mask((labels == label)[:, :, layer : layer + 1])[:, :, 0]
        fixed[:, :, layer + top, 2] |= face
        if top:
            displacement[:, :, layer + 1, 2] = np.where(face, -0.2, 0.0)
            loaded[:, :, layer + 1] = face
    name = "vertebra" if split == 1 else f"vertebra, voxels split {split}³"
    return Model(name, modulus, strength, fixed, displacement, loaded, 1.0 / split)


def otsu(values: NDArray[Any]) -> int:
    """Threshold of an eight-bit image that separates its two classes best.

    References
    ----------
    Otsu, IEEE Trans Syst Man Cybern 9:62 (1979).
    """
    count = np.bincount(values.ravel(), minlength=256).astype(float)
    below, moment = np.cumsum(count), np.cumsum(count * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * below / below[-1] - moment) ** 2 / (below * (below[-1] - below))
    return int(np.nanargmax(between))


def trabecular(cells: int = 200) -> Model:
    """Trabecular micro-CT cube of ``cells`` voxels a side by Otsu's threshold: one modulus, both ends clamped, 1 % compression."""
    grey = np.asarray(nib.load(DATA / "trabecular_microct" / "cube.nii.gz").dataobj)
    grey = np.rint(grey).astype(int)[:cells, :cells, :cells]
    body = largest_body(grey > otsu(grey))
    spacing = 0.0195
    modulus = np.where(body, 10000.0, 0.0)
    nodes = node_mask(body)
    fixed, displacement, loaded = np.zeros((*nodes.shape, 3), bool), np.zeros((*nodes.shape, 3)), np.zeros(nodes.shape, bool)
    fixed[:, :, [0, -1]] = nodes[:, :, [0, -1], None]
    loaded[:, :, -1] = nodes[:, :, -1]
    displacement[:, :, -1, 2] = np.where(loaded[:, :, -1], -0.01 * cells * spacing, 0.0)
    return Model(f"trabecular {cells}³", modulus, np.where(body, 80.0, 1.0), fixed, displacement, loaded, spacing)


MODELS: dict[str, Callable[[], Model]] = {
    "v1": lambda: vertebra(1),
    "v2": lambda: vertebra(2),
    "v3": lambda: vertebra(3),
    "t100": lambda: trabecular(100),
    "t200": lambda: trabecular(200),
}


def warm_up() -> None:
    """Machine code read from its cache, so that it is not counted."""
    from openbct import fe

    rng = np.random.default_rng(0)
    modulus = np.where(rng.random((20, 20, 20)) < 0.9, 100.0, 0.0)
    fixed, displacement = np.zeros((21, 21, 21, 3), bool), np.zeros((21, 21, 21, 3))
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -0.1
    fe.solve(modulus, fixed=fixed, displacement=displacement)


def measure_ours(model: Model, *, repeat: int, tolerance: float = 1e-6) -> dict[str, Any]:
    """Median CPU seconds of set-up and solution on one thread, with the answer."""
    from openbct import fe

    warm_up()
    seconds, setup, solution = [], [], None
    for _ in range(repeat):
        solution = None
        started = time.process_time()
        solution = fe.solve(
            model.modulus, spacing=(model.spacing,) * 3, fixed=model.fixed, displacement=model.displacement, tolerance=tolerance, threads=1,
            max_iterations=2000,
        )  # fmt: skip
        seconds.append(time.process_time() - started)
        setup.append(solution.stats["setup_s"])
    assert solution is not None
    return {
        "cpu_s": statistics.median(seconds), "setup_s": statistics.median(setup), "iterations": solution.iterations,
        "products": int(solution.stats["products"]), "force": model.reaction(solution.force), "dof": int(solution.stats["n_dof"]),
        "elements": int(solution.stats["n_elements"]), "residual": solution.residual[-1],
    }  # fmt: skip


def measure_parosol(
    model: Model, python: Path, *, repeat: int, tolerance: float = 1e-6, nonlinear: bool = False
) -> dict[str, Any]:
    """The same from ParOSol, a separate program in its own environment (see solver_parosol.py)."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model.save(place / "model.npz")
        runs = []
        for _ in range(repeat):
            command = [
                str(python),
                str(HERE / "solver_parosol.py"),
                str(place),
                f"{tolerance:g}",
                "nonlinear" if nonlinear else "linear",
            ]
            clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
            done = subprocess.run(command, capture_output=True, text=True, env=clean)
            if done.returncode:
                return {"failed": (done.stderr or done.stdout)[-400:]}
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    return runs[0] | {key: statistics.median(run[key] for run in runs) for key in ("cpu_s", "process_cpu_s")}


def in_new_process(arguments: list[str], **environment: str) -> dict[str, Any]:
    """What a benchmark script prints as JSON when it runs in a process of its own."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def scaled(model: Model, factor: float) -> Model:
    """The same model with its travel multiplied."""
    return replace(model, displacement=factor * model.displacement)


def table(head: list[str], rows: list[list[Any]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)
