"""Write docs/validation/strength.md and its pictures: what every modelling choice is worth, and how far the defaults have converged.

    python docs/validation/make_strength.py --cache FOLDER [--only stance]

``FOLDER`` keeps each solved variant, so that a broken-off run goes on where it stopped; empty it when the program has changed. ``--only``
makes the sections, pictures and packaged numbers of some tests anew and leaves the others as they stand. Needs the real bones
(``OPENBCT_TEST_DATA``, default ``../shared/data`` beside the project). About fifty minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from openbct.anatomy import locate_femur, locate_vertebra
from openbct.cortex import Cortex
from openbct.errors import OpenBCTError
from openbct.femodel import build_model
from openbct.io import read_density, read_labels
from openbct.loadcases import AxialCompression, SidewaysFall, Stance
from openbct.materials import MATERIALS, TRANSVERSE
from openbct.phantoms import FemurShape, VertebraShape, femur_region, vertebra_region
from openbct.records import BoneMask, BoneRegion, CalibratedVolume, ElasticSymmetry, LoadCase, MaterialLaw, Step
from openbct.report import drawing
from openbct.strength import FEMUR_TEST, STANCE_TEST, VERTEBRA_TEST, MechanicalTest, measure_strength
from openbct.volume import Volume

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("OPENBCT_TEST_DATA", HERE.parents[2] / "shared" / "data"))
TABLE = HERE.parents[1] / "src" / "openbct" / "data" / "model_uncertainty.toml"
DENSITIES = {"low": 0.6, "middle": 1.0, "high": 1.5}
"""Trabecular density of the simulated bones over that of the default shape; cortical thickness goes with its square root [D]."""
PART = ("voxel", "steps", "element", "supports", "caps and pads", "alignment", "asymmetry", "shaft")
"""Groups that make the model's part of the uncertainty; the others are the bone's input or the recipe's scale."""


@dataclass(frozen=True)
class Variant:
    """One change of the recipe."""

    group: str
    title: str
    case: LoadCase
    law: MaterialLaw
    test: MechanicalTest
    change: Callable[[BoneRegion], BoneRegion] = lambda region: region
    cortex: Cortex | None = None
    symmetry: ElasticSymmetry | None = None


Answer = dict[str, Any]


# Bones ------------------------------------------------------------------------------------------------------------


def calibrated(density: Volume) -> CalibratedVolume:
    return CalibratedVolume(density, "K2HPO4", "given", 1.0, 0.0, np.zeros((2, 2)), (), Step("calibration", "given"))


def real_mask(name: str, kept: tuple[int, ...], structure: str) -> tuple[Volume, Volume]:
    """Density and mask of a real bone, its labels read by number."""
    density = read_density(DATA / name / "density.nii.gz", mineral="K2HPO4").image
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "labels.toml"
        table.write_text("".join(f'{number} = "{structure}"\n' for number in kept), encoding="utf-8")
        labels = read_labels(DATA / name / "labels.nii.gz", mapping=table, like=density).volume
    return density, labels.with_array(np.isin(labels.array, kept), "mask")


@cache
def bone(name: str) -> BoneRegion:
    """A bone by its name: ``vertebra_l2``, ``hip_crop``, ``vertebra low`` … ``femur high``."""
    if name == "vertebra_l2":
        density, mask = real_mask(name, (1, 2), "vertebral_body_L2")
        return locate_vertebra(BoneMask("L2", mask, "body", 1.0, False), calibrated(density))
    if name == "hip_crop":
        density, mask = real_mask(name, (2,), "femur_left")
        return locate_femur(BoneMask("femur_right", mask, "whole", 1.0, False), calibrated(density))
    kind, level = name.split(" ")
    factor = DENSITIES[level]
    if kind == "vertebra":
        shape = VertebraShape()
        scaled = replace(
            shape,
            trabecular_density=factor * shape.trabecular_density,
            cortex=factor**0.5 * shape.cortex,
            endplate=factor**0.5 * shape.endplate,
        )
        made = vertebra_region(scaled, spacing=1.0)
        return locate_vertebra(BoneMask("L1", made.mask, "body", 1.0, False), calibrated(made.density))
    thigh = FemurShape()
    thick = {key: factor**0.5 * getattr(thigh, key) for key in ("shaft_cortex", "neck_cortex", "head_cortex")}
    dense = {key: factor * getattr(thigh, key) for key in ("head_density", "neck_density", "trochanter_density")}
    femur = femur_region(replace(thigh, **thick, **dense), side="left", spacing=1.0)
    return locate_femur(BoneMask("femur_left", femur.mask, "whole", 1.0, True), calibrated(femur.density))


