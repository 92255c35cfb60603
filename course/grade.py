"""Grade an assignment with nbgrader; what students wrote runs in a sandbox (bubblewrap).

python course/grade.py NBGRADER_FOLDER ASSIGNMENT [--cell-seconds 120] [--sheet-seconds 900]

Only the kernel is inside: no network, no home, no other student's files, nothing that it can write
but a folder in memory. nbgrader, its gradebook and the hidden checks' files stay outside. Without
bubblewrap nothing is run.
"""

import argparse
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import nbformat

KERNEL = (
    "lthlab-sandbox"  # nbgrader_config.py of a course names it, too: elsewhere it does not exist
)
MEMORY = 16 * 2**30  # bytes of addresses: PyTorch alone maps several GB that it never touches
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"]


def sandbox(shared: Path, student: str) -> list[str]:
    """The command before a kernel's own: what it sees, and what it may use."""
    package = Path(find_spec("lthlab").origin).parent
    seen = [*SYSTEM, sys.base_prefix, sys.prefix, str(package)]
    binds = [word for path in seen for word in ("--ro-bind-try", path, path)]
    settings = {
        "HOME": "/tmp",
        "PATH": f"{sys.prefix}/bin:/usr/bin:/bin",
        "LTHLAB_STUDENT": student,
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(package.parent),
    }
    sets = [word for pair in settings.items() for word in ("--setenv", *pair)]
    return [
        *["prlimit", "--fsize=200000000", "--cpu=1800", "--core=0", f"--as={MEMORY}"],
        *["bwrap", "--unshare-all", "--die-with-parent", "--clearenv", *sets],
        # Before the rest: lthlab itself may lie in /tmp, and a later mount hides an earlier one.
        *["--size", "200000000", "--tmpfs", "/tmp", *binds],
        *["--proc", "/proc", "--dev", "/dev", "--size", "200000000", "--tmpfs", "/dev/shm"],
        *["--bind", str(shared), str(shared), "--chdir", "/tmp"],
    ]


def check() -> None:
    """Raise unless programs can be run in a sandbox here."""
    tried = (
        subprocess.run(
            ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
            capture_output=True,
            text=True,
        )
        if shutil.which("bwrap") and shutil.which("prlimit")
        else None
    )
    if tried is None or tried.returncode:
        reason = tried.stderr.strip() if tried else "bwrap or prlimit is missing"
        raise SystemExit(
            f"Refusing to run students' code without a sandbox ({reason}). On Linux: apt install "
            "bubblewrap. On Windows use WSL, on macOS a Linux container with user namespaces."
        )


