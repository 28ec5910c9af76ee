"""Vertebral fractures: heights against what they were, Genant's grades and shapes, and what only looks like a fracture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from openbct.anatomy.endplate_hollows import hollows
from openbct.anatomy.endplates import Columns
from openbct.errors import SettingsError
from openbct.fracture_search import doubts_beside, with_fracture
from openbct.fractures import LIMITS, assess_fractures
from openbct.fractures.expected import PLACES
from openbct.fractures.facing import _turned
from openbct.fractures.grading import chances_of, grade_of, shape_of
from openbct.fractures.proportions import LEVELS, proportions
from openbct.io.fracture_tables import fracture_columns, fracture_rows, fractures_to_table
from openbct.records import BoneRegion, BoneResult, FractureAssessment, Frame, Step, VertebraGrade
from openbct.settings import built_in, parse
from openbct.volume import Volume

SPINE = LEVELS[3:]
LOSSES = {"wedge": (1.0, 0.5, 0.0), "biconcave": (0.0, 1.0, 0.0), "crush": (1.0, 1.0, 1.0)}
"""Share of a fracture's loss in front, in the middle, at the back."""


def body(
    level: str,
    lost: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    size: float = 1.2,
    spacing: float = 1.0,
    lean_deg: float = 0.0,
) -> BoneRegion:
    """Return a body with a person's heights less what is lost; the person's endplates are hollower than the table's."""
    table = proportions(level, "F")
    sound = (table.posterior * table.anterior_ratio, 0.95 * table.posterior * table.middle_ratio, table.posterior)
    heights = [size * height * (1 - share) for height, share in zip(sound, lost, strict=True)]
    points = {
        f"{end}_{place}": np.array([0.0, 10.0 * (number - 1), sign * height / 2])
        for number, (place, height) in enumerate(zip(PLACES, heights, strict=True))
        for end, sign in (("superior", 1), ("inferior", -1))
    }
    lengths = {f"{place}_height": height for place, height in zip(PLACES, heights, strict=True)} | {"depth": size * table.depth}
    mask = Volume(np.ones((2, 2, 2), dtype=bool), np.diag([1.0, 1.0, spacing, 1.0]), "mask")
    lean = np.radians(lean_deg)
    axes = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    return BoneRegion(level, "vertebra", None, mask, mask, Frame(np.zeros(3), axes), points, lengths, Step("anatomy", "drawn"))


def spine(broken: Mapping[str, tuple[str, float]], levels: tuple[str, ...] = SPINE, **options: float) -> dict[str, BoneRegion]:
    """Return a spine with fractures by level; heights differ by some per cent from level to level as they do in people."""
    random = np.random.default_rng(3)
    regions = {}
    for level in levels:
        kind, loss = broken.get(level, ("crush", 0.0))
        lost = tuple(1 - (1 - share * loss) * (1 + random.normal(0, 0.015)) for share in LOSSES[kind])
        regions[level] = body(level, lost, **options)  # type: ignore[arg-type]
    return regions


def assess(regions: Mapping[str, BoneRegion]) -> FractureAssessment:
    return assess_fractures(regions, ungraded={}, confidence={}, sex="F")


def grades(regions: Mapping[str, BoneRegion]) -> dict[str, VertebraGrade]:
    return {one.level: one for one in assess(regions).vertebrae}


def test_sound_spines_have_no_fracture() -> None:
    for size in (0.85, 1.0, 1.25):
        found = assess(spine({}, size=size))
        assert [one.level for one in found.vertebrae] == list(SPINE)
        assert all(one.grade == 0 and one.shape is None and not one.cautions for one in found.vertebrae)
        assert found.index == 0 and not found.left_out and not found.step.cautions
        assert max(one.loss for one in found.vertebrae) < 0.12


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("loss", "grade"), [(0.15, 0), (0.225, 1), (0.30, 2), (0.36, 2), (0.45, 3), (0.50, 3)])
def test_grade_and_shape(kind: str, loss: float, grade: int) -> None:
    for level in ("T8", "T12", "L2", "L4"):
        found = grades(spine({level: (kind, loss)}))
        assert found[level].loss == pytest.approx(loss, abs=0.045)
        if abs(found[level].loss - loss) < 0.025:
            assert found[level].grade == grade
        assert found[level].shape == (kind if found[level].grade else None)
        assert all(one.grade == 0 for other, one in found.items() if other != level)


@pytest.mark.parametrize("kind", LOSSES)
def test_fractures_in_a_row_do_not_hide_each_other(kind: str) -> None:
    broken = dict.fromkeys(("T11", "T12", "L1", "L2"), (kind, 0.33))
    found = grades(spine(broken))
    assert {level: one.grade for level, one in found.items() if one.grade} == dict.fromkeys(broken, 2)
    assert {one.shape for level, one in found.items() if level in broken} == {kind}
    # as few sound ones as the scan of an abdomen may hold
    few = grades(spine(dict.fromkeys(("T12", "L1", "L2"), (kind, 0.33)), ("T12", "L1", "L2", "L3", "L4")))
    assert [one.grade for one in few.values()] == [2, 2, 2, 0, 0]


