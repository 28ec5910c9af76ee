"""The result folder: hostile places and values first, then that every file says what the case holds."""

from __future__ import annotations

import base64
import copy
import csv
import errno
import json
import math
import os
import re
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ct_series import ACQUISITION, PATIENT, SECRET, make_image
from openbct.errors import InputError, OutputError
from openbct.io import read_case, read_result, result_schema, to_toml, write_case, write_json, write_table
from openbct.io.case_json import csv_rows
from openbct.io.vtu import vtu_bytes
from openbct.records import (
    Assessment,
    BoneMask,
    BoneMeasures,
    BoneRegion,
    BoneResult,
    Boundary,
    CalibratedVolume,
    Case,
    FEModel,
    Finding,
    Frame,
    Measure,
    Reference,
    ReferenceSample,
    Scan,
    Segmentation,
    Specimen,
    Step,
    StrengthResult,
)
from openbct.volume import Volume, crop

PAPER = Reference("Author, Journal 1:2 (2003)", "seen")
SHAPE = (4, 5, 6)


def step(stage: str, *cautions: str) -> Step:
    return Step(stage, f"The {stage} was done.", (PAPER,), cautions)


def make_bone(name: str, image: Volume, *, mirrored: bool = False) -> BoneResult:
    """Return a bone with every record, its numbers made up but told apart."""
    part = crop(image, (6, 6, 2), (18, 16, 10))
    density = part.with_array(part.array.astype(np.float32), "mg/cm3 K2HPO4")
    region = BoneRegion(
        name, "vertebra", None, density, part.with_array(part.array > 0, "mask"), Frame(np.zeros(3), np.eye(3)),
        {"superior_endplate": np.array([1.0, 2.0, 3.0])}, {"height": 27.5, "mean_area": 1200.0, "tilt_deg": 4.0, "volume": 31000.0}, step("anatomy", "a doubt"),
    )  # fmt: skip
    rng = np.random.default_rng(3)
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 1:4] = True
    pad = np.zeros(SHAPE, bool)
    pad[:, :, 0] = True
    mask &= ~pad
    affine = np.array([[0, 1.0, 0, 5], [1.5, 0, 0, 6], [0, 0, -2.0, 7], [0, 0, 0, 1]])
    affine[:3, :3] /= np.linalg.norm(affine[:3, :3], axis=0)
    if mirrored:
        affine[:3, 0] *= -1
    specimen = Specimen(name, rng.random(SHAPE) * 300, "K2HPO4", mask, pad, 1.0, affine, 5.0, step("mount"))
    nodes = (SHAPE[0] + 1, SHAPE[1] + 1, SHAPE[2] + 1)
    fixed, loaded = np.zeros((*nodes, 3), bool), np.zeros(nodes, bool)
    boundary = Boundary(fixed, np.zeros((*nodes, 3)), loaded, np.array([0, 0, 1.0]), "held below, pushed above")
    modulus = np.where(mask, 500.0, 0.0) + 2500.0 * pad
    model = FEModel(name, modulus, np.full(SHAPE, np.inf), 1.0, 0.3, mask, 1.0, 5.0, boundary, affine, step("model"))
    curve = np.array([[0, 0], [0.1, 100.0], [0.2, 150.0]])
    failed = np.where(mask, rng.random(SHAPE), 0.0)
    strength = StrengthResult(
        name, 150.0, 1000.0, curve, "force at 1.9 % strain", boundary.description, {"maximum_force_n": np.inf, "yield_force_n": 90.0},
        failed, rng.random((*nodes, 3)), {"n_elements": 24.0, "voxel_mm": 1.0}, 1.5, step("strength"),
    )  # fmt: skip
    measures = BoneMeasures(
        name,
        {
            "trabecular_vbmd": Measure(101.5, "mg/cm3", "middle third", 4.0),
            "integral_vbmd": Measure(float("nan"), "mg/cm³ K2HPO4", "whole body"),
            "total_hip_abmd": Measure(0.8, "mg/cm3", "a wrong unit"),
        },
        {},
        step("measures"),
    )
    steps = (region.step, specimen.step, model.step, strength.step)
    return BoneResult(name, "caution", None, ("a doubt",), steps, region, specimen, model, strength, measures, {"strength": 1.5})


