"""Voxel models for other solvers, and what those answer: CalculiX, Abaqus, FEBio, FAIM, ParOSol; VTU to look at.

Axes are those of the specimen, units mm, N, MPa. A model that a format cannot hold whole is written with what it can, and says what
it left out.
"""

from .answer import SolverResult
from .formats import FORMATS, Format, check_formats, format_of, read_answer, read_model, write_model
from .model import VoxelModel, from_arrays, from_fe_model

__all__ = [
    "FORMATS",
    "Format",
    "SolverResult",
    "VoxelModel",
    "check_formats",
    "format_of",
    "from_arrays",
    "from_fe_model",
    "read_answer",
    "read_model",
    "write_model",
]
