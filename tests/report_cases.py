"""Cases for the report made of simple bodies: an ellipsoid vertebra, a ball on a rod as femur, a curve by formula."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from openbct.records import (
    Acquisition,
    Assessment,
    BoneMask,
    BoneMeasures,
    BoneRegion,
    BoneResult,
    CalibratedVolume,
    Case,
    Finding,
    FractureAssessment,
    Frame,
    Measure,
    Patient,
    Reference,
    ReferenceSample,
    Scan,
    Segmentation,
    Specimen,
    Step,
    StrengthResult,
    VertebraGrade,
)
from openbct.volume import Volume, bounding_box, crop, to_patient

SPACING = np.array([2.0, 2.0, 3.0])
SHAPE = (120, 90, 70)
AFFINE = np.diag([*SPACING, 1.0])
AFFINE[:3, 3] = (-120.0, -90.0, 300.0)
SEEN = Reference("Keaveny TM et al. Osteoporos Int 31:1025 (2020), Table 1", "seen")
RECALLED = Reference("Force at 1.9 % strain as vertebral strength: convention, text not seen", "recalled")
DESIGN = Reference("Surface smoothing of this example", "design")


def grid() -> np.ndarray:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    return to_patient(AFFINE, index.reshape(-1, 3).astype(float)).reshape(*SHAPE, 3)


def ball(points: np.ndarray, centre: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    return (((points - np.array(centre)) / np.array(radii)) ** 2).sum(axis=-1) < 1


def rod(points: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], radius: float) -> np.ndarray:
    a, b = np.array(start), np.array(end)
    share = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(points - (a + share[..., None] * (b - a)), axis=-1) < radius


def scene() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return HU and bone masks of a torso with two vertebrae and a left femur."""
    points = grid()
    torso = ball(points, (0, 0, 400), (112, 84, 260))
    hu = np.where(torso, 40.0, -1000.0) + np.where(torso & ~ball(points, (0, 0, 400), (96, 70, 250)), -140.0, 0.0)
    bones = {
        "L1": ball(points, (0, 20, 470), (23, 17, 15)) & (np.abs(points[..., 2] - 470) < 12),
        "L2": ball(points, (0, 20, 436), (24, 18, 15)) & (np.abs(points[..., 2] - 436) < 12),
        "femur_left": rod(points, (72, 0, 305), (68, 0, 345), 13)
        | rod(points, (68, 2, 350), (48, -6, 374), 11)
        | ball(points, (42, -8, 380), (20, 20, 20)),
    }
    noise = np.random.default_rng(7).normal(0, 12, SHAPE)
    for name, mask in bones.items():
        core = np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
        hu = np.where(mask, np.where(core, 150.0 if name != "femur_left" else 220.0, 520.0), hu)
    return hu + noise, bones


def step(stage: str, sentence: str, *references: Reference, cautions: tuple[str, ...] = ()) -> Step:
    return Step(stage, sentence, references, cautions)


def region(name: str, density: Volume, mask: Volume) -> BoneRegion:
    low, high = bounding_box(mask, 8.0)
    part, inside = crop(density, low.tolist(), high.tolist()), crop(mask, low.tolist(), high.tolist())
    centre = to_patient(inside.affine, np.argwhere(inside.array).mean(axis=0))
    kind = "femur" if name.startswith("femur") else "vertebra"
    landmarks = {"head_centre": np.array([42.0, -8, 380]), "neck_centre": np.array([58.0, -2, 362])} if kind == "femur" else {}
    origin = landmarks.get("head_centre", centre)
    side = "left" if name == "femur_left" else None
    text = f"The frame of {name} was laid through its centre."
    return BoneRegion(
        name, kind, side, part, inside, Frame(origin, np.eye(3)), landmarks, {"height": 24.0}, step("anatomy", text)
    )


