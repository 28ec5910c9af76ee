"""Bad input, one table: each row leads to a caution or a refusal that names its effect, and never to a silent number.

Whole scans go through the pipeline as a user's would; what single stages refuse is in their own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from openbct.errors import InputError
from openbct.phantoms import Fracture, Person, SimulatedBone, SimulatedScan, femur_region, simulate_torso, torso_of
from openbct.phantoms.torso import region_of
from openbct.pipeline import analyze
from openbct.records import Acquisition, LabelMap, Patient, Scan, Step
from openbct.segmentation import GivenLabels
from openbct.settings import built_in, override, parse
from openbct.volume import Volume, crop, resample, to_index
from small_scans import QUICK

COARSE = {"vertebra": {"voxel_mm": 3.0}, "femur": {"voxel_mm": 3.0, "strains": [0.01, 0.04]}}
IN_HU = override(parse(QUICK, "quick"), COARSE, "test")
IN_DENSITY = override(built_in(), {**COARSE, "calibration": {"method": "given"}}, "test")
L2, FEMUR = 21, 1


@dataclass(frozen=True)
class Given:
    """An image and its labels, as a user has them."""

    image: Volume
    labels: Volume
    names: dict[int, str]

    def on(self, change: Callable[[Volume], Volume]) -> Given:
        """Return both, changed alike."""
        return replace(self, image=change(self.image), labels=change(self.labels))


# What a user has ---------------------------------------------------------------------------------------------------


@cache
def damaged_spine() -> SimulatedScan:
    """T12 with a wedge, L1 with sunken endplates, L3 with pedicle screws, L4 filled with cement; L2 is sound."""
    fractures = {"T12": Fracture("wedge", 0.35), "L1": Fracture("biconcave", 0.35)}
    settings = region_of(
        torso_of(Person(fractures=fractures, implants=("screws_L3", "cement_L4")), spacing=(1.5, 1.5, 2.5)), "spine"
    )
    return simulate_torso(replace(settings, field_of_view=110.0, centre=(0.0, 14.0), top=settings.top - 45.0))


@cache
def spine() -> Given:
    simulated = damaged_spine()
    return Given(simulated.image, simulated.bodies.volume, dict(simulated.bodies.names))


@cache
def drawn_femur() -> SimulatedBone:
    return femur_region(side="right", spacing=2.5, tilt_deg=6.0)


@cache
def femur() -> Given:
    """A right femur without CT physics, in density."""
    bone = drawn_femur()
    label = bone.mask.with_array(bone.mask.array.astype(np.uint8), "label")
    return Given(bone.density, label, {FEMUR: "femur_right"})


# What is wrong with it -----------------------------------------------------------------------------------------------


def below(given: Given, value: int, share: float) -> Given:
    """Cut the image above a share of a label's height."""
    layers = np.flatnonzero((given.labels.array == value).any(axis=(0, 1)))
    end = int(layers[0] + share * (layers[-1] - layers[0]))
    return given.on(lambda volume: crop(volume, [0, 0, 0], [*volume.shape[:2], end]))


def above(given: Given, millimetres: float) -> Given:
    """Cut the image below a length of shaft under the lesser trochanter."""
    bone = drawn_femur()
    start = int(to_index(given.labels.affine, bone.landmarks["lesser_trochanter"])[2] - millimetres / given.labels.spacing[2])
    return given.on(lambda volume: crop(volume, [0, 0, start], [*volume.shape]))


def coarser(given: Given, spacing: float) -> Given:
    """Put image and labels on larger voxels."""
    affine = given.image.affine.copy()
    factor = spacing / given.image.spacing
    affine[:3, :3] = affine[:3, :3] * factor
    affine[:3, 3] += given.image.affine[:3, :3] @ (0.5 * (factor - 1.0))
    shape = tuple(int(n) for n in np.array(given.image.shape) / factor)
    image = resample(given.image, shape, affine)
    labels = resample(given.labels, shape, affine, order=0)
    return replace(given, image=image, labels=labels.with_array(np.rint(labels.array).astype(np.int16)))


def upside_down(given: Given, *, image: bool) -> Given:
    """Turn the labels over from head to foot, and the image with them or not."""
    over = lambda volume: volume.with_array(volume.array[:, :, ::-1])  # noqa: E731
    return replace(given, labels=over(given.labels), image=over(given.image) if image else given.image)


