"""Masks found while training: Early-Bird tickets, and dynamic sparse training (RigL, SET)."""

import copy
import math
import warnings
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

from lthlab._common import make_generator
from lthlab.batches import Batches
from lthlab.data import Dataset
from lthlab.masks import Masks, check_masks, full_masks, overlap, prunable_weights
from lthlab.pruning import Scores, magnitude, prune
from lthlab.recipes import Recipe, count_steps
from lthlab.sparse import PLAIN, Speed
from lthlab.training import History, Snapshot, train


@dataclass(frozen=True)
class EarlyBird:
    """Masks drawn early in training, where they were drawn, and the distances that decided it (step, distance)."""

    masks: Masks
    start: Snapshot
    distances: pd.DataFrame
    settled: bool


def early_bird(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    density: float,
    *,
    seed: int = 0,
    every: str | int = "1ep",
    window: int = 5,
    threshold: float = 0.1,
    speed: Speed = PLAIN,
) -> EarlyBird:
    """Train the dense network until its magnitude mask of this density no longer changes (You et al. 2020).

    Every `every` a mask is drawn and compared with the last `window` ones: it has settled when less than
    `threshold` of the kept weights differ from each of them. (The paper divides by all channels, not by
    those kept; at low densities that would always be little.) The model stays as it is; training goes
    on with `train(model, ..., masks, start=...)`. Warns when nothing settles: the last mask is returned.
    """
    network, recent, rows = copy.deepcopy(model), deque(maxlen=window), []
    period, start, settled = count_steps(every, recipe.steps_per_epoch(dataset)), None, False
    for step in range(period, recipe.steps(dataset), period):
        part = train(network, dataset, recipe, seed=seed, start=start, until=step, snapshots=[step], evaluate_every=0,
                     speed=speed)  # fmt: skip
        start = part.snapshots[step]
        masks = prune(magnitude(network), full_masks(network), 1 - density, "global")
        rows.append((step, max((1 - overlap(masks, other) for other in recent), default=math.nan)))
        settled = len(recent) == window and rows[-1][1] < threshold
        recent.append(masks)
        if settled:
            break
    if start is None:
        raise ValueError(f"Masks are drawn every {period} steps, but training has only {recipe.steps(dataset)}.")
    if not settled:
        warnings.warn(f"No mask of density {density:.1%} settled: the last differs from those before by "
                      f"{rows[-1][1]:.0%}, more than {threshold:.0%}.", stacklevel=2)  # fmt: skip
    return EarlyBird(masks, start, pd.DataFrame(rows, columns=["step", "distance"]), settled)


def train_dynamic(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    masks: Masks,
    *,
    grow: str = "gradient",
    every: str | int = 100,
    fraction: float = 0.3,
    stop: float = 0.75,
    seed: int = 0,
    start: Snapshot | None = None,
    snapshots: Iterable[str | int] = (),
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    speed: Speed = PLAIN,
) -> tuple[History, Masks]:
    """Train `model` in place as a sparse network whose masks move; return its history and the last masks.

    Every `every` steps each layer drops its weights of least magnitude and grows as many new ones, at
    0.0, where the gradient is largest (`grow` "gradient": RigL, Evci et al. 2020, algorithm 1) or by
    chance ("random": SET, Mocanu et al. 2018, in the form of Evci et al.). The share that moves falls
    from `fraction` to 0 on a cosine that ends at `stop` of the training. Every layer keeps its number of
    weights. Other arguments are those of `train`.
    """
    if grow not in ("gradient", "random"):
        raise ValueError(f'grow is "gradient" (RigL) or "random" (SET); got {grow!r}.')
    check_masks(model, masks)
    per_epoch, total, first = recipe.steps_per_epoch(dataset), recipe.steps(dataset), start.step if start else 0
    period, end = max(count_steps(every, per_epoch), 1), stop * total
    kept, at = ({count_steps(d, per_epoch) for d in asked} for asked in (snapshots, evaluate_at))
    histories = []
    for until in [*(s for s in range(period, math.ceil(end), period) if s > first), total]:
        part = [step for step in kept if first <= step <= until]
        history = train(
            model, dataset, recipe, masks, seed=seed, start=start, until=until, snapshots={*part, until},
            evaluate_every=evaluate_every, evaluate_at=[step for step in at if first <= step <= until],
            speed=speed,
        )  # fmt: skip
        histories.append(history)
        if until < total:
            scores = _growth(model, dataset, recipe, seed, until, masks, grow)
            moved = drop_and_grow(magnitude(model), scores, masks, fraction / 2 * (1 + math.cos(math.pi * until / end)))
            start, first = _forget(history.snapshots[until], model, masks, moved), until
            masks = moved
    table = pd.concat([history.table for history in histories]).drop_duplicates(["step", "split", "metric"])
    found = {step: s for history in histories for step, s in history.snapshots.items() if step in kept}
    return History(table.reset_index(drop=True), found, sum(history.seconds for history in histories)), masks


def drop_and_grow(magnitudes: Scores, growth: Scores, masks: Masks, fraction: float) -> Masks:
    """Masks with as many weights in every layer: the smallest `fraction` go, those with the most `growth` come.

    What was just dropped may come back (Evci et al. 2020, section 3, "grow").
    """
    moved = {}
    for name, mask in masks.items():
        (stay,) = prune({name: magnitudes[name]}, {name: mask}, fraction).values()
        free, count = (~stay).flatten().nonzero().squeeze(1), int(mask.sum() - stay.sum())
        best = growth[name].flatten()[free].argsort(descending=True, stable=True)[:count]
        moved[name] = stay.flatten().index_fill(0, free[best], True).view_as(mask)
    return moved


def _growth(model, dataset: Dataset, recipe: Recipe, seed: int, step: int, masks: Masks, grow: str) -> Scores:
    """How much each weight wants to grow: by its gradient on the batch that comes next, or by chance."""
    if grow == "random":
        generator = make_generator(seed, "growth", step)
        return {n: torch.rand(m.shape, generator=generator).to(dataset.device) for n, m in masks.items()}
    x, y = Batches(dataset, recipe, seed)(step)
    network = copy.deepcopy(model).train()  # a copy: looking must not move BatchNorm's statistics
    with torch.random.fork_rng(devices=[dataset.device] if dataset.device.type == "cuda" else []):
        loss = F.cross_entropy(network(x), y)
        weights = prunable_weights(network)
        gradients = torch.autograd.grad(loss, [*weights.values()])
    return {name: g.abs() for name, g in zip(weights, gradients, strict=True)}


def _forget(snapshot: Snapshot, model: nn.Module, before: Masks, after: Masks) -> Snapshot:
    """The snapshot without what it remembers of weights that were not there or are not any more."""
    names = [name for name, _ in model.named_parameters()]
    stay = {name: before[name] & after[name] for name in after}
    state = {
        number: {
            key: value * stay[names[number]] if names[number] in stay and getattr(value, "ndim", 0) else value
            for key, value in entries.items()
        }
        for number, entries in snapshot.optimizer["state"].items()
    }
    weights = {name: snapshot.model[name] * mask for name, mask in stay.items()}
    return replace(snapshot, model=snapshot.model | weights, optimizer=snapshot.optimizer | {"state": state})
