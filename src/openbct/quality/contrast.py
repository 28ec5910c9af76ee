"""Contrast agent as the image shows it: in the aorta, in organs beside the spine, in the bowel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from ..acquisition import rule
from ..records import Acquisition, Check, Segmentation
from ..volume import Volume, crop, offset_in
from .checks import check
from .coarse import Look, SpineLine, ball, spine_line

Array = np.ndarray
VESSEL_IN_FRONT = (28.0, 80.0)
"""The aorta's axis lies between these distances before the median of the spine's bone [mm] [D]."""
VESSEL_SIDEWAYS = 32.0
"""And within this of the midline [mm] [D]."""
VESSEL_RADIUS, VESSEL_LENGTH = 5.0, 50.0
"""A vessel holds a ball of this radius and goes on for this length [mm] [D]."""
EVEN_HU = 150.0
"""Blood is even: from its darkest to its brightest tenth less than this, bone is not [HU] [D]."""
ORGAN_SIDEWAYS, ORGAN_DEPTH = (28.0, 95.0), (-30.0, 45.0)
"""Kidneys lie at these distances from the midline, and before the median of the spine's bone from behind to in front [mm] [D]."""
ORGAN_RADIUS, ORGAN_CM3 = 7.0, 20.0
"""A kidney holds balls of this radius [mm] and more than this volume [cm³] [D]."""
BOWEL_IN_FRONT, BOWEL_RADIUS, BOWEL_CM3 = 70.0, 4.0, 15.0
"""Bowel lies farther before the spine than this, holds balls of this radius [mm] and has this volume [cm³] [D]."""
BRIGHTEST, DENSE_HU = 1200.0, 500.0
"""Agent in the bowel is below the first; a piece with a twentieth above the second is bone, or agent too dense to be told from it [HU] [D]."""


def check_contrast(image: Volume, look: Look, segmentation: Segmentation, acquisition: Acquisition) -> list[Check]:
    """Return what aorta, kidneys and bowel read, where they are found."""
    line = spine_line(look)
    found, stated = [], "the header names one" if acquisition.contrast else "the header names none"
    blood, how = _blood(image, look, segmentation, line)
    if blood is not None:
        said = (
            f"Contrast agent was measured: {how} reads {blood:.0f} HU, above {rule('contrast_in_blood').limit():g} HU ({stated}); marrow and muscle "
            f"are enhanced as well; {rule('contrast_in_blood').effect()}."
        )
        found.append(check("contrast_in_blood", blood, said))
    if line is None:
        return found
    enhanced = blood is not None and blood > rule("contrast_in_blood").limit()
    bowel = _bowel(look, line, blood if enhanced else None)
    if bowel is not None:
        said = (
            f"Bowel before the spine reads {bowel:.0f} HU, above {rule('oral_contrast').limit():g} HU: positive oral contrast agent scatters and "
            f"hardens the beam; {rule('oral_contrast').effect()}."
        )
        found.append(check("oral_contrast", bowel, said))
    # Colon lies beside the kidneys: with agent in the bowel and none in the blood it is the colon that is bright there.
    kidneys = _organs(look, line) if enhanced or bowel is None else None
    if kidneys is not None:
        said = (
            f"Contrast agent was measured: organs beside the spine read {kidneys:.0f} HU, above {rule('contrast_in_kidneys').limit():g} HU ({stated}); "
            f"{rule('contrast_in_kidneys').effect()}."
        )
        found.append(check("contrast_in_kidneys", kidneys, said))
    return found


