"""The virtual compression test: refusals, pads, supports, and one block whose stiffness is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from openbct import fe
from openbct.errors import GeometryError, SegmentationError, SettingsError
from openbct.loadcases import AxialCompression
from openbct.loadcases.grid import mineral_of
from openbct.records import BoneRegion, Frame, LoadCase, Specimen, Step
from openbct.volume import Volume, to_patient


def make_region(
    *,
    spacing: float = 1.0,
    tilt_deg: float = 0.0,
    bowl: float = 2.0,
    density: float = 200.0,
    side: float = 30.0,
    shift: float = 0.0,
) -> BoneRegion:
    """Return a square block of 24 mm with bowl-shaped endplates, turned about x by ``tilt_deg``; the frame is the true one."""
    n = int(np.ceil(70.0 / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (n - 1) / 2 + shift
    angle = np.radians(tilt_deg)
    axes = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    points = np.moveaxis(np.indices((n, n, n)), 0, -1) * spacing + affine[:3, 3]
    x, y, z = np.moveaxis(points @ axes, -1, 0)
    half = 12.0 - bowl * np.clip(1.0 - (x**2 + y**2) / (side / 2) ** 2, 0.0, 1.0)
    outline = x**2 + y**2 <= (side / 2) ** 2 if bowl else (np.abs(x) <= side / 2) & (np.abs(y) <= side / 2)
    mask = outline & (np.abs(z) <= half)
    return BoneRegion(
        bone="L1",
        kind="vertebra",
        side=None,
        density=Volume(np.where(mask, density, 0.0), affine, "mg/cm3 K2HPO4"),
        mask=Volume(mask, affine, "mask"),
        frame=Frame(np.zeros(3), axes),
        landmarks={},
        lengths={"height": 22.0},
        step=Step("anatomy", "A block."),
    )


def rigid_motions(shape: tuple[int, ...], spacing: float) -> np.ndarray:
    points = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3) * spacing
    modes = np.zeros((6, len(points), 3))
    for axis in range(3):
        modes[axis, :, axis] = 1.0
        first, second = (axis + 1) % 3, (axis + 2) % 3
        modes[3 + axis, :, first], modes[3 + axis, :, second] = -points[:, second], points[:, first]
    return modes


@pytest.mark.parametrize("wrong", [{"voxel": 0.0}, {"voxel": 9.0}, {"cap": -1.0}, {"cap": float("nan")}])
def test_settings_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AxialCompression(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["HU", "mg/cm3", "g/cm3 CHA", "mg/cm3 HA", "mask", ""])
def test_density_of_an_unknown_unit_is_refused(unit: str) -> None:
    bone = make_region()
    with pytest.raises(GeometryError, match="expected 'mg/cm3 K2HPO4' or 'mg/cm3 CHA'"):
        AxialCompression(voxel=2.0).mount(replace(bone, density=bone.density.with_array(bone.density.array, unit)))


@pytest.mark.parametrize("mineral", ["K2HPO4", "CHA"])
def test_mineral_is_that_of_the_unit(mineral: str) -> None:
    density = make_region().density
    assert mineral_of(density.with_array(density.array, f"mg/cm3 {mineral}")) == mineral


@pytest.mark.parametrize(("name", "word"), [("superior", "glued"), ("edge", "sharp")])
def test_unknown_words(name: str, word: str) -> None:
    case = AxialCompression()
    # past the type check, as a value from a file would come
    object.__setattr__(case, name, word)
    with pytest.raises(SettingsError, match=name):
        case.__post_init__()


def test_is_a_load_case() -> None:
    assert isinstance(AxialCompression(), LoadCase)
    assert AxialCompression().name == "vertebra-compression"


def test_body_in_pieces_is_refused() -> None:
    region = make_region()
    array = region.mask.array.copy()
    array[:, :, 33:37] = False
    split = BoneRegion(**{**region.__dict__, "mask": region.mask.with_array(array)})
    with pytest.raises(SegmentationError, match=r"loose on the model grid"):
        AxialCompression().mount(split)


def test_body_whose_endplate_is_mostly_gone_is_refused() -> None:
    region = make_region(bowl=0.0)
    array = region.mask.array.copy()
    array[:33, :, 25:] = False
    collapsed = BoneRegion(**{**region.__dict__, "mask": region.mask.with_array(array)})
    with pytest.raises(SegmentationError, match="upper endplate of L1, expected at least 60 %"):
        AxialCompression().mount(collapsed)
    array[30:33, :, 25:47] = region.mask.array[30:33, :, 25:47]
    array[26:30, :, 25:47] = region.mask.array[26:30, :, 25:47]
    partly = BoneRegion(**{**region.__dict__, "mask": region.mask.with_array(array)})
    assert "the load enters unevenly" in AxialCompression().mount(partly).step.cautions[0]


@pytest.mark.parametrize("tilt", [0.0, 17.0])
@pytest.mark.parametrize("spacing", [0.7, 1.0, 2.0])
def test_volume_and_density_survive_the_turn(tilt: float, spacing: float) -> None:
    region = make_region(spacing=spacing, tilt_deg=tilt)
    specimen = AxialCompression(edge="bone").mount(region)
    truth = region.mask.array.sum() * region.mask.voxel_volume
    assert specimen.mask.sum() == pytest.approx(truth, rel=0.02)
    assert specimen.density[specimen.mask].mean() == pytest.approx(200.0, rel=1e-6)
    plain = AxialCompression().mount(region).density
    assert 150.0 < plain[specimen.mask].mean() < 200.0


def test_pads_are_flat_thick_and_touch_the_bone() -> None:
    specimen = AxialCompression(cap=5.0).mount(make_region(tilt_deg=9.0))
    assert not (specimen.pad & specimen.mask).any()
    layers = np.flatnonzero(specimen.pad.any(axis=(0, 1)))
    bone_layers = np.flatnonzero(specimen.mask.any(axis=(0, 1)))
    assert bone_layers[0] - layers[0] >= 5 and layers[-1] - bone_layers[-1] >= 5
    # both pads are the specimen's own ends, and each covers its endplate
    assert layers[0] == 0 and layers[-1] == specimen.mask.shape[2] - 1
    footprint = specimen.mask.any(axis=2).sum()
    for layer in (0, -1):
        assert specimen.pad[:, :, layer].sum() > 0.95 * footprint
    # the bowl is filled: along z nothing is empty between the two outer faces where both pads are
    both = specimen.pad[:, :, 0] & specimen.pad[:, :, -1] & ndimage.binary_erosion(specimen.mask.any(axis=2), iterations=3)
    assert both.sum() > 300
    assert (specimen.pad | specimen.mask)[both].all()


def test_to_patient_brings_the_bone_home() -> None:
    region = make_region(tilt_deg=20.0, shift=7.3)
    specimen = AxialCompression().mount(region)
    centre = to_patient(specimen.to_patient, np.argwhere(specimen.mask).astype(float)).mean(axis=0)
    truth = to_patient(region.mask.affine, np.argwhere(region.mask.array).astype(float)).mean(axis=0)
    assert np.abs(centre - truth).max() < 0.3
    assert np.linalg.det(specimen.to_patient[:3, :3]) == pytest.approx(specimen.spacing**3)


@pytest.mark.parametrize("superior", ["free", "bonded"])
def test_supports_hold_every_rigid_motion(superior: str) -> None:
    case = AxialCompression(voxel=3.0, superior=superior)  # type: ignore[arg-type]
    specimen = case.mount(make_region())
    boundary = case.constrain(specimen)
    modes = rigid_motions(boundary.loaded.shape, specimen.spacing)
    held = modes.reshape(6, -1)[:, boundary.fixed.ravel()]
    assert np.linalg.matrix_rank(held) == 6
    # nodes of the outer faces and no others
    assert boundary.fixed[:, :, 1:-1].sum() == 0
    assert (boundary.fixed[:, :, 0].any(axis=-1).sum() > 0) and boundary.loaded[:, :, -1].sum() == boundary.loaded.sum()
    assert (boundary.displacement[boundary.loaded] == [0.0, 0.0, -1.0]).all()
    assert np.array_equal(boundary.direction, [0.0, 0.0, -1.0])
    n_held = boundary.fixed[boundary.loaded].sum(axis=-1)
    assert (n_held == (1 if superior == "free" else 3)).all()
    assert (boundary.fixed[boundary.fixed[..., 2] & ~boundary.loaded]).all()


def stiffness(specimen: Specimen, case: AxialCompression, youngs_modulus: np.ndarray, poisson_ratio: float) -> float:
    boundary = case.constrain(specimen)
    solution = fe.solve(
        youngs_modulus,
        poisson_ratio=poisson_ratio,
        spacing=(specimen.spacing,) * 3,
        fixed=boundary.fixed,
        displacement=boundary.displacement,
        tolerance=1e-9,
    )
    force = np.asarray(solution.force)
    top, bottom = float((force[boundary.loaded] @ boundary.direction).sum()), float(force[:, :, 0, 2].sum())
    assert top == pytest.approx(bottom, rel=1e-5)
    return top


def test_uniform_block_has_the_stiffness_of_a_bar() -> None:
    case = AxialCompression(voxel=2.0)
    specimen = case.mount(make_region(spacing=2.0, bowl=0.0, side=29.0))
    material = np.where(specimen.mask | specimen.pad, 2500.0, 0.0)
    area = float(specimen.mask.any(axis=2).sum()) * 4.0
    assert specimen.pad[:, :, 0].sum() * 4.0 == area
    length = specimen.mask.shape[2] * 2.0
    assert stiffness(specimen, case, material, 0.0) == pytest.approx(2500.0 * area / length, rel=1e-5)


def test_bonding_stiffens() -> None:
    specimen = AxialCompression(voxel=2.0).mount(make_region(spacing=2.0))
    material = np.where(specimen.mask, 300.0, np.where(specimen.pad, 2500.0, 0.0))
    free, bonded = (stiffness(specimen, AxialCompression(voxel=2.0, superior=end), material, 0.3) for end in ("free", "bonded"))
    assert free < bonded < 1.1 * free


@pytest.mark.data
@pytest.mark.slow
def test_real_vertebra_against_the_independent_stiffness(data_dir: Path) -> None:
    from openbct.anatomy import locate_vertebra
    from openbct.calibration import Given
    from openbct.femodel import build_model
    from openbct.io import read_density
    from openbct.io.nifti import read_nifti
    from openbct.materials import MATERIALS
    from openbct.records import BoneMask, Segmentation

    scan = read_density(data_dir / "vertebra_l2" / "density.nii.gz")
    raw, _ = read_nifti(data_dir / "vertebra_l2" / "labels.nii.gz", "label")
    body = BoneMask("L2", Volume(np.isin(raw.array, [1, 2]), raw.affine, "mask"), "body", 1.0, False)
    density = Given()(scan, Segmentation({"L2": body}, {}, Step("segmentation", "Given.")))
    case = AxialCompression(superior="bonded")
    specimen = case.mount(locate_vertebra(body, density))
    model = build_model(specimen, case.constrain(specimen), MATERIALS["kopperdahl2002+side-artefact"])
    # 13 419 N/mm: independent solver on the same bone, body only, 1 mm, bonded, its mask not turned
    assert stiffness(specimen, case, model.youngs_modulus, 0.3) == pytest.approx(13419.0, rel=0.03)
