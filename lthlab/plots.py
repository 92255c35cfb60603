"""Pictures of tidy tables, one colour per arm throughout the course (safe for the colour-blind)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from lthlab.data import Dataset
from lthlab.experiments import interval
from lthlab.masks import Masks, layer_densities

_SAFE = sns.color_palette("colorblind")
ARM_COLORS = {
    "dense": (0.25, 0.25, 0.25),
    "ticket": _SAFE[0],
    "reinitialised": _SAFE[3],
    "shuffled": _SAFE[1],
    "random": _SAFE[7],
    "magnitude": _SAFE[2],
    "layer": _SAFE[2],
    "global": _SAFE[9],
    "OBD": _SAFE[4],
    "OBD, layer": _SAFE[4],
    "OBD, global": _SAFE[4],
    "signs": _SAFE[4],
    "learning-rate rewinding": _SAFE[5],
    "fine-tuning": _SAFE[2],
    "iterative": _SAFE[2],
    "one-shot": _SAFE[9],
    "magnitude at init": _SAFE[2],
    "SNIP": _SAFE[4],
    "GraSP": _SAFE[5],
    "SynFlow": _SAFE[9],
    "ERK": _SAFE[7],
    "magnitude after training": _SAFE[2],
    "Early-Bird": _SAFE[1],
    "RigL": (0.0, 0.3, 0.3),
    "SET": (0.35, 0.6, 0.6),
    "my score": (0.36, 0.16, 0.52),
}
ARM_DASHES = {
    "dense": (4, 1.5),
    "reinitialised": (1, 1),
    "shuffled": (3, 1, 1, 1),
    "random": (1, 2),
    "one-shot, 3 epochs": (1, 1),
    "OBD, layer": (2, 2),
    "learning-rate rewinding": (5, 1, 1, 1),
    "fine-tuning": (2, 1),
    "magnitude at init": (1, 1),
    "GraSP": (3, 1),
    "SynFlow": (5, 1, 1, 1),
    "ERK": (4, 2),
    "Early-Bird": (3, 1, 1, 1),
    "SET": (2, 1),
}
_OTHERS = [_SAFE[i] for i in (0, 1, 2, 4, 5, 8)]


def arm_color(arm: str, position: int = 0):
    """The arm's colour everywhere; that of its last known word for variants ("magnitude, global")."""
    known = [word for word in (arm, *arm.split(", ")[::-1]) if word in ARM_COLORS]
    return ARM_COLORS[known[0]] if known else _OTHERS[position % len(_OTHERS)]


def use_style() -> None:
    """The look of all pictures of the course."""
    sns.set_theme(context="notebook", style="whitegrid")
    plt.rcParams.update({"figure.figsize": (7.5, 4.2), "figure.dpi": 80, "legend.frameon": False})


def band(values) -> tuple[float, float]:
    """The 95 % t-interval for seaborn's `errorbar`; nothing where there are fewer than three replicates."""
    if len(values) < 3:
        return np.nan, np.nan
    found = interval(values)
    return found.low, found.high


def lines(table: pd.DataFrame, x: str, y: str = "value", by: str = "arm", ax: Axes | None = None, **options) -> Axes:
    """One line per arm, the mean over seeds with its 95 % band where there are three or more."""
    ax = ax or plt.subplots()[1]
    arms = list(table[by].unique())
    colours = options.pop("palette", None) or {arm: arm_color(arm, i) for i, arm in enumerate(arms)}
    dashes = {arm: ARM_DASHES.get(arm, ARM_DASHES.get(arm.split(", ")[0], "")) for arm in arms}
    sns.lineplot(
        table, x=x, y=y, hue=by, style=by, palette=colours, dashes=dashes, errorbar=band, err_kws={"alpha": 0.15},
        ax=ax, **{"markers": False} | options,
    )  # fmt: skip
    if ax.get_legend():
        ax.legend(title=None)
    return ax


