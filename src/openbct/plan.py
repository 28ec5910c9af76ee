"""From a protocol's names to the values that the pipeline calls: calibrator, load case, material law, test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np

from .anatomy import locate_femur, locate_vertebra, take_vertebra
from .assessment import Standards
from .binning import Binning
from .calibration import Fixed, Given, HardeningCorrected, Phantom, Phantomless, SiteCorrected
from .cortex import Cortex
from .errors import SettingsError
from .incidence import packaged_incidence
from .linear import CRAWFORD_2003, PISTOIA_2002, SCHILEO_2014, LinearTest
from .loadcases import AsScanned, AxialCompression, SidewaysFall, Stance
from .materials import MATERIALS, TRANSVERSE
from .measured_against import standards_of
from .measures import femoral_densities, measure_femur, measure_vertebra, measure_whole_vertebra, vertebral_densities
from .plugins import find, is_spec, load
from .protocol_rules import SITES
from .records import (
    BoneMask,
    BoneMeasures,
    BoneRegion,
    CalibratedVolume,
    Calibrator,
    DensityKind,
    LoadCase,
    MaterialLaw,
    Mineral,
    Pads,
    Scan,
)
from .risk import RiskStandards
from .settings import CalibrationSettings, FemurSettings, MechanicalSettings, Settings, VertebraSettings, built_in
from .softening import SofteningTest
from .strength import FEMUR_TEST, STANCE_TEST, VERTEBRA_TEST, MechanicalTest
from .strength_reference import StrengthReference
from .uncertainty import ModelSpread, model_spread

VirtualTest = MechanicalTest | LinearTest | SofteningTest


@dataclass(frozen=True)
class Recipe:
    """What is done with one kind of bone."""

    locate: Callable[[BoneMask, CalibratedVolume], BoneRegion]
    measure: Callable[[BoneRegion, CalibratedVolume], BoneMeasures]
    loadcase: LoadCase
    law: MaterialLaw
    test: VirtualTest
    elements: Mapping[str, Any] = field(default_factory=dict)  # beside the law: keywords of openbct.femodel.build_model
    spread: ModelSpread | None = None  # what modelling choices are worth; None: the default's study does not speak for it
    densities: Callable[[BoneRegion, CalibratedVolume], BoneMeasures] | None = None  # of `measure`, for budgets; None: all of it


@dataclass(frozen=True)
class Plan:
    """Every value that a run needs."""

    calibrator: Calibrator
    vertebra: Recipe
    femur: Recipe
    threads: int | None
    title: str  # name and version of the protocol
    sites: tuple[str, ...] = SITES  # kinds of bone that the protocol is made for
    fractures: Mapping[str, Any] | None = field(default_factory=dict)  # of openbct.fractures.assess_fractures; None: nobody looks
    least_confidence: float = 0.0  # of a mask; below, its bone is refused
    standards: Standards = field(default_factory=Standards)  # what the numbers are held against
    risk: RiskStandards = field(default_factory=RiskStandards)
    samples: int = 0  # solutions on coarse voxels that a strength's interval is drawn from

    def recipe(self, bone: str) -> Recipe:
        """Return the recipe for a bone by its name."""
        return self.femur if bone.startswith("femur") else self.vertebra


def make_plan(settings: Settings, *, phantom_scan: Scan | None = None, reference: StrengthReference | None = None) -> Plan:
    """Return the values that a protocol names; ``phantom_scan`` holds the phantom where the scan itself does not, ``reference`` maps strengths.

    Raises
    ------
    SettingsError
        A material law, a plug-in or a calibration is unknown, or the reference belongs to another recipe.
    """
    vertebra, femur, stands = settings.vertebra, settings.femur, settings.femur.loadcase == "stance"
    studied = built_in("femur-stance" if stands else "default").femur
    return Plan(
        calibrator=make_calibrator(settings.calibration, phantom_scan=phantom_scan),
        vertebra=Recipe(
            *_VERTEBRAL[vertebra.pose],
            _compression(vertebra),
            *_law_and_test(vertebra, VERTEBRA_TEST, _SPANS[vertebra.pose]),
            elements=_elements(vertebra),
            spread=model_spread("vertebra") if vertebra == built_in().vertebra else None,
            densities=vertebral_densities if vertebra.pose == "endplates" else None,
        ),
        femur=Recipe(
            locate_femur,
            measure_femur,
            _hip_test(femur),
            *_law_and_test(femur, *_FEMORAL[femur.loadcase]),
            elements=_elements(femur),
            spread=model_spread("stance" if stands else "fall") if femur == studied else None,
            densities=femoral_densities,
        ),
        threads=settings.run.threads or None,
        title=settings.title,
        sites=settings.about.sites,
        fractures=settings.fractures.keywords if vertebra.pose == "endplates" and "vertebra" in settings.about.sites else None,
        least_confidence=settings.segmentation.least_confidence,
        standards=standards_of(settings, reference),
        risk=RiskStandards(packaged_incidence(settings.risk.table), settings.risk.competing_mortality),
        samples=settings.uncertainty.samples,
    )


_VERTEBRAL = {"endplates": (locate_vertebra, measure_vertebra), "as_scanned": (take_vertebra, measure_whole_vertebra)}
_SPANS = {"endplates": "the endplate distance", "as_scanned": "the distance between the middles of the layers of cement"}
"""A vertebra's pose to what finds and what measures it, and what apparent strain refers to."""
_FEMORAL = {
    "sideways_fall": (FEMUR_TEST, "the span between the outer faces of the pads"),
    "stance": (STANCE_TEST, "the distance from the cup to the clamped shaft"),
}
"""A femoral load case to its default test, and what apparent strain refers to."""


