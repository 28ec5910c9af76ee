"""`openbct simulate` from the shell: scans that can be read back, their truth, and what it refuses."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from openbct.cli.simulate_request import make_simulation
from openbct.io import read_labels, read_scan, write_label_map
from openbct.records import LabelMap
from openbct.volume import Volume
from small_scans import QUICK, Command, openbct  # noqa: F401  fixtures

SMALL = """
[image]
region = "L2"
spacing = [3.0, 3.0, 4.0]
[person]
trabecular_density = 120.0
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Rods alone, where it does not matter what is scanned."""
    path = tmp_path / "quick.toml"
    path.write_text(
        '[image]\nspacing = [3.0, 3.0, 5.0]\n[phantom]\nname = "esp"\nalone = true\n[scanner]\nhardening = false\nscatter = 0.0\nnoise = 0.0\n',
        encoding="utf-8",
    )
    return path


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_person_with_truth(openbct: Command, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = openbct(
        "simulate", out, "--settings", small, "--sex", "M", "--age", 66, "--kvp", 100, "--phantom", "b-mas-200", "--json"
    )
    assert said.status == 0 and said.json["slices"] > 14
    truth = json.loads((out / "truth" / "truth.json").read_text(encoding="utf-8"))
    scan = read_scan(out / "scan")
    assert scan.image.shape == tuple(truth["image"]["shape"]) and scan.acquisition.kvp == 100.0
    assert scan.patient.sex == "M" and scan.patient.age == 66.0
    labels = read_labels(out / "labels.nii.gz", mapping=out / "labels.toml", like=scan.image)
    assert "vertebrae_L2" in labels.names.values() and "L2" in truth["levels"]
    body = read_labels(out / "truth" / "bodies.nii.gz", mapping=out / "truth" / "bodies.toml").volume.array > 0
    assert truth["person"]["trabecular_density"] == 120.0 and body.any()
    assert [rod["value"] for rod in truth["rods"]] == [0.0, 50.0, 100.0, 150.0, 200.0]
    assert sum(truth["beam"]["weights_behind_the_body"]) == pytest.approx(1.0)
    centre = np.linalg.inv(np.array(truth["image"]["affine_lps_mm"])) @ [*truth["landmarks_lps_mm"]["L2_centre"], 1.0]
    i, j, k = np.rint(centre[:3]).astype(int)
    hu = scan.image.array[i - 2 : i + 3, j - 2 : j + 1, k - 1 : k + 2].mean()
    assert hu / truth["beam"]["hu_per_mg_cm3_k2hpo4"] == pytest.approx(120.0, abs=25.0)
    # The settings that it leaves give the same files again.
    again = tmp_path / "again"
    assert openbct("simulate", again, "--settings", out / "truth" / "settings.toml").status == 0
    assert bytes_of(out) == bytes_of(again)


@pytest.mark.slow
def test_a_simulated_scan_can_be_assessed(openbct: Command, small: Path, tmp_path: Path) -> None:
    out, protocol = tmp_path / "out", tmp_path / "quick.toml"
    protocol.write_text(QUICK, encoding="utf-8")
    assert openbct("simulate", out, "--settings", small).status == 0
    said = openbct("analyze", out / "scan", "--labels", out / "labels.nii.gz", "-o", tmp_path / "result", "--bones", "L2", "--protocol",
                   protocol, "--no-report", "--json")  # fmt: skip
    assert said.status == 0 and said.json["bones"][0]["strength_n"] > 500 and said.json["input"]["simulated"] is True


def test_nothing_is_written_over_unasked(openbct: Command, quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert openbct("simulate", out, "--settings", quick).status == 0
    before = bytes_of(out)
    for more, status in ((), 5), (("--force", "--mas", 0), 2), (("--force", "--fault", "nothing"), 2):
        said = openbct("simulate", out, "--settings", quick, *more)
        assert said.status == status and "found" in said.error
        assert bytes_of(out) == before
    assert openbct("simulate", out, "--settings", quick, "--force", "--format", "nifti").status == 0
    assert (out / "scan.nii.gz").exists() and not (out / "scan").exists()
    assert read_scan(out / "scan.nii.gz").acquisition.simulated


def test_what_an_interruption_left_is_done_again(
    openbct: Command, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert openbct("simulate", out, "--settings", quick).status == 0
    before = bytes_of(out)
    (out / "truth" / "truth.json").unlink()
    next((out / "scan").iterdir()).unlink()
    assert openbct("simulate", out, "--settings", quick).status == 0
    assert bytes_of(out) == before
    # Interrupted while an earlier simulation is taken away: what is left does not pass for a complete one.
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda path: next(path.iterdir()).unlink() or 1 / 0)
        assert openbct("simulate", out, "--settings", quick, "--mas", 70, "--force").status != 0
    assert openbct("simulate", out, "--settings", quick).status == 0
    assert bytes_of(out) == before


def test_a_fault_is_put_in_and_told(openbct: Command, quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = openbct("simulate", out, "--settings", quick, "--fault", "missing-slice", "--json")
    truth = json.loads((out / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert said.json["fault"] == truth["fault"] and truth["fault"]["name"] == "missing-slice"
    assert len(list((out / "scan").iterdir())) == said.json["slices"] - 1
    assert openbct("inspect", out / "scan").status == 0
    assert openbct("calibrate", out / "scan", "-o", tmp_path / "c").status == 3


def test_enhanced_files_and_headers_that_are_wrong_on_purpose(openbct: Command, quick: Path, tmp_path: Path) -> None:
    classic, enhanced = tmp_path / "classic", tmp_path / "enhanced"
    assert openbct("simulate", classic, "--settings", quick).status == 0
    assert openbct("simulate", enhanced, "--settings", quick, "--format", "enhanced", "--header", "wrong").status == 0
    assert [path.name for path in (enhanced / "scan").iterdir()] == ["scan.dcm"]
    first, second = read_scan(classic / "scan"), read_scan(enhanced / "scan")
    assert np.array_equal(first.image.array, second.image.array) and np.allclose(first.image.affine, second.image.affine)
    truth = json.loads((enhanced / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert truth["header"]["false"]["KVP"] == {"true": 120.0, "written": 0.0} and second.acquisition.kvp is None
    assert len(second.step.cautions) > len(first.step.cautions)


@pytest.mark.slow
def test_a_cohort_goes_on_where_it_stopped(openbct: Command, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "many"
    asked = ("simulate", out, "--settings", small, "--spacing", "5,6", "--ages", "60,70", "--women", "1", "--seed", 40_000,
             "--implant", "cement_L2")  # fmt: skip
    assert openbct(*asked, "--cohort", 1).status == 0
    first = bytes_of(out / "case_0001")
    said = openbct(*asked, "--cohort", 2, "--json")
    assert said.status == 0 and "already there" in said.err and bytes_of(out / "case_0001") == first
    with (out / "cohort.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["case_0001", "case_0002"] == [row["case"] for row in said.json["cases"]]
    assert all(row["sex"] == "F" and 60 <= float(row["age"]) <= 70 for row in rows)
    truth = json.loads((out / "case_0002" / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert truth["person"]["trabecular_density"] == float(rows[1]["trabecular_density"]) != 120.0
    assert truth["person"]["implants"] == ["cement_L2"]
    # What a case leaves is taken again, however large the seed that its person was given.
    left = tomllib.loads((out / "case_0002" / "truth" / "settings.toml").read_text(encoding="utf-8"))
    assert make_simulation(left).person.seed == 40_000 * 100_000 + 1
    # Another scanner is another cohort: the folder is not mixed.
    assert openbct(*asked, "--cohort", 2, "--kvp", 80).status == 5


def test_a_label_map(openbct: Command, tmp_path: Path) -> None:
    array = np.zeros((40, 40, 20), dtype=np.uint8)
    array[5:35, 5:35] = 7
    array[12:28, 12:28, 5:15] = 3
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    write_label_map(LabelMap(Volume(array, affine, "label"), {7: "flesh", 3: "block"}, "test"), tmp_path / "map.nii.gz")
    (tmp_path / "parts.toml").write_text(
        '[labels]\nfile = "map.nii.gz"\n[labels.parts.7]\nname = "flesh"\ntissue = "muscle"\n[labels.parts.3]\nname = "block"\n'
        "trabecular_density = 210.0\n", encoding="utf-8",
    )  # fmt: skip
    out = tmp_path / "out"
    assert openbct("simulate", out, "--settings", tmp_path / "parts.toml", "--format", "nifti").status == 0
    truth = json.loads((out / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert truth["person"] is None and truth["structures"]["block"]["volume_cm3"] == pytest.approx(16 * 16 * 10 * 0.012, rel=0.1)
    scan = read_scan(out / "scan.nii.gz")
    assert scan.image.array[18:22, 18:22, 9:11].mean() > 200 > scan.image.array[7:10, 7:10, 9:11].mean() > 20
    bare = openbct("simulate", tmp_path / "bare", "--labels", tmp_path / "map.nii.gz")
    assert bare.status == 2 and "7" in bare.error and "parts" in bare.error


def test_a_phantom_alone_and_a_certificate(openbct: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nunit = "CHA"\nrods = {a = 0.0, b = 180.0}\nrod_radius = 9.0\nrod_distance = 60.0\nwidth = 200.0\nheight = 25.0\n',
        encoding="utf-8",
    )
    out = tmp_path / "out"
    said = openbct("simulate", out, "--phantom", tmp_path / "mine.toml", "--phantom-alone", "--spacing", "2,5")
    assert said.status == 0 and "analyze" not in said.out
    truth = json.loads((out / "truth" / "truth.json").read_text(encoding="utf-8"))
    assert [rod["value"] for rod in truth["rods"]] == [0.0, 180.0] and truth["phantom"]["mark"] == "user"
    assert tomllib.loads((out / "truth" / "settings.toml").read_text(encoding="utf-8"))["phantom"]["rods"]["b"] == 180.0


def test_what_can_be_chosen(openbct: Command) -> None:
    choices = openbct("simulate", "--list", "--json").json
    assert {"phantoms", "faults", "implants", "phases"} <= set(choices) and choices["phantoms"]["siemens-osteo"]["rods"][
        "bone"
    ] == 200.0
    assert "siemens-osteo" in openbct("simulate", "--list").out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--sex", "X"), "sex"), (("--age", "3"), "age"), (("--height-cm", "nan"), "height"), (("--fracture", "L1"), "LEVEL"),
        (("--fracture", "L1:wedge:0.2", "--fracture", "L1:crush:0.2"), "two"), (("--implant", "nail_left", "--implant", "prosthesis_left"), "left"),
        (("--fracture", "L1:dent:0.2"), "wedge"), (("--spacing", "1"), "spacing"), (("--spacing", "0.01,1"), "voxels"),
        (("--spacing", "a,b"), "numbers"), (("--kvp", "300"), "kVp"), (("--mas", "0"), "mas"), (("--kernel", "B99"), "kernel"),
        (("--region", "knee"), "region"), (("--phantom", "unknown"), "phantom"), (("--format", "png"), "format"),
        (("--fault", "clipped", "--format", "nifti"), "fault"), (("--header", "rich"), "header"),
        (("--header", "poor", "--format", "nifti"), "header"), (("--seed", "-1"), "seed"), (("--cohort", "0"), "persons"),
        (("--cohort", "2", "--phantom-alone", "--phantom", "esp"), "cohort"), (("--cohort", "2", "--age", "70"), "age"),
        (("--phantom-alone", "--phantom", "esp", "--phase", "late"), "phase"), (("--cohort", "2", "--seed", str(2**31)), "seed"),
        (("--ages", "50", "--cohort", "2"), "ages"),
        (("--low-resolution", "--spacing", "1,1"), "low-resolution"), (("--phantom-alone",), "phantom"), (("--settings", "none.toml"), "none.toml"),
        (("--labels", "none.nii.gz"), "labels"), (("--implant", "pin"), "implants"), (("--phase", "blue"), "phase"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(openbct: Command, tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    said = openbct("simulate", tmp_path / "out", *options)
    assert said.status in (2, 3) and "found" in said.error and word in said.error
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "[persn]\n", "[person]\nsexx = 1\n", "[person]\nsex = 1\n", "[person]\nage = true\n", "[scanner]\nstored = [1, 2.5]\n",
        "[scanner]\nhardening = 1\n", "[scanner]\nseed = -3\n", "[image]\nspacing = [1.0]\n", "[image]\nregion = 3\n", "person = 3\n", "[phantom]\nname = 3\n",
        "[phantom]\nalone = 1\n", "[phantom]\ntitle = 'x'\n", "[labels]\n", "[labels]\nfile = 'a'\n[labels.parts.x]\nname = 'a'\n", "seed = 1.5\n",
        "[person.fractures]\nL1 = 3\n", "[output]\nformat = 'dicom'\nfolder = 'x'\n", "not toml", "[labels]\nfile='a'\n[phantom]\nname='esp'\n",
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(openbct: Command, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    said = openbct("simulate", tmp_path / "out", "--settings", path)
    assert said.status in (2, 3) and "found" in said.error
