"""Vertebrae from head to foot: labels that run the other way belong to an image that is upside down, or to other levels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from ..errors import SegmentationError


def check_order(heights: Mapping[str, float], order: tuple[str, ...]) -> list[str]:
    """Return the doubt where neighbouring levels lie in the wrong order.

    Parameters
    ----------
    heights
        By level, how high its label lies in the patient [any unit]; larger is nearer to the head.
    order
        Every level that there is, from the head down.

    Raises
    ------
    SegmentationError
        Most of the levels lie in the wrong order.
    """
    present = [level for level in order if level in heights]
    pairs = list(pairwise(present))
    wrong = [(upper, lower) for upper, lower in pairs if heights[upper] <= heights[lower]]
    if not wrong:
        return []
    if 2 * len(wrong) > len(pairs):
        raise SegmentationError(
            f"found the labels of {' and '.join(wrong[0])} in the wrong order, and {len(wrong)} of {len(pairs)} such pairs in all, expected {wrong[0][0]} "
            "nearer to the head: image and labels are upside down, or the levels are misnamed; repair the header or the table of labels"
        )
    names = ", ".join(f"{lower} above {upper}" for upper, lower in wrong)
    return [
        f"The labels have {names}: these levels are misnamed or their labels are damaged, and a strength may be that of another vertebra."
    ]