def alone(given: Given, value: int) -> Given:
    """Keep one label and the slices from 30 mm below to 45 mm above it."""
    layers = np.flatnonzero((given.labels.array == value).any(axis=(0, 1)))
    first, last = int(layers[0]) - 12, int(layers[-1]) + 19
    cut = given.on(lambda volume: crop(volume, [0, 0, first], [*volume.shape[:2], last]))
    return replace(cut, labels=cut.labels.with_array(np.where(cut.labels.array == value, value, 0)))


def moved(given: Given, value: int, millimetres: float) -> Given:
    """Lift one label along the spine, and keep no other."""
    array = np.roll(np.where(given.labels.array == value, value, 0), round(millimetres / given.labels.spacing[2]), axis=2)
    return replace(given, labels=given.labels.with_array(array))


def brighter(given: Given, factor: float, shift: float) -> Given:
    return replace(given, image=given.image.with_array(given.image.array * factor + shift))


def denser(given: Given, value: int, factor: float) -> Given:
    """Multiply what one label holds: the noise around it stays that of a scan."""
    return replace(given, image=given.image.with_array(given.image.array * np.where(given.labels.array == value, factor, 1.0)))


def hollow(given: Given, value: int, rim: int) -> Given:
    """Leave a rim of the label."""
    mask = given.labels.array == value
    inside = ndimage.binary_erosion(mask, iterations=rim)
    return replace(given, labels=given.labels.with_array(np.where(inside, 0, given.labels.array)))


def split(given: Given, value: int, share: float, gap: int = 2) -> Given:
    """Take slices out of the label at a share of its height."""
    layers = np.flatnonzero((given.labels.array == value).any(axis=(0, 1)))
    at = int(layers[0] + share * (layers[-1] - layers[0]))
    array = given.labels.array.copy()
    array[:, :, at : at + gap][array[:, :, at : at + gap] == value] = 0
    return replace(given, labels=given.labels.with_array(array))


def nailed(given: Given) -> Given:
    """Put a rod of metal into the shaft."""
    array = given.image.array.copy()
    i, j, k = np.argwhere(given.labels.array == FEMUR).T
    low = k < k.min() + 20
    x, y = int(i[low].mean()), int(j[low].mean())
    array[x - 2 : x + 3, y - 2 : y + 3, : k.min() + 20] = 3000.0
    return replace(given, image=given.image.with_array(array))


# What is said about it ----------------------------------------------------------------------------------------------