FEMORA = ("hip_crop", "femur low", "femur middle", "femur high")
BONES = {"vertebra": ("vertebra_l2", "vertebra low", "vertebra middle", "vertebra high"), "fall": FEMORA, "stance": FEMORA}
NOMINAL = {"vertebra": 1.0, "fall": 1.5, "stance": 1.5}
"""Voxel edge of the base [mm]; femora at 1.5 mm, which saves two thirds of the time."""
SIZES = {"vertebra": (0.75, 1.0, 1.5, 2.0, 3.0), "fall": (1.0, 1.5, 2.0, 3.0), "stance": (1.0, 1.5, 2.0, 3.0)}
"""Voxel edges that are tried [mm]."""
TITLES = {"vertebra": "Vertebra, compression", "fall": "Femur, sideways fall", "stance": "Femur, stance"}


# Changes of a bone --------------------------------------------------------------------------------------------------


def denser(factor: float) -> Callable[[BoneRegion], BoneRegion]:
    """Calibration: every density times a factor."""
    return lambda region: replace(region, density=region.density.with_array(factor * region.density.array))


def grown(side: int) -> Callable[[BoneRegion], BoneRegion]:
    """Mask half a voxel larger (1) or smaller (-1) all round, on voxels of half the edge."""

    def change(region: BoneRegion) -> BoneRegion:
        affine = region.mask.affine.copy()
        affine[:3, :3] /= 2.0
        affine[:3, 3] -= affine[:3, :3] @ np.array([0.5, 0.5, 0.5])
        fine = region.mask.array
        density = region.density.array
        for axis in range(3):
            fine, density = np.repeat(fine, 2, axis=axis), np.repeat(density, 2, axis=axis)
        grow = ndimage.binary_dilation if side > 0 else ndimage.binary_erosion
        mask = grow(fine)
        # the cut end of a shaft is no surface: the mask neither grows over it nor shrinks from it
        heights = np.flatnonzero(fine.any(axis=(0, 1)))
        if region.kind == "femur":
            mask[:, :, : heights[0] + 2] &= fine[:, :, : heights[0] + 2]
            if side < 0:
                mask[:, :, heights[0] : heights[0] + 2] = ndimage.binary_erosion(
                    fine[:, :, heights[0] : heights[0] + 2], np.ones((3, 3, 1))
                )
        return replace(region, mask=Volume(mask, affine, "mask"), density=Volume(density, affine, region.density.unit))

    return change


def tilted(axis: int, degrees: float) -> Callable[[BoneRegion], BoneRegion]:
    """Frame turned about one of its own axes."""

    def change(region: BoneRegion) -> BoneRegion:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn = np.eye(3)
        one, two = ((1, 2), (2, 0))[axis]
        turn[one, one] = turn[two, two] = c
        turn[one, two], turn[two, one] = -s, s
        return replace(region, frame=replace(region.frame, axes=region.frame.axes @ turn))

    return change


def shorter(length: float) -> Callable[[BoneRegion], BoneRegion]:
    """Shaft cut at a length below the lesser trochanter [mm]; its axis stays what the whole bone showed."""
    return lambda region: replace(
        region,
        lengths={**region.lengths, "shaft_below_lesser_trochanter": min(length, region.lengths["shaft_below_lesser_trochanter"])},
    )


# Variants -----------------------------------------------------------------------------------------------------------


