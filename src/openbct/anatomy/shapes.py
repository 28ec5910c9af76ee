"""Spheres, lines and plane sections of a bone mask, in patient space: the geometry under every anatomical frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage, optimize, spatial

from ..errors import SegmentationError
from ..volume import Volume, to_index, to_patient

Array = np.ndarray
Points = Float[Array, "n 3"]
Vector = Float[Array, "3"]


@dataclass(frozen=True)
class Sphere:
    """A sphere fitted to part of a surface."""

    centre: Vector
    """Patient LPS [mm]."""
    radius: float
    """[mm]"""
    residual: float
    """Root mean square distance of its points from the sphere [mm]."""
    coverage: float
    """Share of the sphere's directions in which its points lie, 0 to 1."""


@dataclass(frozen=True)
class Section:
    """A mask cut by a plane: the piece nearest to the plane's own origin."""

    inside: Bool[Array, "u v"]
    """On a square grid in the plane, centred on its origin."""
    area: float
    """[mm²]"""
    centroid: Vector
    """Patient LPS [mm]."""
    origin: Vector
    """Of the plane, patient LPS [mm]."""
    basis: Float[Array, "2 3"]
    """Unit vectors of the two grid axes in patient LPS."""
    step: float
    """Edge of a grid cell [mm]."""


def unit(vector: Vector) -> Vector:
    """Return the vector with length one."""
    return np.asarray(vector / np.linalg.norm(vector))


def perpendicular(vector: Vector, axis: Vector) -> Vector:
    """Return the part of ``vector`` perpendicular to the unit vector ``axis``."""
    return np.asarray(vector - float(vector @ axis) * axis)


def smooth_mask(mask: Volume, sigma: float = 0.6) -> Volume:
    """Return the mask as a field between 0 and 1 whose 0.5 level is its surface, on a grid wider by three voxels.

    ``sigma`` is in voxels of each axis. Staircases of coarse voxels are rounded; a sphere of radius ``R`` shrinks by about
    ``(sigma * spacing)**2 / R``, which is 0.15 mm for a femoral head in 3 mm voxels.
    """
    field = ndimage.gaussian_filter(np.pad(mask.array.astype(np.float32), 3), sigma)
    affine = mask.affine.copy()
    affine[:3, 3] = to_patient(mask.affine, np.full(3, -3.0))
    return Volume(field, affine, "mask")


def surface_points(field: Volume) -> Points:
    """Return points in patient LPS [mm] where a smoothed mask crosses 0.5 along its grid lines."""
    found = []
    for axis in range(3):
        low = np.moveaxis(field.array, axis, 0)[:-1]
        high = np.moveaxis(field.array, axis, 0)[1:]
        index = np.argwhere((low >= 0.5) != (high >= 0.5)).astype(float)
        at = tuple(index.astype(int).T)
        index[:, 0] += (0.5 - low[at]) / (high[at] - low[at])
        order = [1, 2]
        order.insert(axis, 0)
        found.append(index[:, order])
    return to_patient(field.affine, np.concatenate(found))


def fit_sphere(points: Points, *, radii: tuple[float, float], tolerance: float, trials: int = 1500) -> Sphere:
    """Return the sphere with the largest share of a surface: random search, then least squares.

    Parameters
    ----------
    radii
        Smallest and largest radius accepted in the search [mm].
    tolerance
        Distance from the sphere within which a point counts as its own [mm].
    trials
        Spheres through four random points; the sequence is fixed, so that the answer repeats.

    Raises
    ------
    SegmentationError
        No sphere of the wanted size was found.
    """
    random = np.random.default_rng(20240229)
    points = points[random.permutation(len(points))]
    tree = spatial.cKDTree(points[:6000])
    neighbours = tree.query_ball_point(points[:400], 1.5 * radii[1])
    best_score, best = -1.0, (np.zeros(3), 0.0)
    for trial in range(trials):
        near = neighbours[trial % len(neighbours)]
        if len(near) < 4:
            continue
        four = points[random.choice(near, 4)]
        centre, radius = _sphere_through(four)
        if not radii[0] <= radius <= radii[1]:
            continue
        own = np.abs(np.linalg.norm(points[:3000] - centre, axis=1) - radius) < tolerance
        # Points per area: otherwise a large sphere that grazes much bone beats a small one that fits.
        score = float(own.sum()) / radius
        if score > best_score:
            best_score, best = score, (centre, radius)
    if best_score < 0:
        raise SegmentationError(
            f"found no spherical surface of radius {radii[0]:g} to {radii[1]:g} mm, expected a femoral head; check the label"
        )
    return _refine_sphere(points, best[0], best[1], tolerance)


def _sphere_through(four: Points) -> tuple[Vector, float]:
    """Return centre and radius of the sphere through four points; radius infinite where they lie in a plane."""
    rows = 2.0 * (four[1:] - four[0])
    right = (four[1:] ** 2).sum(axis=1) - (four[0] ** 2).sum()
    if abs(np.linalg.det(rows)) < 1e-6:
        return np.zeros(3), float("inf")
    centre = np.linalg.solve(rows, right)
    return centre, float(np.linalg.norm(four[0] - centre))