def _compression(asked: VertebraSettings) -> AxialCompression | AsScanned:
    """Return the vertebral load case."""
    if asked.pose == "as_scanned":
        return AsScanned()
    words = {"superior": asked.superior, "inferior": asked.inferior, "edge": asked.edge}
    return AxialCompression(voxel=asked.voxel_mm, cap=asked.cap_mm, **words)  # type: ignore[arg-type]


def _hip_test(asked: FemurSettings) -> SidewaysFall | Stance:
    """Return the femoral load case; what the protocol leaves open is the load case's own."""
    lengths = {"pad": asked.pad_mm, "intrusion": asked.intrusion_mm, "distal_support": asked.distal_support_mm}
    given: dict[str, Any] = {name: value for name, value in lengths.items() if value is not None}
    given |= {"voxel": asked.voxel_mm, "head": asked.head, "edge": asked.edge}
    if asked.loadcase == "stance":
        return Stance(load_angle_deg=asked.load_angle_deg or 0.0, **given)
    return SidewaysFall(
        adduction_deg=asked.adduction_deg or 0.0,
        internal_rotation_deg=asked.internal_rotation_deg or 0.0,
        trochanter="bonded" if asked.trochanter == "bonded" else "free",
        **given,
    )


def _elements(asked: MechanicalSettings) -> dict[str, Any]:
    """Return what beside the law makes the elements."""
    elements: dict[str, Any] = {"pads": Pads(asked.pad_mpa, asked.pad_yield_mpa), "cortex": None}
    if asked.cortex != "density":
        elements["cortex"] = Cortex("shell", asked.shell_mm or 0.0) if asked.cortex == "shell" else Cortex("surface")
    if isinstance(asked, VertebraSettings):
        elements["symmetry"] = TRANSVERSE if asked.elasticity == "transverse" else None
        elements["binning"] = Binning(asked.bins, shift=asked.bin_shift) if asked.bins else None
    return elements


