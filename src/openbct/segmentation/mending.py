"""Given labels mended before bones are taken from them; every change is told."""

from __future__ import annotations

from dataclasses import replace

from ..records import LabelMap
from ..volume import Volume
from .neighbours import merged_parted, pieces_given_back, uneven_heights
from .sides import sides_put_right, split_femora


def mend(labels: LabelMap, image: Volume) -> LabelMap:
    """Return labels with sides put right, femora of one label told apart, mixed and merged vertebrae parted; with what was done.

    The arrays are copied only where something changes.

    Raises
    ------
    SegmentationError
        The map is mirrored.
    """
    array, names, cautions = split_femora(labels.volume, labels.names)
    volume = labels.volume if array is labels.volume.array else labels.volume.with_array(array)
    names, said = sides_put_right(volume, names, image)
    cautions += said
    for step in (
        lambda array, names: merged_parted(array, names, volume.spacing),
        pieces_given_back,
    ):
        array, names, said = step(array, names)
        cautions += said
    cautions += uneven_heights(array, names, float(volume.spacing[2]))
    if array is not labels.volume.array:
        volume = labels.volume.with_array(array)
    return replace(labels, volume=volume, names=names, cautions=(*labels.cautions, *cautions))
