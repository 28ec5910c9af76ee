"""Bones found in the image alone: no labels, no weights, no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SegmentationError
from ..records import BoneMask, Scan, Segmentation, Step
from ..volume import Volume
from .confidence import kept_of, weigh, why_doubted
from .femora import find_femora
from .found import FoundBones
from .given import FEMORA, LEVELS, _wanted
from .joint_plate import ALONE
from .likeness import compared
from .spine import find_spine

Finder = Callable[[Volume, tuple[str, ...]], FoundBones]
"""An image [HU] in canonical orientation, and the bones that are asked for, to the bones of one region."""
REGIONS: tuple[tuple[tuple[str, ...], Finder], ...] = ((LEVELS, find_spine), (FEMORA, find_femora))
"""Bones and what finds them; a finder runs where one of its bones is asked for."""
FINDERS_SHARE = 0.15
"""Part of a confidence that the finder's own parts can take [D]: their mean is no overlap, and of good bodies in slices of 5 mm it was 0.4 to 0.6 [C]."""
NOT_LOOKED_FOR = "this version does not look for it without labels"


@dataclass(frozen=True)
class BuiltIn:
    """Finds vertebral bodies and femora by their shape and density."""

    bones: tuple[str, ...] | None = None
    """Bones to look for; ``None``: T12 to L4 and both femora."""

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the bones of a scan.

        The confidence of a mask is the overlap with the bone that the image lets expect (:mod:`.confidence`), less what its finder
        doubts of it (``FoundBones.parts``), and less where its volume is unlike that of its neighbours or the other side (:mod:`.likeness`); a
        vertebra that the image cuts keeps half.

        Raises
        ------
        SettingsError
            A bone that is asked for has an unknown name.
        SegmentationError
            None of the bones was found; the reasons are in the message.
        """
        wanted = _wanted(self.bones)
        asked = [(names, finder) for names, finder in REGIONS if set(names) & set(wanted)]
        results = [finder(scan.image, wanted) for _, finder in asked]
        bones = {name: mask for result in results for name, mask in result.bones.items() if name in wanted}
        bones = {name: bones[name] for name in wanted if name in bones}
        reasons = {name: reason for result in results for name, reason in result.absent.items()}
        absent = {name: reasons.get(name, NOT_LOOKED_FOR) for name in wanted if name not in bones}
        if not bones:
            told = "; ".join(f"{name}: {reason}" for name, reason in absent.items())
            raise SegmentationError(
                f"found none of {', '.join(wanted)} in the image, expected at least one bone; give --labels with a label map of this scan ({told})"
            )
        doubts: list[str] = []
        others = {name: mask for result in results for name, mask in result.others.items()}
        for result in results:
            for name, parts in result.parts.items():
                if name in others:
                    others[name] = _judged(others[name], of_finder(parts), scan.image)[0]
                if name in bones:
                    bones[name], said = _judged(bones[name], of_finder(parts), scan.image)
                    doubts += said
        bones, unlike = compared(bones)
        doubts += unlike
        sentence = " ".join(result.sentence for result in results if result.sentence)
        references = tuple(dict.fromkeys(one for result in results for one in result.references))
        cautions = (*(caution for result in results for caution in result.cautions), *doubts)
        tissues = {name: volume for result in results for name, volume in result.tissues.items()}
        return Segmentation(bones, tissues, Step("segmentation", sentence, references, cautions), absent, others=others)


def _judged(bone: BoneMask, found: float, image: Volume) -> tuple[BoneMask, list[str]]:
    """Return the bone with the confidence of the image, less where its finder has doubts, and what is doubted of a whole one."""
    evidence = weigh(bone.bone, bone.part, bone.mask, image)
    confidence = found * evidence.confidence * kept_of(bone.bone, bone.touches_edge)
    doubted = None if kept_of(bone.bone, bone.touches_edge) < 1.0 else why_doubted(bone.bone, evidence)
    return replace(bone, confidence=confidence), [doubted] if doubted else []


def of_finder(parts: Mapping[str, float]) -> float:
    """Return what a finder's own parts leave of a confidence: little, but a head that is not alone takes its share in full.

    How sure a level's name is says nothing about the mask.
    """
    rest = combined(value for name, value in parts.items() if name not in ("level", ALONE))
    return min(1.0 - FINDERS_SHARE * (1.0 - rest), parts.get(ALONE, 1.0))


def combined(parts: Iterable[float]) -> float:
    """Return the geometric mean of quantities between 0 and 1; 1 where there are none."""
    values = np.clip(np.array(list(parts), dtype=float), 0.0, 1.0)
    return float(np.exp(np.log(np.maximum(values, 1e-6)).mean())) if values.size else 1.0
