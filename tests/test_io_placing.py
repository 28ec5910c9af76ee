"""Stacks that are not one even, straight grid: every voxel must end where its position says, whatever was interpolated on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ct_series import ACQUISITION, PATIENT, SPACING, edit, make_image
from openbct.errors import ScanError
from openbct.gaps import bones_in_gaps, in_gap, without_gaps
from openbct.io import inspect_path, read_scan, write_ct_series
from openbct.pipeline import analyze
from openbct.records import Acquisition, BoneMask, Gap, Patient, Scan, Segmentation, Step
from openbct.settings import built_in, override
from openbct.volume import Volume, crop, to_patient

START = np.array([-60.0, -50.0, -400.0])
SIZE = (48, 44, 30)
ROW, COLUMN, TABLE = np.eye(3)


def density(points: np.ndarray) -> np.ndarray:
    """Return HU of a body that is smooth but nowhere the same: a soft ball with a ramp, in air."""
    centre = START + np.array([19.0, 20.0, 30.0])
    distance = np.linalg.norm((points - centre) / (16.0, 15.0, 40.0), axis=-1)
    inside = 1 / (1 + np.exp(6 * (distance - 1)))
    return -1000 + inside * (1200 + 6 * (points[..., 0] - centre[0]) + 4 * (points[..., 2] - centre[2]))


def write_stack(
    folder: Path, origins: np.ndarray, row: np.ndarray = ROW, column: np.ndarray = COLUMN, tilt: float | None = None
) -> list[Path]:
    """Write the planes that a scanner would take of the body: first pixels at ``origins``, along two unit vectors."""
    i, j = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]), indexing="ij")
    inside = i[..., None] * SPACING[0] * row + j[..., None] * SPACING[1] * column
    array = np.stack([density(origin + inside) for origin in origins], axis=2).round().astype(np.int16)
    image = Volume(array, np.diag([*SPACING, 1.0]), "HU")
    acquisition = replace(ACQUISITION, slice_thickness=2.0)
    paths = write_ct_series(image, folder, patient=PATIENT, acquisition=acquisition, extra={"SpacingBetweenSlices": None})
    for path, origin in zip(paths, origins):

        def place(dataset: object, origin: np.ndarray = origin) -> None:
            dataset.ImagePositionPatient = [f"{x:.6f}" for x in origin]  # type: ignore[attr-defined]
            dataset.ImageOrientationPatient = [f"{x:.9f}" for x in (*row, *column)]  # type: ignore[attr-defined]
            dataset.GantryDetectorTilt = tilt  # type: ignore[attr-defined]

        edit(path, place)
    return paths


def along_table(steps: np.ndarray) -> np.ndarray:
    return START + np.concatenate([[0.0], np.cumsum(steps)])[:, None] * TABLE


def errors(scan: Scan, margin: float = 4.0) -> np.ndarray:
    """Return read minus true HU where the body is, away from the border of what was imaged."""
    image = scan.image
    index = np.stack(np.meshgrid(*[np.arange(n) for n in image.shape], indexing="ij"), axis=-1).astype(float)
    points = to_patient(image.affine, index)
    centre = START + np.array([19.0, 20.0, 30.0])
    near = np.linalg.norm((points - centre) / (16.0, 15.0, 15.0), axis=-1) < 0.8
    assert near.sum() > 1000
    return np.asarray(image.array[near] - density(points[near]))


def tilted(angle: float, about: np.ndarray = ROW) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of planes turned about one of them."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (ROW, cosine * COLUMN + sine * TABLE) if about is ROW else (cosine * ROW + sine * TABLE, COLUMN)


EVEN = np.full(SIZE[2] - 1, 2.0)


def test_straight_stack_is_left_alone(tmp_path: Path) -> None:
    write_stack(tmp_path, along_table(EVEN))
    scan = read_scan(tmp_path)
    assert scan.gaps == () and "one straight, even grid" not in scan.step.sentence
    assert np.abs(errors(scan)).max() <= 0.5


@pytest.mark.parametrize("angle", [0.5, 2.5, -15.0, 30.0])
def test_tilted_gantry_is_straightened(tmp_path: Path, angle: float) -> None:
    """Other readers flatten it: 15 degrees over this stack are 15 mm."""
    row, column = tilted(angle)
    write_stack(tmp_path, along_table(EVEN), row, column, tilt=angle)
    scan = read_scan(tmp_path)
    assert np.abs(errors(scan)).max() < 6.0
    assert any(f"shear of {abs(angle):.2f} degrees" in caution for caution in scan.step.cautions)
    assert not any("straight stack" in caution or "not axial" in caution for caution in scan.step.cautions)
    assert inspect_path(tmp_path)[0].orientation == "axial" and "axial slices" in scan.step.sentence
    axes = scan.image.affine[:3, :3] / scan.image.spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert scan.image.spacing[2] == pytest.approx(2.0 * np.cos(np.radians(angle)))


def test_an_oblique_stack_is_none_of_a_tilted_gantry(tmp_path: Path) -> None:
    """Planes that follow one another along their own normal were cut out of a volume, or the patient lay askew."""
    row, column = tilted(15.0)
    write_stack(tmp_path, START + np.arange(12.0)[:, None] * 2.0 * np.cross(row, column), row, column)
    scan = read_scan(tmp_path)
    assert any("the slices are oblique (15.0 degrees off), not axial" in caution for caution in scan.step.cautions)
    assert inspect_path(tmp_path)[0].orientation == "oblique"


def test_nothing_of_a_tilted_stack_is_lost(tmp_path: Path) -> None:
    row, column = tilted(15.0)
    write_stack(tmp_path, along_table(EVEN), row, column, tilt=15.0)
    image = read_scan(tmp_path).image
    assert image.shape[1] == SIZE[1] + int(np.ceil(58 * np.sin(np.radians(15)) / SPACING[1]))
    assert image.shape[::2] == SIZE[::2]


@pytest.mark.parametrize("stated", [None, 0.0])
def test_small_shear_without_a_stated_tilt(tmp_path: Path, stated: float | None) -> None:
    row, column = tilted(0.7, about=COLUMN)
    write_stack(tmp_path, along_table(EVEN), row, column, tilt=stated)
    scan = read_scan(tmp_path)
    assert np.abs(errors(scan)).max() < 6.0
    assert any("of which the header says nothing" in caution for caution in scan.step.cautions) == (stated is None)


@pytest.mark.parametrize(("angle", "stated"), [(15.0, 0.0), (15.0, 12.0), (40.0, 40.0)])
def test_contradictory_tilt(tmp_path: Path, angle: float, stated: float) -> None:
    row, column = tilted(angle)
    write_stack(tmp_path, along_table(EVEN), row, column, tilt=stated)
    with pytest.raises(ScanError, match=f"shear of {angle:.2f} degrees.*expected"):
        read_scan(tmp_path)


def test_one_slice_sideways(tmp_path: Path) -> None:
    origins = along_table(EVEN)
    origins[9, 1] += 0.3
    write_stack(tmp_path, origins)
    with pytest.raises(ScanError, match="sideways off one line"):
        read_scan(tmp_path)


def late(steps: np.ndarray) -> np.ndarray:
    steps[20] = 2.8
    return steps


def drifting(steps: np.ndarray) -> np.ndarray:
    return steps + 0.4 * np.sin(np.arange(len(steps)))


@pytest.mark.parametrize("spoil", [late, drifting])
def test_uneven_steps_are_interpolated(tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray]) -> None:
    write_stack(tmp_path, along_table(spoil(EVEN.copy())))
    scan = read_scan(tmp_path)
    assert np.abs(errors(scan)).max() < 6.0 and scan.gaps == ()
    assert any("mm apart, unevenly" in caution for caution in scan.step.cautions)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (np.where(np.arange(29) % 2, 0.8, 2.8), "slice steps from 0.800 to 2.800"),
        (np.where(np.arange(29) == 14, 60.0, 2.0), "about 29 missing slices"),
        (np.where(np.arange(29) % 7 < 3, 4.0, 2.0), "missing slices in 13 place"),
    ],
)
def test_steps_that_are_refused(tmp_path: Path, steps: np.ndarray, said: str) -> None:
    write_stack(tmp_path, along_table(steps))
    with pytest.raises(ScanError, match=said):
        read_scan(tmp_path)


@pytest.mark.parametrize(
    ("steps", "absent", "ends"),
    [(EVEN, (10,), [(9, 11)]), (EVEN, (10, 11, 20), [(9, 12), (19, 21)]), (late(EVEN.copy()), (10,), [(9, 11)])],
)
def test_gaps_are_kept(tmp_path: Path, steps: np.ndarray, absent: tuple[int, ...], ends: list[tuple[int, int]]) -> None:
    """The voxels around stay in their place; the gap is known and told."""
    origins = along_table(steps)
    paths = write_stack(tmp_path, origins)
    for k in absent:
        paths[k].unlink()
    scan = read_scan(tmp_path)
    assert [(gap.lower, gap.upper) for gap in scan.gaps] == [pytest.approx(tuple(origins[list(pair), 2])) for pair in ends]
    assert any("missing slice(s)" in caution and "between slices 10 and 11" in caution for caution in scan.step.cautions)
    assert np.abs(errors(scan)).max() < 15.0
    assert inspect_path(tmp_path)[0].verdict == "usable with cautions"


def test_tilt_and_gap_together(tmp_path: Path) -> None:
    row, column = tilted(15.0)
    paths = write_stack(tmp_path, along_table(EVEN), row, column, tilt=15.0)
    paths[12].unlink()
    scan = read_scan(tmp_path)
    assert len(scan.gaps) == 1 and scan.gaps[0].upper - scan.gaps[0].lower == pytest.approx(4 * np.cos(np.radians(15)), abs=1e-4)
    np.testing.assert_allclose(scan.gaps[0].normal, np.cross(row, column), atol=1e-6)
    assert np.abs(errors(scan)).max() < 15.0


def test_a_gap_has_its_place_in_a_sagittal_stack(tmp_path: Path) -> None:
    """The stacking axis is the patient's left there."""
    turn = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    paths = write_ct_series(make_image(turn=turn), tmp_path, patient=PATIENT, acquisition=ACQUISITION)
    paths[5].unlink()
    scan = read_scan(tmp_path)
    assert scan.image.shape[0] == 12
    missing = in_gap(scan.image, scan.gaps[0])
    assert missing[4:7].all() and not missing[:4].any() and not missing[7:].any()