def specimen_of(found: BoneRegion) -> Specimen:
    mask = found.mask.array
    return Specimen(
        found.bone, found.density.array, "K2HPO4", mask, np.zeros_like(mask), 2.0, found.mask.affine, 24.0,
        step("loadcase", "Layers of PMMA were moulded onto both ends.", DESIGN),
    )  # fmt: skip


def strength_of(specimen: Specimen, newton: float) -> StrengthResult:
    travel = np.linspace(0, 0.6, 13)
    force = 1.06 * newton * np.tanh(travel / 0.24)
    failed = np.where(specimen.mask, 0.012 * np.clip(1 - np.linspace(-1, 1, specimen.mask.shape[2]) ** 2 * 3, 0, None), 0.0)
    nodes = tuple(n + 1 for n in specimen.mask.shape)
    return StrengthResult(
        specimen.bone, newton, newton / 0.24, np.stack([travel, force], axis=1),
        "force at 1.9 % apparent strain of the endplate distance, von Mises perfect plasticity",
        "Lower cap held, upper cap moved down, free sideways.",
        {"maximum_force_n": float(force.max()), "strength_travel_mm": 0.424, "failed_fraction": 0.61}, failed,
        np.zeros((*nodes, 3)), {"n_elements": float(specimen.mask.sum()), "voxel_mm": 1.0}, 7.3,
        step("strength", "The bone was compressed in twelve steps with a von Mises plasticity model.", RECALLED),
    )  # fmt: skip


def projected(found: BoneRegion) -> dict[str, Volume]:
    """Return the density summed from front to back, with two boxes."""
    areal = np.where(found.mask.array, found.density.array, 0.0).sum(axis=1, keepdims=True) * 2.0 / 1e4
    seen = areal > 0
    k = np.arange(areal.shape[2])
    picture = Volume(areal.astype(float), found.mask.affine, "g/cm2")
    neck, hip = seen & ((k > 13) & (k < 19)), seen & ((k > 6) & (k < 19))
    return {"projection": picture, "femoral_neck": picture.with_array(neck, "mask"), "total_hip": picture.with_array(hip, "mask")}


def bone(name: str, density: Volume, mask: Volume, cautions: tuple[str, ...] = ()) -> BoneResult:
    found = region(name, density, mask)
    specimen = specimen_of(found)
    strength = strength_of(specimen, 2874.0 if name == "femur_left" else 3412.0 + 100 * int(name[-1]))
    core = found.mask.with_array(found.mask.array & np.roll(found.mask.array, 3, 0) & np.roll(found.mask.array, -3, 0), "mask")
    if name == "femur_left":
        values = {
            "femoral_neck_abmd": Measure(0.6234, "g/cm2", "box at the narrowest neck", 0.021),
            "femoral_neck_bmc": Measure(3.37, "g", "box at the narrowest neck"),
            "femoral_neck_area": Measure(5.41, "cm2", "box at the narrowest neck"),
            "total_hip_abmd": Measure(0.7512, "g/cm2", "neck, trochanter and intertrochanter", 0.026),
            "total_hip_bmc": Measure(25.7, "g", "neck, trochanter and intertrochanter"),
            "total_hip_area": Measure(33.24, "cm2", "neck, trochanter and intertrochanter"),
        }
    else:
        values = {
            "trabecular_vbmd": Measure(92.4 + int(name[-1]), "mg/cm3 K2HPO4", "ellipse inside the cortex", 6.2),
            "integral_vbmd": Measure(141.2, "mg/cm3 K2HPO4", "whole body", 7.0),
            "volume": Measure(26.41, "cm3", "whole body"),
        }
    regions = projected(found) if name == "femur_left" else {"body": found.mask, "trabecular": core}
    measures = BoneMeasures(name, values, regions, step("measures", "Density was averaged in a region of the body.", SEEN))
    steps = (found.step, measures.step, specimen.step, strength.step)
    return BoneResult(name, "caution" if cautions else "ok", None, cautions, steps, found, specimen, None, strength, measures, {})


