"""The HDF5 library, which only some formats need: imported when it is needed, with a plain word where it is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import InputError, SettingsError

INSTALL = "python -m pip install h5py"


def load_h5py() -> Any:
    """Return the module ``h5py``.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise SettingsError(
            f"found no h5py, expected it for .n88model and ParOSol files; install it with `{INSTALL}` (or openbct[interop]), or choose inp, "
            "feb or vtu"
        ) from None
    return h5py


def open_hdf5(path: Path) -> Any:
    """Return an open HDF5 file, to be closed by the caller.

    Raises
    ------
    InputError
        It is none, or cannot be read.
    """
    h5py = load_h5py()
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"found {path.name!r}, which is no HDF5 file or is damaged ({type(error).__name__}), expected one; check the path"
        ) from None
