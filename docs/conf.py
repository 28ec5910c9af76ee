"""Documentation build."""

project = "OpenBCT"
author = "The OpenBCT developers"
copyright = "The OpenBCT developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
html_theme = "furo"
html_title = "OpenBCT"
exclude_patterns = ["_build"]
# Mathematics is drawn by the reader's browser; no file of ours asks another server for anything.
html_math_renderer = "mathjax"
myst_heading_anchors = 3
