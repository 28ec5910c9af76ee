"""Front, middle and back height of a vertebral body, as a reader of a mid-sagittal picture takes them."""

from __future__ import annotations

import numpy as np

from ..records import Array, Reference
from ..volume import Volume
from .endplate_edge import on_edge
from .sagittal_outline import SHARES, Outline

HEIGHT_AT = {"anterior": 0.15, "middle": 0.50, "posterior": 0.85}
"""Where along the endplates heights are taken; as constants in public code [SC]."""
HEIGHTS_REFERENCE = Reference(
    "Vertebral heights at 15, 50 and 85 % of the antero-posterior axis, as constants in the TotalSegmentator repository", "code"
)
ROUNDING = 1.0
"""By which the corners of the outline lie within the body's full depth: rims are round [mm]; of drawn bodies with edges of 1.3 mm [C]."""
HOLLOW, ASIDE = 0.17, 6.0
"""How far from the middle of the endplates the hollow of a body is looked for, over their length: the middle third [-]; and how much deeper it
must be for a place aside of the middle to be taken [mm over the length], so that noise is no hollow [D]."""


def six_points(outline: Outline, density: Volume) -> tuple[dict[str, Array], dict[str, float]]:
    """Return the six points in patient LPS [mm] and the three heights [mm].

    The endplates are moved to where the image has them. The middle height is that where the body lies lowest below the line from the front
    to the back height: half the way between these less the depth of the hollow, so that a wedge alone has none.
    """
    upper, lower = on_edge(outline, density)
    ends = {"superior": upper, "inferior": lower}
    between = np.linalg.norm(upper - lower, axis=1)
    length = float(np.linalg.norm(outline.corners[[1, 2]] - outline.corners[[0, 3]], axis=1).mean())
    at = {place: (share * (length + 2 * ROUNDING) - ROUNDING) / length for place, share in HEIGHT_AT.items()}
    heights = {place: float(np.interp(share, SHARES, between)) for place, share in at.items()}
    front, back = heights["anterior"], heights["posterior"]
    line = front + (SHARES - at["anterior"]) / (at["posterior"] - at["anterior"]) * (back - front)
    sunk, aside = line - between, np.abs(SHARES - 0.5)
    deepest = int(np.where(aside <= HOLLOW, sunk - ASIDE * aside, -np.inf).argmax())
    heights["middle"] = (front + back) / 2 - float(sunk[deepest])
    at["middle"] = float(SHARES[deepest])
    points = {
        f"{end}_{place}": outline.in_patient(np.array([np.interp(share, SHARES, curve[:, axis]) for axis in (0, 1)]))
        for end, curve in ends.items()
        for place, share in at.items()
    }
    return points, heights