def make_case() -> Case:
    image = make_image()
    scan = Scan(image, PATIENT, ACQUISITION, "DICOM series of 12 slices", "0" * 64, step("input", "no kernel"))
    mask = BoneMask("L1", crop(image.with_array(image.array > 0, "mask"), (6, 6, 2), (18, 16, 10)), "body", 0.9, False)
    segmentation = Segmentation({"L1": mask}, {}, step("segmentation"), absent={"femur_left": "no label of this name"})
    density = image.with_array(0.8 * image.array.astype(np.float64) + 3, "mg/cm3 K2HPO4")
    sample = ReferenceSample("muscle", 55.0, 12.0, 900, 50.0, float("nan"), "HU")
    calibration = CalibratedVolume(density, "K2HPO4", "phantomless", 0.8, 3.0, np.eye(2), (sample,), step("calibration"))
    bones = (
        make_bone("L1", image),
        make_bone("femur_right", image, mirrored=True),
        BoneResult("femur_left", "refused", "=no label of this name", (), ()),
    )
    finding = Finding("trabecular vBMD", "L1", 101.5, "mg/cm3", -1.2, "low bone mass", "80 and 120 mg/cm3", (80.0, 120.0), PAPER)
    assessment = Assessment((finding,), "low bone mass", "L1 below 120", 3000.0, {"femur_right": 20.0}, step("assessment"))
    settings = {"run": {"bones": ["auto"], "threads": 1}, "calibration": {"method": "phantomless", "mineral": "K2HPO4"}}
    return Case(
        scan, segmentation, calibration, bones, assessment, "default 1", settings, {"openbct": "0.1.0"}, {"calibration": 0.2},
        ("no kernel",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result") / "out"
    write_case(make_case(), folder)
    return folder


# Hostile places ----------------------------------------------------------------------------------------------


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="found no way to write into the output folder"):
        write_case(make_case(), tmp_path / "out")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_disk_full_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    write_json(tmp_path / "result.json", {"old": 1})

    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=re.escape(os.strerror(code))):
        write_json(tmp_path / "result.json", {"new": 2})
    assert json.loads((tmp_path / "result.json").read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema": "openbct-result/99"}', '{"bones": []}'])
def test_results_that_cannot_be_replayed(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(InputError, match=r"found .* expected"):
        read_result(tmp_path)


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(
        tmp_path / "x.json", {"a": np.nan, "b": [np.inf, -np.inf, np.float32(1.5)], "c": np.arange(3), "d": np.bool_(True)}
    )
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == {
        "a": None,
        "b": [None, None, 1.5],
        "c": [0, 1, 2],
        "d": True,
    }


def test_table_cells_run_nothing(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"a": "=1+1", "b": -2.5}, {"b": float("nan"), "c": 'x, "y"\nz'}])
    with (tmp_path / "t.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows == [{"a": "'=1+1", "b": "-2.5", "c": ""}, {"a": "", "b": "", "c": 'x, "y"\nz'}]


# result.json -------------------------------------------------------------------------------------------------


def test_result_is_valid(written: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.validate(read_result(written), result_schema())


def _drop(*path: str | int) -> Callable[[dict], None]:
    def change(result: dict) -> None:
        for key in path[:-1]:
            result = result[key]
        del result[path[-1]]

    return change


def _set(value: object, *path: str | int) -> Callable[[dict], None]:
    def change(result: dict) -> None:
        for key in path[:-1]:
            result = result[key]
        result[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _drop("bones", 0, "strength_n"),
        _drop("bones", 0, "curve"),
        _drop("bones", 0, "failure_criterion"),
        _drop("calibration", "covariance"),
        _drop("input", "sha256"),
        _set("fine", "bones", 0, "status"),
        _set("150", "bones", 0, "strength_n"),
        _set(None, "bones", 0, "failure_criterion"),
        _set(None, "bones", 2, "reason"),
        _set("openbct-result/2", "schema"),
        _set([[1, 2]], "calibration", "covariance"),
        _set("X", "patient", "sex"),
        _set({"height": 27.5}, "bones", 0, "sizes"),
    ],
)
def test_schema_refuses_what_is_wrong(written: Path, change: Callable[[dict], None]) -> None:
    result = copy.deepcopy(read_result(written))
    change(result)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(result, result_schema())


def test_result_says_what_the_case_holds(written: Path) -> None:
    result = read_result(written)
    first, right, left = result["bones"]
    assert (first["name"], first["kind"], first["level"], first["side"]) == ("L1", "vertebra", "L1", None)
    assert (left["name"], left["kind"], left["level"], left["side"]) == ("femur_left", "femur", None, "left")
    assert first["strength_n"] == 150.0 and first["stiffness_n_per_mm"] == 1000.0 and first["vbmd_mg_cm3"] == 101.5
    assert first["curve"] == {"travel_mm": [0, 0.1, 0.2], "force_n": [0, 100.0, 150.0]}
    assert first["quantities"] == {"maximum_force_n": None, "yield_force_n": 90.0}
    assert first["measures"]["trabecular_vbmd"]["uncertainty"] == 4.0 and first["measures"]["integral_vbmd"]["value"] is None
    assert first["landmarks_lps_mm"]["superior_endplate"] == [1, 2, 3]
    assert first["sizes"] == {"height_mm": 27.5, "mean_area_mm2": 1200.0, "tilt_deg": 4.0, "volume_cm3": 31.0}
    assert (
        first["vbmd_region"] == "middle third" and first["mineral"] == left["mineral"] == "K2HPO4" and left["vbmd_region"] is None
    )
    assert left["status"] == "refused" and left["reason"] and left["strength_n"] is None and left["curve"] is None
    assert result["patient"]["name"] == PATIENT.name and result["calibration"]["slope_mg_cm3_per_hu"] == 0.8
    assert result["calibration"]["samples"][0]["unit"] == "HU"
    assert result["references"] == [{"number": 1, "text": PAPER.text, "mark": "seen"}]
    assert all(entry["references"] == [1] for entry in result["methods"]) and len(result["methods"]) == 8
    assert result["input"]["spacing_mm"] == pytest.approx([0.8, 0.9, 2.0]) and result["cautions"] == ["no kernel"]
    for name in (*first["files"].values(), *right["files"].values()):
        assert (written / name).is_file()
    assert left["files"] == {}


def test_table_has_one_row_per_bone_and_the_same_columns(written: Path) -> None:
    with (written / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["bone"] for row in rows] == ["L1", "femur_right", "femur_left"]
    assert rows[0]["strength_n"] == "150" and rows[0]["trabecular_vbmd_mg_cm3"] == "101.5"
    assert rows[0]["total_hip_abmd_g_cm2"] == "", "a value in another unit must not stand under this column"
    assert rows[1]["load_to_strength"] == "20" and rows[2]["reason"] == "'=no label of this name"
    refused_only = replace(make_case(), bones=make_case().bones[2:], calibration=None)
    assert list(csv_rows(refused_only)[0]) == list(csv_rows(make_case())[0])


def test_a_femur_of_the_other_side_has_no_side(tmp_path: Path) -> None:
    """Its label says right, its image shows a left one: which of the two is wrong, nobody knows here."""
    case = make_case()
    right = case.bones[1]
    assert right.region is not None
    for shown, told in (("left", None), ("right", "right")):
        bone = replace(right, region=replace(right.region, kind="femur", side=shown))
        table = replace(case, bones=(bone,))
        assert csv_rows(table)[0]["side"] == told and csv_rows(table)[0]["bone"] == "femur_right"
        write_case(table, tmp_path, fields=False)
        assert read_result(tmp_path)["bones"][0]["side"] == told
        jsonschema.validate(read_result(tmp_path), result_schema())


def test_settings_repeat_the_run(written: Path) -> None:
    assert tomllib.loads((written / "protocol.toml").read_text()) == make_case().settings


def test_anonymous(tmp_path: Path) -> None:
    case = make_case()
    named = replace(case.scan.acquisition, contrast=f"{SECRET} 80 ml")
    write_case(replace(case, scan=replace(case.scan, acquisition=named)), tmp_path, anonymous=True)
    for path in tmp_path.rglob("*"):
        if path.is_dir():
            continue
        contents = [path.read_bytes()]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents += [archive.read(name) for name in archive.namelist()]
        for content in contents:
            assert SECRET.encode() not in content and b"1950-03-01" not in content and b"2020-03-01" not in content, path
    result = read_result(tmp_path)
    jsonschema.validate(result, result_schema())
    assert result["patient"]["sex"] == "F" and result["patient"]["sources"] == {}


def test_case_comes_back(written: Path) -> None:
    case, back = make_case(), read_case(written)
    assert back.scan.patient == case.scan.patient and [bone.bone for bone in back.bones] == [bone.bone for bone in case.bones]
    assert back.bones[0].strength is not None
    np.testing.assert_array_equal(back.bones[0].strength.curve, case.bones[0].strength.curve)  # type: ignore[union-attr]


def test_bones_of_an_earlier_run_are_not_claimed(tmp_path: Path) -> None:
    case = make_case()
    write_case(case, tmp_path)
    refused = BoneResult("L1", "refused", "cut by the image", (), ())
    write_case(replace(case, bones=(refused,)), tmp_path)
    assert read_result(tmp_path)["bones"][0]["files"] == {}


def test_fields_can_be_left_to_an_earlier_call(tmp_path: Path) -> None:
    write_case(make_case(), tmp_path, fields=False)
    assert not (tmp_path / "bones").exists() and read_result(tmp_path)["bones"][0]["files"] == {}


# Fields ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["L1", "femur_right"])
def test_fields_lie_in_the_patient(written: Path, name: str) -> None:
    bone = next(bone for bone in make_case().bones if bone.bone == name)
    assert bone.specimen is not None and bone.strength is not None
    density, mask, failed = (nib.load(written / "bones" / name / f"{kind}.nii.gz") for kind in ("density", "mask", "failed"))
    for image in (density, mask, failed):
        np.testing.assert_allclose(image.affine, np.diag([-1, -1, 1, 1]) @ bone.specimen.to_patient, atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj) == 1, bone.specimen.mask)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj) == 2, bone.specimen.pad)
    np.testing.assert_allclose(np.asanyarray(failed.dataobj), bone.strength.failed, rtol=1e-6)
    inside = np.asanyarray(density.dataobj)[bone.specimen.mask]
    np.testing.assert_allclose(inside, bone.specimen.density[bone.specimen.mask], rtol=1e-6)


