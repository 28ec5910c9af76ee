"""Vertebrae found without labels: hostile images first, then real scans."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pytest

from openbct.errors import SegmentationError, SettingsError
from openbct.io import read_density, read_labels, read_scan
from openbct.records import Acquisition, Patient, Scan, Segmentation, Segmenter, Step
from openbct.segmentation import BuiltIn
from openbct.segmentation.canal import find_canal
from openbct.segmentation.discs import Signals, find_bodies
from openbct.segmentation.metal import without_metal
from openbct.segmentation.smooth_surface import best_surface
from openbct.segmentation.spine import NO_DISC
from openbct.volume import Volume, canonical, place_into

LUMBAR = ("L1", "L2", "L3", "L4", "L5")


def make_scan(image: np.ndarray, spacing: float = 3.0) -> Scan:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    return Scan(Volume(image, affine, "HU"), Patient(), Acquisition(), "made up", "0", Step("reading", "A scan."))


def test_is_a_segmenter() -> None:
    assert isinstance(BuiltIn(), Segmenter)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((40, 40, 40), -1000.0), "no spinal canal"),
        (np.zeros((40, 40, 40)), "no spinal canal"),
        (np.full((40, 40, 40), 3000.0), "no spinal canal"),
        (np.random.default_rng(0).normal(50, 30, (40, 40, 40)), "no spinal canal"),
        (np.zeros((40, 40, 1)), "too small"),
        (np.zeros((2, 2, 2)), "too small"),
    ],
    ids=["air", "water", "metal", "noise", "slice", "tiny"],
)
def test_no_spine_is_a_reason_and_not_a_bone(image: np.ndarray, reason: str) -> None:
    with pytest.raises(SegmentationError, match=reason):
        BuiltIn(("L1", "L2"))(make_scan(image.astype(np.float32)))


def test_unknown_bone_stops_the_run() -> None:
    with pytest.raises(SettingsError, match="L9"):
        BuiltIn(("L9",))(make_scan(np.zeros((20, 20, 20))))


@pytest.mark.parametrize("aside", [17.5, 20.0])
def test_canal_is_not_lost_in_the_marrow_of_joints(aside: float) -> None:
    """A canal of 20 mm, open at its sides but for a pedicle every 30 mm, between two columns of joints whose bone closes all around."""
    x, y, z = np.meshgrid(*(2.5 * np.arange(n) for n in (48, 48, 40)), indexing="ij")
    x, y = x - 60.0, y - 70.0
    image = np.full(x.shape, -80.0, dtype=np.float32)
    image[np.hypot(x / 28, (y + 29) / 17) < 1] = 150.0
    image[np.hypot(x, y) < 10] = 20.0
    image[(np.abs(np.hypot(x, y) - 11.25) < 1.75) & ((z % 30 < 5) | (np.abs(y) > 9))] = 600.0
    for side in (-aside, aside):
        joint = np.hypot(x - side, y - 2.5)
        image[joint < 6.6] = 600.0
        image[joint < 3.6] = 20.0
    canal = find_canal(Volume(image, np.diag([-2.5, -2.5, 2.5, 1.0]), "HU"))
    assert canal is not None
    assert np.abs(canal.points[:, 0] + 60.0).max() < 5.0


def test_surface_follows_a_tilted_edge_through_a_gap() -> None:
    """A plane that climbs half an index per place, unseen in a band: found to a tenth of an index away from the borders."""
    expected = 8.0 + 0.5 * np.arange(30)[:, None] + 0.0 * np.arange(20)[None, :]
    gain = np.exp(-0.5 * ((np.arange(40) - expected[..., None]) / 1.2) ** 2)
    gain[12:16, 5:15] = 0.0
    found, at = best_surface(gain, bend=(0.02, 0.02))
    assert np.abs(found - expected)[2:-2].max() < 0.6
    assert np.abs(found - expected)[3:-3].mean() < 0.1
    assert at[13, 10] == 0.0 and at[5, 5] > 0.9


def drawn_signals(fused: tuple[int, ...]) -> tuple[Signals, list[tuple[int, int]]]:
    """Signals of six bodies of 27 mm with discs of 10 mm, from 20 mm on; a fused disc is as dense between its endplates as bone at its rim."""
    bodies = [(20 + 37 * n, 47 + 37 * n) for n in range(6)]
    at = np.arange(0, 260)
    wall, edge, pedicle = np.full(260, -1.2), np.full(260, -0.5), np.full(260, -1.0)
    for lower, upper in bodies:
        wall[lower:upper] = 1.0
        pedicle[(lower + upper) // 2 : upper] = 1.2
    for number in fused:
        wall[bodies[number][0] - 10 : bodies[number][0]] = 1.9
    for lower, upper in bodies:
        for end in (lower, upper - 1):
            edge = np.maximum(edge, 2.2 * np.exp(-0.5 * ((at - end) / 1.5) ** 2))
    core = np.where(wall > 0, 0.2, -0.8) + np.maximum(edge, 0.0)
    return Signals(wall, core, edge, pedicle), bodies


@pytest.mark.parametrize("fused", [(), (2,), (2, 3)])
def test_bodies_that_are_grown_together_are_told_apart_by_their_pedicles(fused: tuple[int, ...]) -> None:
    signals, bodies = drawn_signals(fused)
    found = [one for one in find_bodies(signals, np.full(260, 34.0)) if one.complete]
    for lower, upper in bodies:
        nearest = min(found, key=lambda one: abs(one.lower - lower))
        assert abs(nearest.lower - lower) <= 2 and abs(nearest.upper - upper) <= 2
    without = {number + step for number in fused for step in (-1, 0)}
    contrasts = [min(found, key=lambda one: abs(one.lower - lower)).contrast for lower, _ in bodies]
    assert {number for number, value in enumerate(contrasts) if value < NO_DISC} == without


def test_metal_is_taken_out_with_its_shine_and_bone_is_left() -> None:
    image = np.full((40, 40, 40), 120.0, dtype=np.float32)
    image[:, :, :4] = 700.0  # an endplate far from the screw
    image[10:30, 18:22, 18:22] = 3000.0
    image[9, 18:22, 18:22] = 900.0
    scan = make_scan(image, spacing=1.0)
    clean = without_metal(scan.image)
    assert clean.array.max() == 700.0 and clean.array[9, 20, 20] < 200.0
    assert (clean.array[:, :, :4] == 700.0).all() and scan.image.array.max() == 3000.0
    image[:] = np.where(image > 1500.0, 120.0, image)
    assert without_metal(scan.image) is scan.image


def dice(found: Segmentation, scan: Scan, bone: str, truth: np.ndarray) -> float:
    mask = place_into(found.bones[bone].mask, scan.image, False).array
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


@pytest.mark.slow
@pytest.mark.data
def test_real_abdomen_and_pelvis(data_dir: Path) -> None:
    """L1 to L5 named right, T12 named and refused as cut; bodies as a learned program has them at 3 mm."""
    scan = read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz")
    found = BuiltIn(("T11", "T12", *LUMBAR))(scan)
    assert tuple(found.bones) == LUMBAR
    assert "upper edge" in found.absent["T12"] and "upper edge" in found.absent["T11"]
    assert "both agree" in found.step.sentence  # the axis ends where its steep sacrum begins
    labels = read_labels(data_dir / "abdomen_pelvis" / "labels_vertebral_bodies.nii.gz", mapping=None, like=scan.image)
    for number, bone in zip(range(20, 25), LUMBAR, strict=True):
        assert dice(found, scan, bone, labels.volume.array == number) > 0.85, bone


@pytest.mark.data
@pytest.mark.slow
def test_real_thoracolumbar(data_dir: Path) -> None:
    scan = read_scan(data_dir / "thoracolumbar_dicom")
    found = BuiltIn(("T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", *LUMBAR))(scan)
    assert not found.absent and "both agree" in found.step.sentence
    heights = [found.bones[f"T{n}"].mask.affine[2, 3] for n in range(5, 13)] + [found.bones[b].mask.affine[2, 3] for b in LUMBAR]
    assert all(upper - lower > 15.0 for upper, lower in pairwise(heights))


@pytest.mark.slow
@pytest.mark.data
def test_real_sagittal_stack(data_dir: Path) -> None:
    scan = read_scan(data_dir / "lumbar_sagittal_dicom")
    found = BuiltIn(("T11", "T12", *LUMBAR))(scan)
    assert not found.absent and "both agree" in found.step.sentence
    volumes = [float(found.bones[b].mask.array.sum()) * found.bones[b].mask.voxel_volume for b in ("T11", "T12", *LUMBAR)]
    assert all(20e3 < volume < 50e3 for volume in volumes)


@pytest.mark.data
def test_a_crop_without_sacrum_and_ribs_has_no_names(data_dir: Path) -> None:
    """Nobody can count there: names are refused, and the user's own is taken with a caution."""
    scan = read_scan(data_dir / "abdomen_pelvis" / "ct.nii.gz")
    image = scan.image
    part = Volume(image.array[45:80, 30:80, 78:100], image.affine @ np.array(
        [[1, 0, 0, 45], [0, 1, 0, 30], [0, 0, 1, 78], [0, 0, 0, 1.0]]), "HU")  # fmt: skip
    small = replace(scan, image=part)
    with pytest.raises(SegmentationError, match="neither the sacrum nor a rib"):
        BuiltIn(("L1", "L2", "L3"))(small)
    found = BuiltIn(("L2",))(small)
    assert "cannot be counted" in found.step.cautions[0]


@pytest.mark.data
def test_real_single_vertebra_in_a_box_with_front_and_back_exchanged(data_dir: Path) -> None:
    """The public L2, cut free of its surroundings: against the body's labels; its header has front and back exchanged, which is said."""
    scan = read_density(data_dir / "vertebra_l2" / "density.nii.gz", mineral="K2HPO4")
    found = BuiltIn(("L2",))(scan)
    labels = nibabel.load(data_dir / "vertebra_l2" / "labels.nii.gz")
    truth = canonical(
        Volume(np.asarray(labels.dataobj).astype(int), np.diag([-1.0, -1.0, 1.0, 1.0]) @ labels.affine, "label")
    ).array
    assert dice(found, scan, "L2", (truth == 1) | (truth == 2)) > 0.9
    assert any("front and back" in caution for caution in found.step.cautions)
    assert any("cannot be counted" in caution for caution in found.step.cautions)
