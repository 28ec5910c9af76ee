"""What an earlier run of the same scan found for a bone, taken over where nothing that it rests on has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import InputError
from .records import BoneMask, BoneResult, CalibratedVolume, Case, Scan, Step
from .volume import Volume

STAGE = "reuse"
NOT_COMPARED = {"run": ("bones", "threads"), "segmentation": None}
"""Settings that no bone's result rests on: which bones were asked for, how many threads worked, who found the bones."""


def check_reusable(earlier: Case, scan: Scan, settings: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """Refuse an earlier case of which nothing can be taken over.

    Raises
    ------
    InputError
        Another scan, other settings, another version, or plug-ins, whose content nobody compares.
    """
    if earlier.scan.digest != scan.digest:
        raise InputError("found an earlier result of another scan, expected one of this scan's very voxels; leave --reuse out")
    if earlier.versions.get("openbct") != versions.get("openbct"):
        raise InputError(
            f"found an earlier result of version {earlier.versions.get('openbct', 'unknown')}, expected one of version {versions.get('openbct')}; leave "
            "--reuse out"
        )
    before, now = _compared(earlier.settings), _compared(settings)
    other = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if other:
        raise InputError(
            f"found an earlier result with other settings ({', '.join(other[:5])}), expected the same protocol; leave --reuse out, or take the "
            "protocol.toml of the earlier result"
        )
    if any(".py:" in str(value) for value in now.values()):
        raise InputError(
            "found a protocol with a plug-in, expected none beside --reuse: nobody knows whether the plug-in has changed; leave it out"
        )


def _compared(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that results rest on, flat."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        skipped = NOT_COMPARED.get(key, ())
        if skipped is None:
            continue
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        flat |= {f"{key}.{name}".rstrip("."): repr(_plain(one)) for name, one in entries if name not in skipped}
    return flat


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def taken_over(
    earlier: Case | None, mask: BoneMask, calibration: CalibratedVolume, examined: Step | None, doubts: tuple[str, ...]
) -> BoneResult | None:
    """Return an earlier result of this very bone; ``None`` where it has none, or where its mask or its density has changed.

    What its neighbours said of it then is left out: they may have changed.
    """
    if earlier is None or earlier.calibration is None or not _same_line(earlier.calibration, calibration):
        return None
    before = earlier.segmentation.bones.get(mask.bone)
    result = next((bone for bone in earlier.bones if bone.bone == mask.bone), None)
    if before is None or result is None or result.strength is None or not _same_mask(before, mask):
        return None
    known = [step for step in result.steps if step.stage != STAGE]
    if (examined is not None) != (known[0].stage == "acquisition") or (examined is not None and known[0] != examined):
        return None
    cautions = tuple(caution for step in known for caution in step.cautions)
    said = Step(
        STAGE, "Bones whose mask and density had not changed since an earlier run of the same scan were taken over from it."
    )
    return replace(result, status="caution" if cautions or doubts else "ok", cautions=cautions, steps=(*known, said))


def is_taken_over(result: BoneResult) -> bool:
    """Tell a result that was taken over."""
    return any(step.stage == STAGE for step in result.steps)


def _same_line(a: CalibratedVolume, b: CalibratedVolume) -> bool:
    return bool(
        a.method == b.method
        and a.mineral == b.mineral
        and np.allclose((a.slope, a.intercept), (b.slope, b.intercept), rtol=1e-12, atol=0.0)
        and np.allclose(a.covariance, b.covariance, rtol=1e-9, atol=0.0)
    )


def _same_mask(a: BoneMask, b: BoneMask) -> bool:
    pads = ((one, two) for one, two in zip(a.pads or (), b.pads or ()))
    return (
        (a.part, a.touches_edge, a.pads is None) == (b.part, b.touches_edge, b.pads is None)
        and _same(a.mask, b.mask)
        and all(_same(one, two) for one, two in pads)
    )


def _same(a: Volume, b: Volume) -> bool:
    return a.shape == b.shape and bool(np.allclose(a.affine, b.affine, atol=1e-6)) and bool(np.array_equal(a.array, b.array))
