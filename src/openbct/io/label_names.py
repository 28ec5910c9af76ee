"""Names of structures: whatever a person, a program or a code says, in the one naming of :class:`~openbct.records.LabelMap`."""

from __future__ import annotations

import re
from collections.abc import Mapping

LEVEL = re.compile(r"(?:^|[_ ])(c|t|th|d|l|s)[_ ]?0?(\d{1,2})(?=$|[_ ])", re.IGNORECASE)
BODY_WORDS = {"body", "bodies", "corpus", "vb"}
WHOLE_WORDS = {
    "vertebra",
    "vertebrae",
    "vertebral",
    "vert",
    "whole",
    "bone",
    "lumbar",
    "thoracic",
    "level",
    "spine",
    "mask",
    "seg",
}
SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}
BONES = {
    "femur": "femur",
    "femora": "femur",
    "femurs": "femur",
    "hip": "hip",
    "pelvis": "hip",
    "innominate": "hip",
    "hipbone": "hip",
}
BONE_WORDS = {"proximal", "bone", "whole", "mask", "seg", "upper", "structure", "of"}
WRITTEN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

SCT_LEVELS: Mapping[str, str] = {
    "14806007": "C1", "39976000": "C2", "113205007": "C3", "5329002": "C4", "36978003": "C5", "36054005": "C6", "87391001": "C7",
    "64864005": "T1", "53733008": "T2", "1626008": "T3", "73071006": "T4", "56401006": "T5", "45296009": "T6", "62487009": "T7",
    "11068009": "T8", "82687006": "T9", "7610001": "T10", "12989004": "T11", "23215003": "T12", "66794005": "L1",
    "14293000": "L2", "36470004": "L3", "11994002": "L4", "49668003": "L5", "65985001": "S1",
}  # fmt: skip
"""SNOMED CT codes of vertebrae [SC]: context groups of pydicom 3.0 (PS3.16), and the table that TotalSegmentator writes SEG with."""
SCT_STRUCTURES: Mapping[str, str] = {
    "71341001": "femur", "310651003": "femur", "29836001": "hip", "54735007": "sacrum", "15825003": "aorta",
    "244849004": "autochthon", "68455001": "iliopsoas", "181674001": "gluteus_maximus", "78333006": "gluteus_medius",
    "75297007": "gluteus_minimus", "67769002": "subcutaneous_fat", "127954009": "skeletal_muscle", "43993008": "rib_12",
    "58830002": "rib_11",
}  # fmt: skip
SCT_SIDES: Mapping[str, str] = {"7771000": "left", "24028007": "right"}
SCT_SEVERAL = ("51282000", "272673000", "71388002")
"""Codes that many structures share (vertebra, bone, "unspecified"): the segment's own words tell more."""


def structure_name(words: str) -> str:
    """Return the structure that somebody's words name: ``"L1 body"`` is ``"vertebral_body_L1"``, ``"Left Femur"`` ``"femur_left"``.

    Words that name no bone of ours come back as they are where they are one plain word, else in lower case with underscores.
    """
    words = words.strip()
    spaced = re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_")
    parts = [part for part in spaced.lower().split("_") if part]
    found = LEVEL.search(spaced)
    if found:
        region = {"th": "t", "d": "t"}.get(found.group(1).lower(), found.group(1).lower()).upper()
        level, others = f"{region}{int(found.group(2))}", set(LEVEL.sub("", spaced).lower().split("_")) - {""}
        if others and others <= BODY_WORDS | WHOLE_WORDS and others & BODY_WORDS:
            return f"vertebral_body_{level}"
        if others <= WHOLE_WORDS:
            return f"vertebrae_{level}"
    sides = [SIDES[part] for part in parts if part in SIDES]
    bones = [BONES[part] for part in parts if part in BONES]
    if len(bones) == 1 and len(sides) <= 1 and not set(parts) - set(SIDES) - set(BONES) - BONE_WORDS:
        return f"{bones[0]}_{sides[0]}" if sides else ("femora" if bones[0] == "femur" else bones[0])
    return words if WRITTEN.fullmatch(words) else spaced.lower()


def structure_of_code(scheme: str, value: str, modifier: str) -> str | None:
    """Return the structure of a SNOMED CT code with its laterality; ``None`` where the code says too little."""
    if scheme not in ("SCT", "SRT", "99SDM") or value in SCT_SEVERAL:
        return None
    if value in SCT_LEVELS:
        return f"vertebrae_{SCT_LEVELS[value]}"
    name = SCT_STRUCTURES.get(value)
    side = SCT_SIDES.get(modifier)
    if name is None:
        return None
    if name.startswith("rib_"):
        return f"rib_{side}_{name.removeprefix('rib_')}" if side else None
    if name in ("sacrum", "aorta", "subcutaneous_fat", "skeletal_muscle"):
        return name
    return f"{name}_{side}" if side else ("femora" if name == "femur" else name)


def is_bone(name: str) -> bool:
    """Tell a bone that is analysed from tissue around it."""
    return name.startswith(("vertebra", "femur", "femora"))


def is_structure(name: str) -> bool:
    """Tell a name that anything in this package reads, by its form: a person's words may be a patient's."""
    return bool(KNOWN.fullmatch(name))


KNOWN = re.compile(
    r"vertebrae_[CTLS]\d{1,2}|vertebral_body_[CTLS]\d{1,2}|vertebrae_body|vertebral_bodies|cement_(?:inferior|superior)_[TL]\d{1,2}"
    r"|(?:femur|hip)_(?:left|right)|femora|hip|sacrum|rib_(?:left|right)_\d{1,2}|aorta|subcutaneous_fat|skeletal_muscle"
    r"|(?:autochthon|iliopsoas|gluteus_maximus|gluteus_medius|gluteus_minimus)_(?:left|right)|spinal_cord|spinal_canal"
)
"""Structures that are analysed, counted from, or calibrated on."""
