"""The pictures of the report: right side up, right size, legible without colour."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import report_cases
from openbct import report
from openbct.records import BoneResult, CalibratedVolume, ReferenceSample, Step
from openbct.report import collapse, drawing, plots, quantities, reference_places, scale_drawing, scales, slices, surface, views
from openbct.report.content import Marker, ScaleBar
from openbct.report.texts import ENGLISH
from openbct.report.wording import Texts, clean, person
from openbct.volume import Volume, to_patient

TEXTS = Texts(ENGLISH)
PRINT_SIZE = True


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def block_image(low: tuple[int, int, int], high: tuple[int, int, int], unit: str = "HU") -> Volume:
    """An empty image of 100 mm with a bright block."""
    array = np.full((50, 50, 50), -1000.0, dtype=np.float32)
    array[tuple(slice(a, b) for a, b in zip(low, high))] = 1500.0
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-50.0, -50.0, 10.0)
    return Volume(array, affine, unit)


def ball(radius: float, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), n: int = 60) -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (n - 1) / 2
    index = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(to_patient(affine, index.astype(float)), axis=1) < radius
    return Volume(inside.reshape(n, n, n), affine, "mask")


def front() -> np.ndarray:
    return surface.look_from(np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0]))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(values, 0, 1)[:, None], 3, axis=1)


# Planes of the scan ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "left_half", "top_half"),
    [
        ((35, 10, 20), (45, 40, 30), False, None),
        ((5, 10, 20), (15, 40, 30), True, None),
        ((20, 20, 38), (30, 30, 48), None, True),
    ],
    ids=["patient's left on the right", "patient's right on the left", "head on top"],
)
def test_coronal_plane_is_seen_from_the_front(low, high, left_half, top_half):
    image = block_image(low, high)
    view = slices._View(image, 1, 0, 2, 25, np.zeros(3, int), np.array(image.shape))
    plane = view.take(image)[::-1]  # as drawn: first row on top
    rows, columns = np.nonzero(plane > 0)
    if left_half is not None:
        assert (columns.mean() < 25) == left_half
    if top_half is not None:
        assert (rows.mean() < 25) == top_half


def test_drawn_axial_plane_has_anterior_on_top_and_right_on_the_left():
    image = block_image((5, 5, 20), (15, 15, 30))  # patient's right and front
    outline = slices.Outline(block_image((20, 20, 20), (30, 30, 30)).with_array(image.array > -2000, "mask"), drawing.CONTOUR)
    picture = pixels(slices.bone_planes(image, [outline]))
    axial = picture[:, : picture.shape[1] // 3 - 10]
    bright = (axial.min(axis=2) > 230) & (axial.max(axis=2) - axial.min(axis=2) < 12)
    rows, columns = np.nonzero(bright)
    assert np.median(columns) < axial.shape[1] / 2 and np.median(rows) < axial.shape[0] / 2


def test_letters_follow_the_affine():
    image = block_image((1, 1, 1), (2, 2, 2))
    assert [slices._letter(image, axis) for axis in range(3)] == ["L", "P", "S"]
    turned = Volume(image.array, image.affine @ np.diag([-1.0, 1.0, -1.0, 1.0]), "HU")
    assert [slices._letter(turned, axis) for axis in range(3)] == ["R", "P", "I"]


def test_sub_box_is_drawn_in_its_place():
    image = block_image((10, 20, 30), (20, 30, 40))
    affine = image.affine.copy()
    affine[:3, 3] = to_patient(image.affine, np.array([10.0, 20.0, 30.0]))
    part = Volume(np.ones((10, 10, 10), dtype=bool), affine, "mask")
    for _, across, right, up in slices.PLANES:
        index = (15, 25, 35)[across]
        view = slices._View(image, across, right, up, index, np.zeros(3, int), np.array(image.shape))
        assert np.array_equal(view.take(part) > 0, view.take(image) > 0)


def test_box_outside_the_view_is_empty():
    image = block_image((10, 20, 30), (20, 30, 40))
    affine = image.affine.copy()
    affine[:3, 3] = to_patient(image.affine, np.array([40.0, 40.0, 40.0]))
    part = Volume(np.ones((5, 5, 5), dtype=bool), affine, "mask")
    view = slices._View(image, 2, 0, 1, 42, np.zeros(3, int), np.array([20, 20, 50]))
    assert not view.take(part).any()


# Three dimensions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 1.3)])
def test_ball_has_the_size_of_the_ball(spacing):
    mask = ball(18.0, spacing)
    camera = surface.Camera(front(), np.zeros(3), 60.0, 60.0)
    layer = surface.Layer(mask.with_array(mask.array.astype(np.float32), "x"), 1.0, grey)
    (image,) = surface.render(surface.prepare(mask), [layer], camera, 150)
    area = float(image[..., 3].sum()) * (60.0 / 150) ** 2
    assert area == pytest.approx(np.pi * 18.0**2, rel=0.02)


def test_rays_meet_the_ball_on_its_surface_and_normals_point_outwards():
    mask = ball(18.0)
    solid = surface.prepare(mask)
    camera = surface.Camera(front(), np.zeros(3), 60.0, 60.0)
    hit, index = surface._cast(solid, camera, 90, 90)
    points = to_patient(solid.affine, index[hit].astype(float))
    radius = np.linalg.norm(points, axis=1)
    assert np.abs(radius - 18.0).max() < 0.6
    assert (points[:, 1] < 1.0).all(), "seen from the front: only the front half is met"
    normal, _ = surface._normals(solid, index[hit])
    assert (normal * points / radius[:, None]).sum(axis=1).min() > 0.97


def test_bundles_find_what_single_rays_find():
    case = report_cases.plain_case()
    mask = case.bones[2].region.mask
    solid = surface.prepare(mask)
    centre = to_patient(mask.affine, np.argwhere(mask.array).mean(axis=0))
    axes = surface.look_from(np.array([0.4, -1.0, 0.3]), np.array([0.0, 0.0, 1.0]))
    camera = surface.Camera(axes, centre, 140.0, 120.0)
    hit, where = surface._cast(solid, camera, 140, 120)
    start, step = surface._rays(solid, camera, 140, 120)
    alone, there = surface._meet(solid, start, step, surface._box(start, step, solid.field.shape))
    assert (hit != alone).mean() < 0.002
    both = hit & alone
    assert np.abs(where[both] - there[both]).max() < 1.0


def test_view_from_the_front_has_the_patients_left_on_the_right():
    axes = front()
    assert np.allclose(axes, np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]).T @ np.eye(3)) or np.allclose(
        axes[:, 0], [1, 0, 0]
    )
    assert np.allclose(axes[:, 0], [1, 0, 0]) and np.allclose(axes[:, 1], [0, 0, 1]) and np.allclose(axes[:, 2], [0, -1, 0])


def test_layer_is_looked_up_under_the_surface_in_patient_space():
    mask = ball(18.0)
    x = to_patient(mask.affine, np.argwhere(np.ones(mask.shape, bool)).astype(float))[:, 0].reshape(mask.shape)
    mirrored = mask.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    mirrored[:3, 3] = mask.affine[:3, 3] * [-1, 1, 1]
    shown = Volume((x < 0).astype(np.float32), mirrored, "x")  # in its mirrored grid: true on the patient's left
    camera = surface.Camera(front(), np.zeros(3), 60.0, 60.0)
    (image,) = surface.render(surface.prepare(mask), [surface.Layer(shown, 2.0, grey)], camera, 80)
    brightness = image[..., 0] * image[..., 3]
    assert brightness[:, 45:].sum() > 20 * brightness[:, :35].sum()


def test_empty_view_is_transparent():
    mask = ball(5.0)
    camera = surface.Camera(front(), np.array([500.0, 0, 0]), 60.0, 60.0)
    (image,) = surface.render(surface.prepare(mask), [surface.Layer(mask, 1.0, grey)], camera, 30)
    assert not image[..., 3].any()


@pytest.mark.parametrize(
    ("colours", "sign"), [(palette, 1 if key == "density" else -1) for key, palette in quantities.PALETTES.items()]
)
def test_colour_scales_read_in_grey(colours, sign):
    rgb = colours(np.linspace(0, 1, 40))[:, :3]
    luminance = rgb @ np.array([0.2126, 0.7152, 0.0722])
    assert (sign * np.diff(luminance) > 0).all()
    assert abs(luminance[-1] - luminance[0]) > 0.5


def test_zones_read_in_grey():
    level = [sum(int(shade[i : i + 2], 16) for i in (1, 3, 5)) / 3 for shade in scale_drawing.SHADES]
    assert np.diff(level).min() > 40


def test_ground_of_a_picture_is_the_white_of_the_paper():
    picture = pixels(views.bone_views(views.subject_of(report_cases.plain_case().bones[0]), TEXTS))
    assert (picture[:4] == 255).all() and (picture[-2:] == 255).all()


def test_bone_without_failure_is_drawn_by_density_alone(monkeypatch):
    monkeypatch.setattr(views, "PIXELS", 50)
    bone = report_cases.plain_case().bones[0]
    whole, half = (views.bone_views(views.subject_of(one), TEXTS) for one in (bone, replace(bone, strength=None)))
    assert pixels(half).shape[0] == pytest.approx(pixels(whole).shape[0] / 2, abs=2)


def test_stress_and_displacement_are_drawn_where_they_are_and_as_large():
    """7 MPa in the upper half and 1 MPa in the lower; a top that sinks by 0.9 mm, as slices are half again as thick as they say."""
    bone = pressed(report_cases.plain_case().bones[0], 0.6)
    mask = bone.specimen.mask
    stress = np.where(mask, 1.0, 0.0)
    stress[:, :, mask.shape[2] // 2 :] *= 7.0
    subject = views.subject_of(replace(bone, strength=replace(bone.strength, stress=stress.astype(np.float16))))
    found = {one.key: one for one in subject.quantities}
    assert list(found) == ["density", "stress", "displacement", "failure"]
    assert (found["stress"].top, found["displacement"].top) == (8.0, 1.0)
    upper, lower = (
        to_patient(bone.specimen.to_patient, np.array([mask.shape[0] / 2, mask.shape[1] / 2, k]))
        for k in (0.75 * mask.shape[2], 0.25 * mask.shape[2])
    )
    points = np.array([[upper, lower]])
    assert (
        set(np.unique(found["stress"].cut.array)) == {0.0, 1.0, 7.0} and found["stress"].order == 0
    )  # the cut shows elements as they are
    assert views.sample(found["stress"].surface.values, points, 1)[0] == pytest.approx([7.0, 1.0], rel=0.02)
    high, low = views.sample(found["displacement"].cut, points, 1)[0]
    assert high > 2 * low > 0.1
    earlier = views.subject_of(bone)  # a case of before stress was kept
    assert [one.key for one in earlier.quantities] == ["density", "displacement", "failure"]


def pressed(bone: BoneResult, by: float) -> BoneResult:
    """The same bone, its top ``by`` millimetres lower at the strength, its foot at rest."""
    moved = np.zeros_like(bone.strength.displacement)
    inside = np.flatnonzero(bone.specimen.mask.any(axis=(0, 1)))
    moved[..., 2] = -by * np.clip((np.arange(moved.shape[2]) - inside[0]) / (inside[-1] + 1 - inside[0]), 0, 1)
    return replace(bone, strength=replace(bone.strength, displacement=moved))


def test_a_bone_in_motion_sinks_by_what_its_caption_says():
    bone = report_cases.plain_case().bones[0]
    assert collapse.collapse(views.subject_of(bone)) is None, "nothing moved"
    bone = pressed(bone, 0.6)
    moving = collapse.collapse(views.subject_of(bone))
    frames = Image.open(io.BytesIO(moving.moving))
    assert frames.n_frames == 2 * collapse.STATES - 2 and frames.info["loop"] == 0
    heights = []
    for state in (0, collapse.STATES - 1):
        frames.seek(state)
        cut = np.asarray(frames.convert("L")).astype(int)[:, frames.width // 2 + 4 :]
        middle = cut[:, cut.shape[1] // 2 - 3 : cut.shape[1] // 2 + 3].mean(axis=1)
        heights.append(np.ptp(np.flatnonzero(middle < 250)) + 1)
    bone_height = 2.0 * np.ptp(np.flatnonzero(bone.specimen.mask.any(axis=(0, 1)))) + 2.0
    assert heights[0] - heights[1] == pytest.approx(moving.magnified * 0.6 / bone_height * heights[0], rel=0.1)
    still = Image.open(io.BytesIO(moving.still))
    assert getattr(still, "n_frames", 1) == 1 and still.size == frames.size


def test_print_leaves_motion_out(monkeypatch):
    for name, value in (("collapse.TALL", 60), ("views.PIXELS", 60), ("drawing.DPI", 60)):
        monkeypatch.setattr(f"openbct.report.{name}", value)
    case = report_cases.plain_case()
    made = report.make_report(replace(case, bones=(pressed(case.bones[0], 0.6),)), made_on=date(2026, 1, 2))
    page = report.to_html(made)
    assert page.count("data:image/webp") == 2 and "prefers-reduced-motion" in page
    printed = page[page.index("@media print{") :]
    assert ".motion{display:none}" in printed[: printed.index("}\n}")] and 'class="motion"' in page
    assert report.to_pdf(made).startswith(b"%PDF")
    later = report.make_report(case, made_on=date(2026, 1, 3), drawn=made)
    assert later.sections is made.sections and later.made_on == "2026-01-03" and "2026-01-03" in later.subtitle


def test_failed_share_is_the_one_that_the_test_counted():
    bone = report_cases.plain_case().bones[0]
    counted = replace(bone.strength, quantities={"failed_fraction": 0.37})
    assert quantities.failed_share(replace(bone, strength=counted)) == 0.37
    assert quantities.failed_share(replace(bone, strength=replace(bone.strength, quantities={}))) is None
    assert quantities.failed_share(replace(bone, strength=None)) is None


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 5.0)], ids=["cubes", "thick slices"])
@pytest.mark.parametrize("direction", [(0.55, -1.0, 0.42), (-0.55, 1.0, 0.42), (0.0, -1.0, 0.08)])
def test_whole_bone_is_in_the_picture_with_a_margin(spacing, direction):
    """A bone of few thick slices, one voxel standing out alone: nothing may meet the border of the picture."""
    solid = np.zeros((40, 30, 9 if spacing[2] > 2 else 30), dtype=bool)
    solid[8:32, 6:24, 2:-2] = True
    solid[33:36, 25:27, -2:] = True  # a corner that a sparse sample of the voxels would miss
    mask = Volume(solid, np.diag([*spacing, 1.0]), "mask")
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1.0]])
    region = replace(report_cases.plain_case().bones[0].region, mask=mask)
    region = replace(region, frame=replace(region.frame, axes=turn))
    camera = views.camera_of(region, mask, direction, 1.3)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in (1, 1, 1)], indexing="ij")).reshape(3, -1).T
    voxels = (np.argwhere(solid)[:, None] + corners).reshape(-1, 3).astype(float)
    seen = (to_patient(mask.affine, voxels) - camera.centre) @ camera.axes
    assert (np.abs(seen[:, 0]) < 0.99 * camera.width / 2).all() and (np.abs(seen[:, 1]) < 0.99 * camera.height / 2).all()
    layer = surface.Layer(mask.with_array(solid.astype(np.float32), "x"), 1.0, grey)
    (image,) = surface.render(surface.prepare(mask), [layer], camera, 90)
    border = (image[0, :, 3], image[-1, :, 3], image[:, 0, 3], image[:, -1, 3])
    assert image[..., 3].sum() > 500 and not any(edge.any() for edge in border)


def test_small_axes_are_those_of_the_bone():
    """A bone whose front was exchanged: the picture is titled by the bone's frame, and so are its letters."""
    region = report_cases.plain_case().bones[0].region
    turned = np.diag([-1.0, -1.0, 1.0])
    region = replace(region, frame=replace(region.frame, axes=turned))
    camera = views.camera_of(region, region.mask, (0.0, -1.0, 0.08), 1.3)
    arrows = views.triad(region.frame.axes, camera)
    assert set(arrows) == {"L", "S"}, "front points at the viewer"
    assert arrows["L"][0] == pytest.approx(1.0) and arrows["S"][1] > 0.9


