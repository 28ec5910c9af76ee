"""Reading of FEBio 4: voxel models of one isotropic elastic material, and the node data that a run writes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float, Int

from ...errors import InputError
from ...records import Array, ElasticSymmetry
from .answer import SolverResult, answer, on_grid
from .assemble import Dofs, Parts, assemble, common_symmetry
from .feb import AXES
from .model import VOID_RATIO, VoxelModel

IGNORED = {
    "Module",
    "Control",
    "Globals",
    "Output",
    "LoadData",
    "MeshDomains",
    "MeshData",
    "Material",
    "Mesh",
    "Boundary",
    "Loads",
}
"""Sections that are read, or that do not change the answer of such a model."""
COLUMNS = ("ux", "uy", "uz", "Rx", "Ry", "Rz")


class _File:
    """The tree of a file, with its sets and maps by name."""

    def __init__(self, root: ElementTree.Element, name: str) -> None:
        self.root, self.name = root, name
        self.node_sets = {entry.get("name", ""): _numbers(entry.text) for entry in root.iterfind("Mesh/NodeSet")}
        self.maps = {entry.get("name", ""): entry for entry in root.iterfind("MeshData/*")}

    def values(self, entry: ElementTree.Element | None, count: int) -> Float[Array, " n"]:
        """Return one value for each of ``count`` members: that of the entry, or those of the map that it names."""
        if entry is None or entry.text is None:
            raise InputError(f"found {self.name!r} without a value where one is needed, expected a number or the name of a map")
        if entry.get("type") != "map":
            return np.full(count, float(entry.text))
        if entry.text.strip() not in self.maps:
            raise InputError(f"found the map {entry.text.strip()!r}, which {self.name!r} does not define; check its MeshData")
        rows = self.maps[entry.text.strip()]
        found = np.full(count, np.nan)
        for row in rows:
            found[int(row.attrib["lid"]) - 1] = float(row.text or "nan")
        if np.isnan(found).any():
            raise InputError(
                f"found the map {rows.get('name')!r} without a value for each of its {count} members, expected one each"
            )
        return found

    def dofs(self, path: str, kind: str, value: str) -> Dofs:
        """Return node numbers, axes and values of the entries under ``path`` of one kind."""
        found: list[Dofs] = []
        for entry in self.root.iterfind(path):
            if entry.get("node_set") not in self.node_sets:
                raise InputError(
                    f"found the node set {entry.get('node_set')!r}, which {self.name!r} does not define; check its Mesh"
                )
            members = self.node_sets[entry.attrib["node_set"]]
            if entry.get("type") == "zero displacement":
                axes = [a for a in range(3) if (entry.findtext(f"{AXES[a]}_dof") or "0").strip() == "1"]
                found += [(members, np.full(len(members), a), np.zeros(len(members))) for a in axes]
                continue
            if entry.get("type") != kind:
                raise InputError(f"found {path} of type {entry.get('type')!r}, expected {kind!r}; others cannot be read")
            axis = AXES.index((entry.findtext("dof") or "none").strip())
            found.append((members, np.full(len(members), axis), self.values(entry.find(value), len(members))))
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        numbers, axes_, values = (np.concatenate(column) for column in zip(*found, strict=True))
        return numbers, axes_, values


def read_feb(path: Path) -> VoxelModel:
    """Return the voxel model of a file of FEBio's specification 4.0, at its last time (load curves taken as 1).

    Raises
    ------
    InputError
        It cannot be read, is no voxel model, or holds a section, material or condition that this reader would have to leave out.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, LookupError, ElementTree.ParseError) as error:
        raise InputError(
            f"found {path.name!r}, which is no readable XML ({error}), expected FEBio's input; check the file"
        ) from error
    if root.tag != "febio_spec" or root.get("version") != "4.0":
        raise InputError(
            f"found {path.name!r} of {root.tag} version {root.get('version')}, expected febio_spec 4.0; convert it with FEBio Studio"
        )
    strange = [section.tag for section in root if section.tag not in IGNORED and (len(section) or section.attrib)]
    if strange:
        raise InputError(
            f"found the section {strange[0]!r}, which a voxel model of isotropic material does not need; take it out"
        )
    try:
        return _model(_File(root, path.name), path.stem)
    except (ValueError, IndexError, KeyError) as error:
        raise InputError(
            f"found an entry in {path.name!r} that cannot be read ({error}), expected numbers; check the file"
        ) from error


