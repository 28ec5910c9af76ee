"""What stands beside density and strength: DXA, levels that were left out, soft tissue over a hip, loads on the spine."""

from __future__ import annotations

from ..records import BoneResult, Case
from .content import Block, Notice, Paragraph
from .wording import Texts, clean


def beside(case: Case, texts: Texts) -> list[Block]:
    """Return what CT and DXA say of each other, and which levels stand for nothing."""
    found = case.assessment
    blocks: list[Block] = []
    if found.beside_dxa:
        blocks.append(Notice("plain", texts("results.dxa"), tuple(texts.sentence(text) for text in found.beside_dxa)))
    if found.left_out:
        said = tuple(f"{clean(level)}: {texts.sentence(text, level)}" for level, text in found.left_out.items())
        blocks.append(Notice("plain", texts("results.left_out"), said))
    return blocks


def tissue(bone: BoneResult | None, texts: Texts) -> str:
    """Return the thickness of the soft tissue over a hip, lying on the back."""
    measure = bone.measures.values.get("trochanteric_soft_tissue") if bone is not None and bone.measures is not None else None
    return f"{texts.number(measure.value)}\u00a0mm" if measure is not None else texts("unknown")


def spine_loads(case: Case, texts: Texts) -> list[Block]:
    """Return the illustrative loads on the spine."""
    loads = case.assessment.spine_loads
    if not loads:
        return []
    said = ", ".join(f"{texts.find(f'task.{task}', clean(task))} {texts.force(newton)}" for task, newton in loads.items())
    return [Paragraph(texts("results.spine_loads", loads=said), "note")]
