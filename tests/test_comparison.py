"""What bones of one person say of each other."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from openbct.comparison import compare
from openbct.phantoms import Fracture, as_scan, simulate_torso
from openbct.phantoms.body import BodyShape
from openbct.pipeline import analyze
from openbct.records import BoneMeasures, BoneRegion, BoneResult, Frame, Measure, Step, StrengthResult
from openbct.segmentation import GivenLabels
from openbct.settings import override, parse
from openbct.volume import Volume
from small_scans import QUICK, simulate


@cache
def region(level: str, posterior: float) -> BoneRegion:
    volume = Volume(np.zeros((2, 2, 2)), np.eye(4), "mask")
    return BoneRegion(
        level, "vertebra", None, volume, volume, Frame(np.zeros(3), np.eye(3)), {}, {"posterior_height": posterior}, Step("anatomy", "A body.")
    )  # fmt: skip


def body(level: str, posterior: float, status: str = "ok") -> BoneResult:
    return BoneResult(level, status, None, (), (), region=region(level, posterior))  # type: ignore[arg-type]


def hip(side: str, strength: float) -> BoneResult:
    nothing = np.zeros((1, 1, 1))
    result = StrengthResult(
        f"femur_{side}", strength, 1.0, np.zeros((1, 2)), "", "", {}, nothing, np.zeros((2, 2, 2, 3)), {}, 0.0, Step("strength", "")
    )  # fmt: skip
    return BoneResult(f"femur_{side}", "ok", None, (), (), strength=result)


@pytest.mark.parametrize(
    ("levels", "doubted"),
    [
        ({"L1": 18.0}, []),  # nothing to compare with
        ({"T12": 26.0, "L1": 18.0, "L2": 28.0}, ["L1"]),
        ({"T12": 26.0, "L1": 22.0, "L2": 28.0}, []),  # 18.5 %
        ({"L1": 18.0, "L2": 18.0}, []),
        ({"T12": 26.0, "L2": 18.0}, ["L2"]),  # the level between is missing
        ({"T10": 26.0, "L2": 18.0}, []),  # too far away
        ({"L4": 28.0, "L5": 20.0}, []),
    ],
)
def test_a_crush_shows_beside_the_neighbours(levels: dict[str, float], doubted: list[str]) -> None:
    found = compare([body(level, height) for level, height in levels.items()])
    assert [bone.bone for bone in found if bone.cautions] == doubted
    assert all((bone.status == "caution") == bool(bone.cautions) for bone in found)


def stacked(*levels: str, gap: float = 8.0, between: float = 70.0, tilt_deg: float = 0.0) -> list[BoneResult]:
    """Return bodies of 25 mm, from the head down, with discs of some height and density."""
    turn = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix()
    shape, affine = (20, 20, 60), np.eye(4)
    results = []
    for n, level in enumerate(levels):
        centre = turn @ np.array([0.0, 0.0, -n * (25.0 + gap)])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = turn, centre - turn @ np.array([10.0, 10.0, 30.0])
        density = np.full(shape, between)
        density[:, :, 18:43] = 150.0
        ends = {
            f"{name}_endplate": centre + turn @ np.array([0.0, 0.0, z]) for name, z in (("superior", 12.5), ("inferior", -12.5))
        }
        volume = Volume(density, affine, "mg/cm3 K2HPO4")
        step = Step("anatomy", "A body.")
        bone = BoneRegion(level, "vertebra", None, volume, volume, Frame(centre, turn), ends, {"posterior_height": 25.0}, step)
        results.append(BoneResult(level, "ok", None, (), (), region=bone))
    return results


@pytest.mark.parametrize("tilt", [0.0, 25.0])
@pytest.mark.parametrize(
    ("levels", "gap", "between", "doubted"),
    [
        (("L1", "L2", "L3"), 8.0, 70.0, []),
        (("L1", "L2"), 8.0, 320.0, ["L1", "L2"]),  # bridged
        (("L1", "L2"), 0.5, 70.0, ["L1", "L2"]),  # no disc
        (("L4", "L5"), 0.5, 70.0, ["L4", "L5"]),
        (("L1", "L3"), 8.0, 320.0, []),  # what lies between them is not there
    ],
)
def test_bone_where_a_disc_should_be_is_said_of_both(
    levels: tuple[str, ...], gap: float, between: float, doubted: list[str], tilt: float
) -> None:
    found = compare(stacked(*levels, gap=gap, between=between, tilt_deg=tilt))
    assert [bone.bone for bone in found if bone.cautions] == doubted
    assert all("fused" in caution for bone in found for caution in bone.cautions)


def test_a_level_fused_on_both_sides_says_so_twice_in_one_caution() -> None:
    above, middle, below = compare(stacked("L1", "L2", "L3", between=320.0))
    (caution,) = middle.cautions
    assert "it and L1" in caution and "it and L3" in caution
    assert len(above.cautions) == len(below.cautions) == 1 and middle.status == "caution"


def test_what_is_said_of_a_crush() -> None:
    found = compare([body("T12", 26.0), body("L1", 18.0, "refused"), body("L2", 28.0)])[1]
    assert found.cautions == (
        "L1: its posterior height of 18.0 mm is 33 % below that of T12 and L2 (27.0 mm); a crush fracture is possible, then strength and "
        "density of this level do not stand for the spine.",
    )
    assert found.status == "refused"


@pytest.mark.parametrize(("right", "said"), [(4000.0, False), (3150.0, False), (3000.0, True), (5300.0, True)])
def test_hips_that_differ_more_than_hips_do(right: float, said: bool) -> None:
    found = compare([hip("left", 4000.0), hip("right", right)])
    assert [bool(bone.cautions) for bone in found] == [said, said]
    assert compare([hip("left", 4000.0)])[0].cautions == ()
    if said:
        assert "4,000 N left" in found[0].cautions[0] and found[0].status == "caution"


@pytest.mark.slow
def test_a_crushed_body_of_a_simulated_scan_is_said() -> None:
    settings = simulate().settings
    crushed = replace(settings, body=BodyShape(fractures={"L1": Fracture("crush", 0.30)}), bottom=210.0, top=292.0)
    simulated = simulate_torso(crushed)
    asked = override(parse(QUICK, "quick"), {"vertebra": {"voxel_mm": 3.0}, "run": {"bones": ["L1", "L2"]}}, "test")
    case = analyze(as_scan(simulated), GivenLabels((simulated.bodies,), ("L1", "L2")), settings=asked)
    bones = {bone.bone: bone for bone in case.bones}
    assert any("fracture (grade" in caution for caution in bones["L1"].cautions), bones["L1"]
    assert not any("a crush fracture is possible" in caution for caution in bones["L1"].cautions), "one voice says it"
    assert not any("crush" in caution for caution in bones["L2"].cautions)


def test_a_wedge_is_said_of_levels_that_no_fracture_assessment_has_graded() -> None:
    wedge = body("L1", 26.0)
    assert wedge.region is not None
    lengths = {**wedge.region.lengths, "anterior_height": 20.0, "middle_height": 24.0}
    wedge = replace(wedge, region=replace(wedge.region, lengths=lengths))
    (found,) = compare([wedge])
    assert (
        found.status == "caution"
        and "23 % below the posterior height (20.0, 24.0, 26.0 mm); a fracture is possible" in found.cautions[0]
    )
    assert compare([wedge], graded=["L1"]) == [wedge]
    crushed = [body("T12", 26.0), body("L1", 18.0), body("L2", 28.0)]
    assert compare(crushed, graded=["T12", "L1", "L2"]) == crushed


# Levels that do not stand for the spine ------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "unfit"), [(10.0, False), (10.1, True), (80.0, True)])
def test_cement_makes_a_level_unfit(share: float, unfit: bool) -> None:
    measures = BoneMeasures("L1", {"dense_share": Measure(share, "%", "ellipse")}, {}, Step("measures", ""))
    (found,) = compare([BoneResult("L1", "ok", None, (), (), measures=measures)])
    assert (found.unfit is not None) == unfit


def placed(level: str, volume: Volume, frame: Frame, landmarks: dict[str, np.ndarray]) -> BoneResult:
    region = BoneRegion(level, "vertebra", None, volume, volume, frame, landmarks, {}, Step("anatomy", ""))
    return BoneResult(level, "ok", None, (), (), region=region)


@pytest.mark.parametrize(("density", "unfit"), [(60.0, False), (199.0, False), (201.0, True)])
def test_bone_between_two_levels_makes_both_unfit(density: float, unfit: bool) -> None:
    volume = Volume(np.full((40, 40, 60), density), np.diag([1.0, 1.0, 1.0, 1.0]), "mg/cm3 K2HPO4")
    frame = Frame(np.array([20.0, 20.0, 30.0]), np.eye(3))
    marks = {"L1": {"inferior_endplate": np.array([20.0, 20.0, 34.0])}, "L2": {"superior_endplate": np.array([20.0, 20.0, 26.0])}}
    other = {"L1": {"superior_endplate": np.array([20.0, 20.0, 59.0])}, "L2": {"inferior_endplate": np.array([20.0, 20.0, 1.0])}}
    bones = [placed(level, volume, frame, {**marks[level], **other[level]}) for level in ("L1", "L2")]
    assert [bone.unfit is not None for bone in compare(bones)] == [unfit, unfit]


def test_labels_that_meet_are_a_doubt_and_no_ground_to_leave_a_level_out() -> None:
    volume = Volume(np.full((40, 40, 60), 60.0), np.eye(4), "mg/cm3 K2HPO4")
    frame, middle = Frame(np.array([20.0, 20.0, 30.0]), np.eye(3)), np.array([20.0, 20.0, 30.0])
    ends = {"inferior_endplate": middle, "superior_endplate": middle}
    bones = [placed(level, volume, frame, ends) for level in ("L1", "L2")]
    found = compare(bones)
    assert all("only 0.0 mm apart" in bone.cautions[0] and bone.unfit is None for bone in found)
