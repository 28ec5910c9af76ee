"""Calibration by a phantom: its rods found, recognized and read; the makers' equations; what is refused and what is doubted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from drawn_phantoms import NOTHING, draw_scan, reading
from openbct.calibration import Phantom, SiteCorrected
from openbct.calibration.phantom_line import maker_line
from openbct.calibration.phantom_models import PhantomModel, certified_phantom, load_phantom, phantom_names
from openbct.calibration.recognition import recognize
from openbct.density import density_uncertainty
from openbct.errors import CalibrationError, SettingsError
from openbct.io import read_scan
from openbct.plan import make_calibrator
from openbct.settings import built_in, override, parse, to_tables
from openbct.volume import Volume, to_index

BELOW = [name for name in phantom_names() if load_phantom(name).place == "below" and len(load_phantom(name).rods) > 2]


def read_as(name: str) -> list[float]:
    return [reading(rod.value, rod.water) for rod in load_phantom(name).rods]


# Models and certificates ------------------------------------------------------------------------------------------


def test_every_model_has_a_source_and_either_values_or_none() -> None:
    assert {
        "mindways-model3",
        "mindways-model4",
        "image-analysis",
        "qrm-bdc-3",
        "qrm-bdc-6",
        "siemens-osteo",
        "b-mas-200",
        "esp",
    } <= set(phantom_names())
    for name in phantom_names():
        model = load_phantom(name)
        assert model.source and model.mark in ("S", "SC", "R") and len(model.rods) != 1
    assert load_phantom("mindways-model4").rods == ()


def test_values_stand_as_the_reference_lists_them() -> None:
    """The list that the project was given, typed again: neither the generator's table nor the data files."""
    model = load_phantom("mindways-model3")
    assert [rod.value for rod in model.rods] == [-51.83, -53.40, 58.88, 157.05, 375.83]
    assert [rod.water for rod in model.rods] == [1012.25, 1056.95, 1103.57, 1119.52, 923.20]
    assert [rod.value for rod in load_phantom("qrm-bdc-6").rods] == [0, 100, 200, 400, 600, 800]
    assert [rod.value for rod in load_phantom("b-mas-200").rods] == [0, 50, 100, 150, 200]
    assert [rod.value for rod in load_phantom("esp").rods] == [50, 100, 200]


CERTIFICATE = {
    "model": "mindways-model4",
    "serial_number": "7",
    "rods": [
        {"name": name, "value_mg_cm3": value, "water_mg_cm3": water}
        for name, value, water in (
            ("A", -50.0, 1010.0),
            ("B", -55.0, 1060.0),
            ("C", 60.0, 1100.0),
            ("D", 160.0, 1120.0),
            ("E", 370.0, 925.0),
        )
    ],
}


def test_a_model_without_values_needs_its_certificate() -> None:
    with pytest.raises(SettingsError, match="certificate"):
        Phantom("mindways-model4")
    scan, _ = draw_scan([reading(rod["value_mg_cm3"], rod["water_mg_cm3"]) for rod in CERTIFICATE["rods"]])
    result = Phantom(certificate=CERTIFICATE)(scan, NOTHING)
    assert result.slope == pytest.approx(1 / 1.40, rel=0.005) and "its certificate" in result.step.sentence
    assert not any("certificate" in caution for caution in result.step.cautions)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rods": []}, "without rods"),
        ({"model": "no-such"}, "expected auto or one of"),
        ({"unit": "CHA"}, "unknown 'unit'"),
        ({"mineral": "ash"}, "K2HPO4, CHA"),
        ({"model": None}, "without title and mineral"),
        ({"rods": [{"name": "A", "value_mg_cm3": 0.1, "water_mg_cm3": 1.0}] * 2}, "500 to 1500"),
        ({"rods": [{"name": "A", "value_mg_cm3": True}, {"name": "B", "value_mg_cm3": 100.0}]}, "expected a number"),
        ({"rods": [{"name": "A", "value_mg_cm3": 5.0}, {"name": "A", "value_mg_cm3": 9.0}]}, "two rods of one name"),
        ({"rods": [{"name": "A", "value_mg_cm3": 5.0}, {"name": "B", "value_mg_cm3": 5.0}]}, "one value"),
        (
            {"rods": [{"name": "A", "value_mg_cm3": 5.0, "water_mg_cm3": 999.0}, {"name": "B", "value_mg_cm3": 9.0}]},
            "for all or for none",
        ),
        ({"model": "qrm-bdc-3"}, "expected the 3"),
        ({"rods": 3}, "expected"),
        ({"spacing_mm": 2.0}, "8 to 150"),
    ],
)
def test_a_wrong_certificate_is_refused(change: dict, match: str) -> None:
    table = {key: value for key, value in {**CERTIFICATE, **change}.items() if value is not None}
    with pytest.raises(SettingsError, match=match):
        certified_phantom(table)


