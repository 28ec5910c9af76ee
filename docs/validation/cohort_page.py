"""The page of the simulated cohort, from its rows."""

# ruff: noqa: E501
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from openbct.assessment import DxaLine
from openbct.assessment.density import t_score
from openbct.assessment.rules import rank_of, rule_for
from openbct.errors import InputError
from openbct.reference_building import Observation, build_thresholds
from openbct.uncertainty import model_spread
from openbct.uncertainty.density import STEP, edge_sd_voxels

Row = dict[str, str]
Lines = list[str]
Z95 = 1.96
VOXEL = (1.2 * 1.2 * 2.0) ** (1 / 3)
HIPS = ("femoral_neck_abmd", "total_hip_abmd")
WORDS = {
    "trabecular_vbmd": "trabecular vBMD, L1", "integral_vbmd": "integral vBMD", "femoral_neck_abmd": "femoral-neck aBMD", "total_hip_abmd": "total-hip aBMD",
}  # fmt: skip
MODES = {"pl": "phantomless", "ph": "phantom"}
DENSITY_GOAL, STRENGTH_GOAL, COVERAGE_GOAL = 0.08, 0.15, 0.90


def number(row: Row, key: str) -> float:
    return float(row[key]) if row.get(key) not in (None, "") else math.nan


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def percent(value: float, digits: int = 0, sign: bool = False) -> str:
    return "–" if not math.isfinite(value) else f"{100 * value:{'+' if sign else ''}.{digits}f} %".replace("-", "−")


# Intervals -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """One number with its truth and its standard deviation."""

    value: float
    true: float
    sd: float


def density_read(row: Row, name: str, mode: str) -> Read:
    """A density with calibration and edge in its deviation; noise, which is small, would widen it."""
    slope = (number(row, f"plus_{name}") - number(row, f"less_{name}")) / (2 * STEP)
    edge = edge_sd_voxels() * abs(slope) if math.isfinite(slope) else 0.0
    return Read(number(row, f"{mode}_{name}"), number(row, f"true_{name}"), math.hypot(number(row, f"{mode}_{name}_sd"), edge))


def strength_read(row: Row, mode: str) -> Read:
    """A strength with all its sources; with the phantom read off the power of density where it was not solved."""
    spread = model_spread("vertebra" if row["bone"] == "L1" else "fall")
    value = number(row, f"{mode}_strength")
    density, sd = number(row, f"{mode}_integral_vbmd"), number(row, f"{mode}_integral_vbmd_sd")
    if not math.isfinite(value):
        value = number(row, "pl_strength") * (density / number(row, "pl_integral_vbmd")) ** spread.density_power
    relative = math.sqrt(
        spread.relative**2 + (spread.edge_per_mm * VOXEL * edge_sd_voxels()) ** 2 + (spread.density_power * sd / density) ** 2
    )
    return Read(value, number(row, "true_strength"), relative * value)


def covered(rows: list[Row], reader: Callable[[Row], Read], title: str, mode: str, goal: float) -> list[str] | None:
    """One row of the table of intervals."""
    reads = [read for read in map(reader, rows) if all(map(math.isfinite, (read.value, read.true, read.sd)))]
    if not reads:
        return None
    value, true, sd = (np.array([getattr(read, key) for read in reads]) for key in ("value", "true", "sd"))
    error, half = value / true - 1, float(np.median(Z95 * sd / np.abs(value)))
    inside = float(np.mean(np.abs(value - true) <= Z95 * sd))
    needed = float(np.quantile(np.abs(error), 0.95))
    met = f"{'met' if inside >= COVERAGE_GOAL else 'not met'} / {'met' if half <= goal else 'not met'}"
    return [
        title,
        MODES[mode],
        str(len(reads)),
        percent(float(error.mean()), 1, True),
        percent(float(error.std(ddof=1)), 1),
        percent(inside),
        percent(half),
        percent(needed),
        met,
    ]