def steps_of(test: MechanicalTest, factor: float) -> MechanicalTest:
    """The same test with twice (2) or half (0.5) as many load steps."""
    strains = np.array((0.0, *test.strains))
    if factor > 1:
        strains = np.sort(np.concatenate([strains, 0.5 * (strains[1:] + strains[:-1])]))
        return replace(test, strains=tuple(float(s) for s in strains[1:]))
    kept = sorted({test.strains[0], *test.strains[1::2], test.strength_strain, test.strains[-1]})
    return replace(test, strains=tuple(kept))


def unequal(test: MechanicalTest) -> MechanicalTest:
    return replace(test, yield_criterion="paraboloid")


def with_law(base: Variant, law: MaterialLaw) -> Variant:
    """The same test on another law; one that is weaker in tension gets a criterion that knows it."""
    return replace(base, group="law", title=law.name, law=law, test=base.test if law.tension_ratio == 1.0 else unequal(base.test))


VERTEBRAL_LAWS = ("kopperdahl2002", "kopperdahl2002-linear", "morgan2003-vertebra", "kopperdahl1998+morgan2001-vertebra",
                  "keaveny1997+morgan2001-vertebra", "keyak1994")  # fmt: skip
FEMORAL_LAWS = ("keyak1994", "morgan2003-neck", "morgan2003-trochanter", "parosol-hip-neck", "parosol-hip-trochanter")
CORTICES = {
    "surface takes the density inside": Cortex("surface"),
    "shell of 0.2 mm": Cortex("shell", 0.2),
    "shell of 0.4 mm": Cortex("shell", 0.4),
}


def variants(kind: str) -> list[Variant]:
    """The base first, then one change each."""
    h = NOMINAL[kind]
    # a variant may leave the plausible range: that is what is asked
    test = replace({"vertebra": VERTEBRA_TEST, "fall": FEMUR_TEST, "stance": STANCE_TEST}[kind], plausible=())
    law = MATERIALS["kopperdahl2002+side-artefact" if kind == "vertebra" else "keyak2005"]
    case: LoadCase = {"vertebra": AxialCompression, "fall": SidewaysFall, "stance": Stance}[kind](voxel=h)
    base = Variant("base", "base", case, law, test)

    def with_case(group: str, title: str, **change: Any) -> Variant:
        return replace(base, group=group, title=title, case=replace(case, **change))  # type: ignore[type-var]

    def with_change(group: str, title: str, change: Callable[[BoneRegion], BoneRegion]) -> Variant:
        return replace(base, group=group, title=title, change=change)

    found = [base, *(with_case("voxel", f"voxels {size:g} mm", voxel=size) for size in SIZES[kind] if size != h)]
    found += [
        replace(base, group="steps", title=f"{word} the load steps", test=steps_of(test, f))
        for word, f in (("twice", 2.0), ("half", 0.5))
    ]
    found += [replace(base, group="element", title="no B-bar", test=replace(test, bbar=False))]
    found += [with_change("calibration", f"density {100 * (f - 1):+.0f} %", denser(f)) for f in (0.95, 1.05)]
    found += [with_change("mask", f"mask {word} half a voxel", grown(side)) for word, side in (("less", -1), ("plus", 1))]
    found += [replace(base, group="cortex", title=title, cortex=cortex) for title, cortex in CORTICES.items()]
    found += [with_case("edge", "density inside the mask only", edge="bone")]
    found += [with_law(base, MATERIALS[name]) for name in (VERTEBRAL_LAWS if kind == "vertebra" else FEMORAL_LAWS)]
    return found + OWN[kind](base, with_case, with_change)