def race(table: pd.DataFrame, ax: Axes | None = None, **options) -> Axes:
    """Validation accuracy over training, one line per arm; `table` has arm, epoch, split, metric, value."""
    rows = table.query("split == 'validation' and metric == 'accuracy'")
    ax = lines(rows, x="epoch", ax=ax, **options)
    ax.set(xlabel="epochs of training", ylabel="validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    return ax


def accuracy_by_density(table: pd.DataFrame, ax: Axes | None = None, by: str = "arm", **options) -> Axes:
    """Accuracy against the fraction of weights kept, dense on the left; `table` has `by`, density, value."""
    ax = lines(table, x="density", by=by, ax=ax, **{"markers": True} | options)
    density_axis(ax, table["density"])
    ax.set(ylabel="validation accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    return ax


def density_axis(ax: Axes, densities) -> None:
    """A logarithmic axis of densities in percent that runs from dense to sparse."""
    low = min(densities)
    ticks = [tick for tick in (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001) if tick >= low * 0.75]
    ax.set(xscale="log", xlabel="weights kept", xlim=(1.15, low * 0.87))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def weight_histogram(weights: torch.Tensor, cut: float | None = None, ax: Axes | None = None, **options) -> Axes:
    """How the values of a weight matrix are spread; the shaded middle is what a magnitude `cut` would drop."""
    ax = ax or plt.subplots()[1]
    values = weights.detach().flatten().cpu().numpy()
    sns.histplot(x=values, element="step", ax=ax, **{"bins": 100, "color": ARM_COLORS["dense"]} | options)
    if cut is not None:
        ax.axvspan(-cut, cut, color=ARM_COLORS["reinitialised"], alpha=0.25, label=f"below {cut:.3f}: pruned")
        ax.legend()
    ax.set(xlabel="value of the weight", ylabel="number of weights")
    return ax


def layer_bars(masks: dict[str, Masks], ax: Axes | None = None) -> Axes:
    """The fraction kept in each layer, for several masks by name."""
    ax = ax or plt.subplots()[1]
    rows = [
        (name, layer.removesuffix(".weight"), kept)
        for name, mask in masks.items()
        for layer, kept in layer_densities(mask).items()
    ]
    table = pd.DataFrame(rows, columns=["arm", "layer", "density"])
    colours = {name: arm_color(name, i) for i, name in enumerate(masks)}
    sns.barplot(table, x="layer", y="density", hue="arm", palette=colours, ax=ax)
    for bars in ax.containers:
        ax.bar_label(bars, fmt=lambda kept: f"{100 * kept:.1f} %", fontsize=9)
    ax.set(xlabel="layer", ylabel="weights kept")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(title=None)
    return ax


def input_picture(mask: torch.Tensor, dataset: Dataset, ax: Axes | None = None) -> Axes:
    """How many connections of the first layer leave each pixel; `mask` has shape (neurons, pixels)."""
    ax = ax or plt.subplots(figsize=(4.4, 3.6))[1]
    counts = mask.sum(0).reshape(dataset.input_shape).sum(0).cpu()
    sns.heatmap(counts, cmap="viridis", square=True, xticklabels=False, yticklabels=False, ax=ax,
                cbar_kws={"label": "connections kept per pixel"})  # fmt: skip
    return ax


def sample_pictures(dataset: Dataset, count: int = 10) -> plt.Figure:
    """The first training image of each class, with its name."""
    figure, axes = plt.subplots(1, count, figsize=(1.15 * count, 1.6), squeeze=False)
    for label, ax in enumerate(axes[0]):
        first = int((dataset.train.y == label).nonzero()[0])
        picture = dataset.pictures(dataset.train.x[first : first + 1])[0]
        ax.imshow(picture.permute(1, 2, 0), cmap="gray_r" if len(picture) == 1 else None)
        ax.set_title(dataset.classes[label], fontsize=10)
        ax.set_axis_off()
    return figure
