"""Reading of a voxel model from CalculiX or Abaqus input: what a linear or perfectly plastic static model needs, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...records import ElasticSymmetry
from .assemble import Parts, assemble, common_symmetry
from .model import VOID_RATIO, VoxelModel

IGNORED = {
    "HEADING", "STEP", "STATIC", "END STEP", "NODE PRINT", "NODE FILE", "EL PRINT", "EL FILE", "NODE OUTPUT", "EL OUTPUT",
    "OUTPUT", "ELEMENT OUTPUT", "PREPRINT", "RESTART", "DENSITY", "CONTACT FILE", "MONITOR",
}  # fmt: skip
"""Keywords that do not change the answer of such a model."""


@dataclass
class _Deck:
    nodes: list[tuple[int, float, float, float]] = field(default_factory=list)
    elements: list[tuple[int, ...]] = field(default_factory=list)
    node_sets: dict[str, list[int]] = field(default_factory=dict)
    element_sets: dict[str, list[int]] = field(default_factory=dict)
    elastic: dict[str, tuple[float, float]] = field(default_factory=dict)
    plastic: dict[str, float] = field(default_factory=dict)
    orthotropic: dict[str, list[float]] = field(default_factory=dict)
    """Nine engineering constants of each such material."""
    sections: list[tuple[str, str]] = field(default_factory=list)
    supports: list[tuple[list[int], int, float]] = field(default_factory=list)
    forces: list[tuple[list[int], int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    material: str = ""
    steps: int = 0

    def members(self, name: str) -> list[int]:
        """Nodes that a first entry names: a number, or a set."""
        if name.lstrip("-").isdigit():
            return [int(name)]
        if name.upper() not in self.node_sets:
            raise InputError(f"found the node set {name!r}, which the file does not define; expected a number or a set of it")
        return self.node_sets[name.upper()]


def read_inp(path: Path) -> VoxelModel:
    """Return the voxel model of an input file.

    Raises
    ------
    InputError
        It cannot be read, is no voxel model, or holds a keyword that this reader would have to leave out.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"found {path.name!r}, which cannot be read ({error.strerror}), expected a CalculiX input") from error
    deck = _Deck()
    take: Callable[[list[str]], None] = lambda _: None  # noqa: E731
    for number, line in enumerate(lines, start=1):
        if line.startswith("**") or not line.strip():
            continue
        try:
            if line.startswith("*"):
                take = _begin(deck, line)
            else:
                take([part.strip() for part in line.rstrip(", ").split(",")])
        except (ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"found line {number} of {path.name!r} that cannot be read ({line.strip()[:60]!r}), expected comma-separated values of "
                "its keyword; check the file"
            ) from error
    if not deck.elements:
        raise InputError(
            f"found no C3D8 elements in {path.name!r}, expected a CalculiX or Abaqus input with its mesh; check the file"
        )
    return _assemble(deck, path.stem)


