"""A stiffness matrix with its preconditioner, built once and used for many right-hand sides.

Interface for methods that build on the linear kernel (plasticity, rigid platens)::

    system = build_system(youngs_modulus, fixed, spacing=..., poisson_ratio=...)
    system.grid.element_nodes()      (n_elements 8) node numbers, order of hex8
    system.modulus                   (n_elements) [MPa]
    v = system.pack(u)               (n_nodes 3) -> flat vector: axis after axis, each padded to `stride`
    u = system.unpack(v)             and back;  v.reshape(3, stride)[axis, node]
    y = system.apply(v)              K v in double precision, nothing masked
    z = system.precondition(r)       one multigrid cycle; 0 at fixed dofs
    outcome = system.solve(b, x, tolerance=1e-6)      K x = b at the free dofs, in place
    outcome = pcg(product, cycle, free, r, x, ...)    the same with another operator and this preconditioner

A fixed degree of freedom keeps the value that it has in ``x``; ``b`` is ignored there. ``system.free`` is 0 at the fixed ones.
Voxels that touch nothing fixed are not part of the system, and free rigid motions are pinned (:mod:`openbct.fe.supports`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbct.errors import ModelError
from openbct.fe import multigrid_setup, voxel
from openbct.fe.direct import DENSE_DOF, SPARSE_DOF, DirectCycle, factorise
from openbct.fe.grid import Grid, Rows, find_rows, number_voxels
from openbct.fe.hex8 import Orthotropy
from openbct.fe.hierarchy import find_structure
from openbct.fe.krylov import Outcome, Product, pcg
from openbct.fe.materials import Materials, build_materials
from openbct.fe.multigrid import Fine, Multigrid
from openbct.fe.nodal import node_values
from openbct.fe.simd import LANES
from openbct.fe.supports import Supports, drop_loose_pieces, find_supports
from openbct.fe.team import ALONE, Team, default_threads

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]

PATIENCE = 200
"""Multigrid iterations after which a small model is factorised instead [D]."""

__all__ = ["LinearSystem", "Outcome", "Product", "build_system", "pcg"]


@dataclass(frozen=True)
class LinearSystem:
    """Stiffness of a voxel body with some degrees of freedom fixed."""

    grid: Grid
    rows: Rows
    row_modulus: FloatArray
    """Modulus in the padded order of the rows [MPa]."""
    coefficients: FloatArray
    stride: int
    free: Float32Array
    """Inverse diagonal of the stiffness; 0 at fixed and unused places [mm/N]."""
    preconditioner: Multigrid | DirectCycle
    supports: Supports
    dropped: int
    """Voxels that were left out because they touch nothing that is held."""
    factorise: Callable[[], DirectCycle | None]
    """Makes a direct preconditioner, if the model is small enough."""
    cuts: NDArray[np.int64]
    """Slabs of node planes that are worked on at the same time."""
    team: Team
    """Threads that share the work."""
    counts: dict[str, int] = field(default_factory=lambda: {"products": 0})
    """Products with the stiffness in double precision so far."""

    @property
    def modulus(self) -> FloatArray:
        """Modulus of each element [MPa]."""
        return self.row_modulus[self.rows.place]

    def pack(self, nodal: NDArray[np.float64]) -> FloatArray:
        """Flat vector of nodal values ``(n_nodes 3)``."""
        vector = np.zeros((3, self.stride))
        vector[:, : self.grid.n_nodes] = nodal.T
        return vector.ravel()

    def unpack(self, vector: FloatArray) -> FloatArray:
        """Nodal values ``(n_nodes 3)`` of a flat vector."""
        return np.asarray(vector.reshape(3, self.stride)[:, : self.grid.n_nodes].T)

    def product(self, z: NDArray[np.floating], beta: float, p: FloatArray, y: FloatArray) -> float:
        """p = z + beta p, y = K p; returns p'y."""
        rows = self.rows
        self.counts["products"] += 1
        body = (
            rows.nodes, rows.first, rows.blocks, rows.group, rows.plane_rows, rows.plane_nodes, self.row_modulus, self.coefficients
        )  # fmt: skip
        sums = np.zeros((2, self.cuts.size - 1))
        self._every_other(sums.shape[1], partial(voxel.energy_slabs, *body, z, beta, p, y, self.cuts), sums[0])
        self._every_other(sums.shape[1] - 1, partial(voxel.energy_edges, *body, p, y, self.cuts), sums[1])
        return float(sums.sum())

    def _every_other(self, count: int, work: Callable[[int, int, FloatArray], None], sums: FloatArray) -> None:
        """Call ``work(begin, end, sums)`` for the even ones of ``count`` slabs, then for the odd ones."""
        for odd in (0, 1):

            def some(begin: int, end: int, odd: int = odd) -> None:
                work(odd + 2 * begin, min(odd + 2 * end, count), sums)

            self.team.each(some, (count + 1 - odd) // 2)

    def apply(self, vector: FloatArray) -> FloatArray:
        """K times a vector, nothing masked [N]."""
        out = np.zeros_like(vector)
        self.product(np.zeros(vector.size, np.float32), 1.0, vector, out)
        return out

    def precondition(self, residual: FloatArray) -> FloatArray:
        """One multigrid cycle."""
        z = np.zeros(residual.size, np.float32)
        scale = float(np.abs(residual).max()) or 1.0
        self.preconditioner.cycle((residual / scale).astype(np.float32), z)
        return scale * z.astype(np.float64)

    def jacobi(self, b: Float32Array, x: Float32Array) -> None:
        """x = D^-1 b: what is left when the multigrid cycle breaks down."""
        np.multiply(self.free, b, out=x)

    def residual(self, b: FloatArray | None, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """b - K x at the free degrees of freedom, and K x; no ``b`` means zero."""
        force = self.apply(x)
        r = np.empty_like(force)

        def rest(begin: int, end: int) -> None:
            part = force[begin:end]
            gap = -part if b is None else b[begin:end] - part
            r[begin:end] = np.where(self.free[begin:end] == 0, 0.0, gap)

        self.team.chunks(rest, r.size)
        return r, force

    def solve(
        self,
        b: FloatArray | None,
        x: FloatArray,
        *,
        tolerance: float = 1e-6,
        scale: float | None = None,
        max_iterations: int = 500,
    ) -> tuple[Outcome, FloatArray]:
        """Improve ``x`` until the true residual is below ``tolerance * scale``; returns the outcome and K x.

        The residual is computed afresh at the end. Should it be larger than the recursion made believe, or should the
        preconditioner break down, the iteration goes on from there, the last time with the diagonal alone.
        """
        r, force = self.residual(b, x)
        norm = float(np.linalg.norm(r))
        scale = scale or norm
        if not scale > 0:
            return Outcome(True, 0, (0.0,), ""), force
        history: list[float] = [norm / scale]
        breakdown = ""
        cycle = self.preconditioner.cycle
        small = 3 * self.grid.n_nodes <= SPARSE_DOF
        for attempt in range(4):
            left = max_iterations - len(history) + 1
            if small and attempt == 0:
                left = min(left, PATIENCE)
            if norm <= tolerance * scale or left <= 0:
                break
            del force
            part = pcg(
                self.product, cycle, self.free, r, x, target=0.9 * tolerance * scale, scale=scale, max_iterations=left,
                team=self.team,
            )  # fmt: skip
            history += part.residual[1:]
            breakdown = part.breakdown
            if part.breakdown or not part.converged:
                direct = self.factorise() if small and attempt == 0 else None
                cycle = direct.cycle if direct else self.jacobi
            r, force = self.residual(b, x)
            norm, before = float(np.linalg.norm(r)), norm
            history[-1] = norm / scale
            if norm > 0.5 * before and part.converged and not breakdown:
                breakdown = "rounding: the residual does not fall any further"
                break
        converged = bool(norm <= tolerance * scale)
        return Outcome(converged, len(history) - 1, tuple(history), "" if converged else breakdown, tolerance * scale), force


def _diagonal(rows: Rows, modulus: FloatArray, materials: Materials, stride: int) -> FloatArray:
    out = np.zeros(3 * stride)
    voxel.diagonal(rows.nodes, rows.first, rows.group, modulus, materials.diagonals, rows.length, out)
    return out


def _active(modulus: NDArray[np.floating], fixed: ArrayLike, load: ArrayLike | None) -> tuple[NDArray[np.bool_], int, bool]:
    """Voxels that take part (stiff and connected to something fixed), how many others there are, and whether they are one body."""
    active = np.asarray(modulus > 0)
    if not active.any():
        raise ModelError(
            "no voxel has a positive modulus; expected at least one. Check that the mask is not empty and that the moduli are in MPa."
        )
    node_shape = tuple(n + 1 for n in modulus.shape)
    marked = np.broadcast_to(np.asarray(fixed), (*node_shape, 3))
    held = marked[..., 0] | marked[..., 1] | marked[..., 2]
    kept, dropped, whole = drop_loose_pieces(active, held)
    if not kept.any() or (dropped == 0 and not held.any()):
        raise ModelError(
            f"nothing is held: `fixed` marks {int(held.sum())} nodes and none of them belongs to a voxel with a positive modulus; "
            "expected at least six fixed degrees of freedom on the body. Check that `fixed` is on the node grid (i+1 j+1 k+1 3)."
        )
    if dropped and load is not None:
        _refuse_lost_load(active & ~kept, kept, load, node_shape)
    return kept, dropped, whole


def _refuse_lost_load(loose: NDArray[np.bool_], kept: NDArray[np.bool_], load: ArrayLike, node_shape: tuple[int, ...]) -> None:
    lost = number_voxels(loose)
    values = node_values(load, lost)
    if np.any(values != 0):
        raise ModelError(
            f"a force of {float(np.abs(values).sum()):.6g} N acts on pieces of {int(loose.sum())} voxels that touch nothing held; "
            "expected loads on the held body only. Connect or remove these pieces, or hold them."
        )


def build_system(
    youngs_modulus: NDArray[np.floating], fixed: ArrayLike, *, poisson_ratio: ArrayLike = 0.3, orthotropy: Orthotropy | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0), bbar: bool = False, load: ArrayLike | None = None, threads: int | None = 1,
) -> LinearSystem:  # fmt: skip
    """Stiffness and preconditioner of the voxels with a positive modulus.

    Parameters
    ----------
    youngs_modulus
        Modulus of each voxel ``(i j k)``; 0 or less is void [MPa].
    fixed
        Degrees of freedom that keep their value ``(i+1 j+1 k+1 3)``.
    load
        Nodal forces that will be applied; only to find out whether they act on something that is not held [N].
    threads
        Processor threads; none to choose by the size of the body. No number in the result depends on it.

    Raises
    ------
    ModelError
        Nothing is stiff, nothing is held, or a load acts on a free rigid motion.
    """
    active, dropped, whole = _active(youngs_modulus, fixed, load)
    grid = number_voxels(active)
    n = grid.n_nodes
    team = Team(default_threads(3 * n) if threads is None else threads)
    small = 3 * n <= DENSE_DOF
    # The coarse levels depend on the grid alone: they are found while the supports are.
    structure = (ALONE if small else team).aside(partial(find_structure, grid, spacing))
    materials = build_materials(grid, poisson_ratio, orthotropy, spacing, bbar=bbar)
    rows = find_rows(grid, materials.group)
    row_modulus = np.zeros(rows.padded)
    row_modulus[rows.place] = youngs_modulus.ravel()[grid.elements]
    # Room for the last vector of a row to read past its end.
    stride = -(-(n + 2 * LANES) // 16) * 16
    diagonal = _diagonal(rows, row_modulus, materials, stride)
    held = node_values(fixed, grid, team).astype(bool, copy=False)
    if not held.any():
        raise ModelError("nothing is held: no fixed degree of freedom belongs to the body; expected at least six. Check `fixed`.")
    nodal_load = np.broadcast_to(np.zeros(1), (n, 3)) if load is None else np.where(held, 0.0, node_values(load, grid))
    supports = find_supports(grid, active, held, nodal_load, diagonal[:n], np.asarray(spacing, dtype=float), whole=whole)
    del nodal_load, active
    held.reshape(-1)[supports.pins] = True
    free = np.zeros((3, stride), np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        for axis in range(3):
            free[axis, :n] = np.where(held[:, axis], 0.0, 1.0 / diagonal[axis * stride : axis * stride + n])
    del diagonal
    fine = Fine.of(rows, row_modulus, materials.coefficients.astype(np.float32).ravel(), free.ravel(), materials.bound, team)

    def direct() -> DirectCycle | None:
        return factorise(grid, row_modulus[rows.place], materials, free.ravel())

    preconditioner = direct() if small else None
    return LinearSystem(
        grid, rows, row_modulus, np.ascontiguousarray(materials.coefficients).ravel(), stride, free.ravel(),
        preconditioner or multigrid_setup.build(fine, structure, held, materials, row_modulus[rows.place]), supports, dropped, direct,
        fine.cuts, team,
    )  # fmt: skip
