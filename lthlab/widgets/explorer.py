"""Sparsity explorer: what pruning to any density does to a trained network."""

import copy
import string
import warnings
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
    counted = split.y != IGNORED
    labels, weights = split.y[counted].cpu().numpy(), prunable_weights(model)
    pool, found, rows = _Pool(dataset, split), [], []

    def answer(network: nn.Module) -> np.ndarray:
        return predict(network, split).argmax(-1)[counted].cpu().numpy()

    right = answer(model) == labels
    for method, score in SCORES.items():
        scores, of_method = score(model, batch, seed=seed), []
        for scope in SCOPES:
            answers, survived = [], {name: 0 for name in weights}
            for kept in _nested(scores, full_masks(model), scope):
                answers.append(answer(apply_masks_(copy.deepcopy(model), kept)))
                survived = {name: survived[name] + mask.int() for name, mask in kept.items()}
            accuracy = [float((given == labels).mean()) for given in answers]
            rows += [(method, scope, d, a) for d, a in zip(DENSITIES, accuracy, strict=True)]
            wrong = [np.flatnonzero(right & (given != labels)) for given in answers]
            of_method.append(
                {
                    "accuracy": [round(100 * a, 3) for a in accuracy],
                    "wrong": [*map(len, wrong)],
                    "flips": [
                        [(pool[e], int(given[e])) for e in pool.choose(examples)]
                        for given, examples in zip(answers, wrong, strict=True)
                    ],
                    "layers": [
                        _layer(w, survived[name], len(weights)) for name, w in weights.items()
                    ],
                    "pixels": _pixels(survived, dataset),
                }
            )
        found.append(of_method)
    table = pd.DataFrame(rows, columns=["method", "scope", "density", "accuracy"])
    names, shown = [name.removesuffix(".weight") for name in weights], [*map(percent, DENSITIES)]
    data = {
        "densities": DENSITIES,
        "scopes": SCOPES,
        "looks": looks(*SCORES),
        "layers": [
            {
                "name": n,
                "reach": float(w.detach().abs().max()),
                "whole": _sample(w, len(weights)).numel() == w.numel(),
            }
            for n, w in zip(names, weights.values(), strict=True)
        ],
        "found": found,
        "pool": pool.pictures,
        "classes": dataset.classes,
        "whole": round(100 * float(right.mean()), 3),
        "image": dataset.input_shape[-1] if found[0][0]["pixels"] else 0,
    }
    controls = [
        slider("density", "weights kept", shown, START),
        menu("method", "method", SCORES),
        menu("scope", "scope", SCOPES),
        menu("layer", "layer", names),
    ]
    by_layer = table.query("scope == 'layer'")
    at_start = by_layer[by_layer["density"] == DENSITIES[START]].set_index("method")["accuracy"]
    sentence = (
        f"Accuracy on validation data by the weights kept, not retrained, scope layer: "
        f"{right.mean():.1%} dense; at {shown[START]} "
        + ", ".join(f"{name} {value:.1%}" for name, value in at_start.items())
        + "."
    )

    def still(ax):
        plots.accuracy_by_density(by_layer, ax, by="method", y="accuracy")

    panel = Panel("explorer", "Sparsity explorer", controls, data, sentence, still)
    panel.table = table
    return panel


def _nested(scores, kept, scope: str):
    """The masks of each density, each a part of the one before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer collapse")  # to be seen in the picture
        for previous, density in pairwise((1.0, *DENSITIES)):
            kept = prune(scores, kept, 1 - density / previous, scope)
            yield kept


class _Pool(dict):
    """The examples that are shown, few enough to travel with the page; by number, their place."""

    def __init__(self, dataset: Dataset, split: Split):
        self.dataset, self.split, self.pictures = dataset, split, []
        self.places = (split.y != IGNORED).nonzero().tolist()

    def choose(self, examples: np.ndarray) -> list[int]:
        """The first examples, those known already before others."""
        chosen = sorted(examples.tolist(), key=lambda example: (example not in self, example))
        return sorted(chosen[:FLIPS])

    def __missing__(self, example: int) -> int:
        row, *place = self.places[example]
        x, was = self.split.x[row].cpu(), int(self.split.y[tuple(self.places[example])])
        self[example] = len(self.pictures)
        if place:
            told = {"text": "".join(LETTERS[token] for token in x[1 : place[0] + 1]) + "_"}
        else:
            flat = x.mean(0) if x.dim() > 2 else x
            told = {"x": _pack((flat - flat.min()) / (flat.max() - flat.min()).clamp(min=1e-9))}
            told["rows"] = flat.shape[-1] if flat.dim() > 1 and flat.shape[0] > 1 else 0
        self.pictures.append(told | {"was": was})
        return self[example]


def _pack(values: Tensor | np.ndarray, top: int = 61) -> str:
    """Numbers from 0 to 1 as one character each."""
    return "".join(DIGITS[np.round(top * np.asarray(values)).astype(int).ravel()])


def _sample(values: Tensor, layers: int) -> Tensor:
    """Evenly spaced rows and columns of a layer, so that all layers fit into CELLS."""
    flat, side = values.detach().cpu().flatten(1), int((CELLS / layers) ** 0.5)
    for axis in (0, 1):
        size = flat.shape[axis]
        flat = flat.index_select(axis, torch.linspace(0, size - 1, min(side, size)).long())
    return flat


def _layer(weight: Tensor, survived: Tensor, layers: int) -> dict:
    """What the page shows of a layer; `survived` counts the densities at which a weight stands."""
    values, survived = weight.detach().cpu(), survived.cpu()
    cells, steps = _sample(survived, layers), range(len(DENSITIES))
    reach = float(values.abs().max()) or 1.0
    counts = np.stack(
        [np.histogram(values[survived > step], BINS, (-reach, reach))[0] for step in steps]
    )
    return {
        "mask": "".join(DIGITS[cells.numpy().ravel()]),
        "columns": cells.shape[1],
        "kept": [float(f"{100 * float((survived > step).float().mean()):.3g}") for step in steps],
        "values": [_pack(row / counts.max()) for row in counts],
    }


def _pixels(survived: dict[str, Tensor], dataset: Dataset) -> list[str]:
    """Connections that each pixel keeps, by density, where the first layer reads pixels."""
    first = next(iter(survived.values())).cpu()
    if len(dataset.input_shape) < 3 or first.dim() > 2:
        return []
    counts = [
        (first > step).sum(0).view(dataset.input_shape).sum(0) for step in range(len(DENSITIES))
    ]
    return [_pack(count / count.max().clamp(min=1)) for count in counts]