def intervals(rows: list[Row]) -> Lines:
    """Coverage and width of every interval."""
    table = []
    for site in ("spine", "hip"):
        mine = [row for row in rows if row["site"] == site and row["status"] != "refused"]
        names = ("trabecular_vbmd", "integral_vbmd") if site == "spine" else (*HIPS, "integral_vbmd")
        for name in names:
            title = WORDS[name] + (", femur" if name == "integral_vbmd" and site == "hip" else "")
            table += [
                covered(mine, lambda row, n=name, m=mode: density_read(row, n, m), title, mode, DENSITY_GOAL) for mode in MODES
            ]  # type: ignore[misc]
        title = "vertebral strength" if site == "spine" else "femoral strength, fall"
        table += [covered(mine, lambda row, m=mode: strength_read(row, m), title, mode, STRENGTH_GOAL) for mode in MODES]  # type: ignore[misc]
    head = (
        "number",
        "calibration",
        "n",
        "mean error",
        "SD of the error",
        "truth in the 95 % interval",
        "median half-width",
        "95 % of the errors within",
        "goal: coverage / width",
    )
    return markdown(head, [row for row in table if row is not None])


def without_hardening(rows: list[Row]) -> Lines:
    """Density of the first scans with the hardening in bone taken off, beside the default."""
    known = {row["case"]: row for row in rows}
    pairs = [
        (row, known[row["of"]])
        for row in rows
        if row["site"].startswith("corrected-") and row["status"] == "ok" and row["of"] in known
    ]
    table = []
    for site, names in (("spine", ("trabecular_vbmd", "integral_vbmd")), ("hip", (*HIPS, "integral_vbmd"))):
        mine = [(new, old) for new, old in pairs if old["site"] == site]
        for name in names if mine else ():
            errors = [[number(row, f"pl_{name}") / number(old, f"true_{name}") - 1 for row in (old, new)] for new, old in mine]
            default, taken = np.array(errors).T
            table.append(
                [
                    WORDS[name] + (", femur" if name == "integral_vbmd" and site == "hip" else ""),
                    str(len(mine)),
                    percent(default.mean(), 1, True),
                    percent(taken.mean(), 1, True),
                    percent(float(np.abs(taken).max()), 1),
                ]
            )
    if not table:
        return []
    said = 'The first of these scans again, phantomless, with `hardening = "correct"`:'
    return [said, "", *markdown(("number", "scans", "mean error, default", "mean error, corrected", "largest, corrected"), table)]


# Regression -------------------------------------------------------------------------------------------------------------


def person_values(rows: list[Row], mode: str) -> list[dict[str, Any]]:
    """One point for each person."""
    people: dict[str, list[Row]] = {}
    for row in rows:
        people.setdefault(row["case"], []).append(row)
    found = []
    for mine in people.values():
        values: dict[str, Any] = {"sex": mine[0]["sex"], "age": float(mine[0]["age"])}
        for key in ("strength", *WORDS):
            values[key] = float(np.mean([number(row, f"{mode}_{key}") for row in mine]))
        values["lowest"] = min(number(row, f"{mode}_strength") for row in mine)
        scores = [
            t_score(name, number(row, f"{mode}_{name}"), DxaLine()) for row in mine for name in HIPS if row.get(f"{mode}_{name}")
        ]
        values["t"] = min(scores) if scores else math.nan
        if math.isfinite(values["strength"]):
            found.append(values)
    return found


def fit(x: Sequence[float], y: Sequence[float]) -> Any:
    return stats.linregress(np.array(x), np.array(y))