def test_average_layer_is_below_the_largest_value():
    mask = ball(18.0)
    camera = surface.Camera(front(), np.zeros(3), 60.0, 60.0)
    layer = surface.Layer(mask.with_array(np.broadcast_to(np.linspace(0, 1, 60), mask.shape).astype(np.float32), "x"), 3.0, grey)
    largest, mean = (
        surface.render(surface.prepare(mask), [replace(layer, average=on)], camera, 60)[0][..., 0] for on in (False, True)
    )
    assert (mean <= largest + 1e-6).all() and mean.sum() < largest.sum()


def test_pictures_are_crisp_enough_for_print():
    image = block_image((10, 10, 10), (40, 40, 40))
    png = slices.bone_planes(image, [slices.Outline(image.with_array(image.array > 0, "mask"), drawing.CONTOUR)])
    assert Image.open(io.BytesIO(png)).size[0] / (drawing.PAGE_WIDTH / 25.4) >= 200


# Curves ------------------------------------------------------------------------------------------------------------


def test_strength_point_stands_where_the_test_read_it():
    strength = report_cases.plain_case().bones[0].strength
    assert plots._travel_at_strength(strength) == 0.424
    assert plots._travel_at_strength(replace(strength, quantities={})) is None


def test_curve_and_calibration_are_vector_pictures_without_dates():
    case = report_cases.plain_case()
    for picture in (plots.force_curve(case.bones[0].strength, TEXTS), plots.calibration_plot(case.calibration, TEXTS)):
        assert picture.startswith(b"<?xml") and b"<path" in picture and b"<dc:date>" not in picture