def _refine_sphere(points: Points, centre: Vector, radius: float, tolerance: float) -> Sphere:
    """Return the least-squares sphere of the points near the first guess, until the choice of points has settled."""
    near = points
    for width in (2.0 * tolerance, *[tolerance] * 6):
        distance = np.linalg.norm(points - centre, axis=1)
        near = points[np.abs(distance - radius) < width]

        def residuals(x: Float[Array, "4"], near: Points = near) -> Float[Array, " n"]:
            return np.asarray(np.linalg.norm(near - x[:3], axis=1) - x[3])

        fit = optimize.least_squares(residuals, [*centre, radius], loss="soft_l1", f_scale=0.5 * tolerance)
        centre, radius = fit.x[:3], float(fit.x[3])
    residual = float(np.sqrt(np.mean((np.linalg.norm(near - centre, axis=1) - radius) ** 2)))
    return Sphere(np.asarray(centre), radius, residual, _coverage(near - centre))


def _coverage(directions: Points) -> float:
    """Return the share of 300 even directions that have one of ``directions`` within 8 degrees."""
    n = np.arange(300) + 0.5
    polar, azimuth = np.arccos(1.0 - 2.0 * n / 300.0), np.pi * (1.0 + 5.0**0.5) * n
    even = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    distance, _ = spatial.cKDTree(directions).query(even)
    return float(np.mean(distance < 2.0 * np.sin(np.radians(8.0) / 2.0)))


def fit_line(points: Points) -> tuple[Vector, Vector]:
    """Return a point on, and the unit direction of, the line nearest to the points (least squares of distances)."""
    middle = points.mean(axis=0)
    return middle, np.asarray(np.linalg.svd(points - middle)[2][0])


def fit_circle(points: Float[Array, "n 2"], tolerance: float) -> tuple[Float[Array, "2"], float]:
    """Return centre and radius of the circle near most points: bumps higher than ``tolerance`` [mm] lose their weight.

    Gauss–Newton with Cauchy weights from the median circle; fifteen rounds settle it far below a tenth of a millimetre.
    """
    centre = points.mean(axis=0)
    radius = float(np.median(np.linalg.norm(points - centre, axis=1)))
    for _ in range(15):
        away = points - centre
        distance = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        misfit = distance - radius
        weight = 1.0 / (1.0 + (misfit / tolerance) ** 2)
        rows = np.column_stack([-away / distance[:, None], -np.ones(len(points))])
        change = np.linalg.lstsq(rows * weight[:, None], -misfit * weight, rcond=None)[0]
        centre, radius = centre + change[:2], radius + float(change[2])
    return np.asarray(centre), radius


def plane_basis(normal: Vector) -> Float[Array, "2 3"]:
    """Return two unit vectors that span the plane of a unit normal."""
    helper = np.eye(3)[int(np.argmin(np.abs(normal)))]
    first = unit(np.cross(normal, helper))
    return np.stack([first, np.cross(normal, first)])


def cut(field: Volume, origin: Vector, normal: Vector, *, half_width: float, step: float = 0.5) -> Section | None:
    """Return the section of a smoothed mask by a plane, or ``None`` where the plane meets no bone near its origin.

    Parameters
    ----------
    half_width
        Half the edge of the square that is looked at [mm].
    """
    basis = plane_basis(normal)
    ticks = np.arange(-half_width, half_width + step / 2, step)
    u, v = np.meshgrid(ticks, ticks, indexing="ij")
    points = origin + u[..., None] * basis[0] + v[..., None] * basis[1]
    index = to_index(field.affine, points.reshape(-1, 3)).T
    inside = (ndimage.map_coordinates(field.array, index, order=1, mode="constant") >= 0.5).reshape(u.shape)
    if not inside.any():
        return None
    labels, count = ndimage.label(inside)
    if count > 1:
        distance = np.where(inside, u**2 + v**2, np.inf)
        inside = labels == labels[np.unravel_index(int(np.argmin(distance)), inside.shape)]
    centroid = origin + float(u[inside].mean()) * basis[0] + float(v[inside].mean()) * basis[1]
    return Section(inside, float(inside.sum()) * step**2, centroid, origin, basis, step)


def outline(section: Section) -> Float[Array, "n 2"]:
    """Return the outermost cells of a section, relative to the plane's origin, in its basis [mm]."""
    wide = np.pad(section.inside, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    edge = section.inside & ~inner
    return np.asarray((np.argwhere(edge) - (np.array(section.inside.shape) - 1) / 2) * section.step)


def highest_bump(values: Float[Array, " n"]) -> tuple[float, float]:
    """Return where a profile bulges most (a fractional index), and by how much it falls again on the lower side of the two.

    A rise towards one end of the profile is no bump. The place is the centroid of the bump's upper third.
    """
    before = np.minimum.accumulate(values)
    after = np.minimum.accumulate(values[::-1])[::-1]
    height = np.minimum(values - before, values - after)
    best = int(np.argmax(height))
    excess = np.maximum(values - (values[best] - height[best] / 3.0), 0.0)
    first = best - int(np.argmax(excess[best::-1] <= 0.0)) if (excess[: best + 1] <= 0.0).any() else 0
    last = best + int(np.argmax(excess[best:] <= 0.0)) if (excess[best:] <= 0.0).any() else len(values)
    weight = excess[first:last]
    if weight.sum() <= 0.0:
        return float(best), float(height[best])
    return float((np.arange(first, last) * weight).sum() / weight.sum()), float(height[best])
