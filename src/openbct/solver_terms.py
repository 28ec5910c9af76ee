"""What the kernel is told of a model beside its fields: its elastic symmetry, and a platen that finds its own tilt."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from . import fe
from .records import Array, FEModel


def orthotropy_of(model: FEModel) -> fe.Orthotropy | None:
    """Return the elastic constants relative to the modulus; ``None``: isotropic."""
    symmetry = model.symmetry
    return None if symmetry is None else fe.Orthotropy(symmetry.youngs, symmetry.poisson, symmetry.shear)


def platens_of(model: FEModel) -> tuple[Bool[Array, "i j k 3"], tuple[fe.RigidFace, ...]]:
    """Return the held degrees of freedom without those of a tilting platen, and that platen as a rigid face.

    The platen is smooth: it dictates its nodes' motion along the load alone, moves as the boundary says, and turns freely about the
    two axes across the load.
    """
    boundary, fixed = model.boundary, model.boundary.fixed
    if not boundary.tilts:
        return fixed, ()
    axis = int(np.argmax(np.abs(boundary.direction)))
    motion = [0.0, 0.0, 0.0, fe.FREE, fe.FREE, fe.FREE]
    motion[axis], motion[3 + axis] = float(boundary.displacement[boundary.loaded, axis].mean()), 0.0
    fixed = fixed.copy()
    fixed[boundary.loaded, axis] = False
    follows = (axis == 0, axis == 1, axis == 2)
    return fixed, (fe.RigidFace(boundary.loaded, (motion[0], motion[1], motion[2], motion[3], motion[4], motion[5]), follows),)