def test_references_are_recognised_as_density_or_attenuation():
    calibration = report_cases.plain_case().calibration
    assert plots.aims_at_density(calibration)
    # The same numbers under the other unit: nothing but the unit decides, however near to HU a density line lies.
    hu = tuple(replace(sample, unit="HU") for sample in calibration.samples)
    assert not plots.aims_at_density(replace(calibration, samples=hu))
    near = tuple(replace(sample, expected=sample.mean + 3.0) for sample in calibration.samples)
    assert plots.aims_at_density(replace(calibration, samples=near))


# Scales ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(10, 60)), min_size=1, max_size=8))
def test_labels_never_overlap_nor_leave_the_drawing(items):
    items = sorted(items)
    widths = [width for _, width in items]
    if sum(widths) > scale_drawing.WIDTH:
        return
    middles = scale_drawing._spread([wish for wish, _ in items], widths)
    edges = [(middle - width / 2, middle + width / 2) for middle, width in zip(middles, widths)]
    assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(edges))
    assert edges[0][0] >= -1e-6 and edges[-1][1] <= scale_drawing.WIDTH + 1e-6


def bar(*values: float, classified: bool = True) -> ScaleBar:
    markers = tuple(Marker(f"L{n}", value, f"{value:.0f}") for n, value in enumerate(values))
    zones = ("osteoporosis", "low", "normal")
    return ScaleBar("Density", "90", "low", "mg/cm³", 0.0, 240.0, (80.0, 120.0), ("80", "120"), zones, markers, classified)


