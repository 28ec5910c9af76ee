"""Which software made a result."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("openbct", "numpy", "scipy", "numba", "pydicom", "nibabel", "typst", "matplotlib")
"""Those that can change a number or a page."""


def versions() -> dict[str, str]:
    """Return names and versions of the software that a result rests on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
