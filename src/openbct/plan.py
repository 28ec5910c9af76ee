"""From a protocol's names to the values that the pipeline calls: calibrator, load case, material law, test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .anatomy import locate_femur, locate_vertebra
from .calibration import Fixed, Given, Phantomless
from .errors import SettingsError
from .loadcases import AxialCompression, SidewaysFall
from .materials import MATERIALS
from .measures import measure_femur, measure_vertebra
from .plugins import find, is_spec, load
from .records import BoneMask, BoneMeasures, BoneRegion, CalibratedVolume, Calibrator, LoadCase, MaterialLaw, Mineral
from .settings import CalibrationSettings, FemurSettings, Settings, VertebraSettings
from .strength import FEMUR_TEST, VERTEBRA_TEST, MechanicalTest


@dataclass(frozen=True)
class Recipe:
    """What is done with one kind of bone."""

    locate: Callable[[BoneMask, CalibratedVolume], BoneRegion]
    measure: Callable[[BoneRegion, CalibratedVolume], BoneMeasures]
    loadcase: LoadCase
    law: MaterialLaw
    test: MechanicalTest


@dataclass(frozen=True)
class Plan:
    """Every value that a run needs."""

    calibrator: Calibrator
    vertebra: Recipe
    femur: Recipe
    threads: int | None
    scale: str

    def recipe(self, bone: str) -> Recipe:
        """Return the recipe for a bone by its name."""
        return self.femur if bone.startswith("femur") else self.vertebra


def make_plan(settings: Settings) -> Plan:
    """Return the values that a protocol names.

    Raises
    ------
    SettingsError
        A material law, a plug-in or a calibration is unknown.
    """
    vertebra, femur = settings.vertebra, settings.femur
    return Plan(
        calibrator=make_calibrator(settings.calibration),
        vertebra=Recipe(
            locate_vertebra,
            measure_vertebra,
            AxialCompression(
                voxel=vertebra.voxel_mm, cap=vertebra.cap_mm, superior="bonded" if vertebra.superior == "bonded" else "free"
            ),
            *_law_and_test(vertebra, VERTEBRA_TEST),
        ),
        femur=Recipe(
            locate_femur,
            measure_femur,
            SidewaysFall(
                voxel=femur.voxel_mm, adduction_deg=femur.adduction_deg, internal_rotation_deg=femur.internal_rotation_deg
            ),
            *_law_and_test(femur, FEMUR_TEST),
        ),
        threads=settings.run.threads or None,
        scale=settings.run.scale,
    )


def make_calibrator(settings: CalibrationSettings) -> Calibrator:
    """Return the calibrator that the settings name."""
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
        return Phantomless(mineral=mineral, energy_kev=settings.energy_kev, **fewest)
    if settings.method == "given":
        return Given(mineral=mineral)
    if settings.method == "fixed" and settings.slope_mg_cm3_per_hu is not None and settings.intercept_mg_cm3 is not None:
        return Fixed(slope=settings.slope_mg_cm3_per_hu, intercept=settings.intercept_mg_cm3, mineral=mineral)
    raise SettingsError(
        f"found calibration method {settings.method!r}, expected phantomless, fixed (with slope and intercept), given, or file.py:OBJECT"
    )


def _law_and_test(settings: VertebraSettings | FemurSettings, default: MechanicalTest) -> tuple[MaterialLaw, MechanicalTest]:
    law, test = _law(settings.material), _test(default, settings)
    if law.tension_ratio != 1.0 and settings.yield_criterion == "von_mises":
        raise SettingsError(
            f"the material law {law.name!r} yields at {law.tension_ratio:.2f} of its compressive stress in tension, which von Mises cannot "
            'hold; set yield_criterion = "paraboloid" or "mohr_coulomb" beside it'
        )
    return law, test


def _law(name: str) -> MaterialLaw:
    law = find(name, MATERIALS, "material law")
    if not isinstance(law, MaterialLaw):
        raise SettingsError(f"found a {type(law).__name__} as material law {name!r}, expected an openbct MaterialLaw")
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
    rho, modulus, stress = law.check
    try:
        with np.errstate(all="ignore"):
            found = [float(np.asarray(f(np.array([rho]))).reshape(-1)[0]) for f in (law.youngs_modulus, law.yield_stress)]
    except Exception as error:  # whatever a user's function raises becomes one sentence
        raise SettingsError(
            f"the material law {law.name!r} fails at its check point ({type(error).__name__}: {error}); mend it"
        ) from error
    if not np.allclose(found, (modulus, stress), rtol=1e-3):
        raise SettingsError(
            f"found {found[0]:g} MPa modulus and {found[1]:g} MPa yield stress of the material law {law.name!r} at {rho:g} g/cm³, expected "
            f"its own check point, {modulus:g} and {stress:g} MPa; mend the law or the check"
        )


def _test(default: MechanicalTest, settings: VertebraSettings | FemurSettings) -> MechanicalTest:
    """Return the default test with the protocol's abscissa; the words follow the numbers."""
    names = {"von_mises": "von Mises", "paraboloid": "paraboloid", "mohr_coulomb": "Mohr–Coulomb"}
    span = "the endplate distance" if default is VERTEBRA_TEST else "the span between the outer faces of the pads"
    criterion = (
        f"force at {100 * settings.strength_strain:g} % apparent strain of {span}, "
        f"{names[settings.yield_criterion]} perfect plasticity"
    )
    return replace(
        default,
        strength_strain=settings.strength_strain,
        strains=settings.strains,
        yield_criterion=settings.yield_criterion,
        bbar=settings.bbar,
        criterion=criterion,
    )
