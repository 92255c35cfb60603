"""Pictures of tidy tables, one colour per arm throughout the course (safe for the colour-blind)."""

from collections.abc import Iterable
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.core.pylabtools import print_figure
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from lthlab.arms import ARMS
from lthlab.checks import InputError, Name, checked
from lthlab.data import Dataset
from lthlab.masks import Masks, layer_densities
from lthlab.statistics import interval

Measured = Annotated[
    pd.DataFrame,
    "the table of a history or of run_experiment",
    lambda table: {"split", "metric", "epoch"} <= {*table},
]
# What is drawn beside arms: ways to prune.
OTHERS = {
    "magnitude": ("#029e73", ()),
    "magnitude, global": ("#56b4e9", (4, 1.5)),
    "layer": ("#029e73", ()),
    "global": ("#56b4e9", (4, 1.5)),
    "OBD": ("#cc78bc", (1, 1)),
    "OBD, layer": ("#cc78bc", (2, 2)),
    "other order": ("#029e73", (3, 1, 1, 1)),
    "small dense": ("#ca9161", (5, 1)),
    "wanda": ("#de8f05", (3, 1)),
    "sparsegpt": ("#0173b2", (5, 1, 1, 1)),
}
_UNKNOWN = (
    ("#0173b2", ()),
    ("#de8f05", (4, 1.5)),
    ("#029e73", (1, 1)),
    ("#cc78bc", (3, 1, 1, 1)),
    ("#ca9161", (5, 1)),
    ("#b08d00", (2, 2)),
)


def look(arm: str, position: int = 0) -> tuple[str, tuple[float, ...]]:
    """Colour and dashes of an arm everywhere; a variant ("OBD, global") has those of a word."""
    known = OTHERS | {n: (own.color, own.dashes) for n, own in ARMS.items() if own.color}
    unknown = _UNKNOWN[position % len(_UNKNOWN)]
    return next((known[word] for word in (arm, *str(arm).split(", ")) if word in known), unknown)


def arm_color(arm: str, position: int = 0) -> str:
    """The colour of `look`."""
    return look(arm, position)[0]


def use_style() -> None:
    """The look of all pictures of the course."""
    sns.set_theme(context="notebook", style="whitegrid")
    plt.rcParams.update({"figure.figsize": (7.5, 4.2), "figure.dpi": 80, "legend.frameon": False})


@checked
def show(alternative: Name) -> None:
    """Show the current figure with a text alternative, for those who cannot see it."""
    described = {"text/plain": alternative, "image/png": print_figure(plt.gcf(), base64=True)}
    plt.close()
    display(described, raw=True, metadata={"image/png": {"alt": alternative}})


def percent(fraction: float, position: int | None = None) -> str:
    """A tick's label, for `set_major_formatter`, with all its digits, so that none repeats."""
    return f"{100 * fraction:g} %"


def band(values) -> tuple[float, float]:
    """The 95 % t-interval for seaborn's `errorbar`; nothing for fewer than three replicates."""
    if len(values) < 3:
        return np.nan, np.nan
    found = interval(values)
    return found.low, found.high


@checked
def lines(
    table: pd.DataFrame,
    x: str,
    y: str = "value",
    by: str = "arm",
    ax: Axes | None = None,
    **options,
) -> Axes:
    """One line per arm, the mean over seeds with its 95 % band where there are three or more."""
    if missing := {x, y, by} - {*table}:
        raise InputError(f"table has no column {missing.pop()!r}, only {[*table]}.")
    ax = ax or plt.subplots()[1]
    arms = table[by].unique()
    looks = pd.DataFrame(map(look, arms, range(len(arms))), arms, ["palette", "dashes"]).to_dict()
    band_look = {"errorbar": band, "err_kws": {"alpha": 0.15}, "markers": False}
    sns.lineplot(table, x=x, y=y, hue=by, style=by, ax=ax, **looks | band_look | options)
    if ax.get_legend():
        ax.legend(title=None)
    return ax