# What becomes of bones ---------------------------------------------------------------------------------------


def scan_with_gap(lower: float, upper: float) -> Scan:
    image = Volume(np.zeros((8, 8, 20), dtype=np.int16), np.diag([1.0, 1.0, 2.0, 1.0]), "HU")
    gap = Gap(np.array([0.0, 0.0, 1.0]), lower, upper)
    return Scan(image, Patient(), Acquisition(), "made", "0", Step("input", "Made."), (gap,))


def part(scan: Scan, low: int, high: int) -> Volume:
    box = crop(scan.image, (2, 2, low), (6, 6, high))
    return box.with_array(np.ones(box.shape, dtype=bool), "mask")


@pytest.mark.parametrize(
    ("low", "high", "broken"), [(2, 7, False), (2, 8, False), (2, 9, True), (5, 15, True), (10, 15, True), (11, 15, False)]
)
def test_bones_that_reach_a_gap(low: int, high: int, broken: bool) -> None:
    """Planes 9 and below and 10 and above are there; between 16 and 20 mm there is nothing."""
    scan = scan_with_gap(16.0, 20.0)
    bones = {"L1": BoneMask("L1", part(scan, low, high), "body", 1.0, False)}
    segmentation = Segmentation(bones, {}, Step("segmentation", "Drawn."))
    refusals = bones_in_gaps(scan, segmentation)
    assert set(refusals) == ({"L1"} if broken else set())
    assert all("gap of 4.00 mm" in reason and "expected" in reason for reason in refusals.values())
    assert bones_in_gaps(replace(scan, gaps=()), segmentation) == {}


