# ruff: noqa: E501  (the rows and sentences of a page)
"""Write docs/validation/pose.md: the pose of the published hip model found again from its scan, then its material, then its stiffness.

    python docs/validation/make_pose.py

Needs the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). Takes about three minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from make_path import DATA, markdown
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from openbct import fe
from openbct.anatomy import locate_femur
from openbct.density import convert
from openbct.femodel import build_model
from openbct.io import read_density
from openbct.loadcases import SidewaysFall
from openbct.loadcases.femur_grid import neck_shaft_axes
from openbct.materials import MATERIALS
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, Step
from openbct.volume import Volume, canonical, resample, to_index, to_patient

HERE = Path(__file__).resolve().parent
LAW = MATERIALS["ogo-hip"]
PUBLISHED = (1601.6, 1602.6)
"""Stiffness by two other solvers [N/mm]."""
CUT = np.array([0.9659, 0.0, -0.2588])
"""Normal of the published distal cut plane, in our order of axes."""
HELD = 6.0
"""Depth of the distal support [mm]."""
BLURS = (3.0, 1.0, 0.4)
"""Both fields are blurred by these in turn, so that the search finds its way [mm]."""
EVERY = 7
"""Every seventh voxel is compared while searching."""

Array = np.ndarray

HEAD = """# The published hip model, found again

This page is written by `python docs/validation/make_pose.py`. `hip_crop` holds a calibrated scan with a label, and the finite-element grid that two other programs
made of it: a modulus per voxel, in a pose that is not published. Here that pose is found from the scan by registration and told in the terms of our load case; then the
material that we make of density and label is compared voxel by voxel, and only then the stiffness.

"""


@dataclass(frozen=True)
class Published:
    """The published grid, its axes in our order: shaft, front, load."""

    modulus: Array
    bone: Array
    pad: Array

    @property
    def ash(self) -> Array:
        """Ash density that gives the modulus by the law [g/cm³]; 0 where no bone is."""
        return np.where(self.bone, (np.where(self.bone, self.modulus, 1.0) / 10500.0) ** (1 / 2.29), 0.0)


@dataclass(frozen=True)
class Pose:
    """A grid's place in the patient."""

    axes: Array
    """Columns: the grid's axes in patient LPS."""
    origin: Array
    """Its first voxel's centre [mm]."""
    misfit: float
    """Root mean square of the ash density's difference at the least blur [g/cm³]."""

    @property
    def affine(self) -> Array:
        """Index to patient LPS [mm]."""
        found = np.eye(4)
        found[:3, :3], found[:3, 3] = self.axes, self.origin
        return found


def read_published() -> Published:
    """Return the published grid in our order of axes."""
    stored = np.asarray(nib.load(DATA / "hip_crop" / "fe_reference" / "parosol-py_material.nii.gz").dataobj).astype(float)
    modulus = np.transpose(stored, (2, 0, 1))
    pad = np.abs(modulus - 2500.0) < 1e-3
    return Published(modulus, (modulus > 0) & ~pad, pad)


def read_region() -> BoneRegion:
    """Return the bone by our own anatomy, on the side that the image shows."""
    scan = read_density(DATA / "hip_crop" / "density.nii.gz", mineral="K2HPO4")
    image = nib.load(DATA / "hip_crop" / "labels.nii.gz")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    labels = canonical(Volume(np.asanyarray(image.dataobj).astype(np.int16), affine, "label"))
    mask = labels.with_array(labels.array == 2, "mask")
    density = scan.image
    calibrated = CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given"))
    return locate_femur(BoneMask("femur_right", mask, "whole", 1.0, False), calibrated)


