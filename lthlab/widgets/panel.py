"""What all widgets share: controls above a sentence and a picture that follow them."""

import base64
import html
import io
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

WIDE = {"style": {"description_width": "130px"}, "layout": {"width": "520px"}}


def new_axes(size: tuple[float, float], *places: tuple[float, ...]) -> list[Axes]:
    """Axes at these places of a new figure, their vertical ones in percent."""
    figure = Figure(figsize=size, dpi=72)
    axes = [figure.add_axes(place) for place in places]
    for ax in axes:
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    return axes


def training_axes() -> Axes:
    """Validation accuracy over the steps of a training."""
    (ax,) = new_axes((8, 4.3), (0.12, 0.15, 0.83, 0.81))
    ax.set(xlabel="training step", ylabel="validation accuracy", ylim=(0, 1))
    return ax


class Stage:
    """A figure whose axes are drawn once; what moves is put on top, in a fifth of the time."""

    def __init__(self, ax: Axes):
        self.canvas = FigureCanvasAgg(ax.figure)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(ax.figure.bbox)

    def show(self, artists: list) -> bytes:
        """The picture with these artists, as PNG; they are taken off again."""
        self.canvas.restore_region(self.background)
        for artist in artists:
            artist.axes.draw_artist(artist)
        for artist in artists:
            artist.remove()
        buffer = io.BytesIO()
        picture = Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")
        picture.save(buffer, "png", compress_level=1)
        return buffer.getvalue()


class Panel(ipywidgets.VBox):
    """Controls above a sentence and a picture (or a table) that follow them.

    `draw` gets the controls' values and returns the sentence, and a picture (PNG) or HTML. A page
    without a kernel shows what is drawn for `still`, where there is most to see.
    """

    def __init__(
        self,
        title: str,
        controls: dict[str, ipywidgets.Widget],
        draw: Callable[..., tuple[str, bytes | str]],
        extra=(),
        **still,
    ):
        self.controls, self.draw, self.still = controls, draw, still
        self.words, self.picture, self.png = ipywidgets.HTML(), ipywidgets.HTML(), b""
        for control in controls.values():
            control.observe(self.refresh, "value")
        self.refresh()
        heading = ipywidgets.HTML(f"<h3>{title}</h3>")
        super().__init__([heading, *controls.values(), *extra, self.words, self.picture])
        self.add_class("lthlab-panel")

    @property
    def settings(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: control.value for name, control in self.controls.items()}

    def refresh(self, _change=None) -> None:
        """Draw for the settings."""
        with self.errors_shown():
            self.show(*self.draw(**self.settings))

    @contextmanager
    def errors_shown(self) -> Iterator[None]:
        """Show an error of this block where the picture is."""
        try:
            yield
        except Exception:
            what = f'<pre class="lthlab-error">{html.escape(traceback.format_exc())}</pre>'
            self.show("Something went wrong here; the last lines below say what.", what)

    def show(self, text: str, drawn: bytes | str) -> None:
        """Put a sentence, and a picture or HTML, in place."""
        self.png = drawn if isinstance(drawn, bytes) else b""
        if self.png:
            source = f"data:image/png;base64,{base64.b64encode(self.png).decode()}"
            drawn = f'<img alt="{html.escape(text)}" src="{source}" style="max-width: 100%">'
        self.words.value = f'<p role="status" aria-live="polite">{html.escape(text)}</p>'
        self.picture.value = drawn

    def _repr_mimebundle_(self, **options):
        data = super()._repr_mimebundle_(**options)
        if self.png:
            _, png = self.draw(**self.settings | self.still)
            data["image/png"] = base64.b64encode(png).decode()
        else:
            data["text/html"] = self.words.value + self.picture.value
        return data


def slider(values, label: str, shown=str, start: int = 0) -> ipywidgets.SelectionSlider:
    options = [(shown(value), value) for value in values]
    return ipywidgets.SelectionSlider(options=options, index=start, description=label, **WIDE)


def choice(options, label: str, start: int = 0) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, index=start, description=label, **WIDE)


def percent(density: float) -> str:
    return f"{100 * density:.3g} %"
