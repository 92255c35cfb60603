"""Sphinx's settings for the website. `docs/build_site.py` copies them beside the pages it makes."""

import hashlib
import inspect
import pkgutil
import re
import types
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, NewType, Union, get_args, get_origin

import nbformat
from docutils import nodes
from latex2mathml.converter import convert

import lthlab

project = "lthlab"
author = "the authors of lthlab"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "Lottery tickets, in notebooks"
html_static_path = ["_static"]
templates_path = ["_templates"]
smartquotes = False  # code in docstrings keeps its quotes and dots
html_css_files = ["site.css"]
html_js_files = [
    ("tables.js", {"defer": "defer"}),
    ("scrolling.js", {"defer": "defer"}),
    ("knobs.js", {"defer": "defer"}),  # of lthlab.widgets, which the notebooks' knobs ask for
]
html_extra_path = ["extra"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
highlight_language = "none"
html_domain_indices = False
suppress_warnings = ["myst.header", "misc.highlighting_failure", "mystnb.mime_priority"]

# Nothing is executed here, and nothing is fetched when a page opens.
nb_execution_mode = "off"
nb_merge_streams = True  # what one cell prints is one box
nb_ipywidgets_js = {}
myst_heading_anchors = 4
# Formulas become MathML, which browsers draw without a script.
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_digits = False
html_math_renderer = "mathml"

# Docstrings are prose: `name` in them links to what it names, where that is documented.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"


def describe_pictures(app, document):
    """Give each picture of a notebook the text alternative that `plots.show` stored with it.

    MyST-NB names the files of pictures by their content and knows alternatives by cell only.
    Without one a picture has an empty alternative; a test counts those.
    """
    notebook = Path(app.srcdir) / f"{app.env.current_document.docname}.ipynb"
    if not notebook.exists():
        return
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [o for c in cells for o in c.get("outputs", ()) if "image/png" in o.get("data", ())]
    alternatives = {
        hashlib.sha256(b64decode(o.data["image/png"])).hexdigest(): o.metadata.get(
            "image/png", {}
        ).get("alt", "")
        for o in outputs
    }
    for image in document.findall(nodes.image):
        image["scale"] = 100  # so Sphinx links it to its file, which can be enlarged
        name = Path(image["uri"]).stem
        image["alt"] = alternatives.get(name, image.get("alt", ""))


def read_as_prose(app, what, name, obj, options, lines):
    """Take docstrings as the prose that they are: stars, bars and underscores mean themselves.

    What stands between backticks is code, and so is an indented block after a colon.
    """
    text = re.sub(r":\n\n(?=    )", "::\n\n", "\n".join(lines))
    parts = re.split(r"(`[^`]*`|::\n\n(?:    .*\n|\n)+)", text)
    parts[::2] = [re.sub(r"[*|]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


MODULES = [import_module(found.name) for found in pkgutil.walk_packages(lthlab.__path__, "lthlab.")]
# Names that lthlab gives to types with a rule: Masks, Duration, ...
NAMED = [
    (name, hint)
    for module in MODULES
    for name, hint in vars(module).items()
    if name[0].isupper() and any(get_origin(part) is Annotated for part in (hint, *get_args(hint)))
]


def readable(hint):
    """A type hint as a reader wants it: named types by their names, no rules of `checks`."""
    for name, known in NAMED:
        if hint == known:
            return NewType(name, object)
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return readable(parts[0])
    if origin in (Union, types.UnionType):
        return Union[tuple(map(readable, parts))]  # noqa: UP007
    if parts and isinstance(parts[0], list):  # a Callable
        return origin[[*map(readable, parts[0])], readable(parts[1])]
    if origin in (list, tuple, dict, Iterable, Iterator, Mapping, Sequence):
        return origin[tuple(map(readable, parts))]
    return hint


def name_types():
    """Write the types of all functions, methods and properties as `readable` does."""
    things = [thing for module in MODULES for thing in vars(module).values()]
    things += [part for one in things if inspect.isclass(one) for part in vars(one).values()]
    for thing in things:
        function = getattr(thing, "fget", None) or getattr(thing, "__func__", thing)
        if inspect.isfunction(function):
            hints = function.__annotations__.items()
            function.__annotations__ = {name: readable(hint) for name, hint in hints}


def name_functions(app, what, name, obj, options, signature, returned):
    """Write a default that is a function by its name, not by its address in memory."""
    if signature:
        if "t.Any" in signature:  # that of ipywidgets, which says nothing
            return "", returned
        signature = signature.replace("<factory>", "...")
        return re.sub(r"<function (\w+)[^>]*>", r"\1", signature), returned


def write_formula(display: str):
    """A visitor that writes a formula as MathML."""

    def visit(writer, node):
        formula = convert(node.astext(), display=display)
        writer.body.append(
            f'<div class="formula">{formula}</div>' if display == "block" else formula
        )
        raise nodes.SkipNode

    return visit, None


def mend_markup(app, page, template, context, doctree):
    """Mend what screen readers stumble over: headings without a level, lists inside terms."""
    if tree := context.get("furo_navigation_tree"):
        context["furo_navigation_tree"] = tree.replace(
            'role="heading"', 'role="heading" aria-level="2"'
        )

    def as_spans(match: re.Match) -> str:
        text = re.sub(r"<(/?)dd>", r"<\1span>", match[0]).replace("</dl>", "</span>")
        return text.replace("<dl>", '<span class="parameters">')

    signature = r'<dt class="sig .*?</dt>'
    context["body"] = re.sub(signature, as_spans, context.get("body", ""), flags=re.DOTALL)


def setup(app):
    app.connect("autodoc-process-docstring", read_as_prose)
    name_types()
    app.add_html_math_renderer("mathml", write_formula("inline"), write_formula("block"))
    app.connect("autodoc-process-signature", name_functions)
    # After the theme, which makes the tree of pages.
    app.connect("html-page-context", mend_markup, priority=900)
    app.connect("doctree-read", describe_pictures)
