"""CalculiX and Abaqus input (``.inp``): C3D8 bricks, one material per bin of moduli, supports as prescribed displacements.

CalculiX computes C3D8 with the plain shape functions, our ``bbar=False``; that of Abaqus takes the mean dilatation [R], our
``bbar=True``. Keywords are those of the two programs' public manuals.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int

from ...records import Array, ElasticSymmetry
from .bins import Materials, gather, one_yield_stress
from .model import VoxelModel, element_nodes, held, node_index, pushed

PER_LINE = 16
"""Entries of a set on one line: both programs' limit."""
INCREMENT = 0.05
"""Greatest share of the travel in one increment of an elastic-plastic run [design]."""


def inp_bytes(model: VoxelModel) -> tuple[bytes, tuple[str, ...]]:
    """Return the file, and what it could not hold, each a full sentence."""
    materials = gather(model)
    cautions = [*([materials.caution] if materials.caution else []), *one_yield_stress(model, "*PLASTIC is von Mises and")]
    lines = [*_head(model, cautions), "*HEADING", f"{model.name}: voxel model of OpenBCT, mm N MPa"]
    lines += ["*NODE, NSET=NALL"]
    places = node_index(model)
    numbers = model.numbers[tuple(places.T)]
    coordinates = places * np.asarray(model.spacing)
    lines += [f"{n},{x:.9g},{y:.9g},{z:.9g}" for n, (x, y, z) in zip(numbers.tolist(), coordinates.tolist(), strict=True)]
    lines += ["*ELEMENT, TYPE=C3D8, ELSET=EALL"]
    lines += [f"{e}," + ",".join(map(str, row)) for e, row in enumerate(element_nodes(model).tolist(), start=1)]
    loaded = np.sort(model.numbers[model.loaded & (model.numbers > 0)])
    lines += ["*NSET, NSET=LOADED", *_wrapped(loaded.tolist())] if len(loaded) else []
    lines += _materials(materials, model.symmetry)
    lines += _step(model, bool(len(loaded)))
    return ("\n".join(lines) + "\n").encode("ascii", "replace"), tuple(cautions)


def _head(model: VoxelModel, cautions: list[str]) -> list[str]:
    i, j, k = model.active.shape
    said = [
        "Units: mm, N, MPa. Axes: those of the specimen.",
        f"Grid of {i} x {j} x {k} voxels of {' x '.join(f'{s:.9g}' for s in model.spacing)} mm; node number = 1 + i + {i + 1} (j + {j + 1} k) at "
        "(i, j, k) times the voxel size; elements in the order of their voxels, first axis fastest.",
        f"The load is the reaction of the set LOADED along ({', '.join(f'{x:.6g}' for x in model.direction)}).",
        *model.notes,
        *(f"Caution: {caution}" for caution in cautions),
    ]
    return [f"** {line}" for text in said for line in textwrap.wrap(text, 100)]


def _wrapped(entries: list[int]) -> Iterable[str]:
    return (",".join(map(str, entries[start : start + PER_LINE])) for start in range(0, len(entries), PER_LINE))


def _elastic(modulus: float, ratio: float, symmetry: ElasticSymmetry | None) -> list[str]:
    """Return the elastic data of a material: two constants, or nine in the programs' order, 12 13 23 of the axes."""
    if symmetry is None:
        return ["*ELASTIC", f"{modulus:.9g},{ratio:.9g}"]
    youngs = [modulus * factor for factor in symmetry.youngs]
    jk, ik, ij = (modulus * factor for factor in symmetry.shear)
    first = ",".join(f"{x:.9g}" for x in (*youngs, *symmetry.poisson, ij, ik))
    return ["*ELASTIC, TYPE=ENGINEERING CONSTANTS", first, f"{jk:.9g}"]


def _materials(materials: Materials, symmetry: ElasticSymmetry | None) -> list[str]:
    """Return one element set, material and section per bin."""
    order = np.argsort(materials.of_element, kind="stable")
    ends = np.cumsum(np.bincount(materials.of_element, minlength=len(materials.youngs_modulus)))
    lines: list[str] = []
    for number, members in enumerate(np.split(order + 1, ends[:-1]), start=1):
        row = number - 1
        lines += [f"*ELSET, ELSET=E{number}", *_wrapped(members.tolist()), f"*MATERIAL, NAME=M{number}"]
        lines += _elastic(float(materials.youngs_modulus[row]), float(materials.poisson_ratio[row]), symmetry)
        if np.isfinite(materials.yield_stress[row]):
            lines += ["*PLASTIC", f"{materials.yield_stress[row]:.9g},0."]
        lines.append(f"*SOLID SECTION, ELSET=E{number}, MATERIAL=M{number}")
    return lines


def _step(model: VoxelModel, loaded: bool) -> list[str]:
    """Return the load step with its supports and what is to be printed."""
    lines = ["*STEP, INC=10000", "*STATIC"]
    if model.plastic:
        lines.append(f"{INCREMENT:g},1.,1E-6,{INCREMENT:g}")
    lines.append("*BOUNDARY")
    lines += _dof_lines(*held(model), doubled=True)
    if len(pushed(model)[0]):
        lines += ["*CLOAD", *_dof_lines(*pushed(model), doubled=False)]
    if not model.plastic:
        lines += ["*NODE PRINT, NSET=NALL", "U,RF"]
    elif loaded:
        lines += ["*NODE PRINT, NSET=LOADED", "U,RF"]
    # CalculiX has one output frequency for all: the curve wants every increment, so the fields of a history are few.
    lines += ["*NODE FILE", "U,RF", "*EL FILE", "PEEQ" if model.plastic else "S,E"]
    return [*lines, "*END STEP"]


def _dof_lines(numbers: Int[Array, " n"], axes: Int[Array, " n"], values: Float[Array, " n"], *, doubled: bool) -> Iterable[str]:
    """Return "node, axis, (axis,) value" lines."""
    rows = zip(numbers.tolist(), axes.tolist(), values.tolist(), strict=True)
    return (f"{n},{a + 1}," + (f"{a + 1}," if doubled else "") + f"{v:.12g}" for n, a, v in rows)
