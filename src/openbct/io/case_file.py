"""A whole case in one file, so that a report can be made again without computing anything again.

The file is a zip of one JSON tree and plain NumPy arrays; reading it runs no code (no pickle). What other stages can make
again cheaply is left out: the boundary arrays of the FE model, and the density image, which is the scan's line.
"""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import records, volume
from ..errors import InputError, OutputError
from ..records import CalibratedVolume, Case, Scan
from ..volume import Volume
from .case_migrations import completed

FORMAT = "openbct-case/1"
RECORDS: dict[str, type] = {
    name: value
    for module in (records, volume)
    for name, value in vars(module).items()
    if isinstance(value, type) and is_dataclass(value) and name not in ("MaterialLaw",)
}
COMPRESSION = 1
"""CT noise hardly compresses: more effort costs seconds and saves a tenth [design]."""
SLAB = 8
"""Slices that density is checked and made again by [design]."""
FIELD_SIZE = 10_000
"""From this many numbers on an array is a field, not a table [design]."""
DENSITY_TOLERANCE = 0.01
"""Density is made again from the scan's line where that gives it back to within this [mg/cm3]: rounding [design]."""
MAX_ARRAY_BYTES = 4_000_000_000
"""A larger array is no case of ours: the file is damaged or hostile [design]."""


