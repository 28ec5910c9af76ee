"""Load cases: a bone in, a mounted specimen and its boundary conditions out."""

from __future__ import annotations

from .as_scanned import AsScanned
from .axial_compression import AxialCompression
from .sideways_fall import SidewaysFall
from .stance import Stance

__all__ = ["AsScanned", "AxialCompression", "SidewaysFall", "Stance"]