def register(region: BoneRegion, published: Published, start: Array) -> Pose:
    """Return the pose in which the scan's ash density, inside the label, comes nearest to the published one."""
    ash = np.where(region.mask.array, to_ash(region.density.array), 0.0)
    target = published.ash
    index = np.argwhere(np.ones(target.shape, dtype=bool))[::EVERY].astype(float)
    middle = np.argwhere(published.bone).mean(axis=0)
    centre = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float)).mean(axis=0)
    change, misfit = np.zeros(6), np.inf
    for blur in BLURS:
        moving = ndimage.gaussian_filter(ash, blur / region.mask.spacing)
        still = ndimage.gaussian_filter(target, blur).ravel()[::EVERY]

        def differ(change: Array, moving: Array = moving, still: Array = still) -> float:
            points = (index - middle) @ (turned(change) @ start).T + centre + change[3:]
            found = ndimage.map_coordinates(moving, to_index(region.mask.affine, points).T, order=1)
            return float(((found - still) ** 2).mean())

        found = optimize.minimize(differ, change, method="Powell", options={"xtol": 1e-3, "ftol": 1e-7})
        change, misfit = found.x, float(np.sqrt(found.fun))
    axes = turned(change) @ start
    return Pose(axes, centre + change[3:] - axes @ middle, misfit)


def turned(change: Array) -> Array:
    """Return the rotation of the first three numbers [hundredths of a radian]."""
    return np.asarray(Rotation.from_rotvec(change[:3] / 100.0).as_matrix())


def to_ash(density: Array) -> Array:
    """Return ash density [g/cm³] of K2HPO4-equivalent density [mg/cm³]."""
    return convert(density / 1000.0, "K2HPO4", "ash")[0]


def angles(region: BoneRegion, pose: Pose) -> tuple[float, float, float]:
    """Return adduction, internal rotation and the turn of the grid about its load axis [degrees]."""
    medial, front, shaft = neck_shaft_axes(region)
    along, load = shaft @ pose.axes, pose.axes[:, 2]
    adduction = -np.degrees(np.arcsin(along[2]))
    # the load, seen along the shaft, lies between medial and the back
    rotation = np.degrees(np.arctan2(load @ front, load @ medial))
    return float(adduction), float(rotation), float(np.degrees(np.arctan2(along[1], along[0])))


def poses(region: BoneRegion, published: Published) -> tuple[list[str], Pose]:
    """Return the section on the pose, and the pose."""
    start = mounted_axes(region, SidewaysFall())
    straight = register(region, published, start)
    other = register(region, published, mounted_axes(region, SidewaysFall(adduction_deg=30.0, internal_rotation_deg=-5.0)))
    mirror = register(region, published, start @ np.diag([1.0, -1.0, 1.0]))
    rows = []
    for name, pose in (("default pose", straight), ("30° and −5°", other), ("default pose, mirrored", mirror)):
        found = "–" if pose is mirror else " / ".join(f"{angle:.1f}" for angle in angles(region, pose))
        rows.append((name, f"{np.linalg.det(pose.axes):+.0f}", f"{pose.misfit:.3f}", found))
    apart = np.degrees(Rotation.from_matrix(straight.axes.T @ other.axes).magnitude())
    middle = np.append(np.argwhere(published.bone).mean(axis=0), 1.0)
    moved = float(np.linalg.norm((straight.affine - other.affine) @ middle))
    lines = [
        "## Pose",
        "",
        "Registration of the scan's ash density inside the label on the density that the published moduli stand for, by their law (10 500 ρ^2.29), without regard to "
        "landmarks. The angles are those of our load case for the bone's own axes by our anatomy; the last one turns the grid about the load, which no support sees.",
        "",
        *markdown(
            ("start", "determinant", "misfit, g/cm³", "adduction / internal rotation / turn about the load, degrees"), rows
        ),
        "",
        f"Both starts end within {apart:.2f}° and {moved:.2f} mm of each other; the mirror image fits worse by a factor of {mirror.misfit / straight.misfit:.1f}: the "
        f"published model is this bone and not its mirror image. Our own axis of this bone, whose shaft is only "
        f"{region.lengths['shaft_below_lesser_trochanter']:.0f} mm long, is uncertain by some degrees, and so are the first two angles.",
    ]
    return lines, straight


def mounted_axes(region: BoneRegion, case: SidewaysFall) -> Array:
    """Return the axes of a mounted specimen in patient LPS."""
    affine = case.mount(region).to_patient
    return np.asarray(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))


