"""The sheets' words in one file: another language changes the words, never the exercise."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.pofile import read_po, write_po

FOLDER = Path(__file__).parent.parent / "notebooks" / "exercises"
sys.path.insert(0, str(FOLDER))

from make import SHEETS, teachers  # noqa: E402
from translate import check_text, paragraphs, reader, sentences, translated  # noqa: E402


@pytest.fixture(scope="module")
def strings(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "strings.xx.po"
    command = [sys.executable, str(FOLDER / "translate.py"), str(path)]
    subprocess.run(command, check=True, env=os.environ | {"TRANSLATION": ""})
    return path


def test_an_empty_file_changes_no_sheet_but_its_wrapping(strings):
    for sheet in SHEETS:
        old, new = teachers(sheet), translated(teachers(sheet), reader(strings))
        for before, after in zip(old.cells, new.cells, strict=True):
            if before.cell_type == "code":
                assert after.source == before.source
            assert after.source.split() == before.source.split()


def test_every_unit_can_be_translated_and_the_code_stays(strings):
    """Markdown in capitals, each sentence of a check between brackets: all else is the same."""

    def say(unit):
        try:
            ast.parse(unit, mode="eval")
        except SyntaxError:
            return unit.upper()
        return f"{unit[:-1]}>>{unit[-1]}" if unit[-1] in "'\"" else unit.upper()

    class Blank(ast.NodeTransformer):
        def visit_Constant(self, node):
            return ast.Constant(0) if isinstance(node.value, str) else node

        def visit_JoinedStr(self, node):
            return ast.Constant(0)

    for sheet in SHEETS:
        old, new = teachers(sheet), translated(teachers(sheet), say)
        for before, after in zip(old.cells, new.cells, strict=True):
            assert before.metadata == after.metadata
            if before.cell_type == "markdown":
                assert after.source == after.source.upper()
                continue
            trees = [Blank().visit(ast.parse(cell.source)) for cell in (before, after)]
            assert ast.dump(trees[0]) == ast.dump(trees[1])
            for node in ast.walk(ast.parse(after.source)):
                if isinstance(node, ast.Assert) and node.msg:
                    assert ">>" in ast.unparse(node.msg), ast.unparse(node)


def test_translations_are_used_and_survive_a_new_run(strings):
    with open(strings, "rb") as file:
        catalog = read_po(file)
    words = {
        "## 1. How dense is it?": "## 1. Wie dicht ist es?",
        "'a fifth goes, four fifths stay'": "'ein Fünftel geht, vier Fünftel bleiben'",
    }
    for unit, other in words.items():
        catalog[unit].string = other
    with open(strings, "wb") as file:
        write_po(file, catalog)
    command = [sys.executable, str(FOLDER / "translate.py"), str(strings)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.endswith(", 2 translated\n")
    say = reader(strings)
    first, third = (translated(teachers(SHEETS[n]), say) for n in (0, 3))
    assert any(cell.source.startswith("## 1. Wie dicht") for cell in first.cells)
    (check,) = [cell.source for cell in third.cells if "ein Fünftel geht" in cell.source]
    message = "ein Fünftel geht, vier Fünftel bleiben"
    assert message in [ast.literal_eval(text) for _, _, text in sentences(check)]
    with pytest.raises(AssertionError, match="ein Fünftel geht"):
        line = next(line for line in check.splitlines() if "ein Fünftel geht" in line)
        exec(line, {"abs": abs, "lthlab": type("", (), {"density": lambda _: 1}), "first": 0})


def test_lists_and_tables_keep_their_lines():
    assert paragraphs("one\ntwo\n\n- a\n- b\n\n| x |\n|---|") == [
        "one two",
        "- a\n- b",
        "| x |\n|---|",
    ]


def translate(path, **environment):
    command = [sys.executable, str(FOLDER / "translate.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_a_file_that_is_the_translation_in_use_keeps_its_words(strings, tmp_path):
    with open(strings, "rb") as file:
        catalog = read_po(file)
    catalog["## 1. How dense is it?"].string = "## 1. Wie dicht ist es?"
    path = tmp_path / "de.po"
    with open(path, "wb") as file:
        write_po(file, catalog)
    done = translate(path, TRANSLATION=str(path))
    assert not done.returncode and "Wie dicht" in path.read_text()


@pytest.mark.parametrize("content", [b"Dear diary,\ntoday\n", b"import os\n", b"\xff\xfe\0\1"])
def test_a_file_of_another_kind_is_not_overwritten(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    done = translate(path)
    assert done.returncode and "is not a .po file" in done.stderr
    assert "Traceback" not in done.stderr and path.read_bytes() == content


@pytest.mark.parametrize(
    ("text", "other", "fits"),
    [
        ("'a {b}'", "'x'", True),
        ("f'a {b:.2f} of {c}'", "f'{c}: {b:.2f}'", True),
        ("f'a {b}'", "'without the number'", True),
        ("f'a {b}'", "f'{__import__(\"os\")}'", False),
        ("'a'", "x", False),
        ("'a'", "print('a')", False),
        ("'a'", "'a' + f()", False),
        ("'a'", "a: it's", False),
        ("'a'", "5", False),
    ],
)
def test_a_translated_sentence_of_code_is_a_sentence(text, other, fits):
    if fits:
        return check_text(text, other)
    with pytest.raises(SystemExit, match="keeps the quotes"):
        check_text(text, other)
