"""Finite elements on voxels: arrays in, a solution with its status out (mm, N, MPa); no bone, no file, no settings."""

from openbct.fe.hex8 import Orthotropy
from openbct.fe.solution import Solution
from openbct.fe.solve import solve

__all__ = ["Orthotropy", "Solution", "solve"]
