"""The pages of the single bones, the overview of the scan, and the calibration."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from ..records import BoneResult, Case, StrengthResult
from ..volume import Volume, to_index
from . import drawing, plots, quantities, slices, views
from .collapse import Motion, collapse
from .content import Animation, Block, Fact, Facts, Figure, Notice, Pair, Paragraph, Section, Table
from .hip_table import hip_regions
from .landmarks import can_draw
from .projection import projection
from .reference_places import reference_places
from .summary import bone_title
from .wording import Texts, clean

AHEAD = 2
"""Bones that are drawn before their page is made [design]."""
MOTION_WIDTH = 0.66
"""Part of the line that a bone in motion takes."""
HIP_SHARE = 0.66
"""Part of the line that curve, projection and regions of a hip take beside the facts of its test."""


def overview_figure(case: Case, texts: Texts, share: float = 1.0, height: float = 92.0) -> Figure | None:
    """Return the scan from the front and from the side with the bones outlined; ``None`` where no bone was found."""
    image = case.scan.image
    found = {
        name: mask.mask for name, mask in case.segmentation.bones.items() if _on_grid(mask.mask, image) and mask.mask.array.any()
    }
    if not found:
        return None
    outlines = [slices.Outline(mask, drawing.CONTOUR, texts.short_bone(name)) for name, mask in found.items()]
    names = ", ".join(texts.bone(name) for name in found)
    data = slices.overview(image, outlines, share, height)
    return Figure(data, "image/png", texts("overview.caption"), texts("overview.alt", bones=names))


@dataclass(frozen=True)
class Pictures:
    """What takes the time of a bone's pages, made beside the other pages."""

    subject: views.Subject
    moving: Motion | None


def bone_pictures(bone: BoneResult) -> Pictures | None:
    """Return a bone looked at and in motion; ``None`` where none was found. Without matplotlib, so that it may run in a thread."""
    if bone.region is None or not bone.region.mask.array.any():
        return None
    subject = views.subject_of(bone)
    return Pictures(subject, collapse(subject) if len(subject.quantities) > 1 else None)


def drawn_ahead(bones: Sequence[BoneResult], beside: Executor) -> Iterator[Pictures | None]:
    """Begin with the first bones at once, and yield the pictures of each in its turn; of no more than a few the memory is held."""
    waiting = deque(beside.submit(bone_pictures, bone) for bone in bones[:AHEAD])

    def each() -> Iterator[Pictures | None]:
        for number in range(len(bones)):
            pictures = waiting.popleft().result()
            if number + AHEAD < len(bones):
                waiting.append(beside.submit(bone_pictures, bones[number + AHEAD]))
            yield pictures

    return each()


def bone_section(bone: BoneResult, case: Case, texts: Texts, drawn: Pictures | None) -> Section:
    """Return everything about one bone that fits its page."""
    blocks: list[Block] = []
    if bone.status == "refused":
        blocks.append(
            Notice(
                "refused",
                texts("bone.refused", bone=texts.bone(bone.bone)),
                (texts.sentence(bone.reason or texts("unknown"), bone.bone),),
            )
        )
        if bone.measures is not None or bone.strength is not None:
            blocks.append(Paragraph(texts("bone.reached"), "note"))
    planes = _planes(bone, case, texts)
    blocks += [planes] if planes else []
    if drawn is not None:
        blocks.append(_views(bone, drawn.subject, texts))
        blocks += [_animation(bone, drawn.moving, texts)] if drawn.moving is not None else []
    blocks += _test(bone, texts)
    title = texts("section.bone", bone=bone_title(bone, texts))
    full = bone.region is not None
    return Section(f"bone-{_anchor(bone.bone)}", title, tuple(blocks), new_page=full, together=not full)


def has_pictures(bone: BoneResult, case: Case) -> bool:
    """Tell whether there is anything to show of a bone beyond its row in the tables."""
    return bone.region is not None or bone.bone in case.segmentation.bones


def _planes(bone: BoneResult, case: Case, texts: Texts) -> Figure | None:
    image = case.scan.image
    mask = bone.region.mask if bone.region is not None else None
    if mask is None and bone.bone in case.segmentation.bones:
        mask = case.segmentation.bones[bone.bone].mask
    if mask is None or not mask.array.any() or not _on_grid(mask, image):
        return None
    outlines = [slices.Outline(mask, drawing.CONTOUR)]
    regions = bone.measures.regions if bone.measures is not None else {}
    measured = [regions[name] for name in ("trabecular", "volume_femoral_neck") if name in regions and regions[name].array.any()]
    measured = [region for region in measured if _on_grid(region, image)]
    outlines += [slices.Outline(region, drawing.REGION) for region in measured]
    doubtful = any("header's orientation" in caution or "image is mirrored" in caution for caution in bone.cautions)
    caption = texts(
        "bone.planes",
        bone=texts.bone(bone.bone),
        what=texts("bone.planes_given" if bone.region is None else "bone.planes_analysed"),
        header=texts("bone.planes_header") if doubtful else "",
        region=texts("bone.planes_region") if measured else "",
        window=_window(image, texts),
    )
    found = case.segmentation.bones.get(bone.bone)
    if found is not None:
        caption += " " + texts("bone.planes_confidence", value=texts.number(found.confidence, 2))
    own = bone.region if bone.region is not None and can_draw(bone.region) else None
    caption += " " + texts(f"bone.landmarks_{own.kind}") if own is not None else ""
    tall = 46.0 if bone.bone.startswith("femur") else 52.0  # the page of a hip holds its projection too
    data = slices.bone_planes(image, outlines, tall, region=own)
    return Figure(data, "image/png", caption, texts("bone.planes_alt", bone=texts.bone(bone.bone)))


