"""Sparsity explorer: what pruning to any density does to a trained network."""

import copy
import warnings
from itertools import pairwise, product

import numpy as np
import pandas as pd
from torch import nn

from lthlab import plots
from lthlab.data import Dataset
from lthlab.masks import apply_masks_, full_masks, layer_densities, prunable_weights
from lthlab.pruning import draw_batch, magnitude, prune, random, snip
from lthlab.training import predict
from lthlab.widgets.panel import Panel, Stage, choice, new_axes, percent, slider

SCORES = {"magnitude": magnitude, "SNIP": snip, "random": random}
SCOPES = {"layer": "-", "global": "--"}


def sparsity_explorer(model: nn.Module, dataset: Dataset, seed: int = 0) -> Panel:
    """Prune a trained network by any method to any density, without training again: what is lost?

    The mask of a layer, the layer densities, the weights with the cut, the accuracy, and validation
    examples whose answer flips. All networks are evaluated once, here; the knobs only look up. The
    accuracies are in the panel's `table` (method, scope, density, accuracy).
    """
    batch, split = draw_batch(dataset.train, 100, seed), dataset.validation
    scores = {name: score(model, batch, seed=seed) for name, score in SCORES.items()}
    densities = [float(d) for d in np.geomspace(1, 0.005, 18).round(4)]
    weights = {name: w.detach().cpu().numpy().copy() for name, w in prunable_weights(model).items()}
    masks, answers = {}, {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer collapse")  # to be seen in the picture
        for method, scope in product(scores, SCOPES):
            kept = full_masks(model)
            for previous, density in pairwise([1.0, *densities]):
                kept = prune(scores[method], kept, 1 - density / previous, scope)
                pruned, key = apply_masks_(copy.deepcopy(model), kept), (method, scope, density)
                masks[key], answers[key] = kept, predict(pruned, split).argmax(1).cpu().numpy()
    labels, pictures = split.y.cpu().numpy(), split.x.cpu().numpy()
    accuracy = pd.Series(
        {key: (answer == labels).mean() for key, answer in answers.items()}
    ).sort_index()
    whole = "magnitude", "layer", 1.0
    is_picture = len(dataset.input_shape) == 3

    places = [(left, 0.44, 0.2, 0.44) for left in (0.02, 0.27, 0.52, 0.78)]
    places += [(0.02 + 0.12 * place, 0.02, 0.1, 0.25) for place in range(8)]
    seen, bars, histogram, curve, *strip = new_axes((11.5, 5.6), *places)
    names = [name.removesuffix(".weight") for name in weights]
    bars.set(title="weights kept by layer", ylim=(0, 1), yticks=(0, 0.5, 1))
    bars.set_xlim(-0.6, len(names) - 0.4)
    crowded = {"rotation": 90, "fontsize": 7} if len(names) > 5 else {}
    bars.set_xticks(range(len(names)), names, **crowded)
    reach = max(abs(w).max() for w in weights.values())
    edges = np.linspace(-reach, reach, 61)
    histogram.set(yticks=[], xlim=(-reach, reach), ylim=(0, 1.05))
    histogram.set_xlabel("value: kept, and pruned (grey)")
    curve.set(ylim=(0, 1), yticks=(0, 0.5, 1))
    curve.set_title("accuracy, not retrained\nsolid: layer, dashed: global")
    plots.density_axis(curve, densities)
    curve.set_xticks([1, 0.1, 0.01])
    for ax in (seen, *strip):
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_axis_off()
    stage = Stage(seen)

    def above(ax, text, size=12):
        return ax.text(0.5, 1.04, text, ha="center", transform=ax.transAxes, fontsize=size)

    def fill(ax, matrix, colors):
        options = {"aspect": "auto", "interpolation": "nearest", "extent": (0, 1, 0, 1)}
        return ax.imshow(matrix, cmap=colors, **options)

    def show_mask(layer, mask):
        if layer == next(iter(weights)) and mask.ndim == 2 and is_picture:
            counts = mask.sum(0).reshape(dataset.input_shape).sum(0)
            return [fill(seen, counts, "viridis"), above(seen, "connections per pixel")]
        rows = mask.reshape(len(mask), -1)
        return [fill(seen, rows, "viridis"), above(seen, f"the mask of {layer}")]

    def show_values(layer, mask, color):
        values = weights[layer]
        kept, both = (np.histogram(part, edges)[0] for part in (values[mask], values))
        return [
            histogram.stairs(both / both.max(), edges, fill=True, color="0.8"),
            histogram.stairs(kept / both.max(), edges, fill=True, color=color),
            above(histogram, f"values of {layer}"),
        ]

    def show_example(ax, picture):
        if is_picture:
            return fill(ax, picture.mean(0), "gray_r")
        heights = ((picture - picture.min()) / (picture.max() - picture.min())).flatten()
        return ax.plot(np.linspace(0, 1, len(heights)), heights, color="0.2", linewidth=1)[0]

    def draw(density, method, scope, layer):
        key, color = (method, scope, density), plots.arm_color(method)
        parts, mask = layer_densities(masks[key]), masks[key][layer].cpu().numpy()
        moving = [*show_mask(layer, mask), *show_values(layer, mask, color)]
        moving += bars.bar(range(len(parts)), [*parts.values()], color=color)
        for other, style in SCOPES.items():
            moving += curve.plot(accuracy[method, other], style, color=color)
        moving.append(curve.scatter(density, accuracy[key], s=80, color="black"))
        flipped = np.flatnonzero((answers[whole] == labels) & (answers[key] != labels))
        for ax, example in zip(strip, flipped, strict=False):
            was, is_now = (dataset.classes[answers[k][example]] for k in (whole, key))
            moving += [show_example(ax, pictures[example]), above(ax, f"{was}: {is_now}?", 9)]
        return (
            f"{method}, scope {scope}: {percent(density)} of the weights kept, "
            f"{percent(parts[layer])} of {layer}; accuracy {accuracy[key]:.1%} "
            f"({accuracy[whole]:.1%} dense); {len(flipped)} right answers became wrong."
        ), stage.show(moving)

    controls = {
        "density": slider(densities, "weights kept", percent, len(densities) // 2),
        "method": choice([*SCORES], "method"),
        "scope": choice([*SCOPES], "scope"),
        "layer": choice([*weights], "layer"),
    }
    panel = Panel("Sparsity explorer", controls, draw)
    accuracy.index.names = ["method", "scope", "density"]
    panel.table = accuracy.reset_index(name="accuracy")
    return panel