def make_calibrator(settings: CalibrationSettings, *, phantom_scan: Scan | None = None) -> Calibrator:
    """Return the calibrator that the settings name."""
    calibrator = _method(settings, phantom_scan)
    if settings.hardening == "correct":
        calibrator = HardeningCorrected(calibrator)
    if settings.site_offset_mg_cm3 is None and settings.site_factor is None:
        return calibrator
    factor = 1.0 if settings.site_factor is None else settings.site_factor
    return SiteCorrected(calibrator, settings.site_offset_mg_cm3 or 0.0, factor, settings.site_source or "")


def _method(settings: CalibrationSettings, phantom_scan: Scan | None) -> Calibrator:
    if is_spec(settings.method):
        calibrator: Calibrator = load(settings.method)
        if not callable(calibrator):
            raise SettingsError(
                f"found a {type(calibrator).__name__} as calibrator {settings.method!r}, expected something to call"
            )
        return calibrator
    mineral: Mineral = "CHA" if settings.mineral == "CHA" else "K2HPO4"
    if settings.method == "phantomless":
        fewest = {} if settings.min_tissues is None else {"min_tissues": settings.min_tissues}
        policy = settings.contrast or "caution"
        return Phantomless(mineral=mineral, energy_kev=settings.energy_kev, contrast=policy, **fewest)
    if settings.method == "phantom":
        return Phantom(settings.phantom or "auto", settings.certificate, phantom_scan, "CHA" if mineral == "CHA" else None)
    if settings.method == "given":
        return Given(mineral=mineral)
    if settings.method == "fixed" and settings.slope_mg_cm3_per_hu is not None and settings.intercept_mg_cm3 is not None:
        return Fixed(
            slope=settings.slope_mg_cm3_per_hu,
            intercept=settings.intercept_mg_cm3,
            mineral=mineral,
            slope_sd=settings.slope_sd_mg_cm3_per_hu,
            intercept_sd=settings.intercept_sd_mg_cm3 or 0.0,
        )
    raise SettingsError(
        f"found calibration method {settings.method!r}, expected phantomless, phantom, fixed (with slope and intercept), given, or "
        "file.py:OBJECT"
    )


def _law_and_test(asked: MechanicalSettings, default: MechanicalTest, span: str) -> tuple[MaterialLaw, VirtualTest]:
    law = _law(asked.material)
    if asked.test == "linear":
        return law, _linear_test(default, asked, span)
    if asked.test == "softening":
        return law, _softening_test(law, default, asked)
    if law.yield_stress is None:
        raise SettingsError(
            f'the material law {law.name!r} has no yield stress, which a load history to failure needs; set test = "linear" beside it, or '
            "take a law that has one (`openbct protocols` lists them)"
        )
    if law.tension_ratio != 1.0 and asked.yield_criterion == "von_mises":
        raise SettingsError(
            f"the material law {law.name!r} yields at {law.tension_ratio:.2f} of its compressive stress in tension, which von Mises cannot "
            'hold; set yield_criterion = "paraboloid" or "mohr_coulomb" beside it'
        )
    return law, _test(default, asked, span)


def _law(name: str) -> MaterialLaw:
    law = find(name, MATERIALS, "material law")
    if not isinstance(law, MaterialLaw):
        raise SettingsError(f"found a {type(law).__name__} as material law {name!r}, expected an openbct MaterialLaw")
    if law.density not in get_args(DensityKind):
        raise SettingsError(
            f"found density kind {law.density!r} of the material law {law.name!r}, expected one of {', '.join(get_args(DensityKind))}: images are "
            "converted to the kind that a law was made for"
        )
    if is_spec(name):
        _try_law(law)
    return law


