"""The order of the stages, and nothing else: the only module that knows it.

One bone's refusal never loses another bone, and what a bone had reached before it was refused is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from .assessment import assess
from .comparison import compare
from .errors import CalibrationError, InputError, ModelError, OpenBCTError, SettingsError, SolveError
from .failure import predict_site
from .femodel import build_model
from .fracture_search import doubts_beside, search_fractures, with_fracture
from .gaps import bones_in_gaps, without_gaps
from .linear import LinearTest, measure_linear
from .loadcases import SidewaysFall
from .plan import Plan, Recipe, make_plan
from .plausibility import judged, too_doubtful
from .quality import examine
from .records import (
    BoneMask,
    BoneRegion,
    BoneResult,
    CalibratedVolume,
    Case,
    ErrorBudget,
    FEModel,
    FractureAssessment,
    Scan,
    Segmenter,
    Step,
    StrengthResult,
)
from .reuse import check_reusable, taken_over
from .risk import with_hip_fracture
from .settings import Settings, site_of, to_tables
from .softening import SofteningTest, measure_softening
from .strength import MechanicalTest, measure_strength
from .sweep import FallSweep, sweep_fall
from .uncertainty import COARSER, Draws, budgets_of, density_budgets, drawn, resample, uncertainty_step, with_uncertainty
from .versions import versions

Observer = Callable[[str, str], None]
"""Called with a stage and a bone's name (empty for the whole case) as the stage begins."""
Keep = Callable[[BoneResult, Case], None]
"""Called with each bone's result as soon as it is there, and with the case as it is known until then."""
Bug = Callable[[str, Exception], None]
"""Called with a bone and what went wrong that is none of :mod:`openbct.errors`; may raise it."""
T = TypeVar("T")


def _raise(bone: str, error: Exception) -> None:
    raise error


def analyze(
    scan: Scan,
    segmenter: Segmenter,
    *,
    settings: Settings,
    plan: Plan | None = None,
    observe: Observer = lambda stage, bone: None,
    finished: Keep = lambda result, so_far: None,
    on_bug: Bug = _raise,
    earlier: Case | None = None,
) -> Case:
    """Return everything that can be said about the bones of a scan.

    ``plan`` holds the values that the settings name; pass one of your own, made from :func:`openbct.plan.make_plan` with
    ``dataclasses.replace``, to use a load case or a law that has no name.

    ``observe`` is told what begins; ``finished`` gets each bone's result as soon as it is there, with the case so far, so that
    a run that is broken off loses nothing that was done; what bones say of each other is added at the end. ``on_bug`` decides
    what becomes of an unforeseen error in one bone: it is raised, unless a caller collects it; then the bone is refused and the
    others go on. ``earlier`` is the case of a former run: bones on whose mask and density nothing has changed are taken over.

    Raises
    ------
    InputError
        The scan holds no bone that was asked for, or nothing of ``earlier`` can be taken over.
    SettingsError
        A plug-in, a bone or a setting is unknown.
    """
    plan = plan or make_plan(settings)
    if earlier is not None:
        check_reusable(earlier, scan, to_tables(settings), versions())
    seconds: dict[str, float] = {}
    segmentation = _timed("segmentation", "", lambda: without_gaps(scan, segmenter(scan)), observe, seconds)
    broken = bones_in_gaps(scan, segmentation)
    examination = _timed("acquisition", "", lambda: examine(scan, segmentation), observe, seconds)
    calibration: CalibratedVolume | None = None
    doubts: tuple[str, ...] = (*scan.step.cautions, *segmentation.step.cautions, *examination.step.cautions)
    try:
        calibration = _timed("calibration", "", lambda: plan.calibrator(scan, segmentation), observe, seconds)
        doubts += calibration.step.cautions
        refusal = ""
    except CalibrationError as error:
        refusal = f"density could not be calibrated: {error}"

    fractures: FractureAssessment | None = None

    def collect(bones: list[BoneResult]) -> Case:
        measures = [result.measures for result in bones if result.measures]
        strengths = [result.strength for result in bones if result.strength]
        unfit = {result.bone: result.unfit for result in bones if result.unfit}
        sure = {result.bone: result.budgets for result in bones}
        assessment = assess(
            scan.patient, measures, strengths, standards=plan.standards, unfit=unfit, fractures=fractures, budgets=sure
        )
        assessment = with_hip_fracture(assessment, scan.patient, bones, plan.standards.reference, plan.risk)
        tables, cautions = to_tables(settings), (*doubts, *assessment.step.cautions)
        return Case(
            scan, segmentation, calibration, tuple(bones), assessment, settings.title, tables, versions(), dict(seconds), cautions,
            examination,
        )  # fmt: skip

    # What was asked for by name is answered by name; what else was looked for stays in segmentation.absent.
    absent = segmentation.absent if settings.run.bones != ("auto",) else {}
    missing = [BoneResult(name, "refused", reason, (), ()) for name, reason in absent.items()]
    bones: list[BoneResult] = []
    for name, mask in segmentation.bones.items():
        try:
            if calibration is None or name in broken:
                result = BoneResult(name, "refused", broken.get(name, refusal), (), ())
            elif site_of(name) not in plan.sites:
                result = BoneResult(name, "refused", f"protocol {plan.title} is made for {' and '.join(plan.sites)} only", (), ())
            elif name in examination.refused:
                step = examination.bones[name]
                result = BoneResult(name, "refused", examination.refused[name], step.cautions, (step,))
            elif doubtful := too_doubtful(mask, plan.least_confidence):
                result = BoneResult(name, "refused", doubtful, (), ())
            else:
                examined = examination.bones.get(name)
                result = taken_over(earlier, mask, calibration, examined, doubts) or analyze_bone(
                    mask, calibration, plan.recipe(name), plan=plan, observe=observe, doubts=doubts, examined=examined
                )
        except OpenBCTError:
            raise
        except Exception as error:
            on_bug(name, error)  # a bone's bug is not another bone's end; its text may quote anything and is not shown
            result = BoneResult(name, "refused", f"internal error ({type(error).__name__}): a bug of the program", (), ())
        bones.append(result)
        finished(result, collect([*bones, *missing]))
    bones = judged(bones, scan.patient)
    if calibration is not None and plan.fractures is not None:
        around = (scan, segmentation, calibration)
        fractures = _timed("fractures", "", lambda: search_fractures(*around, bones, plan, on_bug), observe, seconds)
    bones = compare(bones, graded=[one.level for one in fractures.vertebrae] if fractures else ())
    if fractures:
        bones = [with_fracture(bone, fractures) for bone in bones]
        doubts += doubts_beside(fractures, bones)
    case = _timed("assessment", "", lambda: collect([*bones, *missing]), observe, seconds)
    return replace(case, seconds=seconds, fractures=fractures)


