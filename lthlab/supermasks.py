"""Supermasks: networks that solve the task by their mask alone, with untrained weights."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lthlab._common import make_generator
from lthlab.checks import checked
from lthlab.data import Dataset
from lthlab.masks import Masks, prunable_weights
from lthlab.recipes import Recipe
from lthlab.training import History, train


class Popup(nn.Module):
    """A weight under the mask of its highest scores; the scores are what is trained."""

    def __init__(self, weight: Tensor, density: float, generator: torch.Generator):
        super().__init__()
        bound = 1 / math.sqrt(weight[0].numel())  # PyTorch's default for a layer of this size
        drawn = torch.rand(weight.shape, generator=generator) * 2 - 1
        self.scores = nn.Parameter((bound * drawn).to(weight))
        self.kept = round(density * weight.numel())

    def mask(self) -> Tensor:
        flat = self.scores.abs().flatten()
        highest = flat.topk(self.kept, sorted=False).indices
        mask = torch.zeros_like(flat, dtype=torch.bool).index_fill(0, highest, True)
        return mask.view_as(self.scores)

    def forward(self, weight: Tensor) -> Tensor:
        # Straight through: the mask forwards; backwards as if each weight were times its score.
        size = self.scores.abs()
        return weight * (self.mask() + (size - size.detach()))


@checked
def edge_popup(
    model: nn.Module, dataset: Dataset, recipe: Recipe, density: float, *, seed: int = 0
) -> tuple[Masks, History]:
    """Find a supermask of `density` (a fraction of each layer) by edge-popup; no weight changes.

    Every weight gets a score, drawn by the seed; those with the largest in their layer are kept.
    The scores are trained by the recipe as if the mask were differentiable (Ramanujan et al. 2020,
    section 3). The model stays as it is; the history is of the network under its masks, with its
    state at the end (of a norm, the running statistics). Raises ValueError for a density outside
    0..1.
    """
    network = copy.deepcopy(model).requires_grad_(False)
    generator = make_generator(seed, "popup scores")
    popups = {n: Popup(w, density, generator) for n, w in prunable_weights(network).items()}
    for name, popup in popups.items():
        path, _, own = name.rpartition(".")
        parametrize.register_parametrization(network.get_submodule(path), own, popup)
    history = train(network, dataset, recipe, seed=seed, states=[recipe.duration])
    return {name: popup.mask() for name, popup in popups.items()}, history
