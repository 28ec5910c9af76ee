"""Names and numbers of the structures that the simulator draws: those of TotalSegmentator's main task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LABELS: Mapping[str, int] = MappingProxyType(
    {
        "lung_lower_lobe_left": 11, "lung_lower_lobe_right": 14, "spleen": 1, "kidney_right": 2, "kidney_left": 3,
        "liver": 5, "stomach": 6, "small_bowel": 18, "colon": 20,
        "urinary_bladder": 21, "sacrum": 25, "vertebrae_L6": 118, "vertebrae_L5": 27, "vertebrae_L4": 28, "vertebrae_L3": 29, "vertebrae_L2": 30,
        "vertebrae_L1": 31, "vertebrae_T12": 32, "vertebrae_T11": 33, "vertebrae_T10": 34, "aorta": 52, "inferior_vena_cava": 63,
        "iliac_artery_left": 65, "iliac_artery_right": 66, "iliac_vena_left": 67, "iliac_vena_right": 68, "femur_left": 75,
        "femur_right": 76, "hip_left": 77, "hip_right": 78, "gluteus_maximus_left": 80, "gluteus_maximus_right": 81,
        "gluteus_medius_left": 82, "gluteus_medius_right": 83, "autochthon_left": 86, "autochthon_right": 87,
        "iliopsoas_left": 88, "iliopsoas_right": 89, "rib_left_10": 101, "rib_left_11": 102, "rib_left_12": 103,
        "rib_right_10": 113, "rib_right_11": 114, "rib_right_12": 115,
    }
)  # fmt: skip
"""Structure to integer; a sixth lumbar vertebra, which that task has not, follows its last."""

BODY_LABELS: Mapping[str, int] = MappingProxyType(
    {"T10": 17, "T11": 18, "T12": 19, "L1": 20, "L2": 21, "L3": 22, "L4": 23, "L5": 24, "L6": 25}
)
"""Level to integer of its vertebral body, in a map of its own."""
