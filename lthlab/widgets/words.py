"""Word pruner: what a language model writes after pruning once, by method and density."""

import copy
import html

import pandas as pd
from torch import nn

from lthlab.data import Dataset
from lthlab.post_training import METHODS, prune_once_
from lthlab.pruning import draw_batch
from lthlab.training import evaluate
from lthlab.widgets.panel import Panel, choice, percent, slider
from lthlab.words import known_words, sample_words

DENSITIES = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]


def word_pruner(model: nn.Module, dataset: Dataset, seed: int = 0) -> Panel:
    """Prune a language model once, by any method to any density, and read what it writes then.

    The random numbers are the same everywhere, so each word is seen to decay. Everything is
    computed once, here, with 512 words for calibration (or all there are); the losses are in the
    panel's `table`.
    """
    batch = draw_batch(dataset.train, min(512, len(dataset.train)), seed)
    rows, written = [], {}
    for method in METHODS:
        for density in DENSITIES:
            network = copy.deepcopy(model)
            if density < 1:
                prune_once_(network, batch, method, density, "row")
            rows.append((method, density, evaluate(network, dataset.validation)["loss"]))
            written[method, density] = sample_words(network, 24, seed)
    table = pd.DataFrame(rows, columns=["method", "density", "loss"])
    losses, listed = table.set_index(["method", "density"])["loss"], set(known_words())

    def draw(density, method):
        words = written[method, density]
        real = sum(word in listed for word in words)
        shown = (f"<b>{word}</b>" if word in listed else html.escape(word) for word in words)
        text = (
            f"{method}, {percent(density)} of the weights kept: {losses[method, density]:.2f} nats "
            f"a letter ({losses[method, 1.0]:.2f} dense); {real} of {len(words)} words are in the "
            f"list, in bold."
        )
        return text, f'<p style="font-size: 1.2em; line-height: 1.8">{" &nbsp; ".join(shown)}</p>'

    controls = {
        "density": slider(DENSITIES, "weights kept", percent, DENSITIES.index(0.3)),
        "method": choice([*METHODS], "method", METHODS.index("sparsegpt")),
    }
    panel = Panel("Word pruner", controls, draw)
    panel.table = table
    return panel
