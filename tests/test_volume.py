"""One geometry, one convention: hostile input first, then places that must come out to a hair."""

from __future__ import annotations

import numpy as np
import pytest

from openbct.errors import GeometryError
from openbct.volume import (
    Volume,
    along,
    bounding_box,
    canonical,
    crop,
    offset_in,
    place_into,
    resample,
    same_grid,
    to_index,
    to_patient,
)

SHEARED = np.array([[0.0, 0.8, 0.1, 10.0], [-1.2, 0.0, 0.0, -20.0], [0.0, 0.05, -2.5, 30.0], [0.0, 0.0, 0.0, 1.0]])


def numbered(shape: tuple[int, int, int] = (4, 5, 6), affine: np.ndarray | None = None) -> Volume:
    return Volume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.eye(4) if affine is None else affine, "HU")


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0])])
def test_rejects_singular_affine(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="affine"):
        numbered(affine=affine)


def test_is_read_only_and_does_not_touch_the_callers_array() -> None:
    array = np.zeros((2, 2, 2))
    volume = Volume(array, np.eye(4), "HU")
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1.0
    array[0, 0, 0] = 5.0


def test_an_empty_box_and_an_empty_mask_are_errors() -> None:
    with pytest.raises(GeometryError, match="empty box"):
        crop(numbered(), (3, 3, 3), (3, 4, 5))
    with pytest.raises(GeometryError, match="empty mask"):
        bounding_box(Volume(np.zeros((2, 2, 2), dtype=bool), np.eye(4), "mask"))


def test_index_and_patient_are_inverse() -> None:
    points = np.random.default_rng(1).normal(size=(20, 3)) * 50
    np.testing.assert_allclose(to_patient(SHEARED, to_index(SHEARED, points)), points, atol=1e-9)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_canonical_moves_no_voxel(order: tuple[int, int, int], signs: tuple[int, int, int]) -> None:
    affine = np.eye(4)
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, column] = 0.0
        affine[axis, column] = sign * (0.7 + column)
    affine[:3, 3] = (-7.0, 3.0, 11.0)
    volume = numbered(affine=affine)
    turned = canonical(volume)
    assert (np.diag(turned.affine)[:3] > 0).all()
    for index in [(0, 0, 0), (3, 2, 1), (1, 4, 5)]:
        place = to_patient(volume.affine, np.array([index], dtype=float))
        there = tuple(np.rint(to_index(turned.affine, place))[0].astype(int))
        assert turned.array[there] == volume.array[index]


def test_crop_and_place_into_are_inverse() -> None:
    volume = numbered(affine=SHEARED)
    part = crop(volume, (1, 2, 3), (3, 9, 5))
    assert part.shape == (2, 3, 2)
    whole = place_into(part, volume)
    assert (whole.array[1:3, 2:5, 3:5] == volume.array[1:3, 2:5, 3:5]).all() and whole.array[0].max() == 0
    moved = Volume(part.array, part.affine + np.array([[0, 0, 0, 0.4]] + [[0] * 4] * 3), "HU")
    with pytest.raises(GeometryError, match="sub-box"):
        place_into(moved, volume)
    assert not same_grid(part, volume) and same_grid(volume, volume.with_array(volume.array * 2))


def test_offset_in_is_the_place_of_a_sub_box_also_outside() -> None:
    volume = numbered(affine=SHEARED)
    assert offset_in(crop(volume, (1, 2, 3), (3, 4, 5)), volume).tolist() == [1, 2, 3]
    assert offset_in(volume, crop(volume, (1, 2, 3), (3, 4, 5))).tolist() == [-1, -2, -3]


def test_along_is_the_coordinate_of_every_voxel() -> None:
    direction = np.array([0.6, -0.48, 0.64])
    heights = along((4, 5, 6), SHEARED, direction)
    for index in [(0, 0, 0), (3, 4, 5), (1, 2, 4)]:
        assert heights[index] == pytest.approx(to_patient(SHEARED, np.array(index, dtype=float)) @ direction)


def test_resample_reproduces_a_linear_field() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (10, 11, 12)], indexing="ij"), axis=-1).astype(float)
    affine = np.diag([1.0, 2.0, 1.5, 1.0])
    source = Volume((to_patient(affine, grid.reshape(-1, 3)) @ np.array([2.0, -1.0, 0.5])).reshape(10, 11, 12), affine, "HU")
    target = np.array([[0.9, 0.1, 0, 2.0], [-0.1, 0.9, 0, 5.0], [0, 0, 1.1, 3.0], [0, 0, 0, 1.0]])
    out = resample(source, (4, 5, 6), target)
    index = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    expected = to_patient(target, index) @ np.array([2.0, -1.0, 0.5])
    np.testing.assert_allclose([out.array[1, 2, 3], out.array[3, 4, 5]], expected, atol=1e-9)


def test_resample_keeps_mass_when_voxels_grow() -> None:
    rng = np.random.default_rng(2)
    source = Volume(np.pad(rng.random((24, 24, 24)), 6), np.eye(4), "HU")
    coarse = np.diag([3.0, 3.0, 3.0, 1.0])
    coarse[:3, 3] = 1.0
    out = resample(source, (12, 12, 12), coarse)
    assert out.array.sum() * 27.0 == pytest.approx(source.array.sum(), rel=2e-3)


def test_a_tight_mask_keeps_its_outer_half_voxel() -> None:
    """A mask that fills its array must not lose half a voxel at the array's border."""
    source = Volume(np.ones((4, 4, 4)), np.eye(4), "mask")
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] = -0.75
    out = resample(source, (10, 10, 10), fine, average=False)
    assert (out.array[1:9, 1:9, 1:9] > 0.4).all()
    assert (resample(source, (10, 10, 10), fine, order=0).array[1:9, 1:9, 1:9] == 1).all()
