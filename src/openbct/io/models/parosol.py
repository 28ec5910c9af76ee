"""ParOSol's HDF5 files, in the dialect that parosol-py 0.1 writes and reads.

Layout as that program reads it [SC]: an image of moduli in GPa with its axes reversed, supports as node coordinates and axis in the same
order, 0 taken as "free" (a support that does not move is written as 1e-16 mm), results in the same file under ``Mesh`` and
``Solution``. Its nonlinear map caps principal stresses: that is not von Mises plasticity.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, ModelError
from .answer import SolverResult, answer, on_grid
from .hdf5 import load_h5py, open_hdf5
from .model import VoxelModel, box_of, from_arrays

A_PAROSOL = "a ParOSol file"
ELASTIC = "openbct_stays_elastic_from_mpa"
"""Attribute: yield stresses from this one on stand for material that stays elastic."""
NO_MOTION = 1e-16
"""What stands for a support that does not move [mm] [SC]."""
MAX_NODES = 32767
"""Largest node coordinate: 16-bit integers [SC]."""
UNEQUAL = 1e-6
"""Relative difference of voxel edges that counts as a cube [design]."""


def parosol_bytes(model: VoxelModel) -> tuple[bytes, tuple[str, ...]]:
    """Return the file, and what it could not hold, each a full sentence.

    Raises
    ------
    ModelError
        The elements are not isotropic, the voxels no cubes, or more than 32767 along an axis.
    SettingsError
        h5py is not installed.
    """
    h5py = load_h5py()
    if model.symmetry is not None:
        raise ModelError(
            f"found {model.symmetry.name} elements, expected isotropic ones: ParOSol has no others; choose another format"
        )
    if max(model.spacing) - min(model.spacing) > UNEQUAL * max(model.spacing):
        raise ModelError(
            f"found voxels of {model.spacing} mm, expected cubes: ParOSol knows one edge length; choose another format"
        )
    if max(model.active.shape) >= MAX_NODES:
        raise ModelError(
            f"found {max(model.active.shape)} voxels along an axis, expected fewer than {MAX_NODES}; choose another format"
        )
    cautions = []
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["openbct"] = "Units: Image in GPa, lengths in mm, forces in N. " + " ".join(model.notes)
        group = file.create_group("Image_Data")
        group["Image"] = np.swapaxes(model.youngs_modulus / 1000.0, 0, 2).astype(np.float32)
        group["Voxelsize"] = float(model.spacing[0])
        ratio = model.poisson_ratio[model.active]
        group["Poisons_ratio"] = float(ratio[0])
        if float(np.ptp(ratio)) > 0:
            group["Poissons_ratio_Image"] = np.swapaxes(model.poisson_ratio, 0, 2).astype(np.float32)
            cautions.append(
                "The Poisson ratio differs between voxels: only parosol-py's dialect reads that, other ParOSol takes the first one."
            )
        places = np.argwhere(model.fixed)
        values = model.displacement[tuple(places.T)]
        group["Fixed_Displacement_Coordinates"] = places[:, [2, 1, 0, 3]].astype(np.uint16)
        group["Fixed_Displacement_Values"] = np.where(values == 0, NO_MOTION, values).astype(np.float32)
        places = np.argwhere((model.force != 0) & ~model.fixed)
        group["Loaded_Nodes_Coordinates"] = places[:, [2, 1, 0, 3]].astype(np.uint16)
        group["Loaded_Nodes_Values"] = model.force[tuple(places.T)].astype(np.float32)
        if model.plastic:
            cautions.append(
                "The yield stresses were written as parosol-py's nonlinear map, which caps principal stresses: its strength is not that of "
                "von Mises plasticity."
            )
            _nonlinear(model, file.create_group("Nonlinear"))
    return buffer.getvalue(), tuple(cautions)


def _nonlinear(model: VoxelModel, group: Any) -> None:
    """Write the yield stresses; a material that stays elastic gets one that it cannot reach."""
    active, strength = model.active, model.yield_stress
    never = 1e3 * float(strength[active & np.isfinite(strength)].max())
    compressive = np.where(active, np.where(np.isfinite(strength), strength, never), 0.0)
    group.attrs["enabled"] = 1
    group.attrs["material_type"] = "AsymmetricPerfectPlasticDensityMap"
    group.attrs["source"] = "openbct"
    group.attrs[ELASTIC] = never
    fields = {
        "YoungsModulusMPa": model.youngs_modulus, "PoissonRatio": model.poisson_ratio, "CompressiveYieldStressMPa": compressive,
        "TensileYieldStressMPa": compressive * model.tension_ratio, "PlateauStressMPa": compressive,
    }  # fmt: skip
    for name, array in fields.items():
        group[name] = np.swapaxes(array, 0, 2).astype(np.float32)
    group["MaterialID"] = np.swapaxes(active, 0, 2).astype(np.uint16)


def read_parosol(path: Path) -> VoxelModel:
    """Return the model of a ParOSol file.

    Raises
    ------
    InputError
        It is damaged, has no image, or a support outside of it.
    ModelError
        The image is empty.
    SettingsError
        h5py is not installed.
    """
    with open_hdf5(path, A_PAROSOL) as file:
        group = file["Image_Data"]
        modulus = np.swapaxes(group["Image"][:], 0, 2).astype(float) * 1000.0
        spacing = float(np.ravel(group["Voxelsize"][()])[0])
        ratio: float | np.ndarray = float(np.ravel(group["Poisons_ratio"][()])[0])
        if "Poissons_ratio_Image" in group:
            ratio = np.swapaxes(group["Poissons_ratio_Image"][:], 0, 2).astype(float)
        fixed, displacement = _spread(group, "Fixed_Displacement", modulus.shape, path.name)
        _, force = _spread(group, "Loaded_Nodes", modulus.shape, path.name)
        strength, tension = _read_nonlinear(file, modulus)
    displacement[np.abs(displacement) <= 10 * NO_MOTION] = 0.0
    return from_arrays(
        modulus,
        fixed=fixed,
        displacement=displacement,
        spacing=(spacing,) * 3,
        poisson_ratio=ratio,
        yield_stress=strength,
        tension_ratio=tension,
        force=force,
        name=path.stem,
    )


def _spread(group: Any, name: str, voxels: tuple[int, ...], file_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where a list of nodal values says something, and what; an absent or empty one says nothing."""
    nodes = tuple(n + 1 for n in voxels)
    where, value = np.zeros((*nodes, 3), dtype=bool), np.zeros((*nodes, 3))
    if f"{name}_Values" not in group or len(group[f"{name}_Values"]) == 0:
        return where, value
    k, j, i, axis = group[f"{name}_Coordinates"][:].astype(np.int64).T
    if (np.array([i.max(), j.max(), k.max()]) >= nodes).any() or axis.max() > 2:
        raise InputError(
            f"found a support or load outside the image of {file_name!r}, expected them on its nodes; check the file"
        )
    where[i, j, k, axis] = True
    value[i, j, k, axis] = group[f"{name}_Values"][:]
    return where, value