@checked
def race(table: Measured, ax: Axes | None = None, **options) -> Axes:
    """Validation accuracy over training; `table` has arm, epoch, split, metric and value."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    ax = lines(rows, x="epoch", ax=ax, **options)
    return _percent(ax, xlabel="epochs of training", ylabel="validation accuracy")


@checked
def accuracy_by_density(
    table: pd.DataFrame, ax: Axes | None = None, by: str = "arm", **options
) -> Axes:
    """Accuracy by the fraction of weights kept, dense on the left; `table` has density, value."""
    ax = lines(table, x="density", by=by, ax=ax, **{"markers": True} | options)
    density_axis(ax, table["density"])
    return _percent(ax, ylabel="validation accuracy")


@checked
def density_axis(ax: Axes, densities: Iterable[float]) -> None:
    """A logarithmic axis of densities in percent that runs from dense to sparse."""
    ax.set(xscale="log", xlabel="weights kept", xlim=(1.15, min(densities) * 0.87))
    major = LogLocator(subs=(1, 2, 5), numticks=99)
    ax.xaxis.set(major_locator=major, minor_locator=NullLocator(), major_formatter=percent)


@checked
def weight_histogram(weights: torch.Tensor, ax: Axes | None = None, **options) -> Axes:
    """How the values of a weight matrix are spread."""
    ax = ax or plt.subplots()[1]
    values = weights.detach().flatten().cpu().numpy()
    options = {"bins": 100, "color": arm_color("dense"), "element": "step"} | options
    sns.histplot(x=values, ax=ax, **options)
    ax.set(xlabel="value of the weight", ylabel="number of weights")
    return ax


@checked
def layer_bars(masks: dict[str, Masks], ax: Axes | None = None) -> Axes:
    """The fraction kept in each layer, for several masks by name."""
    ax = ax or plt.subplots()[1]
    table = pd.DataFrame({name: layer_densities(mask) for name, mask in masks.items()})
    table = table.rename(lambda layer: layer.removesuffix(".weight")).rename_axis("layer")
    rows = table.melt(var_name="arm", ignore_index=False)
    colours = [arm_color(name, i) for i, name in enumerate(masks)]
    sns.barplot(rows, x="layer", y="value", hue="arm", palette=colours, ax=ax)
    for bars in ax.containers:
        ax.bar_label(bars, fmt=lambda kept: f"{100 * kept:.1f} %", fontsize=9)
    ax.legend(title=None)
    return _percent(ax, xlabel="layer", ylabel="weights kept")


@checked
def input_picture(mask: torch.Tensor, dataset: Dataset, ax: Axes | None = None) -> Axes:
    """How many connections of the first layer leave each pixel; `mask` is (neurons, pixels)."""
    if mask.shape[1:].numel() != dataset.train.x[0].numel():
        raise InputError(
            f"mask is (neurons, inputs) of the first layer, for inputs of {dataset.input_shape}; "
            f"got {tuple(mask.shape)}."
        )
    ax = ax or plt.subplots(figsize=(4.4, 3.6))[1]
    counts = mask.sum(0).reshape(dataset.input_shape).sum(0).cpu()
    sns.heatmap(
        counts,
        ax=ax,
        cmap="viridis",
        square=True,
        xticklabels=False,
        yticklabels=False,
        cbar_kws={"label": "connections kept per pixel"},
    )
    return ax


@checked
def sample_pictures(dataset: Dataset) -> plt.Figure:
    """The first training image of each class, with its name."""
    count = len(dataset.classes)
    figure, axes = plt.subplots(1, count, figsize=(1.15 * count, 1.6), squeeze=False)
    for label, ax in enumerate(axes[0]):
        ax.set_title(dataset.classes[label], fontsize=10)
        ax.set_axis_off()
        found = (dataset.train.y == label).nonzero()
        if len(found):
            picture = dataset.pictures(dataset.train.x[found[0]])[0]
            ax.imshow(picture.permute(1, 2, 0).numpy(), cmap="gray_r")  # the map is for grey alone
    return figure


def _percent(ax: Axes, **labels: str) -> Axes:
    ax.set(**labels)
    ax.yaxis.set_major_formatter(percent)
    return ax
