"""The formats as one table: how each is named, written and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError, SettingsError
from ..files import write_bytes
from ..vtu import vtu_bytes
from .answer import SolverResult
from .ccx_results import read_calculix
from .feb import feb_bytes
from .feb_read import read_feb, read_feb_log
from .hdf5 import load_h5py
from .inp import inp_bytes
from .inp_read import read_inp
from .model import VoxelModel
from .n88 import n88_bytes
from .n88_read import read_n88, read_n88_solution
from .parosol import parosol_bytes, read_parosol, read_parosol_solution

Write = Callable[[VoxelModel], tuple[bytes, tuple[str, ...]]]
Answer = Callable[[Path, VoxelModel], SolverResult]


@dataclass(frozen=True)
class Format:
    """One format of a finite-element model."""

    name: str
    """As an option names it."""
    suffix: str
    programs: str
    """Who reads it, in words."""
    write: Write
    """Returns the file, and what it could not hold."""
    read: Callable[[Path], VoxelModel] | None
    """``None``: for looking at only."""
    results: dict[str, Answer]
    """Suffix of a result file to its reader."""
    hdf5: bool = False
    """Needs h5py."""


def model_vtu_bytes(model: VoxelModel) -> tuple[bytes, tuple[str, ...]]:
    """Return the model as VTU, in specimen axes: moduli, yield stresses, supports, prescribed displacements and forces."""
    affine = np.diag([*model.spacing, 1.0])
    affine[:3, 3] = 0.5 * np.asarray(model.spacing)
    cells = {"youngs_modulus_mpa": model.youngs_modulus, "poisson_ratio": model.poisson_ratio}
    if model.plastic:
        # A reader of VTU may choke on infinity: 0 says that the element stays elastic.
        cells["yield_stress_mpa"] = np.where(np.isfinite(model.yield_stress), model.yield_stress, 0.0)
    points = {
        "is_fixed": model.fixed.astype(float), "prescribed_displacement_mm": model.displacement, "force_n": model.force,
        "is_loaded": np.repeat(model.loaded[..., None].astype(float), 3, axis=-1),
    }  # fmt: skip
    return vtu_bytes(model.active, affine, cells=cells, points=points), ()


FORMATS = {
    entry.name: entry
    for entry in (
        Format("inp", ".inp", "CalculiX, Abaqus", inp_bytes, read_inp, {".dat": read_calculix, ".frd": read_calculix}),
        Format("feb", ".feb", "FEBio 4", feb_bytes, read_feb, {".csv": read_feb_log, ".txt": read_feb_log}),
        Format(
            "n88model", ".n88model", "FAIM, n88tools, vtkbone", n88_bytes, read_n88, {".n88model": read_n88_solution}, hdf5=True
        ),
        Format("parosol", ".h5", "ParOSol", parosol_bytes, read_parosol, {".h5": read_parosol_solution}, hdf5=True),
        Format("vtu", ".vtu", "ParaView, 3D Slicer", model_vtu_bytes, None, {}),
    )
}


def format_of(path: Path) -> Format:
    """Return the format that the suffix of a path names.

    Raises
    ------
    SettingsError
        No format has it.
    """
    for entry in FORMATS.values():
        if path.suffix.lower() == entry.suffix:
            return entry
    known = ", ".join(f"{entry.suffix} ({entry.programs})" for entry in FORMATS.values())
    raise SettingsError(f"found a model file that ends in {path.suffix!r}, expected one of {known}; name it so")


def check_formats(names: Sequence[str]) -> None:
    """Refuse names of formats that cannot be written here, before anything is computed.

    Raises
    ------
    SettingsError
        An unknown format, one to look at only, or one that needs a package that is not installed.
    """
    known = [name for name, entry in FORMATS.items() if entry.read is not None]
    for name in names:
        if name not in known:
            raise SettingsError(f"found the model format {name!r}, expected {', '.join(known)}; name them with commas between")
        if FORMATS[name].hdf5:
            load_h5py()


def write_model(model: VoxelModel, path: Path | str, *, format: str | None = None) -> tuple[str, ...]:
    """Write a model in the format of the file's suffix, or in a named one; returns what the file could not hold.

    Raises
    ------
    ModelError
        The format cannot hold such a model at all.
    OutputError
        No room, no permission.
    SettingsError
        An unknown format, or one that needs a package that is not installed.
    """
    path = Path(path)
    if format is not None and format not in FORMATS:
        raise SettingsError(f"found the format {format!r}, expected one of {', '.join(FORMATS)}; choose one")
    content, cautions = (format_of(path) if format is None else FORMATS[format]).write(model)
    write_bytes(path, content)
    return cautions


def read_model(path: Path | str) -> VoxelModel:
    """Return the model of a file, by its suffix.

    Raises
    ------
    InputError
        It cannot be read, or is no voxel model of isotropic material.
    SettingsError
        An unknown format, one that cannot be read, or one that needs a package that is not installed.
    """
    path = Path(path)
    entry = format_of(path)
    if entry.read is None:
        raise SettingsError(f"found a model to be read from {entry.suffix}, which is for looking at; expected another format")
    if not path.is_file():
        raise InputError(f"found no file {path.name!r}, expected a model; check the path")
    return entry.read(path)


def read_answer(path: Path | str, model: VoxelModel) -> SolverResult:
    """Return what a solver answered to a model, by the suffix of its result file.

    Raises
    ------
    InputError
        It cannot be read, or is no answer to this model.
    SettingsError
        An unknown format, or one that needs a package that is not installed.
    """
    path = Path(path)
    readers = {suffix: reader for entry in FORMATS.values() for suffix, reader in entry.results.items()}
    if path.suffix.lower() not in readers:
        raise SettingsError(
            f"found a result that ends in {path.suffix!r}, expected one of {', '.join(readers)}: printed tables or fields of CalculiX, node "
            "data of FEBio, or a solved .n88model or ParOSol file"
        )
    if not path.is_file():
        raise InputError(f"found no file {path.name!r}, expected the result of a solver; check the path")
    return readers[path.suffix.lower()](path, model)
