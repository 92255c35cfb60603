"""The wheel brings the notebooks, and `lthlab` copies and opens them without the repository."""

import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import lthlab.cli

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.name for path in ROOT.glob("notebooks/[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """`lthlab` in an environment of its own that holds the wheel; what it needs comes from ours."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if name.startswith(("lthlab/", "notebooks/")) or "/" not in name:
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "copy" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    done = subprocess.run(build, cwd=folder / "copy", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    # Below the wheel on the path, and without our editable install, whose .pth is not read there.
    (packages / "ours.pth").write_text("\n".join(site.getsitepackages()))
    (wheel,) = folder.glob("lthlab-*.whl")
    python = folder / "env" / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    shutil.rmtree(folder / "copy")
    return folder / "env" / "bin" / "lthlab"


def run(program, *arguments, cwd):
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, env=clean, capture_output=True, text=True
    )


def test_an_installed_wheel_copies_its_notebooks_and_runs_one(program, tmp_path):
    done = run(program, "notebooks", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("here/*.ipynb")) == NOTEBOOKS
    copied, ours = tmp_path / "here" / NOTEBOOKS[0], ROOT / "notebooks" / NOTEBOOKS[0]
    assert copied.read_bytes() == ours.read_bytes()
    assert (tmp_path / "here" / "README.md").exists()
    copied.write_text("my own notes")
    assert run(program, "notebooks", "here", cwd=tmp_path).returncode == 0
    assert copied.read_text() == "my own notes", "what somebody has worked in stays"
    where = "import lthlab; print(lthlab.__file__)"
    found = run(program.with_name("python"), "-c", where, cwd=tmp_path).stdout
    assert str(program.parent.parent) in found


def test_lab_passes_options_on_to_jupyter(program, tmp_path):
    done = run(program, "lab", "there", "--version", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip().splitlines()[-1][0].isdigit()
    assert (tmp_path / "there" / NOTEBOOKS[0]).exists()


def test_in_the_repository_its_own_notebooks_are_taken():
    assert [p.name for p in lthlab.cli.notebooks() if p.suffix == ".ipynb"] == NOTEBOOKS
