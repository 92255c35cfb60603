"""`make course`: its plans can be followed, its archive gives nothing away, its grading is safe."""

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
import zipfile
from pathlib import Path

import nbformat
import pytest
from icalendar import Calendar

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "course"), str(ROOT / "notebooks" / "exercises")]

import plan  # noqa: E402
import quiz  # noqa: E402
import sections  # noqa: E402
import slides  # noqa: E402
import walk  # noqa: E402
from make import SHEETS, teachers  # noqa: E402

PLANS = ["hours-2", "days-2", "weeks-4", "weeks-6"]
pytestmark = pytest.mark.xdist_group("course")


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """The course of two hours."""
    folder = tmp_path_factory.mktemp("course")
    command = [sys.executable, str(ROOT / "course" / "build_course.py"), "--hours", "2"]
    command += ["--start", "2027-03-25", "--zone", "Europe/Berlin", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_fills_its_time_and_its_cells_run_in_the_order_printed(name):
    """Every name that a cell uses was made by a cell that the plan had run before."""
    for session, steps in plan.build(name):
        asked = sum(part["minutes"] for part in session["parts"])
        assert sum(step.minutes for step in steps) == asked
        assert all(step.minutes >= 1 for step in steps)
        walked = {}
        for step in steps:
            notebook = sections.read(step.notebook) if step.notebook else None
            for index in [*step.before, *step.cells]:
                assert index not in walked.setdefault(step.notebook, []), "no cell is run twice"
                walked[step.notebook].append(index)
            for index in step.cells:
                own, used = sections.names(notebook.cells[index].source)
                made = set(own)
                for before in walked[step.notebook][: walked[step.notebook].index(index)]:
                    made |= sections.names(notebook.cells[before].source)[0]
                code = [c.source for c in notebook.cells if c.cell_type == "code"]
                missing = (used & set().union(*(sections.names(c)[0] for c in code))) - made
                assert not missing, (session["title"], step.title, missing)


def test_what_plans_take_out_of_a_notebook_runs_in_the_order_printed():
    """Whole cores: tests/test_notebooks.py. All of a plan: `python course/walk.py PLAN`."""
    every = {(number, order) for name in PLANS for _, number, order in walk.orders(name)}
    cores = {
        number: tuple(i for s in sections.core(sections.read(number)) for i, _ in s.code)
        for number, _ in every
    }
    parts = {(number, order) for number, order in every if order != cores[number]}
    assert {number for number, _ in parts} == {"02", "08"}
    for number, order in parts:
        assert walk.run(number, order) > 0


def test_a_cell_that_needs_what_the_plan_leaves_out_gets_it_without_words():
    """The printed lab plan of old stopped at a name that a section left out had assigned."""
    cells = [nbformat.v4.new_code_cell(s) for s in ("a = 1", "b = 2", "c = a + 1", "d = c")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert sections.needed(notebook, [3]) == [0, 2]
    assert sections.needed(notebook, [2, 3]) == [0]
    bet = ('bets.number("02-x", "How many?")', "b = 2", 'bets.reveal("02-x", b)')
    cells = [nbformat.v4.new_code_cell(s) for s in ("from lthlab.widgets import bets", *bet)]
    assert sections.needed(nbformat.v4.new_notebook(cells=cells), [3]) == [0, 1, 2]


def test_a_heading_that_is_gone_is_named_with_those_that_are_there():
    with pytest.raises(
        LookupError, match=r"no section heading matches 'rewind the tape'.*'Opening'"
    ):
        sections.find(sections.read("00"), "rewind the tape")


def test_minutes_are_spread_whole():
    assert plan.spread(10, [1, 1, 2]) == [3, 3, 4]
    assert plan.spread(3, [100, 1, 1]) == [1, 1, 1]
    with pytest.raises(ValueError, match="4 sections do not fit into 3 minutes"):
        plan.spread(3, [1, 1, 1, 1])


def test_every_note_is_about_a_section_that_is_taught():
    notes = plan.yaml.safe_load((ROOT / "course" / "notes.yaml").read_text())
    for number in (key for key in notes if key != "activities"):
        for note in notes[number]:
            assert sections.find(sections.read(number), note["at"]).code is not None
    for name in PLANS:
        taught = [step for _, steps in plan.build(name) for step in steps]
        assert any(step.answers for step in taught) and any(step.slow for step in taught)


def statements(source: str) -> set[str]:
    """The syntax trees of all function bodies and of the whole of a piece of code."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell with a shell command
        return set()
    bodies = [tree.body] + [n.body for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return {"\n".join(map(ast.dump, body)) for body in bodies if body}


def pieces(archive: zipfile.ZipFile):
    """(file, code) of everything in an archive that can hold code."""
    for name in archive.namelist():
        if name.endswith(".py"):
            yield name, archive.read(name).decode()
        elif name.endswith(".ipynb"):
            for cell in nbformat.reads(archive.read(name).decode(), 4).cells:
                yield name, cell.source
        elif name.endswith(".md"):
            for block in archive.read(name).decode().split("```python")[1:]:
                yield name, block.split("```")[0]


def test_the_students_archive_holds_no_solution_and_no_hidden_check(course):
    with zipfile.ZipFile(course / "students.zip") as archive:
        held = {}
        for name, code in pieces(archive):
            assert "BEGIN SOLUTION" not in code and "BEGIN HIDDEN TESTS" not in code, name
            for found in statements(code):
                held.setdefault(found, name)
        names = archive.namelist()
    assert "lottery-tickets/sheets/lab/00_start_here_exercises.ipynb" in names
    assert not [n for n in names if "exercises/" in n or "/tests/" in n or "/source/" in n]
    searched = 0
    for sheet in SHEETS:
        for cell in teachers(sheet).cells:
            mark = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and mark.get("solution"):
                wanted, given = statements(cell.source), set()
                for found in wanted:
                    searched += 1
                    assert found not in held, (sheet.stem, mark["grade_id"], held[found])
            elif mark.get("grade") and cell.cell_type == "code":
                hidden = cell.source.split("### BEGIN HIDDEN TESTS")[1]
                given = {ast.dump(n) for n in ast.parse(hidden).body if isinstance(n, ast.Assert)}
                assert not [h for h in held if any(one in h for one in given)], sheet.stem
    assert searched >= len(SHEETS) * 2


def test_make_offers_students_what_it_can_do_in_their_archive(course, tmp_path):
    with zipfile.ZipFile(course / "students.zip") as archive:
        archive.extractall(tmp_path)
    said = subprocess.run(
        ["make", "help"], cwd=tmp_path / "lottery-tickets", capture_output=True, text=True
    ).stdout
    assert re.findall(r"make (\w+)", said) == ["help", "lab", "play", "app", "clean"]


def test_moodle_quizzes_have_one_right_answer_and_tell_why(course):
    for path in (course / "teacher" / "quizzes").glob("*.xml"):
        first, *questions = xml.parse(path).getroot()
        assert first.get("type") == "category" and len(questions) >= 1
        for question in questions:
            assert question.get("type") in ("multichoice", "numerical")
            assert all(
                question.findtext(f"{tag}/text") for tag in ("questiontext", "generalfeedback")
            )
            fractions = [int(answer.get("fraction")) for answer in question.findall("answer")]
            assert fractions.count(100) == 1 and set(fractions) <= {0, 100}
            texts = [answer.findtext("text") for answer in question.findall("answer")]
            assert len(set(texts)) == len(texts)


def test_qti_packages_name_their_files_and_score_the_right_answer(course):
    qti = "{http://www.imsglobal.org/xsd/ims_qtiasiv1p2}"
    for name, questions in quiz.quizzes(["00", "02", "08"]).items():
        with zipfile.ZipFile(course / "teacher" / "quizzes" / f"{name}.zip") as package:
            manifest = xml.fromstring(package.read("imsmanifest.xml"))
            listed = [n.get("href") for n in manifest.iter() if n.tag.endswith("}file")]
            assert listed and set(listed) <= set(package.namelist())
            found = [xml.fromstring(package.read(n)) for n in listed if n.endswith(".xml")]
        (test,) = [root for root in found if root.tag == f"{qti}questestinterop"]
        items = list(test.iter(f"{qti}item"))
        assert len(items) == len(questions)
        for item, question in zip(items, questions, strict=True):
            labels = {
                n.get("ident"): "".join(n.itertext()) for n in item.iter(f"{qti}response_label")
            }
            scored = [n.text for n in item.iter(f"{qti}varequal")]
            if "answers" in question:
                assert re.sub("<.*?>", "", labels[scored[0]]).strip() == question["answers"][0]
            else:
                assert float(scored[0]) == question["number"]


def test_the_concept_test_asks_the_same_ten_ideas_twice():
    before, after = (quiz.quizzes([])[f"concept-test-{form}"] for form in ("before", "after"))
    assert [q["test"] for q in before] == [q["test"] for q in after] == list(range(1, 11))
    assert all(one["ask"] != other["ask"] for one, other in zip(before, after, strict=True))


def test_the_calendar_has_sessions_and_deadlines_in_local_time(course):
    """The deadline lies behind the change to summer time of 28 March 2027."""
    found = Calendar.from_ical((course / "teacher" / "calendar.ics").read_bytes())
    session, deadline = found.walk("VEVENT")
    assert session["dtstart"].dt.isoformat() == "2027-03-25T10:00:00+01:00"
    assert session["dtend"].dt.isoformat() == "2027-03-25T12:00:00+01:00"
    assert deadline["dtstart"].dt.isoformat() == "2027-04-01T23:59:00+02:00"


@pytest.mark.parametrize("number", ["00", "02"])
def test_a_deck_has_a_slide_for_each_heading_and_notes_for_the_speaker(number):
    cells = slides.deck(number).cells
    kinds = [cell.metadata.slideshow.slide_type for cell in cells]
    assert kinds.count("slide") == len(sections.core(sections.read(number))) + 1
    for kind, following in zip(kinds[:-1], kinds[1:], strict=True):
        assert kind == "notes" or following == "notes" or kind == "slide"
    shown = [c.source for c in cells if c.metadata.slideshow.slide_type != "notes"]
    assert max(source.count("\n") for source in shown if "base64" not in source) <= slides.LINES


def test_every_make_target_has_its_commands_for_windows():
    targets = re.findall(r"^(\w+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert len(targets) > 12
    assert [t for t in targets if not re.search(rf"\| `make {t}\b", text)] == ["help"]


def test_what_a_course_runs_can_be_installed_by_learners_alone():
    """`make lab` and `make pool` need nothing of the teacher's or the developer's tools."""
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    learner = {*extras["dependencies"], *extras["optional-dependencies"]["lab"]}
    names = {re.split(r"[>=\[]", one)[0] for one in learner}
    assert not names & {"nbgrader", "sphinx", "playwright", "pytest", "jupytext"}
    assert "-e .[fast,lab]" in (ROOT / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        (["--weeks", "5"], {}, "there is a plan for hours-2"),
        (["--weeks", "0"], {}, "not for weeks-0"),
        (["--hours", "2", "--zone", "Berlin"], {}, "no time zone"),
        (["--hours", "2", "--zone", ""], {}, "no time zone"),
        (["--hours", "2"], {"TZ": "CET-1CEST"}, "no time zone"),
        (["--hours", "2"], {"TRANSLATION": "nowhere.po"}, "no such file"),
    ],
)
def test_a_course_that_cannot_be_made_leaves_nothing_behind(tmp_path, given, environment, said):
    command = [sys.executable, str(ROOT / "course" / "build_course.py"), *given, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, cwd=ROOT
    )
    assert done.returncode and said in done.stderr and "Traceback" not in done.stderr
    assert not [*tmp_path.iterdir()]
