"""Masks found while training: Early-Bird tickets, and dynamic sparse training (RigL, SET)."""

import copy
import math
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from torch import nn

from lthlab._common import check_fraction, make_generator
from lthlab.batches import Batches
from lthlab.data import Dataset
from lthlab.masks import Masks, full_masks, overlap
from lthlab.pruning import Score, Scores, gradient, magnitude, prune, random
from lthlab.recipes import Recipe, count_steps
from lthlab.steps import State, Step
from lthlab.training import Duration, Paused, training


@dataclass(frozen=True)
class EarlyBird:
    """Masks drawn early in training, where, and the distances that decided it (step, distance)."""

    masks: Masks
    start: State
    distances: pd.DataFrame
    settled: bool


def early_bird(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    density: float,
    *,
    seed: int = 0,
    every: Duration = "1ep",
    window: int = 5,
    threshold: float = 0.1,
    step: str | Callable[..., Step] | None = None,
) -> EarlyBird:
    """Train the dense network until its magnitude mask of this density no longer changes.

    Every `every` a mask is drawn and compared with the last `window` ones: it has settled when less
    than `threshold` of the kept weights differ from each of them (You et al. 2020; the paper
    divides by all channels, not by those kept; at low densities that would always be little). The
    model stays as it is; training goes on with `train(model, ..., masks, start=...)`. Warns when
    nothing settles: the last mask is returned. Raises ValueError when no mask would be drawn.
    """
    check_fraction("A density", density, above=0)
    network, recent, rows = copy.deepcopy(model), deque(maxlen=window), []
    period, total = count_steps(every, recipe.steps_per_epoch(dataset)), recipe.steps(dataset)
    if not 0 < period < total:
        raise ValueError(
            f"Masks are drawn every 1 to {total - 1} steps of this training; got {period}."
        )
    stops = range(period, total, period)
    for now in training(network, dataset, recipe, seed=seed, stops=stops, step=step):
        masks = prune(magnitude(network), full_masks(network), 1 - density, "global")
        distance = max((1 - overlap(masks, other) for other in recent), default=math.nan)
        rows.append((now.step, distance))
        settled = len(recent) == window and distance < threshold
        recent.append(masks)
        if settled or now.step == stops[-1]:
            start = now.state()
            break
    if not settled:
        warnings.warn(
            f"No mask of density {density:.1%} settled: of {len(rows)} drawn, none differed by "
            f"less than {threshold:.0%} from each of the {window} before it.",
            stacklevel=2,
        )
    return EarlyBird(masks, start, pd.DataFrame(rows, columns=["step", "distance"]), settled)


def move_masks(
    dataset: Dataset,
    recipe: Recipe,
    *,
    grow: Score = gradient,
    seed: int = 0,
    every: Duration = 100,
    fraction: float = 0.3,
    stop: float = 0.75,
) -> dict[int, Callable[[Paused], None]]:
    """Dynamic sparse training, as what `train` does `during` its steps: masks that move.

    Every `every` steps each layer drops its weights of least magnitude and grows as many new ones,
    at 0.0, where the score `grow` is highest: `pruning.gradient` on the next batch (RigL, Evci et
    al. 2020, algorithm 1) or `pruning.random` (SET, Mocanu et al. 2018, in the form of Evci et
    al.). The share that moves falls from `fraction` to 0 on a cosine that ends at `stop` of the
    training. Every layer keeps its number of weights. Raises ValueError for `every` of no steps.
    """
    period, end = count_steps(every, recipe.steps_per_epoch(dataset)), stop * recipe.steps(dataset)
    if period < 1:
        raise ValueError(f"Masks move every 1 or more steps; got {every!r}.")
    batches = Batches(dataset, recipe.batch_size, seed, recipe.augmentation)

    def move(now: Paused) -> None:
        share = fraction / 2 * (1 + math.cos(math.pi * now.step / end))
        chance = make_generator(seed, "growth", now.step).initial_seed()
        growth = grow(now.model, batches(now.step), seed=chance)
        now.masks = drop_and_grow(magnitude(now.model), growth, now.masks, share)

    return dict.fromkeys(range(period, math.ceil(end), period), move)


def drop_and_grow(magnitudes: Scores, growth: Scores, masks: Masks, fraction: float) -> Masks:
    """Masks with as many weights in every layer: the smallest `fraction` go, most `growth` comes.

    What was just dropped may come back (Evci et al. 2020, section 3, "grow").
    """
    moved = {}
    for name, mask in masks.items():
        (stay,) = prune({name: magnitudes[name]}, {name: mask}, fraction).values()
        free, count = (~stay).flatten().nonzero().squeeze(1), int(mask.sum() - stay.sum())
        best = growth[name].flatten()[free].argsort(descending=True, stable=True)[:count]
        moved[name] = stay.flatten().index_fill(0, free[best], True).view_as(mask)
    return moved


def erk_densities(masks: Masks, density: float) -> dict[str, float]:
    """The density of each layer by the rule Erdos-Renyi-Kernel, for `density` over all.

    Proportional to (the sum of the weight's dimensions) / (their product): small layers stay
    denser (Evci et al. 2020, section 3). Layers that would be more than full are full, and the
    others share the rest. Raises ValueError for a density outside 0..1.
    """
    check_fraction("A density", density)
    ratio = {name: sum(mask.shape) / mask.numel() for name, mask in masks.items()}
    full: set[str] = set()
    while True:
        left = density * sum(mask.numel() for mask in masks.values())
        left -= sum(masks[name].numel() for name in full)
        shares = sum(ratio[name] * masks[name].numel() for name in masks if name not in full)
        scale = left / max(shares, 1e-12)
        over = {name for name in masks if name not in full and scale * ratio[name] > 1}
        if not over:
            return {name: 1.0 if name in full else scale * ratio[name] for name in masks}
        full |= over


def erk_masks(model: nn.Module, density: float, seed: int = 0) -> Masks:
    """Random masks with the layer densities of `erk_densities`."""
    masks = full_masks(model)
    fractions = {name: 1 - kept for name, kept in erk_densities(masks, density).items()}
    return prune(random(model, seed=seed), masks, fractions)