def test_a_crush_of_all_alike_is_not_seen_and_one_alone_is_said() -> None:
    every = grades(spine(dict.fromkeys(SPINE, ("crush", 0.3)), size=1.0))
    assert all(one.grade == 0 for one in every.values())
    alone = assess({"L1": body("L1", (0.3, 0.3, 0.3))})
    assert alone.vertebrae[0].grade == 0 and "only vertebra" in alone.step.cautions[0]
    assert grades({"L1": body("L1", (0.35, 0.17, 0.0))})["L1"].grade == 2


def test_one_label_that_is_too_high_breaks_nobody() -> None:
    regions = spine({}, ("T12", "L1", "L2", "L3", "L4"))
    regions["L2"] = body("L2", (-0.35, -0.35, -0.35))
    assert all(one.grade == 0 for one in grades(regions).values())


def test_neighbours_are_named_and_a_fractured_one_is_none() -> None:
    found = grades(spine({"L1": ("crush", 0.4), "T12": ("crush", 0.3)}))
    assert "compared with L2 and T11" in found["L1"].cautions[0] or "compared with L2 and L3" in found["L1"].cautions[0]
    assert found["L1"].ratios["posterior_below"] == pytest.approx(
        found["L1"].heights["posterior"] / found["L2"].heights["posterior"]
    )


def test_what_is_said_of_each_grade() -> None:
    found = assess(spine({"T9": ("wedge", 0.225), "L1": ("wedge", 0.32), "L3": ("biconcave", 0.47)}))
    one, two, three = (next(v for v in found.vertebrae if v.level == level) for level in ("T9", "L1", "L3"))
    assert (one.grade, two.grade, three.grade) == (1, 2, 3)
    assert "must be confirmed" in one.cautions[0] and "moderate" in two.cautions[0] and "severe" in three.cautions[0]
    assert list(found.left_out) == ["L1", "L3"] and "grade 2" in found.left_out["L1"]
    assert found.index == pytest.approx(6 / len(SPINE))
    assert "T9 grade 1 (wedge)" in found.step.sentence and "Left out" in found.step.sentence
    none = assess_fractures(spine({"L1": ("wedge", 0.32)}), ungraded={}, confidence={}, left_out_from=4)
    assert not none.left_out and "may not stand" in none.step.cautions[0]


def test_limits_of_a_protocol() -> None:
    regions = spine({"L1": ("wedge", 0.30)})
    found = assess_fractures(regions, ungraded={}, confidence={}, limits=(0.1, 0.4, 0.6))
    assert next(one for one in found.vertebrae if one.level == "L1").grade == 1
    assert built_in().fractures.keywords == {"limits": LIMITS, "left_out_from": 2}
    assert parse("[fractures]\nassess = false", "mine").fractures.keywords is None
    for text in ("mild_loss = 0.3", "severe_loss = 0.2", "left_out_from = 5", "left_out_from = 1.5", "grade = 1"):
        with pytest.raises(SettingsError, match="found"):
            parse(f"[fractures]\n{text}", "mine")


@pytest.mark.parametrize(
    ("loss", "grade"), [(0.0, 0), (0.199, 0), (0.20, 1), (0.249, 1), (0.25, 2), (0.399, 2), (0.40, 3), (0.9, 3)]
)
def test_limits_of_genant(loss: float, grade: int) -> None:
    assert grade_of(loss) == grade


@pytest.mark.parametrize(
    ("losses", "shape"),
    [
        ((0.3, 0.15, 0.0), "wedge"),
        ((0.0, 0.3, 0.0), "biconcave"),
        ((0.3, 0.3, 0.3), "crush"),
        ((0.5, 0.3, 0.2), "wedge"),
        ((0.3, 0.28, 0.2), "crush"),
    ],
)
def test_shapes(losses: tuple[float, ...], shape: str) -> None:
    assert shape_of(dict(zip(PLACES, losses, strict=True))) == shape


def test_chances() -> None:
    chances = chances_of(0.30, 0.05)
    assert sum(chances) == pytest.approx(1.0) and int(np.argmax(chances)) == 2
    assert chances_of(0.25, 1e-6)[1:3] == pytest.approx((0.5, 0.5))
    thin, thick = (grades(spine({"L1": ("wedge", 0.32)}, spacing=size))["L1"] for size in (1.0, 5.0))
    assert thick.loss_sd > thin.loss_sd and thick.chances[2] < thin.chances[2]
    assert any("5.0 mm along the spine" in text for text in thick.cautions) and len(thin.cautions) == 1
    coarse = assess(spine({}, spacing=5.0))
    assert "may be fractured" in coarse.step.cautions[0] and not assess(spine({}, spacing=3.0)).step.cautions
    # lower levels are higher than five slices, the upper ones are not: these are not graded, whatever they have lost
    assert {"T7", "T8"} <= set(coarse.ungraded) and "use a thinner reconstruction" in coarse.ungraded["T8"]
    assert not coarse.vertebrae[-1].level.startswith("T") and "L1" in assess(spine({"L1": ("crush", 0.5)}, spacing=5.0)).left_out


