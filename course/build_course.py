"""Make a whole course.

python course/build_course.py (--hours 2 | --days 2 | --weeks 4 | --weeks 6) [--start DATE] FOLDER

FOLDER/teacher holds the plan, decks, quizzes, rubrics, calendar and an nbgrader course with
solutions: it stays with you. FOLDER/students.zip is what learners receive: no solution and no
hidden check.
"""

import argparse
import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import jupytext
import nbformat
from icalendar import Calendar, Event

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "notebooks" / "exercises"))

import plan  # noqa: E402
import quiz  # noqa: E402
import slides  # noqa: E402
from make import SHEETS, make_assignments, teachers  # noqa: E402

# What learners get of the repository: what they run and read, no sources of sheets, no tests.
GIVEN = ["lthlab", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "Makefile"]
# What README.md and notebook 00 send them to: `make play`, `make app`, Windows.
GIVEN += ["CONTRIBUTING.md", "docs/anywhere.md", "docs/app.py", "docs/race.png"]
GIVEN += ["docs/build_playground.py", "docs/playground"]
START = """\
# Start here

1. You need Python 3.11 or newer, and some minutes for the download. On Linux without a graphics
   card first install the small build of PyTorch (README.md, "The small build of PyTorch").
2. In a terminal, in this folder (the one that holds this file):
   - macOS and Linux: `make lab`. Without make: `python3 -m venv .venv`,
     `source .venv/bin/activate`, `pip install -r requirements.txt`,
     `jupyter lab notebooks/00_start_here.ipynb`.
   - Windows (PowerShell): `py -m venv .venv`, `.venv\\Scripts\\activate`,
     `pip install -r requirements.txt`, `jupyter lab notebooks/00_start_here.ipynb`. The next
     time only the second and the last.
3. A browser opens with notebook 00. Click on its first cell with code and press Shift+Enter. Ten
   grey pictures of clothes: all is well.

**Sheets** to hand in are in `sheets/`, one folder for each assignment. Open them in JupyterLab
(`.md` is the same to read). Write your id, the one that your teacher knows you by, into `STUDENT`
at the top, and fill in what is asked. At the end choose Kernel, Restart Kernel and Run All Cells:
it stops where something is still open. Save, and hand in the `.ipynb` files of the folder with
the names that they have. Do not delete or copy cells.

`notebooks/glossary.md` says what words mean. `make play` opens a small network in your browser.
"""


def due(description: dict, assignment: dict, start: dt.date, zone: str) -> dt.datetime:
    """An assignment is due at the end of a day, some days after its session."""
    day = description["sessions"][assignment["session"]]["day"] + assignment["days"]
    return dt.datetime.combine(start + dt.timedelta(days=day), dt.time(23, 59), ZoneInfo(zone))


def calendar(name: str, start: dt.date, zone: str) -> bytes:
    """Sessions and deadlines as an .ics file."""
    description, found = plan.load(name), Calendar()
    found.add("prodid", "-//lthlab//course//EN")
    found.add("version", "2.0")

    def event(uid, title, begin, end, text=""):
        entry = Event()
        entry.add("uid", f"{uid}@lthlab")
        entry.add("summary", title)
        entry.add("dtstart", begin)
        entry.add("dtend", end)
        entry.add("dtstamp", dt.datetime.combine(start, dt.time(), dt.UTC))
        entry.add("description", text)
        found.add_component(entry)

    for number, (session, steps) in enumerate(plan.build(name), 1):
        clock = dt.time.fromisoformat(session["begin"])
        day = start + dt.timedelta(days=session["day"])
        begin = dt.datetime.combine(day, clock, ZoneInfo(zone))
        end = begin + dt.timedelta(minutes=sum(step.minutes for step in steps))
        event(f"{name}-{start}-session-{number}", session["title"], begin, end)
    for assignment in description["assignments"]:
        moment = due(description, assignment, start, zone)
        sheets = "Sheets " + ", ".join(assignment["sheets"])
        event(
            f"{name}-{start}-{assignment['name']}",
            f"{assignment['name']} is due",
            moment,
            moment,
            sheets,
        )
    found.add_missing_timezones()
    return found.to_ical()


def rubrics(sheets: list[Path]) -> str:
    """Model answers and rubrics of the answers in words, for whoever grades them by hand."""
    lines = ["# Answers in words: model answers and rubrics", ""]
    for sheet in sheets:
        for cell in teachers(sheet).cells:
            mark = cell.metadata.get("nbgrader", {})
            if mark.get("grade") and cell.cell_type == "markdown":
                text = cell.source.replace("### BEGIN SOLUTION", "").replace("### END SOLUTION", "")
                lines += [
                    f"## Sheet {sheet.stem[:2]}, {mark['grade_id']} ({mark['points']} points)"
                ]
                lines += ["", text.strip(), ""]
    return "\n".join(lines)


