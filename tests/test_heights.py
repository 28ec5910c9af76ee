"""Heights of vertebral bodies: the outline and its corners, and endplates to a fraction of a slice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from openbct.anatomy.endplates import fit_endplates, padded
from openbct.anatomy.heights import six_points
from openbct.anatomy.sagittal_outline import Outline, outline_of
from openbct.errors import SegmentationError
from openbct.records import Array
from openbct.volume import Volume

WIDTH, DEPTH, HEIGHT = 40.0, 30.0, 24.0
FINE = 0.25


def drawn(
    slices: float, *, front: float = 0.0, hollow: float = 0.0, tilt_deg: float = 0.0, shift: float = 0.0, plate: float = 800.0
) -> tuple[Volume, Volume]:
    """Return mask and density of a block whose upper endplate is lower in front, and sunk in the middle, by these lengths [mm].

    The endplates are 0.5 mm thick, the image is blurred by 0.6 mm. Slices are means of fine layers, so that voxels hold shares; the mask goes by their centres.
    """
    layers = round(slices / FINE)
    shape = np.array([52, 46, int(np.ceil(44 / slices))])
    first = -np.array([25.5, 22.5, 22.0 - shift])
    turn = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix()

    def depth_at(z: Array) -> tuple[Array, Array, Array]:
        points = (
            np.stack(np.meshgrid(first[0] + np.arange(shape[0]), first[1] + np.arange(shape[1]), z, indexing="ij"), axis=-1)
            @ turn
        )
        x, y, z = np.moveaxis(points, -1, 0)
        top = HEIGHT / 2 - front * (0.5 - y / DEPTH) - hollow * np.clip(1 - np.abs(y) / 9.0, 0, 1)
        return np.minimum(top - z, z + HEIGHT / 2), np.abs(x) - WIDTH / 2, np.abs(y) - DEPTH / 2

    z = first[2] + (np.arange(shape[2] * layers) + 0.5) * FINE
    depth, *sides = depth_at(z)
    beside = np.maximum(*sides) < 0
    fine = np.where(beside, np.where(depth < 0, 75.0, np.where(depth < 0.5, plate, 110.0)), 40.0)
    fine = ndimage.gaussian_filter(fine, (0.6, 0.6, 0.6 / FINE))
    image = fine.reshape(*shape, layers).mean(axis=3)
    affine = np.diag([1.0, 1.0, slices, 1.0])
    affine[:3, 3] = first + (0, 0, slices / 2)
    middle, *sides = depth_at(first[2] + (np.arange(shape[2]) + 0.5) * slices)
    inside = (middle > 0) & (np.maximum(*sides) < 0)
    return Volume(inside, affine, "mask"), Volume(image.astype(np.float32), affine, "mg/cm3 K2HPO4")


def outlined(mask: Volume) -> Outline:
    endplates = fit_endplates(mask, np.eye(3))
    return outline_of(padded(mask), endplates.frame, endplates.columns)


def heights(mask: Volume, density: Volume) -> dict[str, float]:
    return six_points(outlined(mask), density)[1]


@pytest.mark.parametrize("tilt_deg", [0.0, 20.0])
def test_corners_of_a_wedge_are_named_as_they_lie(tilt_deg: float) -> None:
    mask, _ = drawn(1.0, front=10.0, tilt_deg=tilt_deg)
    outline = outlined(mask)
    turn = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix()
    expected = [(-15.0, 2.0), (15.0, 12.0), (15.0, -12.0), (-15.0, -12.0)]
    for corner, (y, z) in zip(outline.corners, expected, strict=True):
        assert outline.in_patient(corner) @ turn == pytest.approx((outline.x, y, z), abs=1.6)


@pytest.mark.parametrize(("slices", "shift"), [(1.0, 0.3), (2.0, 0.9), (3.0, 0.4), (3.0, 1.7)])
def test_endplates_are_found_to_a_fraction_of_a_slice(slices: float, shift: float) -> None:
    mask, density = drawn(slices, tilt_deg=6.0, shift=shift)
    found = heights(mask, density)
    assert found == pytest.approx(dict.fromkeys(found, HEIGHT), abs=0.15 * slices + 0.1)
    flat = heights(mask, density.with_array(np.zeros(density.shape, dtype=np.float32)))
    assert flat == pytest.approx(found, abs=slices)  # an image that shows nothing leaves the mask's surface


@pytest.mark.parametrize("slices", [1.0, 3.0])
def test_the_middle_height_is_that_of_the_deepest_place(slices: float) -> None:
    found = heights(*drawn(slices, hollow=9.0, tilt_deg=6.0))
    assert found["middle"] == pytest.approx(HEIGHT - 9.0, abs=0.5 * slices + 0.1)
    assert found["posterior"] == pytest.approx(HEIGHT, abs=0.3 * slices)
    wedge = heights(*drawn(slices, front=8.0, tilt_deg=6.0))
    assert wedge["middle"] == pytest.approx((wedge["anterior"] + wedge["posterior"]) / 2, abs=0.3 * slices + 0.2)
    assert wedge["anterior"] == pytest.approx(HEIGHT - 8.0 * 0.85, abs=0.8)


def test_no_corners_in_a_line_of_voxels() -> None:
    mask, _ = drawn(1.0)
    outline = outlined(mask)
    endplates = fit_endplates(mask, np.eye(3))
    line = np.zeros(mask.shape, dtype=bool)
    line[26, 22, 10:30] = True
    thin = mask.with_array(line)
    with pytest.raises(SegmentationError, match="four corners"):
        outline_of(padded(thin), endplates.frame, endplates.columns)
    assert outline.half_width == pytest.approx(WIDTH / 6, abs=0.5)