@dataclass(frozen=True)
class Field:
    """Our material on the published grid."""

    bone: Array
    ash: Array
    modulus: Array


def fields(region: BoneRegion, published: Published, pose: Pose) -> dict[str, Field]:
    """Return our material in the registered pose: as the product interpolates, and by one cubic sample per voxel."""
    shape, affine = published.bone.shape, pose.affine
    inside = resample(region.mask, shape, affine, order=1).array >= 0.5
    height = np.tensordot(CUT, np.indices(shape), axes=1)
    inside &= height >= height[published.bone].min()
    found = {}
    for name, order, average in (("ours: linear, mean of 8", 1, True), ("one cubic sample", 3, False)):
        ash = to_ash(resample(region.density, shape, affine, order=order, average=average).array)
        found[name] = _field(inside, ash)
    step, low = step_of(published), published.ash[published.bone].min()
    found["the same, in the published bins"] = _field(inside, low + step * np.rint((ash - low) / step))
    return found


def _field(inside: Array, ash: Array) -> Field:
    return Field(inside, ash, np.where(inside, LAW.youngs_modulus(np.clip(ash, *LAW.clip)), 0.0))


def step_of(published: Published) -> float:
    """Return the distance of the published bins [g/cm³]."""
    return float(np.diff(np.unique(published.ash[published.bone])).min())


def material(published: Published, ours: dict[str, Field]) -> list[str]:
    """Return the section on the material field."""
    rows = []
    for name, field in ours.items():
        common = field.bone & published.bone
        inner = ndimage.binary_erosion(common, iterations=2)
        apart = (field.ash - published.ash)[inner]
        # where no voxel lies half in soft tissue, which the two programs may treat each in their own way
        ratio, ratio_inner = (field.modulus[part] / published.modulus[part] for part in (common, inner))
        rows.append(
            (name, f"{100 * (np.abs(ratio - 1) <= 0.05).mean():.0f} %", f"{100 * (np.abs(ratio_inner - 1) <= 0.05).mean():.0f} %",
             f"{field.modulus[common].mean():,.0f}", f"{published.modulus[common].mean():,.0f}",
             f"{np.sqrt(np.mean((field.modulus - published.modulus)[common] ** 2)):,.0f}",
             f"{apart.mean():+.4f}", f"{apart.std():.4f}", f"{np.corrcoef(field.ash[inner], published.ash[inner])[0, 1]:.4f}")
        )  # fmt: skip
    field = next(iter(ours.values()))
    both = int((field.bone & published.bone).sum())
    overlap = 2 * both / (field.bone.sum() + published.bone.sum())
    step = step_of(published)
    top = {name: float(one.ash[one.bone].max()) for name, one in ours.items()}
    names = list(top)
    return [
        "## Material",
        "",
        f"Elements: {int(published.bone.sum()):,} published, {int(field.bone.sum()):,} ours (label at one half, cut at the published plane), {both:,} common; overlap (Dice) "
        f"{overlap:.3f}. Inner elements lie two voxels and more from where the two differ; E in MPa, ash density in g/cm³.",
        "",
        *markdown(
            (
                "interpolation",
                "E within 5 %",
                "of the inner",
                "mean E ours",
                "published",
                "RMS of E",
                "inner density: mean difference",
                "scatter",
                "correlation",
            ),
            rows,
        ),
        "",
        f"The published densities come in steps of {step:.4f} g/cm³ (128 bins), which alone scatter by {step / 12**0.5:.4f}. Their largest value is "
        f"{published.ash.max():.3f}; one cubic sample gives {top[names[1]]:.3f}, our interpolation {top[names[0]]:.3f}: the published field was interpolated with an overshoot, as a "
        "cubic spline does it, where ours takes the mean over a voxel. The mean difference, far below one step, says that the voxels of this model have their own bin's "
        "material and not the next one's. One step is worth more than 5 % of the modulus below "
        f"{2.29 * step / 0.05:.2f} g/cm³, so that a density next to a bin's edge can lie in the wrong one and miss the 5 %.",
    ]