def test_a_certificate_may_describe_any_phantom() -> None:
    table = {"title": "Our own", "mineral": "CHA", "rods": [{"name": str(v), "value_mg_cm3": float(v)} for v in (20, 90, 310)]}
    scan, _ = draw_scan([reading(v, None) for v in (20.0, 90.0, 310.0)], spacing=38.0)
    result = Phantom(certificate=table)(scan, NOTHING)
    assert result.mineral == "CHA" and result.slope == pytest.approx(1 / 1.40, rel=0.005)


# The equations ----------------------------------------------------------------------------------------------------


def test_mindways_equation_by_hand() -> None:
    """Two rods worked out with pencil: 1000 + 100 (s + 0.2174) ... with s = 1.5 and nothing at 0 HU."""
    rods = [{"name": name, "value_mg_cm3": value, "water_mg_cm3": 1000.0 + value} for name, value in (("a", 0.0), ("b", 100.0))]
    table = {"title": "two", "mineral": "K2HPO4", "rods": rods}
    # HU - water = s' value + b: rod a reads 0.4 = 1000 + b, so b = -999.6; rod b reads 1100 + 100 s' - 999.6 = 272.14, so s' = 1.7174.
    line = maker_line(certified_phantom(table), np.array([0.4, 272.14]), np.ones(2))
    assert line.hu_per_mg == pytest.approx(1.5) and line.hu_of_nothing == pytest.approx(0.0, abs=1e-9)
    assert line.slope == pytest.approx(2 / 3) and line.intercept == pytest.approx(0.0, abs=1e-9)


def test_covariance_is_that_of_repeated_readings() -> None:
    """Slope and intercept of 1000 noisy readings scatter as the covariance says."""
    model = load_phantom("b-mas-200")
    rng = np.random.default_rng(1)
    clean, spread = np.array(read_as("b-mas-200")), np.array([2.0, 3.0, 2.0, 4.0, 3.0])
    lines = [maker_line(model, clean + rng.normal(0, spread), spread) for _ in range(1000)]
    # Each covariance is widened by its own misfit, never narrowed: the mean is a little above the scatter.
    seen = np.cov(np.array([(line.slope, line.intercept) for line in lines]).T)
    stated = np.mean([line.covariance for line in lines], axis=0)
    assert np.all(np.diag(stated) >= 0.9 * np.diag(seen)) and np.all(np.diag(stated) < 1.7 * np.diag(seen))


# Finding and recognizing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        *((name, False) for name in BELOW),
        (BELOW[0], True),
        *(pytest.param(name, True, marks=pytest.mark.slow) for name in BELOW[1:]),
    ],
)
def test_every_model_is_recognized_either_way_around(name: str, turned: bool) -> None:
    values = read_as(name)
    scan, places = draw_scan(values[::-1] if turned else values, spacing=min(45.0, 220.0 / (len(values) - 1)))
    models = [load_phantom(other) for other in BELOW]
    found = recognize(scan.image, models, 120.0, named=False)
    assert found.model.name == name and found.turned == turned
    expected = places[::-1] if turned else places
    seen = np.array(found.row.seen)
    off = np.hypot(*(np.array([rod.middle[:2] for rod in found.row.rods]) - expected).T)
    assert off[seen].max() < 0.5 and off.max() < 1.0 and seen.sum() >= 2


