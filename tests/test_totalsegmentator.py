"""The contract with TotalSegmentator, held with a program that stands in for it: what it is given, and every way to fail."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from openbct.errors import GeometryError, SegmentationError, SettingsError
from openbct.io import read_scan, write_volume
from openbct.io.totalsegmentator import TotalSegmentator, weights_folder
from openbct.volume import Volume
from small_scans import Command, openbct  # noqa: F401

PROGRAM = """#!{python}
import json, os, shutil, subprocess, sys, time
mode, answer, log = os.environ["STAND_IN_MODE"], os.environ["STAND_IN_ANSWER"], os.environ["STAND_IN_LOG"]
if "--version" in sys.argv:
    print("error: no version" if mode == "mute" else "1.5.7" if mode == "old" else "2.11.0")
    sys.exit(1 if mode == "mute" else 0)
out = sys.argv[sys.argv.index("-o") + 1]
scan = sys.argv[sys.argv.index("-i") + 1]
home = os.environ["TOTALSEG_HOME_DIR"]
told = {{"arguments": sys.argv[1:], "settings": json.load(open(os.path.join(home, "config.json"))), "home": home,
        "weights": os.environ["TOTALSEG_WEIGHTS_PATH"], "proxy": os.environ.get("https_proxy"), "path": os.environ.get("PYTHONPATH")}}
shutil.copy(scan, log + ".scan.nii.gz")
json.dump(told, open(log, "w"))
if mode == "fail":
    sys.stderr.write("Traceback /home/anna/scan of ANNA\\nConnectionError: no network\\n")
    sys.exit(1)
if mode == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open(log + ".child", "w").write(str(child.pid))
    time.sleep(60)
if mode != "nothing":
    shutil.copy(answer, out)
