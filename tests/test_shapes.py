from __future__ import annotations

import numpy as np
import pytest

from openbct.anatomy.shapes import cut, fit_circle, fit_line, fit_sphere, highest_bump, outline, smooth_mask, surface_points
from openbct.errors import SegmentationError
from openbct.volume import Volume


def ball(radius: float, spacing: tuple[float, float, float], centre: tuple[float, float, float] = (3.1, -2.2, 40.7)) -> Volume:
    """A ball on a grid of its own, in patient space."""
    affine = np.diag([*spacing, 1.0])
    count = np.ceil(2 * (radius + 6) / np.array(spacing)).astype(int)
    affine[:3, 3] = np.array(centre) - (count - 1) / 2 * np.array(spacing)
    grid = np.indices(tuple(count)).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    return Volume((np.linalg.norm(grid - centre, axis=1) <= radius).reshape(tuple(count)), affine, "mask")


def test_flat_points_hold_no_sphere() -> None:
    flat = np.random.default_rng(1).uniform(-40, 40, (3000, 3)) * [1, 1, 0]
    with pytest.raises(SegmentationError, match="no spherical surface"):
        fit_sphere(flat, radii=(15, 32), tolerance=1.0, trials=200)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (3.0, 3.0, 3.0)])
def test_ball_is_found_in_coarse_voxels(spacing: tuple[float, float, float]) -> None:
    points = surface_points(smooth_mask(ball(24.0, spacing)))
    found = fit_sphere(points, radii=(15, 32), tolerance=1.2)
    assert np.abs(found.centre - [3.1, -2.2, 40.7]).max() < 0.1
    assert found.radius == pytest.approx(24.0, abs=0.25)
    assert found.coverage == 1.0


def test_sphere_is_found_beside_a_shaft_and_in_noise() -> None:
    random = np.random.default_rng(3)
    directions = random.normal(size=(6000, 3))
    cap = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    cap = 22.0 * cap[cap[:, 2] > -0.5] + random.normal(scale=0.4, size=(int((cap[:, 2] > -0.5).sum()), 3))
    angle, height = random.uniform(0, 2 * np.pi, 6000), random.uniform(-100, -20, 6000)
    shaft = np.column_stack([40 + 14 * np.cos(angle), 14 * np.sin(angle), height])
    found = fit_sphere(np.concatenate([cap, shaft]), radii=(10, 40), tolerance=1.0)
    assert np.linalg.norm(found.centre) < 0.15
    assert found.radius == pytest.approx(22.0, abs=0.1)
    assert found.coverage == pytest.approx(0.75, abs=0.08)


def test_circle_ignores_a_bump() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radius = 15.0 + np.where(angle < 0.8, 8.0, 0.0)
    points = np.column_stack([radius * np.cos(angle) + 3, radius * np.sin(angle) - 1])
    centre, found = fit_circle(points, 1.0)
    assert np.abs(centre - [3, -1]).max() < 0.1
    assert found == pytest.approx(15.0, abs=0.1)


def test_line_through_points() -> None:
    direction = np.array([0.6, 0.0, 0.8])
    middle, found = fit_line(np.linspace(-20, 30, 40)[:, None] * direction + [1, 2, 3])
    assert abs(float(found @ direction)) == pytest.approx(1.0, abs=1e-12)
    assert np.linalg.norm(np.cross(middle - [1, 2, 3], direction)) < 1e-9


def test_section_through_a_ball_has_its_area_and_centre() -> None:
    field = smooth_mask(ball(24.0, (1.0, 1.0, 1.0)))
    normal = np.array([0.36, 0.48, 0.8])
    section = cut(field, np.array([3.1, -2.2, 40.7]) + 10 * normal, normal, half_width=40)
    assert section is not None
    assert section.area == pytest.approx(np.pi * (24.0**2 - 10.0**2), rel=0.01)
    assert np.linalg.norm(section.centroid - [3.1, -2.2, 40.7] - 10 * normal) < 0.1
    assert np.linalg.norm(outline(section), axis=1).mean() == pytest.approx(np.sqrt(476.0), abs=0.4)
    assert cut(field, np.array([3.1, -2.2, 140.7]), normal, half_width=20) is None


@pytest.mark.parametrize(("profile", "height"), [([5.0, 4, 3, 2, 1], 0.0), ([1.0, 2, 3, 4, 5], 0.0), ([3.0, 3, 3], 0.0)])
def test_slopes_are_no_bumps(profile: list[float], height: float) -> None:
    assert highest_bump(np.array(profile))[1] == height


def test_bump_on_a_slope_is_found_at_its_middle() -> None:
    x = np.arange(60.0)
    at, height = highest_bump(15 + 0.02 * x + 8 * np.exp(-(((x - 30.4) / 6) ** 2)))
    assert at == pytest.approx(30.4, abs=0.4)
    assert height == pytest.approx(7.4, abs=0.5)
