"""Write docs/validation/objects.md: what is exported and signed, judged by programs that are not ours.

    python docs/validation/make_objects.py RESULT --tools FOLDER [--python PYTHON]

RESULT is the folder of `openbct demo`. Needs dicom3tools (``dciodvfy``), dcmtk (``dsrdump``, ``dcmdump``), qpdf, PixelMed (Debian's
``libpixelmed-java``), Java and Node; FOLDER holds ``node_modules`` with ``fhir`` and ``@asymmetrik/fhir-json-schema-validator``; PYTHON
is the interpreter of an environment with ``fhir.resources`` and ``pikepdf``. A tool that is absent is named as not run. Takes 90 s of
processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import highdicom as hd
import pydicom

from openbct.cli import export, report
from openbct.errors import InputError
from openbct.io import read_case, read_result
from openbct.records import Case
from openbct.report import make_report, make_sheet, to_html, to_pdf
from openbct.report.content import Report

HERE = Path(__file__).resolve().parent
SHARED = ("PatientName", "PatientID", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID")
TEXT = "Low bone mass at the hip on this simulated scan.\n\nNo fracture."
PIXELMED = ("java", "-Djdk.xml.xpathExprOpLimit=0", "-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathTotalOpLimit=0",
            "-cp", "/usr/share/java/*", "com.pixelmed.validate.DicomSRValidator")  # fmt: skip
FHIR_JS = """
const {Fhir} = require('fhir'), fs = require('fs');
const found = new Fhir().validate(JSON.parse(fs.readFileSync(process.argv[1])), {errorOnUnexpected: true});
const errors = found.messages.filter(m => m.severity === 'error' || m.severity === 'fatal');
console.log(JSON.stringify({valid: found.valid, errors: errors.length, others: found.messages.length - errors.length}));
"""
SCHEMA_JS = """
const Module = require('@asymmetrik/fhir-json-schema-validator'), fs = require('fs');
const Validator = Module.default || Module;
const bundle = JSON.parse(fs.readFileSync(process.argv[1])), broken = JSON.parse(JSON.stringify(bundle));
broken.entry[0].resource.status = 7;
const one = new Validator();
console.log(JSON.stringify({errors: one.validate(bundle).length, broken: one.validate(broken).length}));
"""
R4B = """
import json, sys
from fhir.resources.R4B.bundle import Bundle
print(json.dumps({"entries": len(Bundle.model_validate(json.load(open(sys.argv[1]))).entry)}))
"""
PDF = """
import json, sys, pikepdf
pdf = pikepdf.open(sys.argv[1])
root, meta = pdf.Root, pdf.open_metadata()
fonts, bare, alts = set(), set(), [0, 0]
def faces(resources):
    for name, font in dict(resources.get("/Font", {})).items():
        inner = font.get("/DescendantFonts", [font])[0]
        described = inner.get("/FontDescriptor", {})
        (fonts if any(key in described for key in ("/FontFile", "/FontFile2", "/FontFile3")) else bare).add(str(font.get("/BaseFont")))
for page in pdf.pages:
    faces(page.Resources)
def walk(node):
    if isinstance(node, pikepdf.Dictionary):
        if str(node.get("/S", "")) == "/Figure":
            alts[0] += 1; alts[1] += "/Alt" in node
        kids = node.get("/K", [])
        for kid in kids if isinstance(kids, pikepdf.Array) else [kids]:
            walk(kid)
walk(root.StructTreeRoot)
acting = [o for o in pdf.objects if isinstance(o, pikepdf.Dictionary) and str(o.get("/S", "")) in ("/JavaScript", "/Launch", "/GoToR", "/URI", "/SubmitForm")]
print(json.dumps({
    "PDF/A part and level in XMP": f"{meta.get('pdfaid:part')}{str(meta.get('pdfaid:conformance')).lower()}",
    "PDF/UA part in XMP": str(meta.get("pdfuaid:part")),
    "output intent": str(root.OutputIntents[0].S) if "/OutputIntents" in root else "none",
    "tagged": bool(root.MarkInfo.Marked), "language": str(root.Lang), "encrypted": pdf.is_encrypted,
    "fonts embedded": len(fonts), "fonts not embedded": len(bare), "figures": alts[0], "of them with alternative text": alts[1],
    "actions that leave the file": len(acting), "pages": len(pdf.pages)}))
