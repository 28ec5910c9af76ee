"""The fracture assessment as plain tables: its part of result.json, the rows of fractures.csv, and its columns of results.csv."""

from __future__ import annotations

from typing import Any

from ..records import FractureAssessment, VertebraGrade


def fractures_to_table(found: FractureAssessment | None) -> dict[str, Any] | None:
    """Return the assessment as it stands in result.json; ``None`` where no vertebra was looked at."""
    if found is None:
        return None
    return {
        "spinal_fracture_index": found.index,
        "vertebrae": [_vertebra(one) for one in found.vertebrae],
        "ungraded": dict(found.ungraded),
        "left_out": dict(found.left_out),
    }


def _vertebra(one: VertebraGrade) -> dict[str, Any]:
    return {
        "level": one.level,
        "grade": one.grade,
        "shape": one.shape,
        "loss": one.loss,
        "loss_sd": one.loss_sd,
        "losses": dict(one.losses),
        "grade_chances": list(one.chances),
        "heights_mm": dict(one.heights),
        "expected_heights_mm": dict(one.expected),
        "ratios": dict(one.ratios),
        "points_lps_mm": {name: point.tolist() for name, point in one.points.items()},
        "cautions": list(one.cautions),
    }


def fracture_rows(found: FractureAssessment) -> list[dict[str, Any]]:
    """Return one row for each vertebra, those that were not graded too, with the same columns always."""
    rows = []
    for one in found.vertebrae:
        row: dict[str, Any] = {"level": one.level, "grade": one.grade, "shape": one.shape}
        row |= {"height_loss": one.loss, "height_loss_sd": one.loss_sd}
        row |= {f"{place}_height_mm": height for place, height in one.heights.items()}
        row |= {f"{place}_expected_mm": height for place, height in one.expected.items()}
        row |= {f"{place}_loss": loss for place, loss in one.losses.items()}
        row |= {f"grade_{grade}_chance": chance for grade, chance in enumerate(one.chances)}
        rows.append(row | {"not_graded_because": None, "cautions": " | ".join(one.cautions)})
    columns = list(rows[0]) if rows else ["level", "not_graded_because"]
    empty = dict.fromkeys(columns)
    rows += [{**empty, "level": level, "not_graded_because": reason} for level, reason in found.ungraded.items()]
    return rows


def fracture_columns(found: FractureAssessment | None, bone: str) -> dict[str, Any]:
    """Return a bone's columns in results.csv."""
    one = next((grade for grade in found.vertebrae if grade.level == bone), None) if found else None
    return {
        "fracture_grade": one.grade if one else None,
        "fracture_shape": one.shape if one else None,
        "height_loss": one.loss if one else None,
    }
