"""The nonlinear load of the public L2 vertebra: what converged perfect plasticity gives, for every reading of the recipe.

The publication (Walle, Matheson & Boyd 2025, GigaScience giaf094) reports a linear stiffness of 12 362 N/mm and a nonlinear failure load
of 1847 N at 2 mm. Its released code gives each voxel the material of the next bin; its nonlinear model is Mohr-Coulomb with equal
strengths (Tresca), solved by another method. This table shows force against displacement for criterion x bins x element; nothing is
tuned. Data: OPENBCT_TEST_DATA, else ../shared/data beside the repository.

Usage: python benchmarks/vertebra_nonlinear_table.py [--quick]
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from openbct.fe import solve, solve_plastic

FOLDER = Path(os.environ.get("OPENBCT_TEST_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data")) / "vertebra_l2"
TRAVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
SHOWN = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0)
N_BINS = 128
PUBLISHED_STIFFNESS = {"shifted": 12363.0, "right": 10442.0, "none": 10547.0}
"""Anchors of the data set for the three readings of the bins [N/mm]."""


def binned_density(
    density: NDArray[np.float64], labels: NDArray[np.int64], reading: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Density that each voxel's material stands for [g/cm3], and which voxels are bone, for one reading of the recipe."""
    bone = np.isin(labels, (1, 2, 3, 4))
    clipped = np.maximum(density, -31.0)
    if reading == "none":
        return clipped / 1000.0, bone
    whole = np.trunc(clipped)
    bone &= whole != 0.0
    values = whole[bone]
    edges = np.linspace(values.min(), values.max(), N_BINS + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    place = np.clip(np.digitize(whole, edges), 1, N_BINS) - 1
    if reading == "shifted":
        place = np.where(place == N_BINS - 1, 0, place + 1)
    return centres[place] / 1000.0, bone


def load_model(reading: str) -> dict[str, Any]:
    """Arrays of the published recipe: caps move and stay in z only."""
    labels = np.asarray(nib.load(FOLDER / "labels.nii.gz").dataobj).astype(np.int64)
    density = np.asarray(nib.load(FOLDER / "density.nii.gz").dataobj).astype(float)
    box = tuple(slice(int(p.min()), int(p.max()) + 1) for p in np.nonzero(labels))
    labels, density = labels[box], density[box]
    rho, bone = binned_density(density, labels, reading)
    cap = np.isin(labels, (5, 6))
    modulus = np.where(bone, np.maximum(2980.0 * np.maximum(rho, 0.0) ** 1.05, 1e-4), np.where(cap, 2500.0, 0.0))
    strength = np.where(bone, np.maximum(37.4 * np.maximum(rho, 0.0) ** 1.39, 1e-4), 70.0)
    shape = tuple(n + 1 for n in labels.shape)
    fixed, displacement, loaded = np.zeros((*shape, 3), dtype=bool), np.zeros((*shape, 3)), np.zeros(shape, dtype=bool)
    for cap_label, side in ((5, 0), (6, -1)):
        layers = np.flatnonzero((labels == cap_label).any(axis=(0, 1)))
        layer = int(layers[side])
        face = np.zeros(shape[:2], dtype=bool)
        for a in (0, 1):
            for b in (0, 1):
                face[a : a + labels.shape[0], b : b + labels.shape[1]] |= labels[:, :, layer] == cap_label
        level = layer + (side == -1)
        fixed[:, :, level, 2] |= face
        if side == -1:
            displacement[:, :, level, 2] = np.where(face, -1.0, 0.0)
            loaded[:, :, level] = face
    return {
        "youngs_modulus": modulus, "yield_stress": strength, "fixed": fixed, "displacement": displacement, "loaded": loaded,
        "direction": (0.0, 0.0, -1.0),
    }  # fmt: skip


def main() -> None:
    quick = "--quick" in sys.argv
    print(f"{'bins':8} {'criterion':13} {'B-bar':5} " + " ".join(f"F({u:g})" for u in SHOWN) + "  Newton  CG  CPU s  status")
    for reading in ("shifted", "right", "none"):
        model = load_model(reading)
        linear = solve(model["youngs_modulus"], fixed=model["fixed"], displacement=model["displacement"])
        stiffness = -float(linear.force[model["loaded"]][:, 2].sum())
        error = stiffness / PUBLISHED_STIFFNESS[reading] - 1
        print(
            f"{reading:8} linear stiffness {stiffness:.1f} N/mm ({100 * error:+.3f} % of the anchor), {linear.stats['n_elements']} elements"
        )
        for criterion, ratio in (("von_mises", 1.0), ("mohr_coulomb", 1.0), ("paraboloid", 0.7), ("mohr_coulomb", 0.7)):
            for bbar in (False, True):
                if quick and (bbar or ratio != 1.0):
                    continue
                started = time.process_time()
                found = solve_plastic(
                    criterion=criterion, tension_ratio=ratio, bbar=bbar, travels=TRAVELS, keep_travels=[], threads=1, **model
                )
                force = [f"{np.interp(u, *found.curve.T):6.0f}" if u <= found.curve[-1, 0] else "     -" for u in SHOWN]
                name = criterion if ratio == 1.0 else f"{criterion[:9]} {ratio:g}"
                seconds = time.process_time() - started
                counts = f"{found.newton_iterations.sum():6d} {found.cg_iterations.sum():5d} {seconds:6.1f}"
                print(
                    f"{reading:8} {name:13} {'yes' if bbar else 'no':5} " + " ".join(force) + f" {counts}  {found.status[:40]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
