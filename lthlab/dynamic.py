"""Masks found while training: gradual pruning, Early-Bird tickets, RigL and SET."""

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
from lthlab.masks import Masks, count_kept, full_masks, overlap
from lthlab.pruning import Score, Scores, gradient, magnitude, prune
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


def prune_gradually(
    dataset: Dataset,
    recipe: Recipe,
    density: float,
    *,
    begin: float = 0.25,
    end: float = 0.75,
    times: int = 20,
) -> dict[int, Callable[[Paused], None]]:
    """Gradual magnitude pruning, as what `train` does `during` its steps (Zhu & Gupta 2017).

    Between the shares `begin` and `end` of the training the weights of least magnitude in the whole
    network go, in `times` prunings: at first many, later few, on a cubic curve (their equation 1),
    until `density` (a fraction) is left. Raises ValueError unless 0 <= begin < end < 1 and there
    are steps for that many prunings.
    """
    check_fraction("A density", density, above=0)
    total = recipe.steps(dataset)
    first, last = begin * total, end * total
    if not (0 <= begin < end < 1 and 1 <= times <= last - first):
        span = f"between {begin} and {end} of {total} steps"
        raise ValueError(f"Gradual pruning needs a step for each pruning; got {times} {span}.")

    def drop(now: Paused) -> None:
        ahead = max(0.0, 1 - (now.step - first) / (last - first))  # 1 at the first, 0 at the last
        size, kept = sum(mask.numel() for mask in now.masks.values()), count_kept(now.masks)
        left = round(size * (density + (1 - density) * ahead**3))
        fraction = 1 - min(left, kept) / max(kept, 1)  # masks that were sparse before wait
        now.masks = prune(magnitude(now.model), now.masks, fraction, "global")

    steps = [first + (last - first) * number / times for number in range(1, times + 1)]
    return dict.fromkeys(map(math.ceil, steps), drop)


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
