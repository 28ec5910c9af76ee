"""The stored case: it comes back, equal cases make equal files, and damage of any kind is one sentence."""

from __future__ import annotations

import json
import pickle
import random
import tracemalloc
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from openbct.errors import InputError, OutputError
from openbct.io import case_file
from openbct.io.case_file import as_stored, read_case_file, write_case_file
from openbct.phantoms import as_scan
from openbct.pipeline import analyze
from openbct.records import Case
from openbct.report import make_report, to_html
from openbct.segmentation import GivenLabels
from openbct.settings import parse
from openbct.volume import Volume
from small_scans import QUICK, simulate


@pytest.fixture(scope="module")
def case() -> Case:
    return analyze(as_scan(simulate()), GivenLabels((simulate().bodies,), ("L1", "T12")), settings=parse(QUICK, "quick"))


@pytest.fixture(scope="module")
def stored(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("case") / "case.openbct"
    write_case_file(case, path)
    return path


def test_it_comes_back(case: Case, stored: Path) -> None:
    read = read_case_file(stored)
    assert read.scan.digest == case.scan.digest and np.array_equal(read.scan.image.array, case.scan.image.array)
    assert read.assessment == case.assessment and read.settings == case.settings and read.cautions == case.cautions
    assert [step.sentence for step in read.steps] == [step.sentence for step in case.steps]
    assert case.calibration is not None and read.calibration is not None
    assert np.abs(read.calibration.density.array - case.calibration.density.array).max() < 0.011
    assert [bone.status for bone in read.bones] == [bone.status for bone in case.bones]
    one, other = read.bones[0].strength, case.bones[0].strength
    assert one is not None and other is not None and one.strength == other.strength and np.array_equal(one.curve, other.curve)
    assert np.abs(one.failed - other.failed).max() <= 1e-7 * max(1.0, other.failed.max())


def test_equal_cases_make_equal_files(case: Case, stored: Path, tmp_path: Path) -> None:
    write_case_file(case, tmp_path / "again.openbct")
    assert (tmp_path / "again.openbct").read_bytes() == stored.read_bytes()
    write_case_file(read_case_file(stored), tmp_path / "third.openbct")
    assert len((tmp_path / "third.openbct").read_bytes()) == len(stored.read_bytes())


def test_a_case_as_stored_is_the_case_that_is_read(case: Case, stored: Path) -> None:
    mine, read = as_stored(case), read_case_file(stored)
    assert mine.scan is case.scan and mine.calibration is case.calibration and all(bone.model is None for bone in mine.bones)
    ours: list[np.ndarray] = []
    theirs: list[np.ndarray] = []
    assert case_file._encode(replace(mine, calibration=None), ours) == case_file._encode(replace(read, calibration=None), theirs)
    assert len(ours) == len(theirs) > 10
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def test_a_large_scan_is_written_and_read_slab_by_slab(case: Case, tmp_path: Path) -> None:
    """Bytes per voxel beside the case itself: a scan of 157 million voxels must leave room."""
    calibration = case.calibration
    assert calibration is not None
    image = Volume(np.full((300, 300, 240), 40, dtype=np.int16), np.eye(4), "HU")
    density = Volume(
        (image.array * np.float32(calibration.slope) + np.float32(calibration.intercept)), np.eye(4), calibration.density.unit
    )
    large = replace(case, scan=replace(case.scan, image=image), calibration=replace(calibration, density=density), bones=())
    tracemalloc.start()
    write_case_file(large, tmp_path / "large.openbct")
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    read = read_case_file(tmp_path / "large.openbct")
    needed = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert read.calibration is not None and np.abs(read.calibration.density.array - density.array).max() < 1e-3
    assert written / image.array.size < 2.0
    # two of the image and four of the density are what is asked for
    assert needed / image.array.size < 7.0


def test_density_of_its_own_is_stored(case: Case, tmp_path: Path) -> None:
    assert case.calibration is not None
    own = case.calibration.density.with_array(case.calibration.density.array + 5.0)
    write_case_file(replace(case, calibration=replace(case.calibration, density=own)), tmp_path / "own.openbct")
    read = read_case_file(tmp_path / "own.openbct").calibration
    assert read is not None and np.abs(read.density.array - own.array).max() < 0.01


def test_damage_is_one_sentence(stored: Path, tmp_path: Path) -> None:
    """Cut, overwritten and flipped at many places: the case comes back whole, or InputError says so."""
    content = stored.read_bytes()
    source = random.Random(4)
    path = tmp_path / "case.openbct"
    refused = 0
    for number in range(60):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[source.randrange(len(damaged)) :]
        elif number % 3 == 1:
            begin = source.randrange(len(damaged))
            damaged[begin : begin + 200] = bytes(source.randrange(256) for _ in range(200))
        else:
            for _ in range(20):
                damaged[source.randrange(max(0, len(damaged) - 3000), len(damaged))] ^= 1 << source.randrange(8)
        path.write_bytes(damaged)
        try:
            read_case_file(path)
        except InputError as error:
            refused += 1
            assert "case.openbct" in str(error) and "analyse the scan again" in str(error)
    assert refused > 50


def rewrite(stored: Path, path: Path, change) -> None:
    """Write the stored case with its tree changed."""
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "case.json":
                tree = json.loads(data)
                change(tree)
                data = json.dumps(tree).encode()
            target.writestr(name, data)


HOSTILE = {
    "another format": lambda tree: tree.update(format="openbct-case/9"),
    "no case": lambda tree: tree.update(case={"map": []}),
    "another record": lambda tree: tree.update(case=tree["case"]["fields"]["scan"]),
    "unknown record": lambda tree: tree["case"].update(record="Popen"),
    "unknown field": lambda tree: tree["case"]["fields"].update(nope=1),
    "missing field": lambda tree: tree["case"]["fields"].pop("scan"),
    "array that is not there": lambda tree: tree["case"]["fields"]["scan"]["fields"]["image"]["fields"].update(
        array={"array": 999}
    ),
    "path as array": lambda tree: tree["case"]["fields"]["scan"]["fields"]["image"]["fields"].update(array={"array": "../x"}),
    "singular affine": lambda tree: tree["case"]["fields"]["scan"]["fields"]["image"]["fields"].update(affine=[[0.0] * 4] * 4),
    "deep": lambda tree: tree.update(case=nested(5000)),
}


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(min(depth, 900)):
        value = [value]
    return value


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_trees(stored: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "case.openbct"
    rewrite(stored, path, HOSTILE[name])
    with pytest.raises(InputError):
        read_case_file(path)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_no_code_is_run(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "case.openbct"
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = pickle.dumps(Bomb()) if name == "0.npy" else source.read(name)
            target.writestr(name, data)
    with pytest.raises(InputError):
        read_case_file(path)
    assert not (tmp_path / "exploded").exists()


def test_a_member_beyond_all_measure_is_not_read(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_file, "MAX_ARRAY_BYTES", 1000)
    with pytest.raises(InputError, match="ValueError"):
        read_case_file(stored)


def test_missing_and_unwritable(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no"):
        read_case_file(tmp_path / "case.openbct")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError):
        read_case_file(tmp_path / "folder")
    with pytest.raises(OutputError, match="free space"):
        write_case_file(case, tmp_path / "nowhere" / "case.openbct")


def test_a_full_disk_leaves_the_old_case(case: Case, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "case.openbct"
    path.write_bytes(stored.read_bytes())

    def no_room(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", no_room)
    with pytest.raises(OutputError, match="No space left"):
        write_case_file(case, path)
    monkeypatch.undo()
    assert path.read_bytes() == stored.read_bytes() and [one.name for one in tmp_path.iterdir()] == ["case.openbct"]


def test_unknown_values_are_a_bug_of_ours(case: Case, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot stand"):
        write_case_file(replace(case, settings={"x": {1, 2}}), tmp_path / "case.openbct")


FIRST = Path(__file__).parent / "data" / "case_first.openbct"
"""Written on 2026-11-23 by the program of that day, before fractures, acquisition checks and combined classes: a coarse drawn body."""


def test_a_case_of_the_first_day_still_opens(tmp_path: Path) -> None:
    case = read_case_file(FIRST)
    assert case.fractures is None and case.examination is None and case.assessment.risk is None
    assert [(bone.bone, bone.status) for bone in case.bones] == [("L1", "ok"), ("L2", "ok"), ("femur_left", "ok")]
    assert case.calibration is not None and {sample.unit for sample in case.calibration.samples} == {"HU or mg/cm3"}
    write_case_file(case, tmp_path / "now.openbct")
    assert read_case_file(tmp_path / "now.openbct").assessment == case.assessment


@pytest.mark.slow
def test_a_case_of_the_first_day_is_reported_the_same_each_time() -> None:
    pages = [to_html(make_report(read_case_file(FIRST), made_on=date(2026, 11, 28))) for _ in range(2)]
    assert pages[0] == pages[1] and "2870" in pages[0] and "−2.0" in pages[0] and "Miller" in pages[0]