def read_vtu(content: bytes) -> tuple[dict[str, np.ndarray], int, int]:
    """Return a VTU file's arrays by an XML parser and the format's description, not by our writer."""
    root = ElementTree.fromstring(content)
    piece, appended = root.find(".//Piece"), root.find("AppendedData")
    assert piece is not None and appended is not None and appended.text is not None
    data = appended.text.strip()[1:]
    types = {"Float32": "<f4", "Int32": "<i4", "UInt8": "u1"}
    arrays = {}
    for entry in piece.iter("DataArray"):
        rest = data[int(entry.attrib["offset"]) :]
        count = int(np.frombuffer(base64.b64decode(rest[:8])[:4], "<u4")[0])
        length = 4 * math.ceil(4 * (3 + count) / 3)
        sizes = np.frombuffer(base64.b64decode(rest[:length]), "<u4")[3:]
        total = 4 * math.ceil(int(sizes.sum()) / 3)
        blocks = base64.b64decode(rest[length : length + total])
        parts = np.split(np.frombuffer(blocks, "u1"), np.cumsum(sizes)[:-1])
        raw = b"".join(zlib.decompress(part.tobytes()) for part in parts)
        array = np.frombuffer(raw, types[entry.attrib["type"]])
        components = int(entry.attrib["NumberOfComponents"])
        arrays[entry.attrib["Name"]] = array.reshape(-1, components) if components > 1 else array
    return arrays, int(piece.attrib["NumberOfPoints"]), int(piece.attrib["NumberOfCells"])


