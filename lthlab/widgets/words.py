"""Word pruner: what a language model writes after pruning once, by method and density."""

import copy

import pandas as pd
from torch import nn

from lthlab.data import Dataset
from lthlab.post_training import METHODS, prune_once_
from lthlab.pruning import draw_batch
from lthlab.training import evaluate
from lthlab.widgets.panel import Panel, menu, percent, slider
from lthlab.words import known_words, sample_words

DENSITIES = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]
START = DENSITIES.index(0.3)


def word_pruner(model: nn.Module, dataset: Dataset, seed: int = 0) -> Panel:
    """Prune a language model once, by any method to any density, and read what it writes then.

    The random numbers are the same everywhere, so each word is seen to decay. Everything is
    computed once, here, with 512 words for calibration (or all there are); the losses are in the
    panel's `table`.
    """
    batch = draw_batch(dataset.train, min(512, len(dataset.train)), seed)
    rows, written = [], []
    for method in METHODS:
        for density in DENSITIES:
            network = copy.deepcopy(model)
            if density < 1:
                prune_once_(network, batch, method, density, "row")
            rows.append((method, density, evaluate(network, dataset.validation)["loss"]))
            written.append(sample_words(network, 24, seed))
    table = pd.DataFrame(rows, columns=["method", "density", "loss"])
    labels, listed = [*map(percent, DENSITIES)], {*known_words()}
    groups = [written[i : i + len(DENSITIES)] for i in range(0, len(written), len(DENSITIES))]
    losses = table["loss"].to_numpy().reshape(len(METHODS), -1).tolist()
    data = {
        "losses": losses,
        "written": groups,
        "listed": sorted(listed & {word for words in written for word in words}),
    }
    controls = [
        slider("density", "weights kept", labels, START),
        menu("method", "method", METHODS, METHODS.index("sparsegpt")),
    ]
    shown = groups[-1][START]
    sentence = (
        f"{METHODS[-1]}, {labels[START]} of the weights kept: {losses[-1][START]:.2f} nats a "
        f"letter ({losses[-1][0]:.2f} dense); it writes {', '.join(shown)}."
    )
    panel = Panel("words", "Word pruner", controls, data, sentence, "")
    panel.table = table
    return panel
