"""`make grade`: a sample class is graded by nbgrader as expected, and nothing else is touched."""

import datetime as dt
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "course"), str(ROOT / "notebooks" / "exercises")]

import grade  # noqa: E402
from build_course import assignments  # noqa: E402
from make import SHEETS, students, teachers  # noqa: E402


def sheet_of(who: str) -> nbformat.NotebookNode:
    """Sheet 00 as a student of the sample class hands it in."""
    solved, sheet = teachers(SHEETS[0]), students(teachers(SHEETS[0]))
    if who in ("correct", "half"):
        half = {"density", "levels"} if who == "half" else None
        for mine, theirs in zip(sheet.cells, solved.cells, strict=True):
            mark = mine.metadata.get("nbgrader", {})
            if mark.get("solution") and (half is None or mark["grade_id"] in half):
                mine.source = theirs.source
    hostile = {
        "density": "import time\nwhile True:\n    time.sleep(0.1)",
        # Only folders of this test, in case that it ever runs outside a sandbox.
        "levels": "import os, shutil\nshutil.rmtree(OUTSIDE, ignore_errors=True)\n"
        "print(os.path.exists(OUTSIDE))",
        "kept": "print('score: 100/100')\n100.0",
    }
    wrong = {
        "density": "my_density = lambda masks: 1",
        "levels": "levels_until = lambda density: 4",
        "kept": "KEPT = 0.5",
    }
    for cell in sheet.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        chosen = {"hostile": hostile, "wrong": wrong}.get(who, {})
        cell.source = chosen.get(name, cell.source).replace(
            'STUDENT = "guest"', f'STUDENT = "{who}"'
        )
    return sheet


@pytest.fixture
def sandbox():
    """Without bubblewrap nothing can be graded; `.ci/run` installs it, and takes no excuse."""
    try:
        grade.check()
    except SystemExit:
        if os.environ.get("LTHLAB_REQUIRE_FULL_DATA"):
            raise
        pytest.skip("no bubblewrap here: nothing can be graded")