def findings() -> tuple[Finding, ...]:
    vbmd = "80 and 120 mg/cm³ (QCT categories)"
    hip = "T-score −2.5 and −1.0 against young white women, NHANES III"
    strong = "4500 and 6000 N (women); not classified: the recipe's scale is provisional"
    return (
        Finding("trabecular_vbmd", "L1, L2", 94.0, "mg/cm3 K2HPO4", None, "low bone mass", vbmd, (80.0, 120.0), SEEN),
        Finding("femoral_neck_abmd", "femur_left", 0.6234, "g/cm2", -1.955, "low bone mass", hip, (-2.5, -1.0), SEEN),
        Finding("total_hip_abmd", "femur_left", 0.7512, "g/cm2", -1.564, "low bone mass", hip, (-2.5, -1.0), SEEN),
        Finding("strength", "L1", 3512.0, "N", None, None, strong, (4500.0, 6000.0), SEEN),
        Finding("strength", "L2", 3612.0, "N", None, None, strong, (4500.0, 6000.0), SEEN),
        Finding(
            "strength",
            "femur_left",
            2874.0,
            "N",
            None,
            None,
            strong.replace("4500 and 6000", "3000 and 4000"),
            (3000.0, 4000.0),
            SEEN,
        ),
    )


@cache
def plain_case() -> Case:
    """A woman of 72 with two vertebrae and a hip, nothing wrong."""
    hu, bones = scene()
    image = Volume(hu.astype(np.float32), AFFINE, "HU")
    patient = Patient(
        "Miller^Jane", "PID-0042", "1951-03-14", "F", 72.0, 161.0, 62.4, {"sex": "image header", "weight_kg": "user"}
    )  # fmt: skip
    acquisition = Acquisition(
        120.0, "B40s", 3.0, "Example", "Scanner 64", None, "2023-05-02",
        study_uid="1.2.826.0.1.3680043.10.1", series_uid="1.2.826.0.1.3680043.10.1.2",
        accession_number="ACC-7", referring_physician="Example^Alex",
    )  # fmt: skip
    scan = Scan(
        image,
        patient,
        acquisition,
        "DICOM series of 70 slices",
        "ab" * 32,
        step("reading", "Seventy slices were read and placed by their positions."),
    )
    masks = {}
    for name, mask in bones.items():
        whole = Volume(mask, AFFINE, "mask")
        low, high = bounding_box(whole)
        masks[name] = BoneMask(name, crop(whole, low.tolist(), high.tolist()), "body", 0.95, False)
    segmentation = Segmentation(masks, {}, step("segmentation", "Bones were taken from the labels that were given."))
    density = image.with_array((image.array * 0.82 + 3.1).astype(np.float32), "mg/cm3 K2HPO4")
    samples = (
        ReferenceSample("air", -996.0, 9.0, 51234, -813.0, 0.6, "mg/cm3 K2HPO4"),
        ReferenceSample("subcutaneous_fat", -101.0, 14.0, 20411, -78.0, -1.7, "mg/cm3 K2HPO4"),
        ReferenceSample("muscle", 52.0, 17.0, 9120, 44.0, 1.8, "mg/cm3 K2HPO4"),
    )
    calibration = CalibratedVolume(
        density, "K2HPO4", "phantomless: air, fat and muscle", 0.82, 3.1, np.diag([2e-4, 9.0]), samples,
        step("calibration", "HU became density by air, fat and muscle found in the scan.", RECALLED),
    )  # fmt: skip
    results = tuple(bone(name, density, Volume(mask, AFFINE, "mask")) for name, mask in bones.items())
    assessment = Assessment(
        findings(), "low bone mass", "lowest T-score −2.0 (left femoral neck); trabecular density 94 mg/cm³ (L1, L2)",
        2103.0, {"femur_left": 0.73}, step("assessment", "Values were set beside published thresholds.", SEEN),
    )  # fmt: skip
    settings = {
        "name": "default",
        "calibration": {"method": "phantomless"},
        "vertebra": {"voxel_mm": 1.0, "strains": [0.001, 0.0025, 0.005]},
    }
    return Case(
        scan, segmentation, calibration, results, assessment, "default 1", settings, {"openbct": "0.1.0", "numpy": "2.4.6"},
        {"read": 0.4, "segmentation": 0.02, "calibration": 1.31},
    )  # fmt: skip


