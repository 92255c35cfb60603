"""Every exercise is tried with right answers written differently and with typical wrong ones."""

import ast
import os
import re
import sys
import traceback
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks" / "exercises"))

from make import SHEETS, make_student, students, teachers  # noqa: E402

each_sheet = pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.stem)
IDS = ["guest", "bob", "ada", "eve", "s1234"]


@cache
def answers(sheet: Path) -> dict[str, dict[str, list]]:
    """{exercise: {"right": cells, "wrong": cells}} of a sheet."""
    found = {}
    for cell in jupytext.read(Path(__file__).parent / "answers" / f"{sheet.stem[:2]}.py").cells:
        (tag,) = cell.metadata["tags"]
        kind, name = tag.split(":")
        found.setdefault(name, {"right": [], "wrong": []})[kind].append(cell)
    return found


@cache
def whole(sheet: Path) -> list:
    """The cells of the teacher's version."""
    return teachers(sheet).cells


@cache
def visible(sheet: Path) -> dict[str, str]:
    """{id: source} of the cells that a student sees."""
    return {cell.id: cell.source for cell in students(teachers(sheet)).cells}


def run(sheet, given=None, student="guest", only=None):
    """What each check raises, without and with its hidden half: {exercise: (error, error)}.

    given: {exercise: source} in place of the sheet's own solutions.
    only: run the checks of these exercises alone.
    """
    found, names, given = {}, {"__name__": "__main__"}, given or {}
    for cell in whole(sheet):
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "setup")
        if cell.cell_type != "code":
            continue
        source = cell.source.replace('STUDENT = "guest"', f'STUDENT = "{student}"')
        exercise = name.removesuffix("-check")
        if not name.endswith("-check"):
            attempt(given.get(exercise, source), name, names, exercise in given)
        elif only is None or exercise in only:
            found[exercise] = tuple(
                attempt(text, name, names, True) for text in (visible(sheet)[cell.id], source)
            )
    return found


def attempt(source, name, names, may_fail):
    try:
        exec(compile(source, name, "exec"), names)
    except Exception as error:
        if not may_fail:
            raise
        return error


@each_sheet
def test_the_sheets_own_solutions_pass_and_blanks_fail(sheet):
    solved = run(sheet)
    assert 2 <= len(solved) <= 6
    assert {name: errors for name, errors in solved.items() if any(errors)} == {}
    blank = {
        cell.metadata["nbgrader"]["grade_id"]: cell.source
        for cell in students(teachers(sheet)).cells
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code"
    }
    failed = run(sheet, blank)
    assert failed.keys() == solved.keys() and all(error for error, _ in failed.values()), (
        "a check that passes on nothing checks nothing"
    )


@each_sheet
def test_right_answers_pass_whoever_gives_them(sheet, record_property):
    library = answers(sheet)
    assert library.keys() == run(sheet).keys()
    drawn = {
        cell.metadata["nbgrader"]["grade_id"].removesuffix("-check")
        for cell in teachers(sheet).cells
        if cell.metadata.get("nbgrader", {}).get("grade") and "draw(" in cell.source
    }
    sources = [cell.source for cell in whole(sheet) if "def draw(" not in cell.source]
    assert "draw(" in str(sources), "each sheet has something that is drawn for each learner"
    for name, kinds in library.items():
        assert len(kinds["right"]) >= 3 and len(kinds["wrong"]) >= 3, name
        for cell in kinds["right"]:
            for student in IDS if name in drawn else IDS[:1]:
                errors = run(sheet, {name: cell.source}, student, only={name})[name]
                assert errors == (None, None), (student, cell.source, errors)
    counts = [f"{n} {len(k['right'])}/{len(k['wrong'])}" for n, k in library.items()]
    record_property(
        "measured", f"answers tried, sheet {sheet.stem[:2]} (right/wrong): {', '.join(counts)}"
    )


