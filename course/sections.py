"""Sections of the built notebooks: found by a word of their heading, so that plans survive."""

import ast
import builtins
import html
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CLOSING = re.compile(r"your turn|take away|the map|more to try|deep dive", re.IGNORECASE)


@dataclass
class Section:
    """A section of a notebook: its heading, prose and cells (with their index in the notebook)."""

    heading: str
    prose: list[str] = field(default_factory=list)
    code: list[tuple[int, nbformat.NotebookNode]] = field(default_factory=list)
    deep: bool = False

    @property
    def minutes(self) -> float:
        """As `make notebooks` counts them: 180 words a minute, one for a cell, two for a figure.

        Two for a bet, and the computing.
        """
        words = sum(len(text.split()) for text in self.prose)
        seen = sum(bool(pictures(cell)) for _, cell in self.code)
        bets = sum(len(re.findall(r"bets\.(?:pick|number)\(", c.source)) for _, c in self.code)
        seconds = sum(cell.metadata.get("seconds", 0) for _, cell in self.code)
        return words / 180 + len(self.code) + 2 * (seen + bets) + seconds / 60


def pictures(cell: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """The (PNG as base64, text alternative) of a code cell's outputs."""
    return [
        (output.data["image/png"], output.metadata.get("image/png", {}).get("alt", ""))
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]


@cache
def read(number: str, folder: Path = NOTEBOOKS) -> nbformat.NotebookNode:
    """The built notebook that begins with this number."""
    found = sorted(folder.glob(f"{number}_*.ipynb"))
    if len(found) != 1:
        raise FileNotFoundError(
            f"expected one notebook {number}_*.ipynb in {folder}, found {len(found)}: "
            "run `make notebooks`, or name another number in the plan"
        )
    return nbformat.read(found[0], as_version=4)


def sections(notebook: nbformat.NotebookNode) -> list[Section]:
    """All sections (headings of level two); what comes before the first is called "Opening"."""
    found = [Section("Opening")]
    for index, cell in enumerate(notebook.cells):
        deep = "deep" in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            found[-1].code.append((index, cell))
            continue
        pieces = re.split(r"^## +(.+)$", cell.source, flags=re.MULTILINE)
        found[-1].prose.append(pieces[0].strip())
        for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
            found.append(Section(heading.strip(), [text.strip()], deep=deep))
    return found


def find(notebook: nbformat.NotebookNode, words: str) -> Section:
    """The section whose heading matches `words`, a regular expression in any case."""
    every = sections(notebook)
    for section in every:
        if re.search(words, section.heading, re.IGNORECASE):
            return section
    raise LookupError(
        f"no section heading matches {words!r}; there are {[s.heading for s in every]}: "
        "use one of their words in course/plans.yaml or course/notes.yaml"
    )


def core(notebook: nbformat.NotebookNode) -> list[Section]:
    """The sections that are taught: without deep dives and without what closes a notebook."""
    return [s for s in sections(notebook) if not s.deep and not CLOSING.search(s.heading)]


@cache
def names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    """(names that a cell defines, names that it uses and does not define first)."""
    tree = ast.parse("\n".join(line for line in source.split("\n") if line[:1] not in "%!"))
    made, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("bets."):
            # A bet is laid in one cell, by its name, and revealed in a later one.
            reveals = ast.unparse(node.func) == "bets.reveal"
            (used if reveals else made).update(f"bet {ast.unparse(one)}" for one in node.args[:1])
    return frozenset(made), frozenset(used - set(dir(builtins)))


def needed(notebook: nbformat.NotebookNode, chosen: list[int]) -> list[int]:
    """The earlier cells that the chosen ones need before they can run, in order."""
    facts = {i: names(c.source) for i, c in enumerate(notebook.cells) if c.cell_type == "code"}
    order, extra = sorted(chosen), set()
    wanted = [(index, name) for index in order for name in facts[index][1]]
    while wanted:
        index, name = wanted.pop()
        for before in (i for i in facts if i < index and name in facts[i][0]):
            if before not in extra and before not in order:
                extra.add(before)
                wanted += [(before, other) for other in facts[before][1]]
    return sorted(extra)


def spoken(texts: list[str], sentences: int = 2) -> str:
    """The first sentences of some Markdown, as one would say them."""
    lines = "\n".join(texts).splitlines()
    prose = [re.sub(r"^ *- +", "", line) for line in lines if not re.match(r" *(#|\|)", line)]
    text = " ".join(" ".join(prose).split())
    text = re.sub(r"<!--.*?-->|<[^>]+>|```.*?```|\$\$.*?\$\$|^\W*\|.*$", " ", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = html.unescape(re.sub(r"(?<!\w)[*_]+|[*_]+(?!\w)|^#+ .*?$", "", text))
    text = re.sub(r"(^|\s)> ", r"\1", text)
    parts = re.split(r"(?<=[.?!]) +(?=[A-Z\"*`])", text.strip())
    return " ".join(parts[:sentences]).strip()
