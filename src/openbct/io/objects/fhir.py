"""The result as a FHIR R4 bundle: a DiagnosticReport with its Observations, the patient, the study and the program."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ... import __version__
from ...records import Case, Patient
from . import codes
from .codes import Code
from .measured import Group, Value, groups

ODD_SPACE: Final = re.compile(r"[^\S \r\n\t]")
"""Any space that is none of FHIR's."""
SYSTEMS: Final = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
    "LN": "http://loinc.org",
    codes.OWN: "urn:openbct:quantities",
}
Resource = dict[str, Any]


def fhir_bundle(
    case: Case, *, when: datetime, key: str, status: str = "preliminary", conclusion: str = "", reader: str = "", pdf: bytes = b""
) -> Resource:
    """Return a bundle of type ``collection``; the same arguments give the same bundle.

    Parameters
    ----------
    when
        When the report was made or signed, with its zone.
    key
        What the resources' identities follow from: the digest of case and standing.
    status
        Of report and observations: ``"preliminary"``, ``"final"``, ``"amended"``.
    conclusion
        The physician's text, or the draft.
    reader
        Who signed.
    pdf
        The printed report, carried along; empty: none.
    """
    made = _Made(case, when, key, status)
    patient, device = made.add("patient", _patient(case.scan.patient)), made.add("device", _device())
    study = made.add("study", _study(case, patient)) if case.scan.acquisition.study_uid else None
    about: Resource = {"subject": patient, "issued": when.isoformat(timespec="seconds")}
    if case.scan.acquisition.study_date:
        about["effectiveDateTime"] = case.scan.acquisition.study_date
    results = []
    for group in groups(case):
        for value in group.values:
            if math.isfinite(value.value):
                body = {**_observation(group, value, made.observed), **about, "device": device}
                results.append(made.add(f"observation {group.bone} {value.name}", body))
    results.append(made.add("observation class", {**_class(case, made.observed), **about, "device": device}))
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "status": status,
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD", "display": "Radiology"}]}
        ],
        "code": {"coding": [_coding(codes.REPORT)], "text": "Biomechanical CT: bone strength and density (research use only)"},
        **about,
        "result": results,
        "conclusion": conclusion,
    }
    if study is not None:
        report["imagingStudy"] = [study]
    if reader:
        report["resultsInterpreter"] = [{"display": reader}]
    if pdf:
        report["presentedForm"] = [_form(pdf)]
    made.add("report", report, first=True)
    return made.bundle()


class _Made:
    """A bundle in the making."""

    def __init__(self, case: Case, when: datetime, key: str, status: str) -> None:
        self.case, self.when, self.key = case, when, key
        self.observed = status
        self.entries: list[Resource] = []

    def identity(self, what: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"openbct {self.key} {self.when.isoformat()} {what}"))

    def add(self, what: str, resource: Resource, *, first: bool = False) -> Resource:
        """Add a resource and return a reference to it."""
        name = self.identity(what)
        kept = {key: value for key, value in resource.items() if value not in (None, "", [], {})}
        entry = {"fullUrl": f"urn:uuid:{name}", "resource": {**kept, "id": name}}
        self.entries.insert(0 if first else len(self.entries), entry)
        return {"reference": f"urn:uuid:{name}"}

    def bundle(self) -> Resource:
        return {
            "resourceType": "Bundle",
            "id": self.identity("bundle"),
            "type": "collection",
            "timestamp": self.when.isoformat(timespec="seconds"),
            "entry": _spaced(self.entries),
        }


def _spaced(value: Any) -> Any:
    """Return a tree whose texts have plain spaces alone: FHIR's strings know no other."""
    if isinstance(value, dict):
        return {key: _spaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spaced(item) for item in value]
    return ODD_SPACE.sub(" ", value) if isinstance(value, str) else value


def _coding(code: Code) -> Resource:
    return {"system": SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}


