"""The words of all sheets in one file, and sheets in another language from such a file.

python notebooks/exercises/translate.py strings.de.po

A .po file, as translators' tools read it (Poedit, Weblate): every paragraph of a sheet,
and every sentence that a check or a print says. Written anew, it keeps the translations
that it held. With `TRANSLATION=strings.de.po`, `make student`, `make assignment` and
`make course` use it; what is not translated stays English.
"""

import argparse
import ast
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, read_po, write_po

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
                check_text(text, other)
                code = code[:start] + other.encode() + code[end:]
        cell.source = code.decode()
    return notebook


def check_text(text: str, other: str) -> None:
    """End unless a translation is a string, with no {fields} but those of the text."""

    def fields(code: str) -> set[str]:
        said = ast.parse(code, mode="eval").body
        if not isinstance(said, ast.JoinedStr) and not isinstance(
            ast.literal_eval(said), str
        ):
            raise ValueError
        parts = ast.walk(said)
        return {ast.unparse(p) for p in parts if isinstance(p, ast.FormattedValue)}

    try:
        fits = fields(other) <= fields(text)
    except (ValueError, SyntaxError):
        fits = False
    if not fits:
        raise SystemExit(
            f"{other}: a translation keeps the quotes and {{fields}} of {text}"
        )


def load(path: Path) -> Catalog:
    """What a .po file holds."""
    try:
        with open(path, "rb") as file:
            return read_po(file, abort_invalid=True)
    except (OSError, ValueError, PoFileError) as error:
        raise SystemExit(f"{path} is not a .po file: {error}") from None


def reader(path: Path) -> Callable[[str], str]:
    """What a .po file says for a unit; the unit itself where it says nothing."""
    if not path.is_file():
        raise SystemExit(
            f"TRANSLATION={path}: no such file (`make strings` writes one)"
        )
    catalog = load(path)

    def say(unit: str) -> str:
        message = catalog.get(unit) if unit else None  # "" is the file's own header
        return str(message.string) if message and message.string else unit

    return say


def main() -> None:
    """Write or renew a .po file."""
    os.environ.pop("TRANSLATION", None)  # the words are collected in English
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
        held = load(path)
        held.update(template, no_fuzzy_matching=True)
        template = held
    written = io.BytesIO()
    write_po(written, template, width=100, include_lineno=False, ignore_obsolete=True)
    path.write_bytes(written.getvalue())
    done = sum(bool(message.id and message.string) for message in template)
    print(f"{path}: {len(template)} units, {done} translated")


if __name__ == "__main__":
    main()
