"""What the weaker femur's strength says of a hip fracture."""

from __future__ import annotations

from ..records import Case
from .content import Block, Notice, Paragraph, Table
from .wording import Texts, clean


def hip_fracture(case: Case, texts: Texts) -> list[Block]:
    """Return the probabilities where there are any, else what the sources allow and why there is no number."""
    risk = case.assessment.hip_fracture
    if risk is None:
        return []
    statement = texts.sentence(risk.statement)
    if not risk.probabilities:
        return [Notice("plain", texts("hip_fracture.title"), (statement, *(texts.sentence(text) for text in risk.withheld)))]
    rows = tuple(
        (texts("years" if years > 1 else "hip_fracture.year", value=years), *(_percent(value, texts) for value in values))
        for years, values in risk.probabilities.items()
    )
    heads = tuple(texts(f"hip_fracture.{head}") for head in ("within", "probability", "low", "high"))
    note = texts("hip_fracture.competing" if risk.competing else "hip_fracture.alone", population=clean(risk.population))
    caption = texts("hip_fracture.caption", bone=texts.inline_bone(risk.bone))
    return [Table(caption, heads, "lrrr", (2, 1, 1, 1), rows, note), Paragraph(statement, "note")]


def _percent(value: float, texts: Texts) -> str:
    digits = 2 if value < 0.01 else 1 if value < 0.1 else 0
    return texts("unit.percent", value=texts.number(100.0 * value, digits))