def test_values_off_the_scale_stand_at_its_ends_with_an_arrow():
    drawn = scale_drawing.draw_scale(bar(-20.0, 900.0))
    assert "◂ L0 -20" in drawn and "▸ L1 900" in drawn


def test_many_values_get_more_rows():
    one, many = (scale_drawing.draw_scale(bar(*values)) for values in ((90.0,), tuple(80.0 + n for n in range(12))))
    height = [float(text.split('height="')[1].split('"')[0]) for text in (one, many)]
    assert height[1] > height[0]
    assert len({marker[1] for marker in scale_drawing._places(bar(*(80.0 + n for n in range(12))))}) >= 2


def test_labels_on_a_scale_are_escaped():
    marker = Marker("<b>&", 90.0, "90")
    assert "&lt;b&gt;&amp; 90" in scale_drawing.draw_scale(replace(bar(90.0), markers=(marker,)))


def test_scales_show_strength_without_a_class_and_the_mean_with_its_levels():
    bars = {item.title: item for item in scales.scale_bars(report_cases.plain_case(), TEXTS)}
    spine = bars["Trabecular density, spine"]
    assert spine.classified and spine.thresholds == (80.0, 120.0)
    assert [(marker.label, marker.main) for marker in spine.markers] == [("mean", True), ("L1", False), ("L2", False)]
    assert spine.markers[0].uncertainty == pytest.approx(6.2)
    strength = bars["Vertebral strength"]
    assert not strength.classified and strength.thresholds == (4500.0, 6000.0) and "not classified" in strength.verdict
    assert bars["T-score, hip"].headline == "T −2.0 (lowest: left neck)"
    load = bars["Load-to-strength, sideways fall"]
    assert load.markers[0].value == 0.73 and not load.classified


