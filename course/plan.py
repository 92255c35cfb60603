"""A course's plan, minute by minute, from plans.yaml, notes.yaml and the notebooks as they are."""

import ast
import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from sections import Section, core, find, needed, pictures, read, sections, spoken

HERE = Path(__file__).parent
INTRODUCTION = """\
Times are those of the clock. **Say** is a beginning, in the notebook's own words: go on in
yours. **Run** names cells by the heading above them and by their first line that does
something. Before each session run its notebooks once, on the machine that you will show.

**When a laptop is slow** and nothing else is said: its owner leaves the cell running and looks
at the stored outputs, which are the same section's results (the built notebook, or the
website), or at a neighbour's screen, and joins again at the next heading.
"""


@dataclass
class Step:
    """A few minutes of a session: what is said, run, asked."""

    minutes: int
    title: str
    say: str = ""
    run: str = ""
    ask: str = ""
    answers: list[str] = field(default_factory=list)
    slow: str = ""
    see: list[str] = field(default_factory=list)
    notebook: str = ""
    before: list[int] = field(default_factory=list)  # cells that must have run, without words
    cells: list[int] = field(default_factory=list)


def load(name: str) -> dict:
    """The description of a course: hours-2, days-2, weeks-4 or weeks-6."""
    plans = yaml.safe_load((HERE / "plans.yaml").read_text())
    if name not in plans:
        raise KeyError(f"there is a plan for {', '.join(plans)}, not for {name}: use one of these")
    return plans[name]


def spread(minutes: int, weights: list[float]) -> list[int]:
    """Whole minutes that add up to `minutes`, at least one each, in proportion to the weights."""
    if minutes < len(weights):
        raise ValueError(f"{len(weights)} sections do not fit into {minutes} minutes: choose fewer")
    rest = minutes - len(weights)
    shares = [rest * weight / sum(weights) for weight in weights]
    whole = [1 + int(share) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda i: int(shares[i]) - shares[i])
    for i in by_rest[: minutes - sum(whole)]:
        whole[i] += 1
    return whole


def notebook_steps(number: str, minutes: int, wanted: list[str] | None, run: set) -> list[Step]:
    """The steps through a notebook; `run` holds its cells that this session has run, and grows."""
    notebook, steps = read(number), []
    chosen = [find(notebook, words) for words in wanted] if wanted else core(notebook)
    # What comes before the first heading (title, imports) belongs to the first section.
    if chosen[0].heading == "Opening":
        opening = chosen.pop(0)
        chosen[0] = Section(
            chosen[0].heading, opening.prose[:1] + chosen[0].prose, opening.code + chosen[0].code
        )
    notes = [
        note
        for note in yaml.safe_load((HERE / "notes.yaml").read_text()).get(number, [])
        for heading in [find(notebook, note["at"]).heading]
        for note in [note | {"heading": heading}]
    ]
    asked = {note["heading"] for note in notes}  # to ask and to hear answers takes two minutes
    weights = [max(s.minutes, 0.5) + 2 * (s.heading in asked) for s in chosen]
    for section, length in zip(chosen, spread(minutes, weights), strict=True):
        cells = [index for index, _ in section.code if index not in run]
        step = Step(length, section.heading, notebook=number, cells=cells)
        step.before = [index for index in needed(notebook, cells) if index not in run]
        run |= {*step.before, *cells}
        step.say = spoken(section.prose)
        step.see = [alt for _, cell in section.code for _, alt in pictures(cell) if alt]
        for note in notes:
            if note["heading"] == section.heading:
                step.ask, step.answers = note["ask"], note.get("answers", [])
                step.slow = note.get("slow", step.slow)
        step.run = listing(notebook, step)
        steps.append(step)
    return steps


def listing(notebook, step: Step) -> str:
    """The cells to run, by heading and first line: what a teacher looks for on the page."""

    def first(index):
        """Imports look all alike: a cell is named by its first line that does something."""
        source = notebook.cells[index].source
        for node in ast.parse(source).body:
            if not isinstance(node, ast.Import | ast.ImportFrom):
                line = source.splitlines()[node.lineno - 1].split("  #")[0].strip()
                return f"`{line[:60].strip()}`"
        return "the imports"

    said = []
    if step.before:
        said.append(
            "first, without words, the cells that this section needs: "
            + "; ".join(map(first, step.before))
        )
    opening = {index for index, _ in sections(notebook)[0].code}
    above = [index for index in step.cells if index in opening]
    if above:
        said.append("above the first heading: " + "; ".join(map(first, above)))
    below = [index for index in step.cells if index not in opening]
    if below:
        word = "cell" if len(below) == 1 else "cells"
        listed = "; ".join(map(first, below))
        said.append(f'{len(below)} {word} under "{step.title}": {listed}')
    return ". Then ".join(said) + "." if said else ""


