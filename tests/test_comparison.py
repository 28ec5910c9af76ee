"""What bones of one person say of each other."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from openbct.comparison import compare
from openbct.phantoms import Fracture, as_scan, simulate_torso
from openbct.phantoms.body import BodyShape
from openbct.pipeline import analyze
from openbct.records import BoneRegion, BoneResult, Frame, Step, StrengthResult
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
    assert any("a crush fracture is possible" in caution for caution in bones["L1"].cautions), bones["L1"]
    assert not any("crush" in caution for caution in bones["L2"].cautions)
