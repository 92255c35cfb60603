"""Quizzes as Moodle XML, as QTI 1.2 (by text2qti) and on paper."""

import xml.etree.ElementTree as xml
from pathlib import Path

import yaml
from text2qti.config import Config
from text2qti.qti import QTI
from text2qti.quiz import Quiz

HERE = Path(__file__).parent


def quizzes(numbers: list[str]) -> dict[str, list[dict]]:
    """{name: questions}: one for each notebook, and the test of concepts before and after."""
    questions = yaml.safe_load((HERE / "questions.yaml").read_text())
    found = {f"quiz-{n}": [q for q in questions if q.get("in") == n] for n in numbers}
    for form in ("before", "after"):
        chosen = sorted((q for q in questions if q.get("form") == form), key=lambda q: q["test"])
        found[f"concept-test-{form}"] = chosen
    return {name: chosen for name, chosen in found.items() if chosen}


def moodle(name: str, questions: list[dict]) -> bytes:
    """The questions in Moodle's XML format (docs.moodle.org/en/Moodle_XML_format)."""

    def add(parent, tag, text, **attributes):
        node = xml.SubElement(parent, tag, attributes)
        xml.SubElement(node, "text").text = text
        return node

    root = xml.Element("quiz")
    category = xml.SubElement(root, "question", type="category")
    add(category, "category", f"$course$/Lottery tickets/{name}")
    for number, question in enumerate(questions, 1):
        kind = "numerical" if "number" in question else "multichoice"
        node = xml.SubElement(root, "question", type=kind)
        add(node, "name", f"{name} {number}")
        add(node, "questiontext", question["ask"], format="markdown")
        add(node, "generalfeedback", question["why"], format="markdown")
        xml.SubElement(node, "defaultgrade").text = "1"
        if kind == "numerical":
            answer = add(node, "answer", str(question["number"]), fraction="100")
            xml.SubElement(answer, "tolerance").text = str(abs(question["number"]) / 1000)
            continue
        for tag, text in (("single", "true"), ("shuffleanswers", "true")):
            xml.SubElement(node, tag).text = text
        xml.SubElement(node, "answernumbering").text = "abc"
        for place, text in enumerate(question["answers"]):
            add(node, "answer", text, fraction="0" if place else "100", format="markdown")
    xml.indent(root)
    return xml.tostring(root, encoding="utf-8", xml_declaration=True)


def order(question: dict) -> list[int]:
    """The answers' order on paper and in QTI: fixed, but not always the right one first."""
    places = list(range(len(question["answers"])))
    turn = sum(map(ord, question["ask"])) % len(places)
    return places[turn:] + places[:turn]


def paper(name: str, questions: list[dict], solved: bool) -> str:
    """The questions as text2qti's Markdown (solved) or to be printed for learners."""
    lines = [f"Quiz title: {name}", ""] if solved else [f"# {name}", ""]
    for number, question in enumerate(questions, 1):
        lines += [f"{number}. {question['ask']}"]
        lines += [f"... {question['why']}"] if solved else []  # shown after the answer
        if "number" in question:
            near = abs(question["number"]) / 1000
            lines += [f"= {question['number']} +- {near}"] if solved else ["   ____"]
        else:
            for letter, place in zip("abcd", order(question), strict=False):
                star = "*" if solved and place == 0 else "" if solved else "- "
                lines.append(f"{star}{letter}) {question['answers'][place]}")
        lines.append("")
    return "\n".join(lines)


def write(numbers: list[str], folder: Path) -> None:
    """Write NAME.xml for Moodle, NAME.zip with QTI 1.2 for others, NAME.md to print, and a key."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, questions in quizzes(numbers).items():
        (folder / f"{name}.xml").write_bytes(moodle(name, questions))
        text = paper(name, questions, solved=True)
        QTI(Quiz(text, config=Config(), source_name=name)).save(folder / f"{name}.zip")
        (folder / f"{name}.md").write_text(paper(name, questions, solved=False))
        (folder / f"{name}-key.md").write_text(text)  # for the teacher