def _model(file: _File, name: str) -> VoxelModel:
    materials = file.root.findall("Material/material")
    kinds = ("isotropic elastic", "orthotropic elastic")
    if len(materials) != 1 or materials[0].get("type") not in kinds:
        raise InputError(f"found {len(materials)} materials in {file.name!r}, expected one, {' or '.join(kinds)}, with maps")
    nodes = [(int(n.attrib["id"]), *_floats(n.text)) for n in file.root.iterfind("Mesh/Nodes/node")]
    blocks = file.root.findall("Mesh/Elements")
    if len(blocks) != 1 or blocks[0].get("type") != "hex8":
        raise InputError(f"found {len(blocks)} blocks of elements in {file.name!r}, expected one of type hex8")
    elements = np.array([_numbers(e.text) for e in blocks[0].iterfind("elem")], dtype=np.int64)
    table = np.array(nodes, dtype=float).reshape(-1, 4)
    modulus, ratio, symmetry = _constants(file, materials[0], len(elements))
    parts = Parts(
        name=name,
        node_numbers=table[:, 0].astype(np.int64),
        coordinates=table[:, 1:],
        elements=elements.reshape(-1, 8),
        youngs_modulus=modulus,
        poisson_ratio=ratio,
        symmetry=symmetry,
        yield_stress=np.full(len(elements), np.inf),
        supports=file.dofs("Boundary/bc", "prescribed displacement", "value"),
        forces=file.dofs("Loads/nodal_load", "nodal_load", "scale"),
        loaded=file.node_sets.get("loaded", np.zeros(0, dtype=np.int64)),
        notes=("FEBio counts large deformation; small deformation is counted here.",),
    )
    return assemble(parts)


def _constants(
    file: _File, material: ElementTree.Element, count: int
) -> tuple[Float[Array, " m"], Float[Array, " m"], ElasticSymmetry | None]:
    """Return modulus, Poisson ratio and symmetry of the elements."""
    if material.get("type") == "isotropic elastic":
        return file.values(material.find("E"), count), file.values(material.find("v"), count), None
    axes = material.find("mat_axis")
    turned = axes is not None and (_floats(axes.findtext("a")), _floats(axes.findtext("d"))) != ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    if turned:
        raise InputError(f"found turned material axes in {file.name!r}, expected those of the grid: 1,0,0 and 0,1,0")
    names = ("E1", "E2", "E3", "v12", "v31", "v23", "G12", "G31", "G23")
    nine = np.stack([file.values(material.find(name), count) for name in names], axis=1)
    nine[:, 4] *= nine[:, 0] / nine[:, 2]
    modulus, symmetry = common_symmetry(nine)
    return modulus, np.full(count, VOID_RATIO), symmetry


def _floats(text: str | None) -> tuple[float, ...]:
    return tuple(float(x) for x in (text or "").split(","))


def _numbers(text: str | None) -> Int[Array, " n"]:
    """Return a comma-separated list of numbers and of ranges ``first:last:step``."""
    found: list[int] = []
    for entry in (text or "").replace("\n", ",").split(","):
        if not entry.strip():
            continue
        first, *rest = (int(x) for x in entry.split(":"))
        found += range(first, (rest[0] if rest else first) + 1, rest[1] if len(rest) > 1 else 1)
    return np.array(found, dtype=np.int64)


def read_feb_log(path: Path, model: VoxelModel) -> SolverResult:
    """Return the last block of the node data that the exported file asks FEBio for.

    Raises
    ------
    InputError
        It cannot be read, holds no displacements, or those of another model.
    """
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        starts = [row for row, line in enumerate(lines) if line.startswith("*Step")]
        head = [line.partition("=")[2].strip() for line in lines[starts[-1] : starts[-1] + 3]]
        time, columns = float(head[1]), tuple(head[2].split(";"))
        rows = [line.replace(",", " ").split() for line in lines[starts[-1] + 3 :] if line.strip()]
        table = np.array(rows, dtype=float).reshape(-1, 1 + len(columns))
    except OSError as error:
        raise InputError(f"found {path.name!r}, which cannot be read ({error.strerror}), expected node data of FEBio") from error
    except (ValueError, IndexError) as error:
        raise InputError(
            f"found {path.name!r}, which is no node data of FEBio, expected blocks with *Step, *Time, *Data"
        ) from error
    if not set(COLUMNS[:3]) <= set(columns):
        raise InputError(
            f"found the data {';'.join(columns)} in {path.name!r}, expected ux;uy;uz among them; ask for them in the file"
        )

    def field(names: tuple[str, ...]) -> Float[Array, "n 4"]:
        return table[:, [0, *(1 + columns.index(name) for name in names)]]

    forces = on_grid(field(COLUMNS[3:]), model, path.name)[0] if set(COLUMNS) <= set(columns) else None
    return answer("FEBio", model, time, *on_grid(field(COLUMNS[:3]), model, path.name), reaction=forces)