@pytest.mark.parametrize(
    "how",
    [
        {"roll_deg": 5.0},
        {"kvp": None},
        {"body": False},
        {"slab": 25.0},
        {"blur": 1.4},
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in (
                {"noise": 40.0, "slices": 16},
                {"lean": 0.05, "slices": 16},
                {"partial": (4, 12), "slices": 12},
                {"slices": 40, "step": 1.0},
                {"step": 5.0, "slices": 8},
            )
        ),
    ],
    ids=str,
)
def test_rods_are_found_and_read_whatever_the_scan(how: dict) -> None:
    scan, _ = draw_scan(read_as("mindways-model3"), **how)
    result = Phantom()(scan, NOTHING)
    assert result.slope == pytest.approx(1 / 1.40, rel=0.01)
    assert result.slope * (1.40 * 100 + 4.0) + result.intercept == pytest.approx(100.0, abs=1.5)
    assert result.quantities["r_squared"] > 0.999
    assert [sample.where is not None and bool(sample.where.array.any()) for sample in result.samples] == [True] * 5


def test_where_the_rods_were_read_is_where_they_are() -> None:
    scan, places = draw_scan(read_as("qrm-bdc-3"), spacing=60.0, lean=0.04, slices=20)
    result = Phantom()(scan, NOTHING)
    for sample, place, hu in zip(result.samples, places, read_as("qrm-bdc-3")):
        assert sample.where is not None
        offset = np.rint(to_index(scan.image.affine, sample.where.affine[:3, 3])).astype(int)
        index = np.argwhere(sample.where.array) + offset
        assert np.hypot(*(index.mean(axis=0)[:2] - place)) < 0.5
        assert scan.image.array[tuple(index.T)].mean() == pytest.approx(hu, abs=2.0)


def test_gas_in_a_rod_costs_its_slice_and_not_the_line() -> None:
    scan, _ = draw_scan(read_as("mindways-model3"), bubble=(3, 6))
    result = Phantom()(scan, NOTHING)
    assert result.slope == pytest.approx(1 / 1.40, rel=0.01)
    assert any("D in 1 slices" in caution for caution in result.step.cautions)


def test_a_bad_rod_is_left_out_and_said() -> None:
    values = read_as("mindways-model3")
    values[3] -= 45.0
    scan, _ = draw_scan(values)
    result = Phantom("mindways-model3")(scan, NOTHING)
    assert result.slope == pytest.approx(1 / 1.40, rel=0.01) and result.quantities["rods_used"] == 4
    assert any(caution.startswith("Rod D reads") for caution in result.step.cautions)


def test_two_rods_have_no_redundancy() -> None:
    scan, _ = draw_scan(read_as("siemens-osteo"))
    with pytest.raises(CalibrationError, match="name it"):
        Phantom()(scan, NOTHING)
    result = Phantom("siemens-osteo")(scan, NOTHING)
    assert any("no redundancy" in caution for caution in result.step.cautions)
    assert result.slope == pytest.approx(1 / 1.40, rel=0.03)  # the rod of 0 is the slab's 0 HU, drawn as 4
    assert result.covariance[0, 0] > (0.04 * result.slope) ** 2


# Refused ----------------------------------------------------------------------------------------------------------


def test_no_phantom_is_no_calibration() -> None:
    scan, _ = draw_scan([], slab=None)
    with pytest.raises(CalibrationError, match="no row of round rods"):
        Phantom()(scan, NOTHING)
    bare, _ = draw_scan([])  # a slab without rods
    with pytest.raises(CalibrationError, match="calibrate without a phantom"):
        Phantom()(bare, NOTHING)


