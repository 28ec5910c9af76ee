"""Confidence of a mask: none on no bone first, then balls that are spoilt in known ways, then a real femur."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from openbct.segmentation.confidence import DOUBTED, Evidence, weigh, why_doubted
from openbct.volume import Volume, bounding_box, canonical, crop

RADIUS = 18.0


def ball(spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), noise: float = 15.0) -> tuple[Volume, np.ndarray]:
    """Return an image of a bright ball of 24 cm³ in soft tissue, blurred and noisy, and the distance from its surface [mm]."""
    shape = [int(64 / step) for step in spacing]
    affine = np.diag([*spacing, 1.0])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    away = np.linalg.norm((index - (np.array(shape) - 1) / 2) * spacing, axis=-1) - RADIUS
    drawn = ndimage.gaussian_filter(np.where(away < 0, 200.0, 40.0), 0.8 / np.array(spacing))
    return Volume((drawn + np.random.default_rng(2).normal(0.0, noise, shape)).astype(np.float32), affine, "HU"), away


def weighed(image: Volume, mask: np.ndarray, bone: str = "L2") -> Evidence:
    """Return the evidence of a mask, given as the smallest box that holds it."""
    whole = image.with_array(mask, "mask")
    low, high = bounding_box(whole)
    return weigh(bone, "body", crop(whole, low.tolist(), high.tolist()), image)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


# Hostile ---------------------------------------------------------------------------------------------------------


def test_a_mask_without_any_edge_is_doubted() -> None:
    image, away = ball()
    flat = image.with_array(np.full(image.shape, 40.0, dtype=np.float32))
    found = weighed(flat, away < 0)
    assert found.edged == 0.0 and found.confidence < 0.65
    assert "100 % of it without one" in (why_doubted("L2", found) or "")


def test_a_mask_on_the_border_of_the_image_is_weighed_on_the_rest_of_its_surface() -> None:
    image, away = ball()
    half = crop(image, [32, 0, 0], image.shape)
    assert weighed(half, (away < 0)[32:]).overlap > 0.95


@pytest.mark.parametrize(("bone", "kept"), [("L2", 1.0), ("femur_left", 0.17), ("T5", 1.0)])
def test_volume_must_be_that_of_such_a_bone(bone: str, kept: float) -> None:
    image, away = ball()
    assert weighed(image, away < 0, bone).plausible == pytest.approx(kept, abs=0.05)


def test_two_bones_in_one_mask_are_told_by_their_volume() -> None:
    found = Evidence(0.3, 1.0, 1.0, 0.4)
    assert "it may hold two bones" in (why_doubted("L2", found) or "")


# Known faults ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 3.0)])
def test_a_right_mask_is_trusted(spacing: tuple[float, float, float]) -> None:
    image, away = ball(spacing)
    found = weighed(image, away < 0)
    assert found.confidence > 0.96 and found.edged > 0.97
    assert why_doubted("L2", found) is None


@pytest.mark.parametrize("by", [-3.0, -2.0, -1.5, 1.5, 2.0, 3.0])
def test_confidence_is_the_overlap_of_a_mask_that_is_too_large_or_too_small(by: float) -> None:
    image, away = ball()
    assert weighed(image, away < by).confidence == pytest.approx(dice(away < by, away < 0), abs=0.05)


@pytest.mark.parametrize("by", [3, 5, 8])
@pytest.mark.parametrize("axis", [0, 2])
def test_confidence_falls_as_a_mask_is_moved(by: int, axis: int) -> None:
    image, away = ball()
    moved = np.roll(away < 0, by, axis=axis)
    assert weighed(image, moved).confidence == pytest.approx(dice(moved, away < 0), abs=0.08)


def test_a_cut_through_bone_has_no_edge() -> None:
    image, away = ball()
    cut = away < 0
    cut[:, :, :32] = False
    found = weighed(image, cut)
    assert found.edged < 0.75 and found.confidence < 0.85


def test_a_leak_that_ends_at_the_next_bones_edge_is_told_by_its_thickness() -> None:
    """A plate of 5 mm on the ball, as bright as it: the image confirms its surface all around."""
    image, away = ball()
    plate = np.zeros(image.shape, dtype=bool)
    plate[30:35, 8:56, 8:62] = True
    bright = ndimage.gaussian_filter(np.where((away < 0) | plate, 200.0, 40.0), 0.8)
    found = weighed(image.with_array(bright.astype(np.float32)), (away < 0) | plate)
    assert found.overlap > 0.95 and found.thin > 0.1 and found.confidence < 0.95
    assert "thin plates or bridges" in (why_doubted("L2", Evidence(0.3, 1.0, 1.0, 1.0, 0.4)) or "")


@pytest.mark.parametrize("by", [-3.0, 0.0, 3.0])
def test_thick_slices_still_tell_a_mask_that_is_off(by: float) -> None:
    image, away = ball((0.9, 0.9, 5.0), 8.0)
    found = weighed(image, away < by).confidence
    assert (found > 0.9) is (by == 0.0)


def test_evidence_does_not_depend_on_the_box_that_the_mask_comes_in() -> None:
    image, away = ball()
    mask = image.with_array(away < 1.0, "mask")
    assert weigh("L2", "body", mask, image) == weighed(image, away < 1.0)


# Real bone -------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_labels_of_a_real_femur_are_ranked_by_their_overlap(data_dir: Path) -> None:
    def read(name: str) -> Volume:
        stored = nibabel.load(data_dir / "hip_crop" / name)
        return canonical(
            Volume(np.asanyarray(stored.dataobj).astype(np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]) @ stored.affine, "HU")
        )

    image, right = read("density.nii.gz"), read("labels.nii.gz").array == 2
    masks = [right] + [ndimage.binary_dilation(right, iterations=n) for n in (2, 4)] + [np.roll(right, n, axis=0) for n in (3, 9)]
    found = [weigh("femur_right", "whole", image.with_array(mask, "mask"), image).confidence for mask in masks]
    overlaps = [dice(mask, right) for mask in masks]
    assert np.argsort(found).tolist() == np.argsort(overlaps).tolist()
    assert found[0] > 0.93 and found[-1] < DOUBTED
