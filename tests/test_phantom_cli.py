"""The options of a calibration phantom on every command that has them, and a mineral that the phantom does not know."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drawn_phantoms import NOTHING, draw_scan, reading
from openbct.calibration import Phantom
from openbct.calibration.phantom_models import load_phantom
from openbct.cli import batch
from openbct.cli.request import Request, make_settings
from openbct.errors import CalibrationError, SettingsError
from openbct.io import read_scan, write_label_map, write_volume
from openbct.plan import make_calibrator
from openbct.records import LabelMap
from openbct.settings import parse
from openbct.volume import Volume
from small_scans import Command, openbct  # noqa: F401  a fixture

CERTIFICATE = 'model = "mindways-model3"\nserial_number = "7"\nrods = [\n' + "".join(
    f'  {{ name = "{rod.name}", value_mg_cm3 = {2 * rod.value}, water_mg_cm3 = {rod.water} }},\n'
    for rod in load_phantom("mindways-model3").rods
)
CERTIFICATE += "]\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan with a phantom below, one without, and a certificate that doubles its values."""
    folder = tmp_path_factory.mktemp("phantoms")
    rods = [reading(rod.value, rod.water) for rod in load_phantom("mindways-model3").rods]
    write_volume(draw_scan(rods)[0].image, folder / "with.nii.gz")
    write_volume(draw_scan([], slab=None)[0].image, folder / "without.nii.gz")
    (folder / "certificate.toml").write_text(CERTIFICATE, encoding="utf-8")
    return folder


def test_calibrate_finds_the_phantom(openbct: Command, files: Path, tmp_path: Path) -> None:
    said = openbct("calibrate", files / "with.nii.gz", "--phantom", "auto", "-o", tmp_path / "a", "--json")
    assert said.status == 0 and said.json["method"] == "phantom"
    assert said.json["slope_mg_cm3_per_hu"] == pytest.approx(1 / 1.40, rel=0.02)
    missing = openbct("calibrate", files / "without.nii.gz", "--phantom", "mindways-model3", "-o", tmp_path / "b")
    assert missing.status != 0 and "expected Mindways Model 3 CT" in missing.err


def test_calibrate_takes_a_phantom_in_another_scan(openbct: Command, files: Path, tmp_path: Path) -> None:
    said = openbct("calibrate", files / "without.nii.gz", "--phantom-scan", files / "with.nii.gz", "-o", tmp_path, "--json")
    assert said.status == 0 and said.json["slope_mg_cm3_per_hu"] == pytest.approx(1 / 1.40, rel=0.02)
    assert any("another scan" in caution for caution in said.json["cautions"])
    lost = openbct("calibrate", files / "without.nii.gz", "--phantom-scan", files / "absent", "-o", tmp_path)
    assert lost.status == 3 and "--phantom-scan" in lost.err


def test_a_certificate_wins_over_the_model(openbct: Command, files: Path, tmp_path: Path) -> None:
    certificate = files / "certificate.toml"
    table = openbct("calibrate", files / "with.nii.gz", "--phantom-certificate", certificate, "-o", tmp_path, "--json")
    # Twice the values on the same rods: half the HU per mg, which no tube voltage gives.
    assert table.status != 0 and "Mindways Model 3 CT" in table.err
    (tmp_path / "bad.toml").write_text("rods = [", encoding="utf-8")
    bad = openbct("calibrate", files / "with.nii.gz", "--phantom-certificate", tmp_path / "bad.toml", "-o", tmp_path)
    assert bad.status == 2 and "expected TOML" in bad.err and "Error" not in bad.err.replace("Error:", "")