def one_refused() -> Case:
    """L1 is cut by the image; its mask is known, nothing else."""
    case = plain_case()
    reason = (
        "the bone touches the upper border of the image (14 % of its cross-section), expected a complete body; scan farther up"
    )
    refused = BoneResult("L1", "refused", reason, (), ())
    kept = tuple(replace(f, bone="L2") if f.bone == "L1, L2" else f for f in case.assessment.findings if f.bone != "L1")
    return replace(case, bones=(refused, *case.bones[1:]), assessment=replace(case.assessment, findings=kept))


def all_refused() -> Case:
    """No calibration, so that no bone could be used."""
    case = plain_case()
    reason = "density could not be calibrated: found no muscle of 10 cm³ in the scan, expected one; use a fixed line"
    bones = tuple(BoneResult(b.bone, "refused", reason, (), ()) for b in case.bones)
    none = replace(
        case.assessment, findings=(), category=None, reason="No class: nothing could be measured.", load=None, load_to_strength={}
    )
    segmentation = replace(case.segmentation, absent={"femur_right": "not in the image"})
    return replace(case, bones=bones, calibration=None, assessment=none, segmentation=segmentation)


def unknown_patient() -> Case:
    """Header and user are silent."""
    case = plain_case()
    kept = tuple(
        replace(f, t_score=None, category=None, thresholds=()) if f.t_score is not None else f for f in case.assessment.findings
    )
    assessment = replace(
        case.assessment,
        findings=kept,
        category=None,
        reason="No class: sex and age are not known.",
        load=None,
        load_to_strength={},
    )
    return replace(case, scan=replace(case.scan, patient=Patient(), acquisition=Acquisition()), assessment=assessment)


def density_input() -> Case:
    """The input was density: one vertebra, no references."""
    case = plain_case()
    assert case.calibration is not None
    calibration = replace(case.calibration, method="given", samples=(), slope=1.0, intercept=0.0, covariance=np.zeros((2, 2)))
    scan = replace(case.scan, image=case.calibration.density, source="NIfTI image")
    kept = tuple(replace(f, bone="L2") for f in case.assessment.findings if f.bone in ("L2", "L1, L2"))
    return replace(
        case,
        scan=scan,
        calibration=calibration,
        bones=case.bones[1:2],
        assessment=replace(case.assessment, findings=kept, load_to_strength={}),
    )


def many_cautions() -> Case:
    """Doubts everywhere."""
    case = plain_case()
    whole = tuple(
        f"Doubt {n} about the scan: slices are {2 + n} mm thick, above the 3 mm of the validation; thin cortex reads {4 * n} % lower."
        for n in range(1, 9)
    )
    own = tuple(
        f"{n + 9} % of bone voxels lie outside the density range of the law, so that strength is less certain (case {n})."
        for n in range(1, 8)
    )
    bones = tuple(replace(b, status="caution", cautions=(*own, f"Only {b.bone} has this doubt.")) for b in case.bones[:-1])
    bones += (replace(case.bones[-1], status="caution", cautions=()),)  # doubted only because the scan is
    return replace(case, bones=bones, cautions=whole)


