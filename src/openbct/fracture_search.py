"""All whole vertebrae of a scan, those that nobody asked for too: located, graded, and what a fracture means for a bone's result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .errors import InputError
from .fractures import assess_fractures
from .gaps import bones_in_gaps
from .plan import Plan
from .records import BoneResult, CalibratedVolume, FractureAssessment, Scan, Segmentation

UNLOCATED = "its body could not be measured"


def search_fractures(
    scan: Scan,
    segmentation: Segmentation,
    calibration: CalibratedVolume,
    bones: Sequence[BoneResult],
    plan: Plan,
    on_bug: Callable[[str, Exception], None],
) -> FractureAssessment:
    """Return the grades of every whole vertebra of a scan; bodies that were located before are taken as they are."""
    masks = {name: mask for name, mask in {**segmentation.bones, **segmentation.others}.items() if not name.startswith("femur")}
    broken = bones_in_gaps(scan, replace(segmentation, bones=masks))
    known = {bone.bone: bone.region for bone in bones if bone.region is not None}
    regions, ungraded = {}, {}
    for name, mask in masks.items():
        if name in broken:
            ungraded[name] = broken[name]
            continue
        try:
            regions[name] = known.get(name) or plan.vertebra.locate(mask, calibration)
        except InputError as error:
            ungraded[name] = str(error)
        except Exception as error:
            on_bug(name, error)
            ungraded[name] = f"{name}: {UNLOCATED} ({type(error).__name__}, a bug of the program)"
    confidence = {name: mask.confidence for name, mask in masks.items()}
    return assess_fractures(regions, ungraded=ungraded, confidence=confidence, sex=scan.patient.sex, **(plan.fractures or {}))


def with_fracture(bone: BoneResult, found: FractureAssessment) -> BoneResult:
    """Return a bone's result with the doubts of its grade, and with why it stands for nothing in the spine's means, where that is so."""
    grade = next((one for one in found.vertebrae if one.level == bone.bone), None)
    if grade is None or grade.grade == 0:
        return bone
    status = "caution" if bone.status == "ok" else bone.status
    unfit = bone.unfit or found.left_out.get(bone.bone)
    return replace(bone, cautions=(*bone.cautions, *grade.cautions), status=status, unfit=unfit)


def doubts_beside(found: FractureAssessment, bones: Sequence[BoneResult]) -> tuple[str, ...]:
    """Return the doubts that stand with no bone's result: of the spine as a whole, and of vertebrae that nobody asked for."""
    told = {caution for bone in bones for caution in bone.cautions}
    return tuple(caution for caution in found.step.cautions if caution not in told)
