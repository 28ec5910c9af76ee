"""The errors of OpenBCT, one tree.

::

    OpenBCTError
    ├─ InputError           the data cannot be used: skip this case, go on with the batch
    │  ├─ ScanError         slices missing or uneven, no rescale, gantry tilt, unreadable file
    │  ├─ CalibrationError  reference tissue not found, implausible line
    │  ├─ SegmentationError bone absent, cut by the image, in two pieces
    │  └─ GeometryError     two volumes on different grids
    ├─ ModelError           ill-posed FE problem: nothing held, nothing stiff, disconnected
    ├─ SolveError           not converged (carries the solution)
    ├─ OutputError          the result cannot be written: no room, no permission
    └─ SettingsError        unknown name, value out of range: stop the batch

Every text says what was found, what was expected and what to do. Doubt is not an error: it travels as a caution in
:class:`openbct.records.Step`. Anything that is not in this tree is a bug.
"""

from __future__ import annotations


class OpenBCTError(Exception):
    """Base of all errors that a user can act on."""

    exit_code: int = 1
    """Exit status of the command line for this kind of error."""


class InputError(OpenBCTError):
    """The data cannot be used."""

    exit_code = 3


class ScanError(InputError):
    """The scan cannot be trusted or read."""


class CalibrationError(InputError):
    """Density cannot be calibrated."""


class SegmentationError(InputError):
    """The bone is absent, cut, or not in one piece."""


class GeometryError(InputError):
    """Two volumes do not share a grid."""


class ModelError(OpenBCTError):
    """The finite-element problem is ill-posed."""

    exit_code = 4


class SolveError(OpenBCTError):
    """The solver stopped above its tolerance."""

    exit_code = 4

    def __init__(self, message: str, solution: object | None = None) -> None:
        super().__init__(message)
        self.solution = solution
        """What was reached when the solver stopped."""


class OutputError(OpenBCTError):
    """A result cannot be written."""

    exit_code = 5


class SettingsError(OpenBCTError):
    """A name is unknown or a value is out of range."""

    exit_code = 2
