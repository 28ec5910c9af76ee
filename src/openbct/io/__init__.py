"""Everything that opens a path: scans and labels in, results out."""

from .scan import read_density, read_scan

__all__ = ["read_density", "read_scan"]
