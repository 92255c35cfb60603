"""Recipes: how a network is trained and how much of it is pruned per level, as the papers' tables say."""

import math
import numbers
import re
from dataclasses import dataclass, field, replace

import torch

from lthlab._common import unknown_name
from lthlab.data import Dataset

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("constant", "cosine", "drops")
AUGMENTATIONS = ("none", "shift and flip")


def count_steps(duration: str | int, steps_per_epoch: int) -> int:
    """Iterations in a duration: 500, "500it", "2ep" or "2ep50it". ValueError for anything else."""
    if isinstance(duration, numbers.Integral) and duration >= 0:
        return int(duration)
    match = re.fullmatch(r"(?:(\d+)ep)?(?:(\d+)it)?", str(duration))
    if not duration or not match:
        raise ValueError(f'A duration reads "10ep", "500it", "2ep50it" or is a number of iterations; got {duration!r}.')
    return int(match[1] or 0) * steps_per_epoch + int(match[2] or 0)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained and how much of it is pruned per level.

    `duration` is in epochs ("10ep"), iterations ("500it") or both. `schedule` multiplies the learning
    rate `lr`: "constant"; "cosine" falls to 0; "drops" is x0.1 at each of the iterations `milestones`.
    `warmup` iterations rise linearly to `lr`. `augmentation` "shift and flip" moves each training image by
    up to 4 pixels and mirrors every other one (see `batches.shift_and_flip`). `fractions` of the remaining
    weights go at each level, by kind of layer for scope "layer" (see `layer_fractions`) or {"all": f} for
    scope "global".
    """

    optimizer: str = "adam"
    lr: float = 1.2e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 60
    duration: str = "10ep"
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    warmup: int = 0
    fractions: dict[str, float] = field(default_factory=lambda: {"fc": 0.2, "conv": 0.2, "output": 0.1})
    scope: str = "layer"
    augmentation: str = "none"

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer, list(OPTIMIZERS))
        if self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, list(SCHEDULES))
        if self.augmentation not in AUGMENTATIONS:
            raise unknown_name("augmentation", self.augmentation, list(AUGMENTATIONS))
        if not (0 < self.lr < math.inf) or self.batch_size < 1:
            raise ValueError(f"lr and batch_size must be positive; got {self.lr} and {self.batch_size}.")
        if min(self.momentum, self.weight_decay, self.warmup) < 0 or (self.milestones and self.schedule != "drops"):
            raise ValueError("momentum, weight_decay and warmup are 0 or more; milestones belong to schedule 'drops'.")
        if self.scope not in ("layer", "global"):
            raise unknown_name("scope", self.scope, ["layer", "global"])
        expected = {"all"} if self.scope == "global" else {"fc", "conv", "output"}
        if not self.fractions.keys() <= expected or (self.scope == "global" and not self.fractions):
            raise ValueError(f"fractions for scope {self.scope!r} are given for {', '.join(sorted(expected))}; "
                             f"got {', '.join(self.fractions)}.")  # fmt: skip
        if not all(0 <= fraction <= 1 for fraction in self.fractions.values()):
            raise ValueError(f"A fraction to prune lies between 0 and 1 (0.2 is 20 %); got {self.fractions}.")
        count_steps(self.duration, 1)
        object.__setattr__(self, "fractions", dict(self.fractions))  # no two recipes share one dict

    def steps(self, dataset: Dataset) -> int:
        """The length of training in iterations on this data set."""
        return count_steps(self.duration, self.steps_per_epoch(dataset))

    def steps_per_epoch(self, dataset: Dataset) -> int:
        """Iterations per epoch: full batches only, a new order each epoch decides which examples wait."""
        if self.batch_size > len(dataset.train):
            raise ValueError(f"Batches of {self.batch_size} need more than the {len(dataset.train)} training examples.")
        return len(dataset.train) // self.batch_size

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of iteration `step` (0 is the first) out of `total`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * step / total)) / 2
        if self.schedule == "drops":
            return self.lr * 0.1 ** sum(step >= milestone for milestone in self.milestones)
        return self.lr


# Frankle & Carbin 2019, Figure 2, where resnet-20 goes by the name Resnet-18 (drops at 20K and 25K, shifts and
# flips: appendix I). "low" and "warmup" are the learning rates of its section 4 at which tickets are found at all.
_CONV = {"fc": 0.2, "conv": 0.1, "output": 0.1}
_RESNET = Recipe("sgd", 0.1, 0.9, 1e-4, 128, "30000it", "drops", (20_000, 25_000), fractions={"all": 0.2},
                 scope="global", augmentation="shift and flip")  # fmt: skip
PAPER_RECIPES = {
    "lenet-300-100": Recipe("adam", 1.2e-3, batch_size=60, duration="50000it"),
    "conv-2": Recipe("adam", 2e-4, batch_size=60, duration="20000it", fractions=_CONV),
    "conv-4": Recipe("adam", 3e-4, batch_size=60, duration="25000it", fractions=_CONV),
    "conv-6": Recipe("adam", 3e-4, batch_size=60, duration="30000it", fractions=_CONV | {"conv": 0.15}),
    "resnet-20": _RESNET,
    "resnet-20 low": replace(_RESNET, lr=0.01),
    "resnet-20 warmup": replace(_RESNET, lr=0.03, warmup=20_000),
}
MLP_RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=100, duration="20ep", schedule="cosine")
RESNET1D_RECIPE = Recipe(
    "sgd", 0.4, 0.9, 1e-4, 100, "6ep", "cosine", fractions={"all": 0.2}, scope="global"
)  # fmt: skip


def recipe_for(model_name: str, dataset: Dataset | str) -> Recipe:
    """The paper's recipe for a network, shortened to 10 epochs on the embedded sets.

    Networks that no paper of this course trains (`mlp-...`, `resnet1d-...`) get the recipe of our
    own experiments on mnist1d. "resnet-20 low" and "resnet-20 warmup" are resnet-20 at the paper's other
    learning rates. Raises ValueError for a network without a recipe.
    """
    dataset_name = dataset if isinstance(dataset, str) else dataset.name
    if model_name.startswith("mlp-"):
        return MLP_RECIPE
    if model_name.startswith("resnet1d-"):
        return RESNET1D_RECIPE
    if model_name not in PAPER_RECIPES:
        raise unknown_name("recipe", model_name, [*PAPER_RECIPES, "mlp-...", "resnet1d-..."], "Or make a Recipe(...).")
    recipe = PAPER_RECIPES[model_name]
    if dataset_name in ("fashion-mini", "mnist1d"):
        return replace(recipe, duration="10ep", schedule="constant", milestones=(), warmup=0, augmentation="none")
    return recipe
