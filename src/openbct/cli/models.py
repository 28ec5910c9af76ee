"""Models for other programs: written, and their answers held beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .fe import TESTS
from .tell import print_json

if TYPE_CHECKING:
    import numpy as np

    from ..io.models import SolverResult, VoxelModel

EXPORTED = tuple(test for test in TESTS if test != "stiffness-tensor")
STEPS = 20
"""Equal steps in which an elastic-plastic model is taken to its travel [design]."""


def run_fe_export(
    modulus: Path, out: Path, *, test: str, axis: int, strain: float, poisson: float, yield_strain: float | None, as_json: bool
) -> None:
    """Write the model of a standard test."""
    import numpy as np

    from ..fe.block import prescribe
    from ..io.models import format_of, from_arrays, write_model
    from ..io.models.model import without_loose
    from ..io.nifti import read_nifti

    if test not in EXPORTED:
        raise SettingsError(f"found the test {test!r}, expected one of {', '.join(EXPORTED)}; choose one with --test")
    if yield_strain is not None and not 0 < yield_strain < 1:
        raise SettingsError(
            f"found a yield strain of {yield_strain:g}, expected between 0 and 1, such as 0.007; see --yield-strain"
        )
    entry = format_of(out)
    if out.resolve() == modulus.resolve():
        raise SettingsError(f"found the input {out.name!r} where the model would be written; choose another file with -o")
    volume, notes = read_nifti(modulus, "MPa")
    array = np.asarray(volume.array, dtype=np.float64)
    spacing = (float(volume.spacing[0]), float(volume.spacing[1]), float(volume.spacing[2]))
    fixed, displacement, platen, direction = prescribe(array, test, axis=axis, strain=strain, spacing=spacing)
    said = [f"Standard test: {test} along axis {axis}, strain {strain:g}.", *notes]
    if test == "shear":
        said.append("Its load is that of the platen's nodes, whose rim belongs to the side faces too: no mean stress.")
    model = without_loose(
        from_arrays(
            array, fixed=fixed, displacement=displacement, spacing=spacing, poisson_ratio=poisson, loaded=platen,
            direction=direction, yield_stress=None if yield_strain is None else yield_strain * np.maximum(array, 0.0),
            name="block", notes=tuple(said),
        )
    )  # fmt: skip
    cautions = [*notes, *model.notes[len(said) :], *write_model(model, out)]
    table = {
        "schema": "openbct-fe-export/1", "format": entry.name, "programs": entry.programs, "test": test, "axis": axis,
        "strain": strain, "poisson_ratio": poisson, "yield_strain": yield_strain, **_size(model), "bytes": out.stat().st_size,
        "cautions": cautions, "file": str(out),
    }  # fmt: skip
    _tell(table, as_json)


def run_fe_check(path: Path, answer: Path | None, *, bbar: bool, tolerance: float, as_json: bool) -> None:
    """Solve a model that a file holds, and hold another program's answer beside ours."""
    from ..io.models import read_answer, read_model

    model = read_model(path)
    found = read_answer(answer, model) if answer is not None else None
    displacement, load, status = _solve(model, bbar, tolerance)
    table: dict[str, Any] = {
        "schema": "openbct-fe-check/1", "model": path.name, **_size(model), "bbar": bbar, "status": status, "load_n": load,
        "direction": model.direction, "cautions": list(model.notes),
    }  # fmt: skip
    if found is not None:
        table |= _beside(found, model, displacement, load)
        table["cautions"] += found.notes
    _tell(table, as_json)


def _solve(model: VoxelModel, bbar: bool, tolerance: float) -> tuple[np.ndarray, float | None, str]:
    """Return our displacement, our load and how it went; the load is unknown where no node is said to carry it."""
    from .. import fe

    options: dict[str, Any] = {
        "poisson_ratio": model.poisson_ratio, "spacing": model.spacing, "fixed": model.fixed, "displacement": model.displacement,
        "bbar": bbar,
    }  # fmt: skip
    loaded = bool(model.loaded.any())
    if not model.plastic:
        how = model.symmetry
        orthotropy = None if how is None else fe.Orthotropy(how.youngs, how.poisson, how.shear)
        solution = fe.solve(model.youngs_modulus, force=model.force, orthotropy=orthotropy, tolerance=tolerance, **options)
        load = float((solution.force[model.loaded] @ model.direction).sum()) if loaded else None
        return solution.displacement, load, solution.status
    if model.force.any() or not loaded:
        raise SettingsError(
            "found an elastic-plastic model with nodal forces, or without nodes that carry its load; expected one that supports alone move"
        )
    travels = [(step + 1) / STEPS for step in range(STEPS)]
    criterion = "von_mises" if model.tension_ratio == 1.0 else "paraboloid"
    curve = fe.solve_plastic(
        model.youngs_modulus, yield_stress=model.yield_stress, tension_ratio=model.tension_ratio, criterion=criterion,
        loaded=model.loaded, direction=model.direction, travels=travels, keep_travels=travels[-1:],
        tolerance=max(tolerance, 1e-6), **options,
    )  # fmt: skip
    if not curve.converged:
        from ..errors import SolveError

        raise SolveError(f"the load history of the model did not reach its whole travel: {curve.status}", curve)
    return (
        curve.displacement[-1],
        float(curve.curve[-1, 1]),
        f"converged, {criterion.replace('_', ' ')} perfect plasticity in {STEPS} steps",
    )


def _beside(found: SolverResult, model: VoxelModel, displacement: np.ndarray, load: float | None) -> dict[str, Any]:
    """Return what another program answered, and how far it is from ours."""
    import numpy as np

    theirs = found.load(model)
    known = found.known
    largest = float(np.abs(displacement).max())
    apart = float(np.abs(found.displacement[known] - displacement[known]).max()) if known.any() else None
    return {
        "solver": found.solver,
        "solver_load_n": theirs,
        "load_difference": None if theirs is None or not load else theirs / load - 1.0,
        "nodes_compared": int(known.sum()),
        "displacement_difference": None if apart is None or largest == 0 else apart / largest,
    }


def _size(model: VoxelModel) -> dict[str, Any]:
    return {
        "elements": int(model.active.sum()), "nodes": int((model.numbers > 0).sum()), "voxel_mm": list(model.spacing),
        "plastic": model.plastic, "symmetry": model.symmetry.name if model.symmetry else "isotropic",
    }  # fmt: skip


def _tell(table: dict[str, Any], as_json: bool) -> None:
    from .fe import say

    if as_json:
        print_json(table)
        return
    for key, value in table.items():
        if key not in ("schema", "cautions", "file") and value is not None:
            print(f"{key.replace('_', ' '):24} {say(value)}")
    for caution in table["cautions"]:
        print(f"caution: {caution}")
    if "file" in table:
        print(f"written: {table['file']}")
