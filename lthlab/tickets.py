"""Winning tickets: iterative magnitude pruning with rewinding, and the control that redraws the weights."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from lthlab.data import Dataset
from lthlab.masks import Masks, apply_masks_, density, full_masks
from lthlab.models import initialize_
from lthlab.pruning import Scores, layer_fractions, magnitude, prune
from lthlab.recipes import Recipe, count_steps
from lthlab.sparse import PLAIN, Speed
from lthlab.training import History, Snapshot, train


@dataclass(frozen=True)
class Level:
    """One round of IMP: the masks trained with, the density they keep, and how that training went."""

    number: int
    density: float
    masks: Masks
    history: History


@dataclass(frozen=True)
class Ticket:
    """All levels of one IMP run (0 is dense), the snapshot they rewind to, and the network as trained last."""

    start: Snapshot
    levels: list[Level]
    model: nn.Module

    @property
    def masks(self) -> Masks:
        """The masks of the sparsest level."""
        return self.levels[-1].masks

    def table(self) -> pd.DataFrame:
        """Every measurement of every level, tidy: level, density and the columns of `History.table`."""
        return pd.concat(
            [level.history.table.assign(level=level.number, density=level.density) for level in self.levels],
            ignore_index=True,
        )

    def at(self, wanted: float) -> Level:
        """The level whose density is nearest to `wanted` (a fraction, on a logarithmic scale)."""
        if not 0 < wanted <= 1:
            raise ValueError(f"A density is a fraction above 0 and at most 1 (0.036 is 3.6 %); got {wanted}.")
        return min(self.levels, key=lambda level: abs(math.log(level.density / wanted)))


def find_ticket(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    levels: int | None = None,
    density: float | None = None,
    rewind_to: str | int = 0,
    score: Callable[[nn.Module], Scores] = magnitude,
    seed: int = 0,
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    snapshots: Iterable[str | int] = (),
    progress: bool = False,
    speed: Speed = PLAIN,
) -> Ticket:
    """Find a winning ticket by iterative magnitude pruning with rewinding.

    Train; drop the weights with the lowest score, at the recipe's rates; put the survivors back to
    their values at step `rewind_to` (0 is the initialisation); repeat, `levels` times or until at
    most `density` (a fraction) is left. Every level trains with the same `seed`, hence the same
    order of examples. The given model stays as it is; the network as trained at the last level is
    the ticket's `model`. `snapshots`, `evaluate_every`, `evaluate_at` and `speed` go to `train` at every level.

    Frankle & Carbin 2019, section 2 and appendix B, strategy 1; rewinding to k > 0: Frankle et al. 2020, section 3.
    Raises ValueError unless exactly one of levels and density is given and possible.
    """
    masks = full_masks(model)
    rates = pruning_rates(masks, recipe)
    last = count_levels(masks, recipe, levels, density)
    k = count_steps(rewind_to, recipe.steps_per_epoch(dataset))
    if k >= recipe.steps(dataset):
        raise ValueError(f"Rewinding to step {k} leaves nothing to train: training ends at {recipe.steps(dataset)}.")
    per_epoch = recipe.steps_per_epoch(dataset)  # read once: they may be iterators, and serve every level
    snapshots, evaluate_at = ([count_steps(d, per_epoch) for d in asked] for asked in (snapshots, evaluate_at))
    model, start, done = copy.deepcopy(model), None, []  # so that the same cell, run twice, does the same
    with tqdm(total=last + 1, desc="levels", unit="level", disable=not progress, leave=False) as bar:
        for number in range(last + 1):
            history = train(
                model,
                dataset,
                recipe,
                masks,
                seed=seed,
                start=start,
                snapshots=[step for step in snapshots if step >= k] if start else [*snapshots, k],
                evaluate_every=evaluate_every,
                evaluate_at=evaluate_at,
                progress=f"level {number}" if progress else False,
                speed=speed,
            )
            start = start or history.snapshots[k]
            done.append(Level(number, _density(masks), masks, history))
            if number < last:
                masks = prune(score(model), masks, rates, recipe.scope)
            bar.update()
    return Ticket(start, done, model)


def rewind(model: nn.Module, start: Snapshot, masks: Masks) -> nn.Module:
    """A copy of `model` with the weights that `masks` keep at their values of `start`, the others at 0.0."""
    rewound = copy.deepcopy(model)
    start.restore_(rewound)
    return apply_masks_(rewound, masks)


def reinitialize(model: nn.Module, masks: Masks, seed: int) -> nn.Module:
    """A copy of `model` with the same masks and all weights newly drawn from the same distribution.

    The control of Frankle & Carbin 2019, section 2 ("random reinitialization"). The seed must not be
    the one that built the model, or the "new" values are the old ones.
    """
    return apply_masks_(initialize_(copy.deepcopy(model), seed), masks)


def pruning_rates(masks: Masks, recipe: Recipe) -> float | dict[str, float]:
    """The recipe's rates as `prune` takes them: one number for scope "global", else one per layer."""
    if recipe.scope == "global":
        return recipe.fractions["all"]
    return layer_fractions(masks, **recipe.fractions)


def count_levels(masks: Masks, recipe: Recipe, levels: int | None = None, density: float | None = None) -> int:
    """How many prunings it takes: `levels` itself, or as many as leave at most `density` (a fraction)."""
    if (levels is None) == (density is None):
        raise ValueError("Say how far to prune: either levels=15 or density=0.036.")
    if levels is not None:
        if levels < 0:
            raise ValueError(f"levels counts prunings, 0 or more; got {levels}.")
        return levels
    if not 0 < density <= 1:
        raise ValueError(f"A density is a fraction above 0 and at most 1 (0.036 is 3.6 %); got {density}.")
    previous = math.inf
    for number, kept in enumerate(level_sizes(masks, recipe)):
        left = sum(kept.values()) / sum(mask.numel() for mask in masks.values())  # the quotient that `density` reports
        if left <= density:
            return number
        if left == previous:
            raise ValueError(f"At these rates pruning stops at density {left:.4f}.")
        previous = left


def level_sizes(masks: Masks, recipe: Recipe) -> Iterator[dict[str, int]]:
    """How many weights are left after 0, 1, 2, ... prunings at the recipe's rates: by layer, or of "all" together."""
    kept, rates = {name: mask.numel() for name, mask in masks.items()}, pruning_rates(masks, recipe)
    if recipe.scope == "global":
        kept, rates = {"all": sum(kept.values())}, {"all": rates}
    while True:
        yield kept
        kept = {name: n - round(rates[name] * n) for name, n in kept.items()}


_density = density  # find_ticket has an argument of that name
