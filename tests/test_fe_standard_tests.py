"""Standard tests of a block, on blocks whose answer is known; and the command that runs them."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from openbct import fe
from openbct.cli.app import app
from openbct.errors import ModelError
from openbct.fe.hex8 import isotropic_stiffness, orthotropic_stiffness
from openbct.fe.standard_tests import confined, engineering_constants, shear, stiffness_tensor, uniaxial

RUNNER = CliRunner()
MATERIAL = fe.Orthotropy(youngs=(0.4, 0.6, 1.0), poisson=(0.35, 0.15, 0.2), shear=(0.25, 0.2, 0.15))
TIGHT = {"tolerance": 1e-10}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("strain", [-0.01, 0.02])
def test_homogeneous_block_gives_its_own_moduli(axis, strain):
    modulus, spacing, nu = np.full((4, 5, 6), 700.0), (0.5, 1.0, 0.8), 0.25
    options = {"axis": axis, "strain": strain, "spacing": spacing, "poisson_ratio": nu, **TIGHT}
    free = uniaxial(modulus, **options)
    assert free.apparent_modulus == pytest.approx(700.0, rel=1e-8)
    assert free.length == pytest.approx(modulus.shape[axis] * spacing[axis])
    assert free.stiffness == pytest.approx(700 * free.area / free.length, rel=1e-8)
    assert free.force[axis] == pytest.approx(700 * strain * free.area, rel=1e-8)
    oedometric = 700 * (1 - nu) / ((1 + nu) * (1 - 2 * nu))
    assert confined(modulus, **options).apparent_modulus == pytest.approx(oedometric, rel=1e-8)
    clamped = uniaxial(modulus, clamped=True, **options).apparent_modulus
    assert 700.0 * 1.001 < clamped < oedometric
    assert shear(modulus, **options).apparent_modulus == pytest.approx(700 / (2 * (1 + nu)), rel=1e-8)


@pytest.mark.parametrize(("axis", "direction", "index"), [(2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2), (0, 1, 2)])
def test_shear_finds_the_modulus_of_its_plane(axis, direction, index):
    test = shear(np.full((3, 4, 5), 900.0), axis=axis, direction=direction, orthotropy=MATERIAL, **TIGHT)
    assert test.apparent_modulus == pytest.approx(900 * MATERIAL.shear[index], rel=1e-8)
    assert test.force[direction] == pytest.approx(test.stiffness * test.travel)


def test_block_is_the_box_around_what_is_stiff():
    modulus = np.zeros((9, 8, 10))
    modulus[2:6, 3:7, 1:9] = 350.0
    for test in (uniaxial(modulus, **TIGHT), confined(modulus, poisson_ratio=0.0, **TIGHT)):
        assert test.apparent_modulus == pytest.approx(350.0, rel=1e-8)
        assert (test.area, test.length) == (16.0, 8.0)
    np.testing.assert_allclose(stiffness_tensor(modulus, **TIGHT).tensor, 350 * isotropic_stiffness(0.3), atol=1e-5)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.3, 0.5, 0.9)])
def test_stiffness_tensor_of_a_homogeneous_block_is_the_materials(spacing):
    found = stiffness_tensor(np.full((3, 4, 5), 800.0), orthotropy=MATERIAL, spacing=spacing, **TIGHT)
    expected = 800 * orthotropic_stiffness(MATERIAL)
    np.testing.assert_allclose(found.tensor, expected, atol=1e-6 * expected.max())
    assert found.asymmetry < 1e-8
    assert found.engineering["E_k"] == pytest.approx(800.0, rel=1e-7)
    assert found.engineering["G_jk"] == pytest.approx(800 * 0.25, rel=1e-7)
    assert found.engineering["nu_ij"] == pytest.approx(0.35, rel=1e-6)


def hashin_shtrikman(stiff, soft, nu):
    """Bounds of the bulk and shear moduli of an isotropic half-and-half mixture."""
    bounds = []
    for one, other in ((soft, stiff), (stiff, soft)):
        k1, g1, k2, g2 = (e / d for e in (one, other) for d in (3 * (1 - 2 * nu), 2 * (1 + nu)))
        bulk = k1 + 0.5 / (1 / (k2 - k1) + 3 * 0.5 / (3 * k1 + 4 * g1))
        shearing = g1 + 0.5 / (1 / (g2 - g1) + 6 * 0.5 * (k1 + 2 * g1) / (5 * g1 * (3 * k1 + 4 * g1)))
        bounds.append((bulk, shearing))
    return bounds


@pytest.mark.parametrize("contrast", [10.0, 1000.0])
def test_random_mixture_lies_within_its_bounds(contrast):
    rng = np.random.default_rng(int(contrast))
    n = 12
    phase = np.zeros(n**3, bool)
    phase[: n**3 // 2] = True
    coarse = rng.permutation(phase).reshape(n, n, n)
    apparent = []
    for factor in (1, 2):
        modulus = np.where(np.kron(coarse, np.ones((factor,) * 3)) > 0, contrast, 1.0)
        tensor = stiffness_tensor(modulus, tolerance=1e-7, spacing=(1 / factor,) * 3).tensor
        bulk = tensor[:3, :3].sum() / 9
        # Isotropic part of the tensor, Voigt's mean over all directions.
        shearing = (np.trace(tensor[:3, :3]) - 3 * bulk) / 10 + 0.6 * tensor[3:, 3:].diagonal().mean()
        apparent.append((bulk, shearing))
        # Voigt and Reuss hold for every mixture, in the sense of quadratic forms.
        unit = isotropic_stiffness(0.3)
        voigt, reuss = unit * (1 + contrast) / 2, unit * 2 / (1 + 1 / contrast)
        assert np.linalg.eigvalsh(voigt - tensor).min() > 0
        assert np.linalg.eigvalsh(tensor - reuss).min() > 0
    # A finer mesh of the same mixture is softer; Hashin and Shtrikman's bounds hold for the isotropic mixture.
    assert apparent[1][0] < apparent[0][0]
    assert apparent[1][1] < apparent[0][1]
    (low_bulk, low_shear), (high_bulk, high_shear) = hashin_shtrikman(contrast, 1.0, 0.3)
    assert low_bulk < apparent[1][0] < high_bulk
    assert low_shear < apparent[1][1] < high_shear


def test_engineering_constants_of_a_singular_tensor_are_not_made_up():
    assert engineering_constants(np.diag([1.0, 1, 1, 1, 1, 0])) == {}
    assert engineering_constants(isotropic_stiffness(0.3, 10.0))["nu_jk"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"axis": 3}, "axis is 3"),
        ({"strain": 0.0}, "strain is 0"),
        ({"strain": float("nan")}, "strain is nan"),
        ({"strain": -1.0}, "strain is -1"),
        ({"spacing": (1, -1, 1)}, "spacing"),
        ({"youngs_modulus": np.zeros((2, 2, 2))}, "no voxel"),
        ({"youngs_modulus": np.full((2, 2, 2), 1e9)}, "MPa"),
    ],
)
def test_impossible_tests_are_refused(arguments, words):
    given = {"youngs_modulus": np.ones((2, 2, 2))} | arguments
    modulus = given.pop("youngs_modulus")
    with pytest.raises(ModelError, match=words):
        uniaxial(modulus, **given)


def test_a_direction_of_shear_must_lie_in_its_plane():
    with pytest.raises(ModelError, match="direction"):
        shear(np.ones((2, 2, 2)), axis=1, direction=1)


# --- the command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def block(tmp_path):
    path = tmp_path / "modulus.nii.gz"
    array = np.zeros((6, 5, 7), np.float32)
    array[1:5, 1:4, 1:6] = 1200.0
    affine = np.diag([-0.5, -0.5, 0.8, 1.0])
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


@pytest.mark.parametrize(
    ("test", "modulus"),
    [("uniaxial", 1200.0), ("confined", 1200 * 0.7 / (1.3 * 0.4)), ("shear", 1200 / 2.6), ("clamped", None)],
)
def test_command_writes_numbers_and_fields(block, tmp_path, test, modulus):
    out = tmp_path / "out"
    done = RUNNER.invoke(app, ["fe", "solve", str(block), "--test", test, "--tolerance", "1e-9", "-o", str(out), "--json"])
    assert done.exit_code == 0, done.output
    table = json.loads((out / "result.json").read_text())
    assert json.loads(done.stdout)["apparent_modulus_mpa"] == table["apparent_modulus_mpa"]
    assert table["schema"] == "openbct-fe/1"
    assert table["converged"] is True
    assert table["elements"] == 60
    assert table["relative_residual"] <= 1e-9
    if modulus:
        assert table["apparent_modulus_mpa"] == pytest.approx(modulus, rel=1e-6)
    assert table["spacing_mm"] == pytest.approx([0.5, 0.5, 0.8])
    energy = nib.load(out / "energy_density.nii.gz")
    np.testing.assert_allclose(energy.affine, nib.load(block).affine, atol=1e-6)
    assert float(energy.get_fdata().sum()) * 0.2 == pytest.approx(table["strain_energy_n_mm"], rel=1e-5)
    along = nib.load(out / f"displacement_{'i' if test == 'shear' else 'k'}.nii.gz").get_fdata()
    assert along.shape == (7, 6, 8)
    assert np.abs(along).max() == pytest.approx(0.01 * 5 * 0.8, rel=1e-5)
    assert b"UnstructuredGrid" in (out / "model.vtu").read_bytes()[:200]


def test_command_finds_the_stiffness_tensor(block, tmp_path):
    options = ["--test", "stiffness-tensor", "--poisson", "0.2", "--tolerance", "1e-9"]
    done = RUNNER.invoke(app, ["fe", "solve", str(block), *options, "-o", str(tmp_path / "t")])
    assert done.exit_code == 0, done.output
    table = json.loads((tmp_path / "t" / "result.json").read_text())
    np.testing.assert_allclose(table["stiffness_tensor_mpa"], isotropic_stiffness(0.2, 1200.0), atol=1e-2)
    assert table["engineering"]["E_i"] == pytest.approx(1200.0, rel=1e-6)
    assert "E_i" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--test", "bending"], "expected one of uniaxial"),
        (["--axis", "3"], "axis is 3"),
        (["--strain", "0"], "strain is 0"),
        (["--poisson", "0.5"], "poisson_ratio is 0.5"),
    ],
)
def test_command_refuses_in_the_house_style(block, tmp_path, arguments, words):
    done = RUNNER.invoke(app, ["fe", "solve", str(block), *arguments, "-o", str(tmp_path / "out")])
    assert done.exit_code != 0
    assert words in str(done.exception)


def test_command_refuses_an_image_without_stiffness(tmp_path):
    path = tmp_path / "empty.nii.gz"
    nib.Nifti1Image(np.zeros((3, 3, 3), np.float32), np.eye(4)).to_filename(path)
    done = RUNNER.invoke(app, ["fe", "solve", str(path), "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, ModelError)