def against(rows: list[Row], site: str, sources: Sequence[tuple[str, str, str]]) -> Lines:
    """Strength over density and age."""
    table = []
    density = "trabecular_vbmd" if site == "spine" else "femoral_neck_abmd"
    unit = "mg/cm³" if site == "spine" else "0.1 g/cm²"
    scale = 1.0 if site == "spine" else 0.1
    for which, words, mode in sources:
        chosen = [row for row in rows if row["site"] == which and row["status"] != "refused" and row["fractured"] != "True"]
        for sex, name in (("F", "women"), ("M", "men")):
            mine = [one for one in person_values(chosen, mode) if one["sex"] == sex and math.isfinite(one[density])]
            if len(mine) < 8:
                continue
            on_density = fit([one[density] / scale for one in mine], [one["strength"] for one in mine])
            on_age = fit([one["age"] for one in mine], [one["strength"] for one in mine])
            low, high = (25.0, 85.0) if site == "hip" else (50.0, 85.0)
            young, old = (on_age.intercept + on_age.slope * age for age in (low, high))
            table.append(
                [words, name, str(len(mine)), f"{on_density.rvalue:.2f}", f"{on_density.slope:.0f} N per {unit}", f"{on_age.rvalue:.2f}".replace("-", "−"),
                 f"{10 * on_age.slope:.0f} N".replace("-", "−"), percent(old / young - 1, 0, True)]
            )  # fmt: skip
    span = "25 to 85" if site == "hip" else "50 to 85"
    head = (
        "cohort",
        "sex",
        "persons",
        f"r with {WORDS[density].split(',')[0]}",
        "slope",
        "r with age",
        "a decade",
        f"line from {span} years",
    )
    return markdown(head, table)


def cuts(rows: list[Row], sources: Sequence[tuple[str, str, str]]) -> Lines:
    """Mapped cut-points, as `openbct reference build` makes them."""
    table, refused = [], []
    for which, title, mode in sources:
        chosen = [row for row in rows if row["site"] == which and row["status"] != "refused" and row["fractured"] != "True"]
        seen = []
        for one in person_values(chosen, mode):
            if which.endswith("spine"):
                seen.append(Observation("vertebra", one["sex"], one["strength"], one["trabecular_vbmd"]))
            elif math.isfinite(one["t"]):
                seen.append(Observation("femur", one["sex"], one["lowest"], one["t"]))
        try:
            built = build_thresholds(seen)
        except InputError as error:
            refused.append(f"- {title}: {error}")
            continue
        refused += [f"- {title}: {text}" for text in (*built.refused, *built.cautions)]
        for row in built.thresholds:
            table.append(
                [title, row.site, "women" if row.sex == "F" else "men", str(row.persons), f"{row.fragile_n:,.0f} N ({row.fragile_95_n[0]:,.0f}–{row.fragile_95_n[1]:,.0f})",
                 f"{row.normal_n:,.0f} N ({row.normal_95_n[0]:,.0f}–{row.normal_95_n[1]:,.0f})", f"{row.r_squared:.2f}", f"{row.residual_sd_n:,.0f} N"]
            )  # fmt: skip
    return [
        *markdown(("cohort", "site", "sex", "persons", "fragile (95 %)", "normal (95 %)", "r²", "SD of single persons"), table),
        *refused,
        "",
    ]


# Classes ----------------------------------------------------------------------------------------------------------------


def classes(rows: list[Row]) -> Lines:
    """Class of density as read against that of the truth."""
    table = []
    for site, rule_name in (("spine", "spine_vbmd"), ("hip", "hip_t_score")):
        rule = rule_for(rule_name, "F")
        assert rule is not None
        chosen = [row for row in rows if row["site"] == site and row["status"] != "refused"]
        key = "trabecular_vbmd" if site == "spine" else "t"
        for mode, words in MODES.items():
            complete = [
                row for row in chosen if row.get(f"{mode}_{'trabecular_vbmd' if site == 'spine' else 'femoral_neck_abmd'}")
            ]
            pairs = []
            for case in dict.fromkeys(row["case"] for row in complete):
                mine = [row for row in complete if row["case"] == case]
                value = [_one(mine, which, key, site) for which in ("true", mode)]
                pairs.append(tuple(rank_of(one, rule.cuts) for one in value))
            poor = [read for true, read in pairs if true == 0]
            rest = [read for true, read in pairs if true > 0]
            low = [read for true, read in pairs if true <= 1]
            table.append(
                [site, words, str(len(pairs)), percent(float(np.mean([a == b for a, b in pairs]))),
                 f"{sum(read == 0 for read in poor)} of {len(poor)}", f"{sum(read > 0 for read in rest)} of {len(rest)}", f"{sum(read <= 1 for read in low)} of {len(low)}"]
            )  # fmt: skip
    head = ("site", "calibration", "persons", "same class", "osteoporosis found", "no osteoporosis kept so", "low or worse found")
    return markdown(head, table)


