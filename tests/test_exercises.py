"""Every exercise: its solution passes all checks, its blank fails, nothing hidden is given away."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks" / "exercises"))

from make import NAME, SHEETS, make_student, students, teachers  # noqa: E402

each_sheet = pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.stem)


def run(notebook) -> dict[str, Exception | None]:
    """What each check raises when the notebook is run from top to bottom, errors and all."""
    found, names = {}, {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        mark, error = cell.metadata.get("nbgrader", {}), None
        try:
            exec(compile(cell.source, mark.get("grade_id", "setup"), "exec"), names)
        except Exception as raised:
            error = raised
        if mark.get("grade"):
            found[mark["grade_id"]] = error
        elif not mark:
            assert error is None, f"the cells around the exercises must run: {error!r}"
    return found


@each_sheet
def test_solutions_pass_and_blanks_fail(sheet):
    solved = run(teachers(sheet))
    assert 2 <= len(solved) <= 4
    assert {name: error for name, error in solved.items() if error} == {}
    blank = run(students(teachers(sheet)))
    assert blank.keys() == solved.keys() and all(blank.values()), (
        "a check that passes on nothing checks nothing"
    )


@each_sheet
def test_every_exercise_has_a_solution_visible_and_hidden_checks_and_hints(sheet):
    cells = [cell for cell in teachers(sheet).cells if "nbgrader" in cell.metadata]
    pairs = list(zip(cells[::2], cells[1::2], strict=True))
    for solution, check in pairs:
        name = solution.metadata["nbgrader"]["grade_id"]
        assert (
            check.metadata["nbgrader"]["grade_id"] == f"{name}-check"
            and check.metadata["nbgrader"]["points"] > 0
        )
        assert "### BEGIN SOLUTION" in solution.source and "### END SOLUTION" in solution.source
        visible, hidden = check.source.split("### BEGIN HIDDEN TESTS")
        assert visible.count("assert ") >= 1 and hidden.count("assert ") >= 1
        assert re.search(r',\s*\(?\s*"', visible), "a visible check says what to look at"


@each_sheet
def test_student_copies_give_nothing_away(sheet):
    text = "\n".join(cell.source for cell in students(teachers(sheet)).cells)
    assert "YOUR CODE HERE" in text and "SOLUTION" not in text and "HIDDEN" not in text


def test_there_is_a_sheet_for_every_notebook():
    notebooks = sorted(
        path.stem for path in (ROOT / "notebooks" / "source").glob("[0-9][0-9]_*.py")
    )
    assert [sheet.stem for sheet in SHEETS] == notebooks


def test_student_copies_are_written(tmp_path):
    make_student(tmp_path / "copies")
    written = sorted((tmp_path / "copies").glob("*.ipynb"))
    assert len(written) == len(SHEETS)
    for path in written:
        nbformat.validate(nbformat.read(path, as_version=4))


def test_nbgrader_releases_and_grades_the_assignment(tmp_path, monkeypatch):
    """nbgrader's own path: release; one student hands in the solutions, another hands in blanks."""
    from nbgrader.api import Gradebook

    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    make = [
        sys.executable,
        str(ROOT / "notebooks" / "exercises" / "make.py"),
        "assignment",
        str(tmp_path),
    ]
    done = subprocess.run(make, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    released = sorted((tmp_path / "release" / NAME).glob("*.ipynb"))
    assert len(released) == len(SHEETS) and "BEGIN SOLUTION" not in released[0].read_text()
    sheet = f"{SHEETS[0].stem}_exercises"
    for student, folder in (("diligent", "source"), ("blank", "release")):
        (tmp_path / "submitted" / student / NAME).mkdir(parents=True)
        shutil.copy(
            tmp_path / folder / NAME / f"{sheet}.ipynb", tmp_path / "submitted" / student / NAME
        )
        grade = [
            "autograde",
            NAME,
            f"--student={student}",
            f"--notebook={sheet}",
            "--create",
            f"--course-dir={tmp_path}",
        ]
        subprocess.run([sys.executable, "-m", "nbgrader", *grade], capture_output=True, timeout=300)
    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        scores = {s: book.find_submission_notebook(sheet, NAME, s) for s in ("diligent", "blank")}
        assert (
            scores["diligent"].score == scores["diligent"].max_score == 4
            and scores["blank"].score == 0
        )