def vertebral(base: Variant, with_case: Callable[..., Variant], with_change: Callable[..., Variant]) -> list[Variant]:
    """What only a vertebra has."""
    found = [
        replace(
            base,
            group="asymmetry",
            title="tension at 0.91, paraboloid",
            law=replace(base.law, tension_ratio=0.91),
            test=unequal(base.test),
        ),
        with_case("supports", "loaded cap bonded", superior="bonded"),
        with_case("supports", "loaded cap tilting", superior="tilting"),
        with_case("supports", "other cap sliding", inferior="sliding"),
        with_case("caps and pads", "caps 2 mm", cap=2.0),
        with_case("caps and pads", "caps 10 mm", cap=10.0),
        replace(base, group="anisotropy", title="transverse isotropy", symmetry=TRANSVERSE),
    ]
    tilts = [(axis, word, d) for axis, word in ((0, "forward"), (1, "sideways")) for d in (-5, 5)]
    return found + [with_change("alignment", f"axis {d:+d}° {word}", tilted(axis, d)) for axis, word, d in tilts]


def femoral(base: Variant, with_case: Callable[..., Variant], with_change: Callable[..., Variant]) -> list[Variant]:
    """What both tests of a femur have."""
    weak = replace(base.law, tension_ratio=0.72)
    found = [replace(base, group="asymmetry", title="tension at 0.72, paraboloid", law=weak, test=unequal(base.test))]
    found += [with_change("shaft", f"shaft {length:g} mm", shorter(length)) for length in (30.0, 20.0, 10.0)]
    return found + [with_case("supports", f"shaft held over {length:g} mm", distal_support=length) for length in (3.0, 12.0)]


def falling(base: Variant, with_case: Callable[..., Variant], with_change: Callable[..., Variant]) -> list[Variant]:
    """What only a sideways fall has."""
    case, found = base.case, femoral(base, with_case, with_change)
    for key, word in (("adduction_deg", "adduction"), ("internal_rotation_deg", "rotation")):
        found += [with_case("alignment", f"{word} {d:+d}°", **{key: getattr(case, key) + d}) for d in (-5, 5)]
    found += [with_case("caps and pads", f"pads reach {reach:g} mm", intrusion=reach) for reach in (4.0, 8.0)]
    found += [with_case("supports", "head bonded across the load", head="bonded")]
    return [*found, with_case("supports", "both pads bonded across the load", head="bonded", trochanter="bonded")]


def standing(base: Variant, with_case: Callable[..., Variant], with_change: Callable[..., Variant]) -> list[Variant]:
    """What only stance has."""
    angle, found = base.case.load_angle_deg, femoral(base, with_case, with_change)
    found += [with_case("alignment", f"load {d:+d}° to lateral", load_angle_deg=angle + d) for d in (-5, 5)]
    found += [with_change("alignment", f"shaft {d:+d}° forward", tilted(0, d)) for d in (-5, 5)]
    found += [with_case("caps and pads", f"cup reaches {reach:g} mm", pad=reach + 4.0, intrusion=reach) for reach in (8.0, 16.0)]
    return [*found, with_case("supports", "cup bonded across the load", head="bonded")]


OWN = {"vertebra": vertebral, "fall": falling, "stance": standing}


# Solving --------------------------------------------------------------------------------------------------------------


