"""What is true about a simulated scan, as the tables of `truth.json`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from .. import __version__
from ..phantoms import SimulatedScan
from ..phantoms.beam import detected
from .simulate_request import Simulation


def truth_tables(simulated: SimulatedScan, simulation: Simulation) -> dict[str, Any]:
    """Return what is true about a simulated scan, as plain tables; positions are patient LPS."""
    beam, image, scanner = simulated.beam, simulated.image, simulation.scanner
    energies, spectrum = detected(scanner.kvp)
    voxel = float(np.prod(image.spacing)) / 1000.0
    structures = {}
    for number, name in simulated.labels.names.items():
        inside = simulated.labels.volume.array == number
        structures[name] = {
            "label": number,
            "volume_cm3": float(inside.sum()) * voxel,
            "mean_density_mg_cm3": float(simulated.density.array[inside].mean(dtype=np.float64)),
            "mean_mineral_mg_cm3": float(simulated.mineral.array[inside].mean(dtype=np.float64)),
        }
    return {
        "schema": "openbct-truth/1",
        "openbct": __version__,
        "simulated": True,
        "person": simulation.person.as_tables() if simulation.labels is None and not simulation.alone else None,
        "scanner": asdict(scanner),
        "image": {
            "shape": list(image.shape),
            "spacing_mm": image.spacing.tolist(),
            "affine_lps_mm": image.affine.tolist(),
            "unit": image.unit,
        },
        "beam": {
            "kvp": scanner.kvp,
            "mean_energy_kev": beam.mean_energy,
            "hu_per_mg_cm3_k2hpo4": beam.phosphate_slope,
            "hu_per_mg_cm3_cha": beam.apatite_slope,
            "energies_kev": beam.energies.tolist(),
            "weights_behind_the_body": beam.weights.tolist(),
            "signal_without_a_body": {"energies_kev": energies.tolist(), "share": (spectrum / spectrum.sum()).tolist()},
        },
        "units": {"density": simulated.density.unit, "mineral": simulated.mineral.unit},
        "structures": structures,
        "landmarks_lps_mm": {name: point.tolist() for name, point in simulated.landmarks.items()},
        "levels": [name.removeprefix("vertebrae_") for name in structures if name.startswith("vertebrae_")],
        "rods": [asdict(rod) for rod in simulated.rods],
        "phantom": asdict(simulation.phantom) if simulation.phantom is not None else None,
    }