def test_a_fractured_body_is_held_against_rims_that_have_sunk_too() -> None:
    """Rims that are lower than the other vertebrae's by 5 % are believed in a sound body and half believed in a broken one."""
    for middle, expected in ((0.0, 0.95), (0.35, 0.975)):
        found = grades({**spine({}), "L2": body("L2", (0.05, 1 - 0.95 * (1 - middle), 0.05))})["L2"]
        sound = grades(spine({}))["L2"]
        assert found.expected["posterior"] / sound.expected["posterior"] == pytest.approx(expected, abs=0.015)


def test_doubts() -> None:
    wedged = spine(dict.fromkeys(("T8", "T9", "T10"), ("wedge", 0.22)))
    found = grades(wedged)
    assert found["T9"].grade == 1 and any("Scheuermann" in text for text in found["T9"].cautions)
    bent = spine({})
    bent = {
        level: replace(region, frame=body(level, lean_deg=2.0 * n - 10.0).frame) for n, (level, region) in enumerate(bent.items())
    }
    assert any("bends sideways by 20°" in text for text in assess(bent).step.cautions)
    node = spine({"L2": ("biconcave", 0.3)})
    node["L2"] = replace(node["L2"], lengths={**node["L2"].lengths, "superior_hollow": 3.4})
    assert any("hollow of 3.4 mm" in text for text in grades(node)["L2"].cautions)
    short = grades(spine({"L2": ("crush", 0.22)}))["L2"]
    assert short.grade == 1 and any("short by nature" in text for text in short.cautions)


def test_what_is_not_graded() -> None:
    regions = {**spine({}), "T1": body("T4")}
    found = assess_fractures(regions, ungraded={"T3": "T3 is cut"}, confidence={"L1": 0.02, "L2": 0.3})
    assert set(found.ungraded) == {"T3", "T1", "L1"} and "confidence of 0.02" in found.ungraded["L1"]
    assert any("confidence of 0.30" in text for text in next(one for one in found.vertebrae if one.level == "L2").cautions)
    half = {**spine({}), "T12": body("T12", (0.6, 0.6, 0.6))}
    half["T12"] = replace(half["T12"], lengths={**half["T12"].lengths, "end_density_ratio": 0.53})
    assert "does not end at an endplate" in assess(half).ungraded["T12"]
    nobody = assess_fractures({}, ungraded={"L1": "cut"}, confidence={})
    assert nobody.index is None and not nobody.vertebrae and "No vertebral body" in nobody.step.sentence


def test_a_fracture_stands_with_its_bone_and_in_the_tables() -> None:
    found = assess(spine({"L1": ("wedge", 0.32), "T8": ("wedge", 0.45)}))
    bones = [with_fracture(BoneResult(level, "ok", None, (), ()), found) for level in ("L1", "L2")]
    assert bones[0].unfit == found.left_out["L1"] and bones[0].status == "caution" and bones[0].cautions
    assert bones[1] == BoneResult("L2", "ok", None, (), ())
    assert all(text.startswith("T8") for text in doubts_beside(found, bones)) and doubts_beside(found, bones)
    table = fractures_to_table(found)
    assert table is not None and fractures_to_table(None) is None
    rows = fracture_rows(replace(found, ungraded={"T3": "cut"}))
    assert len({tuple(row) for row in rows}) == 1 and rows[-1]["not_graded_because"] == "cut"
    assert (
        fracture_columns(found, "L1")["fracture_grade"] == 2 and fracture_columns(found, "femur_left")["fracture_grade"] is None
    )


def test_a_body_that_faces_the_other_way_than_most_is_turned() -> None:
    regions = spine({"L1": ("wedge", 0.5)})
    turned = _turned(regions["L1"])
    assert turned.lengths["posterior_height"] == regions["L1"].lengths["anterior_height"]
    one = grades({**regions, "L1": turned})["L1"]
    assert one.shape == "wedge" and one.grade == 3 and one == grades(regions)["L1"]


def test_hollows_are_spots_and_neither_grooves_nor_slopes() -> None:
    x = y = np.arange(-22.0, 23.0)
    gx, gy = np.meshgrid(x, y, indexing="ij")
    inside = (gx / 22) ** 2 + (gy / 16) ** 2 <= 1
    bowl, spot = 0.004 * (gx**2 + gy**2), np.exp(-((gx - 4) ** 2 + gy**2) / 18)

    def deepest(upper: np.ndarray) -> float:
        columns = Columns(x, y, np.where(inside, 0.0, np.nan), np.where(inside, upper, np.nan))
        found = hollows(columns)
        assert found["inferior_hollow"] == 0.0
        return found["superior_hollow"]

    assert deepest(20 + bowl - 5 * spot) > 2.5
    for sound in (20 + bowl, 20 + 0.5 * gy, 12 + 0.6 * np.abs(gy), 20 - 0.4 * np.minimum(gy, 0)):
        assert deepest(sound) < 0.7
