"""Finite elements on voxels: arrays in, a solution with its status out (mm, N, MPa); no bone, no file, no settings."""

from openbct.fe.hex8 import Orthotropy
from openbct.fe.plastic_curve import force_at, offset_yield
from openbct.fe.plasticity import PlasticSolution, solve_plastic
from openbct.fe.post import ElementFields, critical_volume, element_fields, energy_imbalance, reaction, von_mises
from openbct.fe.rigid import FREE, RigidFace
from openbct.fe.solution import Solution
from openbct.fe.solve import solve

__all__ = [
    "FREE",
    "ElementFields",
    "Orthotropy",
    "PlasticSolution",
    "RigidFace",
    "Solution",
    "critical_volume",
    "element_fields",
    "energy_imbalance",
    "force_at",
    "offset_yield",
    "reaction",
    "solve",
    "solve_plastic",
    "von_mises",
]