def _animation(bone: BoneResult, moving: Motion, texts: Texts) -> Animation:
    name, times = texts.bone(bone.bone), texts.number(moving.magnified, 1 if moving.magnified % 1 else 0)
    return Animation(
        moving.moving,
        moving.still,
        texts("bone.motion", bone=name, times=times),
        texts("bone.motion_alt", bone=name),
        MOTION_WIDTH,
    )


def _views(bone: BoneResult, subject: views.Subject, texts: Texts) -> Figure:
    """Return the pictures by every quantity, with what their colours mean."""
    data, name = views.bone_views(subject, texts), texts.bone(bone.bone)
    tops = [texts(f"view.alt_{one.key}", top=f"{one.shown_top:g}") for one in subject.quantities]
    alt = texts("bone.views_alt", bone=name, quantities=", ".join(tops))
    if len(subject.quantities) == 1:
        return Figure(data, "image/png", texts("bone.views", bone=name), alt + ".")
    yielded = quantities.failed_share(bone)
    share = texts("unit.percent", value=texts.number(100 * yielded)) if yielded is not None else texts("unknown")
    told = [texts(f"view.told_{one.key}", depth=f"{one.surface.depth:g}", share=share) for one in subject.quantities]
    alt += texts("bone.views_alt_failure", share=share) if subject.failure is not None and yielded is not None else ""
    return Figure(data, "image/png", texts(f"bone.views_{subject.region.kind}", bone=name, quantities="; ".join(told)), alt + ".")


def _test(bone: BoneResult, texts: Texts) -> list[Block]:
    """Return the virtual test: curve beside its facts, and a hip's projection with its regions."""
    blocks: list[Block] = []
    regions = hip_regions(bone, texts)
    strength = bone.strength
    shadow = _projection(bone, texts)
    if strength is not None and len(strength.curve) > 1:
        facts = Facts(_test_facts(bone, texts), columns=1, stacked=True)
        alt = texts(
            "bone.curve_alt",
            bone=texts.bone(bone.bone),
            stiffness=f"{texts.quantity(strength.stiffness, 'N/mm')} N/mm",
            strength=texts.force(strength.strength),
            maximum=texts.force(float(strength.curve[:, 1].max())),
            travel=texts.number(float(strength.curve[int(strength.curve[:, 1].argmax()), 0]), 2),
        )
        # A hip's regions stand under its curve and its projection, or they do not fit on the bone's page.
        share = 0.41 if shadow else 0.52
        curve = plots.force_curve(strength, texts, share)
        figure = Figure(curve, "image/svg+xml", texts("bone.curve", criterion=clean(strength.criterion)), alt)
        left: tuple[Block, ...] = (Pair((figure,), (shadow,), share / HIP_SHARE), *regions) if shadow else (figure,)
        blocks.append(Pair(left, (facts,), HIP_SHARE if shadow else share))
        blocks += [] if shadow else regions
        return blocks
    return [*([shadow] if shadow is not None else []), *regions]


def _force(strength: StrengthResult, texts: Texts) -> str:
    """Return the strength with its unit, and with one standard deviation where that is known."""
    if strength.uncertainty is None:
        return texts.force(strength.strength)
    value, deviation = (texts.quantity(newton, "N") for newton in (strength.strength, strength.uncertainty))
    return f"{texts('value.sd', value=value, sd=deviation)} N"