def test_another_phantom_than_named_is_refused() -> None:
    scan, _ = draw_scan(read_as("mindways-model3"))
    with pytest.raises(CalibrationError, match="expected B-MAS 200"):
        Phantom("b-mas-200")(scan, NOTHING)


def test_a_slope_that_the_voltage_does_not_allow_is_refused() -> None:
    scan, _ = draw_scan([reading(rod.value, rod.water, rise=2.1) for rod in load_phantom("mindways-model3").rods])
    with pytest.raises(CalibrationError):
        Phantom()(scan, NOTHING)
    low = replace(scan, acquisition=replace(scan.acquisition, kvp=80.0))
    assert Phantom()(low, NOTHING).slope == pytest.approx(1 / 2.1, rel=0.01)


def test_two_models_that_fit_are_named() -> None:
    rods = load_phantom("b-mas-200")
    twin = PhantomModel("twin", "Twin", "CHA", tuple(replace(rod, value=1.01 * rod.value) for rod in rods.rods), "drawn", "S")
    scan, _ = draw_scan(read_as("b-mas-200"))
    with pytest.raises(CalibrationError, match=r"several phantoms \((b-mas-200, twin|twin, b-mas-200)\)"):
        recognize(scan.image, [rods, twin], 120.0, named=False)


def test_a_density_image_is_refused() -> None:
    scan, _ = draw_scan(read_as("b-mas-200"), slices=4)
    with pytest.raises(CalibrationError, match="expected HU"):
        Phantom()(replace(scan, image=scan.image.with_array(scan.image.array, "mg/cm3 CHA")), NOTHING)


# Inside a body, elsewhere, corrected ------------------------------------------------------------------------------


def test_rods_inside_a_phantom_of_their_own() -> None:
    scan, _ = draw_scan([4.0, 284.0], slab=None, spacing=50.0)
    result = Phantom("qrm-cac")(scan, NOTHING)
    assert result.mineral == "CHA" and result.slope == pytest.approx(1 / 1.40, rel=0.01)
    assert any("no redundancy" in caution for caution in result.step.cautions)


def test_vertebrae_of_a_spine_phantom_one_behind_the_other() -> None:
    """Three cylinders along the table in a water-like body, each with a dense wall and lids; the order is upside down."""
    x, y, z = np.ogrid[:160, :130, :40]
    image = np.where(((x - 80) / 75) ** 2 + ((y - 65) / 60) ** 2 < 1, 4.0, -1000.0) + 0 * z
    away, high = np.hypot(x - 80, y - 65), 3.0 * z
    for middle, hu, wall in ((98.0, 74.0, 1.0), (60.0, 144.0, 1.5), (22.0, 284.0, 2.0)):
        near = np.abs(high - middle)
        image[(away < 18 + wall) & (near < 14 + wall)] = 900.0
        image[(away < 18) & (near < 14)] = hu
    image = ndimage.gaussian_filter(image, (0.7, 0.7, 0.4)) + np.random.default_rng(2).normal(0, 12, image.shape)
    scan, _ = draw_scan([], slices=2)
    scan = replace(scan, image=Volume(image.astype(np.int16), np.diag([1.0, 1.0, 3.0, 1.0]), "HU"))
    result = Phantom("esp")(scan, NOTHING)
    assert [round(sample.mean, -1) for sample in result.samples] == [70, 140, 280]
    assert result.slope == pytest.approx(1 / 1.40, rel=0.02) and result.mineral == "CHA"


def test_a_phantom_in_another_scan() -> None:
    body, _ = draw_scan([], slab=None)
    other, _ = draw_scan(read_as("qrm-bdc-3"), spacing=60.0, body=False)
    here = Phantom()(other, NOTHING)
    there = Phantom(elsewhere=other)(body, NOTHING)
    assert (there.slope, there.intercept) == (here.slope, here.intercept)
    narrow, wide = density_uncertainty(here, 200.0), density_uncertainty(there, 200.0)
    assert narrow is not None and wide is not None and wide > 0.08 * 200 * 0.98 and wide > 1.3 * narrow
    assert any("another scan" in caution for caution in there.step.cautions)
    assert all(sample.where is None for sample in there.samples)
    low = replace(body, acquisition=replace(body.acquisition, kvp=100.0))
    with pytest.raises(CalibrationError, match="one voltage"):
        Phantom(elsewhere=other)(low, NOTHING)


