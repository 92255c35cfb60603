"""The command `lthlab`: the notebooks that came with an installed package."""

import argparse
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path


def notebooks() -> list[Path]:
    """The notebooks and their pages: the repository's, else those that the wheel brought."""
    folder = Path(__file__).parent.parent / "notebooks"
    here = [*folder.glob("[0-9][0-9]_*.ipynb"), *folder.glob("*.md")]
    brought = [file for file in files("lthlab") or [] if "share/lthlab/notebooks" in str(file)]
    return sorted(here) or [Path(file.locate()) for file in brought]


def main() -> None:
    """`lthlab notebooks FOLDER` copies them, `lthlab lab [FOLDER]` opens JupyterLab on the copy."""
    parser = argparse.ArgumentParser(prog="lthlab", description=main.__doc__)
    parser.add_argument("command", choices=["notebooks", "lab"])
    parser.add_argument("folder", type=Path, nargs="?", default="lottery-tickets")
    options, others = parser.parse_known_args()
    if others and options.command == "notebooks":  # JupyterLab has options, copying has none
        parser.error(f"notebooks takes a folder alone; got {' '.join(others)}")
    options.folder = options.folder.expanduser()
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in notebooks():
        if not (options.folder / path.name).exists():  # what somebody has worked in stays
            shutil.copy(path, options.folder)
    print(f"The notebooks are in {options.folder.resolve()}")
    if options.command == "lab":
        page = "--LabApp.default_url=/lab/tree/00_start_here.ipynb"
        command = [sys.executable, "-m", "jupyterlab", page, *others]
        sys.exit(subprocess.call(command, cwd=options.folder))
