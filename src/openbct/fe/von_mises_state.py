"""Loops over elements for von Mises plasticity; the arithmetic of one element is in :mod:`openbct.fe.point_simd`.

Nodal vectors are flat: component after component, each ``stride`` long. An element is the four nodes at its edges along k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from openbct.fe.point_simd import commit_element, largest_deviator, return_element, soften_element


@njit(cache=True, nogil=True)
def find_yielding(u: Any, first: Any, table: Any, limit: Any, begin: Any, end: Any, marked: Any) -> None:
    """Mark the elements whose strain deviator exceeds ``limit`` (squared) at a Gauss point."""
    stride = u.size // 3
    for e in range(begin, end):
        if not marked[e]:
            nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
            marked[e] = largest_deviator(table, nodes, stride, u, limit[e])


@njit(cache=True, nogil=True)
def update_points(
    u: Any,
    first: Any,
    table: Any,
    weight: Any,
    mu: Any,
    strength: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    soft: Any,
    flows: Any,
    force: Any,
) -> None:
    """Return mapping of a range of elements: adds the plastic force to ``force``, stores tangents in ``soft``."""
    stride = u.size // 3
    scratch = np.empty(48)
    strains, tangents = plastic.reshape(-1), soft.reshape(-1)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        flows[e] = return_element(
            table, nodes, stride, u, force, strains, 48 * e, tangents, 56 * e, mu[e], strength[e], weight, scratch
        )


@njit(cache=True, nogil=True)
def add_softening(v: Any, first: Any, table: Any, flowing: Any, begin: Any, end: Any, soft: Any, force: Any) -> Any:
    """Subtract the plastic part of the tangent product from ``force``; returns its product with ``v``."""
    stride = v.size // 3
    scratch = np.empty(48)
    tangents = soft.reshape(-1)
    energy = 0.0
    for index in range(begin, end):
        e = flowing[index]
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        energy += soften_element(table, nodes, stride, v, force, tangents, 56 * e, scratch)
    return energy


@njit(cache=True, nogil=True)
def commit_points(
    u: Any,
    before: Any,
    first: Any,
    table: Any,
    mu: Any,
    strength: Any,
    begin: Any,
    end: Any,
    plastic: Any,
    equivalent: Any,
    energy: Any,
    work: Any,
) -> None:
    """Accept the state at ``u``: plastic strains, equivalent plastic strains and energies per element."""
    stride = u.size // 3
    strains, sizes = plastic.reshape(-1), equivalent.reshape(-1)
    for e in range(begin, end):
        nodes = (first[e, 0], first[e, 1], first[e, 2], first[e, 3])
        stored, spent = commit_element(table, nodes, stride, u, before, strains, 48 * e, sizes, 8 * e, mu[e], strength[e])
        energy[e] = stored
        work[e] += spent
