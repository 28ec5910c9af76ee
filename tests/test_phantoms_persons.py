"""Simulated persons: size, fat, density and damage are those that were asked for; cohorts follow the published norms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from openbct.errors import SettingsError
from openbct.phantoms import FemurShape, Fracture, Girth, Person, SimulatedScan, VertebraShape, cohort, simulate_torso, torso_of
from openbct.phantoms.beam import scanner_beam
from openbct.phantoms.body import BodyShape, check_body
from openbct.phantoms.canvas import Canvas, empty
from openbct.phantoms.cohort import NECK_ABMD, hip_factor
from openbct.phantoms.column import LEVELS, Placed, column
from openbct.phantoms.femur import femur
from openbct.phantoms.implants import paint_implants
from openbct.phantoms.softtissue import outline, paint_body, wall
from openbct.phantoms.spine import vertebra
from openbct.phantoms.torso import region_of

UNTRACED: dict[str, Any] = {"noise": 0.0, "scatter": 0.0, "hardening": False}


def scan(person: Person, region: str = "L3", voxel: float = 3.0, *, rays: bool = False) -> SimulatedScan:
    """A coarse, noise-free scan of some slices."""
    if (key := f"{person} {region} {voxel} {rays}") not in _scans:
        settings = region_of(torso_of(person, spacing=(voxel, voxel, 3.0)), region)
        # What rays do is asked for by the tests of metal alone.
        seen = replace(settings.scanner, noise=0.0) if person.implants or rays else replace(settings.scanner, **UNTRACED)
        _scans[key] = simulate_torso(replace(settings, scanner=seen))
    return _scans[key]


_scans: dict[str, SimulatedScan] = {}


def inside(found: SimulatedScan, name: str) -> np.ndarray:
    number = next(value for value, known in found.labels.names.items() if known == name)
    return np.asarray(found.labels.volume.array == number)


def body_area(found: SimulatedScan) -> float:
    """Return the cross-section of the body without the table [mm²]."""
    image = found.image.array
    middle = image[:, :, image.shape[2] // 2]
    front = found.landmarks["L3_posterior_inferior"][1] + 55
    y = found.image.affine[1, 3] + found.image.spacing[1] * np.arange(middle.shape[1])
    return float((middle[:, y < front] > -300).sum()) * 9.0


@pytest.mark.slow
def test_bodies_grow_with_height_and_weight() -> None:
    usual, heavy = scan(Person()), scan(Person(weight_kg=93.0))
    # The cross-section of a belly is weight over height, bowel gas and arms aside.
    assert body_area(heavy) / body_area(usual) == pytest.approx(1.5, abs=0.1)
    small, tall = scan(Person(height_cm=150, weight_kg=51)), scan(Person(height_cm=180, weight_kg=88))
    volume = [inside(found, "vertebrae_L3").sum() for found in (small, tall)]
    assert volume[1] / volume[0] == pytest.approx((180 / 150) ** 3, rel=0.06)
    men = scan(Person(sex="M"))
    assert inside(men, "vertebrae_L3").sum() / inside(usual, "vertebrae_L3").sum() > 1.08


def test_density_is_that_of_the_person_and_marrow_that_of_the_age() -> None:
    read = {}
    for age, asked in ((40.0, 150.0), (80.0, 150.0), (80.0, 60.0)):
        found = scan(Person(age=age, trabecular_density=asked), voxel=1.5)
        centre = np.linalg.inv(found.density.affine) @ [*found.landmarks["L3_centre"], 1.0]
        i, j, k = np.rint(centre[:3]).astype(int)
        box = (slice(i - 5, i + 6), slice(j - 5, j + 4), slice(k - 2, k + 3))
        read[age, asked] = (found.density.array[box].mean(), found.mineral.array[box].mean())
        assert read[age, asked][0] == pytest.approx(asked, abs=12.0)  # texture and grading
    # The same reading in fatter marrow is more mineral.
    assert read[80.0, 150.0][1] > read[40.0, 150.0][1] + 5.0


@pytest.mark.parametrize(
    ("kind", "front", "middle", "back"), [("wedge", 0.7, 0.85, 1.0), ("biconcave", 1.0, 0.7, 1.0), ("crush", 0.7, 0.7, 0.7)]
)
def test_fractures_take_height_where_their_kind_does(kind: str, front: float, middle: float, back: float) -> None:
    broken = scan(Person(fractures={"L3": Fracture(kind, 0.3)}))  # type: ignore[arg-type]
    whole = scan(Person())

    def height(found: SimulatedScan, place: str) -> float:
        return float(np.linalg.norm(found.landmarks[f"L3_{place}_superior"] - found.landmarks[f"L3_{place}_inferior"]))

    for place, share in (("anterior", front), ("middle", middle), ("posterior", back)):
        assert height(broken, place) / height(whole, place) == pytest.approx(share, abs=0.03)
    if kind == "biconcave":
        # The disc fills the hollow, where fat would read below zero.
        frame = np.linalg.inv(broken.density.affine)
        for up in (2.0, 5.0):
            i, j, k = np.rint((frame @ [*(broken.landmarks["L3_middle_superior"] + [0.0, 0.0, up]), 1.0])[:3]).astype(int)
            assert broken.density.array[i, j, k] > 20.0
    # The bone is compacted, not lost.
    mineral = [float(found.mineral.array[inside(found, "vertebrae_L3")].sum()) for found in (broken, whole)]
    assert mineral[0] / mineral[1] == pytest.approx(1.0, abs=0.15)


def test_a_curve_has_its_cobb_angle() -> None:
    for asked in (-25.0, 15.0, 30.0):
        lean = [np.degrees(np.arctan2(level.frame[0, 2], level.frame[2, 2])) for level in column(cobb_deg=asked)]
        assert max(lean) - min(lean) == pytest.approx(abs(asked), abs=0.08 * abs(asked))
        assert np.sign(lean[int(np.argmax(np.abs(lean)))]) in (-1.0, 1.0)
    sideways = column(cobb_deg=30.0)[3].frame[0, 3]
    assert sideways > 5.0 > -5.0 > column(cobb_deg=-30.0)[3].frame[0, 3]


def test_a_trunk_straightens_above_a_wedge_and_does_not_leave_the_body() -> None:
    def lean(levels: tuple[Placed, ...]) -> float:
        return float(np.degrees(np.arctan2(-levels[-1].frame[1, 2], levels[-1].frame[2, 2])))

    whole = column()
    assert lean(column({"L3": Fracture("wedge", 0.5)})) == pytest.approx(lean(whole), abs=1e-6)
    assert lean(column({"T10": Fracture("wedge", 0.5)})) == pytest.approx(lean(whole), abs=1e-6)
    assert lean(column({"T11": Fracture("wedge", 0.5)})) > lean(whole) + 5.0
    for level in LEVELS:
        torso_of(Person(fractures={level: Fracture("wedge", 0.6)}))
    with pytest.raises(SettingsError, match="fewer or smaller"):
        torso_of(Person(fractures={level: Fracture("wedge", 0.6) for level in LEVELS}))


@pytest.mark.parametrize(("lumbar", "lowest"), [(4, "L4"), (5, "L5"), (6, "L6")])
def test_a_spine_with_another_number_of_lumbar_vertebrae(lumbar: int, lowest: str) -> None:
    """It stands on the same sacrum, and a whole vertebra with its disc is more or less below T12."""
    levels = column(lumbar=lumbar)
    assert [levels[0].level, levels[-1].level, len(levels)] == [lowest, "T10", lumbar + 3]
    assert np.linalg.norm(levels[0].disc[:3, 3] - column()[0].disc[:3, 3]) < 1.0
    raised = levels[-3].frame[2, 3] - column()[-3].frame[2, 3]
    assert raised == pytest.approx(37.0 * (lumbar - 5), abs=4.0)


@pytest.mark.parametrize(
    "body",
    [BodyShape(lumbar=3), BodyShape(fused=("L6",)), BodyShape(lumbar=4, implants=("screws_L5",)), BodyShape(fused=("pelvis",))],
)
def test_a_spine_that_cannot_be_drawn_is_refused(body: BodyShape) -> None:
    with pytest.raises(SettingsError, match="expected"):
        check_body(body)


@pytest.mark.parametrize("girth", [Girth(-8.0), Girth(), Girth(28.0, 57.0), Girth(60.0, 52.0)])
def test_muscle_lies_within_the_skin_and_the_belly_has_a_wall_all_round(girth: Girth) -> None:
    affine = np.diag([3.0, 3.0, 40.0, 1.0])
    affine[:3, 3] = (-255.0, -255.0, -60.0)
    canvas = empty((171, 121, 10), affine, scanner_beam())
    paint_body(canvas, girth)
    points = canvas.axes((slice(0, 171), slice(0, 121), slice(0, 10)))
    depth, to_wall = -outline(points, girth), wall(points, girth)[:, :, 6]
    assert depth[canvas.labels > 0].min() > 0.0
    middle = canvas.hu[:, :, 6]  # 180 mm above the heads
    for angle in np.radians(np.arange(180.0, 361.0, 15.0)):
        steps = np.arange(40.0, 250.0, 1.0)
        i, j = (np.rint((start + steps * f(angle) + 255.0) / 3.0).astype(int) for start, f in ((0.0, np.cos), (-10.0, np.sin)))
        i, j = np.clip(i, 0, 170), np.clip(j, 0, 120)
        inside = depth[i, j, 6] > 6.0
        last = np.flatnonzero(inside & (middle[i, j] > 10.0))[-1]
        assert abs(to_wall[i[last], j[last]]) < 9.0


def painted_femur(*implants: str) -> tuple[Canvas, np.ndarray]:
    """Return a left femur with implants, and where it was without them."""
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = (-40.0, -60.0, -130.0)
    canvas, thigh = empty((90, 80, 120), affine, scanner_beam()), femur(FemurShape())
    canvas.paint_bone(thigh.bone("left"), np.eye(4), 1)
    before = canvas.labels > 0
    paint_implants(canvas, implants, (), {f"femur_left_{name}": point for name, point in thigh.landmarks.items()})
    return canvas, before


def test_a_nail_lies_in_the_bone_and_a_prosthesis_where_the_head_was() -> None:
    nailed, bone = painted_femur("nail_left")
    metal = nailed.traces["titanium"] > 2000.0
    assert metal.sum() > 3000 and (metal & ~bone).sum() < 0.01 * metal.sum()
    replaced, _ = painted_femur("prosthesis_left")
    x, y, z = replaced.axes((slice(0, 90), slice(0, 80), slice(0, 120)))
    from_head = np.sqrt(x**2 + y**2 + z**2)
    assert replaced.mineral[from_head < 22.0].max() < 1.0 and replaced.traces["titanium"][from_head < 12.0].min() > 4000.0


@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_cement_fills_what_a_fracture_has_left(kind: str) -> None:
    broken = Fracture(kind, 0.5)  # type: ignore[arg-type]
    level = column({"L2": broken})[3]
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = level.frame[:3, 3] - (45.0, 37.5, 37.5)
    canvas = empty((60, 60, 50), affine, scanner_beam())
    bone = vertebra(VertebraShape(width=44.0, depth=33.0, height=28.0, wedge_deg=-1.0, losses=broken.losses)).bone()
    canvas.paint_bone(bone, level.frame, 1)
    before, whole = canvas.hu.copy(), canvas.labels > 0
    paint_implants(canvas, ("cement_L2",), (level,), {}, {"L2": broken})
    cement = canvas.hu > before + 300.0
    assert cement.sum() > 200 and (cement & ~whole).sum() < 0.01 * cement.sum()


@pytest.mark.slow
def test_metal_is_metal_and_streaks() -> None:
    plain, screws = scan(Person(), "L4", rays=True), scan(Person(implants=("screws_L4",)), "L4")
    assert plain.image.array.max() < 2000 and screws.image.array.max() == 3071
    assert screws.mineral.array.max() <= plain.mineral.array.max() + 1e-3
    change = np.abs(screws.image.array.astype(float) - plain.image.array)
    soft = inside(plain, "autochthon_left") & inside(screws, "autochthon_left")
    near = soft & (np.abs(screws.density.array - plain.density.array) < 1)
    assert 10.0 < np.quantile(change[near], 0.99) < 300.0  # far from the metal itself, what remains are streaks


def test_contrast_fills_vessels_and_a_little_marrow() -> None:
    plain, portal = scan(Person()), scan(Person(phase="portal"))
    aorta = inside(plain, "aorta")
    gain = float(portal.image.array[aorta].mean() - plain.image.array[aorta].mean())
    assert 80 < gain < 180
    bone = inside(plain, "vertebrae_L3") & (plain.mineral.array < 200)
    assert 4 < float(portal.image.array[bone].mean() - plain.image.array[bone].mean()) < 20
    assert portal.acquisition.contrast and plain.acquisition.contrast is None


def test_the_highest_level_is_whole() -> None:
    found = scan(Person(), "T10")
    assert found.bodies is not None and "vertebral_body_T10" in found.bodies.names.values()
    body = found.bodies.volume.array == 17
    assert body.any() and not body[:, :, 0].any() and not body[:, :, -1].any()


def test_seeds_change_texture_and_noise_alone() -> None:
    first, second = scan(Person(seed=1)), scan(Person(seed=2))
    assert np.array_equal(first.bodies.volume.array, second.bodies.volume.array)  # type: ignore[union-attr]
    assert not np.array_equal(first.density.array, second.density.array)


@pytest.mark.parametrize(
    "change",
    [
        {"sex": "X"}, {"age": 5.0}, {"height_cm": float("nan")}, {"weight_kg": 20.0}, {"trabecular_density": 900.0}, {"hip_density": 0.0},
        {"cortex": 9.0}, {"neck_shaft_angle_deg": 180.0}, {"joint_space": 0.0}, {"cobb_deg": 90.0}, {"phase": "venous"},
        {"weight_kg": 180.0, "height_cm": 140.0}, {"implants": ("screws_L1",), "fractures": {"L1": Fracture("crush", 0.4)}},
        {"implants": ("pin",)}, {"fractures": {"L9": Fracture("wedge", 0.2)}}, {"fractures": {"L1": Fracture("wedge", 0.9)}}, {"seed": -1},
    ],
)  # fmt: skip
def test_persons_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="found"):
        simulate_torso(region_of(torso_of(replace(Person(), **change), spacing=(4.0, 4.0, 5.0)), "L3"))  # type: ignore[arg-type]


def test_the_areal_density_that_a_cohort_relies_on_is_that_of_the_drawn_neck() -> None:
    for factor, known in list(zip(*NECK_ABMD, strict=True))[::3]:
        drawn, cortex = FemurShape(), factor**0.5
        shape = replace(
            drawn, head_density=factor * drawn.head_density, neck_density=factor * drawn.neck_density,
            trochanter_density=factor * drawn.trochanter_density, neck_cortex=cortex * drawn.neck_cortex, head_cortex=cortex * drawn.head_cortex,
            shaft_cortex=cortex * drawn.shaft_cortex,
        )  # fmt: skip
        assert femur(shape).neck_areal_density() == pytest.approx(known, rel=0.02)
        assert hip_factor(known * 1.1, 1.1) == pytest.approx(factor)


def test_a_cohort_follows_the_norms() -> None:
    people = list(cohort(3000, seed=4))
    for sex, expected, spread in (("F", 109.4, 30.0), ("M", 110.1, 30.4)):  # MESA at 60 to 70: means of 62 and 67 [S]
        values = [p.trabecular_density for p in people if p.sex == sex and 60 <= p.age <= 70]
        error = spread / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(expected, abs=3 * error)
        assert np.std(values) == pytest.approx(spread, rel=0.15)
    hips = [p.hip_density for p in people if p.sex == "F"]
    spines = [p.trabecular_density for p in people if p.sex == "F"]
    assert 0.4 < np.corrcoef(hips, spines)[0, 1] < 0.75  # 0.5 at one age; both fall with age
    old, young = ([p for p in people if low <= p.age < low + 15] for low in (70, 50))
    broken = [np.mean([bool(p.fractures) for p in group]) for group in (old, young)]
    assert broken[0] > 2 * broken[1] > 0
    assert np.mean([p.sex == "F" for p in people]) == pytest.approx(0.5, abs=0.03)


def test_a_cohort_is_the_same_whatever_its_length() -> None:
    assert list(cohort(5, seed=2)) == list(cohort(9, seed=2))[:5]
    assert list(cohort(5, seed=2)) != list(cohort(5, seed=3))
    with pytest.raises(SettingsError, match="seed"):
        list(cohort(2, seed=2**31))
    for n, women, ages in (
        (0, 0.5, (50.0, 80.0)),
        (5, 1.5, (50.0, 80.0)),
        (5, 0.5, (80.0, 50.0)),
        (5, float("nan"), (50.0, 80.0)),
    ):
        with pytest.raises(SettingsError, match="found"):
            list(cohort(n, women=women, ages=ages))


def test_every_person_of_a_cohort_can_be_drawn() -> None:
    for person in cohort(300, seed=9):
        torso_of(person)
