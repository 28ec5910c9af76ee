"""Front and back as the other vertebrae have them: a body whose front has sunk can look like one that faces the other way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..records import BoneRegion

OTHER = {"anterior": "posterior", "posterior": "anterior"}


def facing_alike(regions: Mapping[str, BoneRegion]) -> dict[str, BoneRegion]:
    """Return the bodies with front and back exchanged in those that face the other way than most."""
    backs = {level: region.frame.axes[:, 1] for level, region in regions.items()}
    common = np.sum(list(backs.values()), axis=0) if backs else np.zeros(3)
    return {level: region if backs[level] @ common >= 0 else _turned(region) for level, region in regions.items()}


def _turned(region: BoneRegion) -> BoneRegion:
    frame = replace(region.frame, axes=region.frame.axes * np.array([-1.0, -1.0, 1.0]))
    lengths = {_other(name): value for name, value in region.lengths.items()}
    landmarks = {_other(name): point for name, point in region.landmarks.items()}
    return replace(region, frame=frame, lengths=lengths, landmarks=landmarks)


def _other(name: str) -> str:
    """Return a name of heights and their ends with front and back exchanged."""
    word = next((word for word in OTHER if word in name.split("_")), None)
    return name if word is None else name.replace(word, OTHER[word])
