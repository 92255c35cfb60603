"""The controls of a ticket: arms that keep its mask, its values, their signs or their scale."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from lthlab._common import make_generator
from lthlab.batches import Batch
from lthlab.checks import checked
from lthlab.layerwise import random_masks
from lthlab.levels import Function, Past, Start, prune_once_more
from lthlab.masks import Masks, layer_densities, prunable_weights, shuffle_masks
from lthlab.pruning import Scores
from lthlab.steps import State


def _ticket(past: Past) -> Masks:
    return past.of("ticket")[past.level].masks


@checked
def reinitialised(past: Past) -> Start:
    """The ticket's masks on newly drawn values, from step 0 (Frankle & Carbin 2019, section 2).

    The ticket's survivors began far from zero, newly drawn values do not: their scale changes, too.
    """
    return Start(_ticket(past), past.redrawn)


@checked
def revalued(change: Callable[[Tensor, Tensor, torch.Generator], Tensor]) -> Function:
    """As an arm: the ticket's masks, the values of its survivors changed, layer by layer.

    `change` takes the survivors' values at the rewind step, newly drawn ones for the same weights,
    and a generator. The optimiser starts afresh: what it remembers is of other values.
    """

    @checked
    def changed(past: Past) -> Start:
        masks, start, redrawn = _ticket(past), past.rewound, past.redrawn.model
        generator, values = make_generator(past.seed, "survivors"), {}
        for name, mask in masks.items():
            value = start.model[name].clone()
            value[mask] = change(value[mask], redrawn[name][mask], generator)
            values[name] = value
        return Start(masks, State(start.step, start.model | values, {}))

    return changed


def _order(values: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randperm(len(values), generator=generator).to(values.device)


@revalued
def permuted(values: Tensor, redrawn: Tensor, generator: torch.Generator) -> Tensor:
    """The survivors' own values in another order (Zhou et al. 2019, section 4.1: reshuffled)."""
    return values[_order(values, generator)]


@revalued
def permuted_sizes(values: Tensor, redrawn: Tensor, generator: torch.Generator) -> Tensor:
    """The same, but every weight keeps its sign: only the sizes change places."""
    return values.sign() * values[_order(values, generator)].abs()


@revalued
def to_scale(values: Tensor, redrawn: Tensor, generator: torch.Generator) -> Tensor:
    """Newly drawn values, stretched to the survivors' root mean square: as far from zero."""
    return redrawn * (values.square().mean() / redrawn.square().mean()).sqrt()


@checked
def signs(past: Past) -> Start:
    """The ticket; each value becomes its sign times its layer's std (Zhou et al. 2019)."""
    masks, start = _ticket(past), past.rewound
    constant = {name: start.model[name].sign() * start.model[name].std() for name in masks}
    return Start(masks, replace(start, model=start.model | constant))


@checked
def shuffled(past: Past) -> Start:
    """The ticket's masks shuffled within layers (Frankle et al. 2021, section 5).

    Every weight keeps its value, but others survive.
    """
    return Start(shuffle_masks(_ticket(past), past.seed), past.rewound)


@checked
def randomly_pruned(past: Past) -> Start:
    """Weights removed by chance, nested over levels, as many per layer as in the ticket."""
    densities = layer_densities(_ticket(past))
    return Start(random_masks(past.network, densities, past.seed), past.rewound)


@checked
def by_change(criterion: Callable[[Tensor, Tensor], Tensor]) -> Function:
    """A ticket found by the initial and the final value of each weight (Zhou et al. 2019, sec. 3).

    `criterion` makes a score of the two. |final| is magnitude, |final| - |initial| its increase.
    """

    def ticket(past: Past) -> Start:
        first = past.initial.model

        def score(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
            weights = prunable_weights(model).items()
            return {name: criterion(first[name], weight.detach()) for name, weight in weights}

        return Start(prune_once_more(past, score), past.rewound)

    return ticket


# The sanity checks of Frankle et al. 2021, section 5, for any arm that begins at initialisation.


@checked
def then_shuffled(function: Function) -> Function:
    """The same arm with its masks shuffled within layers: do the weights' positions matter?"""

    def shuffled_arm(past: Past) -> Start:
        start = function(past)
        return replace(start, masks=shuffle_masks(start.masks, past.seed))

    return shuffled_arm


@checked
def then_reinitialised(function: Function) -> Function:
    """The same arm with newly drawn values: does the mask belong to those it was found with?"""
    return lambda past: replace(function(past), state=past.redrawn)
