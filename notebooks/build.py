"""Turn notebooks/source/*.py (jupytext py:percent) into executed notebooks beside them.

python notebooks/build.py [--force] [--output FOLDER] [NAME ...]   (--force: not only what changed)
"""

import argparse
import base64
import copy
import io
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from PIL import Image

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "source").glob("[0-9][0-9]_*.py"))
WORDS_A_MINUTE = 180
BET = re.compile(r"\bbets\.(?:pick|order|number|curve)\(")
KNOBS = re.compile(r'<script type="module" class="lthlab-knobs">.*?</script>', re.DOTALL)
EXERCISE = re.compile(r"^\d+\. ", re.MULTILINE)
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def read_source(source: Path) -> nbformat.NotebookNode:
    """The notebook that a source describes, not executed, with the kernel it names."""
    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"  # the same at every build, so that diffs show what changed
    return notebook


def execute(notebook: nbformat.NotebookNode) -> float:
    """Run every cell in order, in place; raises on the first error. Returns the seconds it took.

    Once in a great while an answer between kernel and client is lost, and both wait; then the whole
    notebook is run again, once, with a new kernel. No cell takes half as long as the limit.
    """
    for last in (False, True):
        began, attempt = time.perf_counter(), copy.deepcopy(notebook)
        resources = {"metadata": {"path": str(HERE)}}
        try:
            NotebookClient(
                attempt, timeout=300, kernel_name="python3", resources=resources
            ).execute()
        except CellTimeoutError as error:
            if last:
                raise
            print(
                f"No answer from the kernel, trying again: {str(error).splitlines()[0]}",
                file=sys.stderr,
            )
        else:
            notebook.cells = attempt.cells
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    cell.metadata["seconds"] = running(cell)
            return time.perf_counter() - began


def running(cell: nbformat.NotebookNode) -> float:
    """The seconds that a cell ran, by the kernel's clock."""
    times = cell.metadata.get("execution", {})
    began, ended = (times.get(f"iopub.status.{state}") for state in ("busy", "idle"))
    if not (began and ended):
        return 0.0
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds(), 1)


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what is dead on a page without a kernel, and when each cell ran.

    Progress bars go, and widgets too, unless they brought a still picture (or text) to show in
    their place. Knobs lose their script, which the website brings along. Large pictures get fewer
    colours.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = slim(output.data["image/png"])
                if "lthlab-knob" in output.get("data", {}).get("text/html", ""):
                    output.data["text/html"] = KNOBS.sub("", output.data["text/html"])
                if output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None):
                    output.data.pop(
                        "text/plain", None
                    )  # a widget's class and settings: nothing to read
            cell.outputs = [
                o for o in cell.outputs if "\r" not in o.get("text", "") and o.get("data", {"": ""})
            ]


def slim(picture: str) -> str:
    """A large picture in 256 colours, enough for lines and bands, if that makes it smaller."""
    if len(picture) < 100_000:
        return picture
    image, packed = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return min(picture, base64.b64encode(packed.getvalue()).decode() + "\n", key=len)


def only_prose_changed(notebook: nbformat.NotebookNode, built: Path) -> bool:
    """Take over the outputs of a sound build with the same code: a mended sentence costs no run."""
    if not built.exists():
        return False
    earlier = nbformat.read(built, as_version=4)
    new, old = ([c for c in n.cells if c.cell_type == "code"] for n in (notebook, earlier))
    numbers = [cell.execution_count for cell in old]
    if [cell.source for cell in new] != [cell.source for cell in old] or numbers != list(
        range(1, len(old) + 1)
    ):
        return False
    for cell, done in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
        cell.metadata["seconds"] = done.metadata.get("seconds", 0.0)
    notebook.metadata["seconds"] = earlier.metadata.get("seconds")
    return True