def _test_facts(bone: BoneResult, texts: Texts) -> tuple[Fact, ...]:
    strength = bone.strength
    assert strength is not None
    facts = [
        Fact(texts("bone.strength"), _force(strength, texts)),
        Fact(texts("bone.stiffness"), f"{texts.quantity(strength.stiffness, 'N/mm')} N/mm"),
        Fact(texts("bone.criterion"), texts.sentence(strength.criterion)),
        Fact(texts("bone.conditions"), texts.sentence(strength.boundary_conditions)),
    ]
    if strength.protocol:
        scale = texts.find(f"bone.scale_{strength.scale}", clean(strength.scale))
        facts.append(Fact(texts("bone.protocol"), texts("bone.protocol_text", protocol=clean(strength.protocol), scale=scale)))
    share = quantities.failed_share(bone)
    if share is not None:
        facts.append(Fact(texts("bone.failed"), texts("unit.percent", value=texts.number(100 * share))))
    if strength.site is not None:
        part = strength.quantities.get(f"plastic_work_{strength.site}", float("nan"))
        text = texts("bone.site_text", site=texts.find(f"site.{strength.site}", strength.site), share=texts.number(100 * part))
        facts.append(Fact(texts("bone.site"), text))
    elements, voxel = strength.mesh.get("n_elements"), strength.mesh.get("voxel_mm")
    if elements is not None and voxel is not None:
        text = texts(
            "bone.mesh_text", elements=texts.number(elements), voxel=f"{voxel:g}", seconds=texts.seconds(strength.seconds)
        )
        facts.append(Fact(texts("bone.mesh"), text))
    return tuple(facts)


def _projection(bone: BoneResult, texts: Texts) -> Figure | None:
    drawn = projection(bone)
    if drawn is None:
        return None
    data, n_regions = drawn
    name = texts.bone(bone.bone)
    caption = texts("bone.projection" if n_regions else "bone.projection_plain", bone=name)
    return Figure(data, "image/png", caption, texts("bone.projection_alt", bone=name))


def calibration(case: Case, texts: Texts) -> Section:
    """Return how HU became density, with the references that it rests on."""
    title = texts("section.calibration")
    found = case.calibration
    if found is None:
        return Section("calibration", title, (Notice("refused", title, (texts("calibration.none"),)),))
    at = np.array([(100.0 - found.intercept) / found.slope if found.slope else 0.0, 1.0])
    deviation = float(np.sqrt(max(float(at @ found.covariance @ at), 0.0)))
    sign = "+ " if found.intercept >= 0 else "− "
    line = texts(
        "calibration.line_text", slope=texts.number(found.slope, 3), intercept=sign + texts.number(abs(found.intercept), 1)
    )
    facts = [
        Fact(texts("calibration.method"), clean(found.method)),
        Fact(texts("calibration.mineral"), texts("calibration.mineral_text", mineral=texts.unit(found.mineral))),
    ]
    if case.scan.image.unit == "HU":
        facts.insert(1, Fact(texts("calibration.line"), line))
    if deviation > 0:
        facts.append(Fact(texts("calibration.uncertainty"), f"{texts.number(deviation, 1)} mg/cm³"))
    block = Facts(tuple(facts), columns=1, stacked=True)
    if not found.samples:
        text = (Paragraph(texts("calibration.given"), "note"),) if case.scan.image.unit != "HU" else ()
        return Section("calibration", title, (Facts(tuple(facts), columns=1), *text), together=True)
    unit = texts("unit.density") if plots.aims_at_density(found) else "HU"
    rows = tuple(
        (
            clean(sample.name).replace("_", " "),
            f"{texts.number(sample.mean)} ± {texts.number(sample.deviation)}",
            texts.number(sample.expected),
            texts.number(sample.residual, 1),
            texts.number(sample.n_voxels),
        )
        for sample in found.samples
    )
    heads = [texts(f"calibration.col_{key}", unit=unit) for key in ("name", "mean", "expected", "residual", "voxels")]
    table = Table(texts("calibration.table"), tuple(heads), "lrrrr", (2, 1.3, 1.3, 1, 1), rows)
    points = "; ".join(
        texts("calibration.point", name=clean(s.name), mean=texts.number(s.mean), residual=texts.number(s.residual, 1))
        for s in found.samples
    )
    alt = texts("calibration.alt", count=len(found.samples), points=points)
    told = texts("calibration.caption") + (texts("calibration.caption_water") if plots.as_fitted(found)[1] else "")
    figure = Figure(plots.calibration_plot(found, texts), "image/svg+xml", told, alt)
    places = reference_places(case.scan.image, found.samples) if case.scan.image.unit == "HU" else None
    caption, names = texts("calibration.places"), ", ".join(clean(s.name) for s in found.samples)
    shown = () if places is None else (Figure(places, "image/png", caption, texts("calibration.places_alt", names=names)),)
    return Section("calibration", title, (Pair((figure,), (block,), 0.58), table, *shown), together=True)


def _window(image: Volume, texts: Texts) -> str:
    level, width = slices.window(image.unit)
    return texts("bone.window", level=texts.number(level), width=texts.number(width), unit=texts.unit(image.unit.split(" ")[0]))


def _on_grid(part: Volume, image: Volume) -> bool:
    """Tell whether a part is made of the image's own voxels."""
    start = to_index(image.affine, part.affine[:3, 3])
    same = np.allclose(part.affine[:3, :3], image.affine[:3, :3], atol=1e-3)
    return bool(same and np.abs(start - np.rint(start)).max() < 0.1)


def _anchor(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