@each_sheet
def test_wrong_answers_fail_alone_and_with_a_fitting_hint_and_no_check_is_idle(sheet):
    """Each wrong answer fails its own check and no other, each assertion is met by some wrong one.

    So an assertion that is weakened lets an answer pass or changes its hint, and this fails.
    """
    cells = {
        c.metadata["nbgrader"]["grade_id"]: c for c in whole(sheet) if "nbgrader" in c.metadata
    }
    for name, kinds in answers(sheet).items():
        met, source = set(), cells[f"{name}-check"].source
        for cell in kinds["wrong"]:
            errors = run(sheet, {name: cell.source}, cell.metadata.get("student", "guest"))
            seen, graded = errors.pop(name)
            assert graded is not None, f"accepted:\n{cell.source}"
            assert cell.metadata["says"] in str(graded), (cell.source, graded)
            assert (seen is None) == cell.metadata.get("hidden", False), (cell.source, seen)
            assert not any(any(pair) for pair in errors.values()), (cell.source, errors)
            frames = traceback.extract_tb(graded.__traceback__)
            met.add(next(f.lineno for f in frames if f.filename == f"{name}-check"))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assert):
                assert isinstance(node.msg, ast.Constant | ast.JoinedStr), ast.unparse(node)
                lines = range(node.lineno, node.end_lineno + 1)
                assert met & set(lines), f"{name}: no wrong answer meets\n{ast.unparse(node)}"


@each_sheet
def test_every_exercise_has_a_solution_visible_and_hidden_checks(sheet):
    cells = [cell for cell in teachers(sheet).cells if cell.metadata.get("nbgrader")]
    marks = [cell.metadata["nbgrader"] for cell in cells]
    assert len({mark["grade_id"] for mark in marks}) == len(marks)
    assert sum(cell.cell_type == "markdown" and "Rubric" in cell.source for cell in cells) == 1
    for cell, mark in zip(cells, marks, strict=True):
        if mark["solution"]:
            assert "### BEGIN SOLUTION" in cell.source and "### END SOLUTION" in cell.source
        elif mark["grade"]:
            assert mark["points"] > 0
            parts = cell.source.split("### BEGIN HIDDEN TESTS")
            assert len(parts) == 2 and all("assert " in part for part in parts)


@each_sheet
def test_student_copies_give_nothing_away(sheet):
    text = "\n".join(cell.source for cell in students(teachers(sheet)).cells)
    assert "YOUR CODE HERE" in text and "YOUR ANSWER HERE" in text
    assert not re.search("SOLUTION|HIDDEN|Rubric", text)


def test_a_sheet_under_another_id_fails_with_a_sentence(monkeypatch):
    monkeypatch.setitem(os.environ, "LTHLAB_STUDENT", "bob")
    with pytest.raises(ValueError, match="carries the id 'guest', but 'bob' handed it in"):
        run(SHEETS[0])
    assert not any(any(errors) for errors in run(SHEETS[0], student="bob").values())


def test_learners_with_different_ids_get_different_tasks():
    for sheet in SHEETS:
        seen = set()
        for student in IDS:
            names = {"STUDENT": student}
            (draw,) = [c.source for c in teachers(sheet).cells if "def draw(" in c.source]
            exec(draw, names)
            sources = "\n".join(c.source for c in teachers(sheet).cells if c.cell_type == "code")
            seen.add(
                tuple(names["draw"](n, range(3)) for n in re.findall(r'draw\("(\w+)"', sources))
            )
        assert len(seen) > 1, sheet.stem


def test_there_is_a_sheet_for_every_notebook():
    notebooks = {path.stem[:2] for path in (ROOT / "notebooks" / "source").glob("[0-9][0-9]_*.py")}
    assert notebooks <= {sheet.stem[:2] for sheet in SHEETS}


def test_student_copies_are_written(tmp_path):
    make_student(tmp_path / "copies")
    written = sorted((tmp_path / "copies").glob("*.ipynb"))
    assert len(written) == len(SHEETS)
    for path in written:
        nbformat.validate(nbformat.read(path, as_version=4))
        text = path.with_suffix(".md").read_text()
        assert "YOUR CODE HERE" in text and "assert " in text
