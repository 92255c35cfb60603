"""What several test modules compare with."""

import torch

from lthlab.arms import ARMS
from lthlab.levels import run_levels
from lthlab.masks import full_masks
from lthlab.pruning import prune, random
from lthlab.recipes import Recipe

# 5 steps an epoch on the tiny sets: by layer with Adam, globally with momentum and BatchNorm.
ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep")
MOMENTUM = Recipe(
    "sgd", 0.1, 0.9, 1e-3, 20, "2ep3it", "cosine", fractions={"all": 0.2}, scope="global"
)
CASES = {"layer": ("mlp-8-6", ADAM), "global": ("resnet1d-4", MOMENTUM)}
OPTIMIZERS = {
    "sgd": Recipe("sgd", 0.05, batch_size=20, duration="12it"),
    "momentum": Recipe("sgd", 0.05, 0.9, 1e-3, batch_size=20, duration="12it"),
    "adam": Recipe("adam", 0.01, weight_decay=1e-3, batch_size=20, duration="12it"),
    "adamw": Recipe("adamw", 0.01, weight_decay=1e-2, batch_size=20, duration="12it"),
}
AUGMENTED = Recipe(
    "sgd",
    0.02,
    0.9,
    1e-4,
    batch_size=10,
    duration="6it",
    augmentation="shift and flip",
    fractions={"all": 0.2},
    scope="global",
)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().view(torch.int32)


def some_masks(model, keep: float = 0.4, seed: int = 0):
    return prune(random(model, seed=seed), full_masks(model), 1 - keep)


def same_masks(one, other) -> bool:
    """Whether both keep the same weights, with their layers in the same order."""
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def states_equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(states_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(states_equal, one, other))
    return one == other


def finish(setting, arms, levels, seed: int = 0) -> dict:
    """The finished levels of arms, each after those that it needs, in memory."""
    finished = {}
    for name in ("dense", *arms):
        numbers = [0] if name == "dense" else levels
        for _ in run_levels(setting, name, ARMS[name], seed, numbers, finished):
            pass
    return finished
