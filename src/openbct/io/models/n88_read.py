"""Reading of ``.n88model`` files: voxel models, and the solution that a solver left in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ...errors import InputError
from ...records import Array, ElasticSymmetry
from .answer import SolverResult, answer
from .assemble import Dofs, Parts, assemble, common_symmetry
from .hdf5 import open_hdf5
from .model import VoxelModel
from .n88 import CONVENTIONS, LOADED

AN_N88 = "an .n88model"
KINDS = ("LinearIsotropic", "VonMisesIsotropic", "LinearOrthotropic")
"""Materials that our kernel has."""


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _problem(file: Any, name: str) -> tuple[Any, Any]:
    """Return the active problem and its part."""
    if _text(file.attrs.get("Conventions", "")) != CONVENTIONS:
        raise InputError(f"found {name!r} without the conventions {CONVENTIONS!r}, expected an .n88model; check the file")
    active = _text(file.attrs.get("ActiveProblem", ""))
    solution = _text(file.attrs.get("ActiveSolution", ""))
    if solution:
        active = _text(file["Solutions"][solution].attrs["Problem"])
    problem = file["Problems"][active]
    return problem, file["Parts"][_text(problem.attrs["Part"])]


def read_n88(path: Path) -> VoxelModel:
    """Return the voxel model of an ``.n88model`` file: isotropic, elastic or von Mises.

    Raises
    ------
    InputError
        It is damaged, no voxel model, or of a material that our kernel does not have.
    SettingsError
        h5py is not installed.
    """
    with open_hdf5(path, AN_N88) as file:
        problem, part = _problem(file, path.name)
        bricks = part["Elements"]["Hexahedrons"]
        found = _materials(file, part, bricks["MaterialID"][:].astype(np.int64))
        coordinates = part["NodeCoordinates"][:].astype(float)
        elements = bricks["NodeNumbers"][:].astype(np.int64)
        supports, forces = _read_constraints(file, _text(problem.attrs.get("Constraints", "")))
        loaded = np.zeros(0, dtype=np.int64)
        if f"Sets/NodeSets/{LOADED}" in file:
            loaded = file[f"Sets/NodeSets/{LOADED}/NodeNumber"][:].astype(np.int64)
    parts = Parts(
        name=path.stem, node_numbers=np.arange(1, len(coordinates) + 1), coordinates=coordinates, elements=elements,
        youngs_modulus=found.modulus, poisson_ratio=found.ratio, yield_stress=found.strength, symmetry=found.symmetry,
        supports=supports, forces=forces, loaded=loaded,
    )  # fmt: skip
    return assemble(parts)


@dataclass(frozen=True)
class _Found:
    """Constants of each element."""

    modulus: np.ndarray
    ratio: np.ndarray
    strength: np.ndarray
    symmetry: ElasticSymmetry | None


def _materials(file: Any, part: Any, of_element: Int[Array, " m"]) -> _Found:
    """Return the constants of each element."""
    ids = part["MaterialTable"]["ID"][:].astype(np.int64)
    names = [_text(name) for name in part["MaterialTable"]["MaterialName"][:]]
    count = len(of_element)
    modulus, ratio, strength = np.zeros(count), np.full(count, 0.3), np.full(count, np.inf)
    nine = np.full((count, 9), np.nan)
    order = np.argsort(of_element, kind="stable")
    ordered = of_element[order]
    for first, name in zip(ids, names, strict=True):
        group = file["MaterialDefinitions"][name]
        kind = _text(group.attrs["Type"])
        if kind not in KINDS:
            raise InputError(f"found a material of type {kind!r}, expected one of {', '.join(KINDS)}; others cannot be read")
        length = len(group["E"]) if "E" in group else 1
        mine = order[np.searchsorted(ordered, first) : np.searchsorted(ordered, first + length)]
        entry = of_element[mine] - first
        # An array of materials has datasets with a row for each; a single one has attributes.
        constants = {
            key: np.asarray(group[key][:][entry] if key in group else np.broadcast_to(group.attrs[key], (len(mine), *np.shape(group.attrs[key]))))
            for key in ("E", "nu", *(("G",) if kind == KINDS[2] else ()))
        }  # fmt: skip
        if kind == KINDS[2]:
            nine[mine] = _in_order(**constants)
            continue
        modulus[mine], ratio[mine] = constants["E"].reshape(len(mine)), constants["nu"].reshape(len(mine))
        if kind == KINDS[1]:
            strength[mine] = float(np.ravel(group.attrs["Y"])[0])
    if np.isnan(nine).all():
        return _Found(modulus, ratio, strength, None)
    modulus, symmetry = common_symmetry(nine)
    return _Found(modulus, ratio, strength, symmetry)


def _in_order(E: Array, nu: Array, G: Array) -> np.ndarray:
    """Return the nine constants in the order of engineering from the format's: ratios and shear moduli of yz, zx, xy."""
    yz, zx, xy = nu.T
    return np.stack([*E.T, xy, zx * E[:, 0] / E[:, 2], yz, G[:, 2], G[:, 1], G[:, 0]], axis=1).astype(float)


def _read_constraints(file: Any, listed: str) -> tuple[Dofs, Dofs]:
    """Return supports and forces of the constraints that the problem lists."""
    supports: list[Dofs] = []
    forces: list[Dofs] = []
    for name in _names(listed):
        group = file["Constraints"][name]
        dofs = (group["NodeNumber"][:].astype(np.int64), group["Sense"][:].astype(np.int64) - 1, group["Value"][:].astype(float))
        kind = _text(group.attrs["Type"])
        if kind not in ("NodeAxisDisplacement", "NodeAxisForce"):
            raise InputError(f"found the constraint {name!r} of type {kind!r}, expected displacements or forces along the axes")
        (supports if kind == "NodeAxisDisplacement" else forces).append(dofs)
    return _joined(supports), _joined(forces)


def _names(listed: str) -> Iterator[str]:
    return (name.strip() for name in listed.split(",") if name.strip())


def _joined(dofs: list[Dofs]) -> Dofs:
    if not dofs:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    numbers, axes, values = (np.concatenate(column) for column in zip(*dofs, strict=True))
    return numbers, axes, values


def read_n88_solution(path: Path, model: VoxelModel) -> SolverResult:
    """Return the active solution of an ``.n88model`` file.

    Raises
    ------
    InputError
        It holds none, or that of another model.
    """
    with open_hdf5(path, AN_N88) as file:
        _problem(file, path.name)
        name = _text(file.attrs.get("ActiveSolution", ""))
        values = file.get(f"Solutions/{name}/NodeValues") if name else None
        if values is None or "Displacement" not in values:
            raise InputError(f"found no solution in {path.name!r}, expected the file after its solver has run; run it")
        tables = {key: values[key][:].astype(float) for key in ("Displacement", "ReactionForce") if key in values}
    own = read_n88(path)
    if own.active.shape != model.active.shape or (own.active != model.active).any():
        raise InputError(f"found the solution of another model in {path.name!r}, expected that of this one; check both paths")
    known = own.numbers > 0
    fields = {}
    for key, table in tables.items():
        fields[key] = np.zeros((*model.numbers.shape, 3))
        if len(table) < own.numbers.max() or not np.isfinite(table).all():
            raise InputError(
                f"found {key} of {len(table)} nodes in {path.name!r}, expected a finite vector for every node; run it again"
            )
        fields[key][known] = table[own.numbers[known] - 1]
    return answer("FAIM", model, 1.0, fields["Displacement"], known, reaction=fields.get("ReactionForce"))
