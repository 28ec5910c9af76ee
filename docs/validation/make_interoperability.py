"""Write docs/validation/interoperability.md: exported models solved by the programs that they are for.

    python docs/validation/make_interoperability.py [--parosol PYTHON]

Needs CalculiX (``ccx``) and the real scans (``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). PYTHON is the
interpreter of an environment with ``parosol-py``; without it ParOSol's rows are left out. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from make_path import DATA, FEMUR, VERTEBRA

from openbct import fe
from openbct.io import read_density, read_labels
from openbct.io.models import SolverResult, VoxelModel, from_fe_model, read_answer, write_model
from openbct.pipeline import analyze
from openbct.records import BoneResult
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override

HERE = Path(__file__).resolve().parent
STEPS = 20
CALCULIX = (("vertebra_l2", 3.0, True), ("vertebra_l2", 2.0, True), ("vertebra_l2", 1.0, False), ("hip_crop", 4.0, True))
PAROSOL = (("vertebra_l2", 1.0, False), ("hip_crop", 1.0, False))
"""Folder, voxel [mm], whether the elastic-plastic model too."""
RUN_PAROSOL = """
import subprocess, sys
from parosol_py.runner import build_parosol_command, mpi_runtime_environment, packaged_executable
command = build_parosol_command(executable=packaged_executable(), input_file=sys.argv[1], outputs=(), tolerance=1e-8)
sys.exit(subprocess.run(command, env=mpi_runtime_environment(command)).returncode)
"""

HEAD = """# Models in other programs

This page is written by `python docs/validation/make_interoperability.py --parosol PYTHON`: models of the default protocol on real bone, exported as a user
exports them (`openbct analyze --models`), solved by the other program, and its answer read back. Only the voxel size differs from the default
where the table says so, for the time that a direct solver takes.

"""
BETWEEN = """
Displacements apart: the largest distance at any node over the largest displacement. Loads are those at the travel of the strength; the elastic model
is taken there too. In the `.inp` of the 1 mm vertebra, elements share materials. Moduli of ParOSol's files are in single precision; an `.frd` of
CalculiX, read for elastic-plastic models, has six digits.

## Plain bricks and mean dilatation

The load at the travel of the strength with the plain brick, as CalculiX has it, and with mean dilatation, as the default protocol has it;
the last column is the strength of that protocol, by its own load steps.

| bone | plain, N | mean dilatation, N | plain is higher by | strength, N |
| --- | ---: | ---: | ---: | ---: |"""

NOT_RUN = """## Programs that were not run

FEBio and FAIM: no package of the registries that this project installs from holds either solver (`febio-python` and `febio` are readers and
writers), so their files have not been solved by them. The layouts of `.feb` and `.n88model` follow public descriptions and code; the tests read both
back to the same model, element by element; a misreading of the layout that reader and writer share would not show. Whoever has one of the programs
finds out with `openbct fe check MODEL --answer RESULT`.
"""


def solved(name: str, voxel: float) -> BoneResult:
    """Return the bone of a real scan, tested with the default protocol at another voxel size."""
    bone = "L2" if name == "vertebra_l2" else "femur_left"
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "names.toml"
        table.write_text(VERTEBRA if bone == "L2" else FEMUR)
        scan = read_density(DATA / name / "density.nii.gz", mineral="K2HPO4")
        labels = read_labels(DATA / name / "labels.nii.gz", mapping=table, like=scan.image)
    changes = {"calibration": {"method": "given"}, "vertebra": {"voxel_mm": voxel}, "femur": {"voxel_mm": voxel}}
    case = analyze(scan, GivenLabels((labels,), (bone,)), settings=override(built_in(), changes, "validation"))
    assert case.bones[0].strength is not None, case.bones[0].reason
    return case.bones[0]


def calculix(model: VoxelModel, folder: Path) -> SolverResult:
    write_model(model, folder / "model.inp")
    subprocess.run(["ccx", "model"], cwd=folder, check=True, capture_output=True)
    return read_answer(folder / f"model.{'frd' if model.plastic else 'dat'}", model)


def parosol(python: str) -> Callable[[VoxelModel, Path], SolverResult]:
    def run(model: VoxelModel, folder: Path) -> SolverResult:
        write_model(model, folder / "model.h5")
        subprocess.run([python, "-c", RUN_PAROSOL, "model.h5"], cwd=folder, check=True, capture_output=True)
        return read_answer(folder / "model.h5", model)

    return run


def ours(model: VoxelModel, *, bbar: bool = False) -> tuple[np.ndarray, float]:
    """Return our displacement and load."""
    common = {
        "poisson_ratio": model.poisson_ratio, "spacing": model.spacing, "fixed": model.fixed, "displacement": model.displacement,
        "bbar": bbar,
    }  # fmt: skip
    if not model.plastic:
        linear = fe.solve(model.youngs_modulus, tolerance=1e-9, **common)
        return linear.displacement, float((linear.force[model.loaded] @ model.direction).sum())
    travels = [(step + 1) / STEPS for step in range(STEPS)]
    curve = fe.solve_plastic(
        model.youngs_modulus, yield_stress=model.yield_stress, loaded=model.loaded, direction=model.direction, travels=travels,
        keep_travels=travels[-1:], **common,
    )  # fmt: skip
    assert curve.converged, curve.status
    return curve.displacement[-1], float(curve.curve[-1, 1])


def row(words: str, model: VoxelModel, program: str, run: Callable[[VoxelModel, Path], SolverResult]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        answer = run(model, Path(folder))
    assert not answer.notes and answer.known.sum() == (model.numbers > 0).sum(), answer.notes
    displacement, load = ours(model)
    theirs = answer.load(model)
    assert theirs is not None
    apart = np.abs(answer.displacement - displacement).max() / np.abs(displacement).max()
    kind = "elastic-plastic" if model.plastic else "elastic"
    return (
        f"| {words} | {int(model.active.sum()):,} | {kind} | {program} | {theirs:,.2f} | {load:,.2f} | {theirs / load - 1:+.1e} "
        f"| {apart:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parosol")
    chosen = parser.parse_args()
    if shutil.which("ccx") is None or not DATA.is_dir():
        raise SystemExit("this page needs CalculiX (ccx) and the real scans; nothing was written")
    lines = ["| bone | elements | kind | program | its load, N | ours, N | difference | displacement apart |"]
    lines += ["| --- | ---: | --- | --- | ---: | ---: | ---: | ---: |"]
    locking: list[str] = []
    cases = [(*case, "CalculiX", calculix) for case in CALCULIX]
    cases += [(*case, "ParOSol", parosol(chosen.parosol)) for case in PAROSOL] if chosen.parosol else []
    for name, size, plastic, program, run in cases:
        bone = solved(name, size)
        assert bone.model is not None and bone.strength is not None
        travel = bone.strength.quantities["strength_travel_mm"]
        words = f"{'L2' if name == 'vertebra_l2' else 'proximal femur'}, {size:g} mm"
        lines.append(row(words, from_fe_model(bone.model, travel=travel, plastic=False), program, run))
        if plastic:
            model = from_fe_model(bone.model, travel=travel)
            lines.append(row(words, model, program, run))
            plain, dilated = ours(model)[1], ours(model, bbar=True)[1]
            locking.append(
                f"| {words} | {plain:,.0f} | {dilated:,.0f} | {plain / dilated - 1:+.1%} | {bone.strength.strength:,.0f} |"
            )
    text = [HEAD + "\n".join(lines), BETWEEN, *locking, "", NOT_RUN.rstrip()]
    (HERE / "interoperability.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
