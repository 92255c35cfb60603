"""The words of all sheets in one file, and sheets in another language from such a file.

python notebooks/exercises/translate.py strings.de.po

A .po file, as translators' tools read it (Poedit, Weblate): every paragraph of a sheet,
and every sentence that a check or a print says. Written anew, it keeps the translations
that it held. With `TRANSLATION=strings.de.po`, `make student`, `make assignment` and
`make course` use it; what is not translated stays English.
"""

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

MARKED = re.compile(
    r"^\s*([-*|>#`]|\d+\.)", re.MULTILINE
)  # lists, tables, code: lines count


def paragraphs(source: str) -> list[str]:
    """The units of a Markdown cell: its paragraphs, prose without its wrapping."""
    blocks = re.split(r"\n\s*\n", source)
    return [
        block if MARKED.search(block) else block.replace("\n", " ") for block in blocks
    ]


def sentences(source: str) -> Iterator[tuple[int, int, str]]:
    """Where a code cell says something, and what: messages of checks, printed text."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(source)):
        said = [node.msg] if isinstance(node, ast.Assert) else []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "print",
            "ValueError",
        ):
            said = node.args
        for text in said:
            text_alone = isinstance(text, ast.Constant) and isinstance(text.value, str)
            if text_alone or isinstance(text, ast.JoinedStr):
                start = starts[text.lineno - 1] + text.col_offset
                end = starts[text.end_lineno - 1] + text.end_col_offset
                yield start, end, ast.unparse(text)


def translated(
    notebook: nbformat.NotebookNode, say: Callable[[str], str]
) -> nbformat.NotebookNode:
    """The same sheet, with every unit as `say` says it."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = "\n\n".join(say(unit) for unit in paragraphs(cell.source))
            continue
        code = cell.source.encode()
        for start, end, text in sorted(sentences(cell.source), reverse=True):
            if (other := say(text)) != text:
                code = code[:start] + other.encode() + code[end:]
        cell.source = code.decode()
    return notebook


def reader(path: Path) -> Callable[[str], str]:
    """What a .po file says for a unit; the unit itself where it says nothing."""
    if not path.is_file():
        raise SystemExit(
            f"TRANSLATION={path}: no such file (`make strings` writes one)"
        )
    with open(path, "rb") as file:
        catalog = read_po(file)

    def say(unit: str) -> str:
        message = catalog.get(unit) if unit else None  # "" is the file's own header
        return str(message.string) if message and message.string else unit

    return say


def main() -> None:
    """Write or renew a .po file."""
    from make import SHEETS, teachers

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    path.parent.mkdir(parents=True, exist_ok=True)
    template = Catalog(project="lthlab", charset="utf-8")
    for sheet in SHEETS:

        def note(unit: str, where: str = sheet.stem) -> str:
            template.add(unit, locations=[(f"{where}.py", 0)])
            return unit

        translated(teachers(sheet), note)
    if path.exists():
        with open(path, "rb") as file:
            held = read_po(file)
        held.update(template, no_fuzzy_matching=True)
        template = held
    with open(path, "wb") as file:
        write_po(file, template, width=100, include_lineno=False, ignore_obsolete=True)
    done = sum(bool(message.id and message.string) for message in template)
    print(f"{path}: {len(template)} units, {done} translated")


if __name__ == "__main__":
    main()
