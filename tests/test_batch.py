"""Many scans: what is planned, what is run again, and how failures are told."""
# ruff: noqa: F811  (pytest fixtures are imported and then named as parameters)

from __future__ import annotations

import csv
import os
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from openbct.cli import batch
from openbct.cli.request import Request
from openbct.errors import SettingsError
from small_scans import SECRET, Command, Small, openbct, small  # noqa: F401  fixtures

VARYING = {"seconds"}
"""Columns that may differ between two equal runs."""


@pytest.fixture
def scans(small: Small, tmp_path: Path) -> Path:
    """Two good scans, one without slices, one without labels, and a file that is no scan."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("anna 1", "børge"):
        shutil.copy(small.nifti, folder / f"{name}.nii.gz")
        shutil.copy(small.labels, folder / f"{name}.labels.nii.gz")
        shutil.copy(small.table, folder / f"{name}.labels.toml")
    (folder / "empty").mkdir()
    shutil.copy(small.labels, folder / "empty.labels.nii.gz")
    shutil.copy(small.nifti, folder / "unlabelled.nii.gz")
    (folder / "notes.txt").write_text("no scan")
    (folder / ".hidden").mkdir()
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the scans that were analysed in this process."""
    names: list[str] = []
    real = batch.analyze_to_files

    def analyze(scan, segmenter, settings, request: Request, progress):
        names.append(request.out.name)
        return real(scan, segmenter, settings, request, progress)

    monkeypatch.setattr(batch, "analyze_to_files", analyze)
    return names


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return [{key: cell for key, cell in row.items() if key not in VARYING} for row in csv.DictReader(stream)]


def quickly(small: Small, *more: object) -> list[object]:
    return ["--protocol", small.quick, "--bones", "L1", "--no-report", *more]


@pytest.mark.slow
def test_folder_resumes_and_tells_failures(
    openbct: Command, small: Small, scans: Path, tmp_path: Path, computed: list[str]
) -> None:
    out = tmp_path / "out"
    said = openbct("batch", scans, "-o", out, *quickly(small))
    assert said.status == 6 and "4 scans, 4 computed now, 2 without a result" in said.out
    rows = {row["scan"]: row for row in rows_of(out / "batch.csv")}
    assert list(rows) == ["anna 1", "børge", "empty", "unlabelled"]
    assert rows["anna 1"]["status"] == "caution" and float(rows["børge"]["strength_n"]) > 1000
    assert rows["empty"]["status"] == "failed" and "expected" in rows["empty"]["reason"] and rows["empty"]["bone"] == ""
    assert "--labels" in rows["unlabelled"]["reason"] and "unlabelled: found the segmenter" in said.out
    assert computed == ["anna 1", "børge"]
    before = {name: (out / name / "result.json").stat().st_mtime_ns for name in computed}

    shutil.copy(small.labels, scans / "unlabelled.labels.nii.gz")
    shutil.copy(small.table, scans / "unlabelled.labels.toml")
    again = openbct("batch", scans, "-o", out, *quickly(small), "--json")
    assert again.status == 6 and computed == ["anna 1", "børge", "unlabelled"]
    assert again.json["failed"] == 1 and again.json["computed"] == 2 and len(again.json["rows"]) == 4
    assert "4 scans, 2 already done" in again.err
    assert before == {name: (out / name / "result.json").stat().st_mtime_ns for name in before}
    assert [row for row in rows_of(out / "batch.csv") if row["scan"] in before] == [rows[name] for name in before]

    shutil.rmtree(scans / "empty")
    computed.clear()
    assert openbct("batch", scans, "-o", out, *quickly(small)).status == 0 and computed == []
    small_change = (small.quick.read_text(encoding="utf-8")).replace("0.72", "0.71")
    (tmp_path / "other.toml").write_text(small_change, encoding="utf-8")
    changed = openbct("batch", scans, "-o", out, "--protocol", tmp_path / "other.toml", "--bones", "L1", "--no-report")
    assert changed.status == 0 and len(computed) == 3, "another protocol is another result"
    computed.clear()
    os.utime(scans / "børge.nii.gz", ns=(1, 1))
    (out / "anna 1" / "result.json").unlink()
    openbct("batch", scans, "-o", out, "--protocol", tmp_path / "other.toml", "--bones", "L1", "--no-report")
    assert computed == ["anna 1", "børge"], "a touched scan and a lost result are computed again"