def build(name: str) -> list[tuple[dict, list[Step]]]:
    """[(session, its steps)] of a course."""
    activities = yaml.safe_load((HERE / "notes.yaml").read_text())["activities"]
    sessions = []
    for session in load(name)["sessions"]:
        steps, run = [], {}
        for part in session["parts"]:
            minutes = part.get("minutes")
            if "notebook" in part:
                number = part["notebook"]
                cells = run.setdefault(number, set())
                steps += notebook_steps(number, minutes, part.get("sections"), cells)
            elif "sheet" in part:
                number = part["sheet"]
                steps.append(
                    Step(
                        minutes,
                        f"Sheet {number}",
                        say="Everybody for themselves; help each other with words, not with code.",
                        run=f"the exercise sheet {number}, from the top; the rest is homework.",
                        ask="After half of the time: who has a hint that they do not understand?",
                        slow="A sheet needs no more than a few seconds a cell.",
                    )
                )
            elif part.get("pause"):
                steps.append(Step(minutes, "Pause"))
            else:
                activity = activities[part["do"]]
                steps.append(Step(minutes, part["do"].capitalize(), **activity))
        sessions.append((session, steps))
    return sessions


def times(session: dict, steps: list[Step]) -> list[tuple[str, str]]:
    """When each step begins and ends, on the clock."""
    clock = dt.datetime.combine(dt.date(2000, 1, 1), dt.time.fromisoformat(session["begin"]))
    found = []
    for step in steps:
        end = clock + dt.timedelta(minutes=step.minutes)
        found.append((f"{clock:%H:%M}", f"{end:%H:%M}"))
        clock = end
    return found


def homework(description: dict, session: dict, start: dt.date) -> list[str]:
    """The sheets of a session's notebooks: where students find them, and until when."""
    taught, found = [part.get("notebook") for part in session["parts"]], []
    for assignment in description["assignments"]:
        last = description["sessions"][assignment["session"]]["day"] + assignment["days"]
        sheets = " and ".join(sheet for sheet in assignment["sheets"] if sheet in taught)
        where = f"`sheets/{assignment['name']}` of the students' archive"
        if sheets:
            day = start + dt.timedelta(days=last)
            found.append(
                f"Sheet {sheets}, in {where}, until {day:%A, %d %B %Y}, 23:59. "
                "Before it, the exercises at the end of the notebook."
            )
    return found


def write(name: str, start: dt.date, folder: Path) -> None:
    """Write plan.md and plan.html for the teacher."""
    lines = [f"# {load(name)['title']}: the plan", ""]
    lines += [INTRODUCTION]
    for number, (session, steps) in enumerate(build(name), 1):
        day = start + dt.timedelta(days=session["day"])
        lines += [f"## {number}. {session['title']} ({day:%A, %d %B %Y})", ""]
        for step, (begin, end) in zip(steps, times(session, steps), strict=True):
            where = f"notebook {step.notebook}, " if step.notebook else ""
            lines += [f"### {begin} to {end} · {step.title}", ""]
            lines += [f"*{where}{step.minutes} min*", ""]
            for word, text in (("Say", step.say), ("Ask", step.ask), ("Run", step.run)):
                lines += [f"**{word}.** {text}", ""] if text else []
            lines += [f"**See.** {text}\n" for text in step.see]
            if step.answers:
                lines += ["**Typical answers**", "", *(f"- {a}" for a in step.answers), ""]
            lines += [f"**Slow laptop.** {step.slow}", ""] if step.slow else []
        for text in homework(load(name), session, start):
            lines += ["### At home", "", text, ""]
    text = "\n".join(lines)
    (folder / "plan.md").write_text(text)
    style = (
        "body{font:17px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
        "h2{border-top:2px solid #888;padding-top:1rem;break-before:page}h3{margin-bottom:0}"
        "code{background:#eee;color:#222;padding:0 .2em;overflow-wrap:anywhere}"
    )
    body = MarkdownIt("commonmark").enable("table").render(text)
    (folder / "plan.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Plan</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style>{body}</html>'
    )