def test_batch_hands_the_options_to_every_scan(
    openbct: Command, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copy(files / "without.nii.gz", folder / f"{name}.nii.gz")
    seen: list[Request] = []

    def run_one(request: Request) -> batch.Rows:
        seen.append(request)
        return [{"scan": request.out.name, "bone": "L1", "status": "ok", "reason": "", "cautions": ""}]

    monkeypatch.setattr(batch, "run_one", run_one)
    options = (
        "--phantom",
        "mindways-model3",
        "--phantom-certificate",
        files / "certificate.toml",
        "--phantom-scan",
        files / "with.nii.gz",
    )
    assert openbct("batch", folder, "-o", tmp_path / "out", *options).status == 0
    assert [request.out.name for request in seen] == ["a", "b"]
    for request in seen:
        asked = make_settings(request).calibration
        assert (asked.method, asked.phantom) == ("phantom", "mindways-model3")
        assert asked.certificate is not None and asked.certificate["serial_number"] == "7"
        assert request.phantom_scan == files / "with.nii.gz"
    wrong = openbct("batch", folder, "-o", tmp_path / "out", "--phantom", "nobody")
    lost = openbct("batch", folder, "-o", tmp_path / "out", "--phantom-scan", tmp_path / "absent")
    assert (wrong.status, lost.status, len(seen)) == (2, 3, 2) and "'nobody'" in wrong.err


def test_a_table_names_a_phantom_for_each_scan(files: Path, tmp_path: Path) -> None:
    table = tmp_path / "scans.csv"
    table.write_text(
        "name,scan,phantom,phantom_scan,phantom_certificate\na,a.nii.gz,esp,other,\nb,b.nii.gz,,,mine.toml\nc,c.nii.gz,,,\n",
        encoding="utf-8",
    )
    base = Request(scan=table, out=tmp_path / "out", phantom="qrm-bdc-3")
    rows = list(batch.plan(table, tmp_path / "out", base))
    assert [row.phantom for row in rows] == ["esp", "qrm-bdc-3", "qrm-bdc-3"]
    assert [row.phantom_scan for row in rows] == [tmp_path / "other", None, None]
    assert [row.certificate for row in rows] == [None, tmp_path / "mine.toml", None]


def test_another_phantom_scan_makes_a_batch_run_again(files: Path, tmp_path: Path) -> None:
    scan, other = tmp_path / "scan.nii.gz", tmp_path / "other.nii.gz"
    for path in (scan, other):
        shutil.copy(files / "with.nii.gz", path)
    request = Request(scan=scan, out=tmp_path / "out", phantom_scan=other)
    before = batch._digest(request)
    other.write_bytes(other.read_bytes() + b"\0")
    assert batch._digest(request) != before


def test_sweep_calibrates_a_scan_by_its_phantom(
    openbct: Command, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    image = read_scan(files / "without.nii.gz").image
    drawn = np.zeros(image.shape, dtype=np.uint8)
    drawn[140:150, 80:90] = 1
    table = write_label_map(LabelMap(Volume(drawn, image.affine, "label"), {1: "femur_left"}, "test"), tmp_path / "labels.nii.gz")

    def sweep_femora(scan, segmenter, *, plan, **more):
        seen.update(scan=scan, calibrator=plan.calibrator)
        return {"femur_left": "nothing to sweep"}, ()

    monkeypatch.setattr("openbct.pipeline.sweep_femora", sweep_femora)
    options = ("--phantom", "mindways-model3", "--phantom-scan", files / "with.nii.gz")
    given = ("--labels", tmp_path / "labels.nii.gz", "--label-map", table)
    said = openbct("sweep", files / "without.nii.gz", *given, *options, "-o", tmp_path / "out", "--json")
    assert said.status != 0 and "nothing to sweep" in json.dumps(said.json)
    assert seen["scan"].image.unit == "HU" and isinstance(seen["calibrator"], Phantom)
    assert seen["calibrator"].elsewhere is not None
    both = openbct("sweep", files / "without.nii.gz", *given, *options, "--mineral", "CHA", "-o", tmp_path / "out")
    assert both.status == 2 and "--mineral" in both.err


def calibration(text: str) -> Phantom:
    found = make_calibrator(parse(f'[calibration]\nmethod = "phantom"\n{text}', "test").calibration)
    assert isinstance(found, Phantom)
    return found


def test_a_mineral_that_the_phantom_does_not_have_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r'mineral = "CHA" beside the phantom Mindways Model 3 CT.*K2HPO4.*no conversion is silent'
    ):
        calibration('phantom = "mindways-model3"\nmineral = "CHA"')
    assert calibration('phantom = "qrm-bdc-3"\nmineral = "CHA"').mineral == "CHA"
    assert calibration('phantom = "qrm-bdc-3"').mineral is None  # a phantom has its own
    rods = [reading(rod.value, rod.water) for rod in load_phantom("mindways-model3").rods]
    with pytest.raises(CalibrationError, match='mineral = "CHA" beside'):
        calibration('mineral = "CHA"')(draw_scan(rods)[0], NOTHING)