def _one(rows: list[Row], mode: str, key: str, site: str) -> float:
    if site == "spine":
        return float(np.mean([number(row, f"{mode}_{key}") for row in rows]))
    return min(t_score(name, number(row, f"{mode}_{name}"), DxaLine()) for row in rows for name in HIPS)


# The chain -----------------------------------------------------------------------------------------------------------------


def chain(rows: list[Row]) -> Lines:
    """What the stages before the numbers did."""
    table = []
    for site in ("spine", "hip"):
        mine = [row for row in rows if row["site"] == site]
        found = [row for row in mine if row.get("dice")]
        dice, ratio = (np.array([number(row, key) for row in found]) for key in ("dice", "volume_ratio"))
        seconds = [number(row, "seconds") for row in mine]
        refused = sum(row["status"] == "refused" for row in mine)
        table.append(
            [site, str(len({row['case'] for row in mine})), str(len(mine)), str(refused), f"{np.median(dice):.3f} ({dice.min():.3f})", percent(float(ratio.mean() - 1), 1, True),
             percent(float(ratio.std(ddof=1)), 1), f"{np.median(seconds):.0f} s"]
        )  # fmt: skip
    return markdown(
        ("site", "scans", "bones", "refused", "Dice, median (least)", "volume, mean error", "its SD", "CPU time a bone"), table
    )


def voxels(rows: list[Row]) -> Lines:
    """What larger voxels do to the strength of drawn femora."""
    table = []
    for row in rows:
        fine, coarse = number(row, "fine_true_strength"), number(row, "true_strength")
        if math.isfinite(fine) and math.isfinite(coarse):
            table.append([row["case"], f"{fine:,.0f} N", f"{coarse:,.0f} N", f"{coarse / fine:.3f}"])
    return markdown(("person, left femur", "1 mm", "1.5 mm", "1.5 mm over 1 mm"), table)


def outliers(rows: list[Row], limit: float) -> Lines:
    """Every scan whose strength was read further from the truth than the limit, with what its result said."""
    table = []
    for row in rows:
        read, true = number(row, "pl_strength"), number(row, "true_strength")
        if math.isfinite(read / true) and abs(read / true - 1) > limit:
            said = [text for text in row["pl_said"].split(" | ") if not any(word in text for word in ALWAYS)]
            table.append(
                [row["case"], f"{row['sex']}, {number(row, 'age'):.0f}", f"{number(row, 'drawn_density'):.0f}", f"{number(row, 'dice'):.3f}", percent(number(row, "volume_ratio") - 1, 0, True),
                 percent(read / true - 1, 0, True), "; ".join(text.split(":")[0] if len(text) > 90 else text.rstrip(".") for text in said) or "nothing of the mask"]
            )  # fmt: skip
    return markdown(("scan", "person", "drawn density, mg/cm³", "Dice", "volume", "strength", "cautions of the scan"), table)


ALWAYS = (
    "Strength was not classified",
    "Load-to-strength sets",
    "Hip T-scores are",
    "The spine's class rests",
    "Muscle behind",
    "Contrast agent",
    "its class could be",
)
"""Words of cautions that most scans have, which say nothing of the mask."""
