"""Stability: do two copies, trained on from one point with different data orders, end in one valley?"""

import copy

import pandas as pd
import torch
from torch import nn

from lthlab._common import evaluation_mode
from lthlab.data import Dataset
from lthlab.masks import Masks
from lthlab.recipes import Recipe
from lthlab.training import Snapshot, measure, train


def interpolate(
    first: nn.Module, second: nn.Module, dataset: Dataset, points: int = 11, split: str = "validation"
) -> pd.DataFrame:
    """Loss and accuracy along the straight line between two networks of the same shape.

    Columns alpha (0 is `first`, 1 is `second`), metric, value. In between, the running statistics of
    BatchNorm belong to neither end: they are measured afresh on the training split at every point
    (as Izmailov et al. 2018, section 3.3, do for averaged weights). Raises ValueError if the networks differ in shape.
    """
    ends = first.state_dict(), second.state_dict()
    if {k: v.shape for k, v in ends[0].items()} != {k: v.shape for k, v in ends[1].items()}:
        raise ValueError("Only networks of the same architecture lie on a line; these two have different parameters.")
    between, rows = copy.deepcopy(first), []
    for alpha in torch.linspace(0, 1, points).tolist():
        mixed = {k: torch.lerp(a, ends[1][k], alpha) if a.is_floating_point() else a for k, a in ends[0].items()}
        between.load_state_dict(mixed)
        refresh_batchnorm_(between, dataset)
        loss, accuracy = measure(between, getattr(dataset, split)).tolist()
        rows += [(alpha, "loss", loss), (alpha, "accuracy", accuracy)]
    return pd.DataFrame(rows, columns=["alpha", "metric", "value"])


def error_barrier(line: pd.DataFrame) -> float:
    """The highest rise of the error along the line above the mean of its two ends, as a fraction.

    Linear interpolation instability: 0 for networks in one linearly connected valley (Frankle et al.
    2020, section 2: below 0.02 counts as stable). `line` is what `interpolate` returns.
    """
    error = 1 - line.query("metric == 'accuracy'").sort_values("alpha")["value"].to_numpy()
    return float(error.max() - (error[0] + error[-1]) / 2)


def train_copies(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    start: Snapshot,
    seeds: tuple[int, int],
    masks: Masks | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Two copies of `model`, trained from `start` to the end of `recipe`; only the data order differs."""
    copies = []
    for seed in seeds:
        copies.append(copy.deepcopy(model))
        train(copies[-1], dataset, recipe, masks, seed=seed, start=start, evaluate_every=recipe.duration)
    return copies[0], copies[1]


@torch.no_grad()
def refresh_batchnorm_(model: nn.Module, dataset: Dataset, batch_size: int = 500) -> None:
    """Measure the running statistics of BatchNorm layers anew over the training split, in place."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    with evaluation_mode(model):  # dropout rests; only the norms listen
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
            norm.train()
        for x in dataset.train.x.split(min(batch_size, len(dataset.train))):
            if len(x) > 1:
                model(x)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
