"""Several networks trained in one step each time, and whether that pays here."""

import copy
import statistics
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from lthlab.data import Dataset, Split
from lthlab.masks import Masks, check_masks
from lthlab.recipes import Recipe
from lthlab.sparse import PLAIN, Speed
from lthlab.stack import Stack, stack_masks
from lthlab.training import History, Snapshot, train


def train_stacked(
    models: Sequence[nn.Module],
    dataset: Dataset,
    recipe: Recipe,
    masks: Sequence[Masks] | None = None,
    *,
    seeds: Sequence[int],
    starts: Sequence[Snapshot] | None = None,
    **options,
) -> list[History]:
    """Train several networks of one architecture in place, all in each step, and return a history for each.

    Every network has masks, a seed and a start of its own; `options` are those of `train`. The results are
    those of `train` up to rounding (dropout draws other noise), in less time where networks are tiny: see
    `stacking_gain`. `seconds` of each history is the time of all divided by their number. Raises ValueError
    for networks that differ or share weights, masks of other models, or starts of different steps.
    """
    if not len(models) == len(seeds) == len(starts or seeds) == len(masks or seeds):
        raise ValueError(
            f"Every network needs a seed, and masks and a start if one has them; got {len(models)} networks, "
            f"{len(seeds)} seeds, {len(masks or seeds)} masks, {len(starts or seeds)} starts."
        )
    for model, own in zip(models, masks or [], strict=bool(masks)):
        check_masks(model, own)
    stack = Stack(models)
    history = train(
        stack, dataset, recipe, stack_masks(masks) if masks else None, seed=tuple(seeds),
        start=Snapshot.join(starts) if starts else None, **options,
    )  # fmt: skip
    stack.write(models)
    tables = history.table.groupby("network")
    return [
        History(
            tables.get_group(n).drop(columns="network").reset_index(drop=True),
            {step: snapshot.of(n) for step, snapshot in history.snapshots.items()},
            history.seconds / len(models),
        )
        for n in range(len(models))
    ]


def stacking_gain(
    model: nn.Module, dataset: Dataset, recipe: Recipe, networks: int, steps: int = 20, speed: Speed = PLAIN
) -> float:
    """How many times as fast `networks` copies train in one step as one after the other, measured here and now.

    0 for networks that cannot be stacked.
    """
    recipe, seconds = replace(recipe, duration=f"{steps}it", schedule="constant", milestones=(), warmup=0), ([], [])
    few = replace(dataset, validation=Split(dataset.validation.x[:1], dataset.validation.y[:1]))
    for turn in range(4):
        copies = [copy.deepcopy(model) for _ in range(networks)]
        one = train(copies[0], few, recipe, evaluate_every=0, speed=speed).seconds
        try:
            stacked = train_stacked(copies, few, recipe, seeds=range(networks), evaluate_every=0, speed=speed)
        except (ValueError, RuntimeError):  # shared weights, or an operation that vmap does not know
            return 0.0
        if turn:  # the first warms up
            seconds[0].append(one)
            seconds[1].append(stacked[0].seconds)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])
