"""Sparsity explorer: what pruning to any density does to a trained network."""

import warnings

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import nn

from lthlab import plots
from lthlab._common import evaluation_mode
from lthlab.data import Dataset
from lthlab.masks import Masks, apply_masks_, full_masks, layer_densities, prunable_weights
from lthlab.pruning import draw_batch, magnitude, prune, random, snip
from lthlab.widgets.panel import Panel, Stage, choice, percent, slider


def sparsity_explorer(model: nn.Module, dataset: Dataset, seed: int = 0) -> Panel:
    """Prune a trained network by any method to any density, without training again, and see what is lost.

    The mask of a layer, the layer densities, the weights with the cut, the accuracy, and validation
    examples whose answer flips. All networks are evaluated once, here; the knobs only look up. The
    accuracies are in the panel's `table` (method, scope, density, accuracy).
    """
    batch, split = draw_batch(dataset.train, 100, seed), dataset.validation
    scores = {"magnitude": magnitude(model), "SNIP": snip(model, batch), "random": random(model, seed)}
    densities = [float(d) for d in np.geomspace(1, 0.005, 18).round(4)]
    weights = {name: w.detach().clone() for name, w in prunable_weights(model).items()}
    masks: dict[tuple, Masks] = {}
    answers: dict[tuple, np.ndarray] = {}
    with torch.no_grad(), evaluation_mode(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer collapse")  # to be seen in the picture
        before = {name: p.clone() for name, p in model.state_dict().items()}
        for method, score in scores.items():
            for scope in ("layer", "global"):
                kept = full_masks(model)
                for density, previous in zip(densities, [1, *densities], strict=False):
                    kept = prune(score, kept, 1 - density / previous, scope)
                    apply_masks_(model, kept)
                    masks[method, scope, density] = kept
                    answers[method, scope, density] = model(split.x).argmax(1).cpu().numpy()
                model.load_state_dict(before)
    labels, whole = split.y.cpu().numpy(), answers["magnitude", "layer", 1.0]
    accuracy = {key: float((answer == labels).mean()) for key, answer in answers.items()}
    pictures = split.x.cpu()
    is_picture = len(dataset.input_shape) == 3

    figure = Figure(figsize=(11.5, 5.6))
    seen, bars, histogram, curve = (figure.add_axes((left, 0.44, 0.2, 0.44)) for left in (0.02, 0.27, 0.52, 0.78))
    strip = figure.add_axes((0.02, 0.02, 0.96, 0.25), xlim=(0, 8), ylim=(0, 1))
    strip.set_axis_off()
    names = [name.removesuffix(".weight") for name in weights]
    bars.set(title="weights kept by layer", ylim=(0, 1), yticks=(0, 0.5, 1), xlim=(-0.6, len(names) - 0.4))
    bars.set_xticks(range(len(names)), names, rotation=90 if len(names) > 5 else 0)
    reach = max(float(w.abs().max()) for w in weights.values())
    edges = np.linspace(-reach, reach, 61)
    histogram.set(yticks=[], xlim=(-reach, reach), ylim=(0, 1.05), xlabel="value: kept, and pruned (grey)")
    curve.set(title="accuracy, not retrained;\nscope layer solid, global dashed", ylim=(0, 1), yticks=(0, 0.5, 1))
    plots.density_axis(curve, densities)
    curve.set_xticks([1, 0.1, 0.01])
    seen.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for ax in (bars, curve):
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    stage = Stage(figure)

    def draw(density, method, scope, layer):
        key, colour = (method, scope, density), plots.arm_color(method)
        mask, values = masks[key][layer].cpu(), weights[layer].cpu()
        first = layer == next(iter(weights)) and mask.dim() == 2 and is_picture
        counts = mask.float().sum(0).reshape(dataset.input_shape).sum(0) if first else mask.flatten(1).float()
        parts = layer_densities(masks[key])
        title = "connections per pixel" if first else f"the mask of {layer}"
        options = {"cmap": "viridis", "aspect": "auto", "interpolation": "nearest", "extent": (0, 1, 0, 1)}
        kept, gone = (np.histogram(values[part].numpy(), edges)[0] for part in (mask, ~mask))
        highest = (kept + gone).max()
        moving = [
            seen.imshow(counts, **options),
            seen.text(0.5, 1.04, title, ha="center", transform=seen.transAxes, fontsize=12),
            *bars.bar(range(len(parts)), list(parts.values()), color=colour),
            histogram.stairs(kept / highest, edges, fill=True, color=colour),
            histogram.stairs((kept + gone) / highest, edges, baseline=kept / highest, fill=True, color="0.8"),
            histogram.text(0.5, 1.04, f"values of {layer}", ha="center", transform=histogram.transAxes, fontsize=12),
        ]
        for other, style in (("layer", "-"), ("global", "--")):
            moving += curve.plot(densities, [accuracy[method, other, d] for d in densities], style, color=colour)
        moving += curve.plot([density], [accuracy[key]], "o", color="black", markersize=9)
        flipped = np.flatnonzero((answers[key] != whole) & (whole == labels))
        for place, example in enumerate(flipped[:8]):
            right, wrong = dataset.classes[labels[example]], dataset.classes[answers[key][example]]
            moving.append(strip.text(place + 0.5, 1.05, f"{right}: {wrong}?", fontsize=9, ha="center"))
            picture = pictures[example]
            if is_picture:
                where = {"extent": (place + 0.1, place + 0.9, 0, 1), "aspect": "auto"}
                moving.append(strip.imshow(picture.mean(0), cmap="gray_r", **where))
            else:
                heights = (picture - picture.min()) / (picture.max() - picture.min())
                across = np.linspace(place + 0.1, place + 0.9, heights.numel())
                moving += strip.plot(across, heights.flatten(), color="0.2", linewidth=1)
        dense = accuracy["magnitude", "layer", 1.0]
        return (
            f"{method}, scope {scope}: {percent(density)} of the weights kept, {percent(parts[layer])} of {layer}; "
            f"accuracy {accuracy[key]:.1%} ({dense:.1%} dense); {len(flipped)} right answers became wrong."
        ), stage.show(moving)

    controls = {
        "density": slider(densities, "weights kept", percent),
        "method": choice([*scores], "method"),
        "scope": choice(["layer", "global"], "scope"),
        "layer": choice([*weights], "layer"),
    }
    panel = Panel("Sparsity explorer", controls, draw)
    panel.table = pd.DataFrame([(*key, value) for key, value in accuracy.items()],
                               columns=["method", "scope", "density", "accuracy"])  # fmt: skip
    return panel