def solved(kind: str, name: str, variant: Variant, folder: Path) -> Answer:
    """Return the answer of one variant on one bone, from the folder where it is there."""
    path = folder / (re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{kind} {name} {variant.title}") + ".json")  # signs stay: -5 is not +5
    if path.is_file():
        kept: Answer = json.loads(path.read_text(encoding="utf-8"))
        return kept
    begin = time.process_time()
    try:
        answer = _solve(variant, variant.change(bone(name)))
    except OpenBCTError as error:
        answer = {"error": str(error)}
    answer["seconds"] = time.process_time() - begin
    path.write_text(json.dumps(answer), encoding="utf-8")
    return answer


def _solve(variant: Variant, region: BoneRegion) -> Answer:
    specimen = variant.case.mount(region)
    boundary = variant.case.constrain(specimen)
    model = build_model(specimen, boundary, variant.law, cortex=variant.cortex, symmetry=variant.symmetry)
    result = measure_strength(model, variant.test, threads=1)
    return {
        "strength": result.strength,
        "stiffness": result.stiffness,
        "yield": result.quantities.get("yield_force_n"),
        "elements": result.mesh["n_elements"],
    }


Results = dict[str, dict[str, dict[str, Answer]]]


def solve_all(folder: Path, kinds: tuple[str, ...]) -> Results:
    """Every variant of every bone: kind, bone, title of the variant."""
    folder.mkdir(parents=True, exist_ok=True)
    found: Results = {}
    for kind in kinds:
        found[kind] = {}
        for name in BONES[kind]:
            found[kind][name] = {variant.title: solved(kind, name, variant, folder) for variant in variants(kind)}
            print(f"{kind}, {name}: {sum(a['seconds'] for a in found[kind][name].values()):.0f} s of processor time", flush=True)
    return found


# What the numbers say -----------------------------------------------------------------------------------------------


def change(answers: dict[str, Answer], variant: Variant) -> float:
    """Change of the strength [-]; NaN where it has no answer."""
    answer, base = answers[variant.title], answers["base"]
    return float(answer["strength"] / base["strength"] - 1.0) if "strength" in answer and "strength" in base else float("nan")


def group_spread(kind: str, answers: dict[str, Answer], group: str) -> float:
    """Standard deviation of a group of choices on one bone [-]: its largest swing as the half-width of a uniform spread.

    Voxels count from half to twice the default edge: a coarser model is another recipe.
    """
    allowed = ("voxels 0.75 mm", "voxels 1 mm", "voxels 1.5 mm", "voxels 2 mm")
    swings = [
        abs(change(answers, variant)) for variant in variants(kind)
        if variant.group == group and (group != "voxel" or variant.title in allowed) and np.isfinite(change(answers, variant))
    ]  # fmt: skip
    return float(max(swings, default=0.0) / np.sqrt(3.0))


def model_part(kind: str, found: Results) -> tuple[dict[str, float], float]:
    """Root mean square over the bones of each group's spread, and their root sum of squares [-]."""
    parts = {
        group: float(np.sqrt(np.mean([group_spread(kind, answers, group) ** 2 for answers in found[kind].values()])))
        for group in PART
    }
    parts = {group: value for group, value in parts.items() if value > 0}
    return parts, float(np.sqrt(sum(value**2 for value in parts.values())))


def richardson(sizes: tuple[float, float, float], values: tuple[float, float, float]) -> tuple[float, float] | None:
    """Observed order and extrapolated value from three voxel sizes, fine to coarse; ``None`` where they do not converge."""
    (h1, h2, h3), (f1, f2, f3) = sizes, values
    if (f2 - f1) * (f3 - f2) <= 0:
        return None
    orders = np.linspace(0.3, 4.0, 3701)
    wanted = (f3 - f2) / (f2 - f1)
    given = (h3**orders - h2**orders) / (h2**orders - h1**orders)
    place = int(np.argmin(np.abs(given - wanted)))
    if place in (0, len(orders) - 1):
        return None
    order = float(orders[place])
    return order, f1 - (f2 - f1) * h1**order / (h2**order - h1**order)


# The page -----------------------------------------------------------------------------------------------------------


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def percent(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{100 * value:+.1f} %".replace("-", "−")


def sensitivity(kind: str, found: Results) -> list[str]:
    """Table of every change on every bone."""
    names = BONES[kind]
    base = found[kind]
    rows = [("**base**", f"{NOMINAL[kind]:g} mm voxels", *(f"**{base[name]['base']['strength']:,.0f} N**" for name in names))]
    for variant in variants(kind)[1:]:
        rows.append((variant.group, variant.title, *(percent(change(base[name], variant)) for name in names)))
    return markdown(("choice", "changed to", *(f"`{name}`" for name in names)), rows)


def tornado(kind: str, found: Results) -> bytes:
    """Groups of choices by their swing: bars over the bones, the real one filled."""
    groups: dict[str, list[list[float]]] = {}
    for variant in variants(kind)[1:]:
        groups.setdefault(variant.group, []).append([100 * change(found[kind][name], variant) for name in BONES[kind]])
    spans = {}
    for group, table in groups.items():
        values = np.nan_to_num(np.array(table))
        spans[group] = (np.minimum(values.min(axis=0), 0.0), np.maximum(values.max(axis=0), 0.0))
    order = sorted(spans, key=lambda group: float(np.max(spans[group][1] - spans[group][0])))
    height = 16.0 + 11.0 * len(order)
    canvas = drawing.new_figure(0.85, height)
    axes = drawing.place(canvas, 30.0, 11.0, 0.85 * drawing.PAGE_WIDTH - 34.0, height - 18.0)
    drawing.tidy(axes)
    shades = (drawing.ACCENT, "#c9a27e", "#a9713f", "#6b3d14")
    for row, group in enumerate(order):
        low, high = spans[group]
        for n, name in enumerate(BONES[kind]):
            axes.barh(
                row + 0.3 - 0.2 * n,
                high[n] - low[n],
                left=low[n],
                height=0.18,
                color=shades[n],
                label=name.replace("_", " ") if row == 0 else None,
            )
    axes.axvline(0.0, color=drawing.INK, linewidth=0.8)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlabel("change of strength [%]", fontsize=drawing.FONT_SIZE)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=4,
        frameon=False,
        fontsize=drawing.FONT_SIZE,
        handlelength=1.0,
        columnspacing=1.2,
    )
    return drawing.to_png(canvas)


def convergence(kind: str, found: Results) -> list[str]:
    """Strength and stiffness over voxel size, with Richardson's extrapolation where the three finest allow it."""
    sizes = SIZES[kind]
    rows = []
    for name in BONES[kind]:
        answers = [found[kind][name]["base" if size == NOMINAL[kind] else f"voxels {size:g} mm"] for size in sizes]
        for key, unit in (("strength", "N"), ("stiffness", "N/mm")):
            values = [float(answer.get(key, np.nan)) for answer in answers]
            limit = richardson((sizes[0], sizes[1], sizes[2]), (values[0], values[1], values[2]))
            at = values[sizes.index(1.0)]
            rises = np.diff(values[:3])
            words = "no order between 0.3 and 4" if rises[0] * rises[1] > 0 else "not monotone"
            if limit:
                words = f"{limit[1]:,.0f} (order {limit[0]:.1f}; 1 mm is {100 * (at / limit[1] - 1):+.1f} %)"
            rows.append((f"`{name}`", f"{key}, {unit}", *(f"{value:,.0f}" for value in values), words.replace("-", "−")))
    return markdown(("bone", "quantity", *(f"{size:g} mm" for size in sizes), "extrapolated to 0 mm"), rows)


EXCLUDED = {
    "law": "scale of the recipe: common to all bones of one preset, ± 40 % until it is regressed on specimens",
    "anisotropy": "option of the recipe",
    "edge": "option of the recipe",
    "cortex": "option of the recipe",
    "calibration": "input: its own part of the interval",
    "mask": "input: its own part of the interval",
}
HEAD = """# What every modelling choice is worth

This page and its pictures are written by `python docs/validation/make_strength.py --cache FOLDER`. One thing at a
time is changed in the default recipe, on a real bone and on three simulated ones whose trabecular density is 0.6, 1 and 1.5 times that of the
simulated torso (cortical thickness goes with its square root). Numbers are changes of the strength; newtons are those of each recipe, whose scale
is provisional.

"""


def section(kind: str, found: Results) -> str:
    """What the page says of one test."""
    parts, total = model_part(kind, found)
    lines = [f"![Bars of the change of strength by each choice](strength_{kind}.png)", "", *sensitivity(kind, found)]
    refused = [
        f"- `{name}`, {variant.title}: {found[kind][name][variant.title]['error']}"
        for name in BONES[kind] for variant in variants(kind) if "error" in found[kind][name][variant.title]
    ]  # fmt: skip
    lines += ["Refused:", "", *refused, ""] if refused else []
    lines += ["### Voxel size", "", *convergence(kind, found)]
    lines += ["### Model part of the uncertainty", ""]
    rows = [*((group, f"{100 * value:.1f} %") for group, value in parts.items()), ("**together**", f"**{100 * total:.1f} %**")]
    return "\n".join([*lines, *markdown(("choice", "relative standard deviation"), rows)]).strip()


def page(found: Results, before: str) -> str:
    """The whole page; sections of tests that were not made anew as they stand in ``before``."""
    lines = []
    for kind, title in TITLES.items():
        words = section(kind, found) if kind in found else before.split(f"## {title}\n")[1].split("\n## ")[0].strip()
        lines += [f"## {title}", "", words, ""]
    lines += [
        "## How the model part is made", "",
        "The largest swing of a group of choices is taken as the half-width of a uniform spread (divided by √3), then averaged in the square over the bones",
        "of its table; groups are added in the square, as if independent (design). Voxel sizes count up to 2 mm. Every strength of the default protocol and",
        "of `femur-stance` carries it, together with the calibration's error (`src/openbct/data/model_uncertainty.toml`, written by this script).",
        "The fall's is for the most part that of bonded pads, which are worth ten times as much on the simulated femora as on the real one.",
        "Not in it:", "",
        *[f"- {group}: {reason}" for group, reason in EXCLUDED.items()], "",
    ]  # fmt: skip
    return HEAD + "\n".join(lines).rstrip() + "\n"


def density_power(kind: str, found: Results) -> float:
    """Power of density with which the strength goes, from ±5 %: mean over the bones."""
    powers = [
        np.log(answers["density +5 %"]["strength"] / answers["density -5 %"]["strength"]) / np.log(1.05 / 0.95)
        for answers in found[kind].values()
    ]
    return float(np.mean(powers))


def edge_per_mm(kind: str, found: Results) -> float:
    """Relative change of the strength for a surface 1 mm farther out, of the real bone [1/mm]: drawn ones end without blur."""
    name = BONES[kind][0]
    half = float(np.prod(bone(name).mask.spacing)) ** (1 / 3) / 2
    swing = [found[kind][name][f"mask {word} half a voxel"]["strength"] for word in ("plus", "less")]
    return float((swing[0] - swing[1]) / (2 * half * found[kind][name]["base"]["strength"]))


def uncertainty_table(found: Results, before: str) -> str:
    """The packaged table of the model's part; tests that were not made anew as they stand in ``before``."""
    lines = [
        "# Model part of the uncertainty of a strength: default protocol, femur-stance. By docs/validation/make_strength.py. mark: computed."
    ]
    for kind in BONES:
        if kind not in found:
            lines += ["", f"[{kind}]", *before.split(f"[{kind}]\n")[1].split("\n\n")[0].splitlines()]
            continue
        parts, total = model_part(kind, found)
        lines += ["", f"[{kind}]", f"relative = {total:.3f}", f"density_power = {density_power(kind, found):.2f}"]
        lines += [f"alignment = {parts.get('alignment', 0.0):.3f}", f"solver = {parts.get('steps', 0.0):.3f}"]
        lines += [f"edge_per_mm = {edge_per_mm(kind, found):.3f}"]
        lines += ["# " + ", ".join(f"{group} {100 * value:.1f} %" for group, value in parts.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Solve what is not yet solved, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of solved variants")
    parser.add_argument("--only", nargs="+", choices=tuple(BONES), default=tuple(BONES), help="tests to make anew")
    asked = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit("no real scans here: set OPENBCT_TEST_DATA to their folder")
    kinds = tuple(asked.only)
    found = solve_all(asked.cache, kinds)
    for kind in kinds:
        (HERE / f"strength_{kind}.png").write_bytes(tornado(kind, found))
    old = (HERE / "strength.md").read_text(encoding="utf-8"), TABLE.read_text(encoding="utf-8")
    (HERE / "strength.md").write_text(page(found, old[0]), encoding="utf-8")
    TABLE.write_text(uncertainty_table(found, old[1]), encoding="utf-8")


if __name__ == "__main__":
    main()
