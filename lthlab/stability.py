"""Stability: do copies trained on from one state, in different data orders, stay connected?"""

import copy
from typing import Annotated

import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from lthlab._common import own_noise
from lthlab.batches import check_reads
from lthlab.checks import InputError, checked
from lthlab.data import Dataset
from lthlab.masks import Masks
from lthlab.recipes import Recipe
from lthlab.steps import State
from lthlab.training import evaluate, train


@checked
def interpolate(
    first: nn.Module,
    second: nn.Module,
    dataset: Dataset,
    points: int = 11,
) -> pd.DataFrame:
    """Validation loss and accuracy along the straight line between two networks of one shape.

    Columns alpha (0 is `first`, 1 is `second`), metric, value. In between, the running statistics
    of BatchNorm belong to neither end: they are measured afresh on the training split at every
    point (as Izmailov et al. 2018, section 3.3, do for averaged weights). Raises ValueError if the
    networks differ in shape.
    """
    start, end = first.state_dict(), second.state_dict()
    if {k: v.shape for k, v in start.items()} != {k: v.shape for k, v in end.items()}:
        raise InputError(
            "first and second must be of the same architecture to lie on a line; "
            "these two have different parameters."
        )
    check_reads(first, "dataset", dataset)
    between, rows = copy.deepcopy(first), []
    for alpha in torch.linspace(0, 1, points).tolist():
        for name, value in between.state_dict().items():  # the network's own tensors
            if value.is_floating_point():
                torch.lerp(start[name], end[name], alpha, out=value)
        with torch.no_grad(), own_noise(dataset.device, 0):  # dropout draws
            update_bn(dataset.train.x.split(500), between)
        rows += [(alpha, *found) for found in evaluate(between, dataset.validation).items()]
    return pd.DataFrame(rows, columns=["alpha", "metric", "value"])


@checked
def error_barrier(line: pd.DataFrame) -> float:
    """The highest rise of the error along the line above the mean of its two ends, as a fraction.

    Linear interpolation instability: 0 for networks that are linearly connected (Frankle et al.
    2020, section 2: below 0.02 counts as stable). `line` is what `interpolate` returns.
    """
    if not {"alpha", "metric", "value"} <= {*line} or "accuracy" not in [*line["metric"]]:
        raise InputError(f"line is what interpolate returns; got columns {[*line]}.")
    error = 1 - line.query("metric == 'accuracy'").sort_values("alpha")["value"].to_numpy()
    return float(error.max() - (error[0] + error[-1]) / 2)


@checked
def train_copies(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    start: State,
    seeds: Annotated[tuple[int, int], "two seeds", lambda seeds: len(seeds) == 2],
    masks: Masks | None = None,
) -> tuple[nn.Module, nn.Module]:
    """Two copies of `model`, trained from `start` to the end; only the data order differs."""
    copies = copy.deepcopy(model), copy.deepcopy(model)
    for network, seed in zip(copies, seeds, strict=True):
        train(network, dataset, recipe, masks, seed=seed, start=start, evaluate_every=0)
    return copies
