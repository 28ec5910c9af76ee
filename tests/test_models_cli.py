"""Models for other programs from the command line: bad input, every format, and what CalculiX answers."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openbct.io import write_volume
from openbct.io.models import FORMATS, read_model
from openbct.volume import Volume
from small_scans import Command, openbct  # noqa: F401  a fixture

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
        (5, "cubes", (oblong, "-o", tmp_path / "a.h5")),
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
