"""What a plug-in is: a law, a segmenter, a calibrator, a load case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float

from .bone import BoneRegion, Boundary, PostYield, Specimen
from .origin import Array, DensityKind, Reference
from .scan import CalibratedVolume, Scan, Segmentation


@dataclass(frozen=True)
class MaterialLaw:
    """A published relation from density to stiffness and strength; densities in g/cm³, results in MPa."""

    name: str
    density: DensityKind
    """The kind that the paper used; images are converted to it."""
    youngs_modulus: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    yield_stress: Callable[[Float[Array, "..."]], Float[Array, "..."]] | None
    """In compression; ``None``: the source gives none, and the law serves linear tests alone."""
    clip: tuple[float, float]
    """Densities are clipped to this range before the law [g/cm³]; the clipped fractions are reported."""
    valid: tuple[float, float]
    """Range that the paper fitted [g/cm³]; outside: a caution with the fraction."""
    reference: Reference
    check: tuple[float, float, float | None]
    """Density [g/cm³], modulus [MPa] and yield stress [MPa] of one point worked out by hand from the printed formula."""
    poisson_ratio: float = 0.3
    tension_ratio: float = 1.0
    """Tensile over compressive yield stress."""
    tissue: bool = False
    """The law is that of the tissue itself, not of a volume with marrow in it: for images that resolve trabeculae."""
    post_yield: Callable[[Float[Array, "..."], float], PostYield] | None = None
    """What follows yielding in voxels of an edge [mm]; ``None``: the source gives nothing, or we leave it out."""


@runtime_checkable
class Segmenter(Protocol):
    """Finds bones in a scan."""

    def __call__(self, scan: Scan) -> Segmentation:
        """Return the bones and reference tissues of a scan."""
        ...


@runtime_checkable
class Calibrator(Protocol):
    """Turns HU into mineral density; labels may help it."""

    def __call__(self, scan: Scan, segmentation: Segmentation) -> CalibratedVolume:
        """Return the scan in mineral density."""
        ...


@runtime_checkable
class LoadCase(Protocol):
    """Mounts a bone and says what is held and what moves."""

    @property
    def name(self) -> str:
        """Key in settings and results."""
        ...

    def mount(self, region: BoneRegion) -> Specimen:
        """Return the bone in the testing machine, with its pads."""
        ...

    def constrain(self, specimen: Specimen) -> Boundary:
        """Return what is held, what moves and where the load is read."""
        ...
