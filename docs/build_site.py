"""Build the static site: python docs/build_site.py FOLDER [--repo OWNER/NAME]

Sphinx with MyST-NB, nothing executed and nothing fetched; the notebooks must be built (`make
notebooks`). With a repository on GitHub each notebook's page has links that open it in Binder,
Colab and Codespaces.
"""

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

import build_playground
import nbformat
import site_pages
from sphinx.cmd.build import main as sphinx

sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks" / "exercises"))

import make

from lthlab.widgets.panel import SCRIPT

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"


def mend_links(text: str, folder: Path, pages: dict[Path, str], repo: str) -> str:
    """Lead a text's links to the site's pages; files that have none are shown on GitHub.

    Where no repository is known, only the words of such a link are left.
    """

    def mend(match: re.Match) -> str:
        words, target, anchor = match.groups()
        path = (folder / target).resolve()
        if path in pages:
            return f"[{words}](/{pages[path]}{anchor or ''})"
        if not path.exists():
            return match[0]  # Sphinx reports it
        url = f"https://github.com/{repo}/blob/main/{path.relative_to(ROOT)}"
        return f"[{words}]({url})" if repo else words

    return re.sub(r"\[([^\[\]]+)\]\((?!\w+:)([\w./-]+)(#[\w-]*)?\)", mend, text)


def gather(source: Path, repo: str) -> None:
    """Put all of the site's pages into Sphinx's source folder."""
    notebooks = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    pages = {path: path.name for path in notebooks}
    pages[NOTEBOOKS / "README.md"] = "claims.md"
    texts = [ROOT / "docs" / "teaching.md", ROOT / "docs" / "anywhere.md"]
    texts.append(NOTEBOOKS / "glossary.md")
    pages |= {path: path.name for path in texts}
    pages |= {sheet: f"sheets/{sheet.stem}_exercises.ipynb" for sheet in make.SHEETS}

    shutil.copytree(ROOT / "docs" / "site", source, dirs_exist_ok=True)
    build_playground.write(source / "extra" / "playground")
    # Browsers refuse to load modules from a disk; in a function its names are its own, too.
    script = f"(() => {{\n{SCRIPT}\n}})();"
    (source / "_static" / "knobs.js").write_text(script, encoding="utf-8")
    sheets = source / "sheets"
    make.make_student(sheets)
    for path in sheets.glob("*.md"):  # the same sheets for paper
        path.unlink()
    for path in [*notebooks, *sheets.glob("*.ipynb")]:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = mend_links(cell.source, NOTEBOOKS, pages, repo)
        if repo and path in pages:
            title, _, rest = notebook.cells[0].source.partition("\n")
            notebook.cells[0].source = f"{title}\n\n{site_pages.launchers(repo, path.stem)}\n{rest}"
        nbformat.write(
            notebook, sheets / path.name if path.parent == sheets else source / path.name
        )
    for path in texts:
        text = path.read_text()
        if text.startswith("## "):  # a section of another page, there
            text = re.sub(r"^#(#+ )", r"\1", text, flags=re.MULTILINE)
        (source / path.name).write_text(mend_links(text, path.parent, pages, repo))
    written = {
        "article.md": site_pages.article_page(),
        "claims.md": site_pages.claims_page(notebooks),
    }
    for name, text in written.items():
        (source / name).write_text(mend_links(text, NOTEBOOKS, pages, repo))
    (source / "api").mkdir()
    (source / "api" / "index.md").write_text(site_pages.api_index())
    for name in site_pages.modules():
        (source / "api" / f"{name}.rst").write_text(site_pages.module_page(name))
    names = sorted(path.stem for path in sheets.glob("*.ipynb"))
    (source / "sheets.md").write_text(site_pages.sheets_index(names))
    parts = {
        "NOTEBOOKS": site_pages.notebooks_list(notebooks),
        "NAMES": site_pages.notebooks_toc(notebooks),
        "REPOSITORY": f"[the repository](https://github.com/{repo})" if repo else "the repository",
        "FIRST": notebooks[0].name,
        "SCALE": next(path.name for path in notebooks if path.stem.startswith("09")),
    }
    index = (source / "index.md").read_text()
    for name, text in parts.items():
        index = index.replace(f"{{{name}}}", text)
    (source / "index.md").write_text(index)


def build(folder: Path, repo: str = "") -> int:
    """Write the site into a folder; returns Sphinx's exit status, 1 if there was any warning."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        gather(source, repo)
        options = ["-W", "--keep-going", "-q", "-d", f"{temporary}/doctrees", "-b", "html"]
        return sphinx([*options, str(source), str(folder)])


def repository(name: str) -> str:
    """Check what stands after --repo; nothing means that no repository is known."""
    if name and not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise argparse.ArgumentTypeError(
            f"expected a repository on GitHub as OWNER/NAME, got {name!r}"
        )
    return name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repo", type=repository, default="", metavar="OWNER/NAME")
    options = parser.parse_args()
    if status := build(options.folder, options.repo):
        raise SystemExit(status)
    print(f"open {options.folder / 'index.html'}")