@pytest.mark.parametrize("name", ["L1", "femur_right"])
def test_model_file(written: Path, name: str) -> None:
    """Cells are where the elements are, turned the right way round also in a mirrored specimen; vectors are the patient's."""
    bone = next(bone for bone in make_case().bones if bone.bone == name)
    model, strength = bone.model, bone.strength
    assert model is not None and strength is not None
    arrays, n_points, n_cells = read_vtu((written / "bones" / name / "model.vtu").read_bytes())
    elements = np.argwhere(model.youngs_modulus > 0)
    assert n_cells == len(elements) and n_points == len(arrays["Points"]) and (arrays["types"] == 12).all()
    np.testing.assert_array_equal(arrays["offsets"], 8 * np.arange(1, n_cells + 1))
    corners = arrays["Points"][arrays["connectivity"].reshape(-1, 8)]
    centres = elements @ model.to_patient[:3, :3].T + model.to_patient[:3, 3]
    np.testing.assert_allclose(corners.mean(axis=1), centres, atol=1e-4)
    edges = corners[:, [1, 3, 4]] - corners[:, :1]
    np.testing.assert_allclose(np.linalg.det(edges), 1.0, atol=1e-4)
    np.testing.assert_allclose(arrays["youngs_modulus_mpa"], model.youngs_modulus[model.youngs_modulus > 0])
    np.testing.assert_allclose(arrays["equivalent_plastic_strain"], strength.failed[model.youngs_modulus > 0], rtol=1e-6)
    turn = model.to_patient[:3, :3]
    index = np.rint((arrays["Points"] - model.to_patient[:3, 3]) @ np.linalg.inv(turn).T + 0.5).astype(int)
    expected = strength.displacement[tuple(index.T)] @ turn.T
    np.testing.assert_allclose(arrays["displacement_mm"], expected, atol=1e-6)