@pytest.mark.slow
def test_interrupted_batch_goes_on(
    openbct: Command, small: Small, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real = batch.analyze_to_files
    seen: list[str] = []

    def analyze(scan, segmenter, settings, request: Request, progress):
        seen.append(request.out.name)
        if request.out.name == "børge" and len(seen) == 2:
            raise KeyboardInterrupt
        return real(scan, segmenter, settings, request, progress)

    monkeypatch.setattr(batch, "analyze_to_files", analyze)
    said = openbct("batch", scans, "-o", out, *quickly(small))
    assert said.status == 130 and said.error.endswith("interrupted; what was finished stays on disk")
    assert [row["scan"] for row in rows_of(out / "batch.csv")] == ["anna 1"]
    assert openbct("batch", scans, "-o", out, *quickly(small)).status == 6
    assert seen == ["anna 1", "børge", "børge"]


@pytest.mark.slow
def test_two_jobs_give_the_same_table(openbct: Command, small: Small, scans: Path, tmp_path: Path) -> None:
    one = openbct("batch", scans, "-o", tmp_path / "one", *quickly(small))
    two = openbct("batch", scans, "-o", tmp_path / "two", *quickly(small, "--jobs", "2"))
    assert (one.status, two.status) == (6, 6)
    assert rows_of(tmp_path / "one" / "batch.csv") == rows_of(tmp_path / "two" / "batch.csv")


def write_table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_table(openbct: Command, small: Small, tmp_path: Path) -> None:
    table = write_table(
        small.folder,
        "\ufeffname,scan,labels,label_map,bones,sex,age,height_cm,weight_kg\n"
        "first one,scan,labels.nii.gz,labels.toml,L1,F,70,160,60\n"
        ",,,,,,,,\n"
        ",scan.nii.gz, labels.nii.gz ; labels.nii.gz,labels.toml,L9,,,,\n"
        "third,scan.nii.gz,labels.nii.gz,labels.toml,T12,M,999,,\n"
        "fourth,nowhere,labels.nii.gz,,,,,,\n"
        "fifth,scan.nii.gz,labels.nii.gz,labels.toml,T12,,,,\n",
    )
    said = openbct("batch", table, "-o", tmp_path, "--protocol", small.quick, "--no-report")
    table.unlink()
    assert said.status == 6
    rows = {row["scan"]: row for row in rows_of(tmp_path / "batch.csv")}
    assert list(rows) == ["first one", "scan-0003", "third", "fourth", "fifth"]
    assert (
        rows["first one"]["status"] == "caution" and rows["first one"]["age_years"] == "70" and rows["first one"]["bone"] == "L1"
    )
    assert "'L9'" in rows["scan-0003"]["reason"] and "age [years] = 999" in rows["third"]["reason"]
    assert "path of the scan" in rows["fourth"]["reason"] and "nowhere" not in rows["fourth"]["reason"]
    assert rows["fifth"]["status"] == "refused" and "5 scans, 5 computed now, 4 without a result" in said.out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name;scan\na;b\n", ["'name;scan'", "commas"]),
        ("name,labels\na,b\n", ["expected scan"]),
        ("scan,colour\na,b\n", ["'colour'"]),
        ("scan,scan\na,b\n", ["'scan', 'scan'"]),
        ("", ["none"]),
        ("scan,name\n,x\n", ["line 2", "names no scan"]),
        ("scan,name\na,b,c\n", ["line 2", "more cells"]),
        ("scan,age\na,old\n", ["line 2", "'old'", "number"]),
        ("scan,age\na,72 years\n", ["'72 years'"]),
        ("scan,name\na,../x\n", ["line 2", "'../x'", "plain name"]),
        ("scan,name\na,/etc/x\n", ["'/etc/x'"]),
        ("scan,name\na,..\n", ["'..'"]),
        ("scan,name\na,C:\\x\n", ["plain name"]),
        ("scan,name\na,..\\x\n", ["plain name"]),
        ("scan,name\na,batch.csv\n", ["'batch.csv'"]),
        ("scan,name\na,x\nb,x\n", ["two scans of the name 'x'", "rename"]),
        ("scan,name\na,x\nb,X\n", ["two scans of the name 'X'"]),
        ('scan,name\n"a,x\n', ["line 2"]),
    ],
)
def test_bad_tables(openbct: Command, small: Small, tmp_path: Path, text: str, words: list[str]) -> None:
    said = openbct("batch", write_table(tmp_path, text), "-o", tmp_path / "out")
    assert said.status == 2 or (said.status == 6 and text.startswith('scan,name\n"')), said.err
    if said.status == 2:
        assert not (tmp_path / "out").exists() and said.out == ""
        for word in words:
            assert word in said.error, said.error


def test_a_table_that_is_not_text(openbct: Command, tmp_path: Path) -> None:
    said = openbct("batch", write_table(tmp_path, "scan,name\na,ü\n", "latin-1"), "-o", tmp_path / "out")
    assert said.status == 2 and "UTF-8" in said.error