def hostile_texts() -> Case:
    """Names and texts with everything that a template or a browser could take as markup, and very long ones."""
    case = plain_case()
    nasty = "<script>alert(1)</script> #set page(width: 1cm) $x^2$ *b* _i_ @ref `c` \\ & \" ' ]( {{7*7}} %s {0} //c\n\r\x00\x07 \u202eevil"
    patient = replace(
        case.scan.patient,
        name=f"Ωνάσης^Ёлка^{nasty}=王^小東=شمس",
        identifier="A" * 90,
        sources={"sex": nasty, "weight_kg": "user"},
    )
    acquisition = replace(case.scan.acquisition, kernel=nasty, manufacturer="M" * 70, contrast=nasty, study_date=nasty)
    long = "A very long sentence about a doubt that goes on and on, " * 40 + "W" * 300
    bones = (
        replace(case.bones[0], status="refused", reason=long + nasty),
        replace(case.bones[1], cautions=(nasty, long)),
        *case.bones[2:],
    )
    assessment = replace(case.assessment, reason=nasty + long[:400], category="normal <b>")
    return replace(
        case, scan=replace(case.scan, patient=patient, acquisition=acquisition), bones=bones, assessment=assessment, cautions=(nasty,),
        protocol=nasty, settings={nasty: {nasty: [nasty, 1]}}, versions={nasty: nasty},
    )  # fmt: skip


def no_bone() -> Case:
    """The labels held no bone."""
    case = all_refused()
    return replace(case, bones=(), segmentation=replace(case.segmentation, bones={}, absent={}))


def numbers_without_scale() -> Case:
    """Measures, but no thresholds for any of them; no volume was solved."""
    case = density_input()
    bones = tuple(replace(b, strength=None, specimen=None) for b in case.bones)
    return replace(case, bones=bones, assessment=replace(case.assessment, findings=(), category=None))


CLASS_DOUBT = "Uncertainty leaves the spine's density between 55 and 121 mg/cm³ (95 %): its class could be osteoporosis or normal (chances of 40 and 30 %)."


def doubted() -> Case:
    """One bone refused, a class in doubt, every source recalled, the hip's side unsettled."""
    case = one_refused()
    kept = tuple(replace(f, reference=RECALLED) for f in case.assessment.findings)
    step_ = replace(case.assessment.step, references=(RECALLED, DESIGN), cautions=(CLASS_DOUBT,))
    side = "Its label calls it left and the image is mirrored; which hip this is must be settled before use."
    bones = tuple(replace(b, status="caution", cautions=(side,)) if b.bone == "femur_left" else b for b in case.bones)
    whole = tuple(f"Doubt {n} about the scan, whose sentence is not cut." for n in range(1, 4))
    assessment = replace(case.assessment, findings=kept, step=step_)
    return replace(case, bones=bones, cautions=(*whole, CLASS_DOUBT), assessment=assessment, fractures=unbroken().fractures)


def fractured() -> Case:
    """Both vertebrae of the scene and two between them, one of each grade; one level not graded."""
    case = plain_case()
    found = []
    for n, (level, grade, shape) in enumerate((("T12", 0, None), ("L1", 1, "wedge"), ("L2", 2, "biconcave"), ("L3", 3, "crush"))):
        lost = (0.05, 0.22, 0.31, 0.46)[grade]
        losses = {"anterior": lost, "middle": lost / 2, "posterior": 0.0}
        heights = {place: 25.0 * (1 - share) for place, share in losses.items()}
        points = {
            f"{end}_{place}": np.array([0.0, 20.0 + 10.0 * (m - 1), 470.0 - 34.0 * n + sign * heights[place] / 2])
            for m, place in enumerate(heights)
            for end, sign in (("superior", 1), ("inferior", -1))
        }
        chances = tuple(1.0 if g == grade else 0.0 for g in range(4))
        found.append(
            VertebraGrade(
                level,
                heights,
                dict.fromkeys(heights, 25.0),
                {"anterior_posterior": 1 - lost},
                losses,
                lost,
                0.05,
                grade,
                shape,
                chances,
                points,
            )  # type: ignore[arg-type]
        )
    left_out = {"L2": "moderate biconcave fracture (grade 2)", "L3": "severe crush fracture (grade 3)"}
    said = step("fractures", "Heights of 4 vertebral bodies were compared.", SEEN)
    return replace(
        case,
        fractures=FractureAssessment(tuple(found), {"T11": "T11 is cut by the upper edge of the image"}, left_out, 1.5, said),
    )


