"""Shared fixtures: where the real scans are, and shape checks on our own records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Shapes in annotations are checked in the test run only: production pays nothing.
install_import_hook("openbct", "beartype.beartype")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real scans; the test is skipped where it is absent."""
    folder = Path(os.environ.get("OPENBCT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real scans here: set OPENBCT_TEST_DATA to their folder")
    return folder