def test_folders_that_are_no_batch(openbct: Command, small: Small, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert openbct("batch", tmp_path / "empty", "-o", tmp_path / "out").status == 3
    assert openbct("batch", tmp_path / "nowhere", "-o", tmp_path / "out").status == 3
    assert openbct("batch", tmp_path / "nowhere.csv", "-o", tmp_path / "out").status == 3
    folder = tmp_path / "double"
    (folder / "a").mkdir(parents=True)
    (folder / "a.zip").write_bytes(b"")
    said = openbct("batch", folder, "-o", tmp_path / "out")
    assert said.status == 2 and "two scans of the name 'a'" in said.error
    (folder / "a.zip").unlink()
    assert openbct("batch", folder, "-o", folder).status == 2, "results would lie in the scan's own folder"
    assert openbct("batch", folder, "-o", tmp_path / "out", "--protocol", "nope").status == 2
    assert not (tmp_path / "out").exists()


def test_an_output_folder_among_the_scans_is_no_scan(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "out").mkdir()
    base = Request(scan=tmp_path, out=tmp_path / "out")
    assert [request.out.name for request in batch.plan(tmp_path, tmp_path / "out", base)] == ["a"]


def test_a_report_that_fails_is_no_failed_scan(openbct: Command, small: Small, scans: Path, tmp_path: Path, monkeypatch) -> None:
    from openbct import report

    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError(SECRET)

    for name in ("empty", "unlabelled.nii.gz", "børge.nii.gz"):
        path = scans / name
        path.rmdir() if path.is_dir() else path.unlink()
    monkeypatch.setattr(report, "make_report", fail)
    assert openbct("batch", scans, "-o", tmp_path / "out", "--protocol", small.quick, "--bones", "L1").status == 0
    row = rows_of(tmp_path / "out" / "batch.csv")[0]
    assert row["status"] == "caution" and "openbct report" in row["cautions"]
    assert not (tmp_path / "out" / "anna 1" / batch.DONE).exists(), "the next batch tries again"


def test_a_bug_is_a_row(openbct: Command, small: Small, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError(f"{SECRET}^ANNA")

    monkeypatch.setattr(batch, "analyze_to_files", fail)
    assert openbct("batch", scans, "-o", tmp_path / "out", *quickly(small)).status == 6
    reasons = [row["reason"] for row in rows_of(tmp_path / "out" / "batch.csv")]
    assert len(reasons) == 4 and sum("internal error (ZeroDivisionError)" in reason for reason in reasons) == 2
    assert not any(SECRET in reason for reason in reasons)


def test_done_files_that_are_not_ours(tmp_path: Path) -> None:
    scan = tmp_path / "a.nii.gz"
    scan.write_bytes(b"x")
    request = Request(scan=scan, out=tmp_path / "out", labels=(scan,))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text("{}")
    done = tmp_path / "out" / batch.DONE
    digest = batch._digest(request)
    for text in ("", "[]", "{}", f'{{"request": "{digest}", "rows": []}}', f'{{"request": "{digest}", "rows": [{{}}]}}', "\xff"):
        done.write_text(text, encoding="latin-1")
        assert batch._earlier(request) is None
    done.write_text(f'{{"request": "{digest}", "rows": [{{"bone": "L1", "status": "ok"}}]}}')
    assert batch._earlier(request) is not None
    assert batch._earlier(replace(request, age=50.0)) is None


def die(request: Request) -> list[dict[str, str]]:
    """Stand in for an analysis that the system kills for want of memory."""
    if request.out.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"scan": request.out.name, "bone": "L1", "status": "ok"}]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_takes_only_its_own_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "run_one", die)
    from multiprocessing import get_context

    def pool(jobs: int, threads: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn"))

    monkeypatch.setattr(batch, "_pool", pool)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    requests = [Request(scan=tmp_path / name, out=tmp_path / name) for name in "abc"]
    rows = dict(batch._run(requests, 2))
    assert {name: found[0]["status"] for name, found in rows.items()} == {"a": "ok", "b": "failed", "c": "ok"}
    assert "memory" in rows["b"][0]["reason"]


def test_names(tmp_path: Path) -> None:
    for good in ("patient 7", "Müller-Ærø", "a.b", "1"):
        assert not batch.BAD_NAME.search(good)
    for bad in ("../x", "/x", "a/b", "a\\b", ".x", "x.", "x\n", "C:x", "a*", "x "):
        assert batch.BAD_NAME.search(bad), bad
    requests = [Request(scan=tmp_path / "a", out=tmp_path / "a")]
    with pytest.raises(SettingsError, match="scan"):
        batch._check_names(requests, tmp_path)
