"""The website's pages that are made from what stands elsewhere in the repository.

The questions come from README.md, the minutes from the notebooks, the tables of the article and of
the claims from notebooks/README.md and the reference results, the API from the docstrings.
"""

import html
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import nbformat
import pandas as pd

import lthlab

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
MANY = 3  # findings in one cell of the article's table; more of them are folded


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The heading of a notebook's first cell."""
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def time_of(notebook: nbformat.NotebookNode) -> str:
    """How long a notebook takes, as its first cell says."""
    top = notebook.cells[0].source
    time = " ".join(top.split("**Time**: ")[1].split("\n\n")[0].split())
    short = re.split(r" \(|;", time)[0].rstrip(".")  # without what it is counted from
    return short[0].upper() + short[1:]


def questions() -> dict[str, str]:
    """The question of each notebook, by its file's name, from the table in README.md."""
    row = r"^\| \[.*?\]\(notebooks/(\w+)\.ipynb\) \| (.*) \|$"
    return dict(re.findall(row, (ROOT / "README.md").read_text(), re.MULTILINE))


def notebooks_list(paths: list[Path]) -> str:
    """The notebooks with their questions and times."""
    asked, lines = questions(), []
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        link = f"[**{path.stem[:2]}: {title_of(notebook)}**]({path.name})"
        lines.append(f"- {link}\\\n  {asked.get(path.stem, '')} *{time_of(notebook)}.*")
    return "\n".join(lines)


def notebooks_toc(paths: list[Path]) -> str:
    """The notebooks as lines of a table of contents, with their numbers."""
    titles = [title_of(nbformat.read(path, as_version=4)) for path in paths]
    return "\n".join(f"{p.stem[:2]}: {t} <{p.stem}>" for p, t in zip(paths, titles, strict=True))


def launchers(repo: str, notebook: str) -> str:
    """Links that open a notebook elsewhere, ready to run."""
    path = f"notebooks/{notebook}.ipynb"
    places = {
        "Binder": f"https://mybinder.org/v2/gh/{repo}/HEAD?labpath={path}",
        "Colab": f"https://colab.research.google.com/github/{repo}/blob/main/{path}",
        "Codespaces": f"https://codespaces.new/{repo}?quickstart=1",
    }
    links = " ".join(f'<a href="{url}">{name}</a>' for name, url in places.items())
    return f'<p class="launch">Open it in {links}</p>'


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.*)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def filterable(text: str, menus: str = "") -> str:
    """A text with its table in a box that `tables.js` lets the reader filter and sort."""
    box = f'<div class="filterable" data-menus="{menus}">'
    return re.sub(r"((?:^\|.*\n?)+)", rf"{box}\n\n\1\n\n</div>\n", text, flags=re.MULTILINE)


def fold(found: str) -> str:
    """What was found, in one cell: a list of many differences is folded under what they are."""
    sentences = []
    for sentence in re.split(r"(?<=\])\. ", found):
        what, _, differences = sentence.partition(": ")
        settings = differences.split("; ")
        if len(settings) > MANY:
            rows = "<br>".join(map(html.escape, settings))
            sentence = (
                f"<details><summary>{html.escape(what)}, in {len(settings)} settings</summary>"
                f"{rows}</details>"
            )
        sentences.append(sentence)
    return ". ".join(sentences).replace("</details>. ", "</details>")


def article_page() -> str:
    """What the article says, statement by statement."""
    table = pd.read_csv(ROOT / "lthlab" / "assets" / "reference" / "article.csv")
    lines = ["| | the article says | see it | what was found |", "|---|---|---|---|"]
    for row in table.itertuples():
        where = re.sub(r" \(cell .*\)$", "", row.where)
        lines.append(f"| {row.number} | {row.statement} | {where} | {fold(row.found)} |")
    heading = "The article, sentence by sentence"
    prose = re.sub(r"^\|.*\n?", "", sections(NOTEBOOKS / "README.md")[heading], flags=re.M)
    return f"# {heading}\n{prose}\n" + filterable("\n".join(lines))


def claims_page(notebooks: list[Path]) -> str:
    """What the papers say, and what was seen here: one row for each claim and setting."""
    heading = "What the papers say, and what was seen here"
    text = sections(NOTEBOOKS / "README.md")[heading]
    for path in notebooks:
        text = re.sub(
            rf"\| {path.stem[:2]} \|$", f"| [{path.stem[:2]}]({path.name}) |", text, flags=re.M
        )
    return f"# {heading}\n" + filterable(text, "paper, n, verdict, stands, notebook")


def modules() -> list[str]:
    """The public modules of the package: in the order of README's table, then the others."""
    table = re.findall(r"^\| (`[a-z_`, ]+`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = [name for row in table for name in re.findall(r"`(\w+)`", row)]
    found = [m.name for m in pkgutil.iter_modules(lthlab.__path__) if not m.name.startswith("_")]
    return [name for name in named if name in found] + sorted(set(found) - set(named))


def parts(name: str) -> list[str]:
    """A module and, of a package, the public modules in it."""
    module = importlib.import_module(f"lthlab.{name}")
    inside = pkgutil.iter_modules(getattr(module, "__path__", []))
    return [name, *(f"{name}.{part.name}" for part in inside if not part.name.startswith("_"))]


def module_page(name: str) -> str:
    """The reference of one module, from its docstrings (reStructuredText)."""
    text = ""
    for part in parts(name):
        line = "=" if part == name else "-"
        text += f"{part}\n{line * len(part)}\n\n.. automodule:: lthlab.{part}\n   :members:\n\n"
    return text


def api_index() -> str:
    """The package's modules as README's table has them, and the names of `lthlab` itself."""
    found = modules()
    rows = re.findall(r"^\| `[a-z_`, ]+` \|.*\|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    known = set(re.findall(r"`(\w+)`", " ".join(row.split(" | ")[0] for row in rows)))
    for name in found:
        if name not in known:
            about = inspect.getdoc(importlib.import_module(f"lthlab.{name}")) or ""
            rows.append(f"| `{name}` | {about.split(chr(10) * 2)[0].replace(chr(10), ' ')} |")

    def link(match: re.Match) -> str:
        return f"[`{match[1]}`]({match[1]}.rst)" if match[1] in found else match[0]

    linked = [
        " | ".join([re.sub(r"`(\w+)`", link, row.split(" | ", 1)[0]), row.split(" | ", 1)[1]])
        for row in rows
    ]
    names = []
    for name in lthlab.__all__:
        home = getattr(getattr(lthlab, name), "__module__", "")
        names.append(f"{{py:obj}}`{name} <{home}.{name}>`" if home else f"`{name}`")
    listed = "\n".join(["| module | holds |", "|---|---|", *linked])
    toc = "\n".join(found)
    return f"""# The package

Made from the docstrings. What is used most can be imported from `lthlab` itself, all else by its
module: `lthlab.pruning.random`, say.

{listed}

From `lthlab` itself: {", ".join(names)}.

```{{toctree}}
:hidden:
:maxdepth: 1

{toc}
```
"""


def sheets_index(names: list[str]) -> str:
    """The page that lists the exercise sheets."""
    toc = "\n".join(f"sheets/{name}" for name in names)
    return f"""# Exercise sheets

One for each notebook, without the solutions. Run them with `make student`; the visible checks say
whether an answer is right, and give a hint where it is not.

```{{toctree}}
:maxdepth: 1

{toc}
```
"""