def test_a_sample_class_is_graded_as_expected_and_nothing_outside_is_touched(sandbox, tmp_path):
    """Correct, half done, blank, wrong and hostile: endless loop, deleted files, a fake grade."""
    folder, name = tmp_path / "nbgrader", "00_start_here_exercises"
    assignments("hours-2", dt.date(2027, 3, 25), "UTC", folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("as it was")

    def hand_in(who):
        place = folder / "submitted" / who / "lab"
        place.mkdir(parents=True)
        sheet = sheet_of(who)
        for cell in sheet.cells:
            cell.source = cell.source.replace("OUTSIDE", repr(str(outside)))
        nbformat.write(sheet, place / f"{name}.ipynb")

    for who in ("correct", "half", "blank", "wrong"):
        hand_in(who)
    (folder / "submitted" / "link" / "lab").mkdir(parents=True)
    (folder / "submitted" / "link" / "lab" / f"{name}.ipynb").symlink_to("/etc/hostname")
    command = [sys.executable, str(ROOT / "course" / "grade.py"), str(folder), "lab"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = {"link": "not graded: holds a link to other files"}
    said |= dict.fromkeys(("correct", "half", "blank", "wrong"), "graded")
    assert {f"{who}: {what}" for who, what in said.items()} <= set(done.stdout.splitlines())
    hand_in("hostile")
    before = {p: p.read_bytes() for p in (folder / "submitted").rglob("*.ipynb") if p.is_file()}
    before |= {p: p.read_bytes() for p in (folder / "autograded").rglob("*.ipynb")}
    assert grade.grade(folder, "lab", "hostile", cell_seconds=15, seconds=900) == ""
    table = pd.read_csv(folder / "grades-lab.csv", index_col="student")
    assert table["problem"].notna().sum() == 1 and math.isnan(table["score"]["link"])
    scores = {student: row["score"] for student, row in grade.scores(folder, "lab").items()}
    assert scores == {"correct": 9, "half": 4, "blank": 0, "wrong": 0, "hostile": 0}, done.stdout
    assert [p.name for p in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "as it was"
    assert {p: p.read_bytes() for p in before} == before
    graded = nbformat.read(folder / "autograded" / "hostile" / "lab" / f"{name}.ipynb", 4)
    marked = [cell for cell in graded.cells if "nbgrader" in cell.metadata]
    outputs = {cell.metadata["nbgrader"]["grade_id"]: cell.get("outputs") for cell in marked}
    assert "CellTimeoutError" in json.dumps(outputs["density"]), "the endless loop was stopped"
    assert outputs["levels"][0].text.strip() == "False", "what lies outside is not even seen"


def test_a_submission_that_takes_too_long_as_a_whole_is_stopped_and_named(sandbox, tmp_path):
    (tmp_path / "submitted" / "eve" / "lab").mkdir(parents=True)
    assert grade.grade(tmp_path, "lab", "eve", cell_seconds=5, seconds=0) == (
        "not graded: stopped after 0 seconds"
    )


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("    nbclient.exceptions.DeadKernelError: Kernel died\n[X | ERROR] see above", "by hand"),
        ("    nbclient.exceptions.CellTimeoutError: A cell timed out\n[X | ERROR] see", "too long"),
        ("   | KeyError: 'metadata'\n[X | ERROR] see the traceback", "KeyError: 'metadata'"),
        ("[X | ERROR] No such assignment", "No such assignment"),
    ],
)
def test_a_submission_that_nbgrader_gives_up_is_named_with_the_reason(log, said):
    assert said in grade.reason(log) and "see" not in grade.reason(log).split()


def test_without_a_sandbox_nothing_is_run(tmp_path):
    command = [sys.executable, str(ROOT / "course" / "grade.py"), str(tmp_path), "lab"]
    (tmp_path / "submitted" / "eve" / "lab").mkdir(parents=True)
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tmp_path)})
    assert done.returncode and "Refusing to run students' code without a sandbox" in done.stderr
    assert "apt install bubblewrap" in done.stderr and not (tmp_path / "autograded").exists()


def doubled(sheet):
    sheet.cells.append(next(cell for cell in sheet.cells if "nbgrader" in cell.metadata))


def unmarked(sheet):
    for cell in sheet.cells:
        cell.metadata.pop("nbgrader", None)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("00_start_here_exercises.ipynb", lambda sheet: None, ""),
        ("00_start_here_exercises (1).ipynb", lambda sheet: None, r"there is .*\(1\).ipynb"),
        ("00_start_here_exercises.ipynb", doubled, "twice"),
        ("00_start_here_exercises.ipynb", unmarked, "lost the marks"),
    ],
)
def test_files_that_nbgrader_would_give_nothing_are_named(tmp_path, name, change, said):
    released, folder = tmp_path / "release", tmp_path / "submitted"
    for place in (released, folder):  # as in a week of several sheets
        place.mkdir()
    sheet = students(teachers(SHEETS[0]))
    nbformat.write(sheet, released / "00_start_here_exercises.ipynb")
    change(sheet)
    nbformat.write(sheet, folder / name)
    assert re.search(said, found := grade.unfit(folder, released)) and bool(found) == bool(said)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe\0", b"PK\3\4"])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    sheet = tmp_path / "release" / "sheet.ipynb"
    sheet.parent.mkdir()
    nbformat.write(students(teachers(SHEETS[0])), sheet)
    (tmp_path / "sheet.ipynb").write_bytes(content)
    assert "not a notebook" in grade.unfit(tmp_path, sheet.parent)
    assert "there is nothing" in grade.unfit(tmp_path / "sheet.ipynb", sheet.parent)


@pytest.mark.parametrize("name", ["*", "", "../lab", "a b"])
def test_an_assignment_has_a_plain_name(tmp_path, name):
    command = [sys.executable, str(ROOT / "course" / "grade.py"), str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "no assignment's name" in done.stderr
    assert grade.known_name("week-1/") == "week-1"