def test_model_file_in_several_blocks() -> None:
    """More data than one compression block holds."""
    elements = np.ones((40, 40, 40), bool)
    values = np.random.default_rng(0).random(elements.shape)
    arrays, n_points, n_cells = read_vtu(vtu_bytes(elements, np.eye(4), cells={"v": values}, points={}))
    assert (n_points, n_cells) == (41**3, 40**3)
    assert arrays["connectivity"].max() == 41**3 - 1
    np.testing.assert_allclose(arrays["v"], values.ravel(), rtol=1e-6)


def test_empty_model() -> None:
    with pytest.raises(OutputError, match="without elements"):
        vtu_bytes(np.zeros((2, 2, 2), bool), np.eye(4), cells={}, points={})


# TOML --------------------------------------------------------------------------------------------------------

PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text(st.characters(exclude_categories=["Cs"]))
)
TABLES = st.recursive(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.one_of(PLAIN, st.lists(PLAIN, max_size=3)), max_size=4),
    lambda inner: st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.one_of(PLAIN, inner), max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(TABLES)
def test_toml_round_trip(table: dict) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_toml_leaves_none_out_and_refuses_objects() -> None:
    assert to_toml({"a": None, "b": {"c": [{"d": 1}]}}) == "[b]\nc = [{ d = 1 }]\n"
    with pytest.raises(OutputError, match="type object"):
        to_toml({"a": object()})
