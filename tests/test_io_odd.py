"""Every row of the table of odd inputs: refused with its reason, read with its caution, or read as if nothing were odd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ct_series import SECRET
from odd_inputs import Odd, good
from odd_rows import ODD
from openbct.errors import ScanError
from openbct.io import read_scan
from openbct.records import Scan


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = tmp_path_factory.mktemp("sound")
    good(folder)
    return read_scan(folder)


def test_there_are_enough_and_no_two_alike() -> None:
    assert len(ODD) >= 60
    assert len({row.name for row in ODD}) == len(ODD) == len({row.done for row in ODD})
    assert all(row.says for row in ODD if row.answer == "cautioned")


HOSTILE = {"files", "compression", "archives"}
"""Rows that no other test has; the rest runs with the slow ones."""


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=() if row.group in HOSTILE else pytest.mark.slow) for row in ODD]
)
def test_answer(tmp_path: Path, row: Odd, sound: Scan) -> None:
    target = row.make(tmp_path) or tmp_path
    files = sorted(tmp_path.rglob("*"))
    try:
        scan = read_scan(target)
    except ScanError as error:
        told = str(error)
        assert row.answer == "refused" and error.__cause__ is None, told
        assert "found" in told and "expected" in told and row.says in told, told
    else:
        new = " ".join(caution for caution in scan.step.cautions if caution not in sound.step.cautions)
        told = scan.step.sentence + new
        assert row.answer != "refused", told
        if row.answer == "cautioned":
            assert row.says in new, new
        elif row.answer == "as it was":
            inside = scan.image.array != -1024  # what was made padding is air
            np.testing.assert_array_equal(scan.image.array[inside], sound.image.array[inside])
            assert inside.mean() > 0.97
            np.testing.assert_allclose(scan.image.affine, sound.image.affine, atol=1e-6)
    assert SECRET not in told and str(tmp_path) not in told and "passwd" not in told
    assert sorted(tmp_path.rglob("*")) == files