def analyze_bone(
    mask: BoneMask, calibration: CalibratedVolume, recipe: Recipe, *, plan: Plan, observe: Observer, doubts: tuple[str, ...] = (),
    examined: Step | None = None,
) -> BoneResult:  # fmt: skip
    """Return one bone's result; a refusal is a result with its reason and with what was reached.

    ``doubts`` are those of the scan as a whole; ``examined`` is what the image says of its making around this bone.
    """
    reached: dict[str, Any] = {}
    budgets: dict[str, ErrorBudget] = {}
    draws: Draws | None = None
    seconds: dict[str, float] = {}
    status, reason = "ok", None
    bone = mask.bone

    def run(stage: str, key: str, stage_function: Callable[[], T]) -> T:
        reached[key] = result = _timed(stage, bone, stage_function, observe, seconds)
        return result

    try:
        region = run("anatomy", "region", lambda: recipe.locate(mask, calibration))
        measured = run("measures", "measures", lambda: recipe.measure(region, calibration))
        again = recipe.densities or recipe.measure
        budgets = _timed("uncertainty", bone, lambda: density_budgets(region, measured, calibration, again), _unseen, seconds)
        specimen = run("mount", "specimen", lambda: recipe.loadcase.mount(region))
        boundary = recipe.loadcase.constrain(specimen)
        model = run("model", "model", lambda: build_model(specimen, boundary, recipe.law, **recipe.elements))
        tested = run("strength", "strength", lambda: predict_site(_tested(model, recipe, plan), model, region))
        budgets = budgets_of(tested, budgets, recipe.spread, region.mask)
        if "strength" in budgets and recipe.spread is not None:
            if plan.samples:
                asked = (region, calibration, _coarse(recipe, plan), recipe.spread, budgets["strength"], plan.samples)
                draws = _timed("resampling", bone, lambda: resample(*asked), _unseen, seconds)
                budgets |= {"strength": drawn(budgets["strength"], draws)} if draws is not None else {}
            reached["strength"] = with_uncertainty(tested, budgets["strength"])
    except (InputError, ModelError, SolveError) as error:
        status, reason = "refused", str(error)
    except MemoryError:
        status, reason = (
            "refused",
            "this machine has too little memory for the model; crop the scan, or take larger voxels in the protocol",
        )
    said = uncertainty_step(budgets, draws)
    steps: tuple[Step, ...] = (*((examined,) if examined else ()), *(record.step for record in reached.values()), *said)
    cautions = tuple(caution for step in steps for caution in step.cautions)
    if status == "ok" and (cautions or doubts):
        status = "caution"
    return BoneResult(bone, status, reason, cautions, steps, seconds=seconds, budgets=budgets, **reached)  # type: ignore[arg-type]


