"""Every command and option as a user meets them: what is printed where, and with which exit status."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

import openbct as package
from openbct import pipeline
from openbct.cli import request as asking
from openbct.cli import run
from openbct.cli.tell import Progress, print_summary, summary
from openbct.errors import SegmentationError
from openbct.io import read_result, result_schema, store, write_ct_series, write_volume
from openbct.volume import Volume
from report_cases import plain_case
from small_scans import SECRET, Command, Small, copy_of, cut_label, openbct, simulate, small  # noqa: F401  fixtures

FILES = {"result.json", "results.csv", "fractures.csv", "protocol.toml", "case.openbct"}


# Every command, every option --------------------------------------------------------------------------------------


def test_inspect(openbct: Command, small: Small) -> None:
    said = openbct("inspect", small.scan)
    assert (
        said.status == 0
        and "series 1: use (axial, original" in said.out
        and "with cautions:" in said.out
        and "1.5 x 1.5 x 2" in said.out
        and said.err == ""
    )
    series = openbct("inspect", small.scan, "--json").json["series"]
    assert len(series) == 1 and series[0]["n_slices"] == 41 and series[0]["orientation"] == "axial"
    assert openbct("inspect", small.nifti, "--json").json["series"][0]["kvp"] is None


def test_inspect_a_zip(openbct: Command, small: Small, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for path in small.scan.iterdir():
            archive.write(path, f"deep/{path.name}")
    assert openbct("inspect", tmp_path / "scan.zip", "--json").json["series"][0]["n_slices"] == 41


def test_analyze(openbct: Command, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "a result ü"
    options = ["--sex", "m", "--age", "60", "--height-cm", "180", "--weight-kg", "80", "--series", "1", "--bones", "L1, T12"]
    said = openbct("analyze", small.scan, *small.given, *options, "--no-report", "-o", out, "--json")
    assert said.status == 0
    labels = {f"labels.{kind}" for kind in ("nii.gz", "toml", "ctbl", "txt", "dcm")}
    assert {path.name for path in out.iterdir()} == FILES | labels | {"bones", "source.json"}
    found = said.json
    bones = {bone["name"]: bone for bone in found["bones"]}
    assert 1500 < bones["L1"]["strength_n"] < 6000 and bones["L1"]["reason"] is None
    assert bones["T12"]["status"] == "refused" and "cut by the upper edge" in bones["T12"]["reason"]
    assert found["files"]["result"] == str(out / "result.json") and "report_pdf" not in found["files"]
    patient = read_result(out)["patient"]
    assert (patient["sex"], patient["age_years"], patient["height_cm"], patient["weight_kg"]) == ("M", 60, 180, 80)
    contradictions = [text for text in found["cautions"] if "make sure that scan and patient belong together" in text]
    assert len(contradictions) == 4 and any("sex F, the user M" in text for text in contradictions)
    lines = said.err.splitlines()
    assert any("L1: loading to failure" in line for line in lines) and all(line.startswith("[") for line in lines)


def test_analyze_tells_a_person(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("analyze", small.nifti, *small.given, "-o", tmp_path / "out", "--no-report")
    assert said.status == 0
    for words in (
        "research use only", "trab. vBMD", "refused: T12 is cut by", "not assessed: L3, L4, femur_left, femur_right (no label was given; draw it",
        "BMD class: none — no class: sex and age unknown", "its scale provisional", str(tmp_path / "out" / "result.json"),
    ):  # fmt: skip
        assert words in said.out, words
    result = read_result(tmp_path / "out")
    assert result["assessment"]["category"] is None
    assert all(finding["t_score"] is None for finding in result["assessment"]["findings"])


def test_header_facts_are_used(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1", "-o", tmp_path, "--no-report", "--json")
    assert said.json["category"] == "low bone mass"  # 72 years, F: from the header
    assert read_result(tmp_path)["patient"]["sources"]["age"] != "user"


def test_strength_from_density(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct(
        "strength", small.density, *small.given, "--mineral", "CHA", "--bones", "L1", "--sex", "F", "--age", 70, "--height-cm", 160,
        "--weight-kg", 60, "--no-report", "--json", "-o", tmp_path,
    )  # fmt: skip
    assert said.status == 0 and [bone["name"] for bone in said.json["bones"]] == ["L1"]
    assert read_result(tmp_path)["calibration"]["mineral"] == "CHA"


def test_hounsfield_units_are_no_density(openbct: Command, small: Small, tmp_path: Path) -> None:
    image = simulate().image
    air = np.where(image.array < 0, -1000, image.array)
    write_volume(image.with_array(air), tmp_path / "hu.nii.gz")
    said = openbct("strength", tmp_path / "hu.nii.gz", *small.given, "-o", tmp_path / "out")
    assert said.status == 3 and "analyze" in said.error


def test_mineral_is_checked(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("strength", small.density, *small.given, "--mineral", "water", "-o", tmp_path)
    assert said.status == 2 and "'water'" in said.error and "K2HPO4" in said.error


def test_a_mineral_that_nobody_stated_is_a_caution(small: Small, tmp_path: Path) -> None:
    def doubts(text: str, **more: object) -> list[str]:
        (tmp_path / "p.toml").write_text(text, encoding="utf-8")
        request = asking.Request(small.density, tmp_path / "out", protocol=str(tmp_path / "p.toml"), **more)  # type: ignore[arg-type]
        settings = asking.make_settings(request)
        assert settings.calibration.mineral in text or settings.calibration.mineral in (more.get("mineral"), "K2HPO4")
        return list(asking.doubt_mineral(request, settings))

    silent = doubts("", calibrated=True)
    assert len(silent) == 1 and "taken as K2HPO4" in silent[0] and "13 % lower" in silent[0] and "--mineral" in silent[0]
    assert doubts("", calibrated=True, mineral="K2HPO4") == doubts("", calibrated=True, mineral="CHA") == []
    for mineral in ("K2HPO4", "CHA"):
        assert doubts(f"[calibration]\nmineral = '{mineral}'", calibrated=True) == [], "the protocol's own word is not overridden"
    fixed = "[calibration]\nmethod = 'fixed'\nslope_mg_cm3_per_hu = 0.8\nintercept_mg_cm3 = 0\n"
    assert len(doubts(fixed)) == 1 and doubts(fixed + "mineral = 'CHA'") == doubts("") == []


def test_the_unstated_mineral_is_told(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("calibrate", small.scan, "--protocol", small.quick, "-o", tmp_path)
    assert said.out.count("was not stated and was taken as K2HPO4") == 1
    assert "was not stated" in (tmp_path / "calibration.json").read_text(encoding="utf-8")
    said = openbct("strength", small.density, *small.given, "--bones", "T12", "-o", tmp_path / "out", "--no-report")
    assert said.out.count("image's mineral was not stated and was taken as K2HPO4") == 1


def test_calibrate(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("calibrate", small.scan, "--protocol", small.quick, "-o", tmp_path, "--series", "1", "--json")
    assert said.status == 0 and said.json["slope_mg_cm3_per_hu"] == 0.72 and said.json["intercept_mg_cm3"] == -3.0
    density = nib.load(tmp_path / "density.nii.gz")
    image = nib.load(small.nifti)
    assert np.allclose(density.get_fdata(), 0.72 * image.get_fdata() - 3.0, atol=0.05)
    with_labels = openbct("calibrate", small.scan, *small.given, "-o", tmp_path)
    assert with_labels.status == 0 and "0.72000 x HU -3.00" in with_labels.out


def test_calibrate_refuses_a_scan_without_references(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("calibrate", small.scan, "-o", tmp_path)
    assert said.status == 3 and "found" in said.error and "expected" in said.error


def test_segment_gives_labels_that_analyze_takes(openbct: Command, small: Small, tmp_path: Path) -> None:
    labels = ["--labels", small.labels, "--label-map", small.table]
    said = openbct("segment", small.scan, *labels, "--bones", "L1,L2", "--series", "1", "-o", tmp_path, "--json")
    assert said.status == 0
    assert [(row["name"], row["part"]) for row in said.json["bones"]] == [("L1", "body"), ("L2", "body")]
    assert abs(nib.load(said.json["bones"][0]["file"]).get_fdata().sum() * 4.5e-3 - said.json["bones"][0]["volume_cm3"]) < 0.01
    assert "absent" in openbct("segment", small.scan, *labels, "-o", tmp_path / "all").out
    files = said.json["files"]
    again = openbct(
        "segment", small.scan, "--labels", files["labels"], "--label-map", files["label_map"], "-o", tmp_path / "2", "--json"
    )
    assert [row["volume_cm3"] for row in again.json["bones"]] == [row["volume_cm3"] for row in said.json["bones"]]


def test_segment_cuts_bodies_from_whole_vertebrae(openbct: Command, small: Small, tmp_path: Path) -> None:
    simulated = simulate()
    table = store.write_label_map(simulated.labels, tmp_path / "whole.nii.gz")
    said = openbct(
        "segment",
        small.scan,
        "--labels",
        tmp_path / "whole.nii.gz",
        "--label-map",
        table,
        "--bones",
        "L1",
        "-o",
        tmp_path,
        "--json",
    )
    body = said.json["bones"][0]
    truth = float((simulated.bodies.volume.array == 20).sum()) * 4.5e-3
    assert body["part"] == "body" and abs(body["volume_cm3"] / truth - 1) < 0.08


def test_protocols(openbct: Command, tmp_path: Path) -> None:
    from openbct.settings import protocol_names

    assert "kopperdahl2002" in openbct("protocols").out
    listed = openbct("protocols", "--json").json
    assert [one["name"] for one in listed["protocols"]] == list(protocol_names()) and {"name", "density", "reference"} <= set(
        listed["materials"][0]
    )
    shown = openbct("protocols", "--show", "default")
    (tmp_path / "mine.toml").write_text(shown.out, encoding="utf-8")
    from openbct.settings import built_in, parse

    assert parse(shown.out, "shown") == built_in()
    told = openbct("protocols").out
    for name in protocol_names():
        about = built_in(name).about
        assert all(words in told for words in (built_in(name).title, about.summary, about.validity, about.differs)), name
    assert openbct("protocols", "--show", "default", "--json").json["protocol"]["name"] == "default"
    wrong = openbct("protocols", "--show", "nope")
    assert wrong.status == 2 and "'nope'" in wrong.error and "default" in wrong.error and wrong.out == ""


def test_doctor(openbct: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    said = openbct("doctor")
    assert said.status == 0 and "abilities are there" in said.out and "research use" in said.out
    found = openbct("doctor", "--json").json
    assert found["ok"] is True and found["versions"]["openbct"] == package.__version__
    monkeypatch.setitem(sys.modules, "typst", None)
    ill = openbct("doctor", "--json")
    assert ill.status == 1 and ill.json["ok"] is False and ill.json["PDF engine"].startswith("FAILS")


@pytest.mark.slow
def test_demo_from_end_to_end(openbct: Command, tmp_path: Path) -> None:
    begin = time.process_time()
    said = openbct("demo", "-o", tmp_path, "--seed", 2, "--bones", "L1,femur_left", "--json")
    assert said.status == 0 and time.process_time() - begin < 360
    assert [bone["status"] in ("ok", "caution") for bone in said.json["bones"]] == [True, True]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF") and (tmp_path / "report.html").stat().st_size > 100_000
    again = openbct("analyze", tmp_path / "scan", "--labels", tmp_path / "labels.nii.gz", "--label-map", tmp_path / "labels.toml",
                    "--bones", "L1", "-o", tmp_path / "again", "--no-report", "--json")  # fmt: skip
    assert again.json["bones"][0]["strength_n"] == pytest.approx(said.json["bones"][0]["strength_n"], rel=1e-6)


def test_demo_refuses_a_wrong_bone_before_it_simulates(openbct: Command, tmp_path: Path) -> None:
    said = openbct("demo", "-o", tmp_path / "demo", "--bones", "L9")
    assert said.status == 2 and not (tmp_path / "demo").exists()


# Reports again ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_report_again(openbct: Command, small: Small, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = openbct("analyze", small.nifti, *small.given, "--bones", "L1", "-o", out, "--json")
    assert first.status == 0
    pages = {name: (out / name).read_bytes() for name in ("report.html", "report.pdf")}
    assert pages["report.pdf"].startswith(b"%PDF") and first.json["files"]["report_pdf"] == str(out / "report.pdf")
    moved = out.rename(tmp_path / "moved elsewhere")
    for name in pages:
        (moved / name).unlink()
    said = openbct("report", moved, "--json")
    assert said.status == 0 and said.json["report_html"] == str(moved / "report.html")
    assert {name: (moved / name).read_bytes() == page for name, page in pages.items()} == {
        "report.html": True,
        "report.pdf": True,
    }
    assert "report pdf" in openbct("report", moved).out
    case = (moved / "case.openbct").read_bytes()
    for damaged in (case[: len(case) // 2], b"", b"PK" + case[2:4000], case[:9000] + bytes(2000) + case[11000:]):
        (moved / "case.openbct").write_bytes(damaged)
        said = openbct("report", moved)
        assert said.status == 3 and "damaged" in said.error and "analyse the scan again" in said.error
    assert openbct("report", tmp_path).status == 3  # a folder without a result
    assert "expected the result folder" in openbct("report", tmp_path / "nowhere").error


# Bad input --------------------------------------------------------------------------------------------------------


def empty_folder(small: Small) -> list[object]:
    path = small.folder / "empty"
    path.mkdir()
    return ["inspect", path]


def no_dicom(small: Small) -> list[object]:
    path = small.folder / "texts"
    path.mkdir()
    (path / f"{SECRET}.txt").write_text("hello")
    return ["analyze", path, *small.given]


def missing(small: Small) -> list[object]:
    return ["analyze", small.folder / SECRET, *small.given]


def inspect_missing(small: Small) -> list[object]:
    return ["inspect", small.folder / "nowhere"]


def two_series(small: Small) -> list[object]:
    simulated = simulate()
    write_ct_series(simulated.image, small.scan / "two", patient=simulated.patient, acquisition=simulated.acquisition, seed=9)
    return ["analyze", small.scan, *small.given]


def unknown_series(small: Small) -> list[object]:
    return ["analyze", small.scan, *small.given, "--series", "7"]


def truncated_slice(small: Small) -> list[object]:
    path = sorted(small.scan.iterdir())[7]
    path.write_bytes(path.read_bytes()[:3000])
    return ["analyze", small.scan, *small.given]


def truncated_nifti(small: Small) -> list[object]:
    small.nifti.write_bytes(small.nifti.read_bytes()[:3000])
    return ["analyze", small.nifti, *small.given]


def noise_as_nifti(small: Small) -> list[object]:
    small.nifti.write_bytes(b"not an image")
    return ["analyze", small.nifti, *small.given]


def broken_zip(small: Small) -> list[object]:
    path = small.folder / "scan.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    return ["analyze", path, *small.given]


def no_affine(small: Small) -> list[object]:
    image = nib.load(small.nifti)
    bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
    bare.header.set_sform(None, 0)
    bare.header.set_qform(None, 0)
    nib.save(bare, small.nifti)
    return ["analyze", small.nifti, *small.given]


def empty_labels(small: Small) -> list[object]:
    labels = simulate().bodies.volume
    write_volume(labels.with_array(np.zeros_like(labels.array)), small.labels)
    return ["analyze", small.nifti, *small.given]


def other_grid(small: Small) -> list[object]:
    labels = simulate().bodies.volume
    affine = labels.affine.copy()
    affine[2, 3] += 700.0
    write_volume(Volume(labels.array[:, :, 1:], affine, "label"), small.labels)
    return ["analyze", small.nifti, *small.given]


def no_labels(small: Small) -> list[object]:
    return ["analyze", small.nifti, "--protocol", small.quick]


def labels_missing(small: Small) -> list[object]:
    return ["analyze", small.nifti, "--labels", small.folder / f"{SECRET}.nii.gz"]


def table_missing(small: Small) -> list[object]:
    return ["analyze", small.nifti, "--labels", small.labels, "--label-map", small.folder / f"{SECRET}.toml"]


def second_labels_missing(small: Small) -> list[object]:
    return ["analyze", small.nifti, "--labels", small.labels, "--labels", small.folder / SECRET, "--label-map", small.table]


def report_missing(small: Small) -> list[object]:
    return ["report", small.folder / SECRET]


def table_malformed(small: Small) -> list[object]:
    small.table.write_text("20 = [")
    return ["analyze", small.nifti, *small.given]


def table_without_names(small: Small) -> list[object]:
    small.table.write_text("20 = 7")
    return ["analyze", small.nifti, *small.given]


def too_many_tables(small: Small) -> list[object]:
    return ["analyze", small.nifti, *small.given, "--label-map", small.table, "--label-map", small.table]


def unknown_bone(small: Small) -> list[object]:
    return ["analyze", small.nifti, *small.given, "--bones", "L1,femur_lft"]


def no_bone(small: Small) -> list[object]:
    return ["analyze", small.nifti, *small.given, "--bones", " , "]


def bone_not_labelled(small: Small) -> list[object]:
    return ["analyze", small.nifti, *small.given, "--bones", "femur_left,L4"]


def protocol(text: str | bytes) -> Callable[[Small], list[object]]:
    def make(small: Small) -> list[object]:
        path = small.folder / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["analyze", small.nifti, "--labels", small.labels, "--label-map", small.table, "--protocol", path]

    return make


def options(*more: object) -> Callable[[Small], list[object]]:
    return lambda small: ["analyze", small.nifti, *small.given, *more]


def file_as_output(small: Small) -> list[object]:
    (small.folder / "out").write_text("I was here first")
    return ["analyze", small.nifti, *small.given]


def scan_as_output(small: Small) -> list[object]:
    return ["analyze", small.scan, *small.given, "-o", small.scan]


def segment_over_labels(small: Small) -> list[object]:
    folder = small.folder / "seg"
    folder.mkdir()
    small.labels.rename(folder / "vertebral_body_L1.nii.gz")
    return ["segment", small.nifti, "--labels", folder / "vertebral_body_L1.nii.gz", "--label-map", small.table, "-o", folder]


BAD = [
    (empty_folder, 3, ["expected"]),
    (no_dicom, 3, ["expected"]),
    (missing, 3, ["path of the scan", "expected"]),
    (inspect_missing, 3, ["found nothing", "expected"]),
    (two_series, 3, ["found 2 usable series", "--series"]),
    (unknown_series, 3, ["expected one of", "--series"]),
    (truncated_slice, 3, ["expected"]),
    (truncated_nifti, 3, ["expected"]),
    (noise_as_nifti, 3, ["NIfTI"]),
    (broken_zip, 3, ["zip"]),
    (no_affine, 3, ["expected"]),
    (empty_labels, 3, ["without any label"]),
    (other_grid, 3, ["another scan", "expected"]),
    (no_labels, 2, ["without labels", "--labels"]),
    (labels_missing, 3, ["the path of --labels", "expected"]),
    (table_missing, 3, ["the path of --label-map", "expected"]),
    (second_labels_missing, 3, ["path 2 of the 2 of --labels"]),
    (report_missing, 3, ["expected the result folder"]),
    (table_malformed, 2, ["label mapping", "20 ="]),
    (table_without_names, 2, ["label mapping", "20 ="]),
    (too_many_tables, 2, ["3 --label-map for 1 --labels"]),
    (unknown_bone, 2, ["'femur_lft'", "did you mean 'femur_left'"]),
    (no_bone, 2, ["empty", "bones"]),
    (bone_not_labelled, 3, ["none of femur_left, L4", "vertebral_body_L1"]),
    (options("--protocol", "nope"), 2, ["'nope'", "default", ".toml"]),
    (options("--protocol", "nope.toml"), 2, ["'nope.toml'", "--protocol"]),
    (protocol("a = ["), 2, ["TOML", "mine.toml"]),
    (protocol(b"\xff\xfe\x00name"), 2, ["mine.toml", "UTF-8"]),
    (protocol("[vertebra]\nvoxel = 2"), 2, ["voxel", "did you mean 'voxel_mm'"]),
    (protocol("[vertebra]\nvoxel_mm = 40"), 2, ["voxel_mm = 40", "0.2 to 4"]),
    (protocol("[vertebra]\nvoxel_mm = 'two'"), 2, ["'two'", "number"]),
    (protocol("[vertebra]\nmaterial = 'bone'"), 2, ["'bone'", "kopperdahl2002"]),
    (protocol("[vertebra]\nmaterial = 'gone.py:LAW'"), 2, ["gone.py", "check the path"]),
    (protocol("[calibration]\nmethod = 'guess'"), 2, ["'guess'", "phantomless"]),
    (protocol("[calibration]\nmethod = 'fixed'"), 2, ["slope", "intercept"]),
    (protocol("[run]\nbones = [1, 2]"), 2, ["bones", "1"]),
    (protocol("vertebra = 3"), 2, ["[vertebra]"]),
    (options("--sex", "woman"), 2, ["'woman'", "F or M"]),
    (options("--age", "-3"), 2, ["age [years] = -3", "0 to 120"]),
    (options("--age", "nan"), 2, ["nan", "0 to 120"]),
    (options("--height-cm", "1.6"), 2, ["height [cm] = 1.6", "unit"]),
    (options("--weight-kg", "62000"), 2, ["weight [kg]", "unit"]),
    (file_as_output, 5, ["output folder", "-o"]),
    (scan_as_output, 2, ["output folder", "-o"]),
    (segment_over_labels, 2, ["vertebral_body_L1.nii.gz", "-o"]),
]


def called(make: Callable) -> str:
    return make.__name__ if make.__name__ not in ("make", "<lambda>") else "settings"


@pytest.mark.parametrize(("make", "status", "words"), BAD, ids=[called(make) for make, _, _ in BAD])
def test_bad_input(openbct: Command, small: Small, tmp_path: Path, make: Callable, status: int, words: list[str]) -> None:
    arguments = make(copy_of(small, tmp_path / "copy"))
    if arguments[0] not in ("inspect", "report") and "-o" not in arguments:
        arguments += ["-o", tmp_path / "copy" / "out"]
    said = openbct(*arguments)
    assert said.status == status, said.err
    assert said.out == "" and said.error.startswith("openbct: ")
    assert len([line for line in said.err.splitlines() if not line.startswith("[")]) == 1, "one sentence"
    assert len(said.error) < 700
    for word in words:
        assert word in said.error, (word, said.error)


def test_a_missing_slice_refuses_the_bone_that_it_cuts(openbct: Command, small: Small, tmp_path: Path) -> None:
    damaged = copy_of(small, tmp_path / "copy")
    sorted(damaged.scan.iterdir())[7].unlink()  # it lies in L2
    said = openbct("analyze", damaged.scan, *damaged.given, "--bones", "L2", "--no-report", "-o", tmp_path / "out")
    assert said.status == 3 and "L2 reaches into a gap of" in said.error and "fetch the missing slices" in said.error
    (gap,) = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["input"]["gaps"]
    assert gap["upper_mm"] - gap["lower_mm"] == pytest.approx(4.0) and gap["normal_lps"] == pytest.approx([0, 0, 1])


def test_nothing_is_read_before_options_are_known_to_be_right(
    openbct: Command, small: Small, tmp_path: Path, monkeypatch
) -> None:
    from openbct import io

    monkeypatch.setattr(io, "read_scan", lambda *a, **k: pytest.fail("the scan was read first"))
    (tmp_path / "law.toml").write_text("[vertebra]\nmaterial = 'bone'")
    for more in (
        ["--bones", "L9"],
        ["--protocol", tmp_path / "law.toml"],
        ["--labels", tmp_path / "none.nii"],
        ["--label-map", "a"],
    ):
        assert openbct("analyze", small.nifti, *small.given, *more, "-o", tmp_path / "out").status in (2, 3)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_that_may_not_be_written(openbct: Command, small: Small, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert openbct("analyze", small.nifti, *small.given, "-o", tmp_path / "closed").status == 5


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["analyze"], ["analyze", "scan"], ["analyze", "scan", "-o", "out", "--age", "old"], ["inspect", "--nope", "scan"],
     ["batch", "scans", "-o", "out", "--jobs", "0"], ["protocols", "--show"], ["report"], ["--nope"]],
    ids=" ".join,
)  # fmt: skip
def test_usage(openbct: Command, arguments: list[str]) -> None:
    said = openbct(*arguments)
    assert said.status == 2 and said.out == "" and "Error" in said.err and len(said.err.splitlines()) < 8


# What goes wrong on the way ---------------------------------------------------------------------------------------


def check_first_bone_survives(out: Path, told: tuple[str, ...] = ("L1",)) -> None:
    result = read_result(out)
    assert tuple(bone["name"] for bone in result["bones"]) == told and all(bone["strength_n"] > 1000 for bone in result["bones"])
    assert set(result["bones"][0]["files"]) == {"density", "mask", "failed", "model", "regions", "region_names"}
    assert all((out / name).stat().st_size > 0 for name in result["bones"][0]["files"].values())
    assert len((out / "results.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(told)
    assert not list(out.rglob("*.part"))


@pytest.mark.slow
def test_disk_full_in_the_second_bone(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open
    where = []

    def no_room(self: Path, mode: str = "r", *args, **kwargs):
        if "w" in mode and ("L2" in str(self) or where):
            where.append(self)
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", no_room)
    said = openbct("analyze", small.nifti, *small.given, "--bones", "L1,L2", "-o", tmp_path, "--no-report")
    monkeypatch.undo()
    assert said.status == 5 and "No space left on device" in said.error and "free" in said.error
    assert where
    check_first_bone_survives(tmp_path, ("L1", "L2"))  # the second one's numbers still fit


def test_disk_full_at_the_case_file(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", no_room)
    said = openbct("analyze", small.nifti, *small.given, "--bones", "L1", "-o", tmp_path, "--no-report")
    assert said.status == 5 and "free space" in said.error
    check_first_bone_survives(tmp_path)


def test_interrupted_in_the_second_bone(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, "L2", KeyboardInterrupt())
    said = openbct("analyze", small.nifti, *small.given, "--bones", "L1,L2", "-o", tmp_path, "--no-report")
    assert said.status == 130 and said.error == "openbct: interrupted; what was finished stays on disk"
    check_first_bone_survives(tmp_path)


def stop_at(monkeypatch: pytest.MonkeyPatch, bone: str, error: BaseException) -> None:
    """Let the mechanical test of one bone fail."""
    real = pipeline.measure_strength

    def measure(model, *args, **kwargs):
        if model.bone == bone:
            raise error
        return real(model, *args, **kwargs)

    monkeypatch.setattr(pipeline, "measure_strength", measure)


def test_a_bug_in_one_bone(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, "L1", ZeroDivisionError(f"{SECRET}^ANNA"))
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1,L2", "-o", tmp_path, "--no-report", "--json")
    assert said.status == 1 and "internal error (ZeroDivisionError)" in said.error and "OPENBCT_DEBUG" in said.error
    bones = {bone["name"]: bone for bone in said.json["bones"]}
    assert bones["L1"]["status"] == "refused" and "ZeroDivisionError" in bones["L1"]["reason"]
    assert bones["L2"]["strength_n"] > 1000
    assert "ANNA" not in (tmp_path / "results.csv").read_text(encoding="utf-8")


def test_a_bug_elsewhere(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError(f"{SECRET}^ANNA")

    monkeypatch.setattr(pipeline, "assess", fail)
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1", "-o", tmp_path, "--no-report")
    assert said.status == 1 and "ANNA" not in said.err


def test_a_bug_raises_in_python(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    from openbct.phantoms import as_scan
    from openbct.settings import built_in, override

    stop_at(monkeypatch, "L1", ZeroDivisionError("here"))
    quick = override(built_in(), {"calibration": {"method": "fixed", "slope_mg_cm3_per_hu": 0.7, "intercept_mg_cm3": 0.0},
                                  "vertebra": {"voxel_mm": 2.0}}, "test")  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        package.analyze(as_scan(simulate()), package.GivenLabels((simulate().bodies,), ("L1",)), settings=quick)


@pytest.mark.parametrize(
    "stage", [pytest.param("to_html", marks=pytest.mark.slow), "to_pdf", pytest.param("make_report", marks=pytest.mark.slow)]
)
def test_a_report_that_fails_costs_no_result(openbct: Command, small: Small, tmp_path: Path, monkeypatch, stage: str) -> None:
    from openbct import report

    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError(f"{SECRET}^ANNA")

    if stage != "make_report":
        monkeypatch.setattr(report, "make_report", lambda case, **_: case)
    if stage == "to_pdf":
        monkeypatch.setattr(report, "to_html", lambda content: "<p>page</p>")
    monkeypatch.setattr(report, stage, fail)
    said = openbct("analyze", small.nifti, *small.given, "--bones", "L1", "-o", tmp_path, "--json")
    assert said.status == 5 and "the results are complete" in said.error and "openbct report" in said.error
    assert said.json["bones"][0]["strength_n"] > 1000 and "report_pdf" not in said.json["files"]
    assert ("report_html" in said.json["files"]) == (stage == "to_pdf")
    check_first_bone_survives(tmp_path)


@pytest.mark.slow
def test_a_cut_bone_never_loses_another(openbct: Command, small: Small, tmp_path: Path) -> None:
    cut = cut_label(small, tmp_path / "cut")
    out = tmp_path / "out"
    said = openbct("analyze", cut.scan, *cut.given, "--bones", "L2,L1,L4", "-o", out)
    assert said.status == 0
    bones = {bone["name"]: bone for bone in read_result(out)["bones"]}
    assert bones["L1"]["strength_n"] > 1000
    assert bones["L2"]["status"] == "refused" and "cut by the lower edge" in bones["L2"]["reason"]
    assert bones["L4"]["status"] == "refused" and "no label" in bones["L4"]["reason"]
    rows = (out / "results.csv").read_text(encoding="utf-8")
    assert "cut by the lower edge" in rows and rows.count("refused") == 2
    assert "cut by the lower edge" in (out / "report.html").read_text(encoding="utf-8")


def test_every_bone_refused(openbct: Command, small: Small, tmp_path: Path) -> None:
    said = openbct("analyze", small.nifti, *small.given, "--bones", "T12", "-o", tmp_path, "--no-report", "--json")
    assert said.status == 3 and "every bone was refused" in said.error and "cut by the upper edge" in said.error
    assert said.json["bones"][0]["status"] == "refused" and read_result(tmp_path)["bones"][0]["reason"]


def test_no_model_can_be_solved(openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from openbct.errors import SolveError

    stop_at(monkeypatch, "L1", SolveError("found a residual of 1e-3, expected 1e-8"))
    assert openbct("analyze", small.nifti, *small.given, "--bones", "L1", "-o", tmp_path, "--no-report").status == 4


def test_calibration_that_fails_is_a_result(openbct: Command, small: Small, tmp_path: Path) -> None:
    """The crop holds no air: phantomless calibration has to refuse, and the result has to say so."""
    said = openbct("analyze", small.scan, *small.given[:4], "-o", tmp_path, "--no-report")
    assert said.status == 3 and "density could not be calibrated" in said.error
    result = read_result(tmp_path)
    assert {bone["status"] for bone in result["bones"]} == {"refused"} and result["calibration"] is None


@pytest.mark.slow
def test_an_earlier_run_does_not_pass_for_this_one(openbct: Command, small: Small, tmp_path: Path, monkeypatch) -> None:
    assert openbct("analyze", small.nifti, *small.given, "--bones", "L1,L2", "-o", tmp_path, "--no-report").status == 0
    (tmp_path / "report.pdf").write_bytes(b"old")
    (tmp_path / "bones" / "L2" / "note.txt").write_text("the user's")
    stop_at(monkeypatch, "L2", KeyboardInterrupt())
    assert openbct("analyze", small.nifti, *small.given, "--bones", "L1,L2", "-o", tmp_path, "--no-report").status == 130
    check_first_bone_survives(tmp_path)
    assert not (tmp_path / "report.pdf").exists() and not (tmp_path / "case.openbct").exists()
    assert [path.name for path in (tmp_path / "bones" / "L2").iterdir()] == ["note.txt"]


def test_a_run_that_fails_before_its_first_bone_leaves_no_earlier_result(small: Small, tmp_path: Path) -> None:
    for name in ("result.json", "report.html"):
        (tmp_path / name).write_text("an earlier run's")
    request = asking.Request(small.nifti, tmp_path, (small.labels,), (small.table,), protocol=str(small.quick), report=False)
    settings = asking.make_settings(request)

    def fail(scan: object) -> None:
        raise SegmentationError("found no bone, expected one")

    with pytest.raises(SegmentationError):
        run.analyze_to_files(asking.read_inputs(request, settings)[0], fail, settings, request, Progress(quiet=True))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_anonymous(openbct: Command, small: Small, tmp_path: Path) -> None:
    """Neither a file of the result, the report among them, nor the message knows whose it is."""
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1", "--anonymous", "-o", tmp_path)
    assert said.status == 0 and (tmp_path / "report.pdf").is_file()
    dataset = pydicom.dcmread(next(small.scan.iterdir()))
    secrets = [SECRET, str(dataset.SeriesInstanceUID), str(dataset.StudyInstanceUID)]
    checked = 0
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents = [archive.read(name) for name in archive.namelist()]
        for content in contents:
            checked += 1
            assert not [secret for secret in secrets if secret.encode() in content], path.name
    assert checked > 10
    result = read_result(tmp_path)
    assert (
        result["patient"]["name"] is None and result["acquisition"]["study_date"] is None and result["patient"]["age_years"] == 72
    )


def test_every_caution_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the assessment too, wherever else they stand."""
    case = plain_case()
    step = replace(case.assessment.step, cautions=("a doubt of the assessment", "both"))
    case = replace(
        case, cautions=("both", "a doubt of the scan"), assessment=replace(case.assessment, step=step),
        bones=(replace(case.bones[0], cautions=("both", "a doubt of the bone")),),
    )  # fmt: skip
    print_summary(case, {})
    said = capsys.readouterr().out
    for text in ("both", "a doubt of the assessment", "a doubt of the scan", "a doubt of the bone"):
        assert sum(line.endswith(text) for line in said.splitlines()) == 1, text
    assert summary(case, {})["cautions"] == ["both", "a doubt of the scan", "a doubt of the assessment"]


