"""Every rule on the image itself: one body that trips it, one that only just does not, and images in which nothing can be measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from openbct.acquisition import rules
from openbct.io import read_scan
from openbct.quality import examine
from openbct.quality.noise import noise_at
from openbct.records import Acquisition, BoneMask, Patient, Scan, Segmentation, Step
from openbct.volume import Volume

EDGE = 4.0
X, Y, Z = np.meshgrid(
    *(np.arange(n) * EDGE for n in (124, 90, 26)), indexing="ij"
)  # [mm]; the body's axis lies at x = 246, y = 180
MIDDLE, HEIGHT = 246.0, 52.0


def ball(x: float, y: float, z: float, radius: float) -> np.ndarray:
    return (X - x) ** 2 + (Y - y) ** 2 + (Z - z) ** 2 < radius**2


def tube(x: float, y: float, radius: float) -> np.ndarray:
    return (X - x) ** 2 + (Y - y) ** 2 < radius**2


@dataclass(frozen=True)
class Body:
    """An oval body with a spine, an aorta, kidneys and bowel."""

    width: float = 150.0
    noise: float = 10.0
    aorta: float = 40.0
    kidneys: float = 35.0
    bowel: float = 40.0
    seed: int = 3
    extra: tuple[tuple[np.ndarray, float], ...] = ()
    names: tuple[str, ...] = ("L1",)
    unit: str = "HU"
    labelled: bool = False
    header: str | None = None
    jump: int = 0
    """Voxels by which the upper half is shifted sideways."""
    field_i: slice = field(default_factory=lambda: slice(None))

    def examine(self) -> dict[tuple[str, str | None], object]:
        """Return the checks by rule and bone."""
        found = examine(*self.scene())
        return {(one.rule, one.bone): one for one in found.checks}

    def scene(self) -> tuple[Scan, Segmentation]:
        image = np.full(X.shape, -1000.0)
        inside = ((X - MIDDLE) / self.width) ** 2 + ((Y - 180.0) / (0.72 * self.width)) ** 2 < 1
        image[inside] = 50.0
        image[inside & (((X - MIDDLE) / (self.width - 18)) ** 2 + ((Y - 180) / (0.72 * self.width - 18)) ** 2 > 1)] = -100.0
        spine = tube(MIDDLE, 235.0, 20.0)
        image[spine] = 220.0
        image[spine & ~tube(MIDDLE, 235.0, 14.0)] = 450.0
        aorta = tube(MIDDLE + 10, 190.0, 11.0)
        image[aorta] = self.aorta
        for side in (-1, 1):
            image[((X - MIDDLE - 62 * side) / 24) ** 2 + ((Y - 225.0) / 22) ** 2 + ((Z - HEIGHT) / 45) ** 2 < 1] = self.kidneys
        for x in (-45.0, 10.0, 55.0):
            image[((X - MIDDLE - x) / 18) ** 2 + ((Y - 118.0) / 14) ** 2 < 1] = self.bowel
        for where, value in self.extra:
            image[where] = value
        image += np.random.default_rng(self.seed).normal(0.0, self.noise, image.shape)
        if self.jump:
            image[:, :, 13:] = np.roll(image[:, :, 13:], self.jump, axis=0)
        affine = np.diag([EDGE, EDGE, EDGE, 1.0])
        image = image[self.field_i]
        masks = {"L1": spine & (np.abs(Z - HEIGHT) < 20.0)}
        for name, sign in (("femur_left", 1.0), ("femur_right", -1.0)):
            masks[name] = ball(MIDDLE + sign * 85, 180.0, HEIGHT, 20.0)
        bones = {
            name: BoneMask(name, Volume(masks[name][self.field_i], affine, "mask"), "whole", 1.0, False) for name in self.names
        }
        tissues = {"aorta": Volume(aorta[self.field_i], affine, "mask")} if self.labelled else {}
        scan = Scan(
            Volume(image, affine, self.unit), Patient(), Acquisition(contrast=self.header), "test", "0", Step("input", "Read.")
        )
        return scan, Segmentation(bones, tissues, Step("segmentation", "Drawn."))


USUAL = Body()
HIPS = replace(USUAL, names=("femur_left", "femur_right"))
BAND = (np.abs(X - MIDDLE) < 50) & (np.abs(Y - 180.0) < 14)


def cube(x: float, y: float, z: float, half: float) -> np.ndarray:
    return (np.abs(X - x) < half) & (np.abs(Y - y) < half) & (np.abs(Z - z) < half)


def streaky(hu: float) -> Body:
    """Return a body with metal beside its spine and a band of shadow from there past the bone."""
    band = (np.abs(Y - 200.0) < 8) & (np.abs(X - MIDDLE) < 70) & (np.abs(Z - HEIGHT) < 20)
    return replace(USUAL, extra=((cube(178, 180, HEIGHT, 7), 3000.0), (band & ~cube(178, 180, HEIGHT, 7), hu)))


@pytest.mark.parametrize(
    ("key", "bone", "trips", "near"),
    [
        ("noise", "L1", replace(USUAL, noise=55.0), replace(USUAL, noise=28.0)),
        ("motion", "L1", replace(USUAL, jump=1), USUAL),
        ("metal_beside", "L1", replace(USUAL, extra=((cube(178, 180, HEIGHT, 7), 3000.0),)),
         replace(USUAL, extra=((cube(176, 180, HEIGHT, 3), 3000.0),))),
        ("metal_beside", "L1", replace(USUAL, extra=((cube(178, 180, HEIGHT + 16, 7), 3000.0),)),
         replace(USUAL, extra=((cube(178, 180, HEIGHT + 36, 7), 3000.0),))),
        ("metal_beside", "L1", replace(USUAL, extra=((cube(178, 180, HEIGHT, 7), 2900.0),)),
         replace(USUAL, extra=((cube(178, 180, HEIGHT, 7), 2200.0),))),
        ("streaks", "L1", streaky(-160.0), streaky(-90.0)),
        ("streaks", "L1", streaky(-160.0), replace(streaky(-160.0), extra=streaky(-160.0).extra[1:])),
        ("contrast_in_blood", None, replace(USUAL, labelled=True, aorta=110.0), replace(USUAL, labelled=True, aorta=80.0)),
        ("contrast_in_blood", None, replace(USUAL, aorta=150.0), replace(USUAL, aorta=70.0)),
        ("contrast_in_kidneys", None, replace(USUAL, kidneys=170.0, aorta=150.0), replace(USUAL, kidneys=75.0, aorta=150.0)),
        ("oral_contrast", None, replace(USUAL, bowel=260.0), replace(USUAL, bowel=110.0)),
        ("oral_contrast", None, replace(USUAL, bowel=320.0, aorta=160.0), replace(USUAL, bowel=160.0, aorta=160.0)),
        ("dark_band", None, replace(HIPS, extra=((BAND, -12.0),)), replace(HIPS, extra=((BAND, 20.0),))),
        ("body_cut", None, replace(USUAL, field_i=slice(34, 124)), replace(USUAL, field_i=slice(22, 124))),
        ("body_size", None, replace(USUAL, width=195.0), replace(USUAL, width=170.0)),
    ],
    ids=["noise", "motion", "metal", "metal-in-slices", "metal-or-bone", "streaks", "streaks-of-metal", "aorta-label", "aorta-found", "kidneys", "bowel",
         "bowel-beside-vessels",
         "band", "field", "size"],
)  # fmt: skip
def test_a_rule_trips_and_only_just_does_not(key: str, bone: str | None, trips: Body, near: Body) -> None:
    tripped = trips.examine()[key, bone]
    assert tripped.outcome == "caution" and tripped.value > rules()[key].limit()  # type: ignore[attr-defined]
    assert tripped.sentence[0].isupper() and tripped.sentence.endswith(".")  # type: ignore[attr-defined]
    missed = near.examine().get((key, bone))
    assert missed is None or (missed.outcome, missed.sentence) == ("ok", "")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body", [replace(USUAL, noise=150.0), replace(USUAL, jump=4), streaky(-320.0)], ids=["noise", "motion", "streaks"]
)
def test_a_bone_that_must_not_be_assessed(body: Body) -> None:
    found = examine(*body.scene())
    assert set(found.refused) == {"L1"} and found.refused["L1"] in [
        one.sentence for one in found.checks if one.outcome == "refused"
    ]
    assert found.refused["L1"] not in found.bones["L1"].cautions


def test_a_usual_body_raises_nothing() -> None:
    found = examine(*USUAL.scene())
    assert {one.outcome for one in found.checks} == {"ok"}
    assert not found.step.cautions and not found.bones["L1"].cautions and not found.refused
    assert {one.rule for one in found.checks} >= {"noise", "motion", "metal_beside", "body_cut", "body_size"}


def test_cautions_of_a_bone_and_of_the_scan_go_their_ways() -> None:
    body = replace(USUAL, noise=60.0, aorta=200.0, header="OMNIPAQUE")
    found = examine(*body.scene())
    (noise,) = found.bones["L1"].cautions
    assert noise.startswith("The noise of soft tissue beside the bone is ") and found.bones["L1"].references
    assert any("reads 2" in caution or "reads 19" in caution for caution in found.step.cautions)
    assert any("the header names one" in caution for caution in found.step.cautions)
    assert "OMNIPAQUE" not in " ".join(found.step.cautions)


@pytest.mark.parametrize("edge", [0.8, 2.0, 3.0])
@pytest.mark.parametrize("true", [8.0, 45.0])
def test_noise_is_that_of_the_image(true: float, edge: float) -> None:
    """Muscle beside fat with an edge between them, at the voxels of clinical scans."""
    n = round(150 / edge)
    image = np.full((n, n, 12), 55.0)
    image[: n // 3] = -95.0
    image += np.random.default_rng(1).normal(0.0, true, image.shape)
    mask = np.zeros(image.shape, dtype=bool)
    mask[n // 2 - 2 : n // 2 + 2, n // 2 - 2 : n // 2 + 2, 2:10] = True
    bone = BoneMask("L1", Volume(mask, np.diag([edge, edge, 2.0, 1.0]), "mask"), "body", 1.0, False)
    found = noise_at(Volume(image, np.diag([edge, edge, 2.0, 1.0]), "HU"), bone)
    assert found == pytest.approx(true, rel=0.15)


def test_body_size_is_that_of_a_water_cylinder() -> None:
    """The same body of water without bone: the diameter of the circle of equal area."""
    body = replace(USUAL, extra=((((X - MIDDLE) / 150.0) ** 2 + ((Y - 180.0) / 108.0) ** 2 < 1, 0.0),), noise=0.0)
    assert body.examine()["body_size", None].value == pytest.approx(2 * np.sqrt(150.0 * 108.0), rel=0.02)  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [replace(USUAL, unit="mg/cm3 K2HPO4"), replace(USUAL, names=())], ids=["density", "no bones"])
def test_what_cannot_be_examined(body: Body) -> None:
    found = examine(*body.scene())
    assert not any(one.bone for one in found.checks) and found.step.sentence.endswith(".")


@pytest.mark.parametrize("value", [-1000.0, 0.0, 3000.0])
@pytest.mark.parametrize("shape", [(5, 5, 3), (40, 3, 60)])
def test_images_without_a_body_are_no_bug(shape: tuple[int, int, int], value: float) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    mask = np.zeros(shape, dtype=bool)
    mask[1:3, 1:2, 1:] = True
    bone = BoneMask("L1", Volume(mask, affine, "mask"), "body", 1.0, True)
    scan = Scan(Volume(np.full(shape, value), affine, "HU"), Patient(), Acquisition(), "test", "0", Step("input", "Read."))
    assert examine(scan, Segmentation({"L1": bone}, {}, Step("segmentation", "Drawn."))).step.sentence


@pytest.mark.slow
@pytest.mark.data
def test_contrast_is_found_in_header_and_aorta(data_dir: Path) -> None:
    """A real scan with an agent named in its header, and two without any: the aorta read 150 HU by eye in the first."""
    nothing = Segmentation({}, {}, Step("segmentation", "None."))
    scan = read_scan(data_dir / "abdomen_jpeg2000_contrast_dicom")
    (blood,) = [one for one in examine(scan, nothing).checks if one.rule == "contrast_in_blood"]
    assert (
        blood.outcome == "caution" and blood.value == pytest.approx(150.0, abs=10.0) and "the header names one" in blood.sentence
    )
    for name in ("thoracolumbar_dicom", "abdomen_pelvis/ct.nii.gz"):
        checks = examine(read_scan(data_dir / name), nothing).checks
        assert not [one for one in checks if one.outcome != "ok" and "contrast" in one.rule]
