"""The preconditioner of small models: their matrix is factorised, in double precision, and no contrast of moduli disturbs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from openbct.fe.grid import Grid
from openbct.fe.materials import Materials

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

DENSE_DOF = 600
"""Up to so many degrees of freedom a dense factor costs no more than building a hierarchy [C]."""

SPARSE_DOF = 20000
"""Up to so many a sparse factor is affordable (some seconds) where the multigrid cycle does not do [C]."""


@dataclass(frozen=True)
class DirectCycle:
    """Stands in for the multigrid cycle."""

    solve: Callable[[FloatArray], FloatArray]
    """Product with the inverse of the stiffness at the free degrees of freedom."""
    dofs: NDArray[np.int64]
    """Place of each free degree of freedom in a flat vector."""
    levels: tuple[object, ...] = ()

    def cycle(self, b: Float32Array, x: Float32Array) -> None:
        """x = K^-1 b."""
        x[:] = 0
        x[self.dofs] = self.solve(b[self.dofs].astype(np.float64))


def factorise(grid: Grid, modulus: FloatArray, materials: Materials, free: Float32Array) -> DirectCycle | None:
    """The direct preconditioner; none if the model is too large or its matrix is not definite.

    ``free`` is the flat inverse diagonal, 0 where fixed.
    """
    kept = np.flatnonzero(free != 0)
    if not 0 < kept.size <= SPARSE_DOF:
        return None
    stride = free.size // 3
    position = np.full(free.size, -1)
    position[kept] = np.arange(kept.size)
    here = position[(grid.element_nodes().astype(np.int64)[:, :, None] + stride * np.arange(3)).reshape(-1, 24)]
    group = np.zeros(grid.n_elements, np.int64) if materials.group is None else materials.group
    matrices = materials.references[materials.reference_of[group]] * modulus[:, None, None]
    rows, columns = np.repeat(here, 24, axis=1).ravel(), np.tile(here, (1, 24)).ravel()
    used = (rows >= 0) & (columns >= 0)
    matrix = sp.coo_matrix((matrices.ravel()[used], (rows[used], columns[used])), shape=(kept.size, kept.size)).tocsc()
    scale = 1 / np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
    scaled = sp.diags_array(scale) @ matrix @ sp.diags_array(scale)
    try:
        if kept.size <= DENSE_DOF:
            factor = scipy.linalg.cho_factor(scaled.toarray())
            return DirectCycle(lambda b: scale * scipy.linalg.cho_solve(factor, scale * b), kept)
        sparse = spla.splu(scaled.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        return DirectCycle(lambda b: scale * sparse.solve(scale * b), kept)
    except (scipy.linalg.LinAlgError, RuntimeError):
        return None
