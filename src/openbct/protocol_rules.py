"""What a protocol may say: keys with their ranges and choices, and which of them go together."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import SettingsError

RANGES: dict[str, tuple[float, float]] = {
    "voxel_mm": (0.2, 4.0),
    "cap_mm": (2.0, 20.0),
    "bins": (0, 1000),
    "shell_mm": (0.05, 3.0),
    "pad_mpa": (1.0, 20_000.0),
    "pad_yield_mpa": (0.1, 1000.0),
    "adduction_deg": (-60.0, 60.0),
    "internal_rotation_deg": (-60.0, 60.0),
    "load_angle_deg": (-30.0, 60.0),
    "pad_mm": (2.0, 40.0),
    "intrusion_mm": (1.0, 39.0),
    "distal_support_mm": (0.2, 30.0),
    "strength_strain": (0.001, 0.1),
    "coefficient": (0.0005, 0.05),
    "critical_strain": (0.0005, 0.05),
    "critical_share": (0.001, 0.9),
    "tension_strain": (0.0005, 0.05),
    "compression_strain": (0.0005, 0.05),
    "averaging_mm": (0.0, 10.0),
    "travel_mm": (0.5, 20.0),
    "increment_mm": (0.005, 0.5),
    "threads": (0, 256),
    "samples": (0, 2000),
    "timeout_min": (0.01, 1440.0),
    "least_confidence": (0.0, 0.99),
    "slope_mg_cm3_per_hu": (0.3, 1.5),
    "intercept_mg_cm3": (-200.0, 200.0),
    "slope_sd_mg_cm3_per_hu": (0.0, 0.5),
    "intercept_sd_mg_cm3": (0.0, 100.0),
    "site_offset_mg_cm3": (-100.0, 100.0),
    "site_factor": (0.5, 2.0),
    "energy_kev": (40.0, 150.0),
    "min_tissues": (2, 4),
    "mild_loss": (0.05, 0.90),
    "moderate_loss": (0.05, 0.90),
    "severe_loss": (0.05, 0.90),
    "left_out_from": (1, 4),
    "neck_dxa_factor": (0.5, 2.0),
    "neck_dxa_offset_g_cm2": (-0.5, 0.5),
    "total_dxa_factor": (0.5, 2.0),
    "total_dxa_offset_g_cm2": (-0.5, 0.5),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "test": ("nonlinear", "linear", "softening"),
    "rule": ("height", "critical_volume", "principal_strain"),
    "loadcase": ("sideways_fall", "stance"),
    "strain_between": ("platens", "endplates"),
    "inferior": ("clamped", "sliding"),
    "superior": ("free", "bonded", "tilting"),
    "head": ("free", "bonded"),
    "trochanter": ("free", "bonded"),
    "edge": ("plain", "bone"),
    "cortex": ("density", "surface", "shell"),
    "pose": ("endplates", "as_scanned"),
    "elasticity": ("isotropic", "transverse"),
    "mineral": ("K2HPO4", "CHA"),
    "contrast": ("caution", "correct", "refuse"),
    "hardening": ("leave", "correct"),
    "yield_criterion": ("von_mises", "paraboloid", "mohr_coulomb"),
    "scale": ("provisional", "none"),
    "profile": ("default", "east-asian-women"),
    "population": ("white", "chinese", "black", "hispanic"),
    "segmenter": ("auto", "builtin", "totalsegmentator", "given"),
    "device": ("auto", "cpu", "gpu", "mps"),
}
SITES = ("vertebra", "femur")
"""Kinds of bone that a protocol may be made for."""
ONLY_FOR: dict[str, tuple[str, str]] = {
    "slope_mg_cm3_per_hu": ("method", "fixed"),
    "intercept_mg_cm3": ("method", "fixed"),
    "slope_sd_mg_cm3_per_hu": ("method", "fixed"),
    "intercept_sd_mg_cm3": ("method", "fixed"),
    "phantom": ("method", "phantom"),
    "certificate": ("method", "phantom"),
    "energy_kev": ("method", "phantomless"),
    "min_tissues": ("method", "phantomless"),
    "contrast": ("method", "phantomless"),
    "strains": ("test", "nonlinear"),
    "strength_strain": ("test", "nonlinear"),
    "strain_between": ("test", "nonlinear"),
    "yield_criterion": ("test", "nonlinear"),
    "pad_yield_mpa": ("test", "nonlinear"),
    "rule": ("test", "linear"),
    "coefficient": ("rule", "height"),
    "critical_strain": ("rule", "critical_volume"),
    "critical_share": ("rule", "critical_volume"),
    "tension_strain": ("rule", "principal_strain"),
    "compression_strain": ("rule", "principal_strain"),
    "averaging_mm": ("rule", "principal_strain"),
    "travel_mm": ("test", "softening"),
    "increment_mm": ("test", "softening"),
    "adduction_deg": ("loadcase", "sideways_fall"),
    "internal_rotation_deg": ("loadcase", "sideways_fall"),
    "trochanter": ("loadcase", "sideways_fall"),
    "load_angle_deg": ("loadcase", "stance"),
    "shell_mm": ("cortex", "shell"),
}
"""A key that one choice of another key alone reads."""
CARRIED = ("pad_mm", "intrusion_mm", "distal_support_mm")
"""Lengths that a load case has defaults for: they are not carried over to another load case."""
NEEDED: dict[tuple[str, str], tuple[str, ...]] = {
    ("test", "nonlinear"): ("strains", "strength_strain", "yield_criterion"),
    ("test", "linear"): ("rule",),
    ("test", "softening"): ("travel_mm", "increment_mm"),
    ("rule", "height"): ("coefficient",),
    ("rule", "critical_volume"): ("critical_strain", "critical_share"),
    ("rule", "principal_strain"): ("tension_strain", "compression_strain", "averaging_mm"),
    ("loadcase", "sideways_fall"): ("adduction_deg", "internal_rotation_deg"),
    ("loadcase", "stance"): ("load_angle_deg",),
    ("cortex", "shell"): ("shell_mm",),
}
"""Keys that a choice cannot do without."""
NOT_TOGETHER = (
    ("superior", "tilting", "test", "softening"),
    ("elasticity", "transverse", "test", "softening"),
    ("elasticity", "transverse", "yield_criterion", "paraboloid"),
    ("elasticity", "transverse", "yield_criterion", "mohr_coulomb"),
)
"""Choices that no solver has together: softening knows neither tilting platens nor anisotropy, which yields by von Mises alone."""
BONES = ("auto", *(f"T{n}" for n in range(1, 14)), *(f"L{n}" for n in range(1, 7)), "femur_left", "femur_right")
"""Names that can be asked for; what is in a scan, the scan says."""

_WHOLE = ("bins", "threads", "min_tissues", "left_out_from", "samples")
_TYPES: dict[str, type] = {
    "bbar": bool,
    "fast": bool,
    "agreement": bool,
    "assess": bool,
    "competing_mortality": bool,
    "bin_shift": bool,
    "certificate": Mapping,
    "threads": int,
    "bones": tuple,
    "strains": tuple,
    "sites": tuple,
    "references": tuple,
}


def check_value(label: str, key: str, value: Any, where: str) -> Any:
    """Return a checked value: numbers in range, names among the choices, lists as tuples of one type."""
    if isinstance(value, list):
        value = tuple(float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v for v in value)
    if key in RANGES:
        low, high = RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise SettingsError(f"{where}: found {label} = {value!r}, expected a number from {low:g} to {high:g}")
        if key in _WHOLE and value != int(value):
            raise SettingsError(f"{where}: found {label} = {value!r}, expected a whole number from {low:g} to {high:g}")
        return int(value) if key in _WHOLE else float(value)
    own = key == "segmenter" and isinstance(value, str) and ".py:" in value  # a plug-in
    if key in CHOICES and value not in CHOICES[key] and not own:
        raise SettingsError(f"{where}: found {label} = {value!r}, expected one of {', '.join(CHOICES[key])}")
    expected = _TYPES.get(key, str)
    if not isinstance(value, expected):
        raise SettingsError(f"{where}: found {label} = {value!r}, expected {expected.__name__}")
    if isinstance(value, tuple):
        _check_list(label, key, value, where)
    return value


def _check_list(label: str, key: str, value: tuple[Any, ...], where: str) -> None:
    if key == "strains" and not all(isinstance(v, float) and 0 < v <= 0.2 for v in value):
        raise SettingsError(f"{where}: found {label} = {list(value)}, expected numbers above 0 and up to 0.2")
    if not value and key != "references":
        raise SettingsError(f"{where}: found an empty {label}, expected at least one entry")
    if key == "bones" and value != ("auto",):
        _check_bones(label, value, where)
    if key == "sites" and not set(value) <= set(SITES):
        raise SettingsError(f"{where}: found {label} = {list(value)}, expected among {', '.join(SITES)}")
    if key == "references" and not all(isinstance(v, str) for v in value):
        raise SettingsError(f"{where}: found {label} = {list(value)}, expected texts")


def _check_bones(label: str, bones: tuple[Any, ...], where: str) -> None:
    for bone in bones:
        if bone not in BONES[1:]:
            near = difflib.get_close_matches(str(bone), BONES, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near and near[0] != bone else ""
            raise SettingsError(
                f"{where}: found {label} {bone!r}, expected auto alone, or names among T1 to L6, femur_left, femur_right{hint}"
            )


def check_known(table: Mapping[str, Any], known: Iterable[str], where: str, section: str) -> None:
    """Refuse a key that nobody reads."""
    names = tuple(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
            raise SettingsError(f"{where}: found unknown setting {section}{key}; {hint}")


def without_stale(section: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section without the keys that a changed choice no longer reads: they belonged to the former one."""
    changed = {key for key, value in changes.items() if section.get(key) != value}
    chosen = {**section, **changes}
    if "test" in changed and "rule" not in changes:  # no test keeps the other's rule
        changed, chosen = changed | {"rule"}, {**chosen, "rule": None}
    kept = {
        key: value
        for key, value in section.items()
        if key not in ONLY_FOR or ONLY_FOR[key][0] not in changed or chosen.get(ONLY_FOR[key][0]) == ONLY_FOR[key][1]
    }
    return {key: value for key, value in kept.items() if key not in CARRIED or "loadcase" not in changed}