"""
EXPLAINED = (
    (r"Row 1[34]\] NUM \*.*expected INFERRED FROM - found HAS PROPERTIES",
     "standard deviation, T- and Z-score hang below their value by HAS PROPERTIES, as TID 310 and 311 have it; the program matches every number below "
     "a number to TID 1419's rows 13 and 14 too"),
    (r"Template 1411 .*Missing conditional content item",
     "a group without a segment (a vertebra that was only looked at, a mean of several) follows TID 1501; the program holds it to TID 1411 as well"),
    (r"^Warning.*Content Item not in template", "private items (method, class, thresholds) and the image of a group without segment: the "
     "templates are extensible"),
)  # fmt: skip


def said(command: Sequence[str], **more: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    return str(done.stdout + done.stderr)


def package(name: str) -> str:
    return said(("dpkg-query", "-W", "-f=${Version}", name)).split("-")[0] or "version not said"


def judged(folder: Path) -> list[str]:
    """Return rows: each object under dciodvfy."""
    rows = []
    for path in sorted(folder.glob("*.dcm")):
        lines = said(("dciodvfy", str(path))).splitlines()
        errors = sum(line.startswith("Error") for line in lines)
        kinds = Counter(
            re.sub(r"attribute <([^>]*)>.*", r"\1", line).split(";")[0] for line in lines if line.startswith("Warning")
        )
        warned = "; ".join(f"{text.removeprefix('Warning - ')} ({count})" for text, count in kinds.items()) or "none"
        rows.append(f"| `{path.name}` | {errors} | {warned} |")
    return rows


def numbers(folder: Path, result: Path) -> tuple[int, int, int]:
    """Return how many numbers highdicom reads, how many of them are those of result.json, and how many dsrdump shows with a unit."""
    read = hd.sr.srread(folder / "measurements.dcm")
    groups = [*read.content.get_volumetric_roi_measurement_groups(), *read.content.get_image_measurement_groups()]
    bones = {bone["name"]: bone for bone in read_result(result)["bones"]}
    total = same = 0
    for group in groups:
        for one in group.get_measurements():
            bone = bones.get(group.tracking_identifier)
            total += 1
            known = {} if bone is None else {**{k: m["value"] for k, m in bone["measures"].items()}, "strength": bone["strength_n"],
                                             "stiffness": bone["stiffness_n_per_mm"]}  # fmt: skip
            value = {"118565006": known.get("volume"), "112031": known.get("trabecular_hu")}.get(
                one.name.value, known.get(one.name.value)
            )
            same += value is not None and abs(one.value - value) <= 1e-8 * abs(value)
    dumped = said(("dsrdump", "-Ph", str(folder / "measurements.dcm")))
    return total, same, len(re.findall(r"<contains NUM:.*\(\S+,UCUM,", dumped))


def pixelmed(path: Path) -> tuple[Counter[str], list[str]]:
    """Return the complaints of PixelMed's template checker that we explain, counted, and the rest."""
    lines = [line for line in said((*PIXELMED, str(path))).splitlines() if line.startswith(("Error", "Warning"))]
    explained, rest = Counter[str](), []
    for line in lines:
        why = next((words for pattern, words in EXPLAINED if re.search(pattern, line)), None)
        if why is None:
            rest.append(line)
        else:
            explained[why] += 1
    return explained, rest


def links(folder: Path, scan: Path) -> list[str]:
    """Return rows: whether patient, study and references are those of the scan's own files."""
    source = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(scan.glob("*.dcm"))]
    first, uids = source[0], {header.SOPInstanceUID for header in source}
    rows = []
    for path in sorted(folder.glob("*.dcm")):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        same = all(str(dataset.get(key, "")) == str(first.get(key, "")) for key in SHARED)
        named = {e.value for e in dataset.iterall() if e.keyword == "ReferencedSOPInstanceUID"} & uids
        frame = "yes" if dataset.get("FrameOfReferenceUID") == first.FrameOfReferenceUID else "has none"
        rows.append(f"| `{path.name}` | {'yes' if same else 'NO'} | {len(named)} of {len(uids)} | {frame} |")
    return rows


def digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def timed(case: Case, result: Path, folder: Path) -> list[str]:
    """Make report and objects, and return rows: processor seconds of each part."""
    rows, clock = [], time.process_time
    created = export.datetime.fromisoformat(str(read_result(result)["created"]))
    begun = start = clock()
    content = make_report(case, made_on=created.date())
    rows.append(f"| content and pictures | {clock() - start:.1f} |")
    start = clock()
    to_html(content)
    pdf = to_pdf(content)
    rows.append(f"| HTML and PDF | {clock() - start:.1f} |")
    (result / "report.pdf").write_bytes(pdf)
    start = clock()
    with made_already(content, pdf):
        export.write_objects(case, result, folder, export.KINDS, asked=True)
    rows.append(f"| all objects | {clock() - start:.1f} |")
    return [*rows, f"| together | {clock() - begun:.1f} |"]


@contextmanager
def made_already(content: Report, pdf: bytes) -> Iterator[None]:
    """Let an export take a report that is there, which saves the time of making it."""
    kept = export.make_report, export.to_pdf
    export.make_report, export.to_pdf = lambda *_, **__: content, lambda _: pdf  # type: ignore[assignment]
    try:
        yield
    finally:
        export.make_report, export.to_pdf = kept


def refused_without_header(case: Case, place: Path) -> str:
    """Return what is made of a result that names no DICOM series."""
    with tempfile.TemporaryDirectory() as room, made_already(make_sheet(), b"%PDF-"):
        bare = Path(room)
        for name in ("result.json", "case.openbct"):
            shutil.copy(place / name, bare / name)
        files, refused = export.write_objects(case, bare, bare / "objects", export.KINDS, asked=False)
        try:
            export.write_objects(case, bare, bare / "objects", ("sr",), asked=True)
        except InputError as error:
            return f"Made: {', '.join(files)}. Refused: {', '.join(refused)}. Asked for by name: exit status {error.exit_code}, “{error}”."
    raise AssertionError("was not refused")


