"""How sure the numbers are: their budgets by source in one table, and published densities over age with the patient on them."""

from __future__ import annotations

from ..records import AgeCurve, BoneResult, Case, ErrorBudget
from . import age_plot
from .content import Block, Figure, Paragraph, Section, Table
from .references import Numbering
from .summary import usable
from .wording import Texts, clean

SHOWN = ("trabecular_vbmd", "femoral_neck_abmd", "total_hip_abmd", "integral_vbmd", "strength")
SOURCES = ("calibration", "edge", "noise", "alignment", "model")
"""Load steps are too small to be shown; they stand in ``result.json``."""


def sureness(case: Case, texts: Texts, numbering: Numbering) -> Section | None:
    """Return the section; ``None`` where there is nothing to show."""
    rows = tuple(row for bone in usable(case) for row in _rows(bone, texts))
    blocks: list[Block] = []
    if rows:
        heads = (
            "adequacy.bone",
            "results.measure",
            "results.value",
            "sure.interval",
            *(f"sure.{source}" for source in SOURCES),
            "sure.all",
        )
        blocks.append(
            Table(
                texts("sure.caption"), tuple(texts(head) for head in heads), "llrr" + "r" * (len(SOURCES) + 1),
                (1.15, 1.8, 1.2, 1.4, 0.95, 0.6, 0.65, 0.6, 0.7, 0.95), rows, texts("sure.note"), compact=True,
            )
        )  # fmt: skip
    open_ended = [
        texts.inline_bone(bone.bone) for bone in usable(case) if bone.strength is not None and "strength" not in bone.budgets
    ]
    if rows and open_ended:
        blocks.append(Paragraph(texts("sure.no_strength", bones=", ".join(open_ended)), "note"))
    curves = case.assessment.curves
    by_quantity = [
        [curve for curve in curves if curve.quantity == one] for one in dict.fromkeys(curve.quantity for curve in curves)
    ]
    if by_quantity:
        blocks.append(_figure(by_quantity, texts, numbering))
    return Section("sureness", texts("section.sureness"), tuple(blocks)) if blocks else None


def _rows(bone: BoneResult, texts: Texts) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in SHOWN:
        budget = bone.budgets.get(name)
        # An integral density is a step towards the strength: shown where no other density is.
        if budget is None or (name == "integral_vbmd" and "trabecular_vbmd" in bone.budgets):
            continue
        first = texts.bone(bone.bone) if not rows else ""
        unit = texts.unit(budget.unit.split(" ")[0])
        low, high = (texts.quantity(end, budget.unit) for end in budget.interval)
        rows.append(
            (
                first,
                texts.find(f"quantity.{name}", clean(name)),
                f"{texts.quantity(budget.value, budget.unit)} {unit}",
                "?" if budget.known_sd is None else f"{low} – {high}",
                *(_share(budget, source, texts) for source in SOURCES),
                _whole(budget, texts),
            )
        )
    return rows


def _whole(budget: ErrorBudget, texts: Texts) -> str:
    """Return the sum of all sources over the number; at least so much where one of them is not known."""
    if budget.value <= 0:
        return "–"
    share = texts("unit.percent", value=texts.number(100 * budget.sd / budget.value, 1))
    return f"≥ {share}" if budget.unknown else share


def _share(budget: ErrorBudget, source: str, texts: Texts) -> str:
    """Return a source's standard deviation over the number [%]; a question mark where it should be in it and is not known."""
    if source in budget.unknown:
        return "?"
    part = next((part for part in budget.parts if part.source == source), None)
    return "" if part is None or budget.value <= 0 else texts.number(100 * part.sd / budget.value, 1)


def _figure(groups: list[list[AgeCurve]], texts: Texts, numbering: Numbering) -> Figure:
    named, alts = [], []
    for curves in groups:
        one = curves[0]
        name = texts.find(f"quantity.{one.quantity}", clean(one.quantity))
        value = f"{texts.quantity(one.point[1], one.unit)} {texts.unit(one.unit.split(' ')[0])}"
        named.append(f"{name} [{numbering.number(one.reference)}]")
        alts.append(texts("sure.curve_alt", quantity=name, value=value, age=texts.number(one.point[0])))
    parts = [texts("sure.curves", quantities="; ".join(named))]
    parts += [texts("sure.curves_several")] if any(len(curves) > 1 for curves in groups) else []
    alone = dict.fromkeys(curves[0].population for curves in groups if len(curves) == 1)
    if alone:
        parts.append(
            texts("sure.curves_one", population=", ".join(texts.find(f"population.{name}", clean(name)) for name in alone))
        )
    caption = " ".join([*parts, texts("sure.curve_note")])
    return Figure(age_plot.age_plots(groups, texts), "image/svg+xml", caption, " ".join(alts))