def pressed(modulus: Array, bone: Array) -> float:
    """Return the stiffness of a model with the published supports [N/mm]."""
    node, shaft = nodes(modulus > 0), nodes(bone)
    height = np.tensordot(CUT, np.indices(node.shape), axes=1)
    distal = shaft & (height <= height[shaft].min() + HELD)
    fixed, displacement = np.zeros((*node.shape, 3), dtype=bool), np.zeros((*node.shape, 3))
    fixed[:, :, [0, -1], 2] = node[:, :, [0, -1]]
    fixed[distal, :2] = True
    displacement[:, :, -1, 2] = -1.0
    solution = fe.solve(modulus, fixed=fixed, displacement=displacement, threads=1)
    return -float(solution.force[:, :, -1, 2].sum())


def nodes(elements: Array) -> Array:
    """Return the nodes of elements."""
    found = np.zeros(tuple(n + 1 for n in elements.shape), dtype=bool)
    for corner in np.ndindex(2, 2, 2):
        found[tuple(slice(c, c + n) for c, n in zip(corner, elements.shape, strict=True))] |= elements
    return found


def largest(elements: Array) -> Array:
    """Return the largest face-connected piece."""
    labels, _ = ndimage.label(elements)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def own(region: BoneRegion, case: SidewaysFall) -> float:
    """Return the stiffness by our own load case, pads and supports, plain elements as the published solvers have [N/mm]."""
    specimen = case.mount(region)
    model = build_model(specimen, case.constrain(specimen), LAW)
    boundary = model.boundary
    solution = fe.solve(
        model.youngs_modulus, poisson_ratio=0.3, fixed=boundary.fixed, displacement=boundary.displacement, threads=1
    )
    return float(fe.reaction(solution, boundary.loaded) @ boundary.direction)


def stiffness(region: BoneRegion, published: Published, pose: Pose, ours: dict[str, Field]) -> list[str]:
    """Return the section on the stiffness."""
    adduction, rotation, _ = angles(region, pose)
    case = replace(SidewaysFall(), adduction_deg=adduction, internal_rotation_deg=rotation)
    found = {"published elements, moduli and supports": pressed(published.modulus, published.bone)}
    for name, field in ours.items():
        moduli = LAW.youngs_modulus(np.clip(field.ash, *LAW.clip))
        found[f"published elements and supports, our moduli ({name})"] = pressed(
            np.where(published.bone, moduli, published.modulus), published.bone
        )
    field = next(iter(ours.values()))
    filled = np.where(field.bone, field.modulus, np.where(published.pad, 2500.0, 0.0))
    filled[~largest(filled > 0)] = 0.0
    found["our elements and moduli, published pads and supports"] = pressed(filled, field.bone & (filled > 0))
    found[f"our own load case at {adduction:.1f}° and {rotation:.1f}°: our cut, pads and supports"] = own(region, case)
    found["our own load case at the default 10° and 15°"] = own(region, SidewaysFall())
    rows = [
        (name, f"{value:,.1f}", *(f"{100 * (value / known - 1):+.1f} %" for known in PUBLISHED)) for name, value in found.items()
    ]
    return [
        "## Stiffness",
        "",
        f"Linear, plain elements, law `{LAW.name}`; two other solvers published {PUBLISHED[0]} and {PUBLISHED[1]} N/mm. Their distal nodes are not published: all bone within "
        f"{HELD:g} mm of the oblique cut plane are held across the load here, which is worth some per cent.",
        "",
        *markdown(("model", "K, N/mm", f"to {PUBLISHED[0]}", f"to {PUBLISHED[1]}"), rows),
        "",
        "The published cut plane leans by 15° in the grid and is not square to the shaft; our load case cuts square to it and lays its own pads: the last two rows hold that too.",
    ]


def main() -> None:
    """Write the page."""
    if not (DATA / "hip_crop").is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    published, region = read_published(), read_region()
    first, pose = poses(region, published)
    ours = fields(region, published, pose)
    parts = [first, material(published, ours), stiffness(region, published, pose, ours)]
    (HERE / "pose.md").write_text(HEAD + "\n\n".join("\n".join(part) for part in parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
