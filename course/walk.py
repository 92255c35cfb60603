"""Run a plan's cells in the order printed, with fresh kernels: python course/walk.py hours-2"""

import sys
import time

import nbformat
import plan
from nbclient import NotebookClient
from sections import NOTEBOOKS, read

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def walk(name: str) -> None:
    """Raises at the first cell that fails; prints how long each notebook of a session took."""
    for session, steps in plan.build(name):
        print(session["title"])
        for number in dict.fromkeys(step.notebook for step in steps if step.notebook):
            own = [step for step in steps if step.notebook == number]
            order = [i for step in own for i in [*step.before, *step.cells]]
            cells = [nbformat.v4.new_code_cell(read(number).cells[i].source) for i in order]
            notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
            began = time.perf_counter()
            here = {"metadata": {"path": str(NOTEBOOKS)}}
            NotebookClient(notebook, timeout=600, resources=here).execute()
            seconds = time.perf_counter() - began
            print(f"  notebook {number}: {len(cells)} cells, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    walk(*sys.argv[1:])