def unbroken() -> Case:
    """No fracture found."""
    case = fractured()
    assert case.fractures is not None
    return replace(
        case, fractures=replace(case.fractures, vertebrae=case.fractures.vertebrae[:1], ungraded={}, left_out={}, index=0.0)
    )


def another_test() -> Case:
    """Linear tests that no published threshold is meant for."""
    case = plain_case()
    bones = []
    for bone in case.bones:
        assert bone.strength is not None
        strength, failed = bone.strength, 0.0 * bone.strength.failed
        kept = {key: value for key, value in strength.quantities.items() if key != "failed_fraction"}
        linear = replace(
            strength, failed=failed, curve=strength.curve[[0, -1]], quantities=kept, site=None, protocol="mine 1", scale="none"
        )
        bones.append(replace(bone, strength=linear))
    return replace(case, bones=tuple(bones), assessment=replace(case.assessment, load_to_strength={}))


def mapped() -> Case:
    """Strengths on a mapped scale: classes of strength, the combined class, DXA, a level left out, soft tissue, loads, Z-scores."""
    case = plain_case()
    told = "fragile at 3100 N or below, normal at 4300 N or above: strengths of this recipe at the density thresholds, from 212 persons (adults of a town)"
    own = Reference("Strength reference built from 212 persons by correspondence with density (adults of a town)", "computed")
    hip = replace(
        case.assessment.findings[-1], thresholds=(2900.0, 3700.0), category="fragile bone strength", against=told, reference=own
    )
    levels = [
        replace(f, thresholds=(3100.0, 4300.0), against=told, reference=own)
        for f in case.assessment.findings
        if f.bone in ("L1", "L2")
    ]
    mean = replace(levels[0], bone="L1, L2", value=3560.0, category="low bone strength")
    spine, neck = replace(case.assessment.findings[0], z_score=-0.4), replace(case.assessment.findings[1], z_score=-0.7)
    assessment = replace(
        case.assessment,
        findings=(spine, neck, case.assessment.findings[2], *levels, mean, hip),
        risk="high", risk_reason="fragile bone strength (2870 N, left femur)", hip_loads={"femur_left": 2103.0}, load=4870.0,
        spine_loads={"standing": 330.0, "bending": 930.0, "lifting": 2020.0},
        beside_dxa=(
            "DXA (T-scores as given): total hip -1.6; lowest -1.6: low bone mass.",
            "Found by CT and missed by DXA: fragile bone strength (2870 N, left femur). DXA alone would have said low bone mass.",
        ),
        left_out={"L4": "there is bone or cement of 240 mg/cm³ between it and L5 instead of a disc (below 120)."},
    )  # fmt: skip
    bones = []
    for bone in case.bones:
        assert bone.strength is not None and bone.measures is not None
        values = dict(bone.measures.values)
        if bone.bone == "femur_left":
            values["trochanteric_soft_tissue"] = Measure(50.0, "mm", "sideways to the skin")
        bones.append(
            replace(bone, strength=replace(bone.strength, scale="mapped"), measures=replace(bone.measures, values=values))
        )
    return replace(case, bones=tuple(bones), assessment=assessment)


CASES = {
    "plain": plain_case,
    "one_refused": one_refused,
    "all_refused": all_refused,
    "unknown_patient": unknown_patient,
    "density_input": density_input,
    "many_cautions": many_cautions,
    "hostile_texts": hostile_texts,
    "no_bone": no_bone,
    "numbers_without_scale": numbers_without_scale,
    "doubted": doubted,
    "fractured": fractured,
}