def _blood(image: Volume, look: Look, segmentation: Segmentation, line: SpineLine | None) -> tuple[float | None, str]:
    """Return what the aorta reads [HU], from its label or as a bright vessel before the spine."""
    drawn = segmentation.tissues.get("aorta")
    if drawn is not None:
        start = offset_in(drawn, image)
        part = crop(image, start.tolist(), (start + np.array(drawn.shape)).tolist())
        if part.shape == drawn.shape:
            inner = ndimage.binary_erosion(drawn.array.astype(bool), iterations=max(1, round(2.0 / float(image.spacing[0]))))
            if inner.sum() >= 100:
                return float(np.median(part.array[inner])), "blood in the labelled aorta"
    if line is None:
        return None, ""
    sideways, before = _places(look, line)
    region = look.body & (np.abs(sideways) <= VESSEL_SIDEWAYS)[:, None, :]
    region &= ((before >= VESSEL_IN_FRONT[0]) & (before <= VESSEL_IN_FRONT[1]))[None, :, :]
    bright = region & (look.mean > rule("contrast_in_blood").limit()) & (look.mean < 600.0)
    disc = ball(VESSEL_RADIUS, np.array([look.spacing[0], look.spacing[1], 1e6]))
    opened = ndimage.binary_opening(bright, disc)
    labels, count = ndimage.label(opened)
    length = min(VESSEL_LENGTH, 0.7 * look.mean.shape[2] * float(look.spacing[2]))
    vessels = []
    for number in range(1, count + 1):
        piece = labels == number
        if np.ptp(np.flatnonzero(piece.any(axis=(0, 1)))) * look.spacing[2] >= length:
            low, middle, high = np.quantile(look.mean[piece], (0.1, 0.5, 0.9))
            if high - low < EVEN_HU:
                vessels.append(float(middle))
    # Liver and bowel may reach into the place; the aorta is the brightest of what is even there.
    return (max(vessels), "a vessel before the spine") if vessels else (None, "")


def _organs(look: Look, line: SpineLine) -> float | None:
    """Return what enhanced organs beside the spine read [HU]; ``None`` without any."""
    sideways, before = _places(look, line)
    beside = (np.abs(sideways) >= ORGAN_SIDEWAYS[0]) & (np.abs(sideways) <= ORGAN_SIDEWAYS[1])
    region = beside[:, None, :] & ((before >= ORGAN_DEPTH[0]) & (before <= ORGAN_DEPTH[1]))[None, :, :]
    bright = look.body & region & (look.mean > rule("contrast_in_kidneys").limit()) & (look.mean < 500.0)
    return _largest(look, bright, ORGAN_RADIUS, ORGAN_CM3)


def _bowel(look: Look, line: SpineLine, blood: float | None) -> float | None:
    """Return what positive oral contrast reads [HU]; ``None`` without any, or where it cannot be told from enhanced vessels."""
    _, before = _places(look, line)
    limit = max(rule("oral_contrast").limit(), 1.3 * (blood or 0.0))
    bright = look.body & (before >= BOWEL_IN_FRONT)[None, :, :] & (look.mean > limit) & (look.mean < BRIGHTEST)
    return _largest(look, bright, BOWEL_RADIUS, BOWEL_CM3)


def _largest(look: Look, bright: Bool[Array, "i j k"], radius: float, volume: float) -> float | None:
    """Return the median of pieces that hold a ball and are no bone [HU], where they are as large as asked for [cm³]."""
    found = np.argwhere(bright)
    if found.size == 0:
        return None
    box = tuple(slice(max(0, low - 3), high + 4) for low, high in zip(found.min(axis=0), found.max(axis=0)))
    mean = look.mean[box]
    labels, count = ndimage.label(ndimage.binary_opening(bright[box], ball(radius, look.spacing)))
    whole, block = 0.0, float(np.prod(look.spacing)) / 1000.0
    values = []
    for number in range(1, count + 1):
        piece = labels == number
        if piece.sum() * block < 0.2 * volume:
            continue
        if not _shelled(mean, piece):
            whole += float(piece.sum()) * block
            values.append(mean[piece])
    return float(np.median(np.concatenate(values))) if whole >= volume else None


def _shelled(mean: Float[Array, "i j k"], piece: Bool[Array, "i j k"]) -> bool:
    """Tell bone, which has dense parts and is brightest in its shell, from what holds agent in its middle."""
    inner, wide = ndimage.binary_erosion(piece), ndimage.binary_dilation(piece)
    if not inner.any() or float(np.quantile(mean[wide], 0.95)) > DENSE_HU:
        return True
    return float(np.quantile(mean[wide & ~inner], 0.75)) > float(np.quantile(mean[inner], 0.75))


def _places(look: Look, line: SpineLine) -> tuple[Float[Array, "i k"], Float[Array, "j k"]]:
    """Return each block's distance from the midline and before the spine's bone [mm]."""
    n_i, n_j = look.mean.shape[:2]
    sideways = np.arange(n_i)[:, None] * look.spacing[0] - line.x[None, :]
    before = line.y[None, :] - np.arange(n_j)[:, None] * look.spacing[1]
    return np.asarray(sideways), np.asarray(before)
