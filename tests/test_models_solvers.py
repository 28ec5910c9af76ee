"""Exported models solved by the programs that they are for: CalculiX, and ParOSol where its environment is named."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openbct import fe
from openbct.fe import Solution
from openbct.io.models import SolverResult, VoxelModel, from_arrays, read_answer, read_model, write_model
from openbct.io.models.ccx_results import read_curve
from openbct.records import ElasticSymmetry, Reference
from test_models import make

CCX = shutil.which("ccx")
PAROSOL = os.environ.get("OPENBCT_TEST_PAROSOL")
calculix = pytest.mark.skipif(CCX is None, reason="CalculiX is not installed (Debian package calculix-ccx)")
parosol = pytest.mark.skipif(
    PAROSOL is None, reason="no ParOSol: set OPENBCT_TEST_PAROSOL to the Python of an environment with parosol-py"
)
RUN_PAROSOL = """
import subprocess, sys
from parosol_py.runner import build_parosol_command, mpi_runtime_environment, packaged_executable
command = build_parosol_command(executable=packaged_executable(), input_file=sys.argv[1], outputs=(), tolerance=1e-9)
sys.exit(subprocess.run(command, env=mpi_runtime_environment(command)).returncode)
"""


def solve(model: VoxelModel) -> Solution:
    return fe.solve(
        model.youngs_modulus, poisson_ratio=model.poisson_ratio, spacing=model.spacing, fixed=model.fixed,
        displacement=model.displacement, force=model.force, tolerance=1e-11,
    )  # fmt: skip


def run_calculix(model: VoxelModel, folder: Path, *suffixes: str) -> list[SolverResult]:
    assert write_model(model, folder / "model.inp") == ()
    done = subprocess.run(
        [str(CCX), "model"], cwd=folder, capture_output=True, text=True, timeout=300, env={"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return [read_answer(folder / f"model{suffix}", model) for suffix in suffixes]


def agree(answer: SolverResult, model: VoxelModel, solution: Solution, tolerance: float) -> None:
    """Displacements, reactions and load within a share of the largest of each."""
    assert answer.reaction is not None and answer.notes == ()
    for found, expected in ((answer.displacement, solution.displacement), (answer.reaction, solution.force)):
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)
    load = float((solution.force[model.loaded] @ model.direction).sum())
    assert load > 1.0
    assert answer.load(model) == pytest.approx(load, rel=tolerance)


@calculix
@pytest.mark.parametrize("options", [{}, {"forces": True}, {"ratios": True}], ids=lambda o: "".join(o) or "elastic")
def test_calculix_gives_our_answer(tmp_path: Path, options: dict[str, bool]) -> None:
    model = make(seed=2, **options)
    printed, fields = run_calculix(model, tmp_path, ".dat", ".frd")
    solution = solve(model)
    agree(printed, model, solution, 1e-6)
    agree(fields, model, solution, 1e-5)  # an .frd has six digits
    back = read_model(tmp_path / "model.inp")
    agree(printed, back, solve(back), 1e-6)


@calculix
def test_calculix_gives_our_answer_of_orthotropic_elements(tmp_path: Path) -> None:
    """Of every axis its own: an exchanged constant would show."""
    symmetry = ElasticSymmetry("test", (0.4, 0.6, 1.0), (0.25, 0.12, 0.2), (0.21, 0.16, 0.13), Reference("A test", "design"))
    block = make(seed=2)
    model = from_arrays(
        block.youngs_modulus, fixed=block.fixed, displacement=block.displacement, spacing=block.spacing, symmetry=symmetry
    )  # fmt: skip
    (printed,) = run_calculix(model, tmp_path, ".dat")
    solution = fe.solve(
        model.youngs_modulus, orthotropy=fe.Orthotropy(symmetry.youngs, symmetry.poisson, symmetry.shear), spacing=model.spacing,
        fixed=model.fixed, displacement=model.displacement, tolerance=1e-11,
    )  # fmt: skip
    agree(printed, model, solution, 1e-6)
    back = read_model(tmp_path / "model.inp").symmetry
    assert back is not None
    for found, expected in ((back.youngs, symmetry.youngs), (back.poisson, symmetry.poisson), (back.shear, symmetry.shear)):
        assert found == pytest.approx(expected, rel=1e-8)


@calculix
def test_calculix_gives_our_elastic_plastic_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    shape = (3, 3, 4)
    modulus = rng.uniform(500.0, 2000.0, shape)
    # So small a yield strain that large deformation, which other programs may count, does not matter.
    strength = 1e-4 * modulus * rng.uniform(0.5, 1.5, shape)
    strength[:, :, 0] = np.inf
    fixed, displacement = np.zeros((4, 4, 5, 3), dtype=bool), np.zeros((4, 4, 5, 3))
    fixed[:, :, [0, -1]] = True
    displacement[:, :, -1, 2] = -4e-4 * 4
    model = from_arrays(modulus, fixed=fixed, displacement=displacement, yield_stress=strength)
    (fields,) = run_calculix(model, tmp_path, ".frd")
    printed = read_answer(tmp_path / "model.dat", model)
    curve = read_curve(tmp_path / "model.dat", model)
    assert 0 < printed.known.sum() < fields.known.sum() and "is not in the file" in printed.notes[0]
    travels = curve[1:, 0]
    solution = fe.solve_plastic(
        model.youngs_modulus, yield_stress=model.yield_stress, poisson_ratio=model.poisson_ratio, spacing=model.spacing,
        fixed=model.fixed, displacement=model.displacement, travels=travels, loaded=model.loaded, direction=model.direction,
        bbar=False, tolerance=1e-7,
    )  # fmt: skip
    assert solution.converged and solution.failed_fraction[-1] > 0.5
    force = np.interp(travels, *solution.curve.T)
    assert force[-1] < 0.7 * force[0] / travels[0]
    np.testing.assert_allclose(curve[1:, 1], force, rtol=1e-3)
    assert printed.load(model) == pytest.approx(force[-1], rel=1e-3)
    assert fields.load(model) == pytest.approx(force[-1], rel=1e-3)


@pytest.fixture
def run_parosol() -> Callable[[Path], None]:
    def run(path: Path) -> None:
        done = subprocess.run(
            [str(PAROSOL), "-c", RUN_PAROSOL, path.name], cwd=path.parent, capture_output=True, text=True, timeout=300
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]

    return run


@parosol
@pytest.mark.parametrize("options", [{}, {"forces": True}], ids=lambda o: "".join(o) or "elastic")
def test_parosol_gives_our_answer(tmp_path: Path, run_parosol: Callable[[Path], None], options: dict[str, bool]) -> None:
    model = make(seed=2, shape=(8, 8, 8), **options)
    path = tmp_path / "model.h5"
    assert write_model(model, path) == ()
    run_parosol(path)
    answer = read_answer(path, model)
    # Moduli and displacements of its files are in single precision, and so are its answers.
    agree(answer, model, solve(model), 5e-6)
    back = read_model(path)
    agree(read_answer(path, back), back, solve(back), 5e-6)