def assignments(name: str, start: dt.date, zone: str, folder: Path) -> dict[str, list[Path]]:
    """The nbgrader course: released assignments with their deadlines; {name: sheets}."""
    from nbgrader.api import Gradebook

    by_number = {sheet.stem[:2]: sheet for sheet in SHEETS}
    description = plan.load(name)
    given = {a["name"]: [by_number[n] for n in a["sheets"]] for a in description["assignments"]}
    folder.mkdir(parents=True)
    # Only the sandbox of `make grade` knows this kernel: plain `nbgrader autograde` runs nothing.
    (folder / "nbgrader_config.py").write_text(
        f'c = get_config()\nc.CourseDirectory.course_id = "lottery-tickets-{name}"\n'
        'c.Execute.kernel_name = "lthlab-sandbox"\n'
    )
    make_assignments(folder, given)
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        for assignment in description["assignments"]:
            moment = due(description, assignment, start, zone).astimezone(dt.UTC)
            book.update_or_create_assignment(
                assignment["name"], duedate=moment.strftime("%Y-%m-%d %H:%M:%S")
            )
    return given


def for_students(given: dict[str, list[Path]], released: Path, archive: Path) -> None:
    """The archive for learners: package, built notebooks, released sheets (also as text)."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *GIVEN, "notebooks/*.ipynb", "notebooks/*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("lottery-tickets/START.md", START)
        for name in filter(None, listed):
            data = (ROOT / name).read_bytes()
            if name == "Makefile":  # only the tasks that can be done with what is here
                data = data.split(b"# What follows needs the whole repository")[0]
            if name.endswith(".ipynb"):  # its link to the sheet: to the copy without solutions
                for assignment, sheets in given.items():
                    for sheet in sheets:
                        where = f"../sheets/{assignment}/{sheet.stem}_exercises.ipynb"
                        data = data.replace(f"exercises/{sheet.name}".encode(), where.encode())
            file.writestr(f"lottery-tickets/{name}", data)
        for assignment in given:
            for path in sorted((released / assignment).glob("*.ipynb")):
                where = f"lottery-tickets/sheets/{assignment}/{path.stem}"
                file.write(path, f"{where}.ipynb")
                sheet = nbformat.read(path, as_version=4)
                for cell in sheet.cells:
                    cell.metadata = {}
                file.writestr(f"{where}.md", jupytext.writes(sheet, "md"))
        lab = nbformat.writes(jupytext.read(HERE / "class_lab.py"))
        file.writestr("lottery-tickets/course/class_lab.ipynb", lab)
        for name in ("pool.py", "class_claim.json"):
            file.write(HERE / name, f"lottery-tickets/course/{name}")


def build(name: str, start: dt.date, zone: str, folder: Path) -> None:
    """Write the whole course into an empty folder."""
    if folder.is_dir() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty: name another folder, or remove it first")
    plan.load(name)
    with contextlib.ExitStack() as undo:  # nothing half-made is left behind
        undo.callback(shutil.rmtree, folder / "teacher", ignore_errors=True)
        undo.callback((folder / "students.zip").unlink, missing_ok=True)
        write(name, start, zone, folder)
        undo.pop_all()


def write(name: str, start: dt.date, zone: str, folder: Path) -> None:
    """Write teacher/ and students.zip."""
    teacher = folder / "teacher"
    teacher.mkdir(parents=True)
    plan.write(name, start, teacher)
    (teacher / "calendar.ics").write_bytes(calendar(name, start, zone))
    parts = [part for session in plan.load(name)["sessions"] for part in session["parts"]]
    numbers = sorted({part["notebook"] for part in parts if "notebook" in part})
    slides.write(numbers, teacher / "slides")
    quiz.write(numbers, teacher / "quizzes")
    given = assignments(name, start, zone, teacher / "nbgrader")
    (teacher / "rubrics.md").write_text(rubrics([s for sheets in given.values() for s in sheets]))
    shutil.copy(HERE / "project.md", teacher)
    text = (HERE / "teacher.md").read_text()
    (teacher / "README.md").write_text(text.replace("{course}", str(folder)))
    for_students(given, teacher / "nbgrader" / "release", folder / "students.zip")


def known_zone(name: str) -> str:
    """A time zone's name; an error of argparse for any other."""
    if name not in available_timezones():
        raise argparse.ArgumentTypeError(f"{name!r} is no time zone, such as Europe/Berlin")
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    length = parser.add_mutually_exclusive_group(required=True)
    for unit in ("hours", "days", "weeks"):
        length.add_argument(f"--{unit}", type=int)
    today = dt.date.today()
    monday = today + dt.timedelta(days=7 - today.weekday())
    parser.add_argument("--start", type=dt.date.fromisoformat, default=monday)
    zone = os.environ.get("TZ") or "UTC"
    parser.add_argument("--zone", type=known_zone, default=zone, help="such as Europe/Berlin")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    unit = next(u for u in ("hours", "days", "weeks") if getattr(options, u) is not None)
    try:
        build(
            f"{unit}-{getattr(options, unit)}",
            options.start,
            options.zone,
            options.folder.resolve(),
        )
    except OSError as error:
        raise SystemExit(f"cannot write to {options.folder}: {error.strerror}") from None
    except LookupError as error:
        raise SystemExit(f"error: {error.args[0]}") from None
    print(f"written to {options.folder}: begin with teacher/README.md")