def check_section(name: str, values: Mapping[str, Any], where: str) -> None:
    """Refuse keys of a section that do not go together: one that is not read, one that lacks, one that the solver cannot do.

    Raises
    ------
    SettingsError
        With the key, what it stands beside, and where it belongs.
    """
    for key, (selector, only) in ONLY_FOR.items():
        if values.get(key) is not None and selector in values and values[selector] != only:
            beside = "calibration method" if selector == "method" else f"[{name}] {selector}"
            found = f"{values[key]:g}" if isinstance(values[key], float | int) else repr(values[key])
            raise SettingsError(
                f'{where}: found {key} = {found} beside {beside} "{values[selector]}", which does not read it; '
                f'expected it beside "{only}" only: change the {selector} or leave the key out'
            )
    for (selector, choice), keys in NEEDED.items():
        if values.get(selector) == choice:
            missing = [key for key in keys if values.get(key) is None]
            if missing:
                raise SettingsError(f'{where}: [{name}] {selector} = "{choice}" needs {", ".join(missing)}; give them')
    for key, choice, other, word in NOT_TOGETHER:
        if values.get(key) == choice and values.get(other) == word:
            raise SettingsError(
                f'{where}: found [{name}] {key} = "{choice}" beside {other} = "{word}", which no solver has together; change one of them'
            )