def test_higher_of_two_hips_leads_load_to_strength():
    case = report_cases.plain_case()
    both = replace(case, assessment=replace(case.assessment, load_to_strength={"femur_left": 0.7, "femur_right": 1.31}))
    load = scales.scale_bars(both, TEXTS)[-1]
    assert load.headline == "1.31 (highest: right)"


# Words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2874.0, "N", "2870"), (12345.0, "N/mm", "12\u202f340"), (93.6, "mg/cm3 K2HPO4", "94"), (0.62349, "g/cm2", "0.623"),
        (-1.96, "T", "−2.0"), (-0.04, "T", "0.0"), (float("nan"), "N", "–"), (float("inf"), "T", "–"), (0.0, "odd", "0.00"),
        (26.41, "cm3", "26.4"), (123.456, "odd", "123"),
    ],
)  # fmt: skip
def test_values_carry_the_digits_that_their_unit_deserves(value, unit, text):
    assert TEXTS.quantity(value, unit) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Doe^Jane^^Dr", "Doe, Jane, Dr"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou (山田, 太郎)"),
        ("^^", ""),
        ("Plain", "Plain"),
        ("=山田", "山田"),
    ],
)
def test_dicom_names_are_written_as_people_write_them(raw, shown):
    assert person(raw) == shown


