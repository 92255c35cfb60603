"""Drawings that explain, and the board of the case: each returns its text alternative.

A cell ends in `plots.show(drawings.imp_cycle())`. With `ax`, a drawing goes into axes that exist.
`board` is in a module of its own.
"""

import copy
from importlib.resources import files
from itertools import product
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.swa_utils import update_bn

from lthlab._common import own_noise
from lthlab.board import board as board
from lthlab.checks import check
from lthlab.data import Dataset
from lthlab.masks import Masks, count_kept, full_masks, prunable_weights
from lthlab.plots import arm_color, look
from lthlab.pruning import magnitude, prune
from lthlab.training import evaluate

_INK, _CENTRE = "#404040", {"ha": "center", "va": "center", "size": 11}
_ASSETS = files("lthlab").joinpath("assets")


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Axes, by default of a figure of a size in inches."""
    return ax or plt.subplots(figsize=(width, height))[1]


def _cells(ax: Axes | None, rows: dict, width: float, form: str = "g") -> Axes:
    """Rows of boxes, by name: what stands in them, and their shades, 0 to 2."""
    words, shades = (
        pd.DataFrame({name: pd.Series(pair[i].tolist()) for name, pair in rows.items()}).T
        for i in (0, 1)
    )
    ax = _axes(ax, width * words.shape[1], 0.5 * len(rows))
    colors = {"cmap": ["#eeeeee", "#b5d3e7", "#f4d8a8"], "vmin": 0, "vmax": 2, "cbar": False}
    sns.heatmap(shades.astype(float), annot=words, fmt=form, ax=ax, linewidths=2, **colors)
    ax.set_xticks([])
    ax.tick_params(rotation=0, length=0)
    ax.grid(False)
    return ax


def network(
    masks: Masks, ax: Axes | None = None, weights: dict | None = None, most: int = 12
) -> str:
    """A fully connected network: kept weights are dark lines, pruned ones faint.

    With `weights` (by the masks' names) the lines are as wide as the weights are large, positive
    ones solid and blue, negative ones dashed and orange. Of a layer with more than `most` neurons
    that many at most are drawn, evenly spaced. Raises ValueError for masks that are not (outputs,
    inputs).
    """
    shapes = [tuple(mask.shape) for mask in masks.values()]
    if any(len(shape) != 2 for shape in shapes):
        raise ValueError(
            f"A network is drawn from masks of fully connected layers, (outputs, inputs); got "
            f"shapes {shapes}. Choose some: {{name: masks[name]}}."
        )
    sizes = [shapes[0][1], *map(len, masks.values())]
    drawn = [range(0, size, -(-size // most)) for size in sizes]
    ax = _axes(ax, 5, 3)
    ax.set(xlim=(0, len(masks)), ylim=(1, 0))
    ax.set_axis_off()
    for x, (name, mask) in enumerate(masks.items()):
        values = weights[name].detach() if weights else mask.float()
        largest = float(values.abs().max()) or 1
        for into, out in product(*drawn[x : x + 2]):
            kept, value = int(mask[out, into]), float(values[out, into]) / largest
            positive = "ticket" if weights else "dense"
            like, dash = ("reinitialised", "--") if value < 0 else (positive, "-")
            line = {"color": arm_color(like) if kept else "#d0d0d0", "zorder": 1 + kept}
            ends = (into + 0.5) / sizes[x], (out + 0.5) / sizes[x + 1]
            ax.plot([x, x + 1], ends, dash, linewidth=0.7 + 1.5 * abs(value), **line)
    for x, neurons in enumerate(drawn):
        for y in neurons:
            ax.plot(x, (y + 0.5) / sizes[x], "ow", markeredgecolor=_INK, clip_on=False)
    sample = f"Of each layer at most {most} neurons are drawn." if max(sizes) > most else ""
    ax.text(len(masks) / 2, 1.05, sample, **_CENTRE)
    return (
        f"A network of {'-'.join(map(str, sizes))} neurons: {count_kept(masks):,} of "
        f"{sum(mask.numel() for mask in masks.values()):,} weights are kept and drawn as strong "
        f"lines, {'positive solid, negative dashed, ' if weights else ''}the pruned ones are "
        f"faint. {sample}"
    ).strip()


def imp_cycle(ax: Axes | None = None) -> str:
    """Iterative magnitude pruning, one level: train, prune, rewind, and train again."""
    with own_noise(torch.device("cpu"), 1):
        first, trained = (nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)) for _ in range(2))
    full = full_masks(first)
    masks = prune(magnitude(trained), full, 0.2, "global")
    ax = _axes(ax, 5.4, 4.6)
    ax.set_axis_off()
    for title, kept, model, x, y, step, *place in (
        ("first values", full, first, 0, 0.56, "1. train\n→", 0.5, 0.76),
        ("trained values", full, trained, 0.62, 0.56, "2. prune  ↓", 0.8, 0.48),
        ("the smallest 20 % pruned", masks, trained, 0.62, 0, "3. rewind\n←", 0.5, 0.2),
        ("the ticket: first values", masks, first, 0, 0, "↑  train again", 0.2, 0.48),
    ):
        inset = ax.inset_axes((x, y, 0.38, 0.36))
        inset.set_title(title, size=11)
        network(kept, inset, prunable_weights(model))
        ax.text(*place, step, weight="bold", **_CENTRE)
    return (
        f"A cycle of four networks: one with its first values is trained (1), the smallest of its "
        f"trained weights are pruned (2), {count_kept(masks)} of {count_kept(full)} stay, and they "
        f"go back to their first values (3). It begins again with the smaller network. Lines are "
        f"weights: wide is large, solid is positive, dashed negative, faint pruned."
    )


def arms(names: list[str], ax: Axes | None = None) -> str:
    """Which arm keeps what of the ticket: its mask, its values, their signs, their scale.

    The value of a weight that stays is its "own" one of the rewind step, "permuted" within the
    layer, "new", of "one size" or, where others survive, theirs. Raises ValueError for an arm that
    is not in assets/arms.csv.
    """
    known = pd.read_csv(_ASSETS / "arms.csv", index_col="arm")
    check("names", names, list[Literal[*known.index]])
    rows = {name: (known.loc[name], known.loc[name] == "● own") for name in names}
    ax = _cells(ax, rows, 1.4, "")
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(4) + 0.5, known.columns)
    for y, name in enumerate(names):
        color, dashes = look(name)
        line = {"color": color, "dashes": dashes or (1, 0), "linewidth": 3, "clip_on": False}
        ax.plot([-1.3, -0.1], [y + 0.88, y + 0.88], **line)
    said = [
        f"{name} {', '.join(known.columns + keeps.str[1:])}" for name, (keeps, _) in rows.items()
    ]
    return f"What each arm keeps of the ticket. {'; '.join(said)}."


def residual_block(ax: Axes | None = None) -> str:
    """A residual block of `lthlab.models`: what it computes is added to its input."""
    steps = "input", "convolution", "BatchNorm, ReLU", "convolution", "BatchNorm", "+", "ReLU"
    ax = _axes(ax, 3.2, 4.4)
    ax.set_axis_off()
    ax.plot([0] * 13, np.arange(13) / 2, "v-", markevery=(1, 2), color=_INK)
    ax.plot([0, 1, 1, 0.15], [0, 0, 5, 5], "<-", markevery=[3], color=arm_color("ticket"))
    for y, step in enumerate(steps):
        ax.text(0, y, step, bbox={"facecolor": "white"}, **_CENTRE)
    ax.set(xlim=(-0.5, 1.3))
    ax.text(1, 2.5, "shortcut:\nthe input\nas it is", bbox={"facecolor": "white"}, **_CENTRE)
    ax.invert_yaxis()
    return (
        f"A residual block, from top to bottom: {', '.join(steps)}. A shortcut leads from the "
        f"input past the convolutions to the plus, where both are added; where the block changes "
        f"the shape, the shortcut has a convolution of width 1."
    )


def csr(matrix: Tensor, ax: Axes | None = None) -> str:
    """A small matrix and the three arrays of its compressed sparse rows (CSR)."""
    kept = matrix != 0
    shades = kept * (1 + torch.arange(len(matrix))[:, None] % 2)
    rows = {f"row {y}": row for y, row in enumerate(zip(matrix, shades, strict=True))}
    values, columns = matrix[kept], kept.nonzero()[:, 1]
    starts = nn.functional.pad(kept.sum(1).cumsum(0), (1, 0))
    rows |= {"": (starts[:0], starts[:0]), "values": (values, shades[kept])}
    rows |= {"columns": (columns, shades[kept]), "row starts": (starts, 0 * starts)}
    _cells(ax, rows, 0.45)
    return (
        f"A matrix of {len(matrix)} rows and its CSR arrays: values {values.numpy()}, their "
        f"columns {columns.numpy()}, where each row starts {starts.numpy()}."
    )


def two_of_four(ax: Axes | None = None) -> str:
    """The pattern 2:4: of four neighbours the larger two stay; stored are these and their index."""
    weights = torch.tensor([[0.9, -0.1, 0.4, -0.7], [0.2, 0.8, -0.3, 0.1]])
    mask = prune({"": weights.abs()}, {"": weights != 0}, 0.5, "2:4")[""]
    group, index = mask * torch.tensor([[1], [2]]), mask.nonzero()[:, 1]
    rows = {"weights": (weights.flatten(), group.flatten())}
    rows |= {"stored": (weights[mask], group[mask]), "index": (index, group[mask])}
    _cells(ax, rows, 0.55)
    return (
        f"Two groups of four weights, {weights.flatten().numpy()}: of each the larger two stay. "
        f"Stored are {weights[mask].numpy()}, and where in its group each stood: {index.numpy()}."
    )


def step_time(parts: dict[str, float], ax: Axes | None = None) -> str:
    """Where the time of a training step goes: `parts` in seconds, by name, one bar each."""
    time, total = EngFormatter("s", places=0), sum(parts.values())
    labels = [f"{name}: {time(part)}, {part / total:.0%}" for name, part in parts.items()]
    ax = _axes(ax, 3, 0.4 * len(parts))
    ax.barh(labels, parts.values(), color=arm_color("ticket"))
    ax.invert_yaxis()
    ax.set_xticks([])
    return f"A step of {time(total)}: {'; '.join(labels)}."


def valley(
    model: nn.Module, paths: list[list[dict]], dataset: Dataset, ax: Axes | None = None, cells=11
) -> str:
    """The loss on the plane through the common start of two trainings and their two ends.

    `paths` are state dicts of `model` from the start to each end; what lies between is projected
    onto the plane (Garipov et al. 2018, figure 1). Validation loss of cells x cells networks,
    BatchNorm measured afresh for each, on 1,000 training examples.
    """
    probe, batches = copy.deepcopy(model), dataset.train.x[:1000].split(500)
    names = [name for name, _ in model.named_parameters()]
    first, second = (
        torch.stack([parameters_to_vector(map(state.get, names)) for state in path])
        for path in paths
    )
    start = first[0]
    plane = torch.linalg.qr(torch.stack([first[-1] - start, second[-1] - start], 1)).Q

    def loss(place: Tensor) -> float:
        with torch.no_grad():
            vector_to_parameters(start + plane @ place, probe.parameters())
            update_bn(batches, probe)
        return evaluate(probe, dataset.validation)["loss"]

    first, second = (first - start) @ plane, (second - start) @ plane
    low, high = torch.cat([first, second]).aminmax(dim=0)
    reach = torch.linspace(-0.65, 0.65, cells) * (high - low).max()
    xs, ys = (low + high)[:, None] / 2 + reach
    losses = [[loss(torch.stack([x, y])) for x in xs] for y in ys]
    levels = np.geomspace(np.min(losses), np.max(losses), 9)
    ax = _axes(ax, 5.4, 5)
    map_ = ax.contourf(xs, ys, losses, levels, cmap="cividis_r", norm="log", alpha=0.6)
    ax.figure.colorbar(map_, ax=ax, format="%.2f", label="validation loss").minorticks_off()
    ax.plot(*first.T, "o-", *second.T, "s--", color=_INK, markerfacecolor="white")
    for name, place in ("start", first[0]), ("first", first[-1]), ("second", second[-1]):
        side = "right" if place[0] > xs.mean() else "left"  # the word stays inside the map
        ax.text(*place, f"  {name}  ", weight="bold", va="bottom", ha=side)
    ax.set(aspect="equal", xticks=[], yticks=[])
    return (
        f"A map of the validation loss and on it, from a common start, the paths of two trainings, "
        f"the first solid, the second dashed. The loss is {loss(first[0]):.3f} at the start, "
        f"{loss(first[-1]):.3f} and {loss(second[-1]):.3f} at the two ends, and "
        f"{loss((first[-1] + second[-1]) / 2):.3f} half-way between them."
    )