def _patient(patient: Patient) -> Resource:
    """Return who was scanned, as far as known."""
    resource: Resource = {"resourceType": "Patient"}
    if patient.identifier:
        resource["identifier"] = [{"value": patient.identifier}]
    if patient.name:
        parts = (patient.name.split("=")[0].split("^") + [""] * 3)[:3]
        given = [part.strip() for part in parts[1:] if part.strip()]
        text = " ".join([*given, parts[0].strip()]).strip()
        name: Resource = {"text": text} if text else {}
        name |= {"family": parts[0].strip()} if parts[0].strip() else {}
        resource["name"] = [name | ({"given": given} if given else {})]
    if patient.birth_date:
        resource["birthDate"] = patient.birth_date
    resource["gender"] = {"F": "female", "M": "male"}.get(patient.sex or "", "unknown")
    return resource


def _device() -> Resource:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": "OpenBCT", "type": "model-name"}],
        "version": [{"value": __version__}],
        "note": [{"text": "Research use only: not a cleared medical device."}],
    }


def _study(case: Case, patient: Resource) -> Resource:
    """Return the study that was read."""
    scan = case.scan.acquisition
    series = {"uid": scan.series_uid, "modality": _coding(Code("CT", "DCM", "Computed Tomography"))} if scan.series_uid else None
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{scan.study_uid}"}],
        "status": "available",
        "subject": patient,
        "started": scan.study_date,
        "series": [series] if series else [],
    }


def _quantity(value: float, unit: Code) -> Resource:
    return {"value": float(f"{value:.9g}"), "unit": unit.meaning, "system": SYSTEMS["UCUM"], "code": unit.value}


def _observation(group: Group, value: Value, status: str) -> Resource:
    """Return one measured value."""
    finding = value.finding
    parts = []
    if value.deviation is not None and math.isfinite(value.deviation):
        parts.append((codes.STANDARD_DEVIATION, value.deviation, value.unit))
    if finding is not None and finding.t_score is not None:
        parts.append((codes.T_SCORE, finding.t_score, codes.UNITS["T"]))
    if finding is not None and finding.z_score is not None:
        parts.append((codes.Z_SCORE, finding.z_score, codes.NO_UNIT))
    side = f"{group.side.meaning.lower()} " if group.side else ""
    resource: Resource = {
        "resourceType": "Observation",
        "status": status,
        "category": [_imaging()],
        "code": {"coding": [_coding(value.concept)], "text": value.concept.meaning},
        "valueQuantity": _quantity(value.value, value.unit),
        "bodySite": {
            "coding": [_coding(group.site), *([_coding(group.side)] if group.side else [])],
            "text": f"{side}{group.bone}",
        },
        "component": [
            {"code": {"coding": [_coding(code)]}, "valueQuantity": _quantity(number, unit)} for code, number, unit in parts
        ],
        "note": [{"text": text} for text in group.cautions],
    }
    if value.method:
        resource["method"] = {"text": value.method}
    if finding is not None and finding.category:
        resource["interpretation"] = [{"text": finding.category}]
    if finding is not None and finding.against:
        resource["referenceRange"] = [{"text": finding.against}]
    return resource


def _imaging() -> Mapping[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {"coding": [{"system": system, "code": "imaging", "display": "Imaging"}]}


def _class(case: Case, status: str) -> Resource:
    """Return the class of the case, or that there is none and why."""
    assessment = case.assessment
    resource: Resource = {
        "resourceType": "Observation",
        "status": status,
        "category": [_imaging()],
        "code": {"coding": [_coding(codes.CASE_CLASS)], "text": codes.CASE_CLASS.meaning},
        "note": [
            {"text": text} for text in dict.fromkeys((assessment.reason, *case.cautions, *assessment.step.cautions)) if text
        ],
    }
    if assessment.category:
        resource["valueCodeableConcept"] = {"text": assessment.category}
    else:
        system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
        resource["dataAbsentReason"] = {"coding": [{"system": system, "code": "not-performed", "display": "Not Performed"}]}
    if assessment.risk:
        value = {"text": f"{assessment.risk}: {assessment.risk_reason}"}
        resource["component"] = [{"code": {"coding": [_coding(codes.CASE_RISK)]}, "valueCodeableConcept": value}]
    return resource


def _form(pdf: bytes) -> Resource:
    """Return the printed report as an attachment; FHIR's hash is SHA-1."""
    digest = hashlib.sha1(pdf, usedforsecurity=False).digest()
    return {
        "contentType": "application/pdf",
        "title": "Biomechanical CT report",
        "size": len(pdf),
        "hash": base64.b64encode(digest).decode(),
        "data": base64.b64encode(pdf).decode(),
    }
