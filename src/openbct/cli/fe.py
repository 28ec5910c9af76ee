"""The kernel alone, on a file: standard tests of a block of material."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .tell import print_json

if TYPE_CHECKING:
    import numpy as np

    from ..fe import Solution
    from ..fe.standard_tests import StandardTest
    from ..volume import Volume

TESTS = ("uniaxial", "clamped", "confined", "shear", "stiffness-tensor")


def run_fe_solve(
    modulus: Path, out: Path, *, test: str, axis: int, strain: float, poisson: float, tolerance: float, as_json: bool
) -> None:
    """Run one test; write result.json and the fields."""
    import numpy as np

    from ..io import prepare_folder, write_json
    from ..io.nifti import read_nifti

    if test not in TESTS:
        raise SettingsError(f"found the test {test!r}, expected one of {', '.join(TESTS)}; choose one with --test")
    volume, notes = read_nifti(modulus, "MPa")
    prepare_folder(out)
    options: dict[str, Any] = {
        "strain": strain, "poisson_ratio": poisson, "tolerance": tolerance, "spacing": volume.spacing.tolist(),
    }  # fmt: skip
    array = np.asarray(volume.array, dtype=np.float64)
    table: dict[str, Any] = {
        "schema": "openbct-fe/1", "test": test, "axis": axis, "strain": strain, "poisson_ratio": poisson, "tolerance": tolerance,
        "spacing_mm": volume.spacing.tolist(),
    }  # fmt: skip
    if test == "stiffness-tensor":
        found, solution = _tensor(array, options)
    else:
        found, solution = _single(array, test, axis, options)
    table |= found | {"cautions": list(notes)}
    files = _write_fields(solution, array, volume, out, poisson)
    write_json(out / "result.json", table)
    if as_json:
        print_json(table)
        return
    for key, value in table.items():
        if not (isinstance(value, list) and not value):
            print(f"{key.replace('_', ' '):24} {say(value)}")
    print(f"written: {', '.join(str(path) for path in (out / 'result.json', *files))}")


def _single(array: np.ndarray, test: str, axis: int, options: dict[str, Any]) -> tuple[dict[str, Any], Solution]:
    """Return the numbers of one test between two platens, and its solution."""
    from ..fe import standard_tests

    tests: dict[str, Callable[..., StandardTest]] = {
        "uniaxial": standard_tests.uniaxial,
        "clamped": standard_tests.uniaxial,
        "confined": standard_tests.confined,
        "shear": standard_tests.shear,
    }
    extra = {"clamped": True} if test == "clamped" else {}
    found = tests[test](array, axis=axis, **options, **extra)
    table = {
        "force_n": found.force, "travel_mm": found.travel, "stiffness_n_per_mm": found.stiffness,
        "apparent_modulus_mpa": found.apparent_modulus, "area_mm2": found.area, "length_mm": found.length,
    }  # fmt: skip
    return table | _solve_facts([found.solution]), found.solution


def _tensor(array: np.ndarray, options: dict[str, Any]) -> tuple[dict[str, Any], Solution]:
    """Return the apparent stiffness tensor, and the solution of its last case."""
    from ..fe import standard_tests

    found = standard_tests.stiffness_tensor(array, **options)
    table = {
        "voigt_order": ["ii", "jj", "kk", "jk", "ik", "ij"], "stiffness_tensor_mpa": found.tensor, "asymmetry": found.asymmetry,
        "engineering": found.engineering,
    }  # fmt: skip
    return table | _solve_facts(list(found.solutions)), found.solutions[-1]


def _solve_facts(solutions: list[Solution]) -> dict[str, Any]:
    """Return what tells whether the numbers can be trusted; of several solves, the worst."""
    last = solutions[-1]
    return {
        "status": last.status,
        "converged": all(s.converged for s in solutions),
        "iterations": max(s.iterations for s in solutions),
        "relative_residual": max(s.residual[-1] for s in solutions),
        "strain_energy_n_mm": last.stats["energy"],
        "elements": int(last.stats["n_elements"]),
        "degrees_of_freedom": int(last.stats["n_dof"]),
        "left_out_voxels": int(last.stats["dropped_voxels"]),
        "cpu_s": sum(s.stats["setup_s"] + s.stats["solve_s"] for s in solutions),
    }


def _write_fields(solution: Solution, array: np.ndarray, volume: Volume, out: Path, poisson: float) -> list[Path]:
    """Write displacement (at nodes, along the array axes) and strain-energy density as NIfTI, and both as VTU."""
    import numpy as np

    from ..fe import element_fields
    from ..io import write_bytes, write_volume
    from ..io.vtu import vtu_bytes
    from ..volume import Volume, to_patient

    fields = element_fields(solution, array, poisson_ratio=poisson, spacing=volume.spacing.tolist())
    density = fields.energy_density.astype(np.float32)
    nodes = np.array(volume.affine)
    nodes[:3, 3] = to_patient(volume.affine, np.full(3, -0.5))
    files = [out / "energy_density.nii.gz", *(out / f"displacement_{name}.nii.gz" for name in "ijk"), out / "model.vtu"]
    write_volume(Volume(density, volume.affine, "MPa"), files[0])
    for axis in range(3):
        write_volume(Volume(solution.displacement[..., axis].astype(np.float32), nodes, "mm"), files[1 + axis])
    content = vtu_bytes(
        array > 0, volume.affine, cells={"youngs_modulus": array, "energy_density": density},
        points={"displacement": solution.displacement},
    )  # fmt: skip
    write_bytes(files[-1], content)
    return files


def say(value: Any) -> str:
    """Return a value as a person reads it."""
    import numpy as np

    if isinstance(value, dict):
        return ", ".join(f"{key} {say(entry)}" for key, entry in value.items())
    if isinstance(value, np.ndarray) and value.ndim == 2:
        return "\n" + "\n".join(" ".join(f"{x:12.5g}" for x in row) for row in value)
    if isinstance(value, np.ndarray | list | tuple):
        return " ".join(say(entry) for entry in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