def test_tissue_loses_what_lies_in_a_gap() -> None:
    scan = scan_with_gap(16.0, 20.0)
    segmentation = Segmentation({}, {"aorta": part(scan, 0, 20)}, Step("segmentation", "Drawn."))
    found = without_gaps(scan, segmentation).tissues["aorta"]
    assert found.array[:, :, :8].all() and not found.array[:, :, 8:11].any() and found.array[:, :, 11:].all()


def test_a_bone_in_a_gap_is_a_refusal_of_its_own() -> None:
    """The case goes on; no number is given for the bone."""
    scan = scan_with_gap(16.0, 20.0)
    bones = {name: BoneMask(name, part(scan, *ends), "body", 1.0, False) for name, ends in {"L1": (5, 15), "L2": (2, 7)}.items()}
    fixed = {"method": "fixed", "slope_mg_cm3_per_hu": 0.8, "intercept_mg_cm3": 0.0}
    case = analyze(
        scan,
        lambda _: Segmentation(bones, {}, Step("segmentation", "Drawn.")),
        settings=override(built_in(), {"calibration": fixed}, "test"),
    )
    first, second = case.bones
    assert (first.status, second.status) == ("refused", "refused")
    assert "gap of 4.00 mm" in (first.reason or "") and "gap" not in (second.reason or "")
    assert first.strength is None and first.measures is None
