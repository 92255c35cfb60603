"""Run a plan's cells in the order printed, with fresh kernels: python course/walk.py hours-2"""

import sys
import time

import nbformat
import plan
from nbclient import NotebookClient
from sections import NOTEBOOKS, read

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def orders(name: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """Of a plan: (title of the session, notebook, its cells in the order in which they run)."""
    found = []
    for session, steps in plan.build(name):
        for number in dict.fromkeys(step.notebook for step in steps if step.notebook):
            own = [step for step in steps if step.notebook == number]
            cells = tuple(i for step in own for i in [*step.before, *step.cells])
            found.append((session["title"], number, cells))
    return found


def run(number: str, order: tuple[int, ...]) -> float:
    """The seconds that these cells of a notebook take; raises at the first one that fails."""
    cells = [nbformat.v4.new_code_cell(read(number).cells[i].source) for i in order]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    began, here = time.perf_counter(), {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=600, resources=here).execute()
    return time.perf_counter() - began


if __name__ == "__main__":
    for title, number, order in orders(*sys.argv[1:]):
        print(
            f"{title}: notebook {number}, {len(order)} cells, {run(number, order):.0f} s",
            flush=True,
        )
