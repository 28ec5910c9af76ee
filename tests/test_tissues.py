"""What a tissue reads: exact, and without a second copy of the scan."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from openbct.calibration.tissues import _statistics
from openbct.volume import Volume, crop

AFFINE = np.array([[0.8, 0.0, 0.0, -30.0], [0.0, 0.8, 0.0, 12.0], [0.0, 0.0, 2.5, 400.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_statistics_are_those_of_the_marked_voxels(kind: type, order: str) -> None:
    source = np.random.default_rng(3)
    array = np.asarray(source.normal(-990.0, 15.0, (40, 31, 12)), dtype=kind, order="F" if order == "F" else "C")
    image = Volume(array, AFFINE, "HU")
    where = crop(image.with_array(source.random(array.shape) < 0.3, "mask"), (5, 0, 3), (33, 20, 12))
    voxels = array[5:33, 0:20, 3:12][where.array].astype(np.float64)
    mean, deviation, count = _statistics(image, where)
    assert count == voxels.size
    assert mean == pytest.approx(voxels.mean(), rel=1e-12)
    assert deviation == pytest.approx(voxels.std(), rel=1e-9)


def test_statistics_of_air_need_no_copy_of_it() -> None:
    image = Volume(np.full((160, 160, 120), -1000, dtype=np.int16), AFFINE, "HU")
    where = image.with_array(np.ones(image.shape, dtype=bool), "mask")
    tracemalloc.start()
    _statistics(image, where)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / image.array.size < 0.5, "bytes per voxel"
