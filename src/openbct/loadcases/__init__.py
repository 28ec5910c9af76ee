"""Load cases: a bone in, a mounted specimen and its boundary conditions out."""

from __future__ import annotations

from .axial_compression import AxialCompression
from .sideways_fall import SidewaysFall
from .stance import Stance

__all__ = ["AxialCompression", "SidewaysFall", "Stance"]
