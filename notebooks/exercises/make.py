"""Turn exercises/*.py into notebooks.

python notebooks/exercises/make.py student|assignment FOLDER

One source holds exercise, solution, checks and hidden checks. Cells are marked by tags:
"solution:NAME" (what the learner writes, between BEGIN SOLUTION and END SOLUTION),
"check:NAME:POINTS", "explain:NAME:POINTS" (an answer in words, graded by hand; the
teacher's version has a model answer and a rubric) and "locked:NAME". They become
nbgrader's metadata. Every sheet begins with common.py: the learner's id, and what draws
their numbers. `student` writes copies without solutions and hidden checks, as notebooks
and as plain text; `assignment` a whole nbgrader course with the teacher's version in
source/ and the release made by nbgrader itself. TRANSLATION names a file of
translate.py: then in that language.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat

from translate import reader, translated

HERE = Path(__file__).parent
SHEETS = sorted(HERE.glob("[0-9][0-9]_*.py"))
NAME = "lottery-tickets"


def mark(tag: str) -> dict:
    """nbgrader's metadata of a cell with this tag."""
    kind, name, *points = tag.split(":")
    return {
        "schema_version": 3,
        "grade_id": name + "-check" * (kind == "check"),
        "grade": kind in ("check", "explain"),
        "solution": kind in ("solution", "explain"),
        "locked": kind in ("check", "locked"),
        "task": False,
    } | ({"points": int(points[0])} if points else {})


def teachers(sheet: Path) -> nbformat.NotebookNode:
    """A sheet as a notebook with solutions and hidden checks, marked for nbgrader."""
    notebook, common = jupytext.read(sheet), jupytext.read(HERE / "common.py")
    notebook.cells[1:1] = common.cells
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata = {"kernelspec": kernel | {"name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        for tag in cell.metadata.pop("tags", []):
            cell.metadata["nbgrader"] = mark(tag)
    if os.environ.get("TRANSLATION"):
        notebook = translated(notebook, reader(Path(os.environ["TRANSLATION"])))
    return notebook


def students(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same without solutions and hidden checks, by nbgrader's own hands."""
    from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions

    for step in (ClearSolutions(), ClearHiddenTests(), ClearOutput()):
        notebook, _ = step.preprocess(notebook, {})
    return notebook


def make_student(folder: Path) -> None:
    """Write the student copies: notebooks, and the same as plain text."""
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in SHEETS:
        copy = students(teachers(sheet))
        nbformat.write(copy, folder / f"{sheet.stem}_exercises.ipynb")
        for cell in copy.cells:
            cell.metadata = {}
        (folder / f"{sheet.stem}_exercises.md").write_text(jupytext.writes(copy, "md"))


def make_assignments(folder: Path, assignments: dict[str, list[Path]]) -> None:
    """Make an nbgrader course and let nbgrader release its assignments."""
    # Where nbgrader looks for alembic.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name, sheets in assignments.items():
        source = folder / "source" / name
        source.mkdir(parents=True, exist_ok=True)
        for sheet in sheets:
            nbformat.write(teachers(sheet), source / f"{sheet.stem}_exercises.ipynb")
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", name]
        command += ["--create", "--force", f"--course-dir={folder.resolve()}"]
        subprocess.run(
            command,
            check=True,
            env=os.environ | {"PATH": path},
            cwd=folder,
            capture_output=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["student", "assignment"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.what == "student":
        make_student(options.folder)
    else:
        make_assignments(options.folder, {NAME: SHEETS})
    print(f"written to {options.folder}")