def marked(path: Path) -> list[str]:
    """The cells of a notebook that carry nbgrader's marks."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata]


def unfit(folder: Path, released: Path) -> str:
    """Why files cannot be graded as they were handed in, or ""; nbgrader would give them 0."""
    if any(path.is_symlink() for path in [folder, *folder.rglob("*")]):
        return "holds a link to other files"
    sheets = {sheet.name: sheet for sheet in sorted(released.glob("*.ipynb"))}
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = sheets.keys() - here
    numbers = tuple(name[:2] for name in missing)
    renamed = any(name.startswith(numbers) for name in here - sheets.keys())
    if missing and (renamed or missing == sheets.keys()):
        names = " or ".join(sorted(missing))
        return f"there is {', '.join(sorted(here)) or 'nothing'}: give the sheet its name, {names}"
    for name, sheet in sheets.items():
        mine = folder / name
        if name in missing:  # not handed in: the others count
            continue
        try:
            if not mine.is_file():
                raise OSError("no plain file")
            counts = Counter(marked(mine))
        except Exception as error:  # whatever a damaged file makes nbformat raise
            reason = repr(error)[:100]
            return f"{name} is not a notebook that can be read ({reason})"
        if copies := [cell for cell, count in counts.items() if count > 1]:
            return f"{name} has cells twice ({', '.join(copies)}): delete the copies"
        if not counts.keys() & {*marked(sheet)}:
            return f"{name} has lost the marks of its cells: copy the answers into a new one"
    return ""


def grade(course: Path, assignment: str, student: str, cell_seconds: int, seconds: int) -> str:
    """Let nbgrader grade one submission; returns "" or what went wrong."""
    problem = unfit(course / "submitted" / student / assignment, course / "release" / assignment)
    if problem:
        return f"not graded: {problem}"
    with tempfile.TemporaryDirectory(prefix="lth") as shared:
        kernel = Path(shared) / "share" / "kernels" / KERNEL
        kernel.mkdir(parents=True)
        runtime = Path(shared) / "run"
        runtime.mkdir()
        python = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": sandbox(runtime, student) + python, "language": "python"}
        spec |= {"display_name": KERNEL, "interrupt_mode": "message"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        command = [sys.executable, "-m", "nbgrader", "autograde", assignment]
        command += [f"--student={student}", f"--course-dir={course}", "--create", "--force"]
        command += [f"--Execute.kernel_name={KERNEL}", "--KernelManager.transport=ipc"]
        command += [f"--KernelManager.ip={runtime}/kernel"]  # sockets in the folder that both see
        command += [f"--Execute.timeout={cell_seconds}", "--Execute.startup_timeout=120"]
        # How long an interrupted cell may take to say so: 4 seconds are too few on a busy machine.
        command += ["--Execute.iopub_timeout=30"]
        environment = os.environ | {
            "JUPYTER_PATH": str(kernel.parent.parent),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "TMPDIR": str(runtime),  # there jupyter_client puts the file that joins the two
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=course,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            log, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the sandbox dies with its parent
            process.communicate()
            return f"not graded: stopped after {seconds} seconds"
        if process.returncode:
            return reason(log)
    return ""


def reason(log: str) -> str:
    """Why nbgrader gave up on a submission, from what it printed."""
    if "DeadKernelError" in log:
        return "not graded: its code ended its own kernel, or ran out of memory: grade it by hand"
    if "CellTimeoutError" in log or "Timeout waiting for IOPub" in log:
        return "not graded: a cell ran too long and ignored its interrupt: grade it by hand"
    lines = log.strip().splitlines()
    errors = [line.strip(" |") for line in lines if re.search(r"\w(Error|Exception):", line)]
    return f"not graded: nbgrader gave up: {(errors or lines)[-1]}"


def scores(course: Path, assignment: str) -> dict[str, dict]:
    """What the gradebook holds of each student."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        return {
            submission.student.id: {
                "score": submission.score,
                "of": submission.max_score,
                "by hand": submission.needs_manual_grade,
            }
            for submission in book.assignment_submissions(assignment)
        }


def known_name(text: str) -> str:
    """An assignment's name, also as a shell completes it; an error of argparse for any other."""
    if not re.fullmatch(r"[\w-]+", name := text.rstrip("/")):
        raise argparse.ArgumentTypeError(f"{text!r} is no assignment's name, such as week-1")
    return name


def main() -> None:
    """Grade every submission of an assignment, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("course", type=Path, help="the folder with submitted/STUDENT/ASSIGNMENT")
    parser.add_argument("assignment", type=known_name)
    parser.add_argument("--cell-seconds", type=int, default=120)
    parser.add_argument("--sheet-seconds", type=int, default=900)
    options = parser.parse_args()
    check()
    course = options.course.resolve()
    found = sorted((course / "submitted").glob(f"*/{options.assignment}"))
    if not found:
        raise SystemExit(f"nothing in {course}/submitted/*/{options.assignment}: collect it first")
    problems = {}
    for folder in found:
        student, limits = folder.parent.name, (options.cell_seconds, options.sheet_seconds)
        problems[student] = grade(course, options.assignment, student, *limits)
        print(f"{student}: {problems[student] or 'graded'}", flush=True)
    held = scores(course, options.assignment)
    # A score that an earlier try left is not this submission's.
    rows = [
        {"student": student} | ({"problem": problem} if problem else held[student])
        for student, problem in problems.items()
    ]
    with open(course / f"grades-{options.assignment}.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ["student", "score", "of", "by hand", "problem"])
        table.writeheader()
        table.writerows(rows)
    waiting, missed = (sum(bool(row.get(key)) for row in rows) for key in ("by hand", "problem"))
    print(f"{len(rows)} in {file.name}; {waiting} with answers in words that wait for a grader")
    if missed:
        print(f"{missed} not graded, without a score: see the column problem")


if __name__ == "__main__":
    main()
