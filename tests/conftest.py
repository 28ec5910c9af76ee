"""Shared fixtures: where the real scans are, and shape checks on our own records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]
UNITS = sorted(p.stem for p in (ROOT / "src" / "openbct").iterdir() if p.stem not in ("fe", "cli") and not p.stem.startswith("_"))

# Shapes in annotations are checked in the test run only: production pays nothing. The kernel is left out: its compiled
# functions cannot be wrapped.
install_import_hook([f"openbct.{unit}" for unit in UNITS], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real scans; the test is skipped where it is absent."""
    folder = Path(os.environ.get("OPENBCT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real scans here: set OPENBCT_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="module", autouse=True)
def coarse_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Small pictures in reports: half their time. A module that looks at the pictures says ``PRINT_SIZE = True``."""
    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, "PRINT_SIZE", False):
            patch.setattr("openbct.report.drawing.DPI", 60)
            patch.setattr("openbct.report.views.PIXELS", 60)
        yield
