"""The regions of a hip as densitometry reports list them."""

from __future__ import annotations

from ..records import BoneResult
from .content import Block, Table
from .wording import Texts, clean


def hip_regions(bone: BoneResult, texts: Texts) -> list[Block]:
    """Return area, mineral and areal density of every projected region, as densitometry reports list them."""
    values = bone.measures.values if bone.measures is not None else {}
    names = [
        key.removesuffix("_abmd") for key in values if key.endswith("_abmd") and f"{key.removesuffix('_abmd')}_area" in values
    ]
    rows = []
    for name in names:
        found = [values.get(f"{name}_{kind}") for kind in ("area", "bmc", "abmd", "vbmd", "cortex_thickness")]
        digits = (2, 2, 3, 0, 1)
        cells = [texts.number(item.value, n) if item is not None else "" for item, n in zip(found, digits)]
        rows.append((texts.find(f"hip.{name}", clean(name)), *cells))
    if not rows:
        return []
    heads = tuple(texts(f"hip.{key}") for key in ("region", "area", "bmc", "abmd", "vbmd", "cortex"))
    return [
        Table(
            f"{texts('hip.caption')}: {texts.inline_bone(bone.bone)}",
            heads,
            "lrrrrr",
            (2, 1.1, 1.2, 1.3, 1.5, 1.1),
            tuple(rows),
            compact=True,
        )
    ]
