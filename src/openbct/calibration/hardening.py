"""What rays that pass bone lose to a correction made for water, computed slice by slice from the image itself, and taken off its HU."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from ..errors import CalibrationError
from ..records import Array, CalibratedVolume, Calibrator, Reference, Scan, Segmentation, Step
from ..volume import Volume
from .attenuation import effective_energy, load_table, mass_attenuation
from .body import water_equivalent
from .outline import draw_outline
from .phantom import Phantom
from .reprojection import Reprojection

PIXEL_MM, SLAB_MM = 2.5, 8.0
"""Pixel and slice of the rays [mm] [design]: small beside a rod and a cortex, whose own hardening coarser pixels smear over their surroundings (4.8 mm cost
1 to 1.5 % of density over a phantom of apatite rods [computed])."""
BONE_HU, CORTEX_HU, INSIDE_HU = 80.0, 150.0, 60.0
"""Pixels are bone that read more than the first as the mean of themselves and their neighbours, or alone more than the second, or that such bone encloses and
that read more than the third [HU] [design]: soft tissue without contrast agent reads less."""
MARROW_HU = -20.0
"""Of equal parts of red and yellow marrow, 11 and -49 HU at 120 kV (Schneider 2000) [recalled]."""
CORTICAL, CORTICAL_APATITE = 1.92, 1.083
"""Density of cortical bone [g/cm³], and the apatite in it: 22.5 % calcium by mass, ICRU Report 44 [recalled], apatite being 39.9 % calcium [computed]."""
LONGEST_CM = 80.0
JOSEPH_1978 = Reference(
    "Joseph PM, Spital RD. A method for correcting bone induced artifacts in computed tomography scanners. J Comput Assist Tomogr 2:100 (1978)",
    "recalled",
)
SCHNEIDER_2000 = Reference(
    "Schneider W, Bortfeld T, Schlegel W. Correlation between CT numbers and tissue parameters needed for Monte Carlo simulations of clinical dose "
    "distributions. Phys Med Biol 45:459 (2000): bone as cortical bone and marrow",
    "recalled",
)
SECOND_ORDER_1986 = Reference(
    "Quantitative bone measurements using x-ray computed tomography with second-order correction. Med Phys 13:474 (1986): accuracy of vertebral and "
    "cortical density with and without such a correction",
    "seen",
)


@dataclass(frozen=True)
class HardeningCorrected:
    """A calibrator whose scan, and that of its phantom, is corrected for beam hardening in bone first."""

    calibrator: Calibrator

    name = "hardening corrected"

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the calibrated scan; ``density = slope * HU + intercept`` holds for the corrected HU.

        Raises
        ------
        CalibrationError
            The image cuts the body or is not in HU; and as the calibrator's.
        """
        corrected, most, energy = correct_scan(scan)
        inner = self.calibrator
        if isinstance(inner, Phantom) and inner.elsewhere is not None:
            inner = replace(inner, elsewhere=correct_scan(inner.elsewhere, energy)[0])
        found = inner(corrected, segmentation)
        spectra = Reference(f"Spectra of rays: {load_table('ray_spectra.toml')['source']}", "computed")
        step = Step(
            found.step.stage,
            "HU were first corrected for the hardening of rays in bone: each slice was split into water and apatite (bone as marrow and cortical bone), "
            "projected, read with a computed spectrum behind a water correction, and what that correction gets wrong was reconstructed and taken off. "
            f"{found.step.sentence}",
            (*found.step.references, JOSEPH_1978, SCHNEIDER_2000, SECOND_ORDER_1986, spectra),
            (
                *found.step.cautions,
                f"The correction for hardening in bone changed HU by up to {most:.0f}; a scanner that corrects for bone itself would be corrected twice, and "
                "published classes of density were set without it.",
            ),
        )
        return replace(found, step=step, quantities={**found.quantities, "hardening_largest_hu": float(most)})


def correct_scan(scan: Scan, energy: float | None = None) -> tuple[Scan, float, float]:
    """Return a scan without the errors of rays that passed bone, the largest change [HU], and the energy that is right [keV].

    Right is what a single line at ``energy`` would read: where not given, the effective energy behind this body. A phantom in another scan is given that of the
    body, so that both stand on one scale.

    Raises
    ------
    CalibrationError
        The image is not in HU, or cuts the body: rays are not known then.
    """
    image = scan.image
    if image.unit != "HU":
        raise CalibrationError(f"found an image in {image.unit}, expected HU: only HU can be corrected for hardening")
    water, whole = water_equivalent(draw_outline(image, slice(0, image.shape[2])))
    if not whole or water == 0.0:
        raise CalibrationError(
            'found a body that the image cuts, expected a whole one for hardening = "correct": what lies outside hardens rays as well; '
            "reconstruct the full field of view, or leave the key out"
        )
    kvp = 120.0 if scan.acquisition.kvp is None else scan.acquisition.kvp
    right = effective_energy(kvp, water)[0] if energy is None else energy
    error, step = hardening_error(image, kvp, right)
    array = _less(image.array, error, step)
    return replace(scan, image=image.with_array(array)), float(np.abs(error).max()), right


