"""How far a mask can be trusted: the overlap with the bone that the image itself lets expect.

Along each normal of the mask's surface the nearest edge of the image is looked for, bright inside and dark outside. Its distance says how far
the surface is off there; the mean over the surface, times its area, is the volume on which mask and bone disagree::

      image       ____ bone
                 |   e: the edge, where the image falls fastest outwards
        _________|         off = distance from the mask's surface to e
      outside    e  surface

A surface without an edge (a cut through bone, a leak into soft tissue) counts as off by as far as was looked. A leak that ends at the next bone's
own edge is told by its thickness: plates and bridges vanish when the mask is opened by a ball, a body or a femur does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..records import Array
from ..volume import Volume, crop, offset_in, to_index, to_patient

REACH = 5.0
"""Edges are looked for this far on both sides of the surface [mm] [D]."""
STEP = 0.5
"""Along a normal [mm] [D]."""
OVER = 2.0
"""The image's fall outwards is read over this distance [mm]: about the blur of a clinical scan [D]."""
CLEAR_FALL = 60.0
"""Fall from which an edge is one [HU]: an osteoporotic body against fat or disc shows this much [D]. Across voxels longer than ``OVER`` the same
edge falls over the whole voxel, and the part of it that ``OVER`` sees is asked for."""
NOISY = 2.0
"""An edge must also stand out of the noise along its profile by this factor [D]."""
PREFERRED = 3.0
"""Of two edges the nearer is preferred: weights fall by a Gaussian of this deviation [mm] [D]."""
SAMPLED = 1500
"""Points of the surface [D]."""
BLUR = 0.7
"""The image is smoothed by this along the surface before it is read [mm] [D]."""
USUAL_OFF, USUAL_VOXELS = 0.35, 0.5
"""Mean distance at which a right mask already lies from the edges, because blur and voxels move them: at least so many mm, and so many of
the voxel's edge along the normal [C]: chosen among 0.3 to 0.6 on simulated scans of voxels of 1.25 to 5 mm."""
THIN = {"body": (4.0, 0.06), "femur": (5.0, 0.02)}
"""Radius of the ball that a mask is opened by [mm], and the share of it that a right mask loses at its corners [C]: 0.02 to 0.06 of simulated
bodies, 0.005 of simulated femora; a whole vertebra has thin processes, and is not asked."""
SHARES_CUT = 0.5
"""What a bone that the image cuts keeps of its confidence [D]."""
VOLUMES = {"femur": (60.0, 420.0), "T": (5.0, 65.0), "L": (15.0, 95.0), "whole": (15.0, 160.0)}
"""Volumes of adults [cm³]: a femur from the head to 10 to 90 mm below the lesser trochanter, bodies, a whole vertebra; wide [D]."""
DOUBTED = 0.85
"""Confidence below which a whole bone carries a caution [C]: no right mask of the scans that it was chosen with, and nine in ten of those whose
overlap was below 0.8, lay below."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a mask."""

    off: float
    """Mean distance from its surface to the edges of the image [mm]."""
    edged: float
    """Share of the surface that has an edge near it."""
    overlap: float
    """Overlap (Dice) with the bone that ``off`` lets expect."""
    plausible: float
    """1 for a usual volume, falling to 0 at three times the largest or a third of the smallest."""
    thin: float = 0.0
    """Share of the mask in plates and bridges, beyond what a right mask has."""

    @property
    def solid(self) -> float:
        """Overlap with the bone where the thin share is none of it."""
        return 2.0 * (1.0 - self.thin) / (2.0 - self.thin)

    @property
    def confidence(self) -> float:
        """Expected overlap, by edges and by thickness, times plausibility, 0 to 1."""
        return float(np.clip(self.overlap * self.solid * self.plausible, 0.0, 1.0))


