"""Where a femur would break: the region that dissipates most of the plastic work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .records import Array, BoneRegion, FEModel, Reference, StrengthResult
from .volume import to_patient

SITES = ("head", "neck", "intertrochanteric", "subtrochanteric")
LOWER_BORDER = 10.0
"""The lesser trochanter's lower border below its apex [mm] [D]; the same length ends the total hip."""
REFERENCE = Reference(
    "Fracture site of a femur as the region with the largest share of the plastic work, and its regions' borders", "design"
)


def predict_site(result: StrengthResult, model: FEModel, region: BoneRegion) -> StrengthResult:
    """Return the result of a femur with its predicted fracture site and each region's share of the plastic work; others unchanged.

    Plastic work of an element is its equivalent plastic strain times its yield stress, exact for von Mises and perfect plasticity.
    Regions follow the neck axis and the shaft: head, beyond the head's centre; neck, from there (a subcapital fracture is one of the neck)
    to one mean neck radius lateral of its narrowest section; subtrochanteric, more than 10 mm below the apex of the lesser
    trochanter; intertrochanteric, what is left.
    """
    if region.kind != "femur":
        return result
    index = np.argwhere(result.failed > 0)
    if len(index) == 0:
        return result
    at = tuple(index.T)
    work = result.failed[at] * model.yield_stress[at]
    regions = _regions(to_patient(model.to_patient, index.astype(float)), region)
    total = float(work.sum())
    shares = {site: float(work[regions == n].sum()) / total for n, site in enumerate(SITES)}
    site = max(shares, key=lambda name: shares[name])
    step = replace(
        result.step,
        sentence=f"{result.step.sentence} The predicted fracture site of a femur is the region with the largest share of the plastic work.",
        references=(*result.step.references, REFERENCE),
    )
    quantities = {**result.quantities, **{f"plastic_work_{name}": share for name, share in shares.items()}}
    return replace(result, site=site, quantities=quantities, step=step)


def _regions(points: Array, region: BoneRegion) -> Array:
    """Return the number in :data:`SITES` of the region in which each point lies."""
    head, neck = region.landmarks["head_centre"], region.landmarks["neck_centre"]
    axis = (head - neck) / np.linalg.norm(head - neck)
    mean = float(np.sqrt(region.lengths["neck_area"] / np.pi))
    centre = float(np.linalg.norm(head - neck))
    along = (points - neck) @ axis
    height = (points - region.landmarks["lesser_trochanter_axis"]) @ region.frame.axes[:, 2]
    regions = np.where(along > centre, 0, np.where(along > -mean, 1, 2))
    # far below, the plane across the neck's axis no longer tells neck from shaft
    return np.asarray(np.where(height < -LOWER_BORDER, 3, regions))