def _read_nonlinear(file: Any, modulus: np.ndarray) -> tuple[np.ndarray, float]:
    """Return compressive yield stress and tension ratio; elastic where the file has no map, or our mark for such material."""
    strength = np.full(modulus.shape, np.inf)
    group = file.get("Nonlinear")
    if group is None or "CompressiveYieldStressMPa" not in group:
        return strength, 1.0
    found = np.swapaxes(group["CompressiveYieldStressMPa"][:], 0, 2)
    tensile = np.swapaxes(group["TensileYieldStressMPa"][:], 0, 2)
    yields = (modulus > 0) & (found > 0) & (found < np.float32(group.attrs.get(ELASTIC, np.inf)))
    strength[yields] = found[yields]
    return strength, float(np.median(tensile[yields] / found[yields])) if yields.any() else 1.0


def read_parosol_solution(path: Path, model: VoxelModel) -> SolverResult:
    """Return displacements and reactions that ParOSol wrote into the file.

    Raises
    ------
    InputError
        It holds no solution, or one of another model.
    """
    with open_hdf5(path, A_PAROSOL) as file:
        if "Solution/disp" not in file or "Mesh/Coordinates" not in file:
            raise InputError(
                f"found no solution in {path.name!r}, expected the file after ParOSol has run with displacements written; run it"
            )
        image = np.swapaxes(file["Image_Data/Image"][:], 0, 2) > 0
        coordinates = file["Mesh/Coordinates"][:].astype(float)
        names = {"disp": "Solution/disp", "force": "Solution/force"}
        tables = {key: file[where][:].astype(float).reshape(-1, 3) for key, where in names.items() if where in file}
    lower, upper = box_of(image)
    place = np.rint(coordinates / model.spacing[0]).astype(int) - np.array(lower)
    numbers = model.numbers
    inside = (place >= 0).all() and (place < numbers.shape).all()
    shape = tuple(b - a for a, b in zip(lower, upper, strict=True))
    if shape != model.active.shape or not inside or (numbers[tuple(place.T)] == 0).any():
        raise InputError(f"found the solution of another model in {path.name!r}, expected that of this one; check both paths")
    fields = {}
    for key, table in tables.items():
        if len(table) != len(place):
            raise InputError(
                f"found {len(table)} vectors for {len(place)} nodes in {path.name!r}, expected one each; run it again"
            )
        rows = np.concatenate([numbers[tuple(place.T)][:, None].astype(float), table], axis=1)
        fields[key] = on_grid(rows, model, path.name)
    return answer("ParOSol", model, 1.0, *fields["disp"], reaction=fields["force"][0] if "force" in fields else None)