def weigh(bone: str, part: str, mask: Volume, image: Volume) -> Evidence:
    """Return what the image says of a mask.

    Parameters
    ----------
    part
        ``"body"`` or ``"whole"``.
    mask
        Boolean sub-box of the image's voxels; the image may be in HU or in mg/cm³, whose edges are alike.
    """
    pad = np.ceil((REACH + OVER) / image.spacing).astype(int)
    start = offset_in(mask, image)
    low, high = np.maximum(start - pad, 0), np.minimum(start + np.array(mask.shape) + pad, image.shape)
    around = crop(image, low.tolist(), high.tolist())
    inside = np.zeros(around.shape, dtype=bool)
    inside[tuple(slice(int(a), int(a) + n) for a, n in zip(start - low, mask.shape))] = mask.array
    volume = float(inside.sum()) * image.voxel_volume
    plausible = _plausible(bone, part, volume / 1000.0)
    thin = _thin(inside, image.spacing, bone, part)
    points, outwards, area = _surface(inside, around)
    if len(points) == 0:
        return Evidence(REACH, 0.0, 0.0, plausible, thin)
    long = np.linalg.norm(outwards @ (image.affine[:3, :3] / image.spacing) * image.spacing, axis=1)
    long = np.maximum(long, float(image.spacing.min()))  # a surface without a direction
    off, edged = _distances(points, outwards, long, around)
    # mask and bone differ by the layer between them: twice the common part over the sum is one less half of that layer's share
    overlap = 1.0 - area * _layer(off, edged, long) / (2.0 * volume)
    return Evidence(float(off.mean()), float(edged.mean()), float(np.clip(overlap, 0.0, 1.0)), plausible, thin)


def _layer(off: Float[Array, " n"], edged: Bool[Array, " n"], long: Float[Array, " n"]) -> float:
    """Return the mean thickness of what lies between mask and bone [mm], beyond what a right mask has anyway.

    ``long`` is the voxel's length along each normal [mm]: surfaces that look along thick slices are judged apart from the others.
    """
    across = long > (long.min() + long.max()) / 2 if long.max() > 1.3 * long.min() else np.ones(len(long), dtype=bool)
    total = 0.0
    for group in (across, ~across):
        seen = group & edged
        if seen.any():
            usual = max(USUAL_OFF, USUAL_VOXELS * float(long[group].mean()))
            total += float(seen.mean()) * float(np.sqrt(max(float(off[seen].mean()) ** 2 - usual**2, 0.0)))
        total += float((group & ~edged).mean()) * REACH
    return total


def kept_of(bone: str, cut: bool) -> float:
    """Return what a bone keeps of its confidence where the image cuts it; a femur's shaft is cut by nearly every image."""
    return SHARES_CUT if cut and not bone.startswith("femur") else 1.0


def why_doubted(bone: str, evidence: Evidence) -> str | None:
    """Return why a bone's mask is doubted, or ``None``."""
    if evidence.confidence >= DOUBTED:
        return None
    if evidence.plausible < 0.9:
        return f"{bone}: the mask has a volume that few adults' bones have; it may hold two bones, or a part of one (confidence {evidence.confidence:.2f})."
    if evidence.solid < evidence.overlap:
        return (
            f"{bone}: {100 * evidence.thin:.0f} % of the mask are thin plates or bridges beyond what such a bone has: it may have leaked into its neighbours; "
            f"look at the outline (confidence {evidence.confidence:.2f})."
        )
    return (
        f"{bone}: the surface of the mask lies {evidence.off:.1f} mm from the edges of the image on average (where there is none, {REACH:g} mm), "
        f"{100 * (1 - evidence.edged):.0f} % of it without one: an overlap with the bone of about {evidence.overlap:.2f} must be expected; look at the outline."
    )