def test_foreign_text_cannot_turn_the_line_around():
    assert clean("a\u202eb\x00c\nd\u2067e") == "ab c de"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_clipped_mean_is_the_mean_of_the_clipped_image(axis, kind, order):
    image = np.asarray(np.random.default_rng(5).normal(300.0, 900.0, (9, 17, 12)), dtype=kind, order=order)
    expected = np.clip(image.astype(float), -300.0, 1500.0).mean(axis=axis)
    assert np.allclose(slices.clipped_mean(image, axis, -300.0, 1500.0), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_clipped_mean_needs_little_memory(axis):
    image = np.zeros((200, 200, 100), dtype=np.int16)
    tracemalloc.start()
    slices.clipped_mean(image, axis, -300.0, 1500.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / image.size < 0.6, "bytes per voxel"


# Where references of a calibration were sampled ---------------------------------------------------------------------


def _sampled(where: Volume | None, name: str = "rod A") -> ReferenceSample:
    return ReferenceSample(name, 100.0, 5.0, 10, 100.0, 0.0, "mg/cm3 CHA", where)


def _box(low: tuple[int, int, int], high: tuple[int, int, int], image: Volume) -> Volume:
    affine = image.affine.copy()
    affine[:3, 3] = to_patient(image.affine, np.array(low, dtype=float))
    return Volume(np.ones(tuple(b - a for a, b in zip(low, high)), dtype=bool), affine, "mask")


def test_the_fullest_plane_shows_most_references():
    image = block_image((0, 0, 0), (1, 1, 1))
    rods = [
        _box((5, 40, 10), (10, 45, 30), image),
        _box((20, 40, 20), (25, 45, 40), image),
        _box((35, 40, 20), (40, 45, 25), image),
    ]
    assert 20 <= reference_places.fullest_plane(image, rods, 2) < 25
    assert 40 <= reference_places.fullest_plane(image, rods, 1) < 45


def test_sampled_regions_are_drawn_where_they_are():
    """A region at the patient's right and posterior: coloured in the axial panel's left lower part, and nowhere in its upper half."""
    image = block_image((0, 0, 0), (1, 1, 1))
    drawn = reference_places.reference_places(image, [_sampled(_box((5, 40, 10), (12, 46, 40), image), "")])
    assert drawn is not None
    picture = pixels(drawn)
    axial = picture[:, : picture.shape[1] // 2 - 20]
    coloured = np.ptp(axial, axis=2) > 60
    rows, columns = np.nonzero(coloured)
    assert len(rows) > 50
    assert rows.min() > 0.6 * axial.shape[0] and columns.max() < 0.5 * axial.shape[1]


def test_without_places_there_is_no_picture():
    image = block_image((0, 0, 0), (1, 1, 1))
    assert reference_places.reference_places(image, [_sampled(None)]) is None
    assert reference_places.reference_places(image, []) is None


def test_rods_of_salt_in_water_are_plotted_on_their_line():
    """A rod with more water than its place reads high; after the correction its mark lies on the line, as its residual says."""
    density = Volume(np.zeros((1, 1, 1)), np.eye(4), "mg/cm3 K2HPO4")
    step = Step("calibration", "made for a test")
    rods = (
        ReferenceSample("rod A", 250.0, 1.0, 9, 100.0, 0.0, "mg/cm3 K2HPO4"),
        ReferenceSample("rod B", 0.0, 1.0, 9, 0.0, 2.0, "mg/cm3 K2HPO4"),
    )
    salted = CalibratedVolume(density, "K2HPO4", "phantom", 0.5, 0.0, np.eye(2), rods, step)
    at, moved = plots.as_fitted(salted)
    assert moved and at.tolist() == [200.0, 4.0]
    plain = replace(salted, samples=(replace(rods[0], mean=200.0), replace(rods[1], mean=4.0)))
    assert not plots.as_fitted(plain)[1]


def test_names_of_references_stay_clear_of_the_letters_and_of_each_other():
    canvas = drawing.new_figure(1.0, 60.0)
    axes = drawing.place(canvas, 0.0, 0.0, 80.0, 60.0)
    axes.set_xlim(0, 400)
    axes.set_ylim(0, 300)
    for u, v in ((200, 280), (205, 279), (6, 150), (300, 280)):
        axes.text(u, v, "fat")
    reference_places._apart(axes, 80.0)
    above, other, left, free = ([float(c) for c in text.get_position()] for text in axes.texts)
    line = reference_places.LINE * 5
    assert above[1] <= 300 - reference_places.LETTERED * 5 - line and above[1] - other[1] >= line - 1e-6
    assert left[1] < 150 - line and free == [300, 280]


def test_all_planes_of_a_bone_have_one_scale_that_shows_the_whole_of_it(monkeypatch):
    shown = []
    monkeypatch.setattr(slices, "_ruler", lambda axes: shown.append((*axes.get_xlim(), *axes.get_ylim())))
    image = block_image((10, 10, 10), (20, 20, 40))
    slices.bone_planes(image, [slices.Outline(image.with_array(image.array > 0, "mask"), drawing.CONTOUR)])
    sizes = np.array([(right - left, top - bottom) for left, right, bottom, top in shown])
    assert len(shown) == 3 and np.ptp(sizes, axis=0).max() < 1e-6
    assert sizes[0, 1] >= 30 * image.spacing[2], "the tallest plane decides"
