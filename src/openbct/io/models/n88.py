"""``.n88model`` files of FAIM, vtkbone and n88tools: netCDF-4 groups, written as the HDF5 that they are.

Layout as in the public (MIT) writer of vtkbone and reader of n88tools [SC]: nodes and elements from 1, corners in the order of
VTK's voxel, constraints by axis from 1. Moduli are a material array of one entry per element in single precision; with yield
stresses the format has only single materials, so elements share bins. No licence for FAIM was at hand: what FAIM itself says to
our files is not known.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from jaxtyping import Int

from ...records import Array
from .bins import gather, one_yield_stress
from .hdf5 import load_h5py
from .model import (
    VOXEL_CORNERS,
    VoxelModel,
    element_index,
    element_nodes,
    held,
    node_index,
    number_nodes,
    pushed,
)

CONVENTIONS = "Numerics88/Finite_Element_Model-1.0"
SUPPORTS, FORCES, LOADED = "openbct_supports", "openbct_forces", "openbct_loaded"


class _Writer:
    """Groups, dimensions and variables as netCDF-4 keeps them in HDF5: a dimension is a scale that its variables point to."""

    def __init__(self, h5py: Any) -> None:
        self.text = h5py.string_dtype("ascii")

    def group(self, parent: Any, name: str, **attributes: object) -> Any:
        group = parent.create_group(name, track_order=True)
        for key, value in attributes.items():
            self.attribute(group, key, value)
        return group

    def attribute(self, group: Any, key: str, value: object) -> None:
        """Attributes of text have a fixed length: netCDF reads others as another type."""
        group.attrs[key] = np.bytes_(value) if isinstance(value, str) else value

    def dimension(self, group: Any, name: str, size: int) -> Any:
        """A dimension without a variable of its own, marked as netCDF marks it."""
        scale = group.create_dataset(name, shape=(size,), dtype=">f4", track_times=False)
        scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")
        return scale

    def variable(self, group: Any, name: str, values: Array, *scales: Any) -> None:
        chunks = None if values.dtype == object else True
        data = group.create_dataset(name, data=values, dtype=self.text if values.dtype == object else None, chunks=chunks)
        for axis, scale in enumerate(scales):
            data.dims[axis].attach_scale(scale)


def n88_bytes(model: VoxelModel) -> tuple[bytes, tuple[str, ...]]:
    """Return the file, and what it could not hold, each a full sentence.

    Raises
    ------
    SettingsError
        h5py is not installed.
    """
    h5py = load_h5py()
    model = number_nodes(model, compact=True)
    cautions = list(one_yield_stress(model, "VonMisesIsotropic"))
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        write = _Writer(h5py)
        axes = write.dimension(file, "Dimensionality", 3)
        write.attribute(file, "Conventions", CONVENTIONS)
        write.attribute(file, "ActiveProblem", "Problem1")
        definitions = write.group(file, "MaterialDefinitions")
        table, of_element, caution = (_plastic if model.plastic else _elastic)(model, definitions, write)
        cautions += [caution] if caution else []
        _part(model, file, write, axes, table, of_element)
        names = _constraints(model, file, write)
        _sets(model, file, write)
        problems = write.group(file, "Problems")
        problem = write.group(problems, "Problem1", Part="Part1", Constraints=",".join(names))
        if model.loaded.any():
            write.attribute(problem, "PostProcessingNodeSets", LOADED)
        said = (*model.notes, *(f"Caution: {text}" for text in cautions))
        write.attribute(file, "History", "Written by OpenBCT; units mm, N, MPa; axes of the specimen.")
        write.attribute(file, "Log", "\n".join(said).encode("ascii", "replace").decode("ascii") or "none")
    return buffer.getvalue(), tuple(cautions)


def _elastic(model: VoxelModel, definitions: Any, write: _Writer) -> tuple[dict[int, str], Int[Array, " m"], str]:
    """Write one material array with an entry per element; ID n of an element is entry n - 1 of the array."""
    place = tuple(element_index(model).T)
    modulus, symmetry = model.youngs_modulus[place], model.symmetry
    group = write.group(definitions, "Bone", Type="LinearIsotropic" if symmetry is None else "LinearOrthotropic")
    length = write.dimension(group, "MaterialArrayLength", len(modulus))
    if symmetry is None:
        write.variable(group, "E", modulus.astype("<f4"), length)
        write.variable(group, "nu", model.poisson_ratio[place].astype("<f4"), length)
    else:
        components = write.dimension(group, "NComponents", 3)
        ij, ik, jk = symmetry.poisson
        ki = ik * symmetry.youngs[2] / symmetry.youngs[0]  # the format has yz, zx, xy of ratios and shear moduli
        for name, factors in (("E", symmetry.youngs), ("G", symmetry.shear)):
            write.variable(group, name, np.outer(modulus, factors).astype("<f4"), length, components)
        write.variable(group, "nu", np.tile([jk, ki, ij], (len(modulus), 1)).astype("<f4"), length, components)
    return {1: "Bone"}, np.arange(1, len(place[0]) + 1), ""


def _plastic(model: VoxelModel, definitions: Any, write: _Writer) -> tuple[dict[int, str], Int[Array, " m"], str]:
    """Write one material per bin: arrays are for elastic materials only."""
    found = gather(model)
    table = {}
    for row, (modulus, ratio, strength) in enumerate(
        zip(found.youngs_modulus, found.poisson_ratio, found.yield_stress, strict=True), start=1
    ):
        table[row] = f"Material{row}"
        if np.isfinite(strength):
            write.group(definitions, table[row], Type="VonMisesIsotropic", E=float(modulus), nu=float(ratio), Y=float(strength))
        else:
            write.group(definitions, table[row], Type="LinearIsotropic", E=float(modulus), nu=float(ratio))
    return table, found.of_element + 1, found.caution


def _part(model: VoxelModel, file: Any, write: _Writer, axes: Any, table: dict[int, str], of_element: Int[Array, " m"]) -> None:
    part = write.group(write.group(file, "Parts"), "Part1")
    places = node_index(model)
    nodes = write.dimension(part, "NumberOfNodes", len(places))
    write.variable(part, "NodeCoordinates", (places * np.asarray(model.spacing)).astype("<f4"), nodes, axes)
    group = write.group(write.group(part, "Elements"), "Hexahedrons")
    corners = write.dimension(group, "NumberOfNodesPerElement", 8)
    count = write.dimension(group, "NumberOfElements", len(of_element))
    write.variable(group, "ElementNumber", np.arange(1, len(of_element) + 1, dtype="<u4"), count)
    write.variable(group, "NodeNumbers", element_nodes(model, VOXEL_CORNERS).astype("<u4"), count, corners)
    write.variable(group, "MaterialID", of_element.astype("<u4"), count)
    group = write.group(part, "MaterialTable")
    size = write.dimension(group, "Size", len(table))
    write.variable(group, "ID", np.array(list(table), dtype="<u4"), size)
    write.variable(group, "MaterialName", np.array(list(table.values()), dtype=object), size)


def _constraints(model: VoxelModel, file: Any, write: _Writer) -> list[str]:
    """Write supports and nodal forces; returns their names."""
    group = write.group(file, "Constraints")
    names = []
    for name, kind, dofs in ((SUPPORTS, "NodeAxisDisplacement", held(model)), (FORCES, "NodeAxisForce", pushed(model))):
        if len(dofs[0]) == 0:
            continue
        names.append(name)
        place = write.group(group, name, Part="Part1", Type=kind)
        count = write.dimension(place, "NumberOfValues", len(dofs[0]))
        write.variable(place, "NodeNumber", dofs[0].astype("<u4"), count)
        write.variable(place, "Sense", (dofs[1] + 1).astype("i1"), count)
        write.variable(place, "Value", dofs[2].astype("<f4"), count)
    return names


def _sets(model: VoxelModel, file: Any, write: _Writer) -> None:
    loaded = np.sort(model.numbers[model.loaded & (model.numbers > 0)])
    if len(loaded) == 0:
        return
    place = write.group(write.group(write.group(file, "Sets"), "NodeSets"), LOADED, Part="Part1")
    write.variable(place, "NodeNumber", loaded.astype("<u4"), write.dimension(place, "NumberOfNodes", len(loaded)))