def _try_law(law: MaterialLaw) -> None:
    """Refuse a user's law that does not give its own check point: a wrong unit shows there, not in a strength.

    Raises
    ------
    SettingsError
        The law fails, or differs from its check point by more than 0.1 %.
    """
    rho, *expected = law.check
    formulas = (law.youngs_modulus, law.yield_stress)
    modulus, stress = (math.nan if formula is None else value for formula, value in zip(formulas, expected, strict=True))
    try:
        with np.errstate(all="ignore"):
            found = [math.nan if f is None else float(np.asarray(f(np.array([rho]))).reshape(-1)[0]) for f in formulas]
    except Exception as error:  # whatever a user's function raises becomes one sentence
        raise SettingsError(
            f"the material law {law.name!r} fails at its check point ({type(error).__name__}: {error}); mend it"
        ) from error
    if not np.allclose(found, np.array((modulus, stress), dtype=float), rtol=1e-3, equal_nan=True):
        raise SettingsError(
            f"found {found[0]:g} MPa modulus and {found[1]:g} MPa yield stress of the material law {law.name!r} at {rho:g} g/cm³, expected "
            f"its own check point, {modulus:g} and {stress:g} MPa; mend the law or the check"
        )


def _test(default: MechanicalTest, asked: MechanicalSettings, span: str) -> MechanicalTest:
    """Return the default test with the protocol's abscissa, which the settings saw to; the words follow the numbers."""
    assert asked.strength_strain is not None and asked.strains is not None and asked.yield_criterion is not None
    soft = asked.strain_between == "endplates"
    strained = "strain of the bone between its pads" if soft else f"apparent strain of {span}"
    names = {"von_mises": "von Mises", "paraboloid": "paraboloid", "mohr_coulomb": "Mohr–Coulomb"}
    criterion = f"force at {100 * asked.strength_strain:g} % {strained}, {names[asked.yield_criterion]} perfect plasticity"
    return replace(
        default,
        strength_strain=asked.strength_strain,
        strains=asked.strains,
        yield_criterion=asked.yield_criterion,
        bbar=asked.bbar,
        criterion=criterion,
        between_ends=soft,
    )


def _softening_test(law: MaterialLaw, default: MechanicalTest, asked: MechanicalSettings) -> SofteningTest:
    """Return the test of a softening bone that the settings name."""
    if law.post_yield is None or asked.cortex != "density":
        found = f"the material law {law.name!r}" if law.post_yield is None else f'cortex = "{asked.cortex}"'
        raise SettingsError(
            f'found {found} beside test = "softening", expected a law that says what follows yielding (keyak2005) and cortex = "density"'
        )
    assert asked.travel_mm is not None and asked.increment_mm is not None  # settings saw to it
    return SofteningTest(
        criterion="greatest force of the load history, each voxel softening after a plateau",
        travel=asked.travel_mm,
        increment=asked.increment_mm,
        bbar=asked.bbar,
        plausible=default.plausible,
    )


def _linear_test(default: MechanicalTest, asked: MechanicalSettings, span: str) -> LinearTest:
    """Return the linear test that the settings name, with its words."""
    known: dict[str, Any] = {"bbar": asked.bbar, "plausible": default.plausible}
    if asked.rule == "critical_volume":
        known |= {"critical_strain": asked.critical_strain, "critical_share": asked.critical_share}
        words = f"load at which {100 * known['critical_share']:g} % of the bone exceed an effective strain of {100 * known['critical_strain']:g} %"
        return LinearTest("critical_volume", words, PISTOIA_2002, **known)
    if asked.rule == "principal_strain":
        known |= {key: getattr(asked, key) for key in ("tension_strain", "compression_strain")}
        known["averaging"] = asked.averaging_mm
        words = (
            f"load at which the bone's surface, away from pads and supports, reaches a principal strain of {100 * known['tension_strain']:g} % "
            f"in tension or {100 * known['compression_strain']:g} % in compression"
        )
        words += f", mean over a sphere of {known['averaging']:g} mm" if known["averaging"] else ""
        return LinearTest("principal_strain", words, SCHILEO_2014, **known)
    known["coefficient"] = asked.coefficient or 0.0
    return LinearTest("height", f"{asked.coefficient:g} times stiffness times {span}", CRAWFORD_2003, **known)