def fhir_rows(bundle: Path, tools: Path, python: str) -> list[str]:
    node = {"cwd": tools}
    rows = []
    first, second = said(("node", "-e", FHIR_JS, str(bundle)), **node), said(("node", "-e", SCHEMA_JS, str(bundle)), **node)
    third = said((python, "-c", R4B, str(bundle)))
    outcomes = (
        ("`fhir` (npm), R4 profiles", first),
        ("HL7's R4 JSON schema (npm `@asymmetrik/fhir-json-schema-validator`)", second),
        ("`fhir.resources` (PyPI), R4B models", third),
    )
    for name, text in outcomes:
        try:
            table = json.loads(text.strip().splitlines()[-1])
        except (ValueError, IndexError):
            rows.append(f"| {name} | not run |")
            continue
        rows.append(f"| {name} | {', '.join(f'{key}: {value}' for key, value in table.items())} |".replace("True", "yes"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("result", type=Path)
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--python", default="python3")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        place = Path(room) / "result"
        place.mkdir()
        for path in asked.result.iterdir():
            if path.is_file():
                shutil.copy(path, place / path.name)
        page = written(asked, place)
    (HERE / "objects.md").write_text(page, encoding="utf-8")


def written(asked: argparse.Namespace, place: Path) -> str:
    """Return the page."""
    case = read_case(place)
    made = place / "objects"
    times = timed(case, place, made)
    first = digest(made)
    rows, linked = judged(made), links(made, asked.result / "scan")
    total, same, shown = numbers(made, place)
    fhir = fhir_rows(made / "fhir.json", asked.tools, asked.python)
    qpdf = " ".join(said(("qpdf", "--check", str(place / "report.pdf"))).split()).partition("linearized ")[2]
    pdf = json.loads(said((asked.python, "-c", PDF, str(place / "report.pdf"))).strip().splitlines()[-1])
    explained, rest = pixelmed(made / "measurements.dcm")
    export.write_objects(case, place, made, export.KINDS, asked=True)
    again = digest(made)
    without = refused_without_header(case, place)
    report.sign(case, place, TEXT, "Jane Example, MD")
    signed = [(place / name).read_bytes() for name in ("report.html", "report.pdf")]
    versions = report.read_versions(place)
    content = make_report(case, made_on=report.made_on(versions), versions=versions)
    replayed = signed == [to_html(content).encode(), to_pdf(content)]
    with made_already(content, signed[1]):
        export.write_objects(case, place, made, ("pdf", "sr", "fhir"), asked=True)
    final = judged(made)
    standing = pydicom.dcmread(made / "measurements.dcm").VerificationFlag
    status = json.loads((made / "fhir.json").read_text())["entry"][0]["resource"]["status"]
    return PAGE.format(
        rows="\n".join(rows), linked="\n".join(linked), total=total, same=same, shown=shown,
        explained="\n".join(f"| {count} | {why} |" for why, count in explained.items()), rest=len(rest),
        rest_said="".join(f"\n- `{line[:300]}`" for line in rest), fhir="\n".join(fhir), qpdf=qpdf,
        pdf="\n".join(f"| {key} | {str(value).replace('True', 'yes').replace('False', 'no')} |" for key, value in pdf.items()),
        times="\n".join(times), same_bytes="the same, byte by byte" if first == again else "NOT the same",
        replayed="the same, byte by byte" if replayed else "NOT the same", standing=standing, status=status,
        final_errors=sum(int(row.split("|")[2]) for row in final), without=without,
        dicom3tools=package("dicom3tools"), dcmtk=package("dcmtk"), pixelmed=package("libpixelmed-java"), qpdf_version=package("qpdf"),
        hd=hd.__version__,
    )  # fmt: skip


PAGE = """# Objects for other systems, and signed reports

This page is written by `python docs/validation/make_objects.py RESULT --tools FOLDER --python PYTHON` from the result of `openbct demo` (a simulated scan:
L1 and
the left femur, {total} numbers). Every program named here ran for it, but those under "Not run".

## DICOM

`dciodvfy` (dicom3tools {dicom3tools}) holds each object against the standard's information objects:

| object | errors | warnings |
| --- | ---: | --- |
{rows}

The warnings: `99OPENBCT` is our scheme for quantities that have no standard code ([which](../how-to/export-a-result.md#codes)); an empty laterality says
that a picture of both sides of the body
has none to name. The signed objects (SR, PDF): {final_errors} errors.

Patient, study and references beside the scan's own files, read by pydicom:

| object | patient and study of the scan | images referred to | frame of reference |
| --- | --- | --- | --- |
{linked}

The structured report: highdicom {hd} reads {total} numbers in it; {same} of them are measures of single bones in `result.json`, equal to nine digits (the
others are load-to-strength, grades and losses of height, and
means of several bones, which stand elsewhere there). `dsrdump` (dcmtk {dcmtk}) opens it and shows {shown} numbers, each with its UCUM unit.

PixelMed's `DicomSRValidator` (Debian {pixelmed}) holds it against the templates of PS3.16, TID 1500. What it says and we explain:

| times | what |
| ---: | --- |
{explained}

Not explained: {rest}.{rest_said}

## FHIR

| validator | outcome |
| --- | --- |
{fhir}

`others` are notes that value sets of LOINC, SNOMED CT and DICOM are not in the package, so that codes could not be looked up there. `broken`: errors that
the schema finds where the report's status is made a number, to see that it
can find one. `fhir.resources` has R4B, whose DiagnosticReport and Observation are those of R4.

## PDF

`qpdf --check` (qpdf {qpdf_version}): {qpdf}.

What an independent reader (pikepdf) finds of what PDF/A-2a and PDF/UA-1 ask for:

| what | found |
| --- | --- |
{pdf}

This is no proof of conformance: the checker for that, veraPDF, was not to be had.

## Replay

An export of the same result made twice: {same_bytes}. A signed report made again by `openbct report`: {replayed}. Signed, the structured report is
{standing} and the FHIR report `{status}`.

A result without DICOM headers (as from NIfTI): {without}

## Time

Processor seconds in one process, on a machine whose two cores were shared with other work (which lengthens them); the case is read before:

| part | s |
| --- | ---: |
{times}

## Not run

- veraPDF (Java): in none of the registries that this project installs from (Debian, PyPI, npm), and Maven's, where it would be, was not to be reached.
- HL7's own FHIR validator (Java): likewise. `fhir-validator-cli` (PyPI) and `fhir-validator-wrapper` (npm) only start that program, which they fetch from
  elsewhere. Firely's validator is a .NET library, for which nothing here runs.
- An archive (PACS) was not asked to import the objects; sending is not part of this.
"""


if __name__ == "__main__":
    main()