def _tested(model: FEModel, recipe: Recipe, plan: Plan) -> StrengthResult:
    """Return the result of the recipe's test, named after its protocol."""
    result = _measured(model, recipe, plan)
    return replace(result, protocol=plan.title, scale=plan.standards.scale_of(site_of(model.bone)))


def _measured(model: FEModel, recipe: Recipe, plan: Plan) -> StrengthResult:
    if isinstance(recipe.test, LinearTest):
        return measure_linear(model, recipe.test, threads=plan.threads)
    if isinstance(recipe.test, SofteningTest):
        return measure_softening(model, recipe.test, threads=plan.threads)
    return measure_strength(model, recipe.test, threads=plan.threads)


def _coarse(recipe: Recipe, plan: Plan) -> Callable[[BoneRegion], float]:
    """Return the recipe on coarse voxels, from a bone to its strength; the bounds of what is plausible are those of the recipe's own voxels."""
    coarse = replace(recipe, test=replace(recipe.test, plausible=()))
    case: Any = recipe.loadcase
    case = replace(case, voxel=COARSER * case.voxel) if hasattr(case, "voxel") else case

    def solve(region: BoneRegion) -> float:
        specimen = case.mount(region)
        model = build_model(specimen, case.constrain(specimen), recipe.law, **recipe.elements)
        return float(_measured(model, coarse, plan).strength)

    return solve


def sweep_femora(
    scan: Scan,
    segmenter: Segmenter,
    *,
    plan: Plan,
    span_deg: float,
    directions: int,
    nonlinear: bool = True,
    observe: Observer = lambda stage, bone: None,
) -> tuple[Mapping[str, FallSweep | str], tuple[str, ...]]:
    """Return each femur's sweep of fall directions, or why it has none; and the doubts of the scan as a whole.

    Raises
    ------
    InputError
        The scan holds no bone that was asked for, or cannot be calibrated.
    SettingsError
        The plan's femoral load case is no sideways fall.
    """
    loadcase, test = plan.femur.loadcase, plan.femur.test
    if not isinstance(loadcase, SidewaysFall) or "femur" not in plan.sites:
        raise SettingsError(
            f"found the protocol {plan.title} with the femoral load case {loadcase.name!r} for {' and '.join(plan.sites)}, expected a "
            "sideways fall of femora: only falls are swept"
        )
    if plan.femur.law.yield_stress is None:
        raise SettingsError(
            f"found the law {plan.femur.law.name!r} in protocol {plan.title}, expected one with a yield stress: the sweep scales the load until "
            "a share of the bone would pass it; take a law that has one (`openbct protocols` lists them)"
        )
    if nonlinear and not isinstance(test, MechanicalTest):
        kind = "linear" if isinstance(test, LinearTest) else "softening"
        raise SettingsError(
            f"found a {kind} femoral test in protocol {plan.title}, expected a nonlinear one for the sweep's last step; leave it out (--linear-only)"
        )
    segmentation = without_gaps(scan, segmenter(scan))
    calibration = plan.calibrator(scan, segmentation)
    unusable = {**segmentation.absent, **bones_in_gaps(scan, segmentation)}
    swept: dict[str, FallSweep | str] = {name: reason for name, reason in unusable.items() if name.startswith("femur")}
    for name, mask in segmentation.bones.items():
        if not name.startswith("femur") or name in swept:
            continue
        if doubtful := too_doubtful(mask, plan.least_confidence):
            swept[name] = doubtful
            continue
        try:
            region = plan.femur.locate(mask, calibration)
            swept[name] = sweep_fall(
                region,
                loadcase,
                plan.femur.law,
                span_deg=span_deg,
                directions=directions,
                test=test if nonlinear and isinstance(test, MechanicalTest) else None,
                elements=plan.femur.elements,
                threads=plan.threads,
                progress=lambda done, of, name=name: observe(f"direction {done + 1} of {of}", name),  # type: ignore[misc]
            )
        except (InputError, ModelError, SolveError) as error:
            swept[name] = str(error)
    return swept, (*scan.step.cautions, *segmentation.step.cautions, *calibration.step.cautions)


def _unseen(stage: str, bone: str) -> None:
    """Observe nothing: part of the stage before."""


def _timed(stage: str, bone: str, function: Callable[[], T], observe: Observer, seconds: dict[str, float]) -> T:
    observe(stage, bone)
    begin = time.perf_counter()
    try:
        return function()
    finally:
        seconds[stage] = round(time.perf_counter() - begin, 4)
