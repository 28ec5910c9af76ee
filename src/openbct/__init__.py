"""OpenBCT: bone strength, density and fracture-risk assessment from clinical CT scans. Research use only.

The public names are imported when they are first used, so that ``import openbct`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "AxialCompression": "loadcases",
    "Case": "records",
    "GivenLabels": "segmentation",
    "MaterialLaw": "records",
    "OpenBCTError": "errors",
    "Scan": "records",
    "Settings": "settings",
    "SidewaysFall": "loadcases",
    "Volume": "volume",
    "analyze": "pipeline",
    "built_in": "settings",
    "make_report": "report",
    "measure_strength": "strength",
    "read_density": "io",
    "read_labels": "io",
    "read_scan": "io",
    "to_html": "report",
    "to_pdf": "report",
    "write_case": "io",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module 'openbct' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_WHERE, "__version__"])
