"""Faults on demand: what each does to a series, and how the project's own reader answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from ct_series import make_image, write_series
from openbct.errors import ScanError, SettingsError
from openbct.io import FAULTS, apply_fault, read_scan
from openbct.io.dicom_header import derived_uid
from openbct.records import Scan
from openbct.volume import Volume

REFUSALS = {
    "denied-tilt": "tilt",
    "no-rescale": "[Rr]escale",
    "truncated": "pixel",
}
CAUTIONS = {
    "missing-slice": "1 missing slice(s)",
    "uneven-step": "unevenly",
    "gantry-tilt": "shear of 15.00 degrees",
    "mixed-series": "has the same orientation",
    "duplicate": "cop",
    "clipped": "1023",
}


def bright_image() -> Volume:
    """Return the small CT with cortex above the ceiling of 11 bits, as real cortex is."""
    image = make_image()
    array = image.array.copy()
    array[10:15, 10:14, 2:] = 1400
    return Volume(array, image.affine, "HU")


def spoilt(folder: Path, name: str) -> Path:
    apply_fault(name, write_series(folder, bright_image()))
    return folder


def read_sound(folder: Path) -> Scan:
    write_series(folder, bright_image())
    return read_scan(folder)


def test_every_fault_has_a_test() -> None:
    by_answer = {answer: {f.name for f in FAULTS.values() if f.answer == answer} for answer in ("refused", "cautioned", "unseen")}
    assert by_answer["refused"] == set(REFUSALS)
    assert by_answer["cautioned"] == set(CAUTIONS)
    assert by_answer["unseen"] == {"wrong-rescale", "cut-field", "cut-range", "swapped-sides"}


@pytest.mark.parametrize(("name", "said"), REFUSALS.items())
def test_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ScanError, match=said):
        read_scan(spoilt(tmp_path, name))


@pytest.mark.parametrize(("name", "said"), CAUTIONS.items())
def test_cautioned(tmp_path: Path, name: str, said: str) -> None:
    new = set(read_scan(spoilt(tmp_path / "spoilt", name)).step.cautions) - set(read_sound(tmp_path / "sound").step.cautions)
    assert any(said in caution for caution in new)


def test_tilted_planes_show_what_lies_in_them(tmp_path: Path) -> None:
    """Straightened again, bone stands where it stood."""
    sound, tilted = read_sound(tmp_path / "sound").image, read_scan(spoilt(tmp_path / "tilted", "gantry-tilt")).image
    places = []
    for image in (sound, tilted):
        index = np.argwhere(image.array > 700)[:, :, None].astype(float)
        points = image.affine[:3, :3] @ index + image.affine[:3, 3:]
        places.append(points[(points[:, 2, 0] > -695) & (points[:, 2, 0] < -685)].mean(axis=0)[:2, 0])
    np.testing.assert_allclose(places[1], places[0], atol=0.5)


def test_cut_field_keeps_the_place_of_what_is_left(tmp_path: Path) -> None:
    sound, cut = read_sound(tmp_path / "sound"), read_scan(spoilt(tmp_path / "cut", "cut-field"))
    kept = cut.image.shape[0]
    assert kept == sound.image.shape[0] // 2 + 1
    assert np.array_equal(cut.image.affine, sound.image.affine)
    assert np.array_equal(cut.image.array, sound.image.array[:kept])


def test_cut_range(tmp_path: Path) -> None:
    sound, cut = read_sound(tmp_path / "sound"), read_scan(spoilt(tmp_path / "cut", "cut-range"))
    assert np.array_equal(cut.image.array, sound.image.array[:, :, : sound.image.shape[2] // 2])


def test_swapped_sides_mirror_the_pixels_alone(tmp_path: Path) -> None:
    sound, swapped = read_sound(tmp_path / "sound"), read_scan(spoilt(tmp_path / "swapped", "swapped-sides"))
    assert np.array_equal(swapped.image.affine, sound.image.affine)
    assert np.array_equal(swapped.image.array, sound.image.array[::-1])
    assert not np.array_equal(swapped.image.array, sound.image.array)


def test_wrong_rescale_doubles_what_is_stored(tmp_path: Path) -> None:
    sound, wrong = read_sound(tmp_path / "sound"), read_scan(spoilt(tmp_path / "wrong", "wrong-rescale"))
    assert np.array_equal(wrong.image.array + 1024.0, 2 * (sound.image.array + 1024.0))


def test_unknown_fault_and_too_few_slices(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    with pytest.raises(SettingsError, match="gantry-tilt"):
        apply_fault("gremlins", paths)
    with pytest.raises(SettingsError, match="at least 6"):
        apply_fault("missing-slice", paths[:5])


def test_uids_need_no_root_and_differ() -> None:
    uids = {derived_uid("openbct", str(seed), name) for seed in range(20) for name in ("study", "series")}
    assert len(uids) == 40
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)
    assert derived_uid("ab", "c") != derived_uid("a", "bc")


def test_instances_of_mixed_series_are_distinct(tmp_path: Path) -> None:
    spoilt(tmp_path, "mixed-series")
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(tmp_path.iterdir())]
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert len({header.SeriesInstanceUID for header in headers}) == 2