REFUSED, CAUTION = "refused", "caution"
ROWS: dict[str, tuple[Callable[[], Given], str, str, str]] = {
    "body cut by the image": (lambda: below(spine(), L2, 0.6), "L2", REFUSED, "cut by the upper edge of the image"),
    "endplate fractured, wedge": (spine, "T12", CAUTION, "fracture (grade"),
    "endplate fractured, sunken": (spine, "L1", CAUTION, "fracture (grade"),
    "screws in a vertebra": (spine, "L3", REFUSED, "metal or cement"),
    "cement in a vertebra": (spine, "L4", REFUSED, "metal or cement"),
    "vertebra denser than the law": (lambda: denser(spine(), L2, 3.4), "L2", CAUTION, "their stiffness is extrapolated"),
    "vertebra below the law's floor": (lambda: brighter(spine(), 1.0, -130.0), "L2", REFUSED, "too noisy or too fatty an image"),
    "vertebra in voxels of 3 mm": (lambda: coarser(spine(), 3.0), "L2", CAUTION, "blur endplates and cortex; strengths"),
    "vertebra in voxels of 7 mm": (lambda: coarser(spine(), 7.0), "L2", REFUSED, "voxels of 7.0 mm"),
    "vertebral labels upside down": (lambda: upside_down(spine(), image=False), "L2", REFUSED, "upside down"),
    "spine upside down": (lambda: upside_down(spine(), image=True), "L2", REFUSED, "upside down"),
    "one vertebral label upside down": (lambda: upside_down(alone(spine(), L2), image=False), "L2", CAUTION, "part of a disc"),
    "vertebral label too high": (lambda: moved(spine(), L2, 12.5), "L2", CAUTION, "lowered the strength"),
    "vertebral label with a hole": (lambda: hollow(spine(), L2, 2), "L2", CAUTION, "in the label were filled"),
    "vertebral label in two parts": (lambda: split(spine(), L2, 0.5), "L2", REFUSED, "in 2 pieces"),
    "vertebral label with a loose part": (lambda: split(spine(), L2, 0.1), "L2", CAUTION, "lay apart from the bone and was left out"),
    "femoral head cut by the image": (lambda: below(femur(), FEMUR, 0.8), "femur_right", REFUSED, "head"),
    "shaft too short": (lambda: above(femur(), 5.0), "femur_right", REFUSED, "of shaft below the lesser trochanter, expected at least"),
    "shaft short": (lambda: above(femur(), 20.0), "femur_right", CAUTION, "% of the strength"),
    "nail in a femur": (lambda: nailed(femur()), "femur_right", REFUSED, "metal"),
    "femur denser than the law": (lambda: brighter(femur(), 1.65, 0.0), "femur_right", CAUTION, "rests partly on that ceiling"),
    "femur near the law's floor": (lambda: brighter(femur(), 1.0, -90.0), "femur_right", CAUTION, "rests partly on that floor"),
    "femur below the law's floor": (lambda: brighter(femur(), 1.0, -200.0), "femur_right", REFUSED, "too noisy or too fatty an image"),
    "femur in voxels of 3 mm": (lambda: coarser(femur(), 3.0), "femur_right", CAUTION, "voxel size alone moves strength"),
    "femur in voxels of 7 mm": (lambda: coarser(femur(), 7.0), "femur_right", REFUSED, "voxels of 7.0 mm"),
    "femoral label upside down": (lambda: upside_down(femur(), image=False), "femur_right", REFUSED, "upside down"),
    "hip upside down": (lambda: upside_down(femur(), image=True), "femur_right", REFUSED, "upside down"),
    "femoral label with a hole": (lambda: hollow(femur(), FEMUR, 2), "femur_right", CAUTION, "were filled"),
    "femoral label in two parts": (lambda: split(femur(), FEMUR, 0.5), "femur_right", REFUSED, "pieces"),
}  # fmt: skip
"""What is wrong, in which bone, what becomes of it, and words that must be said."""
LONG = (
    "body cut by the image",
    "femoral head cut by the image", "shaft too short", "nail in a femur", "femur in voxels of 3 mm", "hip upside down",
    "femoral label with a hole", "femoral label in two parts", "femur below the law's floor", "femur near the law's floor",
    "shaft short", "vertebra below the law's floor", "cement in a vertebra", "vertebral label with a loose part", "endplate fractured, sunken",
)  # fmt: skip
"""Rows whose stage, or whose like, has a test in the default run."""


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.slow) if row in LONG else row for row in ROWS])
def test_nothing_wrong_gives_a_silent_number(row: str) -> None:
    make, bone, status, words = ROWS[row]
    given = make()
    unit = given.image.unit
    step = Step("reading", "A simulated image.")
    scan = Scan(given.image, Patient(), Acquisition(), "simulated", "", step)
    labels = GivenLabels((LabelMap(given.labels, given.names, "labels"),), (bone,))
    settings = override(IN_DENSITY if unit.startswith("mg/cm3") else IN_HU, {"run": {"bones": [bone]}}, "test")
    try:
        case = analyze(scan, labels, settings=settings)
    except InputError as error:  # the only bone that was asked for cannot be used
        assert status == REFUSED and words in str(error) and bone in str(error), str(error)
        return
    result = case.bones[0]
    said = [result.reason or "", *result.cautions, *case.cautions]
    assert result.status == status, said
    assert any(words in text for text in said), said
    assert (result.strength is None) == (status == REFUSED)
    assert any(bone in text for text in said)


def strength_of(given: Given) -> tuple[float, tuple[str, ...]]:
    scan = Scan(given.image, Patient(), Acquisition(), "simulated", "", Step("reading", "A simulated image."))
    labels = GivenLabels((LabelMap(given.labels, given.names, "labels"),), ("L2",))
    bone = analyze(scan, labels, settings=override(IN_HU, {"run": {"bones": ["L2"]}}, "test")).bones[0]
    assert bone.strength is not None, bone.reason
    return bone.strength.strength, bone.cautions


@pytest.mark.slow
def test_the_table_starts_from_sound_bones_and_a_label_beside_the_body_costs_what_its_caution_says() -> None:
    sound, cautions = strength_of(spine())
    assert cautions == ()
    for millimetres in (-12.5, 12.5):
        wrong, cautions = strength_of(moved(spine(), L2, millimetres))
        assert any("lowered the strength of a simulated body by a quarter" in caution for caution in cautions)
        assert 0.6 < wrong / sound < 0.8
    # half a slice is no fault
    assert not any("disc" in caution for caution in strength_of(moved(spine(), L2, 2.5))[1])
