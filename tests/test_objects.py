"""Objects for other systems: right numbers, right patient, right references; judged by readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image

from ct_series import write_series
from openbct.cli import export
from openbct.errors import InputError, SettingsError
from openbct.io import read_planes, read_source, source_series, write_source
from openbct.io.objects import Making, encapsulated_pdf, fhir_bundle, key_image, structured_report, value_rows
from openbct.io.source_series import SourceSeries
from openbct.records import Case
from report_cases import all_refused, plain_case

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PDF = b"%PDF-1.7 odd"


@pytest.fixture(scope="module")
def case() -> Case:
    return plain_case()


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_series(
        folder,
        PatientName="Ünal^Élise",
        SpecificCharacterSet="ISO_IR 100",
        StudyTime="101112",
        StudyID="S7",
        AccessionNumber="A9",
    )
    return folder


@pytest.fixture(scope="module")
def source(series: Path) -> SourceSeries:
    found = source_series(read_planes(series, None))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def making(source: SourceSeries) -> Making:
    return Making(source, "ab" * 32, WHEN)


def opened(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def judged(content: bytes, path: Path) -> None:
    """The checker of the standard finds no error, where it is installed."""
    checker = shutil.which("dciodvfy")
    if checker is None:
        return
    path.write_bytes(content)
    said = subprocess.run([checker, str(path)], capture_output=True, text=True, check=False)
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    assert not errors, "\n".join(errors)


def test_a_source_is_kept_as_the_header_has_it(source: SourceSeries, series: Path, tmp_path: Path) -> None:
    write_source(source, tmp_path)
    back = read_source(tmp_path)
    header = pydicom.dcmread(sorted(series.glob("*.dcm"))[0], stop_before_pixels=True)
    assert back is not None and back.shared == source.shared and back.instances == source.instances and len(back.instances) == 12
    assert str(back.shared.PatientName) == "Ünal^Élise" and back.shared.StudyTime == "101112"
    assert (back.series_uid, back.frame_of_reference_uid) == (header.SeriesInstanceUID, header.FrameOfReferenceUID)
    assert source_series(read_planes(tmp_path / "scan.nii.gz", None)) is None and read_source(tmp_path / "none") is None
    (tmp_path / "source.json").write_text("{}")
    with pytest.raises(InputError, match="analyse the scan again"):
        read_source(tmp_path)


def test_the_structured_report_says_the_numbers_with_units(case: Case, making: Making, tmp_path: Path) -> None:
    """Read by highdicom, which shares no code with the writer."""
    content = structured_report(case, making, said=("Low bone mass.",))
    judged(content, tmp_path / "sr.dcm")
    report = hd.sr.ComprehensiveSR.from_dataset(opened(content))
    groups = {g.tracking_identifier: g for g in report.content.get_image_measurement_groups()}
    assert set(groups) == {"L1", "L2", "femur_left", "L1, L2"}
    numbers = {m.name.value: m for m in groups["femur_left"].get_measurements()}
    femur = case.bones[-1]
    assert femur.strength is not None and femur.measures is not None
    assert (numbers["strength"].value, numbers["strength"].unit.value) == (femur.strength.strength, "N")
    neck = numbers["femoral_neck_abmd"]
    assert (neck.value, neck.unit.value, neck.name.scheme_designator) == (0.6234, "g/cm2", "99OPENBCT")
    children = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in neck[0].ContentSequence}
    assert float(children["T-score"].MeasuredValueSequence[0].NumericValue) == -1.955
    assert children["Class by published thresholds"].TextValue == "low bone mass"
    assert (
        groups["femur_left"].finding_sites[0].laterality.value == "7771000"
        and groups["L1"].finding_sites[0].value.value == "66794005"
    )
    assert report.VerificationFlag == "UNVERIFIED" and report.PreliminaryFlag == "PRELIMINARY"
    texts = [item.TextValue for item in report.ContentSequence[-1].ContentSequence]
    assert "Low bone mass." in texts and any("Research use only" in text for text in texts)


def test_every_object_is_of_the_right_patient_and_study(case: Case, making: Making, series: Path, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)).save(picture, "PNG")
    made = {
        "sr": structured_report(case, making),
        "pdf": encapsulated_pdf(PDF + b"!", "Title", making),
        "image": key_image(picture.getvalue(), "A caption with µ and ³", 3, making),
    }
    header = pydicom.dcmread(sorted(series.glob("*.dcm"))[0], stop_before_pixels=True)
    names = set()
    for name, content in made.items():
        judged(content, tmp_path / f"{name}.dcm")
        dataset = opened(content)
        for keyword in ("PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            assert dataset[keyword].value == header[keyword].value, (name, keyword)
        assert str(dataset.PatientName) == "Ünal^Élise"
        assert dataset.SeriesInstanceUID != header.SeriesInstanceUID and dataset.ContentDate == "20260304"
        names.add(dataset.SOPInstanceUID)
    assert len(names) == 3
    assert made["sr"] == structured_report(case, making)
    image, pdf = opened(made["image"]), opened(made["pdf"])
    np.testing.assert_array_equal(image.pixel_array, np.arange(36).reshape(3, 4, 3))
    assert pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength] == PDF + b"!"
    assert {item.ReferencedSOPInstanceUID for item in pdf.SourceInstanceSequence} == {uid for _, uid in making.source.instances}


def bundle(case: Case, **more: Any) -> dict[str, Any]:
    return fhir_bundle(case, when=WHEN, key="k", **more)


def test_the_fhir_bundle_refers_to_itself_alone(case: Case) -> None:
    made = bundle(case, conclusion="Low bone mass, 2710\u00a0N.", pdf=PDF)
    assert made == bundle(case, conclusion="Low bone mass, 2710\u00a0N.", pdf=PDF)
    assert (
        made["entry"][0]["resource"]["conclusion"] == "Low bone mass, 2710 N."
    )  # the standard's pattern of a string knows no other space
    urls = {entry["fullUrl"] for entry in made["entry"]}
    text = json.dumps(made)
    assert {part.split('"')[0] for part in text.split('"reference": "')[1:]} <= urls and len(urls) == len(made["entry"])
    report = made["entry"][0]["resource"]
    assert (report["resourceType"], report["status"]) == ("DiagnosticReport", "preliminary")
    observed = {
        entry["fullUrl"]: entry["resource"] for entry in made["entry"] if entry["resource"]["resourceType"] == "Observation"
    }
    assert [one["reference"] for one in report["result"]] == list(observed)
    neck = next(one for one in observed.values() if one["code"]["coding"][0]["code"] == "femoral_neck_abmd")
    assert neck["valueQuantity"] == {"value": 0.6234, "unit": "g/cm2", "system": "http://unitsofmeasure.org", "code": "g/cm2"}
    assert [part["valueQuantity"]["value"] for part in neck["component"]] == [0.021, -1.955]


def test_a_case_without_numbers_makes_whole_objects(making: Making, tmp_path: Path) -> None:
    refused = all_refused()
    content = structured_report(refused, making)
    judged(content, tmp_path / "sr.dcm")
    assert b"density could not be calibrated" in content
    observed = [e["resource"] for e in bundle(refused)["entry"] if e["resource"]["resourceType"] == "Observation"]
    assert len(observed) == 1 and "dataAbsentReason" in observed[0] and "valueCodeableConcept" not in observed[0]
    assert value_rows(refused) == []


def test_without_a_header_only_fhir_and_the_table_are_made(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(title="T", figures=tuple)
    monkeypatch.setattr(export, "as_it_stands", lambda *_: export.Standing(WHEN, report, PDF, "k"))
    out, to = tmp_path, tmp_path / "objects"
    files, refused = export.write_objects(case, out, to, export.KINDS, asked=False)
    assert set(files) == {"fhir", "csv"} and set(refused) == set(export.DICOM)
    with (to / "values.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert "Miller" not in (to / "values.csv").read_text() and {row["bone"] for row in rows} >= {"L1", "femur_left"}
    with pytest.raises(InputError, match="no DICOM header"):
        export.write_objects(case, out, to, ("sr",), asked=True)
    with pytest.raises(SettingsError, match="expected some of pdf"):
        export.chosen("pdf,hl7")