if mode == "half":
    content = open(out, "rb").read()
    open(out, "wb").write(content[: len(content) // 2])
"""
AFFINE = np.array([[2.0, 0, 0, -50], [0, 2, 0, -60], [0, 0, 2, -200], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class StandIn:
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def answer(self, labels: Path, mode: str = "good") -> None:
        self.monkeypatch.setenv("STAND_IN_MODE", mode)
        self.monkeypatch.setenv("STAND_IN_ANSWER", str(labels))

    @property
    def told(self) -> dict:
        return json.loads((self.folder / "log").read_text())


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "stand in ü"
    folder.mkdir()
    program = folder / "TotalSegmentator"
    program.write_text(PROGRAM.format(python=sys.executable), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    weights = folder / "weights"
    for number in (291, 292, 293, 294, 295, 297):
        (weights / f"Dataset{number}_name").mkdir(parents=True)
        (weights / f"Dataset{number}_name" / "plans.json").write_text("{}")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    monkeypatch.setenv("STAND_IN_LOG", str(folder / "log"))
    monkeypatch.delenv("OPENBCT_TOTALSEGMENTATOR", raising=False)
    return StandIn(folder, monkeypatch)


def image() -> Volume:
    array = np.full((50, 60, 80), 40, np.int16)
    return Volume(array, AFFINE, "HU")


def vertebrae(folder: Path, shape: tuple[int, int, int] = (50, 60, 80), *, with_table: bool = True) -> Path:
    """Write L1 to L3 as the program does: one map of numbers, with its table in the header of later versions."""
    array = np.zeros(shape, np.uint8)
    for n, number in enumerate((31, 30, 29)):
        array[15:35, 10:46, 60 - 17 * n : 74 - 17 * n] = number
    written = nib.Nifti1Image(array, np.diag([-1.0, -1, 1, 1]) @ AFFINE)
    if with_table:
        names = {31: "vertebrae_L1", 30: "vertebrae_L2", 29: "vertebrae_L3", 52: "aorta"}
        rows = "".join(
            f'<Label Key="{n}" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[{name}]]></Label>' for n, name in names.items()
        )
        text = f'<?xml version="1.0" encoding="UTF-8"?><CaretExtension><VolumeInformation><LabelTable>{rows}</LabelTable></VolumeInformation></CaretExtension>'
        written.header.extensions.append(nib.nifti1.Nifti1Extension(0, text.encode()))
    nib.save(written, folder / "answer.nii.gz")
    return folder / "answer.nii.gz"


def test_what_the_program_is_given_and_gives(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path))
    labels = TotalSegmentator(device="cpu")(image())
    assert set(labels.names.values()) == {"vertebrae_L1", "vertebrae_L2", "vertebrae_L3"}
    assert labels.source.startswith("TotalSegmentator 2.11.0, task total, NIfTI label map") and labels.cautions == ()
    told = stand_in.told
    assert told["arguments"][4:] == ["--ml", "--task", "total", "--quiet", "--device", "cpu"]
    assert told["settings"]["send_usage_stats"] is False and told["proxy"] == "http://127.0.0.1:9" and told["path"] is None
    assert told["weights"] == str(stand_in.folder / "weights")
    assert not Path(told["home"]).exists(), "the run's own settings folder is gone with it"
    given = nib.load(stand_in.folder / "log.scan.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(given.dataobj), image().array)
    np.testing.assert_allclose(given.affine, np.diag([-1.0, -1, 1, 1]) @ AFFINE)


def test_fast_is_said_and_needs_its_own_weights(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path, with_table=False))
    labels = TotalSegmentator(fast=True)(image())
    assert "--fast" in stand_in.told["arguments"] and "--device" not in stand_in.told["arguments"]
    assert "works at 3 mm" in labels.cautions[0] and "total numbering recognised" in labels.source
    shutil.rmtree(stand_in.folder / "weights" / "Dataset297_name")
    with pytest.raises(SettingsError, match="data sets 297, expected"):
        TotalSegmentator(fast=True)(image())


def test_an_unknown_version_is_said(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path), "mute")
    assert TotalSegmentator()(image()).source.startswith("TotalSegmentator of unknown version")


def test_missing_weights_stop_the_run_before_the_program(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path))
    shutil.rmtree(stand_in.folder / "weights" / "Dataset292_name")
    (stand_in.folder / "weights" / "Dataset292_name").mkdir()  # an empty folder is what a broken download leaves
    with pytest.raises(SettingsError, match=r"data sets 292, .*totalseg_download_weights.*nothing is fetched"):
        TotalSegmentator()(image())
    assert not (stand_in.folder / "log").exists()
    assert weights_folder({"TOTALSEG_HOME_DIR": "/x"}) == Path("/x/nnunet/results")


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("fail", SegmentationError, r"ended with status 1 \(ConnectionError\)"),
        ("nothing", SegmentationError, "no label map after TotalSegmentator ended"),
        ("half", SegmentationError, "label map of TotalSegmentator cannot be used"),
        ("old", SettingsError, "TotalSegmentator 1.5.7, expected version 2"),
    ],
)
def test_every_way_to_fail(stand_in: StandIn, tmp_path: Path, mode: str, kind: type[Exception], words: str) -> None:
    stand_in.answer(vertebrae(tmp_path), mode)
    with pytest.raises(kind, match=words) as caught:
        TotalSegmentator()(image())
    assert "anna" not in str(caught.value).lower() and str(tmp_path) not in str(caught.value)


def test_a_hanging_program_is_stopped_with_its_children(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path), "hang")
    begin = time.perf_counter()
    with pytest.raises(SegmentationError, match="still at work after"):
        TotalSegmentator(timeout_min=0.08)(image())
    assert time.perf_counter() - begin < 30
    child = int((stand_in.folder / "log.child").read_text())
    for _ in range(50):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child of a stopped program goes on")


def test_another_grid_is_refused(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answer(vertebrae(tmp_path, (50, 60, 79)))
    with pytest.raises(GeometryError, match="not resampled back"):
        TotalSegmentator()(image())


def test_a_program_that_is_not_there(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBCT_TOTALSEGMENTATOR", str(stand_in.folder / "nothing"))
    with pytest.raises(SettingsError, match="at the place that OPENBCT_TOTALSEGMENTATOR names"):
        TotalSegmentator()(image())


def test_the_command_line_takes_it(openbct: Command, stand_in: StandIn, tmp_path: Path) -> None:  # noqa: F811
    answer = vertebrae(tmp_path)
    bright = np.where(np.asanyarray(nib.load(answer).dataobj) > 0, 300, 40).astype(np.int16)
    bright[0] = -1000
    scan = tmp_path / "scan.nii.gz"
    write_volume(Volume(bright, AFFINE, "HU"), scan)
    stand_in.answer(answer)
    out = tmp_path / "out"
    said = openbct("segment", scan, "--segmenter", "totalsegmentator", "--bones", "L2", "-o", out, "--json")
    assert said.status == 0, said.err
    assert [bone["name"] for bone in said.json["bones"]] == ["L2"]
    both = openbct("segment", scan, "--segmenter", "totalsegmentator", "--labels", answer, "-o", out)
    assert both.status == 2 and "one of the two" in both.error
    none = openbct("segment", scan, "--segmenter", "given", "-o", out)
    assert none.status == 2 and "--labels" in none.error
    wrong = openbct("segment", scan, "--segmenter", "magic", "-o", out)
    assert wrong.status == 2 and "builtin" in wrong.error


@pytest.mark.data
def test_real_output(stand_in: StandIn, data_dir: Path) -> None:
    """What the real program left of a real scan, cut to vertebrae, with its own table."""
    stand_in.answer(data_dir / "abdomen_pelvis" / "labels_vertebrae.nii.gz")
    labels = TotalSegmentator()(read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz").image)
    assert labels.names[31] == "vertebrae_L1" and len(labels.names) == 8
