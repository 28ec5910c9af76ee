"""A case without its image: what a comparison needs of each bone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..records import BoneResult, CalibratedVolume, Case
from ..visits import Visit, VisitBone
from ..volume import Volume, corners, crop, to_index

ROOM = 25.0
"""Of density kept around a bone's box: it may lie turned by some degrees at the other date [mm] [design]."""


def visit_of(case: Case, *, date: str | None = None) -> Visit:
    """Return a visit; ``date`` (ISO) stands for one that the case does not hold.

    Raises
    ------
    InputError
        The case was never calibrated: it has no density to compare.
    """
    calibration = case.calibration
    if calibration is None:
        raise InputError("found a result without a calibration, expected densities to compare; analyse the scan again")
    bones: dict[str, VisitBone] = {}
    missing = dict(case.segmentation.absent)
    for result in case.bones:
        kept = _bone(result, calibration)
        if kept is None:
            missing[result.bone] = result.reason or "it was not measured"
        else:
            bones[result.bone] = kept
    x, y, z = case.scan.image.spacing.tolist()
    checks = case.examination.checks if case.examination else ()
    return Visit(
        date=date or case.scan.acquisition.study_date,
        patient=case.scan.patient,
        acquisition=case.scan.acquisition,
        digest=case.scan.digest,
        calibration=replace(calibration, density=_one_voxel(calibration.density)),
        bones=bones,
        missing=missing,
        protocol=case.protocol,
        settings=case.settings,
        version=case.versions.get("openbct", "unknown"),
        spacing=(x, y, z),
        doubts=tuple(caution for caution in case.cautions if "level" in caution),
        contrast_seen=any("contrast" in check.rule and check.outcome != "ok" for check in checks),
    )


def _bone(result: BoneResult, calibration: CalibratedVolume) -> VisitBone | None:
    if result.region is None or result.measures is None:
        return None
    strength = result.strength
    if strength is not None:
        nothing = np.zeros((0, 0, 0))
        strength = replace(strength, failed=nothing, displacement=np.zeros((0, 0, 0, 3)), stress=None)
    region = result.region
    return VisitBone(
        result.bone,
        region,
        result.measures,
        _around(region.density, calibration.density),
        strength,
        result.unfit,
        result.cautions,
        result.budgets,
    )


def _around(box: Volume, image: Volume) -> Volume:
    """Return the image in a wider box, as an array of its own: the image itself can be forgotten."""
    if image.array.size < box.array.size:
        return box
    index = to_index(image.affine, corners(box))
    room = np.ceil(ROOM / image.spacing)
    part = crop(
        image, np.floor(index.min(axis=0) - room).astype(int).tolist(), np.ceil(index.max(axis=0) + room + 1).astype(int).tolist()
    )
    return part.with_array(np.ascontiguousarray(part.array))


def _one_voxel(image: Volume) -> Volume:
    return Volume(np.zeros((1, 1, 1), dtype=np.float32), image.affine, image.unit)