def _surface(inside: Array, image: Volume) -> tuple[Float[Array, "n 3"], Float[Array, "n 3"], float]:
    """Return points on a mask's surface, its outward normals, patient LPS, and its area [mm²]; on the image's border there are none."""
    spacing = image.spacing
    blur = np.maximum(1.0, 0.5 * spacing) / spacing
    field = ndimage.gaussian_filter(np.pad(inside, 1, mode="edge").astype(np.float32), blur)[1:-1, 1:-1, 1:-1]
    slopes = np.stack([slope / step for slope, step in zip(np.gradient(field), spacing)], axis=-1)
    # the field falls from one to zero across the surface: the integral of its slope is the area
    steep = np.linalg.norm(slopes, axis=-1)
    area = float(steep.sum()) * image.voxel_volume
    rim = np.argwhere(inside & ~ndimage.binary_erosion(inside, border_value=1))
    rim = rim[:: max(1, len(rim) // SAMPLED)]
    if len(rim) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3)), 0.0
    at = tuple(rim.T)
    long = np.maximum(steep[at], 1e-6)
    outwards = -slopes[at] / long[:, None]
    away = np.clip((field[at] - 0.5) / long, -1.5, 1.5)
    places = rim + away[:, None] * outwards / spacing
    turn = image.affine[:3, :3] / spacing
    return to_patient(image.affine, places), np.asarray(outwards @ turn.T), area


def _distances(
    points: Float[Array, "n 3"], outwards: Float[Array, "n 3"], long: Float[Array, " n"], image: Volume
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Return how far each point lies from an edge of the image [mm], and whether there is one."""
    reach = np.arange(-REACH - OVER / 2, REACH + OVER / 2 + STEP / 2, STEP)
    smooth = ndimage.gaussian_filter(image.array.astype(np.float32), BLUR / image.spacing)
    index = to_index(image.affine, points[:, None, :] + reach[:, None] * outwards[:, None, :])
    profiles = ndimage.map_coordinates(smooth, index.reshape(-1, 3).T, order=1, mode="nearest").reshape(len(points), -1)
    lag = round(OVER / STEP)
    fall = profiles[:, :-lag] - profiles[:, lag:]
    where = reach[: fall.shape[1]] + OVER / 2
    noise = np.median(np.abs(np.diff(profiles, n=2, axis=1)), axis=1) * 1.4826 / 6**0.5
    weight = np.exp(-0.5 * (where / PREFERRED) ** 2)
    best = np.argmax(fall * weight, axis=1)
    height = fall[np.arange(len(fall)), best]
    edged = height >= np.maximum(CLEAR_FALL * np.minimum(1.0, OVER / long), NOISY * noise)
    return np.where(edged, np.abs(where[best]), REACH), np.asarray(edged)


def _plausible(bone: str, part: str, volume: float) -> float:
    """Return 1 for a volume [cm³] of an adult's bone, falling with its logarithm to 0 at a third of the least and three times the most."""
    kind = "femur" if bone.startswith("femur") else "whole" if part == "whole" else bone[0]
    low, high = VOLUMES.get(kind, VOLUMES["L"])
    beyond = max(np.log(low / max(volume, 1e-6)), np.log(max(volume, 1e-6) / high), 0.0)
    return float(np.clip(1.0 - beyond / np.log(3.0), 0.0, 1.0))


def _thin(inside: Bool[Array, "i j k"], spacing: Float[Array, "3"], bone: str, part: str) -> float:
    """Return the share of a mask that vanishes when it is opened by a ball, beyond what a right mask loses."""
    kind = "femur" if bone.startswith("femur") else part
    if kind not in THIN:
        return 0.0
    radius, usual = THIN[kind]
    used = [np.flatnonzero(inside.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    mask = np.pad(inside[tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in used)], 1)
    half = 0.5 * float(spacing.min())  # distances are between the centres of voxels: the surface lies half a voxel nearer
    core = ndimage.distance_transform_edt(mask, sampling=spacing) - half > radius
    if not core.any():
        return 1.0 - usual
    kept = (ndimage.distance_transform_edt(~core, sampling=spacing) - half <= radius + half) & mask
    return max(1.0 - float(kept.sum()) / float(mask.sum()) - usual, 0.0)
