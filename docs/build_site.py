"""Build the static site from the executed notebooks: python docs/build_site.py FOLDER

Sphinx with MyST-NB, nothing executed and nothing fetched; the notebooks must be built (`make
notebooks`).
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import build_playground
from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).parent.parent
CONF = """
project = "lthlab"
author = "the authors of lthlab"
extensions = ["myst_nb"]
nb_execution_mode = "off"
html_theme = "furo"
html_title = "Lottery tickets, in notebooks"
html_show_sourcelink = False
html_extra_path = ["extra"]
suppress_warnings = [
    "myst.xref_missing",
    "myst.header",
    "misc.highlighting_failure",
    "mystnb.mime_priority",
]
"""
# The playground stands on the start page and, with more room, on a page of its own.
INDEX = """---
hide-toc: true
---

# Lottery tickets, in notebooks

Inside every large network hides a small one that could have been trained alone. Find one here, with
nothing to install; or give the playground [a page of its own](playground/playground.html).

```{raw} html
<link rel="stylesheet" href="playground/playground.css">
<style>
  .main .content { width: min(78em, 100%); }
  .sidebar-drawer { width: 16em; }
</style>
<div id="ticket-playground"><noscript>The playground needs JavaScript.</noscript></div>
<script src="playground/playground.js"></script>
```

## The course

Then find it, question it and make it fast in your own hands: a course in notebooks, with results.
To run them yourself, clone the repository and type `make lab`.

```{toctree}
:maxdepth: 1

NOTEBOOKS
claims
```
"""


def build(folder: Path) -> int:
    """Write the site into a folder; returns Sphinx's exit status, 1 if there was any warning."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        notebooks = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
        for notebook in notebooks:
            shutil.copy(notebook, source)
        # The page of claims is the README of the notebooks' folder.
        (source / "claims.md").write_text((ROOT / "notebooks" / "README.md").read_text())
        for notebook in source.glob("*.ipynb"):
            notebook.write_text(notebook.read_text().replace("(README.md)", "(claims.md)"))
        build_playground.write(source / "extra" / "playground")
        (source / "conf.py").write_text(CONF)
        (source / "index.md").write_text(
            INDEX.replace("NOTEBOOKS", "\n".join(n.stem for n in notebooks))
        )
        return sphinx(["-W", "--keep-going", "-q", "-b", "html", str(source), str(folder)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if status := build(folder):
        raise SystemExit(status)
    print(f"open {folder / 'index.html'}")
