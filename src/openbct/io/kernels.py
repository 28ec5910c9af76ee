"""Which reconstruction kernels are sharp and which are soft, maker by maker.

A sharp kernel overshoots at edges and raises noise: bone strength moves by up to 20 % between kernels (review in Eur Radiol
Exp, 2020, as quoted by the project's clinical notes [S]). The lists stand in ``data/acquisition.toml``.
"""

from __future__ import annotations

import re
from typing import Literal

from ..acquisition import kernel_lists

KernelClass = Literal["soft", "sharp", "unknown"]
SIEMENS = re.compile(r"^[A-Z][a-z]?(\d\d)")
UNNAMED_SIEMENS = re.compile(r"^(B|Br|Bl|Bv|Hr|Qr|H|I|J)\d\d")
"""What only Siemens' kernels look like, for headers without a maker."""
MAKERS = (
    ("siemens", "siemens"), ("ge", "ge"), ("toshiba", "canon"), ("canon", "canon"), ("philips", "philips"), ("marconi", "philips"),
    ("united imaging", "united"), ("uih", "united"),
)  # fmt: skip
"""How a manufacturer's name begins, and whose list holds."""


def classify_kernel(manufacturer: str | None, kernel: str | None) -> KernelClass:
    """Return whether a kernel is made for soft tissue or for edges; ``"unknown"`` where its maker or name is not in the lists."""
    if not kernel:
        return "unknown"
    name = kernel.split("/")[0].strip()
    lowered = (manufacturer or "").strip().lower()
    maker = next((key for start, key in MAKERS if lowered.startswith(start)), None)
    if maker == "siemens" or (maker is None and UNNAMED_SIEMENS.match(name)):
        found = SIEMENS.match(name)
        if found is None:
            return "unknown"
        return "sharp" if int(found.group(1)) >= kernel_lists()["siemens"]["sharp_from"] else "soft"
    # Without a known maker only names that say what they are: one letter is a different kernel at each of them.
    for each in (maker,) if maker else ("ge", "canon"):
        known = _in_list(each, name.upper())
        if known != "unknown":
            return known
    return "unknown"


def is_sharp(manufacturer: str | None, kernel: str | None) -> bool:
    """Tell whether a kernel is known to be sharp; unknown makers and kernels are not."""
    return classify_kernel(manufacturer, kernel) == "sharp"


def _in_list(maker: str, name: str) -> KernelClass:
    """Return the class of a name, in capitals, by one maker's list."""
    if maker == "canon" and name.startswith("FC") and not re.match(r"^FC\d\d", name):
        return "unknown"  # FC3 alone is a soft kernel, and FC03 another: only two digits are a family
    kinds: tuple[Literal["sharp", "soft"], ...] = ("sharp", "soft")
    for kind in kinds:
        listed = kernel_lists()[maker][kind]
        if name in listed or (maker != "philips" and any(name.startswith(start) for start in listed)):
            return kind
    return "unknown"
