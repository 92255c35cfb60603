"""Turn exercises/*.py into notebooks.

python notebooks/exercises/make.py student|assignment FOLDER

One source holds exercise, solution, checks and hidden checks. Cells are marked by tags:
"solution:NAME" (what the learner writes, between BEGIN SOLUTION and END SOLUTION) and
"check:NAME:POINTS". They become nbgrader's metadata. `student` writes copies without
solutions and hidden checks; `assignment` a whole nbgrader course folder with the
teacher's version in source/ and the release made by nbgrader itself.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat

HERE = Path(__file__).parent
SHEETS = sorted(HERE.glob("[0-9][0-9]_*.py"))
NAME = "lottery-tickets"


def teachers(sheet: Path) -> nbformat.NotebookNode:
    """A sheet as a notebook with solutions and hidden checks, marked for nbgrader."""
    notebook = jupytext.read(sheet)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata = {"kernelspec": kernel | {"name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        for tag in cell.metadata.pop("tags", []):
            kind, name, *points = tag.split(":")
            check = kind == "check"
            cell.metadata["nbgrader"] = {
                "schema_version": 3,
                "grade_id": name + "-check" * check,
                "grade": check,
                "solution": not check,
                "locked": check,
                "task": False,
            } | ({"points": int(points[0])} if check else {})
    return notebook


def students(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The same without solutions and hidden checks, by nbgrader's own hands."""
    from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions

    for step in (ClearSolutions(), ClearHiddenTests(), ClearOutput()):
        notebook, _ = step.preprocess(notebook, {})
    return notebook


def make_student(folder: Path) -> None:
    """Write the student copies into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in SHEETS:
        copy = students(teachers(sheet))
        nbformat.write(copy, folder / f"{sheet.stem}_exercises.ipynb")


def make_assignment(folder: Path) -> None:
    """Make an nbgrader course folder and let nbgrader release the assignment."""
    source = folder / "source" / NAME
    source.mkdir(parents=True, exist_ok=True)
    for sheet in SHEETS:
        nbformat.write(teachers(sheet), source / f"{sheet.stem}_exercises.ipynb")
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", NAME]
    command += ["--create", "--force", f"--course-dir={folder.resolve()}"]
    # Where nbgrader looks for alembic.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(command, check=True, env=os.environ | {"PATH": path})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["student", "assignment"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    make = make_student if options.what == "student" else make_assignment
    make(options.folder)
    print(f"written to {options.folder}")