def spend(notebook: nbformat.NotebookNode) -> None:
    """Put honest minutes where the source says {time}, from what the executed notebook holds.

    Reading at 180 words a minute, a minute for each code cell, two for each picture, bet and
    exercise, and the seconds that the cells ran. Cells tagged "deep" are no part of the core.
    """
    deep = ["deep" in cell.metadata.get("tags", []) for cell in notebook.cells]
    core = [cell for cell, apart in zip(notebook.cells, deep, strict=True) if not apart]
    seconds = sum(cell.metadata.get("seconds", 0.0) for cell in core)
    counts = {
        "words": sum(len(c.source.split()) for c in core if c.cell_type == "markdown"),
        "code cells": sum(c.cell_type == "code" for c in core),
        "pictures": sum(
            "image/png" in output.get("data", {}) for c in core for output in c.get("outputs", [])
        ),
        "bets": sum(len(BET.findall(c.source)) for c in core if c.cell_type == "code"),
        "exercises": sum(len(EXERCISE.findall(exercises_of(c))) for c in core),
    }
    words, cells, *others = counts.values()
    minutes = words / WORDS_A_MINUTE + cells + 2 * sum(others) + seconds / 60
    told = ", ".join(
        f"{count:,} {what.removesuffix('s') if count == 1 else what}"
        for what, count in counts.items()
        if count
    )
    line = f"about {5 * -(-round(minutes) // 5)} minutes ({told}; {seconds:.0f} s of computing)"
    line += "; sections marked *deep dive* come on top." if any(deep) else "."
    notebook.cells[0].source = notebook.cells[0].source.replace("{time}", line)
    notebook.metadata["minutes"] = round(minutes)


def exercises_of(cell: nbformat.NotebookNode) -> str:
    """The text of a cell that sets exercises, without their answers."""
    text = cell.source.split("<details>")[0]
    return text if cell.cell_type == "markdown" and "Your turn" in text else ""


def publish_pictures(notebook: nbformat.NotebookNode, root: Path) -> None:
    """Write the pictures of cells tagged "picture:PATH" to PATH, for pages elsewhere."""
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("picture:"):
                pictures = [
                    o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
                ]
                path = root / tag.removeprefix("picture:")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(base64.b64decode(pictures[0]))


def find_faults(source: Path, built: Path) -> list[str]:
    """Why a built notebook is not to be published: stale, failed, or not run top to bottom."""
    if not built.exists():
        return ["not built"]
    expected, found, faults = read_source(source), nbformat.read(built, as_version=4), []
    for cell, done in zip(expected.cells, found.cells, strict=False):
        cell.outputs = done.get("outputs", [])  # pictures and seconds count
        cell.metadata["seconds"] = done.metadata.get("seconds", 0.0)
    spend(expected)
    cells, those = (
        [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
        for notebook in (expected, found)
    )
    if cells != those:
        faults.append("stale: its cells are not those of its source")
    if found.metadata.get("kernelspec", {}).get("name") != "python3":
        faults.append("names no kernel: JupyterLab would ask for one")
    code = [cell for cell in found.cells if cell.cell_type == "code" and cell.source.strip()]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        faults.append("not executed top to bottom in one go")
    if any(output.output_type == "error" for cell in code for output in cell.outputs):
        faults.append("holds an error")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="numbers or beginnings of names: 00 03")
    parser.add_argument("--force", action="store_true", help="rebuild what is up to date, too")
    parser.add_argument("--output", type=Path, default=HERE, help="folder for the built notebooks")
    options = parser.parse_args()
    for name in options.names:
        if not any(source.stem.startswith(name) for source in SOURCES):
            parser.error(f"no notebook's name begins with {name!r}")
    for source in SOURCES:
        if options.names and not any(source.stem.startswith(name) for name in options.names):
            continue
        built = options.output / f"{source.stem}.ipynb"
        if not options.force and not find_faults(source, built):
            print(f"{built.name}: up to date")
            continue
        notebook = read_source(source)
        if not options.force and only_prose_changed(notebook, built):
            done = "prose renewed, outputs kept"
        else:
            notebook.metadata["seconds"] = round(execute(notebook))  # for the table in README.md
            done = f"executed in {notebook.metadata['seconds']} s"
            tidy(notebook)
        spend(notebook)
        nbformat.write(notebook, built)
        publish_pictures(notebook, options.output.parent)
        print(f"{built.name}: {done}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
