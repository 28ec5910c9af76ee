"""Documentation build. No page asks another server for anything: formulas are MathML, which every current browser draws itself.

The converter is the one that docutils brings along, so that no script and no font has to be fetched or shipped.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "OpenBCT"
author = "The OpenBCT developers"
copyright = "The OpenBCT developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "OpenBCT"
html_math_renderer = "mathml"
html_copy_source = False
exclude_patterns = ["_build"]


def _inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _display(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own; a wide one scrolls within the page."""
    translator.body.append(
        f'<div style="overflow: auto hidden; padding: 0.3em 0; margin: 0.7em 0">{tex2mathml(node.astext(), as_block=True)}</div>'
    )
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
