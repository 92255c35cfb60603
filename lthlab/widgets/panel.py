"""What all widgets share: controls above a sentence and a picture that follow them."""

import base64
import html
import io
import traceback
from collections.abc import Callable

import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

WIDE = {"style": {"description_width": "130px"}, "layout": {"width": "520px"}}


class Stage:
    """A figure whose axes are drawn once; what moves is put on top, which takes a fifth of the time."""

    def __init__(self, figure: Figure):
        figure.set_dpi(72)
        self.canvas = FigureCanvasAgg(figure)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def show(self, artists: list) -> bytes:
        """The picture with these artists, as PNG; they are taken off again."""
        self.canvas.restore_region(self.background)
        for artist in artists:
            artist.axes.draw_artist(artist)
        for artist in artists:
            artist.remove()
        buffer = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB").save(buffer, "png", compress_level=1)
        return buffer.getvalue()


class Panel(ipywidgets.VBox):
    """Controls above a sentence and a picture (or a table) that follow them."""

    def __init__(self, title: str, controls: dict[str, ipywidgets.Widget], draw: Callable, extra=(), still=None):
        self.controls, self.draw, self.still = controls, draw, still or {}
        self.words, self.picture, self.png = ipywidgets.HTML(), ipywidgets.HTML(), b""
        for control in controls.values():
            control.observe(self.refresh, "value")
        self.refresh()
        super().__init__([ipywidgets.HTML(f"<h3>{title}</h3>"), *controls.values(), *extra, self.words, self.picture])
        self.add_class("lthlab-panel")

    def refresh(self, _change=None) -> None:
        """Draw for the controls' values: `draw` returns a sentence and a picture (PNG) or HTML."""
        try:
            text, drawn = self.draw(**{name: control.value for name, control in self.controls.items()})
        except Exception:
            self.png, text = b"", "Something went wrong here; the last lines below say what."
            drawn = f'<pre class="lthlab-error">{html.escape(traceback.format_exc())}</pre>'
        if isinstance(drawn, bytes):
            self.png = drawn
            source = f"data:image/png;base64,{base64.b64encode(self.png).decode()}"
            drawn = f'<img alt="{html.escape(text)}" src="{source}" style="max-width: 100%">'
        self.words.value = f'<p role="status" aria-live="polite">{html.escape(text)}</p>'
        self.picture.value = drawn

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if self.png:  # what a page without a kernel shows: as now, or where `still` says that there is most to see
            values = {name: control.value for name, control in self.controls.items()} | self.still
            data["image/png"] = base64.b64encode(self.draw(**values)[1]).decode()
        else:
            data["text/html"] = self.words.value + self.picture.value
        return data, metadata


def slider(values, label: str, shown: Callable = str, start=None) -> ipywidgets.SelectionSlider:
    options = [(shown(value), value) for value in values]
    start = options[len(options) // 2][1] if start is None else start
    return ipywidgets.SelectionSlider(options=options, value=start, description=label, **WIDE)


def choice(options, label: str) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=label, **WIDE)


def percent(density: float) -> str:
    return f"{100 * density:.3g} %"
