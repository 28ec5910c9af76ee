"""The HDF5 library, which only some formats need: imported when it is needed, with a plain word where it is absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def open_hdf5(path: Path, expected: str) -> Iterator[Any]:
    """Open an HDF5 file for reading; ``expected`` is what it should be, in words.

    Raises
    ------
    InputError
        It cannot be read, or something in it is absent or of another shape than the layout says.
    SettingsError
        h5py is not installed.
    """
    h5py = load_h5py()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(
            f"found {path.name!r}, which cannot be read as HDF5, expected {expected}; check path and file"
        ) from error
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"found {path.name!r} in another layout than {expected} has ({error}); check the file") from error