def _begin(deck: _Deck, line: str) -> Callable[[list[str]], None]:
    """Return what takes the data lines of a keyword."""
    keyword, *rest = [part.strip() for part in line[1:].split(",")]
    keyword = keyword.upper()
    options = {key.strip().upper(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
    if keyword == "NODE":
        members = deck.node_sets.setdefault(options.get("NSET", "").upper(), [])
        return lambda row: _node(deck, members, row)
    if keyword == "ELEMENT":
        if not options.get("TYPE", "").upper().startswith("C3D8"):
            raise InputError(f"found elements of type {options.get('TYPE')!r}, expected C3D8: only voxel models can be read")
        if options["TYPE"].upper() != "C3D8":
            deck.notes.append(
                f"The file asks for elements of type {options['TYPE']}; plain eight-node bricks stand for them here."
            )
        members = deck.element_sets.setdefault(options.get("ELSET", "").upper(), [])
        return lambda row: _element(deck, members, row)
    if keyword in ("NSET", "ELSET"):
        sets = deck.node_sets if keyword == "NSET" else deck.element_sets
        members = sets.setdefault(options[keyword].upper(), [])
        return lambda row: _member(sets, members, row, "GENERATE" in options)
    if keyword == "MATERIAL":
        deck.material = options["NAME"].upper()
        return lambda _: None
    if keyword == "ELASTIC" and options.get("TYPE", "ISO").upper().startswith("ISO"):
        return lambda row: _elastic(deck, row)
    if keyword == "ELASTIC" and options["TYPE"].upper() == "ENGINEERING CONSTANTS":
        constants = deck.orthotropic.setdefault(deck.material, [])
        return lambda row: constants.extend(float(x) for x in row)
    if keyword == "PLASTIC":
        return lambda row: _yield(deck, row)
    if keyword == "SOLID SECTION" and "ORIENTATION" not in options:
        deck.sections.append((options["ELSET"].upper(), options["MATERIAL"].upper()))
        return lambda _: None
    if keyword in ("BOUNDARY", "CLOAD") and options.keys() - {"OP"}:
        raise InputError(f"found *{keyword} with {', '.join(sorted(options))}, expected plain values; write them without options")
    if keyword == "BOUNDARY":
        return lambda row: _support(deck, row)
    if keyword == "CLOAD":
        return lambda row: _force(deck, row)
    if keyword == "STEP":
        deck.steps += 1
        if deck.steps > 1:
            raise InputError("found a second *STEP, expected one: a load history in steps cannot be read; keep one step")
    if keyword == "STEP" and options.get("NLGEOM", "NO").upper() != "NO":
        deck.notes.append("The file asks for large deformation (NLGEOM); small deformation is counted here.")
    if keyword in IGNORED:
        return lambda _: None
    raise InputError(
        f"found the keyword *{keyword}{' with other than isotropic data' if keyword == 'ELASTIC' else ''}, which a voxel model of isotropic "
        "material with prescribed displacements and nodal forces does not need; take it out, or solve the file with its own program"
    )


def _node(deck: _Deck, members: list[int], row: list[str]) -> None:
    x, y, z = (float(entry) for entry in (*row[1:4], "0", "0", "0")[:3])
    deck.nodes.append((int(row[0]), x, y, z))
    members.append(int(row[0]))


def _element(deck: _Deck, members: list[int], row: list[str]) -> None:
    if len(row) != 9:
        raise ValueError(len(row))
    deck.elements.append(tuple(int(entry) for entry in row))
    members.append(int(row[0]))


def _member(sets: dict[str, list[int]], members: list[int], row: list[str], generate: bool) -> None:
    if generate:
        first, last, step = (*map(int, row), 1)[:3]
        members.extend(range(first, last + 1, step))
        return
    for entry in row:
        members.extend([int(entry)] if entry.isdigit() else sets[entry.upper()])


def _elastic(deck: _Deck, row: list[str]) -> None:
    if deck.material in deck.elastic:
        raise InputError(f"found a second modulus of material {deck.material}, expected one: it may not depend on temperature")
    deck.elastic[deck.material] = (float(row[0]), float(row[1]))


def _yield(deck: _Deck, row: list[str]) -> None:
    if deck.material in deck.plastic and float(row[0]) != deck.plastic[deck.material]:
        raise InputError(f"found hardening in material {deck.material}, expected perfect plasticity: one yield stress")
    deck.plastic[deck.material] = float(row[0])


def _force(deck: _Deck, row: list[str]) -> None:
    nodes, axis = deck.members(row[0]), int(row[1])
    if not 1 <= axis <= 3:
        raise InputError(f"found a force along the degree of freedom {axis}, expected 1 to 3: bricks have no others")
    deck.forces.append((nodes, axis - 1, float(row[2])))


def _support(deck: _Deck, row: list[str]) -> None:
    nodes, first = deck.members(row[0]), int(row[1])
    last = int(row[2]) if len(row) > 2 and row[2] else first
    value = float(row[3]) if len(row) > 3 else 0.0
    if not 1 <= first <= last <= 3:
        raise InputError(
            f"found a support along the degrees of freedom {first} to {last}, expected 1 to 3: bricks have no others"
        )
    deck.supports += [(nodes, axis - 1, value) for axis in range(first, last + 1)]


def _symmetry(deck: _Deck) -> ElasticSymmetry | None:
    """Return the elastic symmetry that all materials share, after noting each one's modulus along the third axis."""
    if not deck.orthotropic:
        return None
    if deck.elastic or any(len(constants) != 9 for constants in deck.orthotropic.values()):
        raise InputError("found isotropic beside orthotropic materials, or one without nine constants, expected all with nine")
    moduli, symmetry = common_symmetry(np.array(list(deck.orthotropic.values())))
    deck.elastic = {name: (float(modulus), VOID_RATIO) for name, modulus in zip(deck.orthotropic, moduli, strict=True)}
    return symmetry


def _assemble(deck: _Deck, name: str) -> VoxelModel:
    """Return the model from the parts of the deck."""
    symmetry = _symmetry(deck)
    elements = np.array(deck.elements, dtype=np.int64).reshape(-1, 9)
    row_of = {int(number): row for row, number in enumerate(elements[:, 0])}
    if len(row_of) != len(elements):
        raise InputError("found an element number twice, expected each once; check the file")
    count = len(elements)
    modulus, ratio, strength = np.zeros(count), np.zeros(count), np.full(count, np.inf)
    for element_set, material in deck.sections:
        if element_set not in deck.element_sets or material not in deck.elastic:
            raise InputError(
                f"found a section of set {element_set} and material {material}, expected both in the file; check their names"
            )
        rows = [row_of.get(member, -1) for member in deck.element_sets[element_set]]
        if -1 in rows:
            raise InputError(f"found the set {element_set} with an element that the file does not define; check it")
        modulus[rows], ratio[rows] = deck.elastic[material]
        strength[rows] = deck.plastic.get(material, np.inf)
    table = np.array(deck.nodes, dtype=float).reshape(-1, 4)

    def dofs(entries: list[tuple[list[int], int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = [(number, axis, value) for numbers, axis, value in entries for number in numbers]
        found = np.array(rows, dtype=float).reshape(-1, 3)
        return found[:, 0].astype(np.int64), found[:, 1].astype(np.int64), found[:, 2]

    parts = Parts(
        name=name, node_numbers=table[:, 0].astype(np.int64), coordinates=table[:, 1:], elements=elements[:, 1:], youngs_modulus=modulus,
        poisson_ratio=ratio, yield_stress=strength, supports=dofs(deck.supports), forces=dofs(deck.forces),
        loaded=np.array(deck.node_sets.get("LOADED", []), dtype=np.int64), notes=tuple(dict.fromkeys(deck.notes)),
        symmetry=symmetry,
    )  # fmt: skip
    return assemble(parts)