def test_a_site_correction_is_applied_and_named() -> None:
    scan, _ = draw_scan(read_as("b-mas-200"))
    plain = Phantom()(scan, NOTHING)
    corrected = SiteCorrected(Phantom(), 5.0, 1.1, "cross-calibration of scanner 2")(scan, NOTHING)
    np.testing.assert_allclose(corrected.density.array, 5.0 + 1.1 * plain.density.array, rtol=1e-4, atol=0.01)
    assert corrected.slope * 100 + corrected.intercept == pytest.approx(5.0 + 1.1 * (plain.slope * 100 + plain.intercept))
    assert "scanner 2" in corrected.step.sentence and len(corrected.step.cautions) == len(plain.step.cautions) + 1
    with pytest.raises(SettingsError, match="source"):
        SiteCorrected(Phantom(), 5.0, 1.1, " ")


# Settings ---------------------------------------------------------------------------------------------------------


def test_a_protocol_may_ask_for_a_phantom_with_its_certificate() -> None:
    settings = override(built_in(), {"calibration": {"method": "phantom", "phantom": "auto", "certificate": CERTIFICATE}}, "test")
    calibrator = make_calibrator(settings.calibration)
    assert isinstance(calibrator, Phantom) and calibrator.certificate == CERTIFICATE
    from openbct.io import to_toml

    again = parse(to_toml(to_tables(settings)), "again")
    assert make_calibrator(again.calibration) == calibrator


@pytest.mark.parametrize(
    "table",
    [
        {"method": "phantomless", "phantom": "auto"},
        {"method": "phantom", "certificate": "file.toml"},
        {"site_factor": 1.1},
        {"site_source": "x"},
        {"method": "fixed", "slope_mg_cm3_per_hu": 0.7, "intercept_mg_cm3": 0.0, "slope_sd_mg_cm3_per_hu": -0.1},
    ],
)
def test_keys_that_do_not_go_together_are_refused(table: dict) -> None:
    with pytest.raises(SettingsError):
        override(built_in(), {"calibration": table}, "test")


# Real -------------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_rods_of_a_real_phantom(data_dir: Path) -> None:
    """The public scan of a thorax phantom: bone rod at row 218, column 258, water rod over row 177, column 241, whole in slices 31 to 33."""
    scan = read_scan(data_dir / "qrm_phantom_dicom")
    result = Phantom("qrm-cac")(scan, NOTHING)
    centres = {}
    for sample in result.samples:
        assert sample.where is not None
        offset = np.rint(to_index(scan.image.affine, sample.where.affine[:3, 3])).astype(int)
        centres[sample.name] = np.argwhere(sample.where.array).mean(axis=0) + offset
        assert abs(centres[sample.name][2] - 32) < 2
    pixel = float(scan.image.spacing[0])
    assert np.hypot(*(centres["rod bone"][:2] - (258, 218))) * pixel < 1.0
    assert np.hypot(*(centres["rod water"][:2] - (241, 177))) * pixel < 9.0  # a point in the rod, of 10 mm radius
    assert 1.33 <= 1 / result.slope <= 1.48  # CHA at 65 to 70 keV
    assert result.mineral == "CHA" and any("Two rods, no redundancy" in caution for caution in result.step.cautions)


@pytest.mark.data
@pytest.mark.parametrize("name", ["abdomen_pelvis/ct.nii.gz", "thoracolumbar_dicom", "abdomen_jpeg2000_contrast_dicom"])
def test_nothing_in_a_real_body_is_taken_for_a_phantom(data_dir: Path, name: str) -> None:
    with pytest.raises(CalibrationError, match="calibrate without a phantom"):
        Phantom()(read_scan(data_dir / name), NOTHING)
