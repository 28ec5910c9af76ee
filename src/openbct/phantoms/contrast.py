"""Iodine in the body by phase of a contrast-enhanced scan."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PHASES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "none": MappingProxyType({}),
        "arterial": MappingProxyType(
            {"artery": 12.0, "vein": 1.0, "kidney": 5.0, "liver": 0.6, "spleen": 3.5, "wall": 1.0, "muscle": 0.1, "marrow": 0.2}
        ),
        "portal": MappingProxyType(
            {"artery": 5.0, "vein": 5.0, "kidney": 6.5, "liver": 2.2, "spleen": 2.8, "wall": 1.5, "muscle": 0.4, "marrow": 0.45}
        ),
        "late": MappingProxyType(
            {"artery": 3.0, "vein": 3.0, "kidney": 5.0, "liver": 1.4, "spleen": 1.6, "wall": 1.2, "muscle": 0.6, "marrow": 0.4}
        ),
        "oral": MappingProxyType({"bowel": 10.0}),
    }
)
"""Iodine [mg/cm³] by phase and place. About 25 HU per mg/cm³ at 120 kVp [C]: the aorta then reads near 350 HU in the arterial and 170 HU in
the portal phase, liver about 110 HU in the portal one, of the order of clinical scans [R]; marrow raises trabecular HU by about 11 in
the portal phase, as published for L1 [R]; bowel filled with oral agent reads near 260 HU. The numbers are our choice [D]."""
