"""What all knobs share: data that the front end (knobs.js) draws, and a still picture of them."""

import html
import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lthlab import plots

FRONT = files("lthlab.widgets").joinpath("front")


def _front(*names: str) -> str:
    """Files of the front end as one text, which imports nothing; without the indents."""
    texts = {name: FRONT.joinpath(name).read_text(encoding="utf-8") for name in names}
    if "knobs.css" in texts:
        texts["knobs.css"] = f"const STYLE = {json.dumps(texts['knobs.css'])};"
    return re.sub(r"(?m)^ +", "", "\n".join(texts.values()))


# What draws the knobs; and what anywidget asks for beside it, for the live lab.
SCRIPT = _front("knobs.css", "pictures.js", "knobs.js", "panel.js")
WIDGET = SCRIPT + _front("widget.js")


class Panel:
    """A knob, as the last expression of a cell.

    `data` (lists, dicts, numbers and text) are drawn by the function `kind` of knobs.js, which
    needs no kernel. Where no script runs (GitHub, a notebook not trusted), `still` takes their
    place: HTML, or a function that draws into matplotlib's axes; `sentence` says what it shows.
    """

    def __init__(
        self,
        kind: str,
        title: str,
        controls: list[dict[str, Any]],
        data: dict[str, Any],
        sentence: str,
        still: Callable[[Axes], object] | str,
    ):
        self.data = {"kind": kind, "title": title, "controls": controls, **data}
        self.sentence, self.still = sentence, still

    def _repr_mimebundle_(self, **_options) -> dict[str, str]:
        said = html.escape(self.sentence)
        still = self.still if isinstance(self.still, str) else picture(self.still, said)
        data = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        shown = (
            f'<div class="lthlab-knob"><script type="application/json">{data}</script>'
            f"<p>{said}</p>{still}</div>"
        )
        script = f'<script type="module" class="lthlab-knobs">{SCRIPT}</script>'
        return {"text/html": shown + script, "text/plain": self.sentence}


def picture(draw: Callable[[Axes], object], said: str) -> str:
    """What `draw` draws, as an HTML image with this text alternative."""
    figure = Figure(figsize=(7.5, 4), dpi=80)
    draw(figure.subplots())
    return f'<img alt="{said}" src="data:image/png;base64,{print_figure(figure, base64=True)}">'


def slider(name: str, label: str, options, start: int = 0) -> dict[str, Any]:
    """A slider over these options, which are what it shows."""
    return {"name": name, "label": label, "options": [*map(str, options)], "start": start}


def menu(name: str, label: str, options, start: int = 0) -> dict[str, Any]:
    """A list to choose from."""
    return slider(name, label, options, start) | {"menu": True}


def percent(density: float) -> str:
    return f"{100 * density:.3g} %"


def looks(*arms: str) -> list[dict[str, Any]]:
    """Names, colours and dashes of arms, as everywhere in the course."""
    names = "name", "color", "dash"
    return [dict(zip(names, (arm, *plots.look(arm)), strict=True)) for arm in arms]