def write_case_file(case: Case, path: Path) -> None:
    """Write a case; :func:`read_case_file` gives it back: fields in single precision, FE models left out.

    Raises
    ------
    OutputError
        The disk is full or the folder cannot be written.
    """
    arrays: list[np.ndarray] = []
    slim = replace(case, bones=tuple(replace(bone, model=None) for bone in case.bones))
    if case.calibration is not None:
        slim = replace(slim, calibration=_without_density(case.calibration, case.scan))
    tree = {"format": FORMAT, "case": _encode(slim, arrays)}
    temporary = path.with_name(path.name + ".part")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
            # Members opened by name carry no time of day, so that equal cases make equal files; arrays go in piece by piece.
            with archive.open("case.json", "w") as member:
                member.write(json.dumps(tree, allow_nan=True).encode("utf-8"))
            for number, array in enumerate(arrays):
                with archive.open(f"{number}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(f"the case file could not be written ({error.strerror}); check free space and permissions") from error


def as_stored(case: Case) -> Case:
    """Return the case as :func:`read_case_file` would give it back, sharing its scan and density: no second copy of the image."""
    slim = replace(case, bones=tuple(replace(bone, model=None) for bone in case.bones))
    rounded: Case = _rounded(slim, {id(case.scan), id(case.calibration)})
    return rounded


def _rounded(value: Any, shared: set[int]) -> Any:
    """Return a record with its fields as they are stored; those in ``shared`` as they are."""
    if id(value) in shared:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: _rounded(getattr(value, f.name), shared) for f in fields(value)})
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value) if value.dtype == bool else _stored(value)
    if isinstance(value, Mapping):
        return {key: _rounded(item, shared) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = (_rounded(item, shared) for item in value)
        return tuple(items) if isinstance(value, tuple) else list(items)
    return value.item() if isinstance(value, np.generic) else value


def read_case_file(path: Path) -> Case:
    """Return the case that was written.

    Raises
    ------
    InputError
        There is no such file, or it is damaged, or of another format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open(_allowed(archive, "case.json")) as member:
                tree = json.loads(member.read())
            if tree.get("format") != FORMAT:
                raise InputError(
                    f"found a case file of format {tree.get('format')!r}, expected {FORMAT!r}; analyse the scan again"
                )
            case = _complete(_decode(tree["case"], archive))
    except FileNotFoundError as error:
        raise InputError(f"found no {path.name} in the folder, expected the result of an earlier run; check the path") from error
    except InputError:
        raise
    except Exception as error:  # a damaged file can fail anywhere between zip and record
        raise InputError(
            f"found a {path.name} that is damaged ({type(error).__name__}), expected a whole one; copy it again, or analyse the scan again"
        ) from error
    return case


def _complete(case: Any) -> Case:
    """Return a case with its density made again."""
    if not isinstance(case, Case) or not isinstance(case.scan, Scan):
        raise TypeError("no case")
    calibration = case.calibration
    if calibration is not None and calibration.density.array.size == 0:
        return replace(case, calibration=_with_density(calibration, case.scan))
    return case


def _allowed(archive: zipfile.ZipFile, name: str) -> str:
    """Return the name of a member, refusing one that no case of ours has."""
    if archive.getinfo(name).file_size > MAX_ARRAY_BYTES:
        raise ValueError("member too large")
    return name


def _slabs(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the same few slices of each array, along the axis that lies slowest in the memory of the first."""
    slowest = int(np.argmax(np.abs(arrays[0].strides)))
    turned = [np.moveaxis(array, slowest, 0) for array in arrays]
    for first in range(0, len(turned[0]), SLAB):
        yield tuple(array[first : first + SLAB] for array in turned)


def _line(calibration: CalibratedVolume, image: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    return np.asarray(calibration.slope * image.astype(np.float64) + calibration.intercept).astype(dtype)


def _without_density(calibration: CalibratedVolume, scan: Scan) -> CalibratedVolume:
    density = calibration.density
    if density.shape != scan.image.shape:
        return calibration
    for image, stored in _slabs(scan.image.array, density.array):
        if not np.allclose(_line(calibration, image, stored.dtype), stored, rtol=0.0, atol=DENSITY_TOLERANCE):
            return calibration
    empty = np.zeros((0, 0, 0), dtype=density.array.dtype)
    return replace(calibration, density=Volume(empty, density.affine, density.unit))


def _with_density(calibration: CalibratedVolume, scan: Scan) -> CalibratedVolume:
    stored = calibration.density
    array = np.empty_like(scan.image.array, dtype=stored.array.dtype)
    for image, density in _slabs(scan.image.array, array):
        density[...] = _line(calibration, image, density.dtype)
    return replace(calibration, density=Volume(array, stored.affine, stored.unit))


def _encode(value: Any, arrays: list[np.ndarray]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        name = type(value).__name__
        return {"record": name, "fields": {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value)}}
    if isinstance(value, np.ndarray):
        arrays.append(np.packbits(value) if value.dtype == bool else _stored(value))
        entry: dict[str, Any] = {"array": len(arrays) - 1}
        return entry | {"bits": list(value.shape)} if value.dtype == bool else entry
    if isinstance(value, Mapping):
        return {"map": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        items = [_encode(item, arrays) for item in value]
        return items if isinstance(value, tuple) else {"list": items}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot stand in a case file")


def _stored(array: np.ndarray) -> np.ndarray:
    """Return an array as it is stored: fields in single precision, which is finer than anything drawn from them."""
    small = array.size < FIELD_SIZE or array.dtype != np.float64
    return np.ascontiguousarray(array if small else array.astype(np.float32))


def _decode(value: Any, archive: zipfile.ZipFile) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, archive) for item in value)
    if not isinstance(value, dict):
        return value
    if "map" in value:
        return {key: _decode(item, archive) for key, item in value["map"]}
    if "list" in value:
        return [_decode(item, archive) for item in value["list"]]
    if "array" in value:
        return _array(value, archive)
    name = value["record"]
    return RECORDS[name](**completed(name, {field: _decode(item, archive) for field, item in value["fields"].items()}))


def _array(entry: dict[str, Any], archive: zipfile.ZipFile) -> np.ndarray:
    name = f"{int(entry['array'])}.npy"
    with archive.open(_allowed(archive, name)) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # the end has to be reached: there the checksum is compared
            raise ValueError("more than an array")
    if "bits" not in entry:
        return np.asarray(array)
    shape = tuple(int(n) for n in entry["bits"])
    return np.unpackbits(array, count=int(np.prod(shape))).astype(bool).reshape(shape)


__all__ = ["as_stored", "read_case_file", "write_case_file"]