def test_result_follows_the_published_schema(openbct: Command, small: Small, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    openbct("analyze", small.scan, *small.given, "-o", tmp_path, "--no-report")
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(result_schema()).validate(result)
    again = openbct(
        "analyze",
        small.scan,
        *small.given[:4],
        "--protocol",
        tmp_path / "protocol.toml",
        "-o",
        tmp_path / "2",
        "--no-report",
        "--json",
    )
    assert [bone["strength_n"] for bone in again.json["bones"]] == [bone["strength_n"] for bone in result["bones"]]


# The process ------------------------------------------------------------------------------------------------------


def start(*arguments: object, **more: object) -> subprocess.Popen[str]:
    environment = {**os.environ, **{key: str(value) for key, value in more.items()}}
    command = [sys.executable, "-m", "openbct", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['openbct', '--help']\n"
        "from openbct.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'numpy', 'scipy', 'numba', 'pydicom', 'nibabel', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "analyze" in done.stdout and "research use" in done.stdout


def test_version(openbct: Command) -> None:
    assert openbct("--version").out == f"openbct {package.__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_control_c(small: Small, tmp_path: Path) -> None:
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a suite in the background ignores it, and so would the program
    process = start("analyze", small.nifti, *small.given, "-o", tmp_path / "out")
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    assert "reading the scan" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and err.splitlines()[-1] == "openbct: interrupted; what was finished stays on disk"
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_who_leaves(small: Small) -> None:
    process = start("protocols", "--json", PYTHONUNBUFFERED=1)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 5 and err == ""


def test_a_terminal_without_superscripts(small: Small, tmp_path: Path) -> None:
    process = start(
        "segment", small.nifti, "--labels", small.labels, "--label-map", small.table, "-o", tmp_path, PYTHONIOENCODING="ascii"
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "cm?" in out


def test_debug_shows_the_traceback(small: Small, tmp_path: Path) -> None:
    process = start("analyze", tmp_path / "nowhere", "-o", tmp_path / "out", OPENBCT_DEBUG=1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" in err


def test_dicom_text_never_reaches_a_message(openbct: Command, small: Small, tmp_path: Path) -> None:
    """Command checks each message for the secret; here the header is made wrong in the patient's own elements."""
    copied = copy_of(small, tmp_path / "copy")
    for path in copied.scan.iterdir():
        dataset = pydicom.dcmread(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.PatientSex, dataset.PatientAge, dataset.PatientSize = f"{SECRET}1", f"{SECRET}2", "-5"
            dataset.PatientBirthDate = f"{SECRET}3"
            dataset.save_as(path)
    said = openbct("analyze", copied.scan, *copied.given, "--bones", "L1", "-o", tmp_path / "out", "--no-report", "--json")
    assert said.status == 0 and said.json["category"] is None


LAW = """
from openbct.records import MaterialLaw, Reference
MINE = MaterialLaw("mine", "K2HPO4", lambda rho: 3000.0 * rho, lambda rho: 40.0 * rho**1.4, (0.006, 1.2), (0.05, 0.3),
                   Reference("A paper that does not exist, for a test", "design"), (0.1, 300.0, 1.5924))
"""


@pytest.mark.slow
def test_a_result_with_a_law_of_ones_own_repeats_itself(openbct: Command, small: Small, tmp_path: Path) -> None:
    (tmp_path / "laws").mkdir()
    (tmp_path / "laws" / "law.py").write_text(LAW)
    protocol = tmp_path / "mine.toml"
    fixed = "[calibration]\nmethod = 'fixed'\nslope_mg_cm3_per_hu = 0.7\nintercept_mg_cm3 = -3.0\n"
    protocol.write_text(f"name = 'mine'\n{fixed}[vertebra]\nvoxel_mm = 2.0\nmaterial = '{tmp_path / 'laws' / 'law.py'}:MINE'\n")
    first = openbct(
        "analyze",
        small.scan,
        *small.given,
        "--bones",
        "L1",
        "--protocol",
        protocol,
        "-o",
        tmp_path / "a",
        "--no-report",
        "--json",
    )
    assert first.status == 0, first.err
    (tmp_path / "laws" / "law.py").unlink()
    assert "law.py:MINE" in (tmp_path / "a" / "protocol.toml").read_text()
    assert str(tmp_path) not in (tmp_path / "a" / "protocol.toml").read_text()
    again = openbct(
        "analyze",
        small.scan,
        *small.given,
        "--protocol",
        tmp_path / "a" / "protocol.toml",
        "-o",
        tmp_path / "b",
        "--no-report",
        "--json",
    )
    assert again.status == 0, again.err
    assert again.json["bones"][0]["strength_n"] == first.json["bones"][0]["strength_n"]


def test_numbers_are_on_disk_before_the_large_fields(
    openbct: Command, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "vtu_bytes", full)
    said = openbct("analyze", small.scan, *small.given, "--bones", "L1", "-o", tmp_path / "out", "--no-report")
    assert said.status == 5
    assert read_result(tmp_path / "out")["bones"][0]["strength_n"] > 1000
