"""Models for other programs from the command line: bad input, every format, and what CalculiX answers."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbct.io import start_folder, write_models, write_volume
from openbct.io.models import FORMATS, read_model, write_model
from openbct.records import BoneResult, ElasticSymmetry, Reference, StrengthResult
from openbct.volume import Volume
from small_scans import Command, Small, openbct, small  # noqa: F401  fixtures
from test_models import bone_model  # noqa: F401  a fixture

pytest.importorskip("h5py", reason="h5py is not installed (openbct[interop])")
CCX = shutil.which("ccx")
TESTS = ("uniaxial", "clamped", "confined", "shear")


def write_moduli(path: Path, *, spacing: float = 0.5, void: bool = False) -> Path:
    rng = np.random.default_rng(1)
    array = np.where(rng.random((5, 6, 7)) < 0.85, rng.uniform(200.0, 3000.0, (5, 6, 7)), 0.0)
    write_volume(Volume((0.0 if void else 1.0) * array.astype(np.float32), np.diag([0.5, 0.5, spacing, 1.0]), "MPa"), path)
    return path


@pytest.fixture
def block(tmp_path: Path) -> Path:
    return write_moduli(tmp_path / "moduli.nii.gz")


def test_bad_orders_are_one_sentence(tmp_path: Path, block: Path, openbct: Command) -> None:
    oblong = write_moduli(tmp_path / "oblong.nii.gz", spacing=1.0)
    empty = write_moduli(tmp_path / "empty.nii.gz", void=True)
    for status, words, arguments in (
        (3, "moduli|file", (tmp_path / "absent.nii.gz", "-o", tmp_path / "a.inp")),
        (2, "ends in '.stl'", (block, "-o", tmp_path / "a.stl")),
        (2, "one of uniaxial", (block, "-o", tmp_path / "a.inp", "--test", "stiffness-tensor")),
        (2, "0.007", (block, "-o", tmp_path / "a.inp", "--yield-strain", "7")),
        (4, "axis", (block, "-o", tmp_path / "a.inp", "--axis", "3")),
        (4, "no voxel", (empty, "-o", tmp_path / "a.inp")),
        (4, "cubes", (oblong, "-o", tmp_path / "a.h5")),
    ):
        said = openbct("fe", "export", *arguments)
        assert said.status == status, (arguments, said.err)
        assert said.out == "" and said.err.count("\n") == 1
        assert any(word in said.err for word in words.split("|")), said.err
    assert not list(tmp_path.glob("a.*"))
    broken = tmp_path / "broken.inp"
    broken.write_text("*NODE\n1,0,0\n")
    for status, words, arguments in (
        (3, "no file", (tmp_path / "absent.inp",)),
        (3, "no C3D8", (broken,)),
        (2, "looking at", (tmp_path / "model.vtu",)),
    ):
        said = openbct("fe", "check", *arguments)
        assert said.status == status and words in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_and_told(tmp_path: Path, block: Path, openbct: Command, name: str) -> None:
    path = tmp_path / "new folder" / f"model{FORMATS[name].suffix}"
    said = openbct("fe", "export", block, "-o", path, "--json")
    assert said.status == 0, said.err
    table = json.loads(said.out)
    assert table["schema"] == "openbct-fe-export/1" and table["format"] == name and table["bytes"] == path.stat().st_size
    if FORMATS[name].read is None:
        return
    model = read_model(path)
    assert int(model.active.sum()) == table["elements"] and int((model.numbers > 0).sum()) == table["nodes"]
    answer = json.loads(openbct("fe", "check", path, "--json").out)
    solved = json.loads(openbct("fe", "solve", block, "-o", tmp_path / "solved", "--tolerance", "1e-9", "--json").out)
    assert answer["load_n"] == pytest.approx(-solved["force_n"][2], rel=1e-6)
    assert "solver_load_n" not in answer


@pytest.mark.skipif(CCX is None, reason="CalculiX is not installed (Debian package calculix-ccx)")
@pytest.mark.parametrize("test", [*TESTS, "plastic"])
def test_calculix_agrees_with_every_standard_test(tmp_path: Path, block: Path, openbct: Command, test: str) -> None:
    plastic = test == "plastic"
    options: Any = ("--yield-strain", "0.004") if plastic else ("--test", test)
    assert openbct("fe", "export", block, "-o", tmp_path / "model.inp", *options).status == 0
    done = subprocess.run([str(CCX), "model"], cwd=tmp_path, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0
    answer = tmp_path / f"model.{'frd' if plastic else 'dat'}"
    said = openbct("fe", "check", tmp_path / "model.inp", "--answer", answer, "--json")
    assert said.status == 0, said.err
    table = json.loads(said.out)
    assert table["solver"] == "CalculiX" and table["cautions"] == [] and table["nodes_compared"] == table["nodes"]
    assert abs(table["load_difference"]) < (1e-5 if plastic else 1e-7)
    assert table["displacement_difference"] < (1e-4 if plastic else 1e-6)
    person = openbct("fe", "check", tmp_path / "model.inp", "--answer", answer).out
    assert "solver load n" in person and ("perfect plasticity" in person) == plastic
    wrong = openbct("fe", "check", tmp_path / "model.inp", "--answer", answer, "--bbar", "--json")
    assert abs(json.loads(wrong.out)["load_difference"]) > 1e-5


# A bone's model ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bone_s_model_is_written_where_it_is_asked_for(small: Small, tmp_path: Path, openbct: Command) -> None:
    names = [name for name, entry in FORMATS.items() if entry.read is not None]
    command = (
        "analyze",
        small.nifti,
        *small.given,
        "--bones",
        "L1,T12",
        "--protocol",
        small.quick,
        "--no-report",
        "-o",
        tmp_path,
    )
    said = openbct(*command, "--models", ",".join(names))
    assert said.status == 0, said.err
    assert "L1, feb: The yield stresses were left out" in said.err
    table = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    bones = {bone["name"]: bone for bone in table["bones"]}
    bone = bones["L1"]
    assert not any(kind.startswith("model_") for kind in bones["T12"]["files"])
    models = {name: read_model(tmp_path / bone["files"][f"model_{name}"]) for name in names}
    one = models["inp"]
    assert int(one.active.sum()) == bone["mesh"]["n_elements"] and one.plastic
    for name, model in models.items():
        assert (model.active == one.active).all() and (model.fixed == one.fixed).all(), name
        np.testing.assert_allclose(model.displacement, one.displacement, rtol=1e-6, atol=1e-12)
        # Formats that list their materials may share them between elements, within 1e-4.
        np.testing.assert_allclose(model.youngs_modulus, models["feb"].youngs_modulus, rtol=2e-4)
    text = (tmp_path / bone["files"]["model_inp"]).read_text()
    assert f"its strength is {bone['strength_n']:.6g} N" in " ".join(line.lstrip("* ") for line in text.splitlines()[:40])
    elastic = replace(one, yield_stress=np.full(one.yield_stress.shape, np.inf))
    write_model(elastic, tmp_path / "elastic.inp")
    answer = json.loads(openbct("fe", "check", tmp_path / "elastic.inp", "--bbar", "--json").out)
    travel = float(np.abs(one.displacement).max())
    assert answer["load_n"] / travel == pytest.approx(bone["stiffness_n_per_mm"], rel=0.01)
    start_folder(tmp_path)  # what the next run does first
    assert not list((tmp_path / "bones").glob("L1/*"))


def test_bad_model_formats_stop_the_run_before_it_begins(
    small: Small, tmp_path: Path, openbct: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("analyze", small.nifti, *small.given, "-o", tmp_path / "out", "--models")
    for names in ("stl", "inp,vtu"):
        said = openbct(*command, names)
        assert said.status == 2 and "inp, feb, n88model, parosol" in said.err
    monkeypatch.setitem(sys.modules, "h5py", None)
    said = openbct(*command, "inp,parosol")
    assert said.status == 2 and "pip install h5py" in said.err
    assert not (tmp_path / "out").exists()


def test_a_model_that_a_format_cannot_hold_does_not_stop_the_run(bone_result: BoneResult, tmp_path: Path) -> None:
    assert bone_result.model is not None
    symmetry = ElasticSymmetry("transverse", (0.4, 0.4, 1.0), (0.3, 0.1, 0.1), (0.15, 0.15, 0.12), Reference("A test", "design"))
    skewed = replace(bone_result, model=replace(bone_result.model, symmetry=symmetry))
    cautions = write_models(skewed, tmp_path, ("parosol", "inp"))
    assert len(cautions) == 1 and "L1, parosol: not written" in cautions[0]
    assert [path.name for path in (tmp_path / "bones" / "L1").iterdir()] == ["model.inp"]
    tilting = replace(bone_result, model=replace(bone_result.model, boundary=replace(bone_result.model.boundary, tilts=True)))
    assert "tilting platen" in write_models(tilting, tmp_path, ("inp",))[0]
    assert write_models(replace(bone_result, strength=None), tmp_path, ("inp",)) == ()
    assert bone_result.strength is not None
    tresca = replace(bone_result.strength, criterion="force at 1.9 %, Mohr–Coulomb perfect plasticity", failed=np.ones((4, 4, 5)))
    assert "Mohr–Coulomb" in write_models(replace(bone_result, strength=tresca), tmp_path, ("inp",))[0]


@pytest.fixture
def bone_result(bone_model: Any) -> BoneResult:
    solved = StrengthResult(
        bone="L1", strength=50.0, stiffness=100.0, curve=np.array([[0.0, 0.0], [0.5, 50.0]]), criterion="a test",
        boundary_conditions="held", quantities={"strength_travel_mm": 0.5}, failed=np.zeros(bone_model.mask.shape),
        displacement=np.zeros(bone_model.boundary.fixed.shape), mesh={}, seconds=0.0, step=bone_model.step,
    )  # fmt: skip
    return BoneResult("L1", "ok", None, (), (), model=bone_model, strength=solved)
