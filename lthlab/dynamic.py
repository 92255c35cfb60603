"""Masks found while training: gradual pruning, Early-Bird tickets, RigL and SET."""

import copy
import math
import warnings
from collections import deque
from dataclasses import dataclass

import pandas as pd
from torch import nn

from lthlab._common import make_generator
from lthlab.batches import Batches
from lthlab.checks import InputError, checked
from lthlab.data import Dataset
from lthlab.masks import Masks, count_kept, full_masks, overlap
from lthlab.pruning import Score, Scores, gradient, magnitude, prune
from lthlab.recipes import Duration, Recipe, count_steps
from lthlab.steps import Kind, State
from lthlab.training import During, Paused, training


@dataclass(frozen=True)
class EarlyBird:
    """Masks drawn early in training, where, and the distances that decided it (step, distance)."""

    masks: Masks
    start: State
    distances: pd.DataFrame
    settled: bool


@checked
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
    step: Kind = None,
) -> EarlyBird:
    """Train the dense network until its magnitude mask of this density no longer changes.

    Every `every` a mask is drawn and compared with the last `window` ones: it has settled when less
    than `threshold` of the kept weights differ from each of them (You et al. 2020; the paper
    divides by all channels, not by those kept; at low densities that would always be little). The
    model stays as it is; training goes on with `train(model, ..., masks, start=...)`. Warns when
    nothing settles: the last mask is returned. Raises ValueError when no mask would be drawn.
    """
    network, recent, rows = copy.deepcopy(model), deque(maxlen=window), []
    stops = _every(every, recipe, dataset, recipe.steps(dataset))
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
            stacklevel=3,
        )
    return EarlyBird(masks, start, pd.DataFrame(rows, columns=["step", "distance"]), settled)


@checked
def prune_gradually(
    dataset: Dataset,
    recipe: Recipe,
    density: float,
    *,
    begin: float = 0.25,
    end: float = 0.75,
    times: int = 20,
) -> During:
    """Gradual magnitude pruning, as what `train` does `during` its steps (Zhu & Gupta 2017).

    Between the shares `begin` and `end` of the training the weights of least magnitude in the whole
    network go, in `times` prunings: at first many, later few, on a cubic curve (their equation 1),
    until `density` (a fraction) is left. Raises ValueError unless 0 <= begin < end < 1 and there
    are steps for that many prunings.
    """
    total = recipe.steps(dataset)
    first, last = begin * total, end * total
    if not (begin < end < 1 and times <= last - first):
        span = f"between begin={begin} and end={end} of {total} steps"
        raise InputError(
            f"Gradual pruning needs a step for each pruning; got times={times} {span}."
        )

    def drop(now: Paused) -> None:
        ahead = max(0.0, 1 - (now.step - first) / (last - first))  # 1 at the first, 0 at the last
        size, kept = sum(mask.numel() for mask in now.masks.values()), count_kept(now.masks)
        left = round(size * (density + (1 - density) * ahead**3))
        fraction = 1 - min(left, kept) / max(kept, 1)  # masks that were sparse before wait
        now.masks = prune(magnitude(now.model), now.masks, fraction, "global")

    steps = [first + (last - first) * number / times for number in range(1, times + 1)]
    return dict.fromkeys(map(math.ceil, steps), drop)


@checked
def move_masks(
    dataset: Dataset,
    recipe: Recipe,
    *,
    grow: Score = gradient,
    seed: int = 0,
    every: Duration = 100,
    fraction: float = 0.3,
    stop: float = 0.75,
) -> During:
    """Dynamic sparse training, as what `train` does `during` its steps: masks that move.

    Every `every` steps each layer drops its weights of least magnitude and grows as many new ones,
    at 0.0, where the score `grow` is highest: `pruning.gradient` on the next batch (RigL, Evci et
    al. 2020, algorithm 1) or `pruning.random` (SET, Mocanu et al. 2018, in the form of Evci et
    al.). The share that moves falls from `fraction` to 0 on a cosine that ends at `stop` of the
    training. Every layer keeps its number of weights. Raises ValueError for `every` of no steps.
    """
    end = stop * recipe.steps(dataset)
    steps = _every(every, recipe, dataset, math.ceil(end))
    batches = Batches(dataset, recipe.batch_size, seed, recipe.augmentation)

    def move(now: Paused) -> None:
        share = fraction / 2 * (1 + math.cos(math.pi * now.step / end))
        chance = make_generator(seed, "growth", now.step).initial_seed()
        growth = grow(now.model, batches(now.step), seed=chance)
        now.masks = drop_and_grow(magnitude(now.model), growth, now.masks, share)

    return dict.fromkeys(steps, move)


@checked
def drop_and_grow(magnitudes: Scores, growth: Scores, masks: Masks, fraction: float) -> Masks:
    """Masks with as many weights in every layer: the smallest `fraction` go, most `growth` comes.

    What was just dropped may come back (Evci et al. 2020, section 3, "grow").
    """
    moved = prune(magnitudes, masks, fraction)
    for name, stay in moved.items():
        free, count = (~stay).flatten().nonzero().squeeze(1), int(masks[name].sum() - stay.sum())
        best = growth[name].flatten()[free].argsort(descending=True, stable=True)[:count]
        moved[name] = stay.flatten().index_fill(0, free[best], True).view_as(stay)
    return moved


def _every(every: Duration, recipe: Recipe, dataset: Dataset, end: int) -> range:
    """The steps before an end that are multiples of a duration; InputError if there is none."""
    period = count_steps(every, recipe.steps_per_epoch(dataset))
    if not 0 < period < end:
        raise InputError(f"every is 1 to {end - 1} steps of this training; got {period}.")
    return range(period, end, period)
