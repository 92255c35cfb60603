"""A deck for each notebook, by nbconvert and reveal.js: slides for headings, pictures, cells."""

import shutil
from importlib.resources import files
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbconvert import SlidesExporter
from sections import core, pictures, read, spoken

LINES = 14  # what fits on a slide
# reveal.js lies beside the decks, so that they need no network in the classroom.
TEMPLATE = """{% extends 'reveal/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_css %}<style>
.reveal .slides section {text-align: left}
.reveal .slides h1, .reveal .slides h2 {font-size: 1.5em; text-align: left; text-transform: none}
.reveal .slides img {max-height: 500px; width: auto; display: block; margin: 0 auto}
.jp-Cell-inputArea .jp-InputPrompt, .jp-OutputPrompt {display: none}
.reveal pre {width: 100%; box-shadow: none; font-size: 19px; line-height: 1.35}
.reveal .jp-RenderedHTMLCommon {font-size: 28px}
</style>{% endblock %}
{% block footer_js %}
<script src="reveal/dist/reveal.js"></script>
<script src="reveal/plugin/notes/notes.js"></script>
<script>
Reveal.initialize({plugins: [RevealNotes], width: 1200, height: 700, slideNumber: true, hash: true})
</script>
{% endblock %}"""


def slide(source: str, kind: str, code: bool = False) -> nbformat.NotebookNode:
    """A cell of a deck: kind is slide, subslide, fragment or notes."""
    new = nbformat.v4.new_code_cell if code else nbformat.v4.new_markdown_cell
    return new(source, metadata={"slideshow": {"slide_type": kind}})


def brief(prose: list[str]) -> str:
    """Three sentences; or, where a list follows the first paragraph, that and the list."""
    first, *rest = "\n\n".join(prose).strip().split("\n\n")
    if rest and rest[0].startswith("- ") and rest[0].count("\n") < LINES - 3:
        return f"{spoken([first])}\n\n{rest[0]}"
    return spoken(prose, 3)


def deck(number: str) -> nbformat.NotebookNode:
    """The slides of a notebook, with its prose as notes for the speaker."""
    notebook = read(number)
    opening, *rest = core(notebook)
    title, _, text = "\n".join(opening.prose).partition("\n")
    cells = [slide(f"{title}\n\n{spoken([text])}", "slide"), slide(text.strip(), "notes")]
    for section in rest:
        prose = "\n\n".join(section.prose).strip()
        cells.append(slide(f"## {section.heading}\n\n{brief(section.prose)}", "slide"))
        cells.append(slide(prose or "(pictures only)", "notes"))
        for _, cell in section.code:
            if cell.source.count("\n") < LINES and not cell.source.startswith("plots.show"):
                cells.append(slide(cell.source, "subslide", code=True))
                cells.append(slide("What it prints or draws comes on the next slide.", "notes"))
            texts = [o.get("text", "") for o in cell.outputs if o.output_type == "stream"]
            lines = "".join(texts).strip("\n").split("\n")[: LINES - 4]
            printed = "\n".join(line[:110] for line in lines)
            if printed:
                cells.append(slide(f"```text\n{printed}\n```", "subslide"))
                cells.append(slide(f"Printed under “{section.heading}”.", "notes"))
            for png, alt in pictures(cell):
                picture = f"![{alt or section.heading}](data:image/png;base64,{png})"
                cells.append(slide(picture, "subslide"))
                cells.append(slide(alt or f"The picture of “{section.heading}”.", "notes"))
    cells.append(
        slide("## Before you go\n\nWhat surprised you? What would you still doubt?", "slide")
    )
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


def write(numbers: list[str], folder: Path) -> None:
    """Write NN.html for each notebook, and reveal.js beside them. S opens the speaker's view."""
    folder.mkdir(parents=True, exist_ok=True)
    library = files("sphinx_revealjs").joinpath("_static/revealjs")
    shutil.copytree(str(library), folder / "reveal", dirs_exist_ok=True)
    exporter = SlidesExporter(
        extra_loaders=[DictLoader({"deck.html.j2": TEMPLATE})],
        template_file="deck.html.j2",
        reveal_url_prefix="reveal",
        exclude_input_prompt=True,
        reveal_theme="white",
    )
    for number in numbers:
        html, _ = exporter.from_notebook_node(deck(number))
        (folder / f"{number}.html").write_text(html)
