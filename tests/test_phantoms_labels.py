"""Simulated scans of a label map: surfaces, densities and gaps are those that were asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openbct.errors import GeometryError, SettingsError
from openbct.phantoms.from_labels import BonePart, LabelSettings, SoftPart, parts_from_tables, simulate_labels
from openbct.phantoms.scanner import ScannerSettings
from openbct.volume import Volume

SPACING = np.array([1.0, 1.0, 3.0])
RADIUS = 16.0
SMOOTHED = RADIUS - (0.5 * 3.0) ** 2 / RADIUS
"""What smoothing leaves, as its docstring says."""
BALL, CUP, MUSCLE = 2, 1, 5
PARTS = {BALL: BonePart("ball", texture=0.0, cortex=2.0), CUP: BonePart("cup"), MUSCLE: SoftPart("muscle", "muscle")}
SETTINGS = LabelSettings(PARTS, scanner=ScannerSettings(hardening=False, scatter=0.0, noise=0.0))


def made() -> tuple[Volume, Volume]:
    """A ball below a cup that touches it, in muscle, with a skin around."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -SPACING * (np.array([79, 79, 27]) - 1) / 2
    x, y, z = np.meshgrid(*[affine[a, 3] + SPACING[a] * np.arange(n) for a, n in enumerate((79, 79, 27))], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    labels = np.zeros(radius.shape, dtype=np.uint8)
    labels[(np.abs(x) < 30) & (np.abs(y) < 30)] = MUSCLE
    labels[(radius < 26) & (z > 0)] = CUP
    labels[radius < RADIUS] = BALL
    return Volume(labels, affine, "label"), Volume((np.hypot(x, y) < 38), affine, "mask")


@pytest.mark.parametrize(
    "change",
    [
        {"parts": {}},
        {"parts": {9: BonePart("absent")}},
        {"parts": {0: BonePart("background")}},
        {"parts": {BALL: BonePart("ball", cortex=float("nan"))}},
        {"parts": {BALL: BonePart("ball", trabecular_density=5000.0)}},
        {"parts": {MUSCLE: SoftPart("muscle", "cheese")}},
        {"filling": "cheese"},
        {"spacing": (0.0, 1.0, 1.0)},
        {"joint_gap": -1.0},
        {"smoothing": float("nan")},
    ],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="found"):
        simulate_labels(made()[0], replace(SETTINGS, **change))  # type: ignore[arg-type]


def test_oblique_labels_and_a_body_elsewhere_are_refused() -> None:
    labels, body = made()
    oblique = labels.affine.copy()
    oblique[0, 1] = 0.3
    with pytest.raises(GeometryError, match="axes"):
        simulate_labels(Volume(labels.array, oblique, "label"), SETTINGS)
    with pytest.raises(GeometryError, match="one grid"):
        simulate_labels(labels, SETTINGS, Volume(body.array[:-1], body.affine, "mask"))


@pytest.mark.parametrize(
    "tables",
    [{"femur": {"name": "femur"}}, {"2": {"cortex": 2.0}}, {"2": {"name": "f", "size": 1}}, {"2": {"name": "f", "cortex": "2"}}],
)
def test_wrong_tables_are_refused(tables: dict[str, dict[str, object]]) -> None:
    with pytest.raises(SettingsError, match="correct the table"):
        parts_from_tables(tables)


def test_tables_become_parts() -> None:
    parts = parts_from_tables({"2": {"name": "femur", "cortex": 2.5}, "5": {"name": "psoas", "tissue": "muscle"}})
    assert parts == {2: BonePart("femur", cortex=2.5), 5: SoftPart("psoas", "muscle")}


def test_surface_density_and_gap_are_those_asked_for() -> None:
    labels, body = made()
    spacing = (1.0, 1.0, 1.0)
    scan = simulate_labels(labels, replace(SETTINGS, spacing=spacing, joint_gap=0.0), body)
    ball = scan.labels.volume.array == BALL
    assert ball.sum() == pytest.approx(4 / 3 * np.pi * SMOOTHED**3, rel=0.02)
    affine = scan.image.affine
    x, y, z = np.meshgrid(*[affine[a, 3] + np.arange(n) for a, n in enumerate(ball.shape)], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    # From 8 mm below the cortex on the density is the one given; the reading of the image is that density by the beam's slope.
    assert np.allclose(scan.density.array[radius < 4], 150.0, atol=1.0)
    assert scan.image.array[radius < 3].mean() == pytest.approx(150.0 * scan.beam.phosphate_slope, abs=3.0)
    # Half a way up the grading.
    assert scan.density.array[(np.abs(radius - (SMOOTHED - 2 - 4)) < 0.4) & (np.abs(z) < 2)].mean() == pytest.approx(
        185.0, abs=6.0
    )
    # The shell: mass over its depth, at the equator, is thickness times density.
    profile = scan.density.array[ball.shape[0] // 2 + 10 : ball.shape[0] // 2 + 20, ball.shape[1] // 2, ball.shape[2] // 2]
    shell = np.clip(profile - 220.0, 0, None).sum()
    assert shell == pytest.approx(2.0 * (950.0 - 220.0), rel=0.12)
    gapped = simulate_labels(labels, replace(SETTINGS, spacing=spacing, joint_gap=4.0), body).labels.volume.array
    column = gapped[ball.shape[0] // 2, ball.shape[1] // 2]
    upper_ball, lower_cup = np.flatnonzero(column == BALL).max(), np.flatnonzero(column == CUP).min()
    assert lower_cup - upper_ball - 1 == pytest.approx(4, abs=1)


def test_axes_in_any_direction_give_the_same_body() -> None:
    labels, body = made()
    flipped = labels.affine @ np.diag([-1.0, -1.0, 1.0, 1.0])
    flipped[:2, 3] = labels.affine[:2, 3] + SPACING[:2] * (np.array(labels.array.shape[:2]) - 1)

    def turned(volume: Volume) -> Volume:
        return Volume(volume.array[::-1, ::-1].transpose(2, 0, 1), flipped[:, [2, 0, 1, 3]], volume.unit)

    first, second = simulate_labels(labels, SETTINGS, body), simulate_labels(turned(labels), SETTINGS, turned(body))
    assert np.allclose(first.image.affine, second.image.affine)
    assert np.array_equal(first.image.array, second.image.array)
    assert np.array_equal(first.mineral.array, second.mineral.array)


def test_a_part_thinner_than_the_smoothing_is_refused() -> None:
    labels, _ = made()
    thin = np.zeros_like(labels.array)
    thin[30:32, 30:50, 5:20] = BALL
    with pytest.raises(SettingsError, match="lower the smoothing"):
        simulate_labels(Volume(thin, labels.affine, "label"), replace(SETTINGS, parts={BALL: PARTS[BALL]}, smoothing=1.0))


def test_rays_give_noise_and_the_same_body() -> None:
    labels, body = made()
    quiet, noisy = (
        simulate_labels(labels, replace(SETTINGS, scanner=scanner), body)
        for scanner in (SETTINGS.scanner, ScannerSettings(mas=20.0))
    )
    assert np.array_equal(quiet.mineral.array, noisy.mineral.array)
    within = body.array & (quiet.labels.volume.array == MUSCLE)
    assert noisy.image.array[within].std() > quiet.image.array[within].std() + 2.0
