"""Sparsity explorer: what pruning to any density does to a trained network."""

import copy
import string
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from lthlab import plots
from lthlab._common import IGNORED
from lthlab.data import Dataset, Split
from lthlab.masks import apply_masks_, full_masks, prunable_weights
from lthlab.pruning import draw_batch, magnitude, prune, random, snip
from lthlab.training import predict
from lthlab.widgets.panel import Panel, looks, menu, percent, slider
from lthlab.words import LETTERS

SCORES = {"magnitude": magnitude, "SNIP": snip, "random": random}
SCOPES = ("layer", "global")
DENSITIES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005)
START = DENSITIES.index(0.1)
WORDS, CELLS, BINS, FLIPS = 500, 8_000, 60, 8  # most words read, cells of all masks, bars, examples
DIGITS = np.array([*(string.digits + string.ascii_letters)])  # the front end's, for 0 to 61


def sparsity_explorer(model: nn.Module, dataset: Dataset, seed: int = 0) -> Panel:
    """Prune a trained network by any method to any density, without training again: what is lost?

    The mask of a layer, the layer densities, the weights with the cut, the accuracy, and validation
    examples whose answer flips; of a language model's data the first 500 words, and an answer is a
    letter. All networks are evaluated once, here; the knobs only look up. The accuracies are in the
    panel's `table` (method, scope, density, accuracy).
    """
    batch, split = draw_batch(dataset.train, min(100, len(dataset.train)), seed), dataset.validation
    if split.y.dim() > 1:
        split = Split(split.x[:WORDS], split.y[:WORDS])
    counted, weights, pool = split.y != IGNORED, prunable_weights(model), {}

    def answer(network: nn.Module) -> np.ndarray:
        return predict(network, split).argmax(-1)[counted].cpu().numpy()

    labels, found = split.y[counted].cpu().numpy(), []
    right = answer(model) == labels
    for method, score in SCORES.items():
        scores = score(model, batch, seed=seed)
        for scope in SCOPES:
            survived = dict.fromkeys(weights, 0)
            part = {"method": method, "scope": scope, "density": DENSITIES}
            part |= {"accuracy": [], "wrong": [], "flips": []}
            for masks in _nested(scores, full_masks(model), scope):
                survived = {name: survived[name] + mask.int() for name, mask in masks.items()}
                given = answer(apply_masks_(copy.deepcopy(model), masks))
                wrong = np.flatnonzero(right & (given != labels)).tolist()
                # Those that are shown elsewhere before others: few enough to travel with the page.
                shown = sorted(wrong, key=lambda example: (example not in pool, example))[:FLIPS]
                flips = [(pool.setdefault(e, len(pool)), int(given[e])) for e in sorted(shown)]
                part["flips"].append(flips)
                part["accuracy"].append(float((given == labels).mean()))
                part["wrong"].append(len(wrong))
            part["layers"] = [_layer(w, survived[n], len(weights)) for n, w in weights.items()]
            part["pixels"] = _pixels(next(iter(survived.values())), dataset)
            found.append(part)
    columns = ["method", "scope", "density", "accuracy"]
    table = pd.DataFrame(found)[columns].explode(columns[2:], ignore_index=True).infer_objects()
    names, kept = [name.removesuffix(".weight") for name in weights], [*map(percent, DENSITIES)]
    examples = counted.nonzero().tolist()
    data = {
        "looks": looks(*SCORES),
        "layers": names,
        "found": found,
        "pool": [_example(split, dataset, *examples[number]) for number in pool],
        "classes": dataset.classes,
        "dense": float(right.mean()),
        "image": dataset.input_shape[-1] if found[0]["pixels"] else 0,
    }
    controls = [
        slider("density", "weights kept", kept, START),
        menu("method", "method", SCORES),
        menu("scope", "scope", SCOPES),
        menu("layer", "layer", names),
    ]
    by_layer = table.query("scope == 'layer'")
    at_start = by_layer[by_layer["density"] == DENSITIES[START]].set_index("method")["accuracy"]
    sentence = (
        f"Accuracy on validation data by the weights kept, not retrained, scope layer: "
        f"{right.mean():.1%} dense; at {kept[START]} "
        + ", ".join(f"{name} {value:.1%}" for name, value in at_start.items())
        + "."
    )
    still = partial(plots.accuracy_by_density, by_layer, by="method", y="accuracy")
    panel = Panel("explorer", "Sparsity explorer", controls, data, sentence, still)
    panel.table = table
    return panel


def _nested(scores, kept, scope: str):
    """The masks of each density, each a part of the one before."""
    with warnings.catch_warnings(action="ignore"):  # collapse of a layer is seen in the picture
        for previous, density in pairwise((1.0, *DENSITIES)):
            kept = prune(scores, kept, 1 - density / previous, scope)
            yield kept


def _example(split: Split, dataset: Dataset, row: int, *place: int) -> dict:
    """An example as the page shows it: grey values, a signal, or a word up to the letter asked."""
    x, was = split.x[row].cpu(), int(split.y[(row, *place)])
    if place:
        letters = "".join(LETTERS[token] for token in x[1 : place[0] + 1])
        return {"text": f"{letters}_", "was": was}
    if is_image := x.dim() > 2:
        x = x.mean(0)
    values = (x - x.min()) / (x.max() - x.min()).clamp(min=1e-9)
    return {"x": _pack(values), "columns": x.shape[-1] if is_image else 0, "was": was}


def _pack(values: Tensor | np.ndarray) -> str:
    """Numbers from 0 to 1 as one character each."""
    return "".join(DIGITS[np.round(61 * np.asarray(values)).astype(int).ravel()])


def _layer(weight: Tensor, survived: Tensor, layers: int) -> dict:
    """What the page shows of a layer; `survived` counts the densities at which a weight stands."""
    values, survived = weight.detach().cpu().flatten(1), survived.cpu().flatten(1)
    steps, reach, side = range(len(DENSITIES)), float(values.abs().max()) or 1.0, CELLS / layers
    # Evenly spaced rows and columns, so that all layers fit into CELLS.
    rows, columns = (torch.linspace(0, n - 1, min(int(side**0.5), n)).long() for n in values.shape)
    counts = [np.histogram(values[survived > step], BINS, (-reach, reach))[0] for step in steps]
    return {
        "mask": "".join(DIGITS[survived[rows][:, columns].numpy().ravel()]),
        "columns": len(columns),
        "part": len(rows) * len(columns) < values.numel(),
        "reach": reach,
        "kept": [round(100 * (survived > step).double().mean().item(), 2) for step in steps],
        "values": [_pack(row / counts[0].max()) for row in counts],
    }


def _pixels(survived: Tensor, dataset: Dataset) -> list[str]:
    """Connections that each pixel keeps, by density, where the first layer reads pixels."""
    if len(dataset.input_shape) < 3 or survived.dim() > 2:
        return []
    counts = [(survived > step).sum(0).cpu() for step in range(len(DENSITIES))]
    counts = [count.view(dataset.input_shape).sum(0) for count in counts]
    return [_pack(count / count.max().clamp(min=1)) for count in counts]