def hardening_error(image: Volume, kvp: float, energy: float) -> tuple[Float[Array, "i j k"], tuple[int, int, int]]:
    """Return what bone makes rays of a tube voltage read wrong [HU], on blocks of an image, and the voxels of a block.

    Right is what a single line at ``energy`` [keV] would read.
    """
    across = [max(1, round(PIXEL_MM / float(edge))) for edge in image.spacing[:2]]
    thick = max(1, round(SLAB_MM / float(image.spacing[2])))
    step = (across[0], across[1], thick)
    shape = tuple(-(-n // size) for n, size in zip(image.shape, step))
    water, apatite = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    for k in range(shape[2]):
        slab = image.array[:, :, k * thick : (k + 1) * thick].mean(axis=2, dtype=np.float32)
        water[:, :, k], apatite[:, :, k] = _substances(_blocks(slab, across, shape[:2]), energy)
    edges = image.spacing[:2] * step[:2] / 10.0
    rays = Reprojection((shape[0], shape[1]), (float(edges[0]), float(edges[1])))
    lengths = [rays.project(part.reshape(-1, shape[2])) for part in (water, apatite)]
    wrong = misread(lengths[0], lengths[1], kvp, energy)
    return (1000.0 * rays.reconstruct(wrong)).reshape(shape).astype(np.float32), step


def _substances(hu: Float[Array, "a b"], energy: float) -> tuple[Float[Array, "a b"], Float[Array, "a b"]]:
    """Return how much water [1 being water] and how much apatite [g/cm³] the pixels of a slab are worth at an energy [keV].

    Bone is cortical bone and marrow by volume, whatever is no bone is water of its own density; both attenuate as much as the image says.

    References
    ----------
    Schneider et al. 2000 (see :data:`SCHNEIDER_2000`).
    """
    smooth = ndimage.uniform_filter(hu, 3)
    bone = (smooth > BONE_HU) | (hu > CORTEX_HU)
    closed = ndimage.binary_closing(np.pad(bone, 3), np.ones((3, 3)), iterations=2)[3:-3, 3:-3]
    bone |= ndimage.binary_fill_holes(closed) & (smooth > INSIDE_HU)
    of_water = mass_attenuation("water", energy)
    cortical = 1000.0 * (CORTICAL * mass_attenuation("cortical_bone", energy) / of_water - 1.0)
    share = np.where(bone, np.maximum(hu - MARROW_HU, 0.0) / (cortical - MARROW_HU), 0.0)
    apatite = CORTICAL_APATITE * share
    return np.maximum(1.0 + hu / 1000.0 - mass_attenuation("CHA", energy) / of_water * apatite, 0.0), apatite


def misread(water: Float[Array, "..."], apatite: Float[Array, "..."], kvp: float, energy: float) -> Float[Array, "..."]:
    """Return by how much rays read too much after a water correction, in water [cm]; negative behind bone.

    ``water`` in cm of 1 g/cm³, ``apatite`` in g/cm². Between the table's tube voltages it is interpolated.
    """
    table = load_table("ray_spectra.toml")
    known = sorted(float(key) for key in table if key not in ("source", "mark"))
    low = max([each for each in known if each <= kvp], default=known[0])
    high = min([each for each in known if each >= kvp], default=known[-1])
    share = 0.0 if high == low else (kvp - low) / (high - low)
    gain = mass_attenuation("CHA", energy) / mass_attenuation("water", energy)
    right = water + gain * apatite
    found = [_seen(table[f"{each:.0f}"], water, apatite) - right for each in dict.fromkeys((low, high))]
    return np.asarray(found[0] if len(found) == 1 else (1 - share) * found[0] + share * found[1])


def _seen(bins: dict[str, list[float]], water: Float[Array, "..."], apatite: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the length of water [cm] for which a scanner takes rays."""

    def reading(through: Float[Array, "..."], bone: Float[Array, "..."] | float) -> Float[Array, "..."]:
        signal = np.zeros(np.shape(through))
        for part, mu_water, mu_bone in zip(bins["share"], bins["water"], bins["apatite"]):
            signal += part * np.exp(-mu_water * through - mu_bone * bone)
        return np.asarray(-np.log(np.maximum(signal, 1e-12)))

    lengths = np.linspace(0.0, LONGEST_CM, 801)
    return np.asarray(np.interp(reading(water, apatite), reading(lengths, 0.0), lengths))


def _blocks(plane: Float[Array, "i j"], size: list[int], shape: tuple[int, ...]) -> Float[Array, "a b"]:
    """Return block means of a plane that is padded at its ends by its own border."""
    more = [(0, n * edge - length) for n, edge, length in zip(shape, size, plane.shape)]
    padded = np.pad(plane, more, mode="edge")
    return np.asarray(padded.reshape(shape[0], size[0], shape[1], size[1]).mean(axis=(1, 3)))


def _less(array: Array, error: Float[Array, "a b c"], step: tuple[int, int, int]) -> Array:
    """Return an image less an error on blocks, interpolated between the blocks' middles; integers stay integers."""
    out = np.empty_like(array)
    at = [np.clip((np.arange(n) - (size - 1) / 2) / size, 0, m - 1) for n, size, m in zip(array.shape, step, error.shape)]
    low = [np.minimum(place.astype(int), max(m - 2, 0)) for place, m in zip(at, error.shape)]
    part = [(place - base).astype(np.float32) for place, base in zip(at, low)]
    upper = [np.minimum(base + 1, m - 1) for base, m in zip(low, error.shape)]
    for k in range(array.shape[2]):
        plane = (1 - part[2][k]) * error[:, :, low[2][k]] + part[2][k] * error[:, :, upper[2][k]]
        plane = plane[low[0]] * (1 - part[0][:, None]) + plane[upper[0]] * part[0][:, None]
        plane = plane[:, low[1]] * (1 - part[1]) + plane[:, upper[1]] * part[1]
        found = array[:, :, k] - plane
        limits = (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max) if array.dtype.kind in "iu" else None
        out[:, :, k] = found if limits is None else np.clip(np.rint(found), *limits)
    return out
